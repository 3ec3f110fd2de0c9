"""Which capabilities a request needs, and how many: the learned set head over a catalog.

chooser = SetChooser(encoder)
chosen = await chooser.choose("cancel the 8 o'clock alarm and set one for 9", catalog, memory=past)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointsman.router.catalog import Capability, Catalog
from pointsman.router.planning.base import Embedder, Vectors
from pointsman.router.planning.learned.bridge import Bridge
from pointsman.router.planning.learned.features import PAIR, Reader, Scene
from pointsman.router.planning.learned.heads import SetHeads, load
from pointsman.router.planning.learned.index import CapabilityIndex, lines
from pointsman.router.planning.learned.memory import PlanMemory, Votes
from pointsman.router.planning.learned.past import PastPlan
from pointsman.router.planning.learned.subsets import best_set
from pointsman.router.planning.retrieval import masked

SHIPPED = Path(__file__).parent / "weights" / "planner.safetensors"
Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Chosen:
    """probability: that the request needs it, 0..1. features: what the head saw, by name, for people."""

    capability: Capability
    probability: float
    features: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Choice:
    """chosen: the set with the greatest expected F1, likeliest member first. others: candidates left out.

    expected: the F1 that is expected of the set, 0..1. sure: the probability of exactly this set, 0..1.
    """

    chosen: tuple[Chosen, ...]
    others: tuple[Chosen, ...]
    expected: float
    sure: float
    votes: Votes | None = None


class SetChooser:
    """Chooses from catalogs; one instance may serve many. weights: of a set head (default: as shipped)."""

    def __init__(self, embedder: Embedder, *, weights: Weights | None = None) -> None:
        self._embedder = embedder
        held = load(SHIPPED) if weights is None else weights
        self._heads = SetHeads.of(held)
        self._bridge = Bridge.of(held)
        self._held: tuple[tuple[Capability, ...], tuple[PastPlan, ...], Reader] | None = None

    async def choose(
        self, text: str, catalog: Catalog, *, memory: Sequence[PastPlan] = ()
    ) -> list[Chosen]:
        """The capabilities that the request needs, likeliest first; none only for an empty catalog."""
        return list((await self.weigh(text, catalog, memory=memory)).chosen)

    async def weigh(
        self, text: str, catalog: Catalog, *, memory: Sequence[PastPlan] = ()
    ) -> Choice:
        """As `choose`, with what was left out and how sure it is."""
        if not len(catalog):
            return Choice((), (), 0.0, 0.0)
        reader = await self.reader(catalog, memory)
        vector = (await self._embedder.embed([masked(text)]))[0]
        scene, votes = reader.read(text, vector)
        return self._decide(scene, votes, reader.index)

    async def reader(self, catalog: Catalog, memory: Sequence[PastPlan]) -> Reader:
        """The catalog and the past plans made searchable; kept until either changes."""
        capabilities, past = tuple(catalog), tuple(memory)
        held = self._held
        if held is not None and held[0] == capabilities and held[1] == past:
            return held[2]
        index = held[2].index if held is not None and held[0] == capabilities else None
        if index is None:
            told = [t for c in capabilities for _, t in lines(c)]
            index = CapabilityIndex(capabilities, await self._embedded(told))
        known = held[2].memory if held is not None and held[1] == past else None
        if known is None:
            known = PlanMemory(past, await self._embedded([masked(p.request) for p in past]))
        reader = Reader(index, known, self._bridge)
        self._held = (capabilities, past, reader)
        return reader

    async def _embedded(self, texts: Sequence[str]) -> Vectors:
        """Each different text once; [texts, dim] float32."""
        unique = list(dict.fromkeys(texts))
        places = {t: i for i, t in enumerate(unique)}
        return (await self._embedder.embed(unique))[[places[t] for t in texts]]

    def _decide(self, scene: Scene, votes: Votes, index: CapabilityIndex) -> Choice:
        probabilities, sets = self._heads.probabilities(scene)
        best = best_set(probabilities, sets)
        alone = probabilities @ sets.members
        made = [
            Chosen(
                index.capabilities[place],
                float(alone[row]),
                {n: round(float(v), 4) for n, v in zip(PAIR, scene.unary[row], strict=False)},
            )
            for row, place in enumerate(scene.places)
        ]
        order = np.argsort(-alone, kind="stable")
        inside = sets.members[best] > 0
        return Choice(
            tuple(made[r] for r in order if inside[r]),
            tuple(made[r] for r in order if not inside[r]),
            float(sets.overlap[best] @ probabilities),
            float(probabilities[best]),
            votes,
        )
