"""Requests to one server: tried again where that is safe, errors turned into ours, events parsed."""

import asyncio
import json
import re
from collections.abc import AsyncIterable, AsyncIterator
from typing import TYPE_CHECKING, Any, TypeVar

from pointsman.client.errors import BadReply, RequestRejected, ServerUnreachable
from pointsman.client.local import LocalServer
from pointsman.client.results import Event

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

ATTEMPTS = 4
FIRST_PAUSE = 0.1
"""Seconds before the second attempt; twice as long before each that follows."""
CONNECT_SECONDS = 5.0
ADDRESS = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[^\s/\[\]:@]+)(:\d{1,5})?(/\S*)?")
LOOPBACK = ("127.", "localhost", "[::1]")


def pause(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return float(FIRST_PAUSE * 2 ** (failures - 1))


class Connection:
    """Speaks to the server at `url`, or, without one, to the local server, found again when it moved.

    idle: seconds without a byte after which a connection counts as broken. key: an API key to send.
    """

    def __init__(
        self, url: str | None, local: LocalServer, *, idle: float, key: str | None = None
    ) -> None:
        self._key = key
        self._given = None if url is None else url.strip().rstrip("/")
        self._local = local
        self._idle = idle
        self._http: httpx.AsyncClient | None = None
        self._found: str | None = None
        self._locating = asyncio.Lock()

    def http(self) -> "httpx.AsyncClient":
        if self._http is None:
            import httpx

            near = self._given is None or self._given.partition("//")[2].startswith(LOOPBACK)
            self._http = httpx.AsyncClient(
                timeout=httpx.Timeout(self._idle, connect=CONNECT_SECONDS),
                headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
                trust_env=not near,  # a proxy has no business between us and this machine
            )
        return self._http

    async def address(self) -> str:
        """The server's, found or started first if need be."""
        if self._given is not None:
            if not ADDRESS.fullmatch(self._given):
                raise ServerUnreachable(self._given, "an address looks like http://127.0.0.1:8321")
            return self._given
        async with self._locating:
            if self._found is None:
                self._found = await self._local.address(self.http())
            return self._found

    def lost(self) -> None:
        """The server was not there: a local one is to be found anew."""
        self._found = None

    async def request(
        self, method: str, path: str, *, safe: bool | None = None, **options: Any
    ) -> "httpx.Response":
        """A good answer. safe: whether it may be sent twice; by default GET, PUT and DELETE may.

        Raises ServerUnreachable, RequestRejected.
        """
        import httpx

        again = method != "POST" if safe is None else safe
        failures = 0
        while True:
            address = await self.address()
            try:
                reply = await self.http().request(method, address + path, **options)
            except httpx.TransportError as error:
                failures += 1
                # what could not connect has done nothing, so it may be sent again in any case
                apart = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                if failures >= ATTEMPTS or not (again or apart):
                    raise ServerUnreachable(address, words(error)) from error
                self.lost()
            else:
                if reply.is_success:
                    return reply
                failures += 1
                if reply.status_code != 503 or not again or failures >= ATTEMPTS:
                    raise rejected(address, reply)
            await asyncio.sleep(pause(failures))

    async def json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """The object that the server answers with. Raises BadReply too."""
        reply = await self.request(method, path, **options)
        try:
            value = reply.json()
        except ValueError as error:
            raise BadReply(str(reply.url), "its answer is not JSON") from error
        if not isinstance(value, dict):
            raise BadReply(str(reply.url), "its answer is not an object")
        return value

    async def events(self, path: str, after: str | None) -> AsyncIterator[Event]:
        """One connection's worth of a stream. Raises httpx.TransportError when it breaks."""
        address = await self.address()
        headers = {"Accept": "text/event-stream"}
        if after is not None:
            headers["Last-Event-ID"] = after
        async with self.http().stream("GET", address + path, headers=headers) as reply:
            if not reply.is_success:
                await reply.aread()
                raise rejected(address, reply)
            async for event in parse(reply.aiter_lines()):
                yield event

    async def close(self) -> None:
        if self._http is not None:
            await self._http.aclose()


async def parse(lines: AsyncIterable[str]) -> AsyncIterator[Event]:
    """Events of a text/event-stream (WHATWG HTML, 9.2.6); an unfinished one at the end is dropped."""
    text: list[str] = []
    id = ""
    async for line in lines:
        if not line:
            if text:
                yield event_of(id, "\n".join(text))
            text = []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            text.append(value)
        elif name == "id":
            id = value


def event_of(id: str, text: str) -> Event:
    """Raises BadReply."""
    try:
        value = json.loads(text)
        return Event(id, str(value.pop("type")), float(value.pop("at")), value)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadReply("the stream of events", f"{text[:80]!r} is no event") from error


def rejected(address: str, reply: "httpx.Response") -> RequestRejected | BadReply:
    """The error that an answer with an error status stands for."""
    try:
        error = reply.json()["error"]
        return RequestRejected(
            reply.status_code,
            str(error["code"]),
            str(error["message"]),
            str(error["fault"]),
            retryable=bool(error["retryable"]),
        )
    except (ValueError, KeyError, TypeError):
        return BadReply(address, f"HTTP {reply.status_code} without a reason")


def words(error: Exception) -> str:
    """A transport error in words; some have none of their own."""
    return str(error) or type(error).__name__
