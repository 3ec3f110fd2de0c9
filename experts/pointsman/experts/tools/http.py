"""HTTP GET behind the guard (guard.py): only public addresses, on every redirect.

Answers are bounded in size, after decompression, and in time.
"""

import asyncio
import re
import time
import zlib
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any

import httpx

from pointsman.experts.base import Call
from pointsman.experts.tools import guard
from pointsman.experts.tools.functions import ToolExpert, capability
from pointsman.router.catalog import Prior
from pointsman.router.errors import BadArguments, ExpertError, ExpertFailed

LARGEST = 5 << 20
"""Bytes of an answer, decompressed."""
REDIRECTS = 5
SECONDS = 20.0
READABLE = re.compile(
    r"^(?:text/|application/(?:[\w.+-]*\+)?(?:json|xml)\b|application/xhtml)", re.I
)


class PageRefused(ExpertError):
    """The server answered that there is nothing to be had: another try gives the same."""

    code = "expert.page-refused"
    retryable = False


def client(allow: Sequence[str] = (), *, redirects: bool = True) -> httpx.AsyncClient:
    """A client for a few calls behind the guard."""
    return guard.client(allow, redirects=REDIRECTS if redirects else 0)


async def read(response: httpx.Response, limit: int = LARGEST) -> bytes:
    """The body, decompressed, at most `limit` bytes. Raises PageRefused when it is larger."""
    encoding = response.headers.get("content-encoding", "identity").lower()
    if encoding not in ("identity", "gzip", "deflate"):
        raise PageRefused(f"the answer is encoded as {encoding!r}, which is not read")
    unpack = None if encoding == "identity" else zlib.decompressobj(zlib.MAX_WBITS | 32)
    whole = bytearray()
    async for chunk in response.aiter_raw():
        _take(whole, chunk, unpack, limit)
    return bytes(whole)


def _take(whole: bytearray, chunk: bytes, unpack: Any, limit: int) -> None:
    try:
        whole += chunk if unpack is None else unpack.decompress(chunk, limit + 1 - len(whole))
    except zlib.error as error:
        raise ExpertFailed(f"the answer is damaged: {error}") from error
    if len(whole) > limit or (unpack is not None and unpack.unconsumed_tail):
        raise PageRefused(f"the answer is larger than {limit >> 10:,} KiB")


class _Reader(HTMLParser):
    """Readable text of a page: blocks on lines of their own, scripts and styles left out."""

    SILENT = frozenset(("script", "style", "noscript", "template", "svg"))
    BLOCKS = frozenset(
        """address article aside blockquote br dd div dl dt figcaption footer form h1 h2 h3 h4 h5 h6 header hr li
        main nav ol p pre section table td th title tr ul""".split()
    )

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._silent: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.SILENT:
            self._silent.append(tag)
        elif tag in self.BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if self._silent and tag == self._silent[-1]:
            self._silent.pop()
        elif tag in self.BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.parts.append(data)


def readable(html: str) -> str:
    """The text that a person would read on a page."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.parts).splitlines())
    return "\n".join(line for line in lines if line)


def checked(url: str) -> str:
    """Raises BadArguments for what is not an address of a page."""
    try:
        parsed = httpx.URL(url.strip())
    except (httpx.InvalidURL, TypeError) as error:
        raise BadArguments(f"{url!r} is not a web address: {error}") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise BadArguments(f"{url!r} must begin with http:// or https:// and name a host")
    if parsed.userinfo:
        raise BadArguments("an address with a user name or password in it is not fetched")
    return str(parsed)


async def get(url: str, *, allow: Sequence[str], deadline: float) -> tuple[httpx.Response, bytes]:
    """The answer and its body. Raises AddressRefused, PageRefused, ExpertFailed."""
    left = min(SECONDS, deadline - time.time())
    try:
        async with (
            asyncio.timeout(left),
            client(allow) as web,
            web.stream("GET", checked(url)) as answer,
        ):
            check_status(answer)
            return answer, await read(answer)
    except TimeoutError:
        raise ExpertFailed(f"{url} did not answer within {max(0.0, left):.0f} s") from None
    except httpx.TooManyRedirects:
        raise PageRefused(f"{url} leads on more than {REDIRECTS} times") from None
    except httpx.HTTPError as error:
        raise ExpertFailed(f"{url} cannot be fetched: {error or type(error).__name__}") from error


def decoded(body: bytes, answer: httpx.Response) -> str:
    """The body as text; what the declared charset does not read is shown as U+FFFD."""
    try:
        return body.decode(answer.charset_encoding or "utf-8", "replace")
    except LookupError:
        return body.decode("utf-8", "replace")


def check_status(answer: httpx.Response) -> None:
    status = answer.status_code
    if status == 429 or status >= 500:
        raise ExpertFailed(f"{answer.request.url.host} answered {status} {answer.reason_phrase}")
    if status >= 400:
        raise PageRefused(f"the page answered {status} {answer.reason_phrase}; check the address")


def http_expert(allow: Sequence[str] = ()) -> ToolExpert:
    """http.get. `allow`: "host:port" that may be fetched although the address is not public."""

    @capability(
        "http.get",
        title="fetch a web page",
        examples=(
            "fetch https://example.com/news and summarise it",
            "get the text of https://example.org",
            "download https://example.com/data.json",
            "open this link and tell me what it says: https://example.com",
            "read the page at https://example.com/about",
            "load https://example.com and list the dates",
            "what does https://example.com/terms say about refunds",
            "retrieve http://example.com/robots.txt",
        ),
        composition=(
            "its text goes on to text.summarize, text.entities, text.answer or text.find",
        ),
        effect="idempotent",
        prior=Prior(quality=0.9, latency=0.8),
    )
    async def fetch(call: Call, url: str) -> str:
        """Fetches a public web page or document and gives its readable text.

        Args:
            url: the address, with http:// or https://.
        """
        answer, body = await get(url, allow=allow, deadline=call.deadline)
        media = answer.headers.get("content-type", "text/plain")
        if not READABLE.match(media):
            raise PageRefused(f"{url} is {media.partition(';')[0]}, which is not text")
        text = decoded(body, answer)
        return readable(text) if "html" in media else text

    return ToolExpert("web", "Fetches public web pages", (fetch,))
