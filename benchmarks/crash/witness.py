"""Looks at the runs while they are under way: what was once there stays there, and fences only rise."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.crash.verify import Violation
from pointsman.router.errors import WorkspaceUnavailable
from pointsman.router.workspace import connect
from pointsman.router.workspace.connection import redis_errors
from pointsman.router.workspace.keys import part

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LOOK = 0.3
"""Seconds between two looks."""


@dataclass(slots=True)
class Sight:
    """What was last seen of a run. `slots`: name -> value as it stands in Redis."""

    epoch: int = 0
    attempts: dict[str, int] = field(default_factory=dict)
    slots: dict[str, str] = field(default_factory=dict)

    def compare(self, epoch: int, attempts: dict[str, int], slots: dict[str, str]) -> list[str]:
        """What went backwards or changed since; takes the new sight on."""
        found = [] if epoch >= self.epoch else [f"its epoch fell from {self.epoch} to {epoch}"]
        for task, attempt in self.attempts.items():
            if attempts.get(task, -1) < attempt:
                found.append(f"the fence of {task} fell from {attempt} to {attempts.get(task)}")
        for slot, value in self.slots.items():
            if slots.get(slot) != value:
                found.append(f"the result of {slot} was {value} and is {slots.get(slot)}")
        self.epoch, self.attempts, self.slots = epoch, attempts, slots
        return found


class Witness:
    def __init__(self, url: str, under_way: Callable[[], Iterable[str]]) -> None:
        self._url = url
        self._under_way = under_way
        self._sights: dict[str, Sight] = {}
        self.looks = 0
        self.violations: list[Violation] = []

    @asynccontextmanager
    async def watching(self) -> "AsyncIterator[None]":
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _watch(self) -> None:
        raw = connect(self._url)
        try:
            while True:
                await asyncio.sleep(LOOK)
                for run in list(self._under_way()):
                    with suppress(WorkspaceUnavailable):
                        await self._look(raw, run)
        finally:
            await raw.aclose()

    async def _look(self, raw: Any, run: str) -> None:
        with redis_errors("witness"):
            async with raw.pipeline(transaction=True) as pipe:
                pipe.hget(part(run, "run"), "epoch")
                pipe.hgetall(part(run, "attempt"))
                pipe.hgetall(part(run, "slots"))
                epoch, attempts, slots = await pipe.execute()
        self.looks += 1
        sight = self._sights.setdefault(run, Sight())
        fences = {task: int(attempt) for task, attempt in attempts.items()}
        for what in sight.compare(int(epoch or 0), fences, slots):
            self.violations.append(Violation("stays", run, what))
