"""What people ask, end to end: the 45 requests of the main job and 60 further ones, in a catalog with 300 capabilities beside our own.

The 60 (benchmarks/requests/more.yaml) were written before the planner was tried on any of them; 15 of them need
one of the 300. Beside: the nearest capability alone, which also knows the 300.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

import benchmarks.requests as asked
from benchmarks.planning import Options
from benchmarks.planning.distractors import distractors
from benchmarks.requests import gold, gold_more, recorded
from benchmarks.requests.baseline import measured
from pointsman.client import Client

HERE = Path(asked.__file__).parent


def more() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((HERE / "more.yaml").read_text("utf-8"))
    return found


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """These variables for whoever is started meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def tried(
    chosen: Sequence[dict[str, Any]], right: Mapping[str, Any], *, verbose: bool
) -> list[asked.Verdict]:
    """One after the other, on a server of its own with the environment as it is."""
    verdicts: list[asked.Verdict] = []
    with tempfile.TemporaryDirectory() as home, Client(home=home) as client:
        for request in chosen:
            verdicts.append(asked.tried(client, request, dict(right)))
            if verbose:
                asked.told(verdicts[-1], verbose=True)
    return verdicts


def run(options: Options) -> dict[str, object]:
    first, further = asked.requests(), more()
    right = gold.compute() | gold_more.compute()
    beside = distractors(options.data)
    alone = tried(first, right, verbose=options.verbose)
    root = Path(__file__).parents[2]
    with environment(
        POINTSMAN_CAPABILITIES=str(recorded.__file__),
        POINTSMAN_BENCHMARK_DATA=str(options.data.resolve()),
        PYTHONPATH=os.pathsep.join(p for p in (str(root), os.environ.get("PYTHONPATH")) if p),
    ):
        among = tried([*first, *further], right, verbose=options.verbose)
    simple = measured([*first, *further], right, more=[recorded.RecordedExpert(beside)])
    sets = {"main job, our own catalog": alone}
    sets["main job, with 300 more"] = among[: len(first)]
    sets["60, with 300 more"] = among[len(first) :]
    print(f"{'requests':26} {'right':>9}  nearest capability alone")
    for name, verdicts in sets.items():
        nearest = sum(not simple[v.id][1] for v in verdicts)
        good = sum(not v.why for v in verdicts)
        print(f"{name:26} {good:3} of {len(verdicts):2}  {nearest:3} of {len(verdicts)}")
    kinds = Counter(v.kind for v in sets["60, with 300 more"])
    for kind, many in kinds.items():
        good = sum(not v.why for v in sets["60, with 300 more"] if v.kind == kind)
        print(f"   {kind:23} {good:3} of {many:2}")
    sure = calibrated(sets["60, with 300 more"])
    print(
        f"confidence in the plans of the 60: mean {sure['confidence']:.3f}, right {sure['right']:.3f}, "
        f"Brier {sure['brier']:.3f} (always the mean: {sure['always']:.3f})"
    )
    return {
        "confidence": sure,
        **_figures(sets, simple),
    }


def calibrated(verdicts: Sequence[asked.Verdict]) -> dict[str, float]:
    """What the plans' confidence was worth where it was fitted to none of the requests."""
    told = [(v.confidence, not v.why) for v in verdicts if v.confidence is not None]
    if not told:
        return dict.fromkeys(("plans", "confidence", "right", "brier", "always"), 0.0)
    sure, right = (sum(float(t[i]) for t in told) / len(told) for i in (0, 1))
    brier = sum((float(c) - r) ** 2 for c, r in told) / len(told)
    return {
        "plans": len(told),
        "confidence": sure,
        "right": right,
        "brier": brier,
        "always": right * (1 - right),
    }


def _figures(
    sets: Mapping[str, Sequence[asked.Verdict]], simple: Mapping[str, tuple[str, str]]
) -> dict[str, object]:
    return {
        name: {
            "right": sum(not v.why for v in verdicts),
            "requests": len(verdicts),
            "baseline_right": sum(not simple[v.id][1] for v in verdicts),
            "wrong": {v.id: v.why for v in verdicts if v.why},
        }
        for name, verdicts in sets.items()
    }
