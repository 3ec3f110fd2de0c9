"""What workers do: claim attempts, keep their leases, commit results, and keep the ledger of effects."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pointsman.router.catalog import Effect
from pointsman.router.events import RunId, TaskDone, TaskFailed, TaskProgressed, TaskStarted, encode
from pointsman.router.plan import TaskId
from pointsman.router.values import Json
from pointsman.router.workspace import keys
from pointsman.router.workspace.acts import FOCUS, Acts


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's hold on an attempt. `call`: what to do, as the dispatcher wrote it."""

    run: RunId
    task: TaskId
    attempt: int
    call: Mapping[str, Any]

    def key(self, index: int = 0) -> str:
        """The idempotency key of an effect: the same for every attempt of the task."""
        return f"{self.run}.{self.task}.{index}"


@dataclass(frozen=True, slots=True)
class Before:
    """What the ledger says before an effect.

    go: the intent is written. done: it has happened, with this result if it was kept. unknown: attempt
    `attempt` began it, and nobody knows how that ended.
    """

    answer: Literal["go", "done", "unknown"]
    attempt: int = 0
    value: Json = None
    has_value: bool = False


class Attempts(Acts):
    async def claim(
        self, run: RunId, task: TaskId, attempt: int, *, worker: str, lease: float
    ) -> Claim:
        """Takes an attempt. Raises StaleAttempt, RunOver, RunNotFound: then the offer is void."""
        now = time.time()
        found = await self._scripts(
            "claim",
            keys.of_run(run),
            task,
            attempt,
            f"{now + lease:.3f}",
            encode(TaskStarted(task, attempt, worker, now)),
        )
        self._check_attempt(run, task, attempt, found)
        return Claim(run, task, attempt, json.loads(found[1]))

    async def renew(
        self, claim: Claim, *, lease: float, progress: TaskProgressed | None = None
    ) -> None:
        """A heartbeat. Raises StaleAttempt when the attempt has been superseded or cancelled."""
        found = await self._scripts(
            "renew",
            keys.of_run(claim.run),
            claim.task,
            claim.attempt,
            f"{time.time() + lease:.3f}",
            encode(progress) if progress else "",
        )
        self._check_attempt(claim.run, claim.task, claim.attempt, found)

    async def commit(self, claim: Claim, value: Json, event: TaskDone) -> None:
        """The one effective result; the ledger's entry is closed in the same act.

        May be repeated when its answer was lost. Raises StaleAttempt when it comes too late: it is then void.
        """
        result = await self._result(claim, value, event)
        found = await self._scripts("commit", keys.of_run(claim.run), *result)
        self._check_attempt(claim.run, claim.task, claim.attempt, found)

    async def perform(self, claim: Claim, value: Json, start: TaskStarted, event: TaskDone) -> None:
        """Claim and commit in one act: of a task without effects, done before it was claimed.

        claim: from the offer; nobody holds it yet. May be repeated. Raises as `claim` and `commit` do: then
        the work is void.
        """
        result = await self._result(claim, value, event)
        found = await self._scripts("perform", keys.of_run(claim.run), *result, encode(start))
        self._check_attempt(claim.run, claim.task, claim.attempt, found)

    async def _result(
        self, claim: Claim, value: Json, event: TaskDone
    ) -> tuple[str | int | float, ...]:
        used = event.usage
        return (
            claim.task,
            claim.attempt,
            await self._text(value),
            encode(event),
            f"{time.time():.6f}",
            int(used.get("cost", 0)),
            int(used.get("input_tokens", 0)) + int(used.get("output_tokens", 0)),
            float(claim.call.get("salience", 0.0)),
            FOCUS,
        )

    async def lose(self, run: RunId, event: TaskFailed) -> bool:
        """An attempt has failed, the task is ready for another; False when it is out of date."""
        found = await self._scripts(
            "lose", keys.of_run(run), event.task, event.attempt, encode(event)
        )
        return bool(found[0] == "ok")

    # --- the ledger -----------------------------------------------------------------------------

    async def intend(self, claim: Claim, effect: Effect, worker: str) -> Before:
        """Writes the intent of an effect. Raises StaleAttempt, RunOver, RunNotFound.

        An effect of class `keyed` goes again after any intent, one of class `once` only after none.
        """
        entry = {
            "state": "intent",
            "effect": effect,
            "capability": claim.call["capability"],
            "key": claim.key(),
            "attempt": claim.attempt,
            "worker": worker,
            "began": time.time(),
        }
        found = await self._scripts(
            "intend",
            keys.of_run(claim.run),
            claim.task,
            claim.attempt,
            f"{claim.task}/0",
            json.dumps(entry),
            effect,
        )
        if found[0] not in ("done", "unknown"):
            self._check_attempt(claim.run, claim.task, claim.attempt, found)
            return Before("go")
        before = json.loads(found[1])
        kept = before.get("value")
        value = await self._value(kept) if kept is not None else None
        return Before(found[0], int(before["attempt"]), value, kept is not None)

    async def note_effect(
        self,
        claim: Claim,
        attempt: int,
        state: Literal["done", "unknown", "cleared"],
        note: str,
        value: Json = None,
    ) -> bool:
        """What has become known of the effect that `attempt` began: a fact, whoever holds the task now.

        False when the ledger knows better.
        """
        found = await self._scripts(
            "ledger",
            keys.of_run(claim.run),
            f"{claim.task}/0",
            attempt,
            state,
            f"{time.time():.6f}",
            note,
            await self._text(value) if state == "done" else "",
        )
        return bool(found[0] == "ok")
