"""What runs cost in memory: in Redis, a finished and a live one; in the process that serves them.

The process is a controller and a worker of their own; this one only asks. A short run: three tasks, two of
them side by side.
"""

import asyncio
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis.asyncio

from benchmarks.workspace.server import opened, server
from pointsman.router.events import RunId, TaskStarted
from pointsman.router.plan import Plan, Task, TaskId
from pointsman.router.workspace import RunSpec, Workspace, keys

AT_ONCE = 8
LIVE = 40
"""Fewer than a controller steps at once."""
KEEP = 7 * 24 * 3600
SHORT_KEEP = 20
"""Seconds; ended runs go while the long measurement lasts, so that Redis can be seen flat too."""
FLAT = 0.02
"""Growth of a process's memory between the first fifth and the end that still counts as none."""


@dataclass(slots=True)
class Found:
    """Bytes; `samples`: (runs done, bytes of the process, bytes used by Redis)."""

    events: int = 0
    finished: float = 0.0
    parts: dict[str, int] = field(default_factory=dict)
    live: float = 0.0
    samples: list[tuple[int, int, int]] = field(default_factory=list)


def short_run(seconds: float = 0.0) -> RunSpec:
    sides = [Task(TaskId(name), "bench.sleep", {"seconds": seconds}) for name in ("one", "two")]
    last = Task(
        TaskId("last"), "bench.sleep", {"seconds": 0.0}, after=tuple(task.id for task in sides)
    )
    return RunSpec("a short run", plan=Plan((*sides, last), answer=(last.id,)))


@asynccontextmanager
async def process(url: str, keep: int) -> AsyncIterator[int]:
    """The id of a process that serves runs."""
    served = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.workspace.serving", url, str(keep)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert served.stdout is not None
    assert served.stdin is not None
    try:
        async with asyncio.timeout(60):
            await served.stdout.readline()
        yield served.pid
    finally:
        served.stdin.close()
        await served.wait()


def resident(pid: int) -> int:
    """Bytes of a process in memory."""
    told = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True
    )
    return int(told.stdout) * 1024


async def used(client: redis.asyncio.Redis) -> int:
    """Bytes that Redis uses for what it holds."""
    found = await client.info("memory")
    return int(found["used_memory"])


async def footprint(client: redis.asyncio.Redis, run: RunId) -> tuple[int, dict[str, int]]:
    """Bytes of all keys of a run, its checkpoints among them: (all, by kind of key)."""
    parts: dict[str, int] = {}
    async for key in client.scan_iter(match=f"*{run}*", count=10_000):
        own, part = key.startswith(keys.part(run, "")), key.rpartition(":")[2]
        name = part if own else "checkpoints"
        parts[name] = parts.get(name, 0) + int(await client.memory_usage(key, samples=0) or 0)
    return sum(parts.values()), parts


async def many(workspace: Workspace, runs: int) -> None:
    """AT_ONCE at a time, each to its end."""
    numbers = iter(range(runs))

    async def one_by_one() -> None:
        for _ in numbers:
            run = await workspace.create_run(short_run())
            async for _posted in workspace.events(run):
                pass

    await asyncio.gather(*(one_by_one() for _ in range(AT_ONCE)))


async def finished_run(
    workspace: Workspace, client: redis.asyncio.Redis
) -> tuple[int, dict[str, int], int]:
    """(bytes, by kind of key, events) of a short run that has ended."""
    run = await workspace.create_run(short_run())
    events = len([posted async for posted in workspace.events(run)])
    await asyncio.sleep(0.5)  # its last checkpoint
    return *await footprint(client, run), events


async def live_bytes(workspace: Workspace, client: redis.asyncio.Redis) -> float:
    """Of a run whose two first tasks are at work."""

    async def started(run: RunId) -> None:
        running = 0
        async for posted in workspace.events(run):
            running += isinstance(posted.event, TaskStarted)
            if running == 2:
                return

    spec = short_run(seconds=30.0)
    runs = [await workspace.create_run(spec) for _ in range(LIVE)]
    await asyncio.gather(*(started(run) for run in runs))
    found = [(await footprint(client, run))[0] for run in runs]
    for run in runs:
        await workspace.cancel(run, "measured")
    return statistics.median(found)


async def measure(folder: Path, *, runs: int, keep: int = KEEP) -> Found:
    """A sample of memory every tenth of the runs."""
    found = Found()
    async with (
        server(folder, "everysec") as url,
        opened(url) as (workspace, client),
        process(url, keep) as pid,
    ):
        await many(workspace, 50)  # warm
        found.live = await live_bytes(workspace, client)
        found.finished, found.parts, found.events = await finished_run(workspace, client)
        for done in range(runs // 10, runs + 1, runs // 10):
            await many(workspace, runs // 10)
            found.samples.append((done, resident(pid), await used(client)))
    return found


def growth(samples: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """(share grown between the first fifth and the end, bytes a run by least squares after it)."""
    settled = samples[len(samples) // 5 :]
    slope = statistics.linear_regression([s[0] for s in settled], [s[1] for s in settled]).slope
    return settled[-1][1] / settled[0][1] - 1, slope


def summary(found: Found) -> dict[str, Any]:
    grown, slope = growth([(done, bytes_) for done, bytes_, _ in found.samples])
    return {
        "runs": found.samples[-1][0],
        "events_per_run": found.events,
        "redis_bytes_per_finished_run": round(found.finished),
        "redis_bytes_by_key": dict(sorted(found.parts.items(), key=lambda p: -p[1])),
        "redis_bytes_per_live_run": round(found.live),
        "process_mib": [round(s[1] / 2**20, 1) for s in found.samples],
        "redis_mib": [round(s[2] / 2**20, 1) for s in found.samples],
        "process_growth": round(grown, 4),
        "process_bytes_per_run": round(slope),
        "flat": grown <= FLAT,
    }
