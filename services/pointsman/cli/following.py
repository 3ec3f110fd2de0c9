"""Follows a run to its answer: the plan is drawn while it is worked on, and people are asked what it needs."""

import sys
from collections.abc import Generator, Iterator
from contextlib import closing, nullcontext, suppress
from dataclasses import asdict
from pathlib import Path

from rich.live import Live

from pointsman.cli.answers import draw, plain
from pointsman.cli.asking import Asker
from pointsman.cli.output import console, document, note
from pointsman.cli.runview import RunView
from pointsman.client import Answer, Client, Event, PointsmanClientError, Run


def followed(client: Client, run: Run | str) -> Iterator[Event | Answer]:
    """The events of a run, then its answer."""
    yield from client.events(run)
    answer = client.get(run).answer
    if answer is not None:
        yield answer


def owned(client: Client, run: Run) -> Generator[Event | Answer, None, None]:
    """`followed`, for a run of our own: it is stopped when we are."""
    over = False
    try:
        with closing(client.events(run)) as events:  # type: ignore[type-var]
            for event in events:
                over = event.type == "run.ended"
                yield event
    finally:
        if not over:
            with suppress(PointsmanClientError):
                client.cancel(run, reason="whoever asked has left")
    answer = client.get(run).answer
    if answer is not None:
        yield answer


def watched(steps: Iterator[Event | Answer], asker: Asker) -> Answer:
    """Draws what happens on stderr, if that is a terminal, until the answer is there."""
    view = RunView()
    err = console(error=True)
    live = Live(view, console=err, refresh_per_second=10) if err.is_terminal else None
    with live or nullcontext():
        for step in steps:
            if isinstance(step, Answer):
                return step
            view.take(step)
            if step.approval is not None:
                if live is not None:
                    live.stop()
                asker.asked(step.approval)
                if live is not None:
                    live.start(refresh=True)
    raise PointsmanClientError("the server ended the run without an answer")


def tell(answer: Answer, *, as_json: bool, rows: int, saved: list[Path], hints: list[str]) -> None:
    if as_json:
        document({**asdict(answer), "saved": [str(p) for p in saved], "hints": hints})
        return
    out = console()
    if out.is_terminal:
        draw(answer, out, limit=rows)
    else:
        sys.stdout.write(plain(answer, limit=rows))
    for path in saved:
        note(f"saved {path}")
    if not saved and any(p.kind in ("picture", "file") for p in answer.parts):
        note("note: --save DIR keeps the pictures and files of an answer")
    if hints:
        note(f"note: the request names files that were not sent along: {', '.join(hints)}")
