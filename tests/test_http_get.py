"""The guard of http.get, on addresses and on a real server of this machine."""

import contextlib
import gzip
import ipaddress
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pointsman.experts.tools import guard, http
from pointsman.router.errors import AddressRefused, BadArguments, ExpertFailed

pytestmark = pytest.mark.anyio


class Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        bodies = {"/bomb": gzip.compress(bytes(50 << 20)), "/huge": bytes(6 << 20), "/": b"hello"}
        if self.path == "/slow":
            time.sleep(1)
        inside = self.path == "/inside"
        self.send_response(302 if inside else 200 if self.path in bodies else 404)
        if inside:
            self.send_header("Location", "http://169.254.169.254/latest")
        if self.path == "/bomb":
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        with contextlib.suppress(OSError):  # the client may have had enough
            self.wfile.write(bodies.get(self.path, b""))

    def log_message(self, format: str, *args: object) -> None:
        return None


@pytest.fixture
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


async def fetched(site: str, path: str, seconds: float = 5) -> bytes:
    url = f"http://{site}{path}"
    return (await http.get(url, allow=[site], deadline=time.time() + seconds))[1]


async def test_a_page_comes_only_from_an_allowed_address(site: str) -> None:
    assert await fetched(site, "/") == b"hello"
    with pytest.raises(AddressRefused):
        await http.get(f"http://{site}/", allow=[], deadline=time.time() + 5)


async def test_a_redirect_passes_the_guard_again(site: str) -> None:
    with pytest.raises(AddressRefused):
        await fetched(site, "/inside")


@pytest.mark.parametrize("path", ["/bomb", "/huge", "/missing"])
async def test_what_is_too_large_or_missing_is_refused_for_good(site: str, path: str) -> None:
    with pytest.raises(http.PageRefused) as caught:
        await fetched(site, path)
    assert not caught.value.retryable


async def test_a_slow_server_meets_the_deadline(site: str) -> None:
    with pytest.raises(ExpertFailed, match="did not answer"):
        await fetched(site, "/slow", 0.2)


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "[::1]"])
async def test_every_spelling_of_loopback_is_refused(host: str) -> None:
    with pytest.raises((AddressRefused, BadArguments)):
        await http.get(f"http://{host}/", allow=[], deadline=time.time() + 5)


@pytest.mark.parametrize(
    "address",
    """10.0.0.1 169.254.169.254 168.63.129.16 224.0.0.1 ::ffff:10.0.0.1 64:ff9b::a00:1 2002:a00:1::
    ::7f00:1 fe80::1 fc00::1""".split(),
)
def test_no_address_of_a_private_network_is_public(address: str) -> None:
    assert not guard.is_public(ipaddress.ip_address(address))
    assert guard.is_public(ipaddress.ip_address("1.1.1.1"))


def test_credentials_in_an_address_are_refused() -> None:
    with pytest.raises(BadArguments):
        http.checked("http://user:secret@example.com/")


def test_a_page_without_an_end_of_its_head_is_read() -> None:
    page = "<html><head><title>News</title><style>p{}</style><body><p>It &amp; that"
    assert http.readable(page) == "News\nIt & that"
