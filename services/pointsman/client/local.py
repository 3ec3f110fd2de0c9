"""A server on this machine: the one that runs, else one of our own that ends with us."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pointsman.client.errors import ServerNotStarted, ServerUnreachable

if TYPE_CHECKING:
    import httpx

START_SECONDS = 90.0
STOP_SECONDS = 15.0
LIVE_SECONDS = 2.0
LOOK = 0.05
TAIL = 12
"""Lines of a log that are told."""


def default_home() -> Path:
    """Where this user's Pointsman lives: $POINTSMAN_HOME, $XDG_DATA_HOME/pointsman, or the usual place."""
    given = os.environ.get("POINTSMAN_HOME")
    if given:
        return Path(given)
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "pointsman"


class LocalServer:
    """Finds or starts the server of one home folder.

    A server that we start reads from a pipe that only we hold: it ends when we close the pipe and also
    when this process is killed.
    """

    def __init__(self, home: Path | None = None, *, start: bool = True) -> None:
        self.home = home or default_home()
        self.may_start = start
        self._child: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def started(self) -> bool:
        """Whether a server of our own runs."""
        return self._child is not None and self._child.poll() is None

    async def address(self, http: "httpx.AsyncClient") -> str:
        """Raises ServerUnreachable when none runs and none may be started, ServerNotStarted."""
        found = await self._running(http)
        if found is not None:
            return found
        if not self.may_start:
            raise ServerUnreachable(
                "this machine", "none is running; start one with `pointsman serve`"
            )
        return await self._start(http)

    async def _running(self, http: "httpx.AsyncClient") -> str | None:
        """The address that a running server announced, if it answers there."""
        import httpx

        with suppress(OSError, ValueError, KeyError, TypeError, httpx.HTTPError):
            url = str(json.loads((self.home / "server.json").read_text())["url"])
            reply = await http.get(f"{url}/livez", timeout=LIVE_SECONDS)
            if reply.status_code == 200:
                return url
        return None

    async def _start(self, http: "httpx.AsyncClient") -> str:
        """Another client may start one on the same home at the same time: whoever comes second uses it."""
        self.stop()
        self._folder = tempfile.TemporaryDirectory(prefix="pointsman-")
        folder = Path(self._folder.name)
        self._child = _serve(self.home, folder)
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            with suppress(OSError, ValueError, KeyError):
                return str(json.loads((folder / "announced.json").read_text())["url"])
            if self._child.poll() is not None:
                return await self._other(http, folder, until)
            await asyncio.sleep(LOOK)
        log = _tail(folder)
        self.stop()
        raise ServerNotStarted(f"the server was not ready within {START_SECONDS:.0f} s", log)

    async def _other(self, http: "httpx.AsyncClient", folder: Path, until: float) -> str:
        """Ours ended at its start. When that was because another holds the home, that one serves us."""
        assert self._child is not None
        code, log = self._child.returncode, _tail(folder)
        while "another Pointsman" in log and time.monotonic() < until:
            found = await self._running(http)
            if found is not None:
                return found
            await asyncio.sleep(LOOK)
        self.stop()
        raise ServerNotStarted(f"the server ended at its start with code {code}", log)

    def stop(self) -> None:
        """Ends the server that we started, if any; by force after STOP_SECONDS."""
        child, self._child = self._child, None
        if child is not None:
            if child.stdin is not None:
                with suppress(OSError):
                    child.stdin.close()
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def _serve(home: Path, folder: Path) -> subprocess.Popen[bytes]:
    announced = folder / "announced.json"
    command = [sys.executable, "-m", "pointsman.cli", "serve", "--port", "0"]
    command += ["--home", str(home), "--announce", str(announced), "--while-stdin"]
    with (folder / "server.log").open("wb") as log:
        # a session of its own: Ctrl-C is for us, who then cancel the run and stop the server in order
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _tail(folder: Path) -> str:
    with suppress(OSError):
        lines = (folder / "server.log").read_text("utf-8", "replace").strip().splitlines()
        return "\n".join(lines[-TAIL:])
    return ""
