"""`pointsman serve`: a server in this process, until it is told to stop."""

import asyncio
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from pointsman.services.runtime import ROLES, Role, Runtime, write_whole
from pointsman.services.settings import Settings

STOP_SECONDS = 20.0

Ready = Callable[[str | None], None]


def serve(
    settings: Settings,
    roles: Iterable[Role] = ROLES,
    *,
    announce: Path | None = None,
    while_stdin: bool = False,
    ready: Ready,
) -> None:
    """Serves until SIGINT or SIGTERM, or, with `while_stdin`, until standard input ends: whoever started
    us holds its other end and is gone then. At SIGTERM nothing new is taken, and what is under way has
    `settings.grace` seconds; a second signal ends that.

    announce: a file that gets {"url", "pid", "started"}, and "health" where there is a health port, when
    requests are served. ready: called with the
    address then. Raises what a part of the server raises when it fails.
    """
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        runner.run(_serve(settings, frozenset(roles), announce, while_stdin, ready))


def _new_loop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


async def _serve(
    settings: Settings,
    roles: frozenset[Role],
    announce: Path | None,
    while_stdin: bool,
    ready: Ready,
) -> None:
    loop = asyncio.get_running_loop()
    drain, stop = asyncio.Event(), asyncio.Event()
    loop.add_signal_handler(signal.SIGINT, stop.set)
    loop.add_signal_handler(signal.SIGTERM, lambda: (stop if drain.is_set() else drain).set())
    if while_stdin:
        _watch_stdin(loop, stop)
    up: asyncio.Future[Runtime] = loop.create_future()
    serving = asyncio.create_task(_up(settings, roles, announce, ready, up))
    draining = asyncio.create_task(_drain(drain, up, settings.grace))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, draining, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            serving.cancel()
            await asyncio.wait({serving}, timeout=STOP_SECONDS)
        if not serving.cancelled() and serving.done():
            serving.result()
    finally:
        for task in (draining, stopping):
            task.cancel()
        if announce is not None:
            await asyncio.to_thread(announce.unlink, missing_ok=True)


async def _drain(drain: asyncio.Event, up: "asyncio.Future[Runtime]", seconds: float) -> None:
    """Returns when the server may be stopped, after it was asked to. One that still starts has no work."""
    await drain.wait()
    if up.done() and seconds > 0:
        await up.result().drain(seconds)


async def _up(
    settings: Settings,
    roles: frozenset[Role],
    announce: Path | None,
    ready: Ready,
    up: "asyncio.Future[Runtime]",
) -> None:
    async with Runtime(settings, roles) as runtime:
        up.set_result(runtime)
        if announce is not None:
            words = {"url": runtime.address, "pid": os.getpid(), "started": time.time()}
            words |= {"health": runtime.health_address} if runtime.health_address else {}
            write_whole(announce, json.dumps(words))
        ready(runtime.address)
        await runtime.stopped()


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1 << 12):
            pass
        loop.call_soon_threadsafe(stop.set)
        time.sleep(STOP_SECONDS * 2)
        os._exit(1)  # what should have stopped has not, and nobody is left to look after it

    threading.Thread(target=watch, name="stdin", daemon=True).start()
