"""`pointsman experts`: experts of one's own, made from labelled texts, and those that ship."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from pointsman.cli.base import FAILED, Debug, Home, Json, app, local_errors
from pointsman.cli.output import clean, complain, console, document, note

if TYPE_CHECKING:
    from pointsman.experts.models.registry.folder import ExpertFolder
    from pointsman.experts.models.registry.manifest import Manifest
    from pointsman.experts.models.registry.updating import Added

group = typer.Typer(
    help="Experts of your own, made from labelled texts: fit, list, show, add, remove, tune.",
    no_args_is_help=True,
)
app.add_typer(group, name="experts")

Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        envvar="POINTSMAN_EXPERTS",
        help="Where experts are kept. Default: the folder 'experts' in POINTSMAN_HOME.",
    ),
]
Name = Annotated[str, typer.Argument(help="The name of an expert, as `list` shows it.")]
Accept = Annotated[
    bool, typer.Option("--accept", help="Also when it breaks what the version before did.")
]


@contextlib.contextmanager
def _errors(*, debug: bool) -> Iterator[None]:
    with local_errors(debug=debug):
        try:
            yield
        except OSError as error:
            if debug:
                raise
            complain(f"{error.filename or 'a file'}: {error.strerror}")
            raise typer.Exit(FAILED) from error


def _folder(folder: Path | None, home: Path | None) -> "ExpertFolder":
    from pointsman.experts.models.registry.folder import ExpertFolder
    from pointsman.services.settings import Settings

    settings = Settings(home=home) if home is not None else Settings()
    return ExpertFolder(folder or settings.expert_folder)


@group.command(epilog="Example: pointsman experts fit tickets.csv --text message --label queue")
def fit(
    file: Annotated[
        Path, typer.Argument(help="Labelled texts: CSV, TSV or JSONL.", exists=True, dir_okay=False)
    ],
    text: Annotated[str, typer.Option("--text", help="The column with the texts.")],
    label: Annotated[str, typer.Option("--label", help="The column with their labels.")],
    name: Annotated[
        str | None, typer.Option("--name", help="What to call it. Default: the file's name.")
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option("--test", help="A file to measure on. Default: 15 % of the texts are held back.", exists=True, dir_okay=False),
    ] = None,
    minutes: Annotated[
        float, typer.Option(min=0.1, max=600, help="After which training ends at the latest.")
    ] = 5.0,
    title: Annotated[str, typer.Option(help="A short phrase for what it does.")] = "",
    about: Annotated[str, typer.Option(help="What it does, in a sentence; requests are matched with it.")] = "",
    seed: Annotated[int, typer.Option(help="Of the split and the training.")] = 0,
    accept: Accept = False,
    as_json: Json = False,
    folder: Folder = None,
    home: Home = None,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Make an expert that sorts texts under your labels, measure it, and register it as a capability."""
    with _errors(debug=debug):
        from pointsman.experts.models.training.own import Wish

        kept = _folder(folder, home)
        wish = Wish(
            name or _plain(file.stem), label, title, about, source=file.name, made_by="experts fit"
        )
        added, manifest = _fitted(kept, file, text, test, wish, minutes, seed, accept=accept)
    if as_json:
        document({"name": added.name, "version": added.version, "served": added.served, "breaking": added.breaking, "card": _json(manifest)["card"]})  # fmt: skip
    else:
        _show_card(manifest)
    _tell_added(added)


def _fitted(
    kept: "ExpertFolder",
    file: Path,
    text: str,
    test: Path | None,
    wish: Any,
    minutes: float,
    seed: int,
    *,
    accept: bool,
) -> "tuple[Added, Manifest]":
    from pointsman.experts.models.minilm import MiniLm
    from pointsman.experts.models.registry.manifest import named
    from pointsman.experts.models.registry.updating import register
    from pointsman.experts.models.training.examples import read_examples
    from pointsman.experts.models.training.own import fit_expert

    named(wish.name)
    given = read_examples(file, text, wish.column)
    for one in given.notes:
        note(one)
    held = (
        read_examples(test, text, wish.column, to_test=True).examples if test is not None else None
    )
    model = MiniLm()
    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        manifest = fit_expert(model, given, wish, place, test=held, minutes=minutes, seed=seed, told=note)  # fmt: skip
        return register(kept, place, model, accept=accept), manifest


@group.command("list")
def list_experts(
    as_json: Json = False, folder: Folder = None, home: Home = None, debug: Debug = False
) -> None:
    """List the experts that are registered, and those that ship and can be added."""
    with _errors(debug=debug):
        from pointsman.experts.models.registry.shipped import shipped

        kept = _folder(folder, home)
        rows = [_row(kept.manifest(n), str(kept.current(n))) for n in kept.names()]
        rows += [_row(m, "not added") for n, m in shipped().items() if n not in kept]
    if as_json:
        document(rows)
        return
    table = Table(show_edge=False, pad_edge=False, header_style="bold")
    for column in ("name", "version", "labels", "column", "accuracy", "kept", "source"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(clean(str(v))) for v in row.values()))
    console().print(table)


def _row(manifest: "Manifest", version: str) -> dict[str, Any]:
    measured = manifest.card.scores.get("expert")
    return {
        "name": manifest.name,
        "version": version,
        "labels": len(manifest.labels),
        "column": manifest.column,
        "accuracy": round(measured.accuracy, 3) if measured is not None else None,
        "kept": manifest.card.kept,
        "source": manifest.card.source,
    }


@group.command()
def show(
    name: Name,
    as_json: Json = False,
    folder: Folder = None,
    home: Home = None,
    debug: Debug = False,
) -> None:
    """Show the card of an expert: what it was made from, and how good it was found to be."""
    with _errors(debug=debug):
        from pointsman.experts.models.registry.shipped import shipped

        kept = _folder(folder, home)
        found = shipped().get(name) if name not in kept else None
        manifest = found if found is not None else kept.manifest(name)
    if as_json:
        document(_json(manifest))
    else:
        _show_card(manifest)


@group.command(epilog="Example: pointsman experts add banking")
def add(
    source: Annotated[
        str, typer.Argument(help="A folder with a manifest, or the name of one that ships.")
    ],
    accept: Accept = False,
    as_json: Json = False,
    folder: Folder = None,
    home: Home = None,
    debug: Debug = False,
) -> None:
    """Register an expert, or a new version of one; what breaks the version before needs --accept."""
    with _errors(debug=debug):
        from pointsman.experts.models.minilm import MiniLm
        from pointsman.experts.models.registry.shipped import shipped_folder
        from pointsman.experts.models.registry.updating import register

        given = Path(source)
        place = given if given.is_dir() else shipped_folder(source)
        added = register(_folder(folder, home), place, MiniLm(), accept=accept)
    if as_json:
        document(added)
    _tell_added(added)


@group.command()
def remove(name: Name, folder: Folder = None, home: Home = None, debug: Debug = False) -> None:
    """Remove an expert with all its versions."""
    with _errors(debug=debug):
        _folder(folder, home).remove(name)
    note(f"{name} is removed")


@group.command()
def tune(
    as_json: Json = False, folder: Folder = None, home: Home = None, debug: Debug = False
) -> None:
    """Measure how many threads and how large a batch are fastest on this machine, and keep that."""
    with _errors(debug=debug):
        from pointsman.experts.models.tuned import keep_tuned, tune

        tuned = tune(note)
        path = keep_tuned(_folder(folder, home).path, tuned)
    if as_json:
        document(tuned.model_dump(mode="json"))
    note(f"{tuned.threads} threads, {tuned.token_budget:,} tokens a pass: kept in {path}")


def _tell_added(added: "Added") -> None:
    for why in added.breaking:
        note(f"{'accepted' if added.served else 'not served'}: {why}")
    if not added.served:
        complain(f"{added.name} stays as it was; to take the new version all the same use --accept")
        raise typer.Exit(FAILED)
    note(f"fitted.{added.name}, version {added.version}, is a capability")
    if added.version == 1:
        note("a server that is running sees it when it starts anew")


def _plain(stem: str) -> str:
    """A file's name as a name of ours."""
    made = "".join(c if c.isascii() and c.isalnum() else "_" for c in stem.casefold()).strip("_")
    return (made if made[:1].isalpha() else f"expert_{made}")[:60]


def _json(manifest: "Manifest") -> Any:
    return manifest.model_dump(mode="json", exclude={"canaries"})


def _show_card(manifest: "Manifest") -> None:
    card = manifest.card
    out = console()
    labels = ", ".join(manifest.labels[:20]) + (" ..." if len(manifest.labels) > 20 else "")
    out.print(Text(clean(f"{manifest.name}: {len(manifest.labels)} labels ({labels})")))
    if card.source:
        out.print(Text(clean(f"made from {card.source} {card.licence}".rstrip())))
    told = f"{card.train_texts:,} texts to train, {card.validation_texts:,} to choose, {card.test_texts:,} to test"
    out.print(Text(f"{told}; {card.seconds:.0f} s"))
    table = Table(show_edge=False, pad_edge=False, header_style="bold")
    for column in ("on the test texts", "accuracy", "macro F1"):
        table.add_column(column)
    for way, found in card.scores.items():
        table.add_row(way, f"{found.accuracy:.3f}", f"{found.macro_f1:.3f}")
    out.print(table)
    if card.calibration_error is not None:
        before, after = card.calibration_error
        out.print(Text(f"calibration error {before:.3f} before, {after:.3f} after, temperature {card.temperature:.2f}"))  # fmt: skip
    for one in card.notes:
        out.print(Text(clean(one)))
