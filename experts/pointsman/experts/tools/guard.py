"""Where calls may go: only public addresses, checked when a name is resolved and pinned to what was checked.

The resolver of the connection is ours: the addresses that it has checked are the ones connected to, so a name
that resolves to something else a moment later (DNS rebinding) gains nothing, and every redirect passes again.
No proxy, cookie or credential is taken from the environment. TLS is verified.

Credentials are put on a request here, below the client that logs its requests and keeps them in its errors.
"""

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from multidict import CIMultiDict
from yarl import URL

from pointsman.router.errors import AddressRefused, ExpertUnavailable

PER_HOST = 64
"""Connections to one host at a time; further calls wait for one."""
CONNECT_SECONDS = 10.0
METADATA = frozenset(
    ipaddress.ip_address(a) for a in ("168.63.129.16", "100.100.100.200", "192.0.0.192")
)
"""Addresses of cloud metadata services that count as public."""
NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
SITE_LOCAL = ipaddress.ip_network("fec0::/10")
NUMERIC = re.compile(r"(?:0[xX][0-9a-fA-F]*|[0-9]+)(?:\.(?:0[xX][0-9a-fA-F]*|[0-9]+))*\.?")
"""Spellings that a resolver takes for an address: 2130706433, 0x7f.1, 0177.0.0.1."""
LOCAL_NAMES = ("localhost", "local", "internal", "localdomain", "home.arpa", "intranet", "lan")
"""Names, and ends of names, of machines near us; refused before anything is resolved."""
HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?", re.I)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Authorise = Callable[[httpx.Request], httpx.Request]


def is_public(address: Address) -> bool:
    """Whether an address may be called; forms that wrap an IPv4 address are judged by what they wrap."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id or address in SITE_LOCAL:
            return False
        wrapped = address.ipv4_mapped or address.sixtofour or _nat64(address)
        if wrapped is not None:
            return is_public(wrapped)
        if address.teredo is not None:
            return False
    unfit = address.is_multicast or address.is_reserved or address in METADATA
    return address.is_global and not unfit


def _nat64(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if any(address in net for net in NAT64):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def literal(host: str) -> Address | None:
    """The address that a host is, written plainly; None for a name. Raises AddressRefused for any other spelling."""
    bare = host.strip("[]")
    try:
        return ipaddress.ip_address(bare)
    except ValueError:
        pass
    if ":" in bare or NUMERIC.fullmatch(bare):
        raise AddressRefused(host, "write the address plainly, as four numbers from 0 to 255")
    return None


def check_host(host: str) -> None:
    """What can be told before a name is resolved. Raises AddressRefused."""
    address = literal(host)
    if address is not None:
        if not is_public(address):
            raise AddressRefused(host, f"{address} is not a public address")
        return
    name = host.rstrip(".").casefold()
    if not HOST.fullmatch(host) or len(name) > 253:
        raise AddressRefused(host, "it is not a name of a host")
    if any(name == n or name.endswith(f".{n}") for n in LOCAL_NAMES):
        raise AddressRefused(host, "it names a machine of this network")


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host. Raises AddressRefused when any is not public, ExpertUnavailable for none."""
    check_host(host)
    found = await _addresses(host, port)
    for address in found:
        if not is_public(ipaddress.ip_address(address)):
            raise AddressRefused(host, f"{address} is not a public address")
    return found


async def _addresses(host: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ExpertUnavailable(f"{host} cannot be found: {error}") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def key_of(url: httpx.URL) -> tuple[str, int]:
    """Host and port that a URL leads to."""
    return url.host, url.port or (443 if url.scheme == "https" else 80)


class Allowed:
    """ "host:port" that may be called although not public; a host alone stands for all of its ports."""

    def __init__(self, entries: Sequence[str] = ()) -> None:
        self._entries = frozenset(e.casefold() for e in entries)

    def __contains__(self, place: tuple[str, int]) -> bool:
        host, port = place[0].casefold().rstrip("."), place[1]
        named = f"[{host}]" if ":" in host else host
        return bool(self._entries & {f"{host}:{port}", f"{named}:{port}", host, named})


class PinnedResolver(AbstractResolver):
    """Resolves for the connector: what it returns is what is connected to."""

    def __init__(self, allowed: Allowed) -> None:
        self._allowed = allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        here = (host, port) in self._allowed
        found = await (_addresses(host, port) if here else resolve(host, port))
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in found
        ]

    async def close(self) -> None:
        return None


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


@contextmanager
def _as_httpx(url: URL) -> Iterator[None]:
    """Errors of the connection in httpx's words, without addresses or credentials in them."""
    host = url.host or "the host"
    try:
        yield
    except aiohttp.ClientConnectorError as error:
        raise httpx.ConnectError(f"{host} cannot be reached: {type(error).__name__}") from None
    except aiohttp.ConnectionTimeoutError:
        raise httpx.ConnectTimeout(f"{host} did not take the connection in time") from None
    except aiohttp.ServerTimeoutError:
        raise httpx.ReadTimeout(f"{host} did not answer in time") from None
    except (aiohttp.ClientError, OSError) as error:
        raise httpx.ReadError(f"{host} broke off: {type(error).__name__}") from None


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx(self._answer.url):
            async for chunk in self._answer.content.iter_any():
                yield chunk

    async def aclose(self) -> None:
        self._answer.close() if not self._answer.content.at_eof() else self._answer.release()


class GuardedTransport(httpx.AsyncBaseTransport):
    """Checks, pins, connects. allow: "host:port" that may be called although not public.

    keep: connections are kept for the next call. A call with an effect that must not happen twice goes over a
    connection of its own, for one that the server has closed meanwhile leaves its outcome unknown: its request
    has the extension "fresh". The extension "authorise" puts the credentials on.
    """

    def __init__(
        self, allow: Sequence[str] = (), *, keep: bool = True, per_host: int = PER_HOST
    ) -> None:
        self._allowed = Allowed(allow)
        self._keep = keep
        self._per_host = per_host
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.scheme not in ("http", "https"):
            raise AddressRefused(str(request.url), "only http and https are fetched")
        place = key_of(request.url)
        if place not in self._allowed:
            check_host(place[0])
        authorise: Authorise | None = request.extensions.get("authorise")
        sent = authorise(request) if authorise is not None else request
        fresh = bool(request.extensions.get("fresh")) or not self._keep
        url = URL(str(sent.url), encoded=True)
        seconds = request.extensions.get("timeout", {})
        with _as_httpx(url):
            answer = await self._session(fresh=fresh).request(
                sent.method,
                url,
                headers=CIMultiDict(sent.headers.multi_items()),
                data=await _content(sent),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    sock_connect=seconds.get("connect"), sock_read=seconds.get("read")
                ),
            )
        return httpx.Response(
            answer.status,
            headers=list(answer.raw_headers),
            stream=_Body(answer),
            request=request,
            extensions={"reason_phrase": (answer.reason or "").encode("ascii", "replace")},
        )

    def _session(self, *, fresh: bool) -> aiohttp.ClientSession:
        """Made when it is needed, in the loop that needs it."""
        session = self._sessions.get(fresh)
        if session is None:
            connector = aiohttp.TCPConnector(
                resolver=PinnedResolver(self._allowed),
                ssl=_tls(),
                limit=0,
                limit_per_host=self._per_host,
                force_close=fresh,
                family=socket.AF_UNSPEC,
            )
            session = self._sessions[fresh] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            )
        return session

    async def aclose(self) -> None:
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()


async def _content(request: httpx.Request) -> bytes | None:
    return await request.aread() or None


def client(
    allow: Sequence[str] = (), *, redirects: int = 0, keep: bool = False, per_host: int = PER_HOST
) -> httpx.AsyncClient:
    """A client behind the guard; the one place where tools get theirs.

    redirects: how many are followed. Whoever calls bounds the whole with a deadline.
    """
    return httpx.AsyncClient(
        transport=GuardedTransport(allow, keep=keep, per_host=per_host),
        follow_redirects=redirects > 0,
        max_redirects=redirects,
        trust_env=False,
        timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
        headers={"User-Agent": "pointsman", "Accept-Encoding": "gzip, deflate"},
    )


__all__ = [
    "PER_HOST",
    "Address",
    "Allowed",
    "GuardedTransport",
    "PinnedResolver",
    "check_host",
    "client",
    "is_public",
    "key_of",
    "literal",
    "resolve",
]
