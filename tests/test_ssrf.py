"""What a call must not reach, in every spelling that we know of."""

import asyncio
import socket
import time
from typing import Any

import httpx
import pytest

from pointsman.experts.tools import guard, http
from pointsman.router.errors import AddressRefused, BadArguments

pytestmark = pytest.mark.anyio

REFUSED = """
http://127.0.0.1/ http://127.0.0.1:6379/ http://127.1/ http://127.0.1/ http://127.255.255.254/
http://2130706433/ http://017700000001/ http://0177.0.0.1/ http://0177.0.0.01/ http://0x7f000001/
http://0x7f.0.0.1/ http://0x7f.1/ http://127.0.0.1./ http://00000177.0.0.1/ http://0/ http://0.0.0.0/
http://0x0/ http://[::]/ http://[::1]/ http://[0:0:0:0:0:0:0:1]/ http://[::ffff:127.0.0.1]/
http://[::ffff:7f00:1]/ http://[::127.0.0.1]/ http://[64:ff9b::7f00:1]/ http://[64:ff9b:1::a00:1]/
http://[2002:7f00:1::]/ http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/ http://[fe80::1]/ http://[fe80::1%25eth0]/
http://[fc00::1]/ http://[fd00:ec2::254]/ http://[fec0::1]/ http://[ff02::1]/ http://[100::1]/
http://[2001:db8::1]/ http://10.0.0.1/ http://10.255.255.255/ http://172.16.0.1/ http://172.31.255.255/
http://192.168.0.1/ http://192.168.1.254:8080/ http://167772161/ http://0xa000001/ http://0300.0250.0.1/
http://169.254.169.254/latest/meta-data/ http://169.254.170.2/ http://2852039166/ http://0xa9fea9fe/
http://[::ffff:169.254.169.254]/ http://168.63.129.16/ http://100.100.100.200/ http://192.0.0.192/
http://100.64.0.1/ http://198.18.0.1/ http://192.0.2.1/ http://198.51.100.1/ http://203.0.113.1/
http://224.0.0.1/ http://239.255.255.255/ http://240.0.0.1/ http://255.255.255.255/ http://192.0.0.1/
http://localhost/ http://LOCALHOST/ http://localhost./ http://foo.localhost/ http://printer.local/
http://metadata.google.internal/ http://vault.internal/ http://router.lan/ http://nas.home.arpa/
http://localhost.localdomain/ http://127。0。0。1/ http://①②⑦.⓪.⓪.①/ http://ⓛocalhost/
https://127.0.0.1/ https://[::1]:8443/ ftp://example.com/ file:///etc/passwd gopher://127.0.0.1:6379/_INFO
http://user:secret@example.com/ http://example.com@127.0.0.1/ http://127.0.0.1#@example.com/
http://-bad-.example/ http://a..b/ http:///etc/passwd http://256.256.256.256/ http://1.2.3.4.5/
""".split()


def test_the_list_is_long_enough() -> None:
    assert len(REFUSED) == len(set(REFUSED)) >= 60


@pytest.mark.parametrize("url", REFUSED)
async def test_it_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises((AddressRefused, BadArguments)):
        await http.get(url, allow=[], deadline=time.time() + 5)


class Names:
    """A resolver that answers with what the test says, another answer each time."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int, **_: Any) -> list[Any]:
        given = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in given]


async def got(monkeypatch: pytest.MonkeyPatch, names: Names, url: str) -> None:
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", names)
    async with guard.client() as web:
        await web.get(url)


@pytest.mark.parametrize(
    "answers",
    [["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["169.254.169.254"], ["::1"], ["fe80::1%eth0"]],
)
async def test_a_name_of_a_private_address_is_refused(
    monkeypatch: pytest.MonkeyPatch, answers: list[str]
) -> None:
    with pytest.raises(AddressRefused):
        await got(monkeypatch, Names(answers), "http://rebound.example.com/")


async def test_the_address_that_was_checked_is_the_one_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = Names(["93.184.216.34"], ["127.0.0.1"])
    # tests may connect to this machine only, and say where else they were going
    with pytest.raises(AssertionError, match=r"93\.184\.216\.34"):
        await got(monkeypatch, names, "http://rebound.example.com/")
    assert names.asked == 1


async def test_no_proxy_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with pytest.raises(AssertionError, match=r"93\.184\.216\.34"):
        await got(monkeypatch, Names(["93.184.216.34"]), "http://example.com/")


async def test_an_allowed_place_is_one_port_of_one_host() -> None:
    allowed = guard.Allowed(["127.0.0.1:8000", "[::1]:8000", "shop.internal"])
    assert ("127.0.0.1", 8000) in allowed
    assert ("::1", 8000) in allowed
    assert ("SHOP.internal.", 443) in allowed
    assert ("127.0.0.1", 8001) not in allowed
    async with guard.client(["127.0.0.1:8000"]) as web:
        with pytest.raises(AddressRefused):
            await web.get("http://127.0.0.1:8001/")


async def test_a_header_cannot_be_broken_out_of() -> None:
    async with guard.client(["127.0.0.1:1"]) as web:
        with pytest.raises((ValueError, httpx.HTTPError)):
            await web.get("http://127.0.0.1:1/", headers={"X-A": "1\r\nX-B: 2"})
