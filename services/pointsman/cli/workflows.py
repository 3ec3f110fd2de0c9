"""`pointsman workflows`: the library, files checked, guidelines imported, past plans mined."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from pointsman.cli.base import USAGE, Debug, Home, Json, app
from pointsman.cli.output import clean, complain, console, document, note
from pointsman.router.errors import PointsmanError, RequestError

if TYPE_CHECKING:
    from pointsman.router.planning.workflow_match import Workflow
    from pointsman.workflows.mining import Mined

workflows = typer.Typer(
    help="Named plans with parameters: list, show and check them, import or mine new ones.",
    no_args_is_help=True,
)
app.add_typer(workflows, name="workflows")

Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        envvar="POINTSMAN_WORKFLOWS",
        help="Workflows of your own. Default: the folder 'workflows' in POINTSMAN_HOME.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="A folder to write them to; a file that is there is left as it is."),
]


@workflows.command("list")
def list_workflows(
    folder: Folder = None, as_json: Json = False, home: Home = None, debug: Debug = False
) -> None:
    """List the workflows that ship and your own."""
    with _errors(debug=debug):
        found = _library(folder, home)
    if as_json:
        document(
            [{"name": w.name, "title": w.title, "binds": w.actions is not None} for w in found]
        )
        return
    table = Table(show_edge=False, pad_edge=False, header_style="bold")
    for column in ("workflow", "does", "parameters", "what is outside, it"):
        table.add_column(column, no_wrap=column == "workflow", overflow="fold")
    for one in found:
        names = ", ".join(one.parameters) or "-"
        binds = "" if one.actions is None else f"{one.actions.outside}s"
        table.add_row(one.name, Text(clean(one.title)), names, binds)
    console().print(table)


@workflows.command()
def show(
    name: Annotated[str, typer.Argument(help="The name of a workflow, as `list` shows it.")],
    folder: Folder = None,
    as_json: Json = False,
    home: Home = None,
    debug: Debug = False,
) -> None:
    """Show a workflow as it is used: its plan with inner workflows spelt out."""
    from pointsman.workflows.writing import form_of, to_yaml

    with _errors(debug=debug):
        found = {w.name: w for w in _library(folder, home)}
        if name not in found:
            raise typer.BadParameter(
                f"there is no workflow {name!r}; there are: {', '.join(found)}"
            )
        form = form_of(found[name])
    if as_json:
        document(form)
    else:
        console().print(clean(to_yaml(form)).rstrip(), markup=False, soft_wrap=True)


@workflows.command(epilog="Exit code: 0 all can be used, 2 one cannot.")
def check(
    files: Annotated[list[Path], typer.Argument(help="YAML files of workflows.")],
    folder: Folder = None,
    home: Home = None,
    debug: Debug = False,
) -> None:
    """Check files of workflows: what is wrong, where, and what to do."""
    from pointsman.workflows.library import read_workflow

    with _errors(debug=debug):
        others = _library(folder, home)
    wrong = 0
    for file in files:
        try:
            found = read_workflow(file.read_text("utf-8"), file.name, others)
        except (PointsmanError, OSError, UnicodeDecodeError) as error:
            complain(str(error))
            wrong += 1
        else:
            tasks = len(found.plan["tasks"])
            note(f"{file}: {found.name}, {tasks} tasks, {len(found.parameters)} parameters")
    raise typer.Exit(USAGE if wrong else 0)


@workflows.command("import-abcd")
def import_abcd(
    source: Annotated[
        Path, typer.Argument(help="A folder with ABCD's guidelines.json, kb.json, ontology.json.")
    ],
    out: Annotated[Path, typer.Option("--out", help="A folder to write the workflows to.")],
    debug: Debug = False,
) -> None:
    """Make a workflow of each sub-flow of ABCD's guidelines, with its expected actions."""
    from pointsman.router.planning.workflows.abcd import read_subflows, workflow_form
    from pointsman.workflows.writing import to_yaml

    with _errors(debug=debug):
        forms = [workflow_form(s) for s in read_subflows(source)]
        _write(out, {f["name"]: to_yaml(f) for f in forms})


@workflows.command()
def mine(
    source: Annotated[
        Path, typer.Option("--from", help="Past plans: plans.jsonl, one JSON object a line.")
    ],
    out: Out = None,
    support: Annotated[
        int, typer.Option(min=2, help="Past plans that a workflow must be seen in.")
    ] = 3,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Propose workflows from past plans: what was asked for often and done alike."""
    with _errors(debug=debug):
        found = _mined(source, support)
        texts = _texts(found)
        if out is not None:
            _write(out, texts)
    if as_json:
        document([{"support": m.support, "of_shape": m.of_shape, **m.form} for m in found])
    elif out is None:
        console().print(clean("\n".join(texts.values())).rstrip(), markup=False, soft_wrap=True)
    if not found:
        note(f"nothing was done alike at least {support} times")


def _mined(source: Path, support: int) -> "list[Mined]":
    from pointsman.experts.models.encoder import Encoder
    from pointsman.router.planning.retrieval import masked
    from pointsman.workflows.mining import mine as mined
    from pointsman.workflows.mining import read_observed

    observed = read_observed(source)
    if not observed:
        return []

    async def embedded() -> "list[Mined]":
        encoder = Encoder()
        try:
            vectors = await encoder.embed([masked(o.request) for o in observed])
        finally:
            encoder.close()
        return mined(observed, vectors, support=support)

    return asyncio.run(embedded())


def _texts(found: "Sequence[Mined]") -> dict[str, str]:
    from pointsman.workflows.writing import to_yaml

    return {str(m.form["name"]): to_yaml(m.form, note=m.note) for m in found}


def _library(folder: Path | None, home: Path | None) -> "tuple[Workflow, ...]":
    from pointsman.services.settings import Settings
    from pointsman.workflows.library import load_libraries

    given = {"home": home, "workflows": folder}
    settings = Settings.model_validate({k: v for k, v in given.items() if v is not None})
    return load_libraries(settings.workflow_folder)


def _write(out: Path, texts: dict[str, str]) -> None:
    from pointsman.workflows.writing import write_new

    written, kept = write_new(out, texts)
    for path in kept:
        note(f"{path} is there already and was left as it is")
    note(f"{len(written)} of {len(texts)} workflows written to {out}")


@contextmanager
def _errors(*, debug: bool) -> Iterator[None]:
    """Errors of ours and of the file system become one line and an exit code."""
    try:
        yield
    except (PointsmanError, OSError) as error:
        if debug:
            raise
        complain(str(error))
        usage = isinstance(error, RequestError | OSError)
        raise typer.Exit(USAGE if usage else 1) from error
