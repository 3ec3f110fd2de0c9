"""Processes of a deployment on loopback: roles that are stopped and started again, nginx, and the books."""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx

from benchmarks.crash.processes import ROOT, free_port

TOOLS = Path(__file__).with_name("tools.py")
READY_SECONDS = 180.0


class Role:
    """One `pointsman serve --role ROLE`, on ports of its own."""

    def __init__(self, role: str, redis: str, books: str, folder: Path) -> None:
        self.role, self.port, self._probes = role, free_port(), free_port()
        self._log = folder / f"{role}-{self.port}.log"
        self._environment = {
            **os.environ,
            "POINTSMAN_CAPABILITIES": str(TOOLS),
            "ROLLING_BOOKS": books,
            "POINTSMAN_LOG_LEVEL": "info",
        }
        options = ["--role", role, "--redis-url", redis, "--home", str(folder / "home")]
        options += ["--port", str(self.port), "--health-port", str(self._probes)]
        self._command = [sys.executable, "-m", "pointsman.cli", "serve", *options, "--grace", "20"]
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Returns when it is ready. Raises TimeoutError."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, env=self._environment, stdout=log, stderr=log, cwd=ROOT
            )
        async with asyncio.timeout(READY_SECONDS), httpx.AsyncClient() as client:
            while True:
                with suppress(httpx.TransportError):
                    reply = await client.get(f"http://127.0.0.1:{self._probes}/readyz", timeout=10)
                    if reply.status_code == 200:
                        return
                await asyncio.sleep(0.1)

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self._process is None or self._process.returncode is not None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        return await self._process.wait()


@asynccontextmanager
async def nginx(folder: Path, gateways: list[int]) -> AsyncIterator[str]:
    """deploy/nginx/nginx.conf on loopback. Raises SystemExit where there is no nginx."""
    binary = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if binary is None:
        sys.exit("nginx is not installed: apt-get install nginx-light")
    port = free_port()
    text = (ROOT / "deploy" / "nginx" / "nginx.conf").read_text()
    for number, gateway in enumerate(gateways, 1):
        text = text.replace(f"server gateway-{number}:8321", f"server 127.0.0.1:{gateway}")
    text = text.replace("listen 8080;", f"listen 127.0.0.1:{port};")
    text = text.replace("/tmp/nginx", f"{folder}/nginx").replace("/dev/stdout", f"{folder}/access")
    config = folder / "nginx.conf"
    config.write_text(text)
    process = await asyncio.create_subprocess_exec(
        binary, "-c", str(config), "-p", str(folder), "-g", "daemon off;"
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


class Books:
    """A server that counts effects: how often each task's was carried out, and under which keys."""

    def __init__(self) -> None:
        self.times: Counter[tuple[str, str]] = Counter()
        self.keys: dict[tuple[str, str], set[str]] = defaultdict(set)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            yield f"http://127.0.0.1:{port}"

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                length = head.partition("content-length: ")[2].partition("\r\n")[0]
                told = json.loads(await reader.readexactly(int(length)))
                await asyncio.sleep(0.02)
                one = told["run"], told["task"]
                self.times[one] += 1
                self.keys[one].add(told["key"])
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                await writer.drain()
        writer.close()
