"""Which waiting run a controller takes next: a fair queue over tenants, by their weights.

Start-time fair queueing (Goyal, Vin and Cheng 1996, section 2), with a run as the packet and 1 / weight as
its length: a run's place is max(virtual time, its tenant's last finish) + 1 / weight, and the smallest is
taken. A tenant with a thousand waiting runs and one with a single run are served in turn; weight 2 is
served twice as often as weight 1.
"""

from typing import Any

from pointsman.router.workspace.calls import Calls, lua
from pointsman.router.workspace.connection import Redis, redis_errors
from pointsman.router.workspace.keys import ADMISSION, MARKS

PLACE = lua("""
if redis.call('ZCARD', KEYS[1]) == 0 then redis.call('DEL', KEYS[2]) end
local now = tonumber(redis.call('HGET', KEYS[2], 'now') or '0')
local last = tonumber(redis.call('HGET', KEYS[2], 'of:' .. ARGV[2]) or '0')
local finish = math.max(now, last) + 1 / tonumber(ARGV[3])
if redis.call('ZADD', KEYS[1], 'NX', finish, ARGV[1]) == 1 then
  redis.call('HSET', KEYS[2], 'of:' .. ARGV[2], finish)
end
return finish
""")
FLOOR, CEILING = 0.01, 100.0
WAIT = 20.0
"""Seconds that one read waits before it is sent again; it returns the moment a run is there."""


class Admission:
    def __init__(self, redis: Redis, calls: Calls) -> None:
        self._redis = redis  # for the read that waits
        self._calls = calls

    async def put(self, run: str, tenant: str, weight: float) -> None:
        """A run waits. weight: taken between 0.01 and 100."""
        with redis_errors("admission"):
            length = min(CEILING, max(FLOOR, weight))
            await self._calls.script(*PLACE, [ADMISSION, MARKS], [run, tenant, length])

    async def take(self, *, wait: float = WAIT) -> str | None:
        """The next run, or None when none came in time. Whoever dies with it leaves it on the watch list."""
        with redis_errors("admission"):
            found: Any = await self._redis.bzpopmin(ADMISSION, timeout=wait)
            if not found:
                return None
            await self._calls("HSET", MARKS, "now", found[2])
        return str(found[1])

    async def leave(self, run: str) -> None:
        """The run waits no more."""
        with redis_errors("admission"):
            await self._calls("ZREM", ADMISSION, run)

    async def waits(self, run: str) -> bool:
        with redis_errors("admission"):
            return await self._calls("ZSCORE", ADMISSION, run) is not None

    async def length(self) -> int:
        with redis_errors("admission"):
            return int(await self._calls("ZCARD", ADMISSION))
