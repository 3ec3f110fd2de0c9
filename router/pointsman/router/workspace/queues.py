"""Queues on Redis streams: at least once. A run's own script decides whether an offer still counts."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis.exceptions import ResponseError

from pointsman.router.workspace.calls import Argument, Calls, entries, lua
from pointsman.router.workspace.connection import redis_errors

GROUP = "pointsman"
BLOCK_MS = 20_000
"""How long one read waits before it is sent again; it returns the moment something is there."""

DONE = lua(
    "redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) return redis.call('XDEL', KEYS[1], ARGV[2])"
)


@dataclass(frozen=True, slots=True)
class Offer:
    """One message of a queue. Acknowledge it once it was claimed, or found out of date."""

    id: str
    fields: Mapping[str, str]


class Queue:
    """`waiting`: a way of its own to Redis, for reads that wait."""

    def __init__(self, calls: Calls, waiting: Calls, key: str) -> None:
        self._calls = calls
        self._waiting = waiting
        self.key = key
        self._made = False

    async def put(self, fields: Mapping[str, str]) -> None:
        with redis_errors(f"queue {self.key}"):
            flat = [text for pair in fields.items() for text in pair]
            await self._calls("XADD", self.key, "*", *flat)

    async def take(self, consumer: str, count: int, *, block_ms: int = BLOCK_MS) -> list[Offer]:
        """Waits for offers; an empty list when none came in time."""
        with redis_errors(f"queue {self.key}"):
            await self._make()
            wanted: list[Argument] = ["COUNT", count, "BLOCK", block_ms, "STREAMS", self.key, ">"]
            try:
                found = await self._waiting("XREADGROUP", "GROUP", GROUP, consumer, *wanted)
            except ResponseError as error:
                if not str(error).startswith(("NOGROUP", "UNBLOCKED")):
                    raise
                self._made = (
                    False  # the server was replaced by an empty one, or the stream moved away
                )
                return []
        return _offers(found)

    async def reclaim(self, consumer: str, *, idle_seconds: float, count: int) -> list[Offer]:
        """Offers that another consumer read and never acknowledged: it died in between."""
        with redis_errors(f"queue {self.key}"):
            await self._make()
            idle = int(idle_seconds * 1000)
            found = await self._calls(
                "XAUTOCLAIM", self.key, GROUP, consumer, idle, "0", "COUNT", count
            )
        return [Offer(id, fields) for id, fields in entries(found[1]) if fields]

    async def done(self, offer: Offer) -> None:
        """Acknowledged and removed in one act."""
        with redis_errors(f"queue {self.key}"):
            await self._calls.script(*DONE, [self.key], [GROUP, offer.id])

    async def close(self) -> None:
        await self._waiting.close()

    async def length(self) -> int:
        with redis_errors(f"queue {self.key}"):
            return int(await self._calls("XLEN", self.key))

    async def _make(self) -> None:
        if self._made:
            return
        with suppress(ResponseError):  # BUSYGROUP: it is there already
            await self._calls("XGROUP", "CREATE", self.key, GROUP, "0", "MKSTREAM")
        self._made = True


def _offers(found: Any) -> list[Offer]:
    """From a list of (stream, entries), or none."""
    return [Offer(id, fields) for _, page in found or () for id, fields in entries(page) if fields]
