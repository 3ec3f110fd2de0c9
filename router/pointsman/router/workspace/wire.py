"""One connection to a Redis server: commands are written as they come, answers return in the same order."""

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar, cast

import hiredis
from redis import exceptions
from redis.exceptions import RedisError

from pointsman.router.workspace.address import Address
from pointsman.router.workspace.calls import Argument
from pointsman.router.workspace.connection import IDLE_SECONDS

SECOND_LOOK = 0.2
"""Seconds between an answer being overdue and giving up: time to read it, if it was us who stood still."""
HIGH_WATER = 1 << 20
"""Bytes not yet written above which callers wait."""
JOINED = 2
"""Commands that are written as one."""
LONGEST = 512 << 20
"""Bytes of one command. A server ends the connection on longer ones, and that is everybody's."""

ERRORS: Mapping[str, Callable[[str], RedisError]] = {
    "CLUSTERDOWN": exceptions.ClusterDownError,
    "EXECABORT": exceptions.ExecAbortError,
    "LOADING": exceptions.BusyLoadingError,
    "MASTERDOWN": exceptions.MasterDownError,
    "MOVED": exceptions.MovedError,
    "NOAUTH": exceptions.AuthenticationError,
    "NOPERM": exceptions.NoPermissionError,
    "NOSCRIPT": exceptions.NoScriptError,
    "OOM": exceptions.OutOfMemoryError,
    "READONLY": exceptions.ReadOnlyError,
    "WRONGPASS": exceptions.AuthenticationError,
}
"""What redis-py raises for the codes of error answers; ResponseError for all others."""

W = TypeVar("W", bound="Wire")
_MORE = object()
_pack: Callable[[Any], bytes] = hiredis.pack_command  # its stub takes tuples of one part only


async def connect(address: Address) -> "Wire":
    """Raises ConnectionError, TimeoutError, AuthenticationError."""
    return await made(address, Wire(address))


async def made(address: Address, wire: W) -> W:
    """Connects a wire and says who we are. Raises what `connect` raises."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(address.connect_seconds):
            if address.path:
                await loop.create_unix_connection(lambda: wire, address.path)
            else:
                await loop.create_connection(
                    lambda: wire, address.host, address.port, ssl=address.tls
                )
            await wire.greet()
    except TimeoutError:
        wire.drop("it was not made in time")
        raise exceptions.TimeoutError(
            f"{address}: no connection within {address.connect_seconds:g} s"
        ) from None
    except (OSError, UnicodeError) as error:
        raise exceptions.ConnectionError(f"{address}: {error}") from error
    except BaseException:
        wire.drop("it was given up")
        raise
    return wire


class Wire(asyncio.Protocol):
    """One connection, from before it is made until it is lost."""

    def __init__(self, address: Address) -> None:
        self.full = False
        self._address = address
        self._seconds = address.answer_seconds
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(exceptions.InvalidResponse, _error, "utf-8", "strict", _MORE)
        self._waiting: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._written: list[bytes] = []
        self._writers: list[asyncio.Future[None]] = []
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._overdue: asyncio.Future[Any] | None = None
        self._heard = self._loop.time()
        self._lost = ""
        self._gone = asyncio.Event()

    def fresh(self) -> bool:
        """Whether a command may be sent at once, from the running loop."""
        if self._lost or asyncio.get_running_loop() is not self._loop:
            return False
        return bool(self._waiting) or self._loop.time() - self._heard < IDLE_SECONDS

    def send(self, command: tuple[Argument, ...]) -> asyncio.Future[Any]:
        """Writes a command; its answer comes in its turn. Raises ConnectionError, DataError.

        Commands of one turn of the loop go out two by two: a worker's commit and its next claim are taken
        together by the server, and one sync of its append-only file serves both. More at once would make it
        wait for us, and us for it.
        """
        text = packed(command)
        transport = self._transport
        if self._lost or transport is None or transport.is_closing():
            raise self._away()
        answer = self._loop.create_future()
        due = self._loop.time() + self._seconds
        self._waiting.append((answer, due))
        if not self._written:
            self._loop.call_soon(self._flush)
        self._written.append(text)
        if len(self._written) == JOINED:
            self._flush()
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._look)
        return answer

    async def room(self) -> None:
        """Returns when there may be room to write, or the connection is lost."""
        room = self._loop.create_future()
        self._writers.append(room)
        await room

    async def greet(self) -> None:
        """Says who we are. Raises AuthenticationError, ResponseError, ConnectionError."""
        try:
            if self._address.credentials is not None:
                await self.send(("AUTH", *await self._address.credentials.get_credentials_async()))
            if self._address.db:
                await self.send(("SELECT", self._address.db))
        except RedisError as error:
            raise type(error)(f"{self._address}: {error}") from error

    async def answers(self) -> bool:
        """Whether the server is still there; a connection that is not, or another loop's, is let go."""
        if self._lost or not self._here():
            self.leave()
            return False
        try:
            async with asyncio.timeout(self._address.connect_seconds):
                await self.send(("PING",))
        except (RedisError, TimeoutError):
            self.drop("it did not answer after a pause")
            return False
        except BaseException:
            self.drop("it was given up")
            raise
        return True

    def drop(self, why: str) -> None:
        """Ends the connection: whoever waits fails with ConnectionError."""
        self._end(why)
        if self._transport is not None:
            self._transport.abort()

    def leave(self) -> None:
        """Ends the connection from another loop than its own."""
        with suppress(RuntimeError):  # its loop is closed, and it with it
            self._loop.call_soon_threadsafe(self.drop, "another event loop has taken over")

    async def close(self) -> None:
        if not self._here():
            self.leave()
            return
        self.drop("it was closed")
        if self._transport is not None:
            await self._gone.wait()

    def _here(self) -> bool:
        return asyncio.get_running_loop() is self._loop

    # --- what the event loop calls --------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = made = cast("asyncio.Transport", transport)  # uvloop's is none by type
        made.set_write_buffer_limits(high=HIGH_WATER)
        ours = made.get_extra_info("socket")
        if ours.family != socket.AF_UNIX and self._address.keepalive is not None:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in self._address.keepalive.items():
                ours.setsockopt(socket.IPPROTO_TCP, option, value)

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        reader, queue = self._reader, self._waiting
        reader.feed(data)
        while not self._lost:
            try:
                answer = reader.gets()
            except UnicodeDecodeError as error:  # this one answer; those behind it are whole
                answer = exceptions.InvalidResponse(f"an answer is not text: {error}")
            except exceptions.InvalidResponse as error:
                self.drop(f"its answers make no sense: {error}")
                return
            if answer is _MORE:
                return
            if not queue:
                self.drop(f"an answer that nobody waits for: {str(answer)[:200]}")
                return
            waiting, _ = queue.popleft()
            if waiting.done():
                continue
            if isinstance(answer, RedisError):
                waiting.set_exception(answer)
            else:
                waiting.set_result(answer)

    def eof_received(self) -> None:
        self._end("the server closed it")

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(str(exc) if exc is not None else "it was closed")
        self._gone.set()

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        self._wake()

    # --- inside ---------------------------------------------------------------------------------

    def _flush(self) -> None:
        written, self._written = self._written, []
        if written and self._transport is not None and not self._lost:
            self._transport.write(b"".join(written))

    def _wake(self) -> None:
        writers, self._writers = self._writers, []
        for room in writers:
            if not room.done():
                room.set_result(None)

    def _look(self) -> None:
        """Looks at the oldest call, once when its answer is due and once more a moment later."""
        self._timer = None
        if not self._waiting:
            return
        oldest, due = self._waiting[0]
        now = self._loop.time()
        if now < due:
            self._timer = self._loop.call_at(due, self._look)
        elif self._overdue is not oldest:
            self._overdue = oldest
            self._timer = self._loop.call_later(SECOND_LOOK, self._look)
        else:
            late = f"{self._address}: no answer within {self._seconds:g} s"
            while self._waiting and self._waiting[0][1] <= now:
                waiting, _ = self._waiting.popleft()
                if not waiting.done():
                    waiting.set_exception(exceptions.TimeoutError(late))
            self.drop("an answer before this one did not come")

    def _end(self, why: str) -> None:
        if self._lost:
            return
        self._lost = why
        self.full = False
        self._wake()  # they find out when they write
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            waiting, _ = self._waiting.popleft()
            if not waiting.done():
                waiting.set_exception(self._away())

    def _away(self) -> exceptions.ConnectionError:
        why = self._lost or "it is closing"
        return exceptions.ConnectionError(f"{self._address}: the connection was lost ({why})")


def packed(command: tuple[Argument, ...]) -> bytes:
    """Raises DataError for what cannot be sent, before anything is."""
    try:
        text: bytes = _pack(command)
    except (TypeError, UnicodeEncodeError) as error:
        raise exceptions.DataError(f"{command[0]!r}: {error}") from error
    if len(text) > LONGEST:
        raise exceptions.DataError(f"{command[0]!r}: {len(text)} bytes are too many")
    return text


def _error(text: str) -> RedisError:
    """An error answer as redis-py raises it."""
    code, _, rest = text.partition(" ")
    if text == "ERR max number of clients reached":
        return exceptions.ConnectionError(rest)
    if code not in ERRORS:
        return exceptions.ResponseError(text)
    error = ERRORS[code](rest)
    error.status_code = code
    return error
