"""Situations to train on: a catalog, a memory of some of its past plans, and requests that are not in it.

Plans of the memory are asked about as if each had not been there (see memory.py); others as they are. With
capabilities taken away, nothing in the memory uses them, so the heads learn to serve what is new. The bridge must
not have learned from what is asked, else the heads trust it too much.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pointsman.router.planning.base import Vectors
from pointsman.router.planning.learned.bridge import Bridge
from pointsman.router.planning.learned.features import Reader
from pointsman.router.planning.learned.index import CapabilityIndex
from pointsman.router.planning.learned.linking import pair_features
from pointsman.router.planning.learned.memory import PlanMemory
from pointsman.router.planning.learned.past import PastPlan
from pointsman.router.planning.learned.training.fitting import Example

Floats = NDArray[np.float32]


@dataclass(slots=True)
class Lessons:
    """What an episode gives: examples for the set head, pairs and their truth for the link head."""

    sets: list[Example]
    pairs: list[Floats]
    linked: list[Floats]

    @classmethod
    def none(cls) -> "Lessons":
        return cls([], [], [])

    def add(self, other: "Lessons") -> None:
        self.sets += other.sets
        self.pairs += other.pairs
        self.linked += other.linked


@dataclass(frozen=True, slots=True)
class Material:
    """Past plans with the vectors of their masked requests, [plans, dim], over one index."""

    index: CapabilityIndex
    plans: tuple[PastPlan, ...]
    vectors: Vectors
    earliness: Floats | None = None

    def without(self, names: Collection[str]) -> "Material":
        """The same plans over a catalog that has not the named capabilities."""
        return replace(self, index=self.index.without(names))

    def memory(self, rows: Sequence[int]) -> PlanMemory:
        return PlanMemory([self.plans[r] for r in rows], self.vectors[list(rows)])


def within(
    material: Material, rows: Sequence[int], bridge: Bridge, asked: Sequence[int] | None = None
) -> Lessons:
    """Every plan of the memory (or the `asked` of them) as a question that does not see itself."""
    reader = Reader(material.index, material.memory(rows), bridge)
    made = Lessons.none()
    wanted = set(rows if asked is None else asked)
    for place, row in enumerate(rows):
        if row in wanted:
            _ask(material, reader, row, place, made)
    return made


def beside(
    material: Material, rows: Sequence[int], asked: Sequence[int], bridge: Bridge
) -> Lessons:
    """Questions over a memory that they are not in."""
    reader = Reader(material.index, material.memory(rows), bridge)
    made = Lessons.none()
    for row in asked:
        _ask(material, reader, row, None, made)
    return made


def _ask(material: Material, reader: Reader, row: int, left_out: int | None, made: Lessons) -> None:
    plan = material.plans[row]
    scene, votes = reader.read(plan.request, material.vectors[row], left_out=left_out)
    names = [material.index.capabilities[p].name for p in scene.places]
    right = np.array([float(n in plan.capabilities) for n in names], np.float32)
    made.sets.append(Example(scene, right, len(plan.capabilities) - int(right.sum())))
    chosen = [material.index.capabilities[material.index.places[c]] for c in plan.capabilities]
    if len(chosen) > 1:
        pairs, features = pair_features(plan.request, chosen, reader, votes, material.earliness)
        truth = {(a, b) for a, b in plan.links}
        made.pairs.append(features)
        made.linked.append(
            np.array([(chosen[a].name, chosen[b].name) in truth for a, b in pairs], np.float32)
        )
