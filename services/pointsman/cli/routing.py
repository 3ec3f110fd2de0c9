"""`pointsman route`, `explain` and `router`: why an expert is chosen, and whether a change keeps what was right."""

import asyncio
import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from pointsman.cli.base import (
    DONE,
    FAILED,
    REFUSED,
    USAGE,
    Debug,
    Home,
    Json,
    Prefer,
    Preference,
    Request,
    RunName,
    Url,
    app,
    errors,
)
from pointsman.cli.output import clean, complain, console, document, dollars, note, seconds
from pointsman.client import Client

if TYPE_CHECKING:
    from pointsman.client import Event, PlanTask
    from pointsman.client import Expert as Live
    from pointsman.router.planning.base import Vectors
    from pointsman.router.routing.checking import Comparison, Golden
    from pointsman.router.routing.intents import IntentHead

group = typer.Typer(
    help="Heads that route texts: fit, evaluate, and compare before a change.", no_args_is_help=True
)
app.add_typer(group, name="router")

SHOWN = 10
"""Slices that are shown in a terminal."""
Knob = Annotated[
    float | None,
    typer.Option(
        min=0, max=1, help="In place of --prefer: 0 for quality over 0.5 for cost to 1 for latency."
    ),
]
GoldenFile = Annotated[
    Path, typer.Argument(metavar="GOLDEN", help="Requests with their routes, a JSON object a line.")
]
HeadFile = Annotated[Path, typer.Argument(metavar="HEAD", help="A file that `router fit` wrote.")]


@app.command(epilog='Example: pointsman route "How many days until Christmas?" --knob 0.25')
def route(
    request: Request,
    prefer: Prefer = Preference.balanced,
    knob: Knob = None,
    as_json: Json = False,
    url: Url = None,
    home: Home = None,
    debug: Debug = False,
) -> None:
    """Show which experts would be considered for each task of a request and why, without doing it.

    From what the experts promise and who is alive; what a controller has seen of them is not known here.
    """
    with errors(as_json=as_json, debug=debug), Client(url, home=home) as client:
        found = client.plan(request, prefer=prefer.value)
        experts = client.experts()
    wanted: Any = prefer.value if knob is None else knob
    routes = [_dry_route(t, experts, wanted) for t in found.tasks]
    if as_json:
        document({"refusal": found.refusal, "tasks": routes})
    elif found.refusal is not None:
        note(found.refusal)
    else:
        for task in routes:
            _show(task)
    raise typer.Exit(DONE if found.refusal is None else REFUSED)


@app.command(epilog="Example: pointsman explain run_01 --json")
def explain(
    run_id: RunName,
    as_json: Json = False,
    url: Url = None,
    home: Home = None,
    debug: Debug = False,
) -> None:
    """Show for each attempt of a run who was considered, the scores, what was expected and what it took."""
    with errors(as_json=as_json, debug=debug), Client(url, home=home) as client:
        if client.get(run_id).ended is None:
            note("the run is not over; it is explained once it is")
        attempts = _attempts(client.events(run_id))
    if as_json:
        document(attempts)
    for attempt in [] if as_json else attempts:
        _show(attempt)


@group.command(epilog="Example: pointsman router fit golden.jsonl --to head.safetensors")
def fit(
    golden: GoldenFile,
    to: Annotated[Path, typer.Option("--to", help="The file to write.")],
    seed: Annotated[int, typer.Option(help="Of the draw of what is set aside.")] = 0,
    debug: Debug = False,
) -> None:
    """Fit a head on four fifths of the requests; its confidence and its scope are set on the rest."""
    with _usage(debug):
        rows = _read(golden)
        random.Random(seed).shuffle(rows)
        vectors = _vectors(rows)
        some = len(rows) // 5
        head = _fitted(rows, vectors, some)
        head.save(to)
        chosen = _routes(head, vectors[:some])
    right = sum(c == g.route for c, g in zip(chosen, rows[:some], strict=True))
    note(f"{len(head.names)} routes from {len(rows) - some} requests, written to {to}")
    note(f"right on {right} of the {some} set aside")


@group.command(epilog="Example: pointsman router learn text.summarize outcomes.jsonl")
def learn(
    capability: Annotated[str, typer.Argument(help="The capability whose experts are compared.")],
    outcomes: Annotated[
        Path,
        typer.Argument(
            metavar="OUTCOMES", help='A JSON object a line: {"text", "expert", "right": 0..1}.'
        ),
    ],
    home: Home = None,
    debug: Debug = False,
) -> None:
    """Learn how well each expert does on which inputs; the next start of a controller routes by it."""
    from pointsman.router.routing.outcomes import fitted, read_outcomes
    from pointsman.router.routing.predicting import SUFFIX
    from pointsman.services.settings import Settings

    with _usage(debug):
        rows = read_outcomes(outcomes)
        texts = list(dict.fromkeys(row.text for row in rows))
        model = fitted(rows, texts, _embedded(texts))
        folder = (home or Settings().home) / "router"
        folder.mkdir(parents=True, exist_ok=True)
        model.save(folder / f"{capability}{SUFFIX}")
    note(f"{len(model.experts)} experts on {len(texts)} inputs, kept in {folder}")


@group.command("eval", epilog="Example: pointsman router eval head.safetensors golden.jsonl")
def evaluate(
    head: HeadFile, golden: GoldenFile, as_json: Json = False, debug: Debug = False
) -> None:
    """Tell how many requests a head routes right, by slice."""
    from pointsman.router.routing.checking import compare

    with _usage(debug):
        rows, found = _read(golden), _load(head)
        chosen = _routes(found, _vectors(rows))
    _tell(compare(rows, chosen, chosen), as_json=as_json, change=False)


@group.command(epilog="Exit code: 0 the change may be made, 1 it is refused.")
def check(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The head that serves now.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The head that shall serve.")],
    golden: GoldenFile,
    limit: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of what is right now that may be wrong after."),
    ] = 0.01,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Compare two heads on a golden set; refuse the new one if too much that is right would be wrong."""
    from pointsman.router.errors import RoutesChanged
    from pointsman.router.routing.checking import compare

    with _usage(debug):
        rows = _read(golden)
        heads, vectors = [_load(path) for path in (old, new)], _vectors(rows)
        before, after = (_routes(head, vectors) for head in heads)
    compared = compare(rows, before, after)
    _tell(compared, as_json=as_json, change=True)
    try:
        compared.refuse_above(limit)
    except RoutesChanged as error:
        complain(str(error))
        raise typer.Exit(FAILED) from error


def _dry_route(task: "PlanTask", experts: "Sequence[Live]", prefer: Any) -> dict[str, Any]:
    from pointsman.router.cards import CARD
    from pointsman.router.errors import NoExpert
    from pointsman.router.routing import Observations, choose, heartbeat

    cards = [
        CARD.validate_python(
            {
                "name": e.name,
                "kind": e.kind,
                "description": e.description,
                "serves": e.priors,
                "concurrency": e.concurrency,
            }
        )
        for e in experts
    ]
    seen = Observations()
    for expert in experts:
        seen = heartbeat(seen, expert.name, expert.seen, workers=expert.workers)
    told: dict[str, Any] = {"task": task.id, "capability": task.capability}
    try:
        chosen = choose(task.capability, cards, seen, prefer=prefer, now=time.time())
    except NoExpert as error:
        return {**told, "route": None, "reason": str(error)}
    return {**told, "route": chosen.to_json(), "reason": chosen.reason}


def _attempts(events: "Iterable[Event]") -> list[dict[str, Any]]:
    """One for each route that was taken, with how it ended."""
    capabilities: dict[str, str] = {}
    attempts: dict[tuple[str, int], dict[str, Any]] = {}
    for event in events:
        fields: Mapping[str, Any] = event.fields
        if event.type == "plan.proposed":
            capabilities |= {t["id"]: t["capability"] for t in fields["plan"].get("tasks", ())}
        if event.task is None:
            continue
        task, number = str(event.task), int(fields.get("attempt", 0))
        if event.type == "task.routed":
            attempts[task, number] = {
                "task": task,
                "attempt": number,
                "capability": capabilities.get(task.partition("[")[0], ""),
                "route": fields["route"],
                "reason": fields["route"]["reason"],
                "outcome": "no result",
            }
        elif (found := attempts.get((task, number))) is not None:
            if event.type == "task.done":
                found |= {"outcome": "done", "seconds": fields["seconds"]}
                found["cost"] = fields["usage"].get("cost", 0)
            elif event.type == "task.failed":
                found["outcome"] = f"failed: {fields['error']['message']}"
    return list(attempts.values())


def _show(told: Mapping[str, Any]) -> None:
    """One decision: the reason, the candidates, and how it ended where it did."""
    table = Table("expert", "score", "expected", box=None, pad_edge=False)
    chosen = told["route"]
    for each in chosen["candidates"] if chosen else ():
        mark = "→ " if each["expert"] == chosen["expert"] else "  "
        table.add_row(mark + clean(each["expert"]), f"{each['score']:.3f}", clean(each["why"]))
    shown = console()
    attempt = f" attempt {told['attempt']}" if told.get("attempt", 1) > 1 else ""
    shown.print(f"{clean(told['task'])}{attempt}  {clean(told['capability'])}", markup=False)
    shown.print(f"  {clean(told['reason'])}", markup=False)
    if chosen:
        shown.print(table)
    if "outcome" in told:
        took = (
            f" in {seconds(told['seconds'])}, {dollars(told['cost'])}" if "seconds" in told else ""
        )
        expected = f"expected {seconds(chosen['latency'])}, {dollars(chosen['cost'])}"
        shown.print(f"  {clean(told['outcome'])}{took} ({expected})", markup=False)


def _tell(compared: "Comparison", *, as_json: bool, change: bool) -> None:
    if as_json:
        document(asdict(compared))
        return
    note(f"{compared.right_before} of {compared.requests} routed right")
    if change:
        note(
            f"{compared.right_after} after the change; the same route for {compared.agreement:.1%}; "
            f"{compared.flips} right ones become wrong, {compared.gains} wrong ones right"
        )
    worst = [s for s in compared.slices if (s.flips if change else s.requests - s.right)]
    if not worst:
        return
    worst.sort(key=lambda s: -(s.flips if change else s.requests - s.right))
    table = Table(
        "slice", "requests", "right", "right before, wrong after", box=None, pad_edge=False
    )
    for one in worst[:SHOWN]:
        table.add_row(clean(one.name), f"{one.requests}", f"{one.right}", f"{one.flips}")
    console().print(table)


@contextmanager
def _usage(debug: bool) -> Iterator[None]:
    """A file that cannot be used ends the command with one line."""
    from pointsman.router.errors import RouterError

    try:
        yield
    except (RouterError, ValueError, OSError) as error:
        if debug:
            raise
        complain(str(error))
        raise typer.Exit(USAGE) from error


def _read(path: Path) -> "list[Golden]":
    from pointsman.router.routing.checking import read_golden

    return read_golden(path)


def _load(path: Path) -> "IntentHead":
    from pointsman.router.routing.intents import IntentHead

    return IntentHead.load(path)


def _fitted(rows: "Sequence[Golden]", vectors: "Vectors", some: int) -> "IntentHead":
    """Fitted on all rows but the first `some`, tuned on those. vectors: [rows, dim]."""
    from pointsman.router.routing import intents

    inside = [at for at in range(some, len(rows)) if rows[at].route is not None]
    head = intents.fit(vectors[inside], [str(rows[at].route) for at in inside])
    known = [at for at in range(some) if rows[at].route in head.names]
    strange = [at for at, row in enumerate(rows) if row.route is None]
    if not known:
        return head
    outside = vectors[strange] if strange else None
    return head.tuned(vectors[known], [str(rows[at].route) for at in known], outside=outside)


def _routes(head: "IntentHead", vectors: "Vectors") -> list[str | None]:
    return [c.name for c in head.choose(vectors)]


def _vectors(rows: "Sequence[Golden]") -> "Vectors":
    """[rows, 384]."""
    return _embedded([row.text for row in rows])


def _embedded(texts: Sequence[str]) -> "Vectors":
    """[texts, 384]."""
    from pointsman.experts.models.encoder import Encoder

    async def embedded() -> "Vectors":
        encoder = Encoder()
        try:
            return await encoder.embed(texts)
        finally:
            encoder.close()

    return asyncio.run(embedded())
