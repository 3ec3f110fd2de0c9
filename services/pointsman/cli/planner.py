"""`pointsman planner fit`: the planner learns from plans of this organisation that were right."""

import asyncio
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointsman.cli.base import FAILED, USAGE, Debug, Home, Json, Url, app, errors
from pointsman.cli.output import complain, document, note
from pointsman.client import Client

if TYPE_CHECKING:
    from pointsman.client import Capability as Offered
    from pointsman.router.planning.learned.past import PastPlan
    from pointsman.router.planning.learned.training.own import Fitted

group = typer.Typer(help="What the planner learns from past plans.", no_args_is_help=True)
app.add_typer(group, name="planner")

Examples = Annotated[
    Path | None,
    typer.Option(
        "--examples", exists=True, dir_okay=False, help="Past plans, a JSON object a line."
    ),
]
FromRuns = Annotated[
    bool,
    typer.Option("--from-runs", help="Also the plans of runs here that a person called right."),
]


@group.command(epilog="Example: pointsman planner fit --examples plans.jsonl --from-runs")
def fit(
    examples: Examples = None,
    from_runs: FromRuns = False,
    as_json: Json = False,
    url: Url = None,
    home: Home = None,
    debug: Debug = False,
) -> None:
    """Fit the planner to the capabilities here, from plans that were right; tell by how much it is better."""
    from pointsman.router.errors import RequestError
    from pointsman.router.planning.learned.own import OwnPlanner
    from pointsman.router.planning.learned.past import read_past
    from pointsman.services.settings import Settings

    if examples is None and not from_runs:
        complain("say which plans: --examples FILE, --from-runs, or both")
        raise typer.Exit(USAGE)
    with errors(as_json=as_json, debug=debug), Client(url, home=home) as client:
        offered = client.capabilities()
        runs = _called_right(client) if from_runs else []
    own = OwnPlanner((home or Settings().home) / "planner")
    try:
        with tempfile.TemporaryDirectory() as folder:
            plans = Path(folder) / (examples.name if examples is not None else "plans.jsonl")
            given = examples.read_text("utf-8").splitlines() if examples is not None else []
            plans.write_text("".join(f"{line}\n" for line in (*given, *runs)), "utf-8")
            fitted = asyncio.run(_fitted(offered, read_past(plans)))
            own.keep(fitted.weights if fitted.kept else None, plans)
    except RequestError as error:
        if debug:
            raise
        complain(str(error))
        raise typer.Exit(USAGE) from error
    except OSError as error:
        complain(f"what was learned cannot be kept: {error}")
        raise typer.Exit(FAILED) from error
    _tell(fitted, own.folder, as_json=as_json)


def _called_right(client: Client) -> list[str]:
    """Lines of plans.jsonl of the runs that a person called right."""
    return [line for line in client.memory.lines() if json.loads(line)["right"] is True]


async def _fitted(offered: "tuple[Offered, ...]", past: "list[PastPlan]") -> "Fitted":
    from pointsman.experts.models.encoder import Encoder
    from pointsman.router.catalog import parse_capability
    from pointsman.router.planning.learned.training.own import fit_own

    capabilities = [
        parse_capability(
            {
                "name": c.name,
                "title": c.title,
                "description": c.description,
                "parameters": dict(c.parameters),
                "output": dict(c.output),
                "examples": list(c.examples),
                "effect": c.effect,
            }
        )
        for c in offered
    ]
    encoder = Encoder()
    try:
        return await fit_own(capabilities, past, encoder)
    finally:
        encoder.close()


def _tell(fitted: "Fitted", folder: Path, *, as_json: bool) -> None:
    if as_json:
        document(
            {
                "plans": len(fitted.past),
                "left_out": fitted.left_out,
                "f1_as_shipped": fitted.shipped,
                "f1_trained": fitted.trained,
                "trained_kept": fitted.kept,
                "folder": str(folder),
            }
        )
        return
    if fitted.left_out:
        note(f"{fitted.left_out} plans use capabilities that are not here; they are left out")
    note(f"{len(fitted.past)} plans are remembered in {folder}")
    note(f"right capabilities on plans not seen (F1): {fitted.shipped:.3f} with the memory alone")
    if fitted.trained is not None:
        kept = "kept" if fitted.kept else "not better, so not kept"
        note(f"{fitted.trained:.3f} with heads trained on them: {kept}")
