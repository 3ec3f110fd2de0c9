"""Ranks the capabilities of a catalog for a clause: by meaning, by words, and by cues.

Each capability is known by its examples, its title and its description; a clause is compared with all of
them and the best ones count. File names, addresses and quoted phrases say nothing about what is asked, so
they are masked on both sides. Vectors are made once per content and kept.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pointsman.router.catalog import Capability, Catalog
from pointsman.router.planning.base import Embedder, Vectors
from pointsman.router.planning.cues import cue
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
    """A catalog made searchable. owner[i]: which capability line i belongs to; weights[i] of the line."""

    capabilities: tuple[Capability, ...]
    vectors: Vectors
    owner: np.ndarray
    weights: np.ndarray
    stems: tuple[frozenset[str], ...]
    rarity: dict[str, float]


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
        known = await self._of(catalog)
        if not known.capabilities:
            return []
        line = masked(text)
        query = (await self._embedder.embed([line]))[0]
        similar = (known.vectors @ query) * known.weights
        asked = stems(line)
        total = sum(known.rarity.get(s, known.rarity[""]) for s in asked) or 1.0
        hits: list[Hit] = []
        for place, capability in enumerate(known.capabilities):
            lines = np.sort(similar[known.owner == place])[::-1]
            meaning = float(0.8 * lines[0] + 0.2 * lines[: min(3, len(lines))].mean())
            words = sum(known.rarity[s] for s in asked & known.stems[place]) / total
            sign = cue(capability.name, text)
            hits.append(Hit(capability, combined(meaning, words, sign), meaning, words, sign))
        return sorted(hits, key=lambda h: -h.score)

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
        return _Known(
            capabilities,
            np.stack([self._vectors[t] for _, t, _ in lines])
            if lines
            else np.zeros((0, self._embedder.dim), np.float32),
            np.array([i for i, _, _ in lines]),
            np.array([w for _, _, w in lines], np.float32),
            said,
            _rarity(said),
        )


def combined(meaning: float, words: float, sign: float) -> float:
    """One score of the three, 0..1. A cue carries most; without one, meaning must be near."""
    near = min(1.0, max(0.0, (meaning - 0.15) / 0.6))
    return min(1.0, 0.55 * near + 0.15 * words + 0.45 * sign)


def _lines(capability: Capability) -> Iterable[tuple[str, float]]:
    for example in capability.examples:
        yield masked(example), 1.0
    yield (
        capability.title or capability.name.replace(".", " ").replace("_", " "),
        DESCRIPTION_WEIGHT,
    )
    yield capability.description, DESCRIPTION_WEIGHT


def _rarity(said: tuple[frozenset[str], ...]) -> dict[str, float]:
    """Inverse document frequency (BM25's); the empty word stands for words that nothing has."""
    counts = Counter(s for stems_ in said for s in stems_)
    rarity = {s: math.log(1 + (len(said) - n + 0.5) / (n + 0.5)) for s, n in counts.items()}
    rarity[""] = math.log(1 + (len(said) + 0.5) / 0.5)
    return rarity
