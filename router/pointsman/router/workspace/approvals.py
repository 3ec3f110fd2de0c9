"""Decisions of people: on exactly what was asked, once, in time, and never after a stop."""

import secrets
import time
from collections.abc import Mapping
from typing import Any, Literal

from pointsman.router.errors import ApprovalConflict, ApprovalNotFound
from pointsman.router.events import ApprovalDecided, ApprovalRequested, RunId, encode
from pointsman.router.plan import TaskId
from pointsman.router.values import Json
from pointsman.router.workspace import keys
from pointsman.router.workspace.connection import redis_errors
from pointsman.router.workspace.records import Approval, digest_of, entry_of
from pointsman.router.workspace.watching import Watching

APPROVAL_SECONDS = 24 * 3600.0
"""How long a person has to decide."""


class Approvals(Watching):
    async def decide(
        self,
        run: RunId | str,
        approval: str,
        decision: Literal["approved", "denied", "done"],
        *,
        digest: str,
        by: str,
        note: str = "",
        value: Json = None,
    ) -> None:
        """A person's decision on exactly what was asked: `digest` is that of the request that was seen.

        "done" says that an effect whose outcome was unknown has happened, and gives the task `value` as
        its result; "approved" lets it be called (again). Raises ApprovalNotFound, ApprovalConflict (decided
        already, expired, other arguments, or the run was stopped), RunNotFound, RunOver.
        """
        asked = await self._approval(run, approval)
        if decision == "done" and asked.why != "unknown-effect":
            raise ApprovalConflict(approval, "only an effect whose outcome is unknown can be done")
        event = ApprovalDecided(asked.task, approval, decision, by, time.time(), note, value)
        await self._decide(run, approval, digest, event)

    async def edit(
        self,
        run: RunId | str,
        approval: str,
        arguments: Mapping[str, Any],
        *,
        digest: str,
        by: str,
        note: str = "",
    ) -> str:
        """Other arguments: the request is closed, and one of its own for them is opened, to be decided.

        Returns the new request's id. Raises what `decide` raises.
        """
        asked = await self._approval(run, approval)
        now = time.time()
        request = ApprovalRequested(
            task=asked.task,
            approval=new_approval(),
            digest=digest_of(asked.capability, arguments),
            capability=asked.capability,
            arguments=dict(arguments),
            why="edited",
            question=asked.question,
            expires=asked.expires,
            at=now,
            edits=approval,
        )
        event = ApprovalDecided(asked.task, approval, "edited", by, now, note)
        await self._decide(run, approval, digest, event, request)
        return request.approval

    async def expire(self, run: RunId | str, approval: Approval) -> bool:
        """Nobody decided in time; False when somebody did, or the run is over."""
        event = ApprovalDecided(approval.task, approval.id, "expired", "the clock", time.time())
        try:
            await self._decide(run, approval.id, approval.digest, event)
        except ApprovalConflict:
            return False
        return True

    async def _approval(self, run: RunId | str, approval: str) -> Approval:
        with redis_errors("approval"):
            text: Any = await self._calls("HGET", keys.part(run, "approvals"), approval)
        if text is None:
            await self._check_there(run)
            raise ApprovalNotFound(str(run), approval)
        return Approval.from_entry(approval, text)

    async def _decide(
        self,
        run: RunId | str,
        approval: str,
        digest: str,
        event: ApprovalDecided,
        request: ApprovalRequested | None = None,
    ) -> None:
        await self._watch_over(run)
        more = [request.approval, entry_of(request), encode(request)] if request else []
        found = await self._scripts(
            "decide",
            keys.of_run(run),
            approval,
            digest,
            event.decision,
            f"{event.at:.6f}",
            event.by,
            event.note,
            encode(event),
            *more,
        )
        match found[0]:
            case "missing":
                raise ApprovalNotFound(str(run), approval)
            case "cancelled":
                raise ApprovalConflict(approval, "the run was stopped")
            case "refused":
                raise ApprovalConflict(approval, str(found[1]))
            case _:
                self._check(run, found)
        if request is None:
            await self._call_back(run)


def new_approval() -> str:
    return f"apr_{secrets.token_hex(8)}"


def request_for(
    task: TaskId,
    capability: str,
    arguments: Mapping[str, Any],
    *,
    why: Literal["marked", "unknown-effect"],
    question: str,
    now: float,
    seconds: float = APPROVAL_SECONDS,
) -> ApprovalRequested:
    """Asks a person about one task with its exact arguments. now: seconds since the epoch."""
    return ApprovalRequested(
        task=task,
        approval=new_approval(),
        digest=digest_of(capability, arguments),
        capability=capability,
        arguments=dict(arguments),
        why=why,
        question=question,
        expires=now + seconds,
        at=now,
    )
