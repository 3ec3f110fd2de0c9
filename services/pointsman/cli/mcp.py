"""`pointsman mcp serve`: Pointsman as an MCP server, so that other programs can have things done by it."""

from typing import Annotated

import typer

from pointsman.cli.base import Debug, Home, Url, app, errors
from pointsman.cli.output import note

group = typer.Typer(
    help="Pointsman as an MCP server: run, plan, status, cancel.", no_args_is_help=True
)
app.add_typer(group, name="mcp")


@group.callback()
def mcp() -> None:
    """The tools are run, plan, status and cancel. Effects that cannot be undone wait for a person's yes."""


@group.command(epilog="Example: pointsman mcp serve --url http://127.0.0.1:8321")
def serve(
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Over HTTP on this port; else over stdin and stdout."),
    ] = None,
    url: Url = None,
    home: Home = None,
    debug: Debug = False,
) -> None:
    """Serve the Model Context Protocol until the other side leaves, or until Ctrl-C."""
    from pointsman.cli.mcp_server import mcp_server
    from pointsman.client import AsyncClient

    with errors(as_json=False, debug=debug):
        server = mcp_server(lambda: AsyncClient(url, home=home))
        if port is None:
            server.run("stdio")
        else:
            note(f"the MCP server is at http://127.0.0.1:{port}/mcp")
            server.run("streamable-http", host="127.0.0.1", port=port)
