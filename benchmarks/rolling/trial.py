"""One trial: the deployment is started, loaded, restarted process by process, and its books are compared."""

import asyncio
import shutil
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np

from benchmarks.rolling.load import Followed, Load
from benchmarks.rolling.processes import Books, Role, nginx
from pointsman.services.embedded import EmbeddedRedis

ROLES = ("worker", "worker", "controller", "controller", "gateway", "gateway")
"""In the order in which they are restarted."""
EFFECTS = ("order", "send")
SETTLE = 1.0
"""Seconds between two restarts."""
PATIENCE = 120.0


def conduct(before: float, at_once: int, rounds: int) -> dict[str, object]:
    """Raises TimeoutError when the parts do not start."""
    folder = Path(tempfile.mkdtemp(prefix="rolling-"))
    try:
        found = asyncio.run(_conduct(folder, before, at_once, rounds))
    except BaseException:
        print(f"logs are kept in {folder}")
        raise
    shutil.rmtree(folder)
    return found


async def _conduct(folder: Path, before: float, at_once: int, rounds: int) -> dict[str, object]:
    books = Books()
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(
            EmbeddedRedis(folder / "redis", appendfsync="always")
        )
        outside = await stack.enter_async_context(books.serving())
        roles = [Role(role, redis, outside, folder) for role in ROLES]
        for role in roles:
            stack.push_async_callback(role.stop)
        await asyncio.gather(*(role.start() for role in roles))
        ports = [role.port for role in roles if role.role == "gateway"]
        load = Load(await stack.enter_async_context(nginx(folder, ports)))
        clients = asyncio.create_task(load.keep(at_once))
        await asyncio.sleep(before)
        began, codes, stopping = time.monotonic(), [], []
        for role in roles * rounds:
            asked = time.monotonic()
            codes.append(await role.stop())
            stopping.append(time.monotonic() - asked)
            await role.start()
            await asyncio.sleep(SETTLE)
        ended = time.monotonic()
        load.stop.set()
        async with asyncio.timeout(PATIENCE):
            await clients
        earlier = [r for r in load.runs if r.ended < began]
        later = [r for r in load.runs if r.ended >= began]
        return {
            "processes restarted": len(codes),
            "seconds of restarts": round(ended - began, 1),
            "seconds from SIGTERM to the end, longest": round(max(stopping), 2),
            "exit codes other than 0": sum(code != 0 for code in codes),
            **_times("before", earlier),
            **_times("during restarts", later),
            "runs not done": sum(r.status != "done" for r in load.runs),
            "effects": sum(books.times.values()),
            "effects that are missing": _missing(books, load.runs),
            "effects twice": _twice(books),
            "keyed effects asked for again, same key": _again(books),
            **dict(sorted(load.counts.items())),
        }


def _times(name: str, runs: list[Followed]) -> dict[str, object]:
    seconds = np.array([run.ended - run.begun for run in runs] or [0.0])
    p50, p99 = np.percentile(seconds, [50, 99])
    told = f"p50 {p50:.3f} s, p99 {p99:.3f} s, longest {seconds.max():.3f} s"
    return {f"runs {name}": len(runs), f"time of a run {name}": told}


def _missing(books: Books, runs: list[Followed]) -> int:
    """Effects of runs that are done and that the books do not know."""
    done = [run.run for run in runs if run.status == "done"]
    return sum((run, task) not in books.times for run in done for task in EFFECTS)


def _twice(books: Books) -> int:
    """A `once` effect that was carried out again, a `keyed` one under a second key."""
    sent = sum(count > 1 for (_, task), count in books.times.items() if task == "send")
    return sent + sum(len(keys) > 1 for keys in books.keys.values())


def _again(books: Books) -> int:
    return sum(count - 1 for (_, task), count in books.times.items() if task == "order")
