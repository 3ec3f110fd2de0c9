"""One connection for all the short calls of a process: each is written at once, answers come in order.

A call costs one write and one future, and many callers share a connection without waiting for each other's
answers. A call that waits on purpose (XREADGROUP with BLOCK, SUBSCRIBE) would hold up all the others: such
calls need a connection of their own.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from copy import copy
from typing import Any

import redis.asyncio
from redis import exceptions
from redis.asyncio.connection import ConnectionPool
from redis.exceptions import RedisError

from pointsman.router.workspace.address import Address
from pointsman.router.workspace.calls import Argument, ByClient, Calls
from pointsman.router.workspace.connection import Redis
from pointsman.router.workspace.wire import Wire, connect

ALONE = frozenset(
    "BLMOVE BLMPOP BLPOP BRPOP BRPOPLPUSH BZMPOP BZPOPMAX BZPOPMIN HELLO MONITOR MULTI PSUBSCRIBE PSYNC "
    "QUIT RESET SELECT SSUBSCRIBE SUBSCRIBE SYNC WAIT WAITAOF WATCH".split()
)
"""Commands that hold up the connection, or change it for everybody."""


def calls(client: Redis) -> Calls:
    """The fastest way to where a client of redis-py goes."""
    if isinstance(client, redis.asyncio.Redis):
        with suppress(ValueError):
            return Pipelined.of(client)
    return ByClient(client)


class Pipelined:
    """Calls to one server, all on one connection.

    It connects at the first call, and again at the next call after the connection was lost. No command is
    sent twice by itself, as it may have been carried out: that is for callers to decide. A caller that is
    cancelled only drops its answer. For one event loop at a time; close() is final.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._wire: Wire | None = None
        self._opening: asyncio.Task[Wire | RedisError] | None = None
        self._closed = False

    @classmethod
    def of(cls, client: redis.asyncio.Redis) -> "Pipelined":
        """To the server of a client, as the same user; the client itself is left alone.

        Raises ValueError for one that finds its server in a way of its own, such as by Sentinel.
        """
        return cls(Address.of(client.connection_pool))

    @classmethod
    def at(cls, url: str) -> "Pipelined":
        """url: as redis-py reads it, "redis://...", "rediss://..." or "unix:///path". Raises ValueError."""
        return cls(Address.of(ConnectionPool.from_url(url)))

    async def __call__(self, *command: Argument) -> Any:
        """Raises what the server answers with (ResponseError, NoScriptError and so on), ConnectionError
        when it is or goes away, TimeoutError when it does not answer in time, DataError for a command that
        cannot be sent. After ConnectionError and TimeoutError nobody knows whether it was carried out.
        """
        if not command or command[0] in ALONE:
            raise exceptions.DataError(f"{command[:1]!r} cannot share a connection")
        wire = self._wire
        if wire is None or not wire.fresh():
            wire = await self._ready()
        while wire.full:
            await wire.room()
            if not wire.fresh():
                wire = await self._ready()
        return await wire.send(command)

    async def script(
        self, sha: str, text: str, keys: Sequence[str], args: Sequence[Argument]
    ) -> Any:
        try:
            return await self("EVALSHA", sha, len(keys), *keys, *args)
        except exceptions.NoScriptError:
            return await self("EVAL", text, len(keys), *keys, *args)

    async def close(self) -> None:
        """Calls under way, and later ones, fail with ConnectionError."""
        self._closed = True
        opening, wire = self._opening, self._wire
        self._opening = self._wire = None
        if opening is not None and opening.get_loop() is asyncio.get_running_loop():
            opening.cancel()
            await asyncio.wait([opening])
        if wire is not None:
            await wire.close()

    async def _ready(self) -> Wire:
        """A connection that works, opened once for all who wait for it."""
        if self._closed:
            raise exceptions.ConnectionError(f"{self.address}: the connection was closed")
        loop = asyncio.get_running_loop()
        opening = self._opening
        if opening is None or opening.done() or opening.get_loop() is not loop:
            opening = loop.create_task(self._open(), name=f"connect to {self.address}")
            self._opening = opening
        await asyncio.wait([opening])  # who is cancelled here leaves it to the others
        if opening.cancelled():
            raise exceptions.ConnectionError(f"{self.address}: the connection was closed")
        outcome = opening.result()
        if isinstance(outcome, RedisError):
            raise copy(outcome)  # for each caller its own, or all tracebacks would pile up in one
        return outcome

    async def _open(self) -> Wire | RedisError:
        """The idle connection when it still answers, else a new one.

        A failure is returned: nobody may be left to see it raised.
        """
        old, self._wire = self._wire, None
        try:
            kept = old is not None and await old.answers()
            self._wire = old if kept else await connect(self.address)
        except RedisError as error:
            return error
        assert self._wire is not None
        return self._wire
