"""Calls the tools of one MCP server."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from mcp.client.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, Tool
from pydantic import ValidationError

from pointsman.experts.base import Call, Done
from pointsman.experts.tools.mcp.connection import Connection, opener
from pointsman.experts.tools.mcp.offered import OfferedTool, digest_of, offers
from pointsman.experts.tools.mcp.registered import McpIn
from pointsman.experts.tools.mcp.results import ToolFailed, value_of
from pointsman.experts.tools.openapi.requests import fault
from pointsman.experts.tools.secrets.schemes import SHARED
from pointsman.experts.tools.secrets.scrubbing import Scrubber
from pointsman.router.cards import ExpertCard
from pointsman.router.catalog import Capability
from pointsman.router.errors import BadArguments, ExpertError, ExpertFailed

PAGES = 50
"""Pages of a list of tools."""
WRONG_CALL = (-32600, -32601, -32602)
"""Codes of JSON-RPC by which a server says that it did not begin."""


class ToolChanged(ExpertError):
    """A tool is not what it was when it was added. Nothing was called."""

    code = "expert.tool-changed"
    retryable = False
    nothing_done = True


class McpExpert:
    """Serves the tools of one server. allow: "host:port" that may be called although not public."""

    def __init__(self, given: McpIn, tools: Sequence[Tool], allow: Sequence[str] = ()) -> None:
        self._given = given
        self._allow = tuple(allow)
        self.offered, self.skipped = offers(given, tools)
        self.capabilities: Sequence[Capability] = tuple(o.capability for o in self.offered.values())
        self.card = ExpertCard(
            name=given.name,
            kind="tool",
            description=f"{given.name}, an MCP server",
            serves={c.name: c.prior for c in self.capabilities},
            concurrency=given.connections,
        )
        self._connections: dict[str, Connection] = {}
        self._known: dict[str, dict[str, str]] = {}
        """Digests of the tools as each session has them."""

    async def run(self, call: Call) -> Done:
        """Raises ExpertError; BadArguments before anything is sent."""
        offered = self.offered[call.capability]
        arguments = dict(call.arguments)
        why = fault(offered.arguments, arguments)
        if why is not None:
            raise BadArguments(f"{call.capability}: {why}")
        scrubber = self._scrubber(call.tenant)
        try:
            async with asyncio.timeout(max(0.1, call.deadline - time.time())):
                return await self._called(offered, arguments, call, scrubber)
        except TimeoutError:
            raise ExpertFailed(f"{call.capability} did not answer in time") from None
        except ExpertError as error:
            error.message = scrubber.text(error.message)
            error.args = (error.message,)
            raise

    async def _called(
        self, offered: OfferedTool, arguments: dict[str, Any], call: Call, scrubber: Scrubber
    ) -> Done:
        connection = self._connection(call.tenant)
        client = await connection.client()
        await self._unchanged(client, offered, call.tenant)

        async def told(progress: float, total: float | None, message: str | None) -> None:
            call.progress(progress / total if total else 0.0, (message or "")[:200])

        try:
            result = await client.call_tool(
                offered.name, arguments, call.deadline - time.time(), told
            )
        except MCPError as error:
            if error.code in WRONG_CALL:
                raise BadArguments(f"{call.capability}: {error.message[:200]}") from None
            await self._drop(call.tenant)
            raise ExpertFailed(f"{call.capability}: {error.message[:200]}") from None
        except (ValidationError, RuntimeError):
            raise ToolFailed(f"{call.capability} answered against the protocol") from None
        except (OSError, EOFError) as error:
            await self._drop(call.tenant)
            raise ExpertFailed(f"{call.capability} broke off: {type(error).__name__}") from None
        return await self._done(offered, result, call, scrubber)

    async def _done(
        self, offered: OfferedTool, result: CallToolResult, call: Call, scrubber: Scrubber
    ) -> Done:
        value = await asyncio.to_thread(value_of, result, offered.name, call.files)
        why = None if offered.outcome is None else fault(offered.outcome, result.structured_content)
        note = f"not quite as described: {why}" if why else offered.name
        return Done(scrubber.value(value) if scrubber else value, scrubber.text(note))

    async def _unchanged(self, client: Client, offered: OfferedTool, tenant: str) -> None:
        """Raises ToolChanged: what a tool says of itself may not change behind the back of who added it."""
        known = self._known.get(tenant)
        if known is None:
            known = {t.name: digest_of(t) for t in await listed(client)}
            self._known[tenant] = known
        if known.get(offered.name) != offered.digest:
            del self._known[tenant]  # looked at again with the next call
            what = "is not there any more" if offered.name not in known else "has changed"
            raise ToolChanged(
                f"the tool {offered.name!r} of {self._given.name} {what}; "
                f"look at `pointsman tools update {self._given.name}`"
            )

    def _connection(self, tenant: str) -> Connection:
        own = tenant if tenant in self._given.tenants else SHARED
        if own not in self._connections:
            environment = {k: s.read().get_secret_value() for k, s in self._given.env.items()}
            token = self._token(own)
            opened = opener(self._given, token, self._allow, environment=environment)
            self._connections[own] = Connection(opened, self._given.name)
        return self._connections[own]

    async def _drop(self, tenant: str) -> None:
        """A session that broke; the next call opens another, and looks at its tools anew."""
        self._known.pop(tenant, None)
        await self._connection(tenant).drop()

    def _token(self, tenant: str) -> str:
        source = self._given.tenants.get(tenant) or self._given.token
        return source.read().get_secret_value() if source is not None else ""

    def _scrubber(self, tenant: str) -> Scrubber:
        values = [s.read().get_secret_value() for s in self._given.env.values()]
        token = self._token(tenant)
        return Scrubber([*values, *([token] if token else [])])

    async def close(self) -> None:
        for connection in self._connections.values():
            await connection.drop()


async def listed(client: Client) -> list[Tool]:
    """All tools of a server."""
    found: list[Tool] = []
    cursor: str | None = None
    for _ in range(PAGES):
        page = await client.list_tools(cursor=cursor)
        found += page.tools
        cursor = page.next_cursor
        if not cursor:
            break
    return found


async def asked_for_tools(given: McpIn, allow: Sequence[str] = ()) -> list[Tool]:
    """What a server offers now. Raises ExpertError."""
    expert = McpExpert(given, [], allow)
    try:
        client = await expert._connection(SHARED).client()
        return await listed(client)
    except MCPError as error:
        raise ExpertFailed(f"{given.name}: {error.message[:200]}") from None
    finally:
        await expert.close()
