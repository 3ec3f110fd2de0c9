"""How the workspace talks to Redis in short calls, whatever carries them."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from redis.exceptions import NoScriptError

from pointsman.router.workspace.connection import Redis

Argument: TypeAlias = str | bytes | int | float


def lua(text: str) -> tuple[str, str]:
    """A script as `Calls.script` takes it: its digest and its text."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(), text


class Calls(Protocol):
    """Short commands, answered as in RESP2: with a text, an integer, None, or a list of them.

    ByClient answers some commands in redis-py's own shape: read those with pairs(), entries() and
    scored(), which take both, and a single score with float(). Both methods raise what redis-py raises.
    """

    async def __call__(self, *command: Argument) -> Any: ...

    async def script(
        self, sha: str, text: str, keys: Sequence[str], args: Sequence[Argument]
    ) -> Any:
        """Runs a script by its digest; sends its text where the server does not know it."""
        ...

    async def close(self) -> None: ...


class ByClient:
    """Through any client of redis-py, such as one for a cluster. To close it is its owner's."""

    def __init__(self, client: Redis) -> None:
        self._client: Any = client

    async def __call__(self, *command: Argument) -> Any:
        return await self._client.execute_command(*command)

    async def script(
        self, sha: str, text: str, keys: Sequence[str], args: Sequence[Argument]
    ) -> Any:
        try:
            return await self("EVALSHA", sha, len(keys), *keys, *args)
        except NoScriptError:
            return await self("EVAL", text, len(keys), *keys, *args)

    async def close(self) -> None:
        """Does nothing."""


def pairs(answer: Any) -> dict[str, str]:
    """HGETALL, CONFIG GET: field to value."""
    if isinstance(answer, Mapping):
        return dict(answer)
    return dict(zip(answer[::2], answer[1::2], strict=True))


def entries(answer: Any) -> list[tuple[str, dict[str, str]]]:
    """XRANGE, XREVRANGE, the second part of XAUTOCLAIM: (id, fields), without those that were deleted."""
    return [(entry[0], pairs(entry[1])) for entry in answer if entry and entry[1] is not None]


def scored(answer: Any) -> list[tuple[str, float]]:
    """ZRANGE and its like WITHSCORES: (member, score)."""
    if answer and not isinstance(answer[0], str):
        return [(member, float(score)) for member, score in answer]
    return [(m, float(s)) for m, s in zip(answer[::2], answer[1::2], strict=True)]
