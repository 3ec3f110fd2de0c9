"""What the controller that owns a run does with it. Everything is fenced by the owner's epoch."""

import asyncio
import json
import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

from pointsman.router.errors import BudgetExceeded, WorkspaceUnavailable
from pointsman.router.events import (
    ApprovalRequested,
    Event,
    EventId,
    PlanProposed,
    RunEnded,
    RunId,
    TaskDone,
    TaskExpanded,
    TaskRouted,
    TaskStatus,
    encode,
)
from pointsman.router.plan import Plan, TaskId
from pointsman.router.usage import USAGE
from pointsman.router.values import Json
from pointsman.router.workspace import keys
from pointsman.router.workspace.access import day_of
from pointsman.router.workspace.acts import FOCUS, Acts, Owner
from pointsman.router.workspace.calls import entries, scored
from pointsman.router.workspace.connection import redis_errors
from pointsman.router.workspace.records import DeadLetter, entry_of

log = logging.getLogger(__name__)

TOLD = 4_096
"""Characters of a call up to which its offer tells it too."""
LOOK_AGAIN = 10.0
"""Seconds after which a run that waits for a controller is looked at again."""


class Owning(Acts):
    async def own(self, run: RunId | str, name: str, *, lease: float) -> Owner | None:
        """Takes a run for `lease` seconds; None when another live owner holds it. Raises RunOver."""
        now = time.time()
        found = await self._scripts(
            "own", keys.of_run(run), name, "", f"{now:.3f}", f"{now + lease:.3f}"
        )
        if found[0] == "held":
            return None
        self._check(run, found)
        await self._mark_active(run, now + lease)
        await self.admission.leave(run)
        return Owner(RunId(run), name, int(found[1]))

    async def ownerless(self) -> list[RunId]:
        """Runs that nobody holds any more, or that nobody took although they wait for nothing.

        Ended ones among them are `own`'s to refuse.
        """
        now = time.time()
        with redis_errors("ownerless"):
            found: Any = await self._calls("ZRANGEBYSCORE", keys.ACTIVE, 0, now)
        left = []
        for run in found:
            if await self.admission.waits(run):
                await self._mark_active(run, now + LOOK_AGAIN)
            else:
                left.append(RunId(run))
        return left

    async def not_active(self, run: RunId | str) -> None:
        """The run needs no owner any more."""
        with redis_errors("not active"):
            await self._calls("ZREM", keys.ACTIVE, run)

    async def _mark_active(self, run: RunId | str, until: float) -> None:
        with redis_errors("own"):
            await self._calls("ZADD", keys.ACTIVE, until, run)

    async def keep(self, owner: Owner, *, lease: float) -> None:
        """Renews the lease. Raises StaleOwner, RunOver."""
        now = time.time()
        found = await self._scripts(
            "own",
            keys.of_run(owner.run),
            owner.name,
            owner.epoch,
            f"{now:.3f}",
            f"{now + lease:.3f}",
        )
        self._check(owner, found)
        await self._mark_active(owner.run, now + lease)

    async def post(self, owner: Owner, event: Event, **fields: Json) -> None:
        """A fact, and fields of the run's hash with it. Raises StaleOwner, RunOver."""
        flat: list[str] = []
        for name, value in fields.items():
            flat += [name, json.dumps(value)]
        found = await self._scripts(
            "post", keys.of_run(owner.run), owner.epoch, encode(event), *flat
        )
        self._check(owner, found)

    async def propose(self, owner: Owner, event: PlanProposed) -> None:
        """Keeps a plan without starting anything of it. Raises StaleOwner, RunOver."""
        await self.post(owner, event, plan=event.plan, proposed=event.version)

    async def write_plan(
        self,
        owner: Owner,
        plan: Plan,
        version: int,
        kept: Mapping[TaskId, tuple[Json, TaskDone]] | None = None,
    ) -> bool:
        """A plan's tasks in one act: those without inputs are ready at once. What is done stays done.

        kept: results that come from another run. False when this version, or a later one, is written
        already. Raises StaleOwner, RunOver.
        """
        tasks = [[t.id, list(t.inputs())] for t in plan.tasks]
        results = [
            [id, await self._text(value), encode(event)]
            for id, (value, event) in (kept or {}).items()
        ]
        found = await self._scripts(
            "plan",
            keys.of_run(owner.run),
            owner.epoch,
            version,
            f"{time.time():.6f}",
            json.dumps(tasks),
            json.dumps(results),
            FOCUS,
        )
        return self._check(owner, found)

    async def expand(self, owner: Owner, task: TaskId, children: Iterable[TaskId]) -> bool:
        """Makes the children of a `for_each` task; False when it is not ready any more."""
        ids = list(children)
        found = await self._scripts(
            "expand",
            keys.of_run(owner.run),
            owner.epoch,
            task,
            encode(TaskExpanded(task, [str(i) for i in ids], time.time())),
            json.dumps(ids),
        )
        return self._check(owner, found)

    async def route(self, owner: Owner, event: TaskRouted, call: Mapping[str, Any]) -> bool:
        """Opens an attempt and offers it to its expert; False when the task is not ready any more.

        On a cluster the offer follows: should we die between, the next owner offers it again. Raises
        BudgetExceeded when the run's budget does not hold what the attempt may cost.
        """
        expert = str(event.route["expert"])
        text = json.dumps(call)
        told = text if len(text) <= TOLD else ""
        found = await self._scripts(
            "route",
            keys.of_run(owner.run) + ([keys.queue(expert)] if self._one_server else []),
            owner.epoch,
            event.task,
            event.attempt,
            encode(event),
            text,
            int(event.route.get("cost", 0)),
            told,
        )
        if found[0] == "budget":
            raise BudgetExceeded(found[1], float(found[2]), float(found[3]))
        opened = self._check(owner, found)
        # Queued at this very attempt already: the answer was lost on its way, and the script sent again.
        again = found[1:] == [f"queued at attempt {event.attempt}"]
        if again or (opened and not self._one_server):
            await self.offer(owner.run, event.task, event.attempt, expert, told)
        return opened

    async def offer(self, run: RunId, task: str, attempt: int, expert: str, call: str = "") -> None:
        """call: what is asked for, as JSON, for who may begin before the claim is made."""
        fields = {"run": run, "task": task, "attempt": str(attempt), "call": call}
        await self.queue(keys.queue(expert)).put(fields)

    async def settle(
        self,
        owner: Owner,
        task: TaskId,
        status: TaskStatus,
        event: Event,
        value: Json = None,
        salience: float = 0.0,
    ) -> bool:
        """Settles a task without an attempt; False when it is settled already."""
        found = await self._scripts(
            "settle",
            keys.of_run(owner.run),
            owner.epoch,
            task,
            status,
            encode(event),
            f"{time.time():.6f}",
            await self._text(value) if status in ("done", "skipped") else "",
            salience,
            FOCUS,
        )
        return self._check(owner, found)

    async def finish(self, owner: Owner, event: RunEnded) -> None:
        """The last event; from here the run expires as one unit. Raises StaleOwner, RunOver."""
        found = await self._scripts(
            "finish",
            keys.of_run(owner.run),
            owner.epoch,
            event.status,
            encode(event),
            f"{event.at:.6f}",
            json.dumps(event.usage),
            json.dumps(event.error.to_json()) if event.error else "",
            self._keep,
        )
        self._check(owner, found)
        await self._settle(owner.run, event, *found[1:])
        with redis_errors("finish"):
            oldest = time.time() - 4 * self._keep
            await asyncio.gather(
                self._calls("ZREM", keys.ACTIVE, owner.run),
                self._calls("ZREMRANGEBYSCORE", keys.RUNS, 0, oldest),
            )

    async def _settle(self, run: RunId, event: RunEnded, key: str, created: str) -> None:
        """What the run has cost is counted for the API key that pays for it. Should we die before that, its
        gateway finds out: see `access.holds`."""
        if key:
            usage = USAGE.validate_python(event.usage)
            day = day_of(float(created))
            try:
                await self.access.settle(key, run, cost=usage.cost, tokens=usage.tokens, day=day)
            except WorkspaceUnavailable as error:
                log.warning("what run %s has cost is counted later: %s", run, error)

    async def leases(self, run: RunId) -> dict[str, float]:
        """Running tasks and until when their workers hold them (seconds since the epoch)."""
        with redis_errors("leases"):
            found = await self._calls("ZRANGE", keys.part(run, "leases"), 0, -1, "WITHSCORES")
        return dict(scored(found))

    async def hold(self, owner: Owner, event: ApprovalRequested) -> bool:
        """A ready task waits for a person; False when it is not ready any more."""
        found = await self._scripts(
            "hold",
            keys.of_run(owner.run),
            owner.epoch,
            event.task,
            event.approval,
            entry_of(event),
            encode(event),
        )
        return self._check(owner, found)

    async def park(self, owner: Owner, last: EventId | str, until: float) -> bool:
        """Lets go of a run in which everything waits for people, until one decides, or until then.

        False when something happened after the event `last`. Raises StaleOwner, RunOver.
        """
        found = await self._scripts("park", keys.of_run(owner.run), owner.epoch, last)
        if not self._check(owner, found):
            return False
        await self._mark_active(owner.run, until)
        # What happened before that mark would have been looked at soon, and now at `until`.
        if await self._newest(owner.run) != last:
            await self._mark_active(owner.run, time.time())
        return True

    async def _newest(self, run: RunId) -> str:
        """The id of the last event."""
        with redis_errors("park"):
            bus = keys.part(run, "bus")
            found = entries(await self._calls("XREVRANGE", bus, "+", "-", "COUNT", 1))
        return found[0][0] if found else ""

    async def bury(self, letter: DeadLetter) -> None:
        """Keeps a dead letter; the same one again changes nothing but its time."""
        with redis_errors("dead letters"):
            field = f"{letter.run}|{letter.task}"
            await self._calls("HSET", keys.DEAD, field, json.dumps(letter.to_json()))
