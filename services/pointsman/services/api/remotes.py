"""Pass-through: a chat request whose `model` is a remote expert goes straight to its endpoint.

Nothing is planned, no run is made, and the pieces of the answer go on as they come. Only for a key with a
budget is the answer looked into, for its usage.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Any

import aiohttp
from pydantic_core import from_json
from starlette.types import Message, Receive, Scope, Send

from pointsman.router.events import Fault
from pointsman.router.planning.llm.settings import RemoteSettings
from pointsman.router.usage import Budget
from pointsman.services.access.caller import ANONYMOUS, Caller
from pointsman.services.access.errors import AccessRefused
from pointsman.services.access.spending import held, new_call, spend
from pointsman.services.api.errors import error_response
from pointsman.services.api.gateway import CALLER, Gateway

log = logging.getLogger(__name__)

CHAT = "/v1/chat/completions"
UPSTREAM = {
    CHAT: "/chat/completions",
    "/v1/responses": "/responses",
    "/v1/embeddings": "/embeddings",
}
PASSED = frozenset(UPSTREAM)
HANDED_ON = (b"content-type", b"content-encoding", b"x-request-id", b"retry-after")
"""Headers of an endpoint's answer that go on; the others are between it and us."""
CONNECTIONS = 1_024
IDLE = 120.0
"""Seconds without a byte after which an endpoint counts as gone."""
CHARACTERS_A_TOKEN = 4


class Remotes:
    """The remote experts by name, and the connections to them. `close` when done."""

    def __init__(self, settings: Mapping[str, RemoteSettings] | None = None) -> None:
        self.settings = dict(settings or {})
        self._session: aiohttp.ClientSession | None = None

    def find(self, body: bytes) -> tuple[RemoteSettings, dict[str, Any]] | None:
        """The expert that a request names, and the request; None when it names none."""
        try:
            asked = from_json(body)
            found = self.settings.get(asked["model"])
        except (ValueError, TypeError, KeyError):
            return None  # what is wrong with it is told where it is read whole
        return (found, asked) if found is not None else None

    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=IDLE),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


class Passing:
    """One request on its way through."""

    def __init__(self, here: Gateway, scope: Scope, expert: RemoteSettings) -> None:
        self._here, self._scope, self._expert = here, scope, expert
        self._caller: Caller = scope.get(CALLER, ANONYMOUS)
        self._work = new_call()

    async def __call__(
        self, body: bytes, asked: dict[str, Any], receive: Receive, send: Send
    ) -> None:
        path = self._scope["path"]
        try:
            if self._caller.key is not None:
                await self._set_aside(body, asked)
        except AccessRefused as error:
            fault = Fault.of(error)
            headers = {"Retry-After": str(int(error.retry_after) + 1)}
            await error_response(path, fault, error.status, headers=headers)(
                self._scope, receive, send
            )
            return
        meter = Meter(asked, counting=self._caller.key is not None, chat=path == CHAT)
        told = [False]
        try:
            await self._pass(meter.body(body), meter, receive, send, told)
        except (aiohttp.ClientError, TimeoutError) as error:
            log.warning("%s does not answer: %s", self._expert.model, error)
            if told[0]:
                raise ConnectionError("the endpoint broke off") from error  # ends ours as well
            fault = Fault("expert.unavailable", "the model's endpoint does not answer", "expert")
            await error_response(path, fault, 502)(self._scope, receive, send)
        finally:
            await self._count(meter)

    async def _pass(
        self, body: bytes, meter: "Meter", receive: Receive, send: Send, told: list[bool]
    ) -> None:
        expert = self._expert
        key = expert.api_key.get_secret_value()
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        url = expert.base_url.rstrip("/") + UPSTREAM[self._scope["path"]]
        session = self._here.remotes.session()
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
            kept = [(n.lower(), v) for n, v in answer.raw_headers if n.lower() in HANDED_ON]
            start = {"type": "http.response.start", "status": answer.status, "headers": kept}
            whole = answer.content_length is not None
            if whole:
                content = await answer.read()
                meter.whole(content)
                kept.append((b"content-length", str(len(content)).encode()))
                told[0] = True
                await send(start)
                await send({"type": "http.response.body", "body": content})
                return
            told[0] = True
            await send(start)
            left = asyncio.ensure_future(receive())
            try:
                await self._stream(answer, meter, send, left)
            finally:
                left.cancel()

    async def _stream(
        self,
        answer: aiohttp.ClientResponse,
        meter: "Meter",
        send: Send,
        left: "asyncio.Future[Message]",
    ) -> None:
        """Hands the pieces on as they come, until the caller has left or the server stops."""
        async for piece in answer.content.iter_any():
            if left.done() or self._here.closing.is_set():
                return
            ready = meter.piece(piece)
            if ready:
                await send({"type": "http.response.body", "body": ready, "more_body": True})
        await send({"type": "http.response.body", "body": meter.rest()})

    async def _set_aside(self, body: bytes, asked: Mapping[str, Any]) -> None:
        """Raises BudgetSpent."""
        most = asked.get("max_completion_tokens") or asked.get("max_tokens")
        if not isinstance(most, int) or isinstance(most, bool):
            await held(self._here.workspace, self._caller, self._work, Budget())
            return
        asking = len(body) // CHARACTERS_A_TOKEN
        budget = Budget(cost=self._expert.cost(asking, most), tokens=asking + most)
        await held(self._here.workspace, self._caller, self._work, budget)

    async def _count(self, meter: "Meter") -> None:
        if self._caller.key is None:
            return
        asked, told = meter.tokens()
        cost = self._expert.cost(asked, told)
        await spend(self._here.workspace, self._caller, self._work, cost, asked + told)


class Meter:
    """Finds the usage in an answer. A stream is asked to tell it; what the caller did not ask for is taken out.

    Where the endpoint tells none, the characters of the request and the events of the stream stand for it.
    """

    def __init__(self, asked: dict[str, Any], *, counting: bool, chat: bool = True) -> None:
        self._asked = asked
        options = asked.get("stream_options")
        wanted = isinstance(options, dict) and bool(options.get("include_usage"))
        self._added = chat and counting and bool(asked.get("stream")) and not wanted
        self._counting = counting
        self._left = b""
        self._events = 0
        self._usage: Mapping[str, Any] | None = None
        self._size = 0

    def body(self, body: bytes) -> bytes:
        """What is sent to the endpoint."""
        self._size = len(body)
        if not self._added:
            return body
        options = self._asked.get("stream_options")
        kept = options if isinstance(options, dict) else {}
        told = {**self._asked, "stream_options": {**kept, "include_usage": True}}
        return json.dumps(told).encode()

    def whole(self, content: bytes) -> None:
        if self._counting:
            self._look(content)

    def piece(self, piece: bytes) -> bytes:
        """What of the stream goes on now."""
        if not self._counting:
            return piece
        text = self._left + piece
        mark = b"\r\n\r\n" if b"\r\n\r\n" in text else b"\n\n"
        end = text.rfind(mark) + len(mark) if mark in text else 0
        ready, self._left = text[:end], text[end:]
        self._events += ready.count(b"data:")
        if b'"usage"' not in ready:
            return ready
        return b"".join(e + mark for e in ready.split(mark)[:-1] if self._goes_on(e))

    def rest(self) -> bytes:
        """What was kept back of the stream's end."""
        self.whole(self._left)
        return self._left

    def _goes_on(self, event: bytes) -> bool:
        at = event.find(b"data:")
        if at < 0 or b'"usage"' not in event:
            return True
        found = self._look(event[at + 5 :])
        return not (self._added and found is not None and found.get("choices") == [])

    def _look(self, content: bytes) -> Mapping[str, Any] | None:
        try:
            found = from_json(content.strip())
        except ValueError:
            return None
        if not isinstance(found, dict):
            return None
        within = found.get("response")  # an event of the responses protocol
        usage = (within if isinstance(within, dict) else found).get("usage")
        if isinstance(usage, dict):
            self._usage = usage
        return found

    def tokens(self) -> tuple[int, int]:
        """In and out."""
        if self._usage is not None:
            return _count(self._usage, "prompt", "input"), _count(
                self._usage, "completion", "output"
            )
        return (self._size // CHARACTERS_A_TOKEN, self._events) if self._events else (0, 0)


def _count(usage: Mapping[str, Any], *names: str) -> int:
    """Tokens, by either protocol's name; an endpoint may say anything."""
    found = next((usage[f"{n}_tokens"] for n in names if f"{n}_tokens" in usage), 0)
    return max(0, found) if isinstance(found, int) else 0
