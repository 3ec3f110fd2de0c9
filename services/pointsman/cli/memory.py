"""`pointsman memory`: what is remembered of past runs, and how it is forgotten, taken out and brought in."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pointsman.cli.base import FAILED, USAGE, Debug, Home, Json, Url, app, errors
from pointsman.cli.listing import moment
from pointsman.cli.output import clean, complain, console, document, note
from pointsman.client import Client, RememberedPlan

group = typer.Typer(help="What is remembered of past runs, and reused.", no_args_is_help=True)
app.add_typer(group, name="memory")

Key = Annotated[
    str, typer.Argument(metavar="ID", help="A remembered plan's key, as `list` shows it.")
]


@group.command("list")
def listing(
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many.")] = 50,
    as_json: Json = False,
    url: Url = None,
    home: Home = None,
    debug: Debug = False,
) -> None:
    """List remembered plans, those used last first."""
    with errors(as_json=as_json, debug=debug), Client(url, home=home) as client:
        found = client.memory.list(limit=limit)
    if as_json:
        document([asdict(p) for p in found])
    elif found:
        console().print(_table(found))
    else:
        note(
            "nothing is remembered; say of a run that its plan was right (on the page, or with the client)"
        )


@group.command()
def show(
    key: Key, as_json: Json = False, url: Url = None, home: Home = None, debug: Debug = False
) -> None:
    """Show a remembered plan: its request, what of it is filled anew, its tasks."""
    with errors(as_json=as_json, debug=debug), Client(url, home=home) as client:
        found = client.memory.get(key)
    if as_json:
        document(asdict(found))
    else:
        console().print(_card(found), soft_wrap=True)


@group.command(epilog="Example: pointsman memory forget run_1a2b")
def forget(
    id: Annotated[
        str, typer.Argument(metavar="ID", help="A remembered plan's key, or the id of a run.")
    ],
    as_json: Json = False,
    url: Url = None,
    home: Home = None,
    debug: Debug = False,
) -> None:
    """Forget a plan, or all that is kept of a run; it does not come back."""
    with errors(as_json=as_json, debug=debug), Client(url, home=home) as client:
        gone = client.memory.forget(id)
    if as_json:
        document({"id": id, "forgotten": gone})
    else:
        note(f"forgotten: {id}")


@group.command(epilog="Example: pointsman memory export --out plans.jsonl")
def export(
    out: Annotated[
        Path | None, typer.Option("--out", dir_okay=False, help="A file; without it, stdout.")
    ] = None,
    url: Url = None,
    home: Home = None,
    debug: Debug = False,
) -> None:
    """Write every kept run that had a plan as a line of JSON, for `planner fit` and `workflows mine`."""
    with errors(as_json=False, debug=debug), Client(url, home=home) as client:
        lines = list(client.memory.lines())
    text = "".join(f"{line}\n" for line in lines)
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, "utf-8")
    except OSError as error:
        complain(f"{out} cannot be written: {error.strerror or error}")
        raise typer.Exit(FAILED) from error
    note(f"{len(lines):,} past plans are in {out}")


@group.command("import", epilog="Example: pointsman memory import plans.jsonl")
def bring(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="Past plans, a JSON object a line.")
    ],
    as_json: Json = False,
    url: Url = None,
    home: Home = None,
    debug: Debug = False,
) -> None:
    """Take past plans in; those that were right are remembered."""
    lines = _read(file)
    with errors(as_json=as_json, debug=debug), Client(url, home=home) as client:
        done = client.memory.bring(lines)
    if as_json:
        document(asdict(done))
        return
    for number, why in done.notes:
        note(f"line {number} is kept, but not remembered: {why}")
    note(f"{done.lines:,} past plans were read, {done.remembered:,} of them are remembered")


def _read(file: Path) -> list[dict[str, Any]]:
    """Ends with a line when the file cannot be read or one of its lines is no JSON object."""
    found = []
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        complain(f"{file} cannot be read: {error}")
        raise typer.Exit(USAGE) from error
    for number, line in enumerate(text.splitlines(), 1):
        try:
            value = json.loads(line)
        except ValueError as error:
            complain(f"{file}, line {number}: {error}")
            raise typer.Exit(USAGE) from error
        if not isinstance(value, dict):
            complain(f"{file}, line {number}: it is no JSON object")
            raise typer.Exit(USAGE)
        found.append(value)
    return found


def _table(found: tuple[RememberedPlan, ...]) -> RenderableType:
    table = Table(show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("key", no_wrap=True)  # to be given back as it is
    for name in ("run", "when", "by", "used"):
        table.add_column(name, overflow="fold")
    table.add_column("request", overflow="fold", min_width=16)
    for one in found:
        uses = one.whole + one.not_whole
        used = f"{uses} times, {one.not_whole} not whole" if uses else "not yet"
        words = " ".join(clean(one.request).split()) or "(withheld)"
        table.add_row(one.key, one.run, moment(one.at), HOW[one.how], used, Text(words))
    return table


HOW = {"confirmed": "a person", "agreed": "whole runs", "imported": "import"}


def _card(one: RememberedPlan) -> RenderableType:
    head = Text(clean(one.request) or "(withheld)", style="bold")
    about = f"as in run {one.run} on {moment(one.at)}, by {HOW[one.how]}"
    tasks = [
        Text(f"  {t['id']}: {t['capability']} {json.dumps(t['arguments'], ensure_ascii=False)}")
        for t in one.plan["tasks"]
    ]
    return Group(head, Text(about, style="dim"), *tasks)
