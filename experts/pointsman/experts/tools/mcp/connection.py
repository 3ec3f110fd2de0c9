"""One session with a server: opened when it is needed, kept, and closed by the task that has opened it."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx2
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import Implementation

from pointsman.experts.tools.mcp.guarded import Guarded
from pointsman.experts.tools.mcp.registered import McpIn
from pointsman.router.errors import ExpertError, ExpertUnavailable

OPENING = 30.0
"""Seconds in which a server must be there."""
CLOSING = 8.0
OURS = Implementation(name="pointsman", version="1")

Opened = Callable[[], AbstractAsyncContextManager[Client]]


class Connection:
    """A client of which many tasks make calls. What it is opened in closes it: its scopes belong to one task."""

    def __init__(self, opened: Opened, name: str) -> None:
        self._opened = opened
        self._name = name
        self._task: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[Client] | None = None
        self._stop = asyncio.Event()

    async def client(self) -> Client:
        """Raises ExpertUnavailable when the server is not to be had.

        Who has waited long enough goes; the session is opened all the same, for the next one.
        """
        if self._ready is None or self._task is None or self._task.done():
            self._stop = asyncio.Event()
            self._ready = asyncio.get_running_loop().create_future()
            self._ready.add_done_callback(_looked_at)
            owned = self._own(self._ready, self._stop)
            self._task = asyncio.create_task(owned, name=f"mcp {self._name}")
        try:
            async with asyncio.timeout(OPENING):
                return await asyncio.shield(self._ready)
        except TimeoutError:
            await self.drop()
            raise ExpertUnavailable(f"{self._name} did not answer within {OPENING:.0f} s") from None

    async def _own(self, ready: asyncio.Future[Client], stop: asyncio.Event) -> None:
        try:
            async with self._opened() as client:
                ready.set_result(client)
                await stop.wait()
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - the border to the library: groups of whatever its tasks raised
            if not ready.done():
                ready.set_exception(_unavailable(self._name, error))
        finally:
            if not ready.done():
                ready.cancel()

    async def drop(self) -> None:
        """The session is broken, or no longer wanted; the next call opens another."""
        task, self._task, self._ready = self._task, None, None
        self._stop.set()
        if task is not None:
            done, _ = await asyncio.wait({task}, timeout=CLOSING)
            if not done:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


def _looked_at(ready: "asyncio.Future[Client]") -> None:
    """Nobody may be left who waits for it."""
    if not ready.cancelled():
        ready.exception()


def _unavailable(name: str, error: BaseException) -> ExpertError:
    """What lies at the bottom of it, in words."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, ExpertError):
        return error
    if isinstance(error, OSError):
        return ExpertUnavailable(f"{name} cannot be started: {error.strerror or error}")
    said = error.message if isinstance(error, MCPError) else type(error).__name__
    return ExpertUnavailable(f"{name} cannot be reached: {said}")


def opener(
    given: McpIn, token: str, allow: Sequence[str], *, environment: dict[str, str]
) -> Opened:
    """How a session with a server is opened. environment: of a program, beside a bare one."""

    @asynccontextmanager
    async def program() -> AsyncIterator[Client]:
        parameters = StdioServerParameters(
            command=given.command[0],
            args=list(given.command[1:]),
            env=environment,
            cwd=given.folder,
        )
        with open(os.devnull, "w") as nowhere:  # noqa: ASYNC230 - a device, not a file
            transport = stdio_client(parameters, errlog=nowhere)
            async with Client(
                transport, mode=given.protocol, client_info=OURS, cache=None
            ) as client:
                yield client

    @asynccontextmanager
    async def remote() -> AsyncIterator[Client]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        guarded = Guarded([*allow, *given.allow], headers, httpx2.URL(given.url))
        timeout = httpx2.Timeout(None, connect=10.0)
        async with httpx2.AsyncClient(transport=guarded, timeout=timeout, trust_env=False) as web:
            transport: Any = streamable_http_client(given.url, http_client=web)
            async with Client(
                transport, mode=given.protocol, client_info=OURS, cache=None
            ) as client:
                yield client

    return program if given.command else remote
