"""Ranks the capabilities of a catalog for a clause: by meaning, by words, and by cues.

Each capability is known by its examples, its title and its description; a clause is compared with all of
them and the best ones count. File names, addresses and quoted phrases say nothing about what is asked, so
they are masked on both sides. Vectors are made once per content and kept.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointsman.router.catalog import Capability, Catalog
from pointsman.router.planning.base import Embedder, Vectors
from pointsman.router.planning.cues import CUES, cue
from pointsman.router.planning.mentions import FILE_NAME, QUOTED, URL

WORD = re.compile(r"[a-z]+(?:'[a-z]+)?|\d+")
STOP = frozenset(
    """a an and any are as at be been but by can could did do does for from give had has have how i if in into is it its
    just kindly let me my of on or our please show so some tell that the their them then there these they this those to
    us want was we were what when where which who whose will with would you your file phrase page""".split()
)
DESCRIPTION_WEIGHT = 0.92


@dataclass(frozen=True, slots=True)
class Hit:
    """A capability and how well it fits, 0..1. meaning: nearest cosine; words: share of the clause's words,
    weighted by rarity, that its description has; cue: of its built-in cue words.
    """

    capability: Capability
    score: float
    meaning: float
    words: float
    cue: float


@dataclass(frozen=True, slots=True)
class _Known:
    """A catalog made searchable. Lines of a capability lie side by side.

    vectors: [lines, dim] float32. weights: of the lines, [lines]. starts: first line of each capability.
    lengths: how many lines each has. said: which capabilities have a stem. cued: those with cues of their own.
    """

    capabilities: tuple[Capability, ...]
    vectors: Vectors
    weights: Vectors
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    said: Mapping[str, NDArray[np.int64]]
    rarity: Mapping[str, float]
    cued: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Scores:
    """Of every capability, [capabilities] each; see Hit."""

    score: NDArray[np.float64]
    meaning: NDArray[np.float64]
    words: NDArray[np.float64]
    cue: NDArray[np.float64]


def masked(text: str) -> str:
    """The text without the names that say nothing about what is asked."""
    text = URL.sub("the page", text)
    text = QUOTED.sub("'phrase'", text)
    text = FILE_NAME.sub("the file", text)
    return " ".join(text.split())


def stems(text: str) -> frozenset[str]:
    """Content words, cut to a common stem."""
    return frozenset(_stem(w) for w in WORD.findall(text.lower()) if w not in STOP)


def _stem(word: str) -> str:
    word = word.replace("isation", "ization").replace("ise", "ize")
    for ending in ("ations", "ation", "ings", "ing", "ies", "ers", "er", "ed", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


class Retrieval:
    """Searches catalogs; one instance may serve many."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._vectors: dict[str, np.ndarray] = {}
        self._known: dict[tuple[Capability, ...] | int, tuple[int, _Known]] = {}

    async def rank(self, text: str, catalog: Catalog) -> list[Hit]:
        """Every capability, best first."""
        return await self.top(text, catalog, len(catalog))

    async def top(self, text: str, catalog: Catalog, k: int) -> list[Hit]:
        """The k best capabilities, best first; the first of two equal ones is the earlier in the catalog."""
        known = await self._of(catalog)
        if not known.capabilities or k < 1:
            return []
        line = masked(text)
        query = (await self._embedder.embed([line]))[0]
        scores = _scores(known, text, line, query)
        return [
            Hit(
                known.capabilities[i],
                float(scores.score[i]),
                float(scores.meaning[i]),
                float(scores.words[i]),
                float(scores.cue[i]),
            )
            for i in _best(scores.score, k)
        ]

    async def _of(self, catalog: Catalog) -> _Known:
        held = self._known.get(id(catalog))
        if (
            held is not None
            and held[0] == catalog.version
            and held[1].capabilities == tuple(catalog)
        ):
            return held[1]
        known = await self._learn(tuple(catalog))
        if len(self._known) > 8:
            self._known.clear()
        self._known[id(catalog)] = (catalog.version, known)
        return known

    async def _learn(self, capabilities: tuple[Capability, ...]) -> _Known:
        lines = [(i, t, w) for i, c in enumerate(capabilities) for t, w in _lines(c)]
        new = [t for t in dict.fromkeys(t for _, t, _ in lines) if t not in self._vectors]
        if new:
            self._vectors.update(zip(new, await self._embedder.embed(new), strict=True))
        said = tuple(frozenset().union(*(stems(t) for t, _ in _lines(c))) for c in capabilities)
        lengths = np.bincount([i for i, _, _ in lines], minlength=len(capabilities))
        return _Known(
            capabilities,
            np.stack([self._vectors[t] for _, t, _ in lines])
            if lines
            else np.zeros((0, self._embedder.dim), np.float32),
            np.array([w for _, _, w in lines], np.float32),
            np.cumsum(lengths) - lengths,
            lengths,
            _places(said),
            _rarity(said),
            tuple(i for i, c in enumerate(capabilities) if c.name in CUES),
        )


def _scores(known: _Known, text: str, line: str, query: Vectors) -> _Scores:
    """One score of the three, 0..1. A cue carries most; without one, meaning must be near."""
    meaning = _meaning((known.vectors @ query) * known.weights, known.starts, known.lengths)
    words = np.zeros(len(known.capabilities))
    asked = sorted(stems(line))
    for stem in asked:
        if stem in known.said:
            words[known.said[stem]] += known.rarity[stem]
    words /= sum(known.rarity.get(s, known.rarity[""]) for s in asked) or 1.0
    cues = np.zeros(len(known.capabilities))
    for place in known.cued:
        cues[place] = cue(known.capabilities[place].name, text)
    near = np.clip((meaning - 0.15) / 0.6, 0.0, 1.0)
    score = np.minimum(1.0, 0.55 * near + 0.15 * words + 0.45 * cues)
    return _Scores(score, meaning, words, cues)


def _meaning(
    similar: Vectors, starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Of every capability's lines: 0.8 of the nearest and 0.2 of the mean of the three nearest."""
    left = similar.copy()
    best = np.maximum.reduceat(left, starts)
    total, nth = best.copy(), best
    for turn in (2, 3):
        _take_out(left, nth, starts, lengths)
        nth = np.maximum.reduceat(left, starts)
        total += np.where(lengths >= turn, nth, np.float32(0))
    mean = total / np.minimum(lengths, 3).astype(np.float32)
    made: NDArray[np.float64] = (np.float32(0.8) * best + np.float32(0.2) * mean).astype(np.float64)
    return made


def _take_out(
    left: Vectors, best: Vectors, starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> None:
    """Makes the first line that is as near as its capability's best count no more."""
    there = np.flatnonzero(left == np.repeat(best, lengths))
    owners = np.searchsorted(starts, there, side="right") - 1
    _, first = np.unique(owners, return_index=True)
    left[there[first]] = -np.inf


def _best(score: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Places of the k greatest, greatest first, the earlier of equal ones first."""
    if k < len(score):
        least = np.partition(score, len(score) - k)[len(score) - k]
        places = np.flatnonzero(score >= least)
    else:
        places = np.arange(len(score))
    order: NDArray[np.int64] = places[np.argsort(-score[places], kind="stable")][:k]
    return order


def _lines(capability: Capability) -> Iterable[tuple[str, float]]:
    for example in capability.examples:
        yield masked(example), 1.0
    yield (
        capability.title or capability.name.replace(".", " ").replace("_", " "),
        DESCRIPTION_WEIGHT,
    )
    yield capability.description, DESCRIPTION_WEIGHT


def _places(said: tuple[frozenset[str], ...]) -> dict[str, NDArray[np.int64]]:
    """Which capabilities say each stem."""
    found: dict[str, list[int]] = {}
    for place, stems_ in enumerate(said):
        for stem in stems_:
            found.setdefault(stem, []).append(place)
    return {stem: np.array(places, np.int64) for stem, places in found.items()}


def _rarity(said: tuple[frozenset[str], ...]) -> dict[str, float]:
    """Inverse document frequency (BM25's); the empty word stands for words that nothing has."""
    counts = Counter(s for stems_ in said for s in stems_)
    rarity = {s: math.log(1 + (len(said) - n + 0.5) / (n + 0.5)) for s, n in counts.items()}
    rarity[""] = math.log(1 + (len(said) + 0.5) / 0.5)
    return rarity
