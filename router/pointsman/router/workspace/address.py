"""Where a Redis server is, and who we are there."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio.connection import (
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.credentials import CredentialProvider, UsernamePasswordCredentialProvider

from pointsman.router.workspace.connection import ANSWER_SECONDS, CONNECT_SECONDS


@dataclass(frozen=True, slots=True)
class Address:
    """A server, and who we are there.

    `path`: a unix socket, in place of host and port. `keepalive`: options of TCP keep-alive; None: without.
    """

    host: str = "localhost"
    port: int = 6379
    path: str = ""
    db: int = 0
    credentials: CredentialProvider | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None
    keepalive: Mapping[int, int | bytes] | None = None
    connect_seconds: float = CONNECT_SECONDS
    answer_seconds: float = ANSWER_SECONDS

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"

    @classmethod
    def of(cls, pool: ConnectionPool) -> "Address":
        """Where the connections of a pool lead. Raises ValueError when they find that out by themselves."""
        kind = pool.connection_class
        if kind not in (Connection, SSLConnection, UnixDomainSocketConnection):
            raise ValueError(f"{kind.__name__} is no plain connection to one Redis server")
        made: Any = kind(**pool.connection_kwargs)  # never used, so it never connects
        credentials = made.credential_provider
        if credentials is None and (made.username or made.password):
            credentials = UsernamePasswordCredentialProvider(made.username, made.password)
        common: dict[str, Any] = {
            "db": int(made.db or 0),
            "credentials": credentials,
            "connect_seconds": made.socket_connect_timeout or CONNECT_SECONDS,
            "answer_seconds": made.socket_timeout or ANSWER_SECONDS,
        }
        if kind is UnixDomainSocketConnection:
            return cls(path=made.path, **common)
        tls = made.ssl_context.get() if kind is SSLConnection else None
        keepalive = made.socket_keepalive_options if made.socket_keepalive else None
        return cls(made.host, made.port, tls=tls, keepalive=keepalive, **common)
