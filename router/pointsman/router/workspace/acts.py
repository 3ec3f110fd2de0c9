"""What every side of the workspace stands on: scripts, values in slots, and answers turned into errors."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pointsman.router.errors import RunNotFound, RunOver, StaleAttempt, StaleOwner
from pointsman.router.events import RunId
from pointsman.router.plan import TaskId
from pointsman.router.values import Json
from pointsman.router.workspace import keys
from pointsman.router.workspace.access import Access
from pointsman.router.workspace.admission import Admission
from pointsman.router.workspace.artifacts import ArtifactLedger, ArtifactMissing
from pointsman.router.workspace.connection import Redis, redis_errors
from pointsman.router.workspace.pipelined import Pipelined, calls
from pointsman.router.workspace.queues import Queue
from pointsman.router.workspace.scripts import Scripts
from pointsman.router.workspace.traces import MemoryTerms, Traces

KEEP = 7 * 24 * 3600
"""Seconds for which an ended run is kept. Its artifacts are kept for twice that from when they were written."""
FOCUS = 16
"""Results that stay in the broadcast focus of a run."""
REFERENCE = "artifact:"


@dataclass(frozen=True, slots=True)
class Owner:
    """A controller's hold on a run."""

    run: RunId
    name: str
    epoch: int


class Acts:
    """Redis, the scripts, where large values go, and what is kept of runs that have ended."""

    def __init__(
        self,
        redis: Redis,
        *,
        artifacts: ArtifactLedger | None = None,
        keep_seconds: int = KEEP,
        memory: MemoryTerms | None = None,
    ) -> None:
        self._redis = redis
        self._calls = calls(redis)
        self._one_server = isinstance(self._calls, Pipelined)
        self._scripts = Scripts(self._calls)
        self._artifacts = artifacts
        self._keep = keep_seconds
        self._queues: dict[str, Queue] = {}
        self.admission = Admission(redis, self._calls)
        self.traces = Traces(self._calls, memory)
        self.access = Access(self._calls)

    def queue(self, key: str) -> Queue:
        if key not in self._queues:
            self._queues[key] = Queue(self._calls, calls(self._redis), key)
        return self._queues[key]

    async def _text(self, value: Json) -> str:
        """What stands in a slot: the value's JSON, or a reference into the artifact store."""
        text = json.dumps(value, allow_nan=False)
        if self._artifacts is None or not self._artifacts.too_large(text):
            return text
        return await self._artifacts.put(text, until=time.time() + 2 * self._keep)

    async def _value(self, text: str) -> Json:
        """Raises ArtifactMissing, ArtifactDamaged."""
        if text.startswith(REFERENCE):
            if self._artifacts is None:
                raise ArtifactMissing(text)
            text = await self._artifacts.get(text)
        value: Json = json.loads(text)
        return value

    def _check(self, who: Owner | RunId | str, found: Sequence[Any]) -> bool:
        """True for ok, False for refused; raises for the rest."""
        run = who.run if isinstance(who, Owner) else who
        match found[0]:
            case "ok":
                return True
            case "over" if found[1] == "missing":
                raise RunNotFound(run)
            case "over":
                raise RunOver(run, str(found[1]))
            case "stale":
                raise StaleOwner(run, who.epoch if isinstance(who, Owner) else 0)
            case _:
                return False

    def _check_attempt(self, run: RunId, task: TaskId, attempt: int, found: Sequence[Any]) -> None:
        match found[0]:
            case "ok":
                return
            case "over" if found[1] == "missing":
                raise RunNotFound(run)
            case "over":
                raise RunOver(run, str(found[1]))
            case "cancelled":
                raise StaleAttempt(task, attempt, "cancelled")
            case _:
                raise StaleAttempt(task, attempt, str(found[1]))

    async def _check_there(self, run: RunId | str) -> None:
        with redis_errors("run"):
            there = await self._calls("EXISTS", keys.part(run, "run"))
        if not there:
            raise RunNotFound(run)
