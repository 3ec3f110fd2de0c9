"""Fits the shipped planner to a user's own catalog, from plans that were right.

    fitted = await fit_own(capabilities, read_past(Path("plans.jsonl")), encoder)

The plans become the planner's memory in any case. The heads are trained on from the shipped ones, on each
plan as a question that does not see itself; whether that is better is measured on plans that the training
did not see (two halves, each tested by heads trained on the other), and only if it is are they kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointsman.router.catalog import Capability
from pointsman.router.errors import UnfitExamples
from pointsman.router.planning.base import Embedder
from pointsman.router.planning.learned.bridge import Bridge
from pointsman.router.planning.learned.chooser import SHIPPED, Weights
from pointsman.router.planning.learned.heads import SetHeads, joined, load
from pointsman.router.planning.learned.past import PastPlan
from pointsman.router.planning.learned.subsets import best_set
from pointsman.router.planning.learned.training.episodes import Lessons, within
from pointsman.router.planning.learned.training.fitting import Example, Recipe, fit_sets
from pointsman.router.planning.learned.training.links import fit_links
from pointsman.router.planning.learned.training.shipped import material
from pointsman.router.planning.learned.training.sources import Source

FEWEST = 20
"""Fewer plans than this are a memory, but nothing to train on."""
LEAST_PAIRS = 40
GAIN = 0.005
"""F1 by which trained heads must be better than the shipped ones to be kept."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Fitted:
    """weights: for LearnedPlanner. shipped, trained: F1 of the set on plans not trained on; kept: which it is.

    left_out: plans that use a capability that the catalog has not.
    """

    weights: dict[str, Floats]
    past: tuple[PastPlan, ...]
    shipped: float
    trained: float | None
    kept: bool
    left_out: int


async def fit_own(
    capabilities: Sequence[Capability],
    past: Sequence[PastPlan],
    embedder: Embedder,
    *,
    weights: Weights | None = None,
    seed: int = 0,
) -> Fitted:
    """Raises UnfitExamples when no plan fits the catalog."""
    names = {c.name for c in capabilities}
    fitting = tuple(p for p in past if names.issuperset(p.capabilities))
    if not fitting:
        raise UnfitExamples(len(past))
    held = dict(load(SHIPPED) if weights is None else weights)
    known = await material(Source(tuple(capabilities), fitting), embedder)
    lessons = within(known, list(range(len(fitting))), Bridge.of(held))
    before = score(lessons.sets, held)
    left_out = len(past) - len(fitting)
    if len(fitting) < FEWEST:
        return Fitted(held, fitting, before, None, False, left_out)
    after = _crossed(lessons.sets, held, seed)
    if after < before + GAIN:
        return Fitted(held, fitting, before, after, False, left_out)
    return Fitted(_trained_on(lessons, held, seed), fitting, before, after, True, left_out)


def score(examples: Sequence[Example], weights: Weights) -> float:
    """Mean F1 of the chosen set."""
    heads = SetHeads.of(weights)
    found: list[float] = []
    for example in examples:
        probabilities, sets = heads.probabilities(example.scene)
        members = sets.members[best_set(probabilities, sets)]
        total = members.sum() + example.right.sum() + example.missed
        found.append(float(2 * (members * example.right).sum() / total))
    return float(np.mean(found))


def _crossed(examples: Sequence[Example], weights: Weights, seed: int) -> float:
    """F1 of trained heads on the half that they were not trained on."""
    order = np.random.default_rng(seed).permutation(len(examples))
    halves = [[examples[i] for i in half] for half in np.array_split(order, 2)]
    scores = [
        score(tested, _on(trained, weights, seed)) * len(tested)
        for trained, tested in (halves, halves[::-1])
    ]
    return sum(scores) / len(examples)


def _trained_on(lessons: Lessons, weights: Weights, seed: int) -> dict[str, Floats]:
    made = joined([dict(weights), _on(lessons.sets, weights, seed)])
    pairs = np.concatenate(lessons.pairs) if lessons.pairs else np.zeros((0, 1), np.float32)
    if len(pairs) < LEAST_PAIRS:
        return made
    heads = len({n.split(".")[1] for n in weights if n.startswith("link.")})
    right = np.concatenate(lessons.linked)
    return joined([made, fit_links(pairs, right, seed=seed, heads=heads, initial=weights)])


def _on(examples: Sequence[Example], weights: Weights, seed: int) -> dict[str, Floats]:
    """Set heads trained on from `weights`; few examples are seen more often, at a lower rate."""
    heads = len({n.split(".")[1] for n in weights if n.startswith("set.")})
    few = len(examples) < 500
    recipe = Recipe(
        epochs=15 if few else 10, rate=1e-3 if few else 3e-3, batch=16 if few else 64, decay=1e-2
    )
    return fit_sets(examples, seed=seed, heads=heads, recipe=recipe, initial=weights)
