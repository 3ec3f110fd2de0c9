"""Credentials: put where the description wants them, fetched where they are tokens, and found nowhere else."""

import asyncio
import json
import logging
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import zstandard
from actors import controlling, over, working
from aiohttp import web
from expert_calls import FILES
from tool_apis import SHOP, asked, served

from pointsman.experts.base import Call
from pointsman.experts.tools.openapi.responses import CallRefused
from pointsman.experts.tools.openapi.server import Faults
from pointsman.experts.tools.secrets.scrubbing import INSTEAD, Scrubber
from pointsman.experts.tools.secrets.sources import NoCredential, Source
from pointsman.router.errors import ExpertError, PointsmanError
from pointsman.router.plan import Plan, Task, TaskId
from pointsman.router.workspace import RunSpec, Workspace, connect

pytestmark = pytest.mark.anyio

CANARY = "canary+7f/3e=9 d1"
"""A secret that is written in another way in a query, a header and a token."""
HERE = {"env": "SHOP_SECRET"}


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_SECRET", CANARY)
    monkeypatch.setattr("pointsman.workflows.dispatcher.BACKOFF", 0.01)


def secured(*schemes: str) -> dict[str, Any]:
    return {**SHOP, "security": [{s: []} for s in schemes]}


@pytest.mark.parametrize(
    ("scheme", "given", "where"),
    [
        ("key", {"key": HERE}, "?key=canary%2B7f%2F3e%3D9+d1"),
        ("bearer", {"token": HERE}, f"Bearer {CANARY}"),
        ("basic", {"user": HERE, "password": HERE}, "Basic "),
        ("oauth", {"token": HERE}, f"Bearer {CANARY}"),
    ],
)
async def test_a_credential_goes_where_the_description_says(
    scheme: str, given: dict[str, Any], where: str
) -> None:
    async with served(secured(scheme), auth=True, auth_of={scheme: given}) as (server, expert):
        await asked(expert, "shop.get_product", id=1)
        seen = server.seen[-1]
        assert where in seen.target + seen.headers.get("authorization", "")


async def test_a_tenant_has_credentials_of_its_own(tmp_path: Path) -> None:
    own = tmp_path / "acme"
    own.write_text("acme-secret\n")
    tenants = {"acme": {"bearer": {"token": {"file": str(own)}}}}
    given = {"bearer": {"token": HERE}}
    async with served(secured("bearer"), auth_of=given, tenants=tenants) as (server, expert):
        for tenant, token in (("acme", "acme-secret"), ("other", CANARY)):
            await asked(expert, "shop.get_product", tenant, id=1)
            assert server.seen[-1].headers["authorization"] == f"Bearer {token}"
        own.write_text("acme-newer")
        await asked(expert, "shop.get_product", "acme", id=1)
        assert server.seen[-1].headers["authorization"] == "Bearer acme-newer"


async def test_without_its_credential_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(secured("key"), auth_of={"key": {"key": HERE}}) as (server, expert):
        monkeypatch.delenv("SHOP_SECRET")
        with pytest.raises(NoCredential, match="SHOP_SECRET") as caught:
            await asked(expert, "shop.get_product", id=1)
        assert caught.value.nothing_done
        assert not server.seen


async def test_a_service_that_asks_for_what_nobody_named_is_told_of() -> None:
    async with served(secured("key"), auth=True) as (_, expert):
        with pytest.raises(CallRefused, match="credentials"):
            await asked(expert, "shop.get_product", id=1)


def test_a_secret_with_a_line_break_cannot_stand_in_a_header(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("a\r\nX-Other: 1")

    async def called() -> None:
        given = {"bearer": {"token": {"file": str(path)}}}
        async with served(secured("bearer"), auth_of=given) as (_, expert):
            await asked(expert, "shop.get_product", id=1)

    with pytest.raises(NoCredential, match="line break"):
        asyncio.run(called())


def test_a_file_that_is_not_there_is_named_and_not_shown(tmp_path: Path) -> None:
    with pytest.raises(NoCredential, match="No such file"):
        Source(file=tmp_path / "gone").read()


# --- tokens ----------------------------------------------------------------------------------------


@dataclass
class TokenServer:
    """Gives numbered tokens that live an hour."""

    url: str = ""
    forms: list[dict[str, Any]] = field(default_factory=list)
    life: int = 3600

    async def give(self, request: web.Request) -> web.Response:
        self.forms.append({**await request.post(), "auth": request.headers.get("Authorization")})
        token = {"access_token": f"token-{len(self.forms)}", "expires_in": self.life}
        return web.json_response({**token, "refresh_token": f"again-{len(self.forms)}"})


@asynccontextmanager
async def tokens() -> AsyncIterator[TokenServer]:
    given = TokenServer()
    app = web.Application()
    app.router.add_post("/token", given.give)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    given.url = f"http://127.0.0.1:{runner.addresses[0][1]}/token"
    try:
        yield given
    finally:
        await runner.cleanup()


def oauth(server: TokenServer, **more: Any) -> dict[str, Any]:
    return {
        "oauth": {"client": HERE, "secret": HERE, "url": server.url, "scopes": ["read"], **more}
    }


async def test_client_credentials_are_fetched_once_for_all_who_wait() -> None:
    async with (
        tokens() as given,
        served(secured("oauth"), auth=True, auth_of=oauth(given), more=given.url) as (
            server,
            expert,
        ),
    ):
        await asyncio.gather(*(asked(expert, "shop.get_product", id=i) for i in range(20)))
        assert len(given.forms) == 1
        assert given.forms[0]["grant_type"] == "client_credentials"
        assert given.forms[0]["scope"] == "read"
        assert str(given.forms[0]["auth"]).startswith("Basic ")
        assert {s.headers["authorization"] for s in server.seen} == {"Bearer token-1"}


async def test_a_token_near_its_end_is_renewed_with_the_last_refresh() -> None:
    async with (
        tokens() as given,
        served(
            secured("oauth"), auth_of=oauth(given, refresh=HERE), more=given.url
        ) as (server, expert),
    ):  # fmt: skip
        given.life = 1
        await asked(expert, "shop.get_product", id=1)
        await asked(expert, "shop.get_product", id=1)
        assert [f["refresh_token"] for f in given.forms] == [CANARY, "again-1"]
        assert server.seen[-1].headers["authorization"] == "Bearer token-2"


async def test_a_token_server_of_this_network_must_be_allowed() -> None:
    async with (
        tokens() as given,
        served(secured("oauth"), auth_of=oauth(given)) as (server, expert),
    ):
        with pytest.raises(ExpertError):
            await asked(expert, "shop.get_product", id=1)
        assert not given.forms
        assert not server.seen


# --- nowhere else ----------------------------------------------------------------------------------


def test_every_form_of_a_secret_is_taken_out() -> None:
    scrubber = Scrubber([CANARY])
    text = f"a {CANARY} b canary%2B7f%2F3e%3D9%20d1 c canary%2B7f%2F3e%3D9+d1"
    assert scrubber.text(text) == f"a {INSTEAD} b {INSTEAD} c {INSTEAD}"
    assert scrubber.value({CANARY: [CANARY, 1, None]}) == {INSTEAD: [INSTEAD, 1, None]}


def everything(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error)


@pytest.mark.parametrize("scheme", ["key", "bearer", "basic"])
@pytest.mark.parametrize("fault", ["401", "500", "drop", "broken", "slow=2", "echo"])
async def test_no_secret_is_in_an_error_or_a_log(
    scheme: str, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    given = {
        "key": {"key": HERE},
        "bearer": {"token": HERE},
        "basic": {"user": HERE, "password": HERE},
    }
    faults = Faults(1.0, fault)
    async with served(secured(scheme), faults=faults, auth_of={scheme: given[scheme]}) as (
        _,
        expert,
    ):
        try:
            done = await expert.run(Call("shop.get_product", {"id": 1}, FILES, time.time() + 0.5))
            said = json.dumps(done.value) + done.note
        except PointsmanError as error:
            said = everything(error)
    scrubber = Scrubber([CANARY, "canary+7f"])
    assert not scrubber.found_in(said)
    assert not scrubber.found_in(caplog.text)
    assert CANARY not in repr(expert.__dict__) + repr(expert.offered)


async def test_no_secret_is_anywhere_after_runs_that_went_well_and_ill(
    workspace: Workspace, redis_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The whole of Redis, events, slots, traces, dead letters, files and logs."""
    caplog.set_level(logging.DEBUG)
    a = TaskId("a")
    plan = Plan((Task(a, "shop.get_product", {"id": 1}),), answer=(a,))
    async with (
        served(secured("key"), auth_of={"key": {"key": HERE}}) as (server, expert),
        controlling(workspace, redis_url),
        working(workspace, tmp_path / "files", [expert]),
    ):
        for fault in ("", "echo", "404", "500"):
            server.faults = Faults(1.0 if fault else 0.0, fault)
            run = await workspace.create_run(RunSpec("look it up", plan=plan))
            await over(workspace, run)
    found = await dumped(redis_url)
    scrubber = Scrubber([CANARY, "canary+7f"])
    assert "shop.get_product" in found
    assert INSTEAD in found  # what the service echoed was here
    assert not scrubber.found_in(found)
    assert not scrubber.found_in(caplog.text)
    assert not files_with(tmp_path, b"canary")


async def dumped(url: str) -> str:
    """Every key of Redis and what it holds, unpacked where it is packed."""
    redis = connect(url, decode_responses=False)
    parts: list[str] = []
    async for key in redis.scan_iter("*"):
        match await redis.type(key):
            case b"string":
                value: Any = await redis.get(key)
            case b"hash":
                value = await redis.hgetall(key)
            case b"list":
                value = await redis.lrange(key, 0, -1)
            case b"set":
                value = await redis.smembers(key)
            case b"zset":
                value = await redis.zrange(key, 0, -1)
            case _:
                value = await redis.xrange(key)
        parts.append(f"{key!r} {'; '.join(unpacked(value))}")
    await redis.aclose()
    return "\n".join(parts)


def unpacked(value: Any) -> Iterator[str]:
    if isinstance(value, bytes):
        if value[:4] == b"\x28\xb5\x2f\xfd":
            value = zstandard.ZstdDecompressor().decompress(value, max_output_size=1 << 20)
        yield value.decode("utf-8", "replace")
    elif isinstance(value, dict):
        for pair in value.items():
            yield from unpacked(pair)
    elif isinstance(value, list | tuple | set):
        for one in value:
            yield from unpacked(one)


def files_with(folder: Path, what: bytes) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and what in p.read_bytes()]
