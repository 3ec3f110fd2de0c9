"""`pointsman tools`: APIs of one's own as capabilities: added, looked at, updated, checked, and served for a trial."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from pointsman.cli.base import FAILED, USAGE, Debug, Home, Json, app
from pointsman.cli.output import clean, complain, console, document, note
from pointsman.router.errors import PointsmanError

if TYPE_CHECKING:
    from pointsman.experts.tools.folder import ToolFolder
    from pointsman.experts.tools.mcp.registered import McpIn
    from pointsman.experts.tools.openapi.adding import Preview
    from pointsman.experts.tools.openapi.changes import Change
    from pointsman.experts.tools.openapi.operations import Skipped
    from pointsman.experts.tools.openapi.registered import ApiIn

tools = typer.Typer(
    help="APIs and tools of your own as capabilities: add, list, update, remove, check, mock.",
    no_args_is_help=True,
)
app.add_typer(tools, name="tools")
add = typer.Typer(help="Make capabilities of an API.", no_args_is_help=True)
tools.add_typer(add, name="add")

Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        envvar="POINTSMAN_TOOLS",
        help="Where tools are kept. Default: the folder 'tools' in POINTSMAN_HOME.",
    ),
]
Name = Annotated[str, typer.Argument(help="The name of a tool, as `list` shows it.")]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        help='A "host:port" that may be called although it is not public; can be repeated.'
    ),
]
ROWS = 40
"""Operations that a table shows; --json shows all."""


@contextlib.contextmanager
def _errors(*, debug: bool) -> Iterator[None]:
    try:
        yield
    except PointsmanError as error:
        if debug:
            raise
        complain(error.message)
        raise typer.Exit(USAGE if error.fault == "caller" else FAILED) from error


def _folder(folder: Path | None, home: Path | None) -> "ToolFolder":
    from pointsman.experts.tools.folder import ToolFolder
    from pointsman.services.settings import Settings

    settings = Settings(home=home) if home is not None else Settings()
    return ToolFolder(folder or settings.tool_folder)


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

    with _errors(debug=debug):
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
        kept = _folder(folder, home)
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
    with _errors(debug=debug):
        kept = _folder(folder, home)
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


@tools.command("list")
def list_tools(
    as_json: Json = False, folder: Folder = None, home: Home = None, debug: Debug = False
) -> None:
    """List the tools that were added."""
    with _errors(debug=debug):
        kept = _folder(folder, home)
        loaded = kept.load()
        rows = [
            {"name": one.name, "kind": one.kind, "capabilities": len(expert.capabilities), "does": expert.card.description}
            for one, expert in zip(kept.registered(), loaded, strict=True)
        ]  # fmt: skip
    if as_json:
        document(rows)
        return
    table = Table(show_edge=False, pad_edge=False, header_style="bold")
    for column in ("name", "kind", "capabilities", "does"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(clean(str(v))) for v in row.values()))
    console().print(table)


@tools.command(epilog="Example: pointsman tools update tmdb newer.json --dry-run")
def update(
    name: Name,
    source: Annotated[str | None, typer.Argument(help="Where the new description is; else where the old one was.")] = None,
    accept: Annotated[bool, typer.Option("--accept", help="Also when plans made before may no longer hold.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change.")] = False,
    as_json: Json = False,
    folder: Folder = None,
    home: Home = None,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Read the description of an API again, and show what changes; what breaks plans needs --accept."""
    with _errors(debug=debug):
        kept = _folder(folder, home)
        given, content, found = (
            _newer_server(kept, name)
            if kept.kind(name) == "mcp"
            else _newer_api(kept, name, source)
        )
        used = _users({c.capability for c in found if c.breaking}, home)
        breaking = any(c.breaking for c in found)
        _show_changes(found, used, as_json=as_json)
        if dry_run or not found:
            return
        if breaking and not accept:
            complain(
                "some changes break plans that were right before; look at them, then use --accept"
            )
            raise typer.Exit(FAILED)
        kept.keep(given, content)
    note(f"{name} is updated; a running server sees it when it starts anew")


def _newer_api(
    kept: "ToolFolder", name: str, source: str | None
) -> "tuple[ApiIn | McpIn, bytes, list[Change]]":
    from pointsman.experts.tools.openapi.adding import difference, fetched, preview

    given = kept.given(name)
    place = source or given.source
    if not place:
        complain("it was added from a file; say where the new one is")
        raise typer.Exit(USAGE)
    content = fetched(place, given.allow)
    before = preview(given, (kept.path / given.openapi).read_bytes())
    return given, content, difference(before, preview(given, content))


def _newer_server(kept: "ToolFolder", name: str) -> "tuple[ApiIn | McpIn, bytes, list[Change]]":
    from pointsman.experts.tools.mcp.expert import asked_for_tools
    from pointsman.experts.tools.mcp.offered import offers, written
    from pointsman.experts.tools.openapi.changes import Change, changes

    given = kept.server(name)
    old, new = kept.tools_of(given), asyncio.run(asked_for_tools(given))
    before, after = offers(given, old)[0], offers(given, new)[0]
    found = changes([o.capability for o in before.values()], [o.capability for o in after.values()])
    told = {c.capability for c in found}
    for capability, one in after.items():
        other = before.get(capability)
        if other is not None and other.digest != one.digest and capability not in told:
            found.append(Change(capability, "changed", "what it says of itself beyond the outline"))
    return given, written(new), found


def _users(capabilities: set[str], home: Path | None) -> dict[str, list[str]]:
    """Workflows that call capabilities which change so that plans may break, by capability."""
    from pointsman.services.settings import Settings
    from pointsman.workflows.library import load_libraries

    if not capabilities:
        return {}
    settings = Settings(home=home) if home is not None else Settings()
    found: dict[str, list[str]] = {}
    for workflow in load_libraries(settings.workflow_folder):
        for task in workflow.plan.get("tasks", ()):
            name = task.get("capability")
            if name in capabilities:
                found.setdefault(name, []).append(workflow.name)
    return found


def _show_changes(found: "Sequence[Change]", used: dict[str, list[str]], *, as_json: bool) -> None:
    if as_json:
        document(
            {
                "changes": [
                    {
                        "capability": c.capability,
                        "kind": c.kind,
                        "what": c.what,
                        "breaking": c.breaking,
                    }
                    for c in found
                ],
                "workflows": used,
            }
        )
        return
    if not found:
        note("nothing changes")
    for change in found:
        mark = "breaks" if change.breaking else change.kind
        console().print(Text(clean(f"{mark:8} {change.capability}: {change.what}")))
    for capability, names in used.items():
        note(f"{capability} is called by the workflows {', '.join(sorted(set(names)))}")


@tools.command()
def remove(name: Name, folder: Folder = None, home: Home = None, debug: Debug = False) -> None:
    """Take a tool away; its files are deleted."""
    with _errors(debug=debug):
        there = _folder(folder, home).remove(name)
    if not there:
        complain(f"there is no tool {name!r}")
        raise typer.Exit(USAGE)
    note(f"{name} is removed; a running server offers it until it starts anew")


@tools.command(epilog="Example: pointsman tools check tmdb")
def check(
    name: Name,
    as_json: Json = False,
    folder: Folder = None,
    home: Home = None,
    debug: Debug = False,
) -> None:
    """Call every operation of an API once on a server made from its description; nothing leaves this machine."""
    from pointsman.experts.tools.openapi.trying import tried

    with _errors(debug=debug):
        kept = _folder(folder, home)
        given = kept.given(name)
        faults = asyncio.run(tried(given, kept.api(given)))
    if as_json:
        document({"name": name, "faults": faults})
    for key, why in faults.items():
        complain(f"{key}: {why}")
    note(f"{name}: " + ("every operation can be called" if not faults else f"{len(faults)} cannot"))
    raise typer.Exit(FAILED if faults else 0)


@tools.command(epilog="Example: pointsman tools mock tmdb.json --port 9000 --fault 503 --share 0.1")
def mock(
    source: Annotated[str, typer.Argument(help="A description: a file, an address, or a tool's name.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 0,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    auth: Annotated[bool, typer.Option("--auth", help="Ask for the credentials that it describes.")] = False,
    fault: Annotated[str, typer.Option(help="What a failing call gets: 503, 429;retry-after=2, drop, slow=1, broken, html.")] = "503",
    share: Annotated[float, typer.Option(min=0, max=1, help="The share of calls that fail.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Which calls fail.")] = 0,
    allow: Allow = None,
    folder: Folder = None,
    home: Home = None,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Serve an API made from its description, with its examples or made-up values, until Ctrl-C."""
    from pointsman.experts.tools.openapi.adding import fetched
    from pointsman.experts.tools.openapi.operations import read_api
    from pointsman.experts.tools.openapi.reading import read_document
    from pointsman.experts.tools.openapi.server import Faults, ToolServer

    with _errors(debug=debug):
        kept = _folder(folder, home)
        if (kept.path / f"{source}.yaml").is_file():
            api = kept.api(kept.given(source))
        else:
            api = read_api(read_document(fetched(source, allow or ()), source))
    server = ToolServer(api, host=host, port=port, auth=auth, faults=Faults(share, fault, seed))

    async def serve() -> None:
        async with server:
            note(
                f"{api.title or source} is served at {server.url}: {len(api.operations)} operations"
            )
            await asyncio.Event().wait()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve())
