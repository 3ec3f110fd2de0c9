"""A uvicorn server that ends open streams before it waits for them."""

import socket

import uvicorn
from fastapi import FastAPI

GRACE = 2
"""Seconds that responses under way are given when the server stops."""


class Server(uvicorn.Server):
    """Serves the gateway; stops within GRACE seconds, whoever is still connected."""

    def __init__(
        self, app: FastAPI, *, host: str = "127.0.0.1", port: int = 0, log_level: str = "warning"
    ) -> None:
        self._closing = app.state.gateway.closing
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            log_level=log_level,
            access_log=False,
            timeout_graceful_shutdown=GRACE,
            server_header=False,
        )
        super().__init__(config)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._closing.set()
        await super().shutdown(sockets)

    @property
    def address(self) -> str:
        """Where it listens, once `started`: "http://127.0.0.1:8400"."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"
