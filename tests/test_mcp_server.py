"""Pointsman as an MCP server: other programs have things done by it, and cannot say yes for a person."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters
from stage import stage_in_thread
from stage_scripts import SCRIPTS

from pointsman.cli.mcp_server import mcp_server
from pointsman.client import AsyncClient

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with stage_in_thread(tmp_path_factory.mktemp("stage"), SCRIPTS) as found:
        yield found


async def called(client: Client, tool: str, **arguments: Any) -> Any:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return result.structured_content


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_request_is_planned_done_and_told(address: str, mode: str) -> None:
    async with Client(mcp_server(lambda: AsyncClient(address)), mode=mode) as client:
        tools = {t.name: t for t in (await client.list_tools()).tools}
        assert set(tools) == {"run", "plan", "status", "cancel"}
        assert tools["plan"].annotations is not None
        assert tools["plan"].annotations.read_only_hint
        done = await called(client, "run", request="complaints")
        assert done["status"] == "done"
        assert "battery life" in json.dumps(done)
        assert (await called(client, "status", run_id=done["run"])) == done


async def test_a_long_run_is_looked_at_and_stopped(address: str) -> None:
    async with Client(mcp_server(lambda: AsyncClient(address))) as client:
        begun = await called(client, "run", request="slowly", wait_seconds=0.1)
        assert begun["status"] in ("queued", "running")
        stopping = await called(client, "cancel", run_id=begun["run"])
        assert stopping["status"] == "stopping"


async def test_what_cannot_be_done_is_told_as_an_error_of_the_tool(address: str) -> None:
    async with Client(mcp_server(lambda: AsyncClient(address))) as client:
        result = await client.call_tool("status", {"run_id": "nothing"})
        assert result.is_error
        assert "nothing" in str(result.content)


async def test_the_command_speaks_over_its_pipes(address: str) -> None:
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "pointsman.cli", "mcp", "serve", "--url", address]
    )
    async with Client(command) as client:
        done = await called(client, "run", request="complaints")
        assert done["status"] == "done"
