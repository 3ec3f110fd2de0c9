"""Embedded Redis servers under both policies of the append-only file, and what their disk costs."""

import os
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import redis.asyncio

from pointsman.router.workspace import Workspace, connect
from pointsman.services.embedded import EmbeddedRedis
from pointsman.services.settings import AppendFsync

Policy = AppendFsync
POLICIES: tuple[Policy, ...] = ("everysec", "always")


@asynccontextmanager
async def server(folder: Path, policy: Policy) -> AsyncIterator[str]:
    """The URL of an embedded server with that `appendfsync`."""
    async with EmbeddedRedis(folder / f"redis-{policy}", appendfsync=policy) as url:
        yield url


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[tuple[Workspace, redis.asyncio.Redis]]:
    """A workspace, and a client of its own to look at the server."""
    workspace = Workspace(connect(url))
    client = redis.asyncio.Redis.from_url(url, decode_responses=True)
    try:
        yield workspace, client
    finally:
        await client.aclose()
        await workspace.close()


async def reset(client: redis.asyncio.Redis) -> None:
    await client.config_resetstat()


async def script_cost(client: redis.asyncio.Redis) -> float:
    """Microseconds inside Redis of an EVALSHA, mean since the last reset."""
    found = await client.info("commandstats")
    return float(found["cmdstat_evalsha"]["usec_per_call"])


def sync_cost(folder: Path, *, times: int = 300, gap: float = 0.0003) -> float:
    """Milliseconds (median) of an fdatasync after an append of 1.5 KB, with gaps as between two commands.

    What `always` waits for once an act, whatever else is done.
    """
    taken = []
    path = folder / "sync"
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    try:
        for _ in range(times):
            time.sleep(gap)
            os.write(file, b"x" * 1500)
            started = time.perf_counter()
            os.fdatasync(file)
            taken.append(time.perf_counter() - started)
    finally:
        os.close(file)
        path.unlink()
    return statistics.median(taken) * 1e3
