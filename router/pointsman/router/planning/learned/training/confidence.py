"""Fits the confidence in a plan, and holds it against held-out plans.

python -m pointsman.router.planning.learned.training.confidence --data DIR [--examples DIR] [--out FILE]

A logistic regression with an L2 penalty by Newton's method over clauses; a Platt scale on the odds of held-out
folds; thresholds from the held-out plans. Folds keep together what was made of one request. Takes about two
minutes on one core, nearly all of it planning.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointsman.router.planning.confidence import (
    FEATURES,
    WEIGHTS,
    Confidence,
    Threshold,
    together,
)
from pointsman.router.planning.learned.training.plans import Planned, plans

Floats = NDArray[np.float64]
FOLDS = 5
PENALTY = 3.0
STEPS = 40
DRAWS = 5
SURE, NEXT = 0.95, 0.8
"""No other planner is asked from the confidence on at which SURE of the plans are right, and not below NEXT: where
a plan is likelier wrong than what a language model makes of it (its plans count as right with 0.8)."""
REACHED = 0.98
"""Share of right plans that must reach the confidence below which none is offered."""
NONE = Threshold(0.0, 1.0, 1.0)


def fit(made: Sequence[Planned], seed: int = 0) -> Confidence:
    """The confidence on all plans, scaled and with thresholds by plans that were held out.

    The thresholds are set by the mean of DRAWS divisions into folds: one alone moves them by tenths.
    """
    drawn = [held_out(made, seed + i) for i in range(DRAWS)]
    sure, least = thresholds(np.mean(drawn, axis=0), made)
    return replace(_scaled(made, seed), sure=sure, least=least)


def held_out(made: Sequence[Planned], seed: int) -> Floats:
    """The confidence in each plan by a model that has not seen its request, [n] float64."""
    return np.array([together(h.tolist()) for h in out_of_fold(made, seed)])


def out_of_fold(made: Sequence[Planned], seed: int) -> list[Floats]:
    """For each plan the confidence in its clauses, by a model that has not seen its request."""
    fold = folds(made, seed)
    found: list[Floats] = [np.zeros(0)] * len(made)
    for number in range(FOLDS):
        model = _scaled([m for m, f in zip(made, fold, strict=True) if f != number], seed)
        for place in np.flatnonzero(fold == number).tolist():
            found[place] = model.of_rows(made[place].rows)
    return found


def folds(made: Sequence[Planned], seed: int) -> NDArray[np.int64]:
    """A fold for each plan; requests made of one another share theirs. [n] int64."""
    groups = np.array([m.group for m in made])
    names = np.unique(groups)
    drawn = np.random.default_rng(seed).integers(0, FOLDS, len(names))
    return np.array([drawn[np.searchsorted(names, g)] for g in groups], np.int64)


def _scaled(made: Sequence[Planned], seed: int) -> Confidence:
    """Weights on all, slope and shift on the odds of folds within."""
    rows, truth, weight, owner = _clauses(made)
    fold = folds(made, seed + 1)[owner]
    odds = np.zeros(len(rows))
    for number in range(FOLDS):
        inside, outside = fold != number, fold == number
        model = _regression(rows[inside], truth[inside], weight[inside])
        odds[outside] = model.standard(rows[outside]) @ model.weights + model.bias
    scale, shift = _newton(odds[:, None], truth, weight, 1e-3)
    return replace(
        _regression(rows, truth, weight), slope=max(0.1, float(scale[0])), shift=float(shift)
    )


def _clauses(made: Sequence[Planned]) -> tuple[Floats, Floats, Floats, NDArray[np.int64]]:
    """Clauses whose verdict is known: those of right plans, and the only one of a wrong plan."""
    known = [(i, m) for i, m in enumerate(made) if m.right or len(m.rows) == 1]
    rows = np.concatenate([m.rows for _, m in known])
    truth = np.concatenate([np.full(len(m.rows), float(m.right)) for _, m in known])
    weight = np.concatenate([np.full(len(m.rows), m.weight) for _, m in known])
    owner = np.concatenate([np.full(len(m.rows), i) for i, m in known])
    return rows, truth, weight, owner


def _regression(rows: Floats, truth: Floats, weight: Floats) -> Confidence:
    centre = np.average(rows, axis=0, weights=weight)
    spread = np.maximum(np.sqrt(np.average((rows - centre) ** 2, axis=0, weights=weight)), 0.05)
    blank = Confidence(np.zeros(rows.shape[1]), centre, spread, 0.0, 1.0, 0.0, NONE, NONE)
    weights, bias = _newton(blank.standard(rows), truth, weight, PENALTY)
    return replace(blank, weights=weights, bias=bias)


def _newton(rows: Floats, truth: Floats, weight: Floats, penalty: float) -> tuple[Floats, float]:
    """Logistic regression by iteratively reweighted least squares; the bias is not penalised."""
    wide = np.hstack([rows, np.ones((len(rows), 1))])
    found = np.zeros(wide.shape[1])
    ridge = np.diag([penalty] * rows.shape[1] + [1e-6])
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-np.clip(wide @ found, -30, 30)))
        slope = wide.T @ (weight * (truth - chance)) - ridge @ found
        curve = (wide * (weight * chance * (1 - chance))[:, None]).T @ wide + ridge
        step = np.linalg.solve(curve, slope)
        found = found + step
        if np.abs(step).max() < 1e-8:
            break
    return found[:-1], float(found[-1])


def thresholds(scores: Floats, made: Sequence[Planned]) -> tuple[Threshold, Threshold]:
    """From which confidence on SURE of the plans are right; and which REACHED of the right plans reach."""
    truth = np.array([m.right for m in made])
    weight = np.array([m.weight for m in made])
    rank = int(np.floor((1 - REACHED) * (int(truth.sum()) + 1)))
    least = float(np.sort(scores[truth])[max(0, rank - 1)]) if rank else 0.0
    order = np.argsort(-scores)
    precise = np.cumsum((truth * weight)[order]) / np.cumsum(weight[order])
    passing = np.flatnonzero(precise >= SURE)
    sure = float(scores[order][passing[-1]]) if len(passing) else 1.0
    sure = max(sure, least, NEXT)
    return mark(sure, scores, truth, weight), mark(least, scores, truth, weight)


def mark(limit: float, scores: Floats, truth: NDArray[np.bool_], weight: Floats) -> Threshold:
    passing = scores >= limit
    precision = float((weight * truth)[passing].sum() / max(1e-9, weight[passing].sum()))
    coverage = float((weight * truth)[passing].sum() / max(1e-9, (weight * truth).sum()))
    return Threshold(round(limit, 4), round(precision, 4), round(coverage, 4))


def brier(scores: Floats, truth: NDArray[np.bool_], weight: Floats) -> float:
    return float(np.average((scores - truth) ** 2, weights=weight))


def calibration_error(
    scores: Floats, truth: NDArray[np.bool_], weight: Floats, bins: int = 10
) -> float:
    """Expected calibration error over bins with as many plans each (Naeini et al. 2015)."""
    total = 0.0
    for part in np.array_split(np.argsort(scores, kind="stable"), bins):
        share = weight[part].sum()
        off = np.average(scores[part], weights=weight[part])
        total += share * abs(off - np.average(truth[part], weights=weight[part]))
    return float(total / weight.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the public data sets")
    parser.add_argument("--examples", type=Path, default=Path("examples"))
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    made, refused = asyncio.run(plans(given.data, given.examples))
    model = fit(made, given.seed)
    model.save(given.out)
    sys.stdout.write(told(model, made, refused))


def told(model: Confidence, made: Sequence[Planned], refused: int) -> str:
    """The fit in words: what weighs most, and the thresholds with what they promise."""
    lines = [f"{len(made)} plans, {sum(m.right for m in made)} right; {refused} requests refused"]
    weighed = sorted(zip(FEATURES, model.weights, strict=True), key=lambda p: -abs(p[1]))
    lines += [f"  {value:+.2f}  {name}" for name, value in weighed]
    lines += [
        f"{name}: {limit.confidence:.3f}; {limit.precision:.1%} of the plans above are right, "
        f"{limit.coverage:.1%} of the right ones are above"
        for name, limit in (("sure", model.sure), ("least", model.least))
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
