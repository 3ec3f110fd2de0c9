"""Who is killed, and when: SIGKILL at random moments, SIGSTOP for longer than a lease, and back again."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.crash.processes import Part

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

STALL = 0.04
"""Share of the blows that stop a controller or worker for a while instead of killing it."""
STALLED_SECONDS = {"controller": (6.0, 9.0), "worker": (17.0, 20.0)}
"""A little longer than the lease of each."""
AWAY_SECONDS = (0.02, 0.8)
"""Before a part that was killed is started again."""


@dataclass(slots=True)
class Toll:
    """What was done to whom. `deaths`: parts that ended by themselves, which none should."""

    kills: Counter[str] = field(default_factory=Counter)
    stalls: Counter[str] = field(default_factory=Counter)
    deaths: list[str] = field(default_factory=list)


class Chaos:
    def __init__(self, parts: Sequence[Part], rng: random.Random) -> None:
        self._parts = parts
        self._rng = rng
        self._stalls: list[asyncio.Task[None]] = []
        self.toll = Toll()

    @asynccontextmanager
    async def watching(self) -> "AsyncIterator[None]":
        """Starts every part, and starts it again whenever it has ended, as long as this is open."""
        for part in self._parts:
            await part.start()
        watches = [asyncio.create_task(self._watch(p), name=p.name) for p in self._parts]
        try:
            yield
        finally:
            for task in (*watches, *self._stalls):
                task.cancel()
            await asyncio.gather(*watches, *self._stalls, return_exceptions=True)
            for part in self._parts:
                if part.up:
                    part.kill()
                    await part.gone()

    async def rage(self, kills: int, gap: float) -> None:
        """`gap`: mean seconds between two kills. Returns when whoever was stopped goes on again."""
        while self.toll.kills.total() < kills:
            await asyncio.sleep(self._rng.expovariate(1 / gap))
            targets = [p for p in self._parts if p.is_target]
            if not targets:
                continue
            victim = self._rng.choice(targets)
            if victim.kind in STALLED_SECONDS and self._rng.random() < STALL:
                self._stalls.append(asyncio.create_task(self.stall(victim)))
            else:
                self.kill(victim)
        await asyncio.gather(*self._stalls)

    def kill(self, victim: Part) -> None:
        self.toll.kills[victim.kind] += 1
        victim.kill()

    async def stall(self, victim: Part) -> None:
        self.toll.stalls[victim.kind] += 1
        victim.stop()
        await asyncio.sleep(self._rng.uniform(*STALLED_SECONDS[victim.kind]))
        victim.go_on()

    async def _watch(self, part: Part) -> None:
        while True:
            status = await part.gone()
            part.up = False
            if not part.doomed:
                self.toll.deaths.append(f"{part.name} ended by itself with status {status}")
            part.doomed = False
            await asyncio.sleep(self._rng.uniform(*AWAY_SECONDS))
            await part.start()
