"""The planner file that ships: python -m pointsman.router.planning.learned.training.shipped --data DIR

Trained on UltraTool's and MetaTool's train parts as catalogs with much, little and no past use, with
capabilities taken away. Takes some minutes on two cores; the same seed gives the same file.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pointsman.router.planning.base import Embedder, Vectors
from pointsman.router.planning.learned.chooser import SHIPPED
from pointsman.router.planning.learned.heads import joined, save
from pointsman.router.planning.learned.index import CapabilityIndex, lines
from pointsman.router.planning.learned.past import PastPlan
from pointsman.router.planning.learned.training.bridging import fit_bridge
from pointsman.router.planning.learned.training.episodes import (
    Lessons,
    Material,
    beside,
    within,
)
from pointsman.router.planning.learned.training.fitting import CAREFUL, fit_sets
from pointsman.router.planning.learned.training.links import fit_earliness, fit_links
from pointsman.router.planning.learned.training.sources import (
    Source,
    metatool_single,
    ultratool,
)
from pointsman.router.planning.retrieval import masked

Floats = NDArray[np.float32]
SIZES = (0, 20, 50, 200, 1_000)
"""Past plans in the memories of the small episodes."""
ASKED = 300
SINGLE = 80
"""Questions of an episode, of requests for several capabilities and for one: most requests need several."""
FOLDS = 3
"""Times a fifth of the capabilities is taken away."""
SINGLES = 3_000
"""Queries of MetaTool that are learned from."""


async def material(source: Source, embedder: Embedder) -> Material:
    """Embeds a source's catalog and requests."""
    told = [t for c in source.capabilities for _, t in lines(c)]
    index = CapabilityIndex(source.capabilities, await embedder.embed(told))
    vectors = await embedder.embed([masked(p.request) for p in source.plans])
    earliness = earliness_of(index, source) if any(p.links for p in source.plans) else None
    return Material(index, source.plans, vectors, earliness)


def earliness_of(index: CapabilityIndex, source: Source) -> Floats:
    def described(name: str) -> Floats:
        vector: Floats = index.described([index.places[name]])[0]
        return vector

    return fit_earliness([(described(a), described(b)) for p in source.plans for a, b in p.links])


def episodes(
    made: Material, beside_it: Material, random: np.random.Generator, *, seed: int, count: int
) -> Lessons:
    """Memories of every size, of `made`, asked for capabilities that the bridge has not seen.

    beside_it: another catalog, that the bridge has learned from too. count: questions of an episode.
    """
    lessons = Lessons.none()
    everything = np.arange(len(made.plans))
    for fold in range(FOLDS):
        gone = fifth(made.plans, random)
        rows = rows_without(made, gone)
        others = random.permutation(np.setdiff1d(everything, rows))
        learned = [(made, rows), (beside_it, range(len(beside_it.plans)))]
        bridge = fit_bridge(learned, seed=10 * seed + fold)
        for size in SIZES:
            memory = random.permutation(everything)[:size]
            asked = others[~np.isin(others, memory)][:count]
            lessons.add(beside(made, memory.tolist(), asked.tolist(), bridge))
        lessons.add(beside(made, rows, others[:count].tolist(), bridge))
        asked = random.permutation(others)[:count]
        lessons.add(within(made, everything.tolist(), bridge, asked.tolist()))
    return lessons


def fifth(plans: Sequence[PastPlan], random: np.random.Generator) -> frozenset[str]:
    """The names of a fifth of the capabilities that plans use."""
    names = sorted({c for p in plans for c in p.capabilities})
    return frozenset(random.choice(names, len(names) // 5, replace=False).tolist())


def rows_without(made: Material, gone: frozenset[str]) -> list[int]:
    """Rows of the plans that use none of the named capabilities."""
    return [r for r, p in enumerate(made.plans) if not gone.intersection(p.capabilities)]


async def train(data: Path, embedder: Embedder, *, seed: int) -> dict[str, Floats]:
    random = np.random.default_rng(seed)
    chains = await material(ultratool(data / "ultratool"), embedder)
    every = metatool_single(data / "metatool")
    rows = random.permutation(len(every.plans))[:SINGLES]
    some = Source(every.capabilities, tuple(every.plans[r] for r in rows))
    singles = await material(some, embedder)
    lessons = episodes(chains, singles, random, seed=seed, count=ASKED)
    lessons.add(episodes(singles, chains, random, seed=seed, count=SINGLE))
    both = [(m, range(len(m.plans))) for m in (chains, singles)]
    assert chains.earliness is not None
    return joined(
        [
            fit_sets(lessons.sets, seed=seed, heads=2, recipe=CAREFUL),
            fit_links(np.concatenate(lessons.pairs), np.concatenate(lessons.linked), seed=seed),
            fit_bridge(both, seed=seed).arrays(),
            {"earliness": chains.earliness},
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.use_deterministic_algorithms(True)

    async def run() -> dict[str, Floats]:
        from pointsman.experts.models.encoder import Encoder  # only to train: the router needs none

        encoder = Encoder()
        try:
            return await train(given.data, Kept(encoder), seed=given.seed)
        finally:
            encoder.close()

    SHIPPED.parent.mkdir(exist_ok=True)
    save(asyncio.run(run()), SHIPPED)
    sys.stdout.write(f"{SHIPPED.name}: {SHIPPED.stat().st_size / 1e3:.0f} kB\n")


class Kept:
    """An embedder that embeds each text of a training once."""

    def __init__(self, embedder: Embedder) -> None:
        self.dim = embedder.dim
        self._embedder = embedder
        self._vectors: dict[str, NDArray[np.float32]] = {}

    async def embed(self, texts: Sequence[str]) -> Vectors:
        new = [t for t in dict.fromkeys(texts) if t not in self._vectors]
        if new:
            self._vectors.update(zip(new, await self._embedder.embed(new), strict=True))
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        return np.stack([self._vectors[t] for t in texts])


if __name__ == "__main__":
    main()
