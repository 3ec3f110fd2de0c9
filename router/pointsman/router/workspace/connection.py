"""How Redis is reached, one server or a cluster, and its errors as ours."""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit

import redis.asyncio
from redis.asyncio.cluster import ClusterNode, NodesManager, RedisCluster
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.event import EventDispatcher
from redis.exceptions import (
    ClusterDownError,
    ConnectionError,
    NoScriptError,
    RedisClusterException,
    RedisError,
    TimeoutError,
)
from redis.maint_notifications import MaintNotificationsConfig

from pointsman.router.errors import WorkspaceUnavailable

ANSWER_SECONDS = 40.0
"""How long an answer may take; a read that waits for something on purpose asks for less."""
CONNECT_SECONDS = 5.0
IDLE_SECONDS = 30.0
"""A connection that was not used for so long is tried before it is used."""

Redis: TypeAlias = "redis.asyncio.Redis | RedisCluster"

FAILURES = (RedisError, RedisClusterException)
"""What redis-py raises; its cluster client has a root of its own."""


def connect(url: str, *, max_connections: int = 256, decode_responses: bool = True) -> Redis:
    """A client for one server or for a Redis Cluster.

    One server: "redis://host:port/0", "rediss://..." (TLS), "unix:///path/to/socket". A cluster:
    "redis+cluster://user:password@host:port,host:port" with one or more of its nodes, "rediss+cluster://..."
    (TLS), or any URL of a server with "?cluster=true". Other query parameters are options of redis-py's
    connections, such as "socket_timeout=5". `max_connections` counts per server.

    Connections are opened when they are needed; nothing is raised here for a server that is away. A command
    whose answer was lost is not sent again: whether it was done is for its caller to find out. Raises
    ValueError for a URL that cannot be read.
    """
    members, clustered = _servers(url)
    options: dict[str, Any] = {
        "decode_responses": decode_responses,
        "max_connections": max_connections,
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": ANSWER_SECONDS,
        "health_check_interval": IDLE_SECONDS,
        # With notices of maintenance on, redis-py 8 does not see that an idle connection was closed.
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    if not clustered:
        return redis.asyncio.Redis.from_url(members[0], **options)
    return _cluster([dict(parse_url(member)) for member in members], options)


def _servers(url: str) -> tuple[list[str], bool]:
    """URLs of single servers as redis-py reads them, and whether they are nodes of a cluster."""
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.partition("+")
    query = parse_qsl(parts.query, keep_blank_values=True)
    wish = next((value for name, value in query if name == "cluster"), "no")
    if kind not in ("", "cluster"):
        raise ValueError(f"the scheme {parts.scheme!r} of the address of Redis is unknown")
    rest = urlencode([(name, value) for name, value in query if name != "cluster"])
    tail = f"{parts.path}?{rest}" if rest else parts.path
    clustered = kind == "cluster" or wish.lower() in ("true", "yes", "on", "1")
    if not clustered:
        return [f"{scheme}://{parts.netloc}{tail}"], False
    if parts.path.strip("/") not in ("", "0"):
        raise ValueError(f"a Redis Cluster has only database 0, not {parts.path!r}")
    user, at, hosts = parts.netloc.rpartition("@")
    return [f"{scheme}://{user}{at}{host}{tail}" for host in hosts.split(",") if host], True


def _cluster(members: list[dict[str, Any]], options: dict[str, Any]) -> RedisCluster:
    if not members or any("host" not in member for member in members):
        raise ValueError("the URL of a Redis Cluster names at least one host")
    nodes = [ClusterNode(m["host"], m.get("port", 6379)) for m in members]
    told = {k: v for k, v in members[0].items() if k not in ("host", "port", "db")}
    if told.pop("connection_class", None) is not None:
        told["ssl"] = True
    return _Cluster(
        startup_nodes=nodes,
        retry=Retry(NoBackoff(), 0),
        # A slot that has moved is noted by itself; reading the whole map anew would close the connections
        # that others are waiting on.
        reinitialize_steps=0,
        **{**options, **told},
    )


class _Nodes(NodesManager):
    async def aclose(self, attr: str = "nodes_cache") -> None:
        """Closes idle connections; one that is in use is closed when its answer is there.

        redis-py calls this, too, when a node is away or the cluster is down. Its own would pull the
        connections to all nodes from under those who wait on them.
        """
        for node in list(getattr(self, attr).values()):
            node.update_active_connections_for_reconnect()
            await node.disconnect_free_connections()


class _Cluster(RedisCluster):
    def __init__(self, **options: Any) -> None:
        dispatcher = EventDispatcher()
        super().__init__(event_dispatcher=dispatcher, **options)
        made = self.nodes_manager
        self.nodes_manager = _Nodes(
            list(made.startup_nodes.values()),
            made.require_full_coverage,
            made.connection_kwargs,
            event_dispatcher=dispatcher,
        )

    async def aclose(self) -> None:
        """Also while the map is about to be read anew; redis-py closes nothing then."""
        await super().aclose()
        await self.nodes_manager.aclose()
        await self.nodes_manager.aclose("startup_nodes")


class Script:
    """A Lua script over keys of one slot, called by its digest; a server that lacks it gets its text.

    redis-py's own `register_script` loads a script on every node of a cluster when one of them lacks it, and
    fails when another one is away.
    """

    def __init__(self, redis: Redis, text: str) -> None:
        self.text = text
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self._redis: Any = redis

    async def __call__(
        self, *, keys: Sequence[str], args: Sequence[str | bytes | int | float]
    ) -> Any:
        """What the script returned. Raises what redis-py raises."""
        given = (len(keys), *keys, *args)
        try:
            return await self._redis.evalsha(self.digest, *given)
        except NoScriptError:
            return await self._redis.eval(self.text, *given)


@contextmanager
def redis_errors(what: str) -> Iterator[None]:
    """Raises WorkspaceUnavailable, naming what was under way, when Redis does not answer.

    A cancellation that redis-py 8 lost on its way (it happens while an answer is read, on Python 3.11) is
    raised here after the call: what was cancelled meanwhile must not go on.
    """
    before = cancellations()
    try:
        yield
    except FAILURES as error:
        heed(before)
        raise unavailable(what, error) from error
    heed(before)


def unavailable(what: str, error: Exception) -> WorkspaceUnavailable:
    """What redis-py raised while `what` was under way, as ours."""
    away = (ConnectionError, TimeoutError, ClusterDownError, RedisClusterException)
    why = "Redis does not answer" if isinstance(error, away) else "Redis refused"
    return WorkspaceUnavailable(f"{what}: {why} ({error})")


def cancellations() -> int:
    """How often the running task was cancelled and has not come back from it."""
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


def heed(before: int) -> None:
    """Raises CancelledError when the running task was cancelled since `before` was counted."""
    if cancellations() > before:
        raise asyncio.CancelledError
