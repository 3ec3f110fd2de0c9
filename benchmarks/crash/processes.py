"""The processes of a trial: started, killed, stopped and woken up, and started again."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis.asyncio
from redis.exceptions import RedisError

import benchmarks
from benchmarks.crash.part import Place
from pointsman.services.embedded import find_server

ROOT = Path(benchmarks.__file__).parents[1]
START_SECONDS = 30.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Launcher:
    """`async with Launcher() as launcher:`; what it started ends with it."""

    def __init__(self) -> None:
        self._pending: deque[asyncio.Future[int]] = deque()
        self._ended: dict[int, asyncio.Future[int]] = {}

    async def __aenter__(self) -> "Launcher":
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks.crash.launcher",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        await self._reading

    async def start(self, asked: Mapping[str, Any]) -> int:
        """Starts what `benchmarks.crash.launcher` is asked for; the process id."""
        assert self._process.stdin is not None
        told: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._pending.append(told)
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        return await told

    def ended(self, pid: int) -> "asyncio.Future[int]":
        """Done, with its exit status, once the process has ended."""
        if pid not in self._ended:
            self._ended[pid] = asyncio.get_running_loop().create_future()
        return self._ended[pid]

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            told: dict[str, Any] = json.loads(line)
            if "started" in told:
                self._ended.pop(told["started"], None)  # process ids come back
                waiting = self._pending.popleft()
                if not waiting.done():  # whoever asked may have been cancelled
                    waiting.set_result(told["started"])
            else:
                self.ended(told["ended"]).set_result(told["status"])


class Part(ABC):
    """One process that comes back after it was killed."""

    def __init__(self, name: str, launcher: Launcher) -> None:
        self.name = name
        self.kind = name.partition("-")[0]
        self.up = False
        self.stopped = False
        self.doomed = False
        self._launcher = launcher
        self._pid = 0

    @property
    def is_target(self) -> bool:
        """Whether it can be killed now: it was started, and nobody has killed or stopped it."""
        return self.up and not self.stopped and not self.doomed

    @abstractmethod
    def asked(self) -> Mapping[str, Any]:
        """What the launcher is asked to start."""

    async def start(self) -> None:
        self._pid = await self._launcher.start(self.asked())
        self.up = True

    async def gone(self) -> int:
        """The exit status, once it has ended."""
        return await asyncio.shield(self._launcher.ended(self._pid))

    def kill(self) -> None:
        self.doomed = True
        with suppress(ProcessLookupError):  # it has ended by itself, which is found out next
            os.kill(self._pid, signal.SIGKILL)

    def stop(self) -> None:
        self.stopped = True
        os.kill(self._pid, signal.SIGSTOP)

    def go_on(self) -> None:
        self.stopped = False
        os.kill(self._pid, signal.SIGCONT)


class Forked(Part):
    """A gateway, a controller, a worker or the recorder."""

    def __init__(self, name: str, launcher: Launcher, place: Place, log: Path) -> None:
        super().__init__(name, launcher)
        self._place = place
        self._log = log

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._place.port}"

    @property
    def outside(self) -> str:
        return self._place.outside

    def asked(self) -> Mapping[str, Any]:
        return {"role": self.kind, "place": self._place.to_json(), "log": str(self._log)}


class Server(Part):
    """A Redis server on a folder of its own, started again on the same folder."""

    def __init__(self, launcher: Launcher, folder: Path, appendfsync: str) -> None:
        super().__init__("redis", launcher)
        folder.mkdir()
        self._folder = folder
        self._appendfsync = appendfsync

    @property
    def url(self) -> str:
        return f"unix://{self._folder / 'redis.sock'}"

    def asked(self) -> Mapping[str, Any]:
        settings = {
            "port": "0",
            "unixsocket": str(self._folder / "redis.sock"),
            "dir": str(self._folder),
            "appendonly": "yes",
            "appendfsync": self._appendfsync,
            "auto-aof-rewrite-min-size": "4mb",  # so that it is killed at that, too
            "save": "",
            "loglevel": "warning",
        }
        arguments = [a for name, value in settings.items() for a in (f"--{name}", value)]
        return {
            "command": [str(find_server()), *arguments],
            "log": str(self._folder / "redis.log"),
        }

    async def answers(self) -> None:
        """Returns when it serves. Raises TimeoutError."""
        client = redis.asyncio.Redis.from_url(self.url)
        until = time.monotonic() + START_SECONDS
        try:
            while True:
                try:
                    await client.ping()
                    return
                except RedisError:
                    if time.monotonic() > until:
                        raise TimeoutError("Redis does not answer") from None
                await asyncio.sleep(0.02)
        finally:
            await client.aclose()
