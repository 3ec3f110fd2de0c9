"""Calls an API: the arguments are checked, the request is written and sent behind the guard, the answer is read."""

import asyncio
import mimetypes
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import httpx

from pointsman.experts.base import Call, Done
from pointsman.experts.tools import guard, http
from pointsman.experts.tools.openapi.capabilities import (
    capability_of,
    described,
    names_of,
    shared_titles,
)
from pointsman.experts.tools.openapi.operations import Api, Operation, Skipped
from pointsman.experts.tools.openapi.paging import Paging, together
from pointsman.experts.tools.openapi.registered import ApiIn
from pointsman.experts.tools.openapi.requests import Prepared, Requests
from pointsman.experts.tools.openapi.responses import PASSING, Binary, Reply, Responses, passing
from pointsman.experts.tools.pacing import PATIENCE, Pace
from pointsman.experts.tools.secrets.schemes import Credentials
from pointsman.experts.tools.secrets.scrubbing import Scrubber
from pointsman.router.cards import ExpertCard
from pointsman.router.catalog import Capability
from pointsman.router.errors import (
    BadFile,
    ExpertError,
    ExpertOverloaded,
    ExpertUnavailable,
)

REDIRECTS = 3
LEFT_OUT = "left out by include or exclude"
ACCEPT = "application/json, text/plain;q=0.5, */*;q=0.1"


@dataclass
class Offered:
    """An operation under its name in the catalog, and all that a call of it needs."""

    capability: Capability
    requests: Requests
    responses: Responses
    paging: Paging

    @property
    def operation(self) -> Operation:
        return self.requests.operation


def offers(given: ApiIn, api: Api) -> tuple[dict[str, Offered], list[Skipped]]:
    """What is offered of an API, by name, and what is left out, each with the reason."""
    wanted = [o for o in api.operations if given.wants(o)]
    left = [Skipped(o.key, LEFT_OUT) for o in api.operations if not given.wants(o)]  # fmt: skip
    names = names_of(given.name, wanted)
    titles = shared_titles(wanted)
    made: dict[str, Offered] = {}
    for operation in wanted:
        renamed = given.renamed(operation)
        name = f"{given.name}.{renamed}" if renamed else names[operation.key]
        if name in made:
            raise BadFile(given.name, f"two operations are named {name!r}; rename one")
        requests = Requests(operation, api.schemas)
        made[name] = Offered(
            described(capability_of(name, operation, api.schemas, titles), given.words(operation)),
            requests,
            Responses(operation, api.schemas, given.check),
            Paging(operation),
        )
    return made, [*api.skipped, *left]


def base_url(given: ApiIn, api: Api) -> str:
    """Where the API is called. Raises BadFile when neither the YAML nor the description say."""
    url = given.url or next((o.url for o in api.operations if o.url), "")
    if not url.startswith(("http://", "https://")) and given.source.startswith("http"):
        url = urljoin(given.source, url)
    parsed = httpx.URL(url) if url.startswith(("http://", "https://")) else None
    if parsed is None or not parsed.host or parsed.userinfo or parsed.query or "{" in url:
        raise BadFile(given.name, f"{url!r} is no address of a server; give it as 'url' (--url)")
    return url.rstrip("/")


class ApiExpert:
    """Serves the operations of one API. allow: "host:port" that may be called although not public."""

    def __init__(self, given: ApiIn, api: Api, allow: Sequence[str] = ()) -> None:
        self._given = given
        self._base = httpx.URL(base_url(given, api))
        self.offered, self.skipped = offers(given, api)
        self.capabilities: Sequence[Capability] = tuple(o.capability for o in self.offered.values())
        self.card = ExpertCard(
            name=given.name,
            kind="tool",
            description=f"{api.title or given.name}, over HTTP",
            serves={c.name: c.prior for c in self.capabilities},
            concurrency=given.connections,
        )
        allowed = (*allow, *given.allow)
        self._credentials = Credentials(given, api.schemes, self._base, allowed)
        self._pace = Pace()
        self._web = guard.client(allowed, keep=True, per_host=given.connections)

    async def run(self, call: Call) -> Done:
        """Raises ExpertError; BadArguments before anything is sent."""
        offered = self.offered[call.capability]
        seconds = max(0.1, call.deadline - time.time())
        scrubber = Scrubber()
        try:
            async with asyncio.timeout(seconds):
                return await self._called(offered, call, scrubber)
        except TimeoutError:
            raise passing(f"{call.capability} did not answer within {seconds:.0f} s") from None
        except ExpertError as error:
            error.message = scrubber.text(error.message)
            error.args = (error.message,)
            raise

    async def _called(self, offered: Offered, call: Call, scrubber: Scrubber) -> Done:
        arguments: Mapping[str, Any] = call.arguments
        value, note, headers = await self._page(offered, arguments, call, scrubber)
        pages = [value]
        follow = offered.paging.possible and not offered.paging.asked(arguments)
        while follow and len(pages) < self._given.pages:
            more = offered.paging.following(arguments, headers, value)
            if more is None:
                break
            arguments = more
            value, _, headers = await self._page(offered, arguments, call, scrubber)
            pages.append(value)
        if len(pages) > 1:
            value = together(pages)
            last = offered.paging.following(arguments, headers, pages[-1]) is None
            note = f"{len(pages)} pages" + ("" if last else ", there are more")
        else:
            value = pages[0]
        return Done(value, note or offered.operation.key)

    async def _page(
        self, offered: Offered, arguments: Mapping[str, Any], call: Call, scrubber: Scrubber
    ) -> tuple[Any, str, Mapping[str, str]]:
        prepared = offered.requests.prepare(
            arguments, key=call.idempotency_key, opened=call.files.path
        )
        reply = await self._sent(offered, prepared, call, scrubber)
        value, note = offered.responses.value(reply)
        if isinstance(value, Binary):
            kept = await asyncio.to_thread(_kept, call, offered.capability, value)
            return kept, note, reply.headers
        if scrubber and scrubber.found_in(reply.content.decode("utf-8", "ignore")):
            value, note = scrubber.value(value), scrubber.text(note)
        return value, note, reply.headers

    async def _sent(
        self, offered: Offered, prepared: Prepared, call: Call, scrubber: Scrubber
    ) -> Reply:
        """The answer; with a new token once, where the first was refused."""
        await self._in_time(call)
        reply = await self._authorised(offered, prepared, call, scrubber)
        if reply.status == 401:
            reply = await self._authorised(offered, prepared, call, scrubber, again=True)
        wait = self._pace.heard(reply.headers, refused=reply.status in (429, 503))
        if reply.status == 429:
            raise ExpertOverloaded(offered.operation.key, wait)
        if reply.status in PASSING:
            raise passing(f"{offered.operation.key} answered {reply.status}", wait)
        return reply

    async def _authorised(
        self,
        offered: Offered,
        prepared: Prepared,
        call: Call,
        scrubber: Scrubber,
        *,
        again: bool = False,
    ) -> Reply:
        authorise, known = await self._credentials.for_call(
            offered.operation.security, call.tenant, again=again
        )
        scrubber.take(known)
        return await self._exchange(offered, prepared, authorise)

    async def _in_time(self, call: Call) -> None:
        """Waits as the service has asked; a long wait is told. Raises ExpertOverloaded."""
        wait = self._pace.wait
        if wait > min(PATIENCE, max(0.0, call.deadline - time.time())):
            raise ExpertOverloaded(self.card.name, wait)
        if wait:
            await asyncio.sleep(wait)

    async def _exchange(
        self, offered: Offered, prepared: Prepared, authorise: guard.Authorise | None
    ) -> Reply:
        url = self._base.copy_with(raw_path=_joined(self._base, prepared).encode("ascii"))
        once = offered.capability.effect in ("once", "keyed")
        extensions: dict[str, Any] = {"authorise": authorise, "fresh": once}
        reply = await self._exchanged(prepared, url, extensions)
        for _ in range(REDIRECTS):
            location = reply.headers.get("location")
            if reply.status not in (301, 302, 307, 308) or location is None:
                return reply
            target = url.join(location)
            same = (target.scheme, target.host, target.port) == (url.scheme, url.host, url.port)
            if prepared.method not in ("GET", "HEAD") or not same:
                return reply
            url = target
            reply = await self._exchanged(prepared, url, extensions)
        return reply

    async def _exchanged(
        self, prepared: Prepared, url: httpx.URL, extensions: dict[str, Any]
    ) -> Reply:
        request = self._web.build_request(
            prepared.method,
            url,
            headers={"Accept": ACCEPT, **prepared.headers},
            content=prepared.content,
            extensions=extensions,
        )
        host = url.host
        try:
            answer = await self._web.send(request, stream=True)
            try:
                content = await http.read(answer)
            finally:
                await answer.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise ExpertUnavailable(f"{host} cannot be reached: {type(error).__name__}") from None
        except httpx.HTTPError as error:
            raise passing(f"{host} broke off: {type(error).__name__}") from None
        return Reply(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, content)

    async def close(self) -> None:
        await self._web.aclose()


def _kept(call: Call, capability: Capability, given: Binary) -> Any:
    """Content that is no text, as a file that can be downloaded."""
    end = mimetypes.guess_extension(given.media) or ".bin"
    name = capability.name.rpartition(".")[2] + end
    return call.files.create(name, given.media, given.content).to_json()


def _joined(base: httpx.URL, prepared: Prepared) -> str:
    root = base.raw_path.decode("ascii").rstrip("/")
    path = prepared.path if prepared.path.startswith("/") else f"/{prepared.path}"
    return f"{root}{path}?{prepared.query}" if prepared.query else f"{root}{path}"
