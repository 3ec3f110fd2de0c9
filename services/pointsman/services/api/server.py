"""A uvicorn server that ends open streams before it waits for them."""

import asyncio
import contextlib
import socket
from collections.abc import Generator

import uvicorn
from starlette.applications import Starlette

GRACE = 2
"""Seconds that responses under way are given once all that waits was told to end."""
IDLE = 75
"""Seconds for which an idle connection is kept: longer than the 60 for which proxies keep theirs, so that none
of them sends a request on a connection that is being closed.
"""


class Server(uvicorn.Server):
    """Serves the gateway, or probes. Stops within GRACE seconds, whoever is connected, or later by `leave`."""

    def __init__(
        self,
        app: Starlette,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        log_level: str = "warning",
    ) -> None:
        gateway = getattr(app.state, "gateway", None)
        self._leaving = gateway.leaving if gateway else asyncio.Event()
        self._closing = gateway.closing if gateway else asyncio.Event()
        self._grace = 0.0
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            log_level=log_level,
            access_log=False,
            timeout_keep_alive=IDLE,
            timeout_graceful_shutdown=GRACE,
            server_header=False,
        )
        super().__init__(config)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals are for whoever runs us: what belongs together stops in order."""
        yield

    def leave(self, seconds: float) -> None:
        """Takes no connection from now on. Streams that can be resumed end; the rest has `seconds`."""
        self._grace = seconds
        self.config.timeout_graceful_shutdown = round(seconds) + GRACE
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._leaving.set()
        last = asyncio.get_running_loop().call_later(self._grace, self._closing.set)
        try:
            await super().shutdown(sockets)
        finally:
            last.cancel()
            self._closing.set()

    @property
    def address(self) -> str:
        """Where it listens, once `started`: "http://127.0.0.1:8400"."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"
