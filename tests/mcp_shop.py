"""An MCP server for tests: a shop. `python mcp_shop.py` serves over stdin and stdout; --changed changes a tool."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import Context, Image, MCPServer
from mcp_types import ToolAnnotations


def shop(*, changed: bool = False) -> MCPServer[Any]:
    server: MCPServer[Any] = MCPServer("shop")

    @server.tool(title="find a chair", annotations=ToolAnnotations(read_only_hint=True))
    def find(colour: str, most: int = 5) -> list[dict[str, Any]]:
        """Finds chairs of a colour."""
        return [{"id": i, "colour": colour} for i in range(most)]

    @server.tool(annotations=ToolAnnotations(idempotent_hint=True, destructive_hint=True))
    def empty(cart: str) -> str:
        """Empties a cart."""
        return f"{cart} is empty"

    @server.tool(description="Buys a chair, and a table." if changed else None)
    def buy(chair: int) -> dict[str, Any]:
        """Buys a chair."""
        return {"order": 7, "chair": chair}

    @server.tool()
    def fail(why: str) -> str:
        """Fails."""
        raise ValueError(why)

    @server.tool()
    def secret() -> str:
        """Tells what it was given."""
        return f"the key is {os.environ.get('SHOP_KEY', 'none')}"

    @server.tool()
    def picture() -> Image:
        """Draws a chair."""
        return Image(data=b"\x89PNG", format="png")

    @server.tool()
    async def slow(seconds: float, ctx: Context[Any, Any]) -> str:
        """Takes its time."""
        await ctx.report_progress(1, 2, "half way")
        await asyncio.sleep(seconds)
        return "done"

    @server.tool()
    def die() -> str:
        """Takes the server down."""
        os._exit(3)

    return server


if __name__ == "__main__":
    flag = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    shop(changed=flag is not None and flag.exists()).run("stdio")
