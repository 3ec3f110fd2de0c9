"""A tool server: answers the operations of a description with its examples, or with values made to its schemas.

For tests, for trying a plan out, and as `pointsman tools mock`. It takes what the description takes and refuses
what it does not, as the real server should. Faults are asked for by a header of a single call,

    X-Fault: 503 | 429;retry-after=2 | drop | slow=1.5 | broken | html | large | echo | unlike

or injected into a share of all calls, drawn from a seed.
"""

import asyncio
import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from aiohttp import web

from pointsman.experts.tools.openapi.capabilities import is_json, success
from pointsman.experts.tools.openapi.deserialising import ABSENT, Deserialiser, query_pairs
from pointsman.experts.tools.openapi.operations import (
    PLACEHOLDER,
    Answer,
    Api,
    Operation,
    Parameter,
)
from pointsman.experts.tools.openapi.requests import Requests, compiled
from pointsman.experts.tools.openapi.samples import NoSample, Samples
from pointsman.router.errors import BadArguments

LARGEST = 8 << 20
"""Bytes of a request."""
FAULT = "X-Fault"
RAW = ("text", "binary")


@dataclass(frozen=True, slots=True)
class Faults:
    """share: of calls, 0..1, that fail with `fault`, which reads as the header does."""

    share: float = 0.0
    fault: str = "503"
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """A call that was taken. headers: names in lower case."""

    key: str
    arguments: Mapping[str, Any]
    headers: Mapping[str, str]
    target: str


class _Refused(Exception):
    """A request that the description does not allow."""

    def __init__(self, status: int, why: str) -> None:
        self.status, self.why = status, why
        super().__init__(why)


@dataclass
class _Route:
    pattern: re.Pattern[str]
    names: tuple[str, ...]
    methods: dict[str, Requests] = field(default_factory=dict)


class ToolServer:
    """Serves while the context is open: `async with ToolServer(api) as server: server.url`.

    auth: calls without the credentials that the description asks for are refused with 401.
    """

    def __init__(
        self,
        api: Api,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        auth: bool = False,
        faults: Faults | None = None,
    ) -> None:
        self._api = api
        self._host, self._port = host, port
        self._auth = auth
        self.faults = faults or Faults()
        self._draws = random.Random(self.faults.seed)
        self._answers = Samples(api.schemas, sent=False)
        self._reader = Deserialiser(api.schemas)
        self._routes = self._all_routes()
        self._made: dict[tuple[str, str, str], Any] = {}
        self.seen: list[Seen] = []
        self.url = ""

    async def __aenter__(self) -> "ToolServer":
        app = web.Application(client_max_size=LARGEST)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        address = self._runner.addresses[0]
        named = f"[{address[0]}]" if ":" in address[0] else address[0]
        self.url = f"http://{named}:{address[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    # --- routes ---------------------------------------------------------------------------------

    def _all_routes(self) -> list[_Route]:
        """Paths without parameters first, so that /pets/mine is not taken for /pets/{id}."""
        found: dict[str, _Route] = {}
        for operation in self._api.operations:
            route = found.get(operation.path)
            if route is None:
                parts = PLACEHOLDER.split(operation.path)
                text = "".join("([^/]+)" if i % 2 else re.escape(p) for i, p in enumerate(parts))
                route = _Route(re.compile(f"{text}/?"), tuple(parts[1::2]))
                found[operation.path] = route
            route.methods[operation.method] = Requests(operation, self._api.schemas)
        return sorted(found.values(), key=lambda r: len(r.names))

    def _found(self, method: str, path: str) -> tuple[Requests, dict[str, str]]:
        allowed: set[str] = set()
        level: int | None = None
        for route in self._routes:
            match = route.pattern.fullmatch(path)
            if match is None or level not in (None, len(route.names)):
                continue
            level = len(route.names)  # paths with as many parameters may stand for each other
            requests = route.methods.get(method)
            if requests is not None:
                return requests, dict(zip(route.names, match.groups(), strict=True))
            allowed |= route.methods.keys()
        if allowed:
            raise _Refused(405, ", ".join(sorted(allowed)))
        raise _Refused(404, "there is no such path")

    # --- one call -------------------------------------------------------------------------------

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        operation: Operation | None = None
        try:
            requests, path = self._found(request.method, self._path(request))
            operation = requests.operation
            if self._auth:
                self._check_auth(operation, request)
            arguments = await self._arguments(requests, request, path)
        except _Refused as refused:
            return self._refusal(operation, refused)
        headers = {k.lower(): v for k, v in request.headers.items()}
        self.seen.append(Seen(operation.key, arguments, headers, request.path_qs))
        fault = request.headers.get(FAULT) or self._drawn()
        if fault:
            failed = await self._fault(fault, request)
            if failed is not None:
                return failed
        return self._answer(operation, request)

    def _path(self, request: web.Request) -> str:
        """Below the path of the description's server, or from the root."""
        raw = request.rel_url.raw_path
        for operation in self._api.operations[:1]:
            base = urlsplit(operation.url).path.rstrip("/")
            if base and raw.startswith(f"{base}/"):
                return raw[len(base) :]
        return raw

    async def _arguments(
        self, requests: Requests, request: web.Request, path: Mapping[str, str]
    ) -> dict[str, Any]:
        query = query_pairs(request.rel_url.raw_query_string)
        found: dict[str, Any] = {}
        for parameter in requests.operation.parameters:
            value = self._reader.read(
                parameter, path=path, query=query, headers=request.headers, cookies=request.cookies
            )
            if value is not ABSENT:
                found[parameter.argument] = value
        try:
            requests.check_parameters(found)
            body = await self._body(requests, request)
            if body is not ABSENT:
                requests.check_body(body)
                found["body"] = body
        except BadArguments as error:
            raise _Refused(400, error.message) from error
        return found

    async def _body(self, requests: Requests, request: web.Request) -> Any:
        body = requests.operation.body
        if body is None:
            return ABSENT
        if not request.body_exists:
            if body.required:
                raise _Refused(400, "a body is required")
            return ABSENT
        media = request.content_type
        if any(media == m.partition(";")[0].strip() for m in body.also):
            return ABSENT  # it is taken as it is: we would not send it
        wanted = body.media.partition(";")[0].strip()
        if is_json(media) if body.form == "json" else media == wanted or body.form in RAW:
            return await self._content_of(requests, request)
        raise _Refused(415, f"the body is to be {wanted}")

    async def _content_of(self, requests: Requests, request: web.Request) -> Any:
        body = requests.operation.body
        assert body is not None
        if body.form in ("urlencoded", "multipart"):
            return await self._form(requests, request)
        content = await self._content(request)
        if body.form == "json":
            return _json(content)
        return ABSENT if body.form == "binary" else content.decode("utf-8", "replace")

    async def _content(self, request: web.Request) -> bytes:
        try:
            return await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise _Refused(413, "the body is too large") from None

    async def _form(self, requests: Requests, request: web.Request) -> dict[str, Any]:
        body = requests.operation.body
        assert body is not None
        try:
            fields = await request.post()
        except web.HTTPRequestEntityTooLarge:
            raise _Refused(413, "the body is too large") from None
        except (ValueError, LookupError, AssertionError) as error:
            raise _Refused(400, f"the form cannot be read: {error}") from error
        pairs = [(k, _text(v)) for k, v in fields.items() if not isinstance(v, web.FileField)]
        found: dict[str, Any] = {k: "" for k, v in fields.items() if isinstance(v, web.FileField)}
        properties = {body.fields[a]: s for a, s in body.properties.items()}
        for name in dict.fromkeys(k for k, _ in pairs):
            how = body.encodings.get(name)
            schema = properties.get(name, {})
            as_query = Parameter(
                name, name, "query", False, schema,
                style=how.style if how else "form",
                explode=how.explode if how else True,
            )  # fmt: skip
            target = self._reader.flat(schema)
            if target.get("type") == "object" or "properties" in target:
                found[name] = _loose_json(dict(pairs)[name])
            else:
                escaped = [(k, _escaped(v)) for k, v in pairs]
                found[name] = self._reader.from_query(as_query, target, escaped)
        return found

    def _check_auth(self, operation: Operation, request: web.Request) -> None:
        if not operation.security or frozenset() in operation.security:
            return
        for needed in operation.security:
            if all(self._proven(self._api.schemes.get(n, {}), request) for n in needed):
                return
        raise _Refused(401, "credentials are needed")

    def _proven(self, scheme: Mapping[str, Any], request: web.Request) -> bool:
        if scheme.get("type") == "apiKey":
            places: dict[str, Mapping[str, str]] = {
                "header": request.headers,
                "query": request.query,
                "cookie": request.cookies,
            }
            return bool(places.get(str(scheme.get("in")), {}).get(str(scheme.get("name"))))
        return bool(request.headers.get("Authorization"))

    # --- answers --------------------------------------------------------------------------------

    def _answer(self, operation: Operation, request: web.Request) -> web.Response:
        answer = success(operation)
        status = next((s for s, a in operation.answers.items() if a is answer), "200")
        code = int(status) if status.isdecimal() else 200
        return self._response(operation, code, status, answer, request.headers.get("Accept", ""))

    def _refusal(self, operation: Operation | None, refused: _Refused) -> web.Response:
        """In the form that the description gives to such a refusal, where it has one."""
        if operation is not None:
            codes = [str(refused.status)]
            if refused.status == 400:
                codes.append("422")
            for code in (*codes, "4XX", "DEFAULT"):
                answer = operation.answers.get(code)
                if answer is not None:
                    status = int(code) if code.isdecimal() else refused.status
                    return self._response(operation, status, code, answer, "")
        headers = {"Allow": refused.why} if refused.status == 405 else {}
        return web.json_response({"message": refused.why}, status=refused.status, headers=headers)

    def _response(
        self, operation: Operation, code: int, status: str, answer: Answer | None, accept: str
    ) -> web.Response:
        media = _media(answer, accept)
        if answer is None or media is None or code in (204, 205, 304):
            return web.Response(status=code)
        if not is_json(media):
            text = "<text/>" if "xml" in media else "text"
            return web.Response(
                status=code,
                body=text.encode(),
                headers={"Content-Type": media.replace("*", "plain")},
            )
        key = (operation.key, status, media)
        if key not in self._made:
            self._made[key] = self._json(answer, media)
        plain = "application/json" if "*" in media else media
        return web.Response(status=code, body=self._made[key], headers={"Content-Type": plain})

    def _json(self, answer: Answer, media: str) -> bytes:
        """The example, where it fits its schema; else a value made to it."""
        schema = answer.content[media]
        example = answer.examples.get(media, ABSENT)
        if schema is None:
            value = None if example is ABSENT else example
        else:
            checker = compiled(self._api.schemas.contained(schema, sent=False))
            if example is not ABSENT and checker.is_valid(example):
                value = example
            else:
                try:
                    value = self._answers.of(schema)
                except NoSample:
                    value = None if example is ABSENT else example
        return json.dumps(value).encode()

    # --- faults ---------------------------------------------------------------------------------

    def _drawn(self) -> str:
        return self.faults.fault if self._draws.random() < self.faults.share else ""

    async def _fault(self, fault: str, request: web.Request) -> web.StreamResponse | None:
        name, _, rest = fault.partition(";")
        name, _, amount = name.partition("=")
        headers = dict([rest.split("=", 1)]) if "=" in rest else {}
        if name.isdecimal() and 400 <= int(name) < 600:
            return web.json_response({"message": "injected"}, status=int(name), headers=headers)
        match name:
            case "drop":
                if request.transport is not None:
                    request.transport.abort()
                return web.Response()
            case "slow":
                await asyncio.sleep(float(amount or 1))
                return None
            case "broken":
                return web.Response(text='{"a": ', content_type="application/json")
            case "html":
                return web.Response(text="<html>down</html>", content_type="text/html")
            case "echo":
                said = f"{request.path_qs} {request.headers.get('Authorization', '')}"
                return web.json_response({"message": said})
            case "large":
                return web.Response(body=b'"' + b"a" * (LARGEST + 1) + b'"', content_type="application/json")  # fmt: skip
            case _:
                return web.json_response({"unlike": [name]})


def _media(answer: Answer | None, accept: str) -> str | None:
    """The media type of an answer that the caller takes, JSON before others."""
    if answer is None or not answer.content:
        return None
    json_first = sorted(answer.content, key=lambda m: not is_json(m))
    wanted: Sequence[str] = [a.partition(";")[0].strip() for a in accept.split(",")]
    for media in wanted:
        for have in json_first:
            if have.partition(";")[0].strip() == media:
                return have
    return json_first[0]


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise _Refused(400, "the body is not JSON") from None


def _text(value: str | bytes | bytearray) -> str:
    """A part of a form; one with a media type of its own comes as bytes."""
    return value if isinstance(value, str) else bytes(value).decode("utf-8", "replace")


def _loose_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _escaped(text: str) -> str:
    return quote(text, safe=",")
