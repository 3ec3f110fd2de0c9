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
from pointsman.router.planning.learned.training.episodes import (
    Lessons,
    Material,
    beside,
    within,
)
from pointsman.router.planning.learned.training.fitting import Recipe, fit_sets
from pointsman.router.planning.learned.training.links import fit_earliness, fit_links
from pointsman.router.planning.learned.training.sources import (
    Source,
    metatool_single,
    ultratool,
    without,
)
from pointsman.router.planning.retrieval import masked

Floats = NDArray[np.float32]
SIZES = (0, 20, 50, 200, 1_000)
"""Past plans in the memories of the small episodes."""
ASKED = 400
"""Questions of an episode."""


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


def episodes(made: Material, random: np.random.Generator, *, sizes: Sequence[int]) -> Lessons:
    """Small memories of each size, and all of the catalog's plans with a fifth of it taken away."""
    lessons = Lessons.none()
    everything = np.arange(len(made.plans))
    for size in sizes:
        order = random.permutation(everything)
        lessons.add(beside(made, order[:size].tolist(), order[size : size + ASKED].tolist()))
    for _ in range(2):
        lessons.add(removed(made, random, ASKED))
    return lessons


def removed(made: Material, random: np.random.Generator, asked: int) -> Lessons:
    """A fifth of the capabilities has no past use; asked: half with such a one, half without."""
    names = sorted({c for p in made.plans for c in p.capabilities})
    gone = frozenset(random.choice(names, len(names) // 5, replace=False).tolist())
    kept = {id(p) for p in without(made.plans, gone)}
    rows = [r for r, p in enumerate(made.plans) if id(p) in kept]
    others = [r for r, p in enumerate(made.plans) if id(p) not in kept]
    lessons = beside(made, rows, random.permutation(others)[:asked].tolist())
    lessons.add(within(made, rows, random.permutation(rows)[:asked].tolist()))
    return lessons


async def train(data: Path, embedder: Embedder, *, seed: int) -> dict[str, Floats]:
    random = np.random.default_rng(seed)
    chains = await material(ultratool(data / "ultratool"), embedder)
    lessons = episodes(chains, random, sizes=SIZES)
    everything = list(range(len(chains.plans)))
    lessons.add(within(chains, everything, random.permutation(everything)[:1_500].tolist()))
    singles = metatool_single(data / "metatool")
    rows = random.permutation(len(singles.plans))[:3_000]
    some = Source(singles.capabilities, tuple(singles.plans[r] for r in rows))
    lessons.add(episodes(await material(some, embedder), random, sizes=SIZES))
    assert chains.earliness is not None
    return joined(
        [
            fit_sets(lessons.sets, seed=seed, heads=2, recipe=Recipe(epochs=15)),
            fit_links(np.concatenate(lessons.pairs), np.concatenate(lessons.linked), seed=seed),
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
        return np.stack([self._vectors[t] for t in texts])


if __name__ == "__main__":
    main()
