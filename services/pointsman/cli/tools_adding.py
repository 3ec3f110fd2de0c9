"""`pointsman tools add`: capabilities of an API, of an MCP server, of programs of this machine."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from pointsman.cli.base import USAGE, Debug, Home, Json, local_errors
from pointsman.cli.output import clean, complain, console, document, note
from pointsman.cli.tools_base import Allow, Folder, add, tool_folder

if TYPE_CHECKING:
    from pointsman.experts.tools.mcp.registered import McpIn
    from pointsman.experts.tools.openapi.adding import Preview
    from pointsman.experts.tools.openapi.operations import Skipped

ROWS = 40
"""Operations that a table shows; --json shows all."""


@add.command(
    epilog="Example: pointsman tools add openapi tmdb.json --auth api_key=env:TMDB_KEY --include 'GET *'"
)
def openapi(
    source: Annotated[
        str, typer.Argument(help="A file or an address: OpenAPI 3.0, 3.1, Swagger 2.0.")
    ],
    name: Annotated[str | None, typer.Option(help="What its capabilities begin with.")] = None,
    url: Annotated[
        str, typer.Option(help="Where it is called, when its description does not say.")
    ] = "",
    include: Annotated[
        list[str] | None,
        typer.Option(
            help="Only these: 'GET /pets/*', an operation's id, 'tag:NAME'; can be repeated."
        ),
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="All but these.")] = None,
    auth: Annotated[
        list[str] | None,
        typer.Option(help="SCHEME=env:NAME or SCHEME=file:PATH: where a key or token is kept."),
    ] = None,
    pages: Annotated[int, typer.Option(min=1, max=100, help="Pages that are laid together.")] = 3,
    allow: Allow = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show it, and keep nothing.")] = False,
    as_json: Json = False,
    folder: Folder = None,
    home: Home = None,
    debug: Debug = False,
) -> None:
    """Every operation of an API becomes a capability, or is listed with the reason why not."""
    from pointsman.experts.tools.openapi.adding import fetched, name_for, preview

    with local_errors(debug=debug):
        content = fetched(source, allow or ())
        given = _given(
            {
                "name": name or name_for(content, source),
                "source": source if source.startswith("http") else "",
                "url": url,
                "include": include or (),
                "exclude": exclude or (),
                "pages": pages,
                "allow": allow or (),
            },
            content,
            auth or [],
        )
        kept = tool_folder(folder, home)
        if not dry_run and any(r.name == given.name for r in kept.registered()):
            complain(f"there is a tool {given.name!r} already; use `update`, or another --name")
            raise typer.Exit(USAGE)
        found = preview(given, content)
        _show(found, as_json=as_json)
        if dry_run:
            return
        path = kept.keep(given, content)
    note(
        f"{len(found.offered)} capabilities are kept in {path}; a running server sees them when it starts anew"
    )


def _given(values: dict[str, Any], content: bytes, auth: Sequence[str]) -> Any:
    """The YAML of the API from what the command line says. Ends with a line about what is wrong."""
    from pydantic import ValidationError

    from pointsman.experts.tools.openapi.operations import read_api
    from pointsman.experts.tools.openapi.reading import read_document
    from pointsman.experts.tools.openapi.registered import ApiIn

    api = read_api(read_document(content, values["name"]))
    credentials: dict[str, Any] = {}
    for entry in auth:
        scheme, _, where = entry.partition("=")
        kind, _, place = where.partition(":")
        if kind not in ("env", "file") or not place:
            complain(f"--auth {scheme}=...: give env:NAME or file:PATH, never the secret itself")
            raise typer.Exit(USAGE)
        if api.schemes and scheme not in api.schemes:
            complain(f"there is no scheme {scheme!r}; there are: {', '.join(sorted(api.schemes))}")
            raise typer.Exit(USAGE)
        what = "key" if api.schemes.get(scheme, {}).get("type") == "apiKey" else "token"
        credentials[scheme] = {what: {kind: place}}
    ending = "json" if content.lstrip()[:1] == b"{" else "yaml"
    ending += ".gz" if content[:2] == b"\x1f\x8b" else ""
    try:
        return ApiIn.model_validate(
            {"openapi": f"{values['name']}.openapi.{ending}", **values, "auth": credentials}
        )
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        complain(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
        raise typer.Exit(USAGE) from error


@add.command(
    epilog="Example: pointsman tools add mcp shop --env SHOP_KEY=env:SHOP_KEY -- python shop_server.py"
)
def mcp(
    name: Annotated[str, typer.Argument(help="What its capabilities begin with.")],
    command: Annotated[list[str] | None, typer.Argument(help="The program that is the server, and its arguments.")] = None,
    url: Annotated[str, typer.Option(help="The address of a server over HTTP, in place of a program.")] = "",
    token: Annotated[str | None, typer.Option(help="env:NAME or file:PATH: sent as a bearer token.")] = None,
    env: Annotated[list[str] | None, typer.Option(help="VARIABLE=env:NAME or =file:PATH: what the program is given.")] = None,
    trust: Annotated[bool, typer.Option("--trust", help="Believe what it says of its tools: that they only read, or may be repeated.")] = False,
    include: Annotated[list[str] | None, typer.Option(help="Only these tools; * stands for anything.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="All but these.")] = None,
    allow: Allow = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show it, and keep nothing.")] = False,
    as_json: Json = False,
    folder: Folder = None,
    home: Home = None,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Every tool of an MCP server becomes a capability; it is asked for its tools once, now."""
    from pointsman.experts.tools.mcp.expert import asked_for_tools
    from pointsman.experts.tools.mcp.offered import offers, written

    given = _server(
        {
            "mcp": f"{name}.tools.json",
            "name": name,
            "command": command or (),
            "folder": str(Path.cwd()) if command else None,
            "url": url,
            "token": None if token is None else _place("--token", token),
            "env": {e.partition("=")[0]: _place("--env", e.partition("=")[2]) for e in env or ()},
            "trust": trust,
            "include": include or (),
            "exclude": exclude or (),
            "allow": allow or (),
        }
    )
    with local_errors(debug=debug):
        kept = tool_folder(folder, home)
        if not dry_run and any(r.name == name for r in kept.registered()):
            complain(f"there is a tool {name!r} already; use `update`, or another name")
            raise typer.Exit(USAGE)
        found = asyncio.run(asked_for_tools(given))
        offered, skipped = offers(given, found)
        rows = [
            {"capability": n, "tool": o.name, "effect": o.capability.effect, "approval": o.capability.approval, "title": o.capability.title}
            for n, o in offered.items()
        ]  # fmt: skip
        _rows(rows, ("capability", "tool", "effect", "title"), skipped, name, as_json=as_json)
        if dry_run:
            return
        path = kept.keep(given, written(found))
    note(
        f"{len(offered)} capabilities are kept in {path}; a running server sees them when it starts anew"
    )


@add.command(epilog="Example: pointsman tools add programs shop.yaml")
def programs(
    source: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A YAML of programs and functions.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show it, and keep nothing.")] = False,
    as_json: Json = False,
    folder: Folder = None,
    home: Home = None,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Programs and Python functions of this machine, each call in a process with limits."""
    from pointsman.experts.tools.programs.registered import parse_programs

    with local_errors(debug=debug):
        given = parse_programs(source.read_text("utf-8"), str(source))
        rows = [
            {"capability": p.name, "runs": p.shown, "effect": p.effect, "approval": p.approval}
            for p in given.programs
        ]  # fmt: skip
        _rows(rows, ("capability", "runs", "effect", "approval"), [], given.name, as_json=as_json)
        if dry_run:
            return
        kept = tool_folder(folder, home)
        if any(r.name == given.name for r in kept.registered()):
            complain(f"there is a tool {given.name!r} already; remove it first")
            raise typer.Exit(USAGE)
        path = kept.copy(source)
    note(
        f"{len(rows)} capabilities are kept in {path}; a running server sees them when it starts anew"
    )


def _place(option: str, where: str) -> dict[str, str]:
    kind, _, place = where.partition(":")
    if kind not in ("env", "file") or not place:
        complain(f"{option}: give env:NAME or file:PATH, never the secret itself")
        raise typer.Exit(USAGE)
    return {kind: place}


def _server(values: dict[str, Any]) -> "McpIn":
    from pydantic import ValidationError

    from pointsman.experts.tools.mcp.registered import McpIn

    try:
        return McpIn.model_validate({k: v for k, v in values.items() if v is not None})
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        complain(f"{'.'.join(map(str, first['loc']))}: {first['msg']}".lstrip(": "))
        raise typer.Exit(USAGE) from error


def _show(found: "Preview", *, as_json: bool) -> None:
    rows = [
        {
            "capability": name,
            "operation": o.operation.key,
            "effect": o.capability.effect,
            "auth": " or ".join("+".join(sorted(s)) or "none" for s in o.operation.security) or "-",
            "approval": o.capability.approval,
            "title": o.capability.title,
        }
        for name, o in found.offered.items()
    ]
    shown = ("capability", "operation", "effect", "auth", "title")
    _rows(rows, shown, found.skipped, found.given.name, as_json=as_json)


def _rows(
    rows: "Sequence[dict[str, Any]]",
    shown: Sequence[str],
    skipped: "Sequence[Skipped]",
    name: str,
    *,
    as_json: bool,
) -> None:
    """What would be offered, and what not and why."""
    from pointsman.experts.tools.openapi.expert import LEFT_OUT

    if as_json:
        left = [{"operation": s.key, "why": s.why} for s in skipped]
        document({"name": name, "capabilities": rows, "skipped": left})
        return
    table = Table(show_edge=False, pad_edge=False, header_style="bold")
    for column in shown:
        table.add_column(column, overflow="fold")
    for row in rows[:ROWS]:
        table.add_row(*(Text(clean(str(row[k]))) for k in shown))
    console().print(table)
    if len(rows) > ROWS:
        note(f"and {len(rows) - ROWS} more; --json shows all")
    missing = [s for s in skipped if s.why != LEFT_OUT]
    for one in missing[:ROWS]:
        note(f"skipped: {one.key}: {one.why}")
    if len(missing) > ROWS:
        note(f"and {len(missing) - ROWS} more that were skipped")
    if len(missing) < len(skipped):
        note(f"{len(skipped) - len(missing)} more are {LEFT_OUT}")
