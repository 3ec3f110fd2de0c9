"""How Redis is reached, and its errors as ours."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

import redis.asyncio
from redis.exceptions import ConnectionError, RedisError, TimeoutError

from pointsman.router.errors import WorkspaceUnavailable

ANSWER_SECONDS = 40.0
"""How long an answer may take; a read that waits for something on purpose asks for less."""

Redis: TypeAlias = "redis.asyncio.Redis"


def connect(url: str, *, max_connections: int = 256) -> Redis:
    """A client for "redis://host:port/0", "rediss://..." or "unix:///path/to/socket".

    Connections are opened when they are needed; nothing is raised here for a server that is away.
    """
    return redis.asyncio.Redis.from_url(
        url,
        decode_responses=True,
        max_connections=max_connections,
        socket_connect_timeout=5,
        socket_timeout=ANSWER_SECONDS,
        health_check_interval=30,
    )


@contextmanager
def redis_errors(what: str) -> Iterator[None]:
    """Raises WorkspaceUnavailable, naming what was under way, when Redis does not answer.

    A cancellation that redis-py 8 lost on its way (it happens while an answer is read, on Python 3.11) is
    raised here after the call: what was cancelled meanwhile must not go on.
    """
    before = _cancellations()
    try:
        yield
    except (ConnectionError, TimeoutError) as error:
        _heed(before)
        raise WorkspaceUnavailable(f"{what}: Redis does not answer ({error})") from error
    except RedisError as error:
        raise WorkspaceUnavailable(f"{what}: Redis refused: {error}") from error
    _heed(before)


def _cancellations() -> int:
    """How often the running task was cancelled and has not come back from it."""
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


def _heed(before: int) -> None:
    if _cancellations() > before:
        raise asyncio.CancelledError
