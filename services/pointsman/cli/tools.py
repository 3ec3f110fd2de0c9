"""`pointsman tools`: what was added is listed, updated, removed, checked, and served for a trial."""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from pointsman.cli import tools_adding  # noqa: F401 - its commands register themselves
from pointsman.cli.base import FAILED, USAGE, Debug, Home, Json, local_errors
from pointsman.cli.output import clean, complain, console, document, note
from pointsman.cli.tools_base import Allow, Folder, Name, tool_folder, tools

if TYPE_CHECKING:
    from pointsman.experts.tools.folder import ToolFolder
    from pointsman.experts.tools.mcp.registered import McpIn
    from pointsman.experts.tools.openapi.changes import Change
    from pointsman.experts.tools.openapi.registered import ApiIn


@tools.command("list")
def list_tools(
    as_json: Json = False, folder: Folder = None, home: Home = None, debug: Debug = False
) -> None:
    """List the tools that were added."""
    with local_errors(debug=debug):
        kept = tool_folder(folder, home)
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
    with local_errors(debug=debug):
        kept = tool_folder(folder, home)
        if kept.kind(name) == "programs":
            complain("programs are not updated: remove them and add them again")
            raise typer.Exit(USAGE)
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
    with local_errors(debug=debug):
        there = tool_folder(folder, home).remove(name)
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

    with local_errors(debug=debug):
        kept = tool_folder(folder, home)
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

    with local_errors(debug=debug):
        kept = tool_folder(folder, home)
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
