"""How one proves who one is: the security schemes of OpenAPI 3.1 (section 4.8.27), put on a request.

auth:
  api_key: {key: {env: TMDB_KEY}}
  basic: {user: {env: SHOP_USER}, password: {file: /run/secrets/shop}}
  bearer: {token: {env: GITHUB_TOKEN}}
  oauth: {client: {env: ID}, secret: {env: SECRET}, scopes: [read], url: https://id.example.com/token}
tenants:
  acme: {api_key: {key: {env: ACME_TMDB_KEY}}}
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, Field

from pointsman.experts.tools.guard import Authorise
from pointsman.experts.tools.secrets.oauth import Tokens
from pointsman.experts.tools.secrets.scrubbing import Scrubber
from pointsman.experts.tools.secrets.sources import NoCredential, Source

SHARED = "default"
"""The tenant of runs that name none."""


class CredentialIn(BaseModel):
    """What one scheme needs; which of it, the scheme says.

    header, query: where a key goes, for an API whose description names no schemes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: Source | None = None
    token: Source | None = None
    user: Source | None = None
    password: Source | None = None
    client: Source | None = None
    secret: Source | None = None
    refresh: Source | None = None
    url: str | None = None
    scopes: tuple[str, ...] = ()
    header: str | None = None
    query: str | None = None


class AuthIn(BaseModel):
    """Credentials by scheme, and those of single tenants, which come before."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    auth: Mapping[str, CredentialIn] = Field(default_factory=dict)
    tenants: Mapping[str, Mapping[str, CredentialIn]] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Placed:
    """A secret and where it goes: a header, a part of the query, or a cookie."""

    place: str
    name: str
    value: str


class Credentials:
    """Of one API. origin: scheme, host and port that they are for; they go nowhere else.

    schemes: as the description names them. allow: token servers that may be called although not public.
    """

    def __init__(
        self,
        given: AuthIn,
        schemes: Mapping[str, Mapping[str, Any]],
        origin: httpx.URL,
        allow: Iterable[str] = (),
    ) -> None:
        self._given = given
        self._schemes = schemes
        self._origin = origin
        self._tokens = Tokens(tuple(allow))

    async def for_call(
        self, security: Iterable[frozenset[str]], tenant: str, *, again: bool = False
    ) -> tuple[Authorise | None, Scrubber]:
        """What puts the credentials on, and what takes them out of answers. again: a token was refused.

        Raises NoCredential when none of the alternatives can be had.
        """
        alternatives = list(security)
        wanted = self._choice(alternatives, tenant)
        placed: list[Placed] = []
        for scheme in sorted(wanted):
            placed.append(await self._placed(scheme, self._of(scheme, tenant), again=again))
        scrubber = Scrubber(p.value for p in placed)
        for one in placed:
            scrubber.add(one.value.removeprefix("Bearer ").removeprefix("Basic "))
            if one.value.startswith("Basic "):
                user, _, password = base64.b64decode(one.value[6:]).decode().partition(":")
                scrubber.add(password)
                scrubber.add(f"{user}:{password}")
        return (_putting(placed, self._origin) if placed else None), scrubber

    def _choice(self, alternatives: list[frozenset[str]], tenant: str) -> frozenset[str]:
        """The first alternative for which everything is given. Where an API says nothing, all that is given."""
        given = frozenset(self._given.auth) | frozenset(self._given.tenants.get(tenant, ()))
        if not self._given.auth and not self._given.tenants:
            return (
                frozenset()
            )  # nobody has named any: the service says itself whether it asks for some
        if not alternatives:
            return frozenset(n for n in given if n not in self._schemes)
        for needed in alternatives:
            if needed and needed <= given:
                return needed
        if frozenset() in alternatives:
            return frozenset()
        names = " or ".join(" and ".join(sorted(n)) for n in alternatives)
        raise NoCredential(f"it asks for {names}; name where it is kept under 'auth'")

    def _of(self, scheme: str, tenant: str) -> CredentialIn:
        own = self._given.tenants.get(tenant, {})
        return own[scheme] if scheme in own else self._given.auth[scheme]

    async def _placed(self, name: str, given: CredentialIn, *, again: bool) -> Placed:
        scheme = self._schemes.get(name, {})
        match scheme.get("type"), str(scheme.get("scheme", "")).casefold():
            case "apiKey", _:
                value = _needed(name, "key", given.key)
                return Placed(str(scheme.get("in")), str(scheme.get("name")), value)
            case "http", "basic":
                return _basic(name, given)
            case "http", _:
                token = _needed(name, "token", given.token or given.key)
                word = str(scheme.get("scheme", "Bearer"))
                word = "Bearer" if word.casefold() == "bearer" else word
                return Placed("header", "Authorization", f"{word} {token}")
            case (("oauth2" | "openIdConnect"), _):
                return await self._oauth(name, scheme, given, again=again)
            case _:
                place = "header" if given.header else "query"
                if given.header or given.query:
                    value = _needed(name, "key", given.key)
                    return Placed(place, given.header or given.query or "", value)
                if given.user is not None:
                    return _basic(name, given)
                token = _needed(name, "token", given.token)
                return Placed("header", "Authorization", f"Bearer {token}")

    async def _oauth(
        self, name: str, scheme: Mapping[str, Any], given: CredentialIn, *, again: bool
    ) -> Placed:
        if given.token is not None:
            return Placed(
                "header", "Authorization", f"Bearer {given.token.read().get_secret_value()}"
            )
        client = _needed(name, "client", given.client)
        secret = given.secret.read().get_secret_value() if given.secret else ""
        refresh = given.refresh.read().get_secret_value() if given.refresh else ""
        url = given.url or _token_url(scheme, refresh=bool(refresh))
        if not url:
            raise NoCredential(f"{name}: give the address of its tokens as 'url'")
        token = await self._tokens.get(
            url, client, secret, refresh=refresh, scopes=given.scopes, anew=again
        )
        return Placed("header", "Authorization", f"Bearer {token}")


def _needed(name: str, what: str, source: Source | None) -> str:
    if source is None:
        raise NoCredential(f"{name}: give its {what!r}, as {{env: NAME}} or {{file: PATH}}")
    value = source.read().get_secret_value()
    if any(ord(c) < 32 or ord(c) == 127 for c in value):
        raise NoCredential(f"{name}: its {what!r} holds a line break or a control character")
    return value


def _basic(name: str, given: CredentialIn) -> Placed:
    user = _needed(name, "user", given.user)
    password = _needed(name, "password", given.password) if given.password else ""
    packed = base64.b64encode(f"{user}:{password}".encode()).decode()
    return Placed("header", "Authorization", f"Basic {packed}")


def _token_url(scheme: Mapping[str, Any], *, refresh: bool) -> str:
    flows = scheme.get("flows")
    for name in (
        ("authorizationCode", "password", "clientCredentials")
        if refresh
        else ("clientCredentials",)
    ):
        flow = flows.get(name) if isinstance(flows, Mapping) else None
        if isinstance(flow, Mapping):
            return str(flow.get("refreshUrl") or flow.get("tokenUrl") or "")
    return ""


def _putting(placed: list[Placed], origin: httpx.URL) -> Authorise:
    """A copy of a request with the credentials on it; as it was when it goes somewhere else."""

    def authorise(request: httpx.Request) -> httpx.Request:
        url = request.url
        if (url.scheme, url.host, url.port) != (origin.scheme, origin.host, origin.port):
            return request
        headers = request.headers.copy()
        for one in placed:
            if one.place == "query":
                query = [url.query.decode("ascii")] if url.query else []
                more = str(httpx.QueryParams({one.name: one.value}))
                url = url.copy_with(query="&".join([*query, more]).encode("ascii"))
            elif one.place == "cookie":
                before = headers.get("Cookie")
                headers["Cookie"] = (
                    f"{before}; {one.name}={one.value}" if before else f"{one.name}={one.value}"
                )
            else:
                headers[one.name] = one.value
        return httpx.Request(request.method, url, headers=headers, stream=request.stream, extensions=request.extensions)  # fmt: skip

    return authorise
