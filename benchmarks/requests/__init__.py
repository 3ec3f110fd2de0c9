"""What people ask, over the files in examples/: how many answers are right in their content, and how fast.

python -m benchmarks requests [--only KIND] [--verbose] [--json]
"""

import argparse
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.requests.baseline import measured
from benchmarks.requests.checks import Seen, wrong
from benchmarks.requests.gold import EXAMPLES, compute
from pointsman.client import Client, PointsmanClientError
from pointsman.client.results import Event

DEADLINE = 120.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one request went; `why` is empty when it is right. confidence: of its plan, if one was made."""

    id: str
    kind: str
    why: str
    seconds: float
    tasks: tuple[str, ...]
    confidence: float | None = None


def requests() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(
        (Path(__file__).parent / "requests.yaml").read_text("utf-8")
    )
    return found


def tried(client: Client, request: dict[str, Any], gold: dict[str, Any]) -> Verdict:
    events: list[Event] = []
    files = [EXAMPLES / name for name in request.get("files", ())]
    began = time.monotonic()
    try:
        answer = client.run(request["ask"], files=files, deadline=DEADLINE, on_event=events.append)
    except PointsmanClientError as error:
        return Verdict(request["id"], request["kind"], str(error), time.monotonic() - began, ())
    seconds = time.monotonic() - began
    why = wrong(Seen(answer, events, client.content), request["checks"], gold)
    tasks = tuple(step.capability for step in answer.steps)
    plans = [e.fields["plan"] for e in events if e.type == "plan.proposed"]
    confidence = float(plans[0]["confidence"]) if plans else None
    return Verdict(request["id"], request["kind"], why, seconds, tasks, confidence)


def told(verdict: Verdict, *, verbose: bool) -> None:
    right = "yes" if not verdict.why else "NO"
    tasks = " > ".join(verdict.tasks)
    print(
        f"{verdict.id:14} {verdict.kind:14} {right:4} {verdict.seconds:6.2f} s  {tasks}", flush=True
    )
    if verdict.why and verbose:
        print(f"    {verdict.why}", flush=True)


def main(arguments: list[str]) -> dict[str, object]:
    """Runs them one after the other on a server of its own in a new home."""
    parser = argparse.ArgumentParser(prog="requests")
    parser.add_argument("--only", help="a kind or an id")
    parser.add_argument("--verbose", action="store_true", help="why an answer is wrong")
    given = parser.parse_args(arguments)
    chosen = [r for r in requests() if given.only in (None, r["kind"], r["id"])]
    gold = compute()
    verdicts: list[Verdict] = []
    with tempfile.TemporaryDirectory() as home, Client(home=home) as client:
        for request in chosen:
            verdicts.append(tried(client, request, gold))
            told(verdicts[-1], verbose=given.verbose)
    simple = measured(chosen, gold)
    alone = Counter(r["kind"] for r in chosen if not simple[r["id"]][1])
    asked = Counter(v.kind for v in verdicts)
    right = Counter(v.kind for v in verdicts if not v.why)
    print()
    print(f"{'kind':14} right         nearest capability alone")
    for kind, number in asked.items():
        print(f"{kind:14} {right[kind]} of {number:2}       {alone[kind]} of {number}")
    print(f"{right.total()} of {len(verdicts)} right; nearest capability alone {alone.total()}")
    return {
        "right": right.total(),
        "baseline_right": alone.total(),
        "requests": len(verdicts),
        "wrong": {v.id: v.why for v in verdicts if v.why},
        "seconds": {v.id: round(v.seconds, 3) for v in verdicts},
    }
