"""Is a plan as likely right as its confidence says? Calibrated and uncalibrated scores, on plans held out.

Plans of the requests in learned/training/requests.yaml, and of requests made wrong on purpose, cross-validated:
what was made of one request is never in both parts. Brier score, expected calibration error, AUROC, and which
share of the right plans is kept where 90 and 95 % of the plans taken must be right. Beside: the mean score of
the readings, which the planner compared with 0.6 before there was a confidence. No request of the benchmark
`requests` is among them.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.planning import Options
from pointsman.router.planning.confidence import confidence
from pointsman.router.planning.learned.training.confidence import (
    brier,
    calibration_error,
    held_out,
)
from pointsman.router.planning.learned.training.plans import Planned, plans

EXAMPLES = Path(__file__).parents[2] / "examples"
PRECISIONS = (0.9, 0.95)
BEFORE = 0.6
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def auroc(scores: Floats, truth: Flags) -> float:
    above = scores[truth][:, None] - scores[~truth][None]
    return float((above > 0).mean() + 0.5 * (above == 0).mean())


def kept(scores: Floats, truth: Flags, weight: Floats, precision: float) -> float:
    """The share of right plans that is kept by the lowest limit with that precision above it."""
    order = np.argsort(-scores, kind="stable")
    good, all_ = np.cumsum((truth * weight)[order]), np.cumsum(weight[order])
    passing = np.flatnonzero(good / all_ >= precision)
    return float(good[passing[-1]] / good[-1]) if len(passing) else 0.0


def figures(scores: Floats, made: Sequence[Planned]) -> dict[str, float]:
    truth = np.array([m.right for m in made])
    weight = np.array([m.weight for m in made])
    found = {
        "brier": brier(scores, truth, weight),
        "ece": calibration_error(scores, truth, weight),
        "auroc": auroc(scores, truth),
    }
    return found | {f"kept at {p:.0%}": kept(scores, truth, weight, p) for p in PRECISIONS}


def run(options: Options) -> dict[str, object]:
    made, refused = asyncio.run(plans(options.data, EXAMPLES))
    raw = figures(np.array([m.raw for m in made]), made)
    each = [figures(held_out(made, seed), made) for seed in options.seeds]
    right = sum(m.right for m in made)
    print(f"{len(made)} plans, {right} right; {refused} requests that no plan was made for")
    print(f"{'':12}{'calibrated':>18}{'not calibrated':>18}")
    for name, value in raw.items():
        values = [e[name] for e in each]
        print(f"{name:12}{np.mean(values):11.3f} ± {np.std(values):.3f}{value:18.3f}")
    told = np.array([m.raw for m in made]) >= BEFORE
    truth = np.array([m.right for m in made])
    print(
        f"not calibrated, at {BEFORE} as before: {truth[told].mean():.1%} of the plans taken right"
    )
    shipped = confidence()
    for name, mark in (("sure", shipped.sure), ("least", shipped.least)):
        print(
            f"shipped, {name} {mark.confidence:.2f}: {mark.precision:.1%} of plans above right, "
            f"{mark.coverage:.1%} of right plans above"
        )
    if options.verbose:
        scores = held_out(made, options.seeds[0])
        for score, plan in sorted(zip(scores, made, strict=True), key=lambda p: -p[0]):
            print(f"   {score:.2f} {'right' if plan.right else 'WRONG'} {plan.text}")
    return {
        "plans": len(made),
        "right": right,
        "refused": refused,
        "calibrated": {n: float(np.mean([e[n] for e in each])) for n in raw},
        "spread": {n: float(np.std([e[n] for e in each])) for n in raw},
        "not calibrated": raw,
    }
