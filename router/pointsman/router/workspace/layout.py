"""Which layout the keys in Redis have: a number beside them, so that no process works on what it does not know.

LAYOUT grows when keys or their contents change so that a process of before, or of after, would misread them.
Releases with the same LAYOUT work side by side on one Redis. What was written before there was a number counts
as 0: its keys are those of 1.
"""

from collections.abc import Awaitable, Callable, Mapping

from pointsman.router.errors import MigrationUnderWay, OtherLayout
from pointsman.router.workspace.calls import Calls
from pointsman.router.workspace.connection import Redis, redis_errors
from pointsman.router.workspace.keys import LAYOUT_KEY, MIGRATING, RUNS
from pointsman.router.workspace.pipelined import calls

LAYOUT = 1
STEP_SECONDS = 600
"""Seconds that one step of a migration may take before another process may begin it again."""

Step = Callable[[Calls], Awaitable[None]]


async def _as_it_is(_: Calls) -> None:
    """0 to 1: only the number is new."""


STEPS: Mapping[int, Step] = {0: _as_it_is}
"""From each layout to the next. A step may be begun again after it was broken off."""


async def check_layout(redis: Redis) -> None:
    """Writes the number into an empty Redis. Raises OtherLayout where it is not ours."""
    call = calls(redis)
    try:
        with redis_errors("layout"):
            found = await _found(call)
            if found is None:
                await call("SET", LAYOUT_KEY, LAYOUT, "NX")
                found = await _found(call)
        if found != LAYOUT:
            raise OtherLayout(found or 0, LAYOUT)
    finally:
        await call.close()


async def migrate(redis: Redis) -> tuple[int, int]:
    """Brings what is there to our layout; (from, to). Each step done is noted, so a broken one goes on there.

    Raises OtherLayout when it is newer than ours, MigrationUnderWay when another process is at it.
    """
    call = calls(redis)
    try:
        with redis_errors("migrate"):
            found = await _found(call)
            first = LAYOUT if found is None else found
            if first > LAYOUT:
                raise OtherLayout(first, LAYOUT)
            for step in range(first, LAYOUT):
                if not await call("SET", MIGRATING, step, "NX", "EX", STEP_SECONDS):
                    raise MigrationUnderWay(STEP_SECONDS)
                try:
                    await STEPS[step](call)
                    await call("SET", LAYOUT_KEY, step + 1)
                finally:
                    await call("DEL", MIGRATING)
            if first == LAYOUT:
                await call("SET", LAYOUT_KEY, LAYOUT, "NX")
        return first, LAYOUT
    finally:
        await call.close()


async def _found(call: Calls) -> int | None:
    """None: there is nothing yet, nor a number."""
    number = await call("GET", LAYOUT_KEY)
    if number is not None:
        return int(number)
    return 0 if await call("EXISTS", RUNS) else None
