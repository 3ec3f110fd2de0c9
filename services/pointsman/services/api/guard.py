"""What stands in front of the routes: whose requests are answered, how large they may be, what goes out
with every response, and the count of it all. Plain ASGI, so that streams pass through untouched.
"""

import asyncio
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pointsman.router.errors import WorkspaceUnavailable
from pointsman.router.events import Fault
from pointsman.services.access.door import refusal_headers
from pointsman.services.access.errors import AccessRefused
from pointsman.services.api.errors import HostRefused, TooLarge, error_response
from pointsman.services.api.gateway import CALLER, Gateway
from pointsman.services.api.remotes import PASSED, Passing

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY: Mapping[str, str] = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
UPLOAD_PATH = "/v1/files"
DRAIN_SECONDS = 20.0
DRAIN_FACTOR = 4


def host_name(host: str) -> str:
    """The name in a Host header, without its port; brackets of an IPv6 address are taken off."""
    return (urlsplit(f"//{host}").hostname or "").casefold()


def refusal(headers: Headers, hosts: frozenset[str] | None) -> str | None:
    """Why a request is not answered: a Host that is not ours (DNS rebinding), another site's Origin."""
    try:
        host = host_name(headers.get("host", ""))
        origin = headers.get("origin")
        source = None if origin is None else (urlsplit(origin).hostname or "").casefold()
    except ValueError:
        return "the Host or Origin header cannot be read"
    if hosts is not None and host not in hosts:
        return f"host {host!r} is not one that this server answers to; add it to the allowed hosts"
    if source is not None and source not in (hosts if hosts is not None else {host}):
        return f"requests from the site {origin!r} are not answered"
    return None


class BodyTooLarge(HTTPException):
    """The body went past its limit in bytes; an HTTPException, so that the framework lets it through."""

    def __init__(self, limit: int) -> None:
        message = f"the body is larger than {readable(limit)}, the limit here; send less at once"
        super().__init__(413, message)


class Guard:
    """Middleware in front of everything."""

    def __init__(self, app: ASGIApp, gateway: Gateway) -> None:
        self.app = app
        self.gateway = gateway
        self.hosts = gateway.settings.hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = Exchange(scope, send, self.gateway)
        headers = Headers(scope=scope)
        why = refusal(headers, self.hosts)
        if why is not None:
            fault = Fault(HostRefused.code, why, "caller")
            await error_response(scope["path"], fault, 403)(scope, receive, exchange.send)
            return
        turned_away = await self._let_in(scope, headers, exchange)
        if turned_away is not None:
            await turned_away(scope, receive, exchange.send)
            return
        settings = self.gateway.settings
        upload = scope["path"] == UPLOAD_PATH
        body = Body(receive, settings.max_upload_bytes if upload else settings.max_json_bytes)
        announced = headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > body.limit:
            await body.drain()
            await too_large(scope["path"], body.limit)(scope, receive, exchange.send)
            return
        if scope["path"] in PASSED and scope["method"] == "POST" and self.gateway.remotes.settings:
            await self._pass_or_plan(scope, body, exchange)
            return
        await self.app(scope, body.receive, exchange.send)

    async def _pass_or_plan(self, scope: Scope, body: "Body", exchange: "Exchange") -> None:
        """What names a remote expert goes straight there; all else goes on, with the body as it was read."""
        try:
            content = await body.whole()
        except BodyTooLarge:
            response = too_large(scope["path"], body.limit)
            await response(scope, body.receive, exchange.send)
            return
        found = self.gateway.remotes.find(content)
        if found is None:
            await self.app(scope, body.again(content), exchange.send)
            return
        passing = Passing(self.gateway, scope, found[0])
        await passing(content, found[1], body.receive, exchange.send)

    async def _let_in(
        self, scope: Scope, headers: Headers, exchange: "Exchange"
    ) -> Response | None:
        """None when the door lets a request in; who asks is in the scope then."""
        path, client = scope["path"], scope.get("client")
        try:
            let = await self.gateway.door.let_in(
                scope["method"],
                path,
                headers.get("authorization", ""),
                headers.get("cookie", ""),
                where=client[0] if client else "",
            )
        except AccessRefused as error:
            told = refusal_headers(error)
            return error_response(path, Fault.of(error), error.status, headers=told)
        except WorkspaceUnavailable as error:
            return error_response(path, Fault.of(error), 503, headers={"Retry-After": "1"})
        scope[CALLER] = let.caller
        exchange.headers = let.headers
        return None


def too_large(path: str, limit: int) -> Response:
    return error_response(path, Fault(TooLarge.code, BodyTooLarge(limit).detail, "caller"), 413)


class Body:
    """A request's body that raises BodyTooLarge past a limit in bytes."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self.limit = limit
        self.size = 0
        self.more = True

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self.size += len(message.get("body", b""))
            self.more = message.get("more_body", False)
            if self.size > self.limit:
                await self.drain()
                raise BodyTooLarge(self.limit)
        return message

    async def whole(self) -> bytes:
        """Raises BodyTooLarge. Ends early when the client has left."""
        parts: list[bytes] = []
        while self.more:
            message = await self.receive()
            if message["type"] != "http.request":
                break
            parts.append(message.get("body", b""))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def again(self, content: bytes) -> Receive:
        """A `receive` that gives a body once more that was read whole."""
        first = True

        async def receive() -> Message:
            nonlocal first
            if first:
                first = False
                return {"type": "http.request", "body": content, "more_body": False}
            return await self._receive()

        return receive

    async def drain(self) -> None:
        """Takes in and drops what is still coming, within reason: a client that is cut off while it
        sends sees a broken connection and never reads why.
        """
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while self.more and self.size < self.limit * DRAIN_FACTOR:
                    message = await self._receive()
                    self.more = message.get("more_body", False)
                    self.size += len(message.get("body", b""))
        except TimeoutError:
            return


class Exchange:
    """One response on its way out: adds the security headers and counts it."""

    def __init__(self, scope: Scope, send: Send, gateway: Gateway) -> None:
        self._scope = scope
        self._send = send
        self._gateway = gateway
        self._started = time.perf_counter()
        self.headers: Mapping[str, str] = {}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY.items():
                headers.setdefault(name, value)
            for name, value in self.headers.items():
                headers[name] = value
            seconds = time.perf_counter() - self._started
            route = getattr(self._scope.get("route"), "path", "other")
            method = self._scope["method"]
            self._gateway.telemetry.request(route, method, message["status"], seconds)
        await self._send(message)


def readable(size: int) -> str:
    """A size in bytes in words: 1 MiB, 256 MiB, 900 bytes."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= factor:
            return f"{size / factor:.4g} {unit}"
    return f"{size} bytes"
