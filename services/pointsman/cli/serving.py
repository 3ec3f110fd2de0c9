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
SIGNALS = (signal.SIGINT, signal.SIGTERM)

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
    us holds its other end and is gone then.

    announce: a file that gets {"url", "pid", "started"} when requests are served. ready: called with the
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
    stop = asyncio.Event()
    for number in SIGNALS:
        loop.add_signal_handler(number, stop.set)
    if while_stdin:
        _watch_stdin(loop, stop)
    serving = asyncio.create_task(_up(settings, roles, announce, ready))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            serving.cancel()
            await asyncio.wait({serving}, timeout=STOP_SECONDS)
        if not serving.cancelled() and serving.done():
            serving.result()
    finally:
        stopping.cancel()
        if announce is not None:
            await asyncio.to_thread(announce.unlink, missing_ok=True)


async def _up(
    settings: Settings, roles: frozenset[Role], announce: Path | None, ready: Ready
) -> None:
    async with Runtime(settings, roles) as runtime:
        if announce is not None:
            words = {"url": runtime.address, "pid": os.getpid(), "started": time.time()}
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
