"""Learns the five numbers by which workflows are ranked:

python -m pointsman.router.planning.learned.training.workflow_ranking --data DIR --situations FILE

Rows: each situation of a sub-flow by itself, each two, and all of them, against the library of all sub-flows; and
each once more with the right workflow taken out, where "none" is right. A conditional logit, L2-regularised,
fitted by L-BFGS; deterministic.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from pointsman.router.planning.base import Embedder
from pointsman.router.planning.learned.training.encoding import one_thread
from pointsman.router.planning.learned.training.situations import given
from pointsman.router.planning.workflows.abcd import read_subflows, workflow_form
from pointsman.router.planning.workflows.ranking import (
    FEATURES,
    WEIGHTS,
    Described,
    Features,
    RankWeights,
    WorkflowRanker,
    save_weights,
    sentences,
)

L2 = 1e-3
SURENESS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Powers of the number of sentences that are tried."""


@dataclass(frozen=True, slots=True)
class Row:
    """features: [n workflows, 3]. right: number of the workflow. lines: how many situations were said.

    sentences: how many they have in all.
    """

    features: Features
    right: int
    lines: int
    sentences: int


def described(folder: Path) -> dict[str, Described]:
    """The workflows of ABCD by their key in kb.json. Raises BadFile."""
    forms = {s.key: workflow_form(s) for s in read_subflows(folder)}
    return {k: Described(f["name"], f["title"], tuple(f["examples"])) for k, f in forms.items()}


async def read_rows(
    library: Mapping[str, Described], situations: Mapping[str, Sequence[str]], embedder: Embedder
) -> list[Row]:
    """One row for each situation, each two of a sub-flow, and all of them; in the order of the library."""
    nothing = RankWeights(np.zeros(len(FEATURES), np.float32), 0.0)
    ranker = WorkflowRanker(embedder, tuple(library.values()), nothing)
    rows: list[Row] = []
    for number, key in enumerate(library):
        said = situations.get(key, ())
        for count in range(1, len(said) + 1):
            for lines in combinations(said, count):
                text = " ".join(lines)
                features = await ranker.features(text)
                rows.append(Row(features, number, count, len(sentences(text))))
    return rows


def fit(rows: Sequence[Row], *, l2: float = L2) -> RankWeights:
    """Rows of as many lines weigh the same in sum, with and without the right workflow."""
    found = [_fit(rows, power, l2) for power in SURENESS]
    _, best = min(found, key=lambda pair: pair[0])
    return best


def _fit(rows: Sequence[Row], power: float, l2: float) -> tuple[float, RankWeights]:
    """The loss, and the weights for one power of the number of sentences."""
    features = np.stack([r.features for r in rows]).astype(np.float64)
    right = np.array([r.right for r in rows])
    lines = np.array([r.lines for r in rows])
    scale = np.array([float(r.sentences) ** power for r in rows])
    weight = np.array([1.0 / np.sum(lines == n) for n in lines])
    weight /= weight.sum()
    place = np.arange(len(rows))
    none = np.full(len(rows), features.shape[1])

    def loss(given: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scores = np.concatenate([features @ given[:-1], np.full((len(rows), 1), given[-1])], axis=1)
        scores *= scale[:, None]
        without = scores.copy()
        without[place, right] = -np.inf
        total, slope = l2 / 2 * float(given @ given), l2 * given
        for held, wanted in ((scores, right), (without, none)):
            shares = np.exp(held - held.max(axis=1, keepdims=True))
            shares /= shares.sum(axis=1, keepdims=True)
            total -= float(weight @ np.log(shares[place, wanted] + 1e-12)) / 2
            shares[place, wanted] -= 1.0
            shares *= (weight * scale)[:, None] / 2
            steps = np.einsum("rn,rnf->f", shares[:, :-1], features)
            slope = slope + np.append(steps, shares[:, -1].sum())
        return total, slope

    begin = np.zeros(features.shape[-1] + 1)
    found = minimize(loss, begin, jac=True, method="L-BFGS-B")
    return float(found.fun), RankWeights(found.x[:-1].astype(np.float32), float(found.x[-1]), power)


async def _main() -> None:
    told = given(__doc__, WEIGHTS)
    with one_thread() as encoder:
        rows = await read_rows(described(told.abcd), told.situations, encoder)
    save_weights(fit(rows), told.out)


if __name__ == "__main__":
    asyncio.run(_main())
