"""Tools of MCP servers: over a program and over HTTP, in the current protocol and the one before it."""

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from expert_calls import FILES
from mcp.client.client import Client
from mcp_shop import shop
from mcp_types import Tool

from pointsman.experts.base import Call, Done
from pointsman.experts.tools.folder import ToolFolder
from pointsman.experts.tools.mcp.expert import McpExpert, ToolChanged, asked_for_tools, listed
from pointsman.experts.tools.mcp.offered import offers, read_tools, written
from pointsman.experts.tools.mcp.registered import McpIn, parse_mcp
from pointsman.experts.tools.mcp.results import ToolFailed
from pointsman.router.errors import (
    AddressRefused,
    BadArguments,
    BadFile,
    ExpertError,
    ExpertFailed,
    ExpertUnavailable,
)

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
PROGRAM = (sys.executable, str(HERE / "mcp_shop.py"))


def given(**values: Any) -> McpIn:
    return McpIn.model_validate({"mcp": "shop.tools.json", "name": "shop", **values})


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The shop over HTTP."""
    app = shop().streamable_http_app()
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


async def tools_of_the_shop() -> list[Tool]:
    async with Client(shop()) as client:
        return await listed(client)


@contextlib.asynccontextmanager
async def expert_of(**values: Any) -> AsyncIterator[McpExpert]:
    expert = McpExpert(given(**values), await tools_of_the_shop())
    try:
        yield expert
    finally:
        await expert.close()


async def asked(
    expert: McpExpert, capability: str, patience: float = 20, /, **arguments: Any
) -> Done:
    return await expert.run(Call(capability, arguments, FILES, time.time() + patience))


@pytest.mark.parametrize(
    ("way", "protocol"),
    [
        ("program", "auto"),
        ("program", "legacy"),
        ("http", "auto"),
        ("http", "legacy"),
        ("http", "2026-07-28"),
    ],
)
async def test_tools_are_called_in_both_protocols_and_both_ways(
    address: str, way: str, protocol: str
) -> None:
    reached = (
        {"command": PROGRAM}
        if way == "program"
        else {"url": f"http://{address}/mcp", "allow": [address]}
    )
    async with expert_of(**reached, protocol=protocol) as expert:
        found = await asked(expert, "shop.find", colour="red", most=2)
        assert found.value == [{"id": 0, "colour": "red"}, {"id": 1, "colour": "red"}]
        many = await asyncio.gather(*(asked(expert, "shop.buy", chair=i) for i in range(8)))
        assert [m.value for m in many] == [{"order": 7, "chair": i} for i in range(8)]


async def test_a_hint_counts_only_from_a_server_that_is_trusted() -> None:
    tools = await tools_of_the_shop()
    plain, _ = offers(given(command=PROGRAM), tools)
    assert {o.capability.effect for o in plain.values()} == {"once"}
    trusted, _ = offers(given(command=PROGRAM, trust=True), tools)
    assert trusted["shop.find"].capability.effect == "pure"
    assert trusted["shop.empty"].capability.effect == "idempotent"
    assert trusted["shop.empty"].capability.approval
    assert trusted["shop.buy"].capability.effect == "once"
    told, _ = offers(
        given(command=PROGRAM, describe={"buy": {"effect": "keyed", "title": "buy it"}}), tools
    )
    assert told["shop.buy"].capability.effect == "keyed"


async def test_what_comes_of_a_call_is_a_value_a_file_or_a_failure() -> None:
    async with expert_of(command=PROGRAM) as expert:
        picture = (await asked(expert, "shop.picture")).value
        assert isinstance(picture, dict)
        assert picture["media_type"] == "image/png"
        with pytest.raises(ToolFailed, match="fail failed") as caught:
            await asked(expert, "shop.fail", why="no chairs")
        assert not caught.value.nothing_done
        for wrong in ({"colour": 5}, {}, {"colour": "red", "most": "many"}):
            with pytest.raises(BadArguments):
                await asked(expert, "shop.find", **wrong)


async def test_a_deadline_ends_a_call_and_the_next_one_is_served() -> None:
    async with expert_of(command=PROGRAM) as expert:
        with pytest.raises(ExpertFailed):
            await asked(expert, "shop.slow", 0.3, seconds=5)
        assert (await asked(expert, "shop.slow", seconds=0)).value == "done"


async def test_a_server_that_died_is_started_again() -> None:
    async with expert_of(command=PROGRAM) as expert:
        with pytest.raises(ExpertError) as caught:
            await asked(expert, "shop.die")
        assert not caught.value.nothing_done
        assert (await asked(expert, "shop.buy", chair=1)).value == {"order": 7, "chair": 1}


async def test_a_tool_that_changed_is_not_called(tmp_path: Path) -> None:
    flag = tmp_path / "changed"
    form = given(command=(*PROGRAM, str(flag)))
    tools = await tools_of_the_shop()
    flag.touch()
    expert = McpExpert(form, tools)
    with pytest.raises(ToolChanged, match="update shop") as caught:
        await asked(expert, "shop.buy", chair=1)
    assert caught.value.nothing_done
    assert (await asked(expert, "shop.find", colour="red", most=0)).value == []
    await expert.close()


async def test_a_program_is_given_what_was_named_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SHOP_KEY", "canary-not-named")
    async with expert_of(command=PROGRAM) as expert:
        assert (await asked(expert, "shop.secret")).value == "the key is none"
    async with expert_of(command=PROGRAM, env={"SHOP_KEY": {"env": "SHOP_KEY"}}) as expert:
        assert (await asked(expert, "shop.secret")).value == "the key is [secret]"


async def test_a_server_of_this_network_must_be_allowed(address: str) -> None:
    with pytest.raises(AddressRefused):
        await asked_for_tools(given(url=f"http://{address}/mcp"))


@pytest.mark.parametrize(
    "reached",
    [
        {"command": ("no-such-program-here",)},
        {"command": (sys.executable, "-c", "pass")},
        {"url": "http://127.0.0.1:1/mcp", "allow": ["127.0.0.1:1"]},
    ],
)
async def test_a_server_that_cannot_be_had_has_done_nothing(reached: dict[str, Any]) -> None:
    with pytest.raises(ExpertUnavailable) as caught:
        await asked_for_tools(given(**reached))
    assert caught.value.nothing_done


@pytest.mark.parametrize(
    "text",
    [
        "mcp: a.json\nname: a",
        "mcp: a.json\nname: a\nurl: http://a\ncommand: [b]",
        "mcp: ../a.json\nname: a\nurl: http://a",
        "mcp: a.json\nname: a\nurl: ftp://a",
        "mcp: a.json\nname: a\ncommand: [a]\ntoken: {env: X}",
        "mcp: a.json\nname: a\nurl: http://a\ntoken: sk-live-1",
    ],
)
def test_a_yaml_that_says_something_else_is_refused(text: str) -> None:
    with pytest.raises(BadFile) as caught:
        parse_mcp(text, "a.yaml")
    assert "sk-live" not in caught.value.message


async def test_the_list_of_tools_is_kept_as_it_is_read(tmp_path: Path) -> None:
    form = given(command=PROGRAM)
    tools = await tools_of_the_shop()
    assert written(read_tools(written(tools), "a")) == written(tools)
    folder = ToolFolder(tmp_path)
    folder.keep(form, written(tools))
    (expert,) = folder.load()
    assert {c.name for c in expert.capabilities} >= {"shop.find", "shop.buy"}


def cli(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pointsman.cli", "tools", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "POINTSMAN_HOME": str(home)},
        check=False,
    )


def test_a_server_is_added_and_updated_by_command(tmp_path: Path) -> None:
    flag = tmp_path / "changed"
    program: Sequence[str] = (*PROGRAM, str(flag))
    added = cli(tmp_path, "add", "mcp", "shop", "--", *program)
    assert added.returncode == 0, added.stderr
    assert "shop.find" in added.stdout
    flag.touch()
    updated = cli(tmp_path, "update", "shop")
    assert updated.returncode == 0, updated.stderr
    assert "shop.buy: it is described in other words" in updated.stdout
