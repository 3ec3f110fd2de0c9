"""Which workflow a request is for, by meaning: a probability for each, and one that it is for none.

Three things are looked at, none of which knows a workflow by name: the cosine to its whole text, the mean cosine
to its examples, and the words that both share. They are weighed by a small log-linear model (a conditional logit
with an outside option, McFadden 1974) whose five numbers were learned on ABCD's sub-flows; where the right
workflow was taken out of the library, "none" was the answer to learn. The more sentences a request has, the surer
the model is: their mean says more.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from pointsman.router.planning.base import Embedder, Vectors
from pointsman.router.planning.retrieval import masked, stems

WEIGHTS = Path(__file__).with_name("ranking.safetensors")
SENTENCE = re.compile(r"(?<=[.?!])\s+")
Features: TypeAlias = NDArray[np.float32]
FEATURES = ("text", "examples", "words")


@dataclass(frozen=True, slots=True)
class Described:
    """What a workflow is known by. name: of the workflow; title and examples as in its YAML."""

    name: str
    title: str
    examples: tuple[str, ...]

    @property
    def text(self) -> str:
        return masked(f"{self.title}. {' '.join(self.examples)}")


@dataclass(frozen=True, slots=True)
class RankWeights:
    """weights: [3] float32, of `FEATURES`; none: the score of "no workflow of the library".

    sureness: the power of the number of sentences that all scores are multiplied by.
    """

    weights: NDArray[np.float32]
    none: float
    sureness: float = 0.0

    def shares(self, features: Features, sentences: int) -> NDArray[np.float64]:
        """Probabilities [n workflows + 1] of [n workflows, 3] features, the last of none."""
        scores = np.append(features @ self.weights, self.none)
        return softmax(scores * sentences**self.sureness)


@dataclass(frozen=True, slots=True)
class Match:
    """probability: 0..1; those of all workflows and of none sum to 1."""

    name: str
    probability: float


@dataclass(frozen=True, slots=True)
class _Known:
    texts: Vectors
    examples: Vectors
    owner: NDArray[np.int64]
    stems: tuple[frozenset[str], ...]
    rarity: Mapping[str, float]


class WorkflowRanker:
    """Ranks a fixed library; its vectors are made at the first call."""

    def __init__(
        self, embedder: Embedder, library: Sequence[Described], weights: RankWeights
    ) -> None:
        self._embedder = embedder
        self._library = tuple(library)
        self._weights = weights
        self._known: _Known | None = None

    async def rank(self, text: str) -> list[Match]:
        """The workflows, most probable first; nothing for a library without workflows.

        text: one or more sentences; each is compared for itself, and their scores are averaged.
        """
        if not self._library:
            return []
        shares = self._weights.shares(await self.features(text), len(sentences(text)))
        found = [Match(d.name, float(s)) for d, s in zip(self._library, shares, strict=False)]
        return sorted(found, key=lambda m: -m.probability)

    async def features(self, text: str) -> Features:
        """[n workflows, 3] float32, each 0..1 or nearly so, in the order of `FEATURES`."""
        known = await self._read()
        vectors = await self._embedder.embed(sentences(text))
        whole = (known.texts @ vectors.T).mean(axis=1)
        near = (known.examples @ vectors.T).mean(axis=1)
        counts = np.maximum(1, np.bincount(known.owner, minlength=len(self._library)))
        examples = np.bincount(known.owner, near, minlength=len(self._library)) / counts
        asked = stems(masked(text))
        words = [shared(asked, s, known.rarity) for s in known.stems]
        return np.stack([whole, examples, np.array(words)], axis=1).astype(np.float32)

    async def _read(self) -> _Known:
        if self._known is None:
            examples = [(i, masked(e)) for i, d in enumerate(self._library) for e in d.examples]
            texts = [d.text for d in self._library]
            vectors = await self._embedder.embed([*texts, *(e for _, e in examples)])
            said = tuple(stems(t) for t in texts)
            self._known = _Known(
                vectors[: len(texts)],
                vectors[len(texts) :],
                np.array([i for i, _ in examples]),
                said,
                rarity_of(said),
            )
        return self._known


def sentences(text: str) -> list[str]:
    """The sentences of a request, masked; at least one."""
    said = masked(text)
    return [s for s in SENTENCE.split(said) if s.strip()] or [said]


def rarity_of(texts: Sequence[frozenset[str]]) -> dict[str, float]:
    """Inverse document frequency of stems (BM25's); the empty stem stands for those that no text has."""
    counts = Counter(s for t in texts for s in t)
    total = len(texts)
    found = {s: math.log(1 + (total - n + 0.5) / (n + 0.5)) for s, n in counts.items()}
    return {**found, "": math.log(1 + (total + 0.5) / 0.5)}


def shared(one: frozenset[str], other: frozenset[str], rarity: Mapping[str, float]) -> float:
    """Stems of both by rarity: the geometric mean of their share in the one and in the other, 0..1."""
    mass = sum(rarity[s] for s in one & other)
    if mass == 0.0:
        return 0.0
    unknown = rarity[""]
    whole = sum(rarity.get(s, unknown) for s in one) * sum(rarity.get(s, unknown) for s in other)
    return mass / math.sqrt(whole)


def softmax(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """[n] -> [n] float64 that sums to 1."""
    raised: NDArray[np.float64] = np.exp(scores.astype(np.float64) - scores.max())
    shares: NDArray[np.float64] = raised / raised.sum()
    return shares


def load_weights(path: Path = WEIGHTS) -> RankWeights:
    """Raises OSError, SafetensorError."""
    held = load_file(path)
    return RankWeights(held["weights"], float(held["none"][0]), float(held["sureness"][0]))


def save_weights(found: RankWeights, path: Path) -> None:
    """As safetensors."""
    single = {"none": found.none, "sureness": found.sureness}
    held = {name: np.array([value], np.float32) for name, value in single.items()}
    save_file({"weights": found.weights, **held}, path)
    path.chmod(0o644)
