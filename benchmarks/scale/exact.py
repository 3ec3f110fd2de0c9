"""What a search should have found: every vector compared in float32, every word scored."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.scale.catalog import Vectors
from pointsman.router.search import CapabilityIndex, Entry, Filter
from pointsman.router.search.fusion import DEPTH, WORDS
from pointsman.router.search.words import rarity, terms

Floats = NDArray[np.float32]
Places = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Nearest:
    """Of each query the DEPTH nearest capabilities that a filter lets through, by places in the catalog."""

    def __init__(self, queries: Vectors, where: Filter) -> None:
        self._queries, self.where = queries, where
        self.places = np.zeros((len(queries), 0), np.int64)
        self.cosines = np.zeros((len(queries), 0), np.float32)

    def see(self, first: int, admitted: NDArray[np.bool_], best: Floats) -> None:
        """best: cosines of the capabilities from place `first` on, [queries, capabilities]."""
        there = np.flatnonzero(admitted)
        places = np.broadcast_to(there + first, (len(self._queries), len(there)))
        both = np.concatenate([self.cosines, best[:, there]], axis=1)
        order = np.argsort(-both, axis=1, kind="stable")[:, :DEPTH]
        self.cosines = np.take_along_axis(both, order, axis=1)
        whole = np.concatenate([self.places, places], axis=1)
        self.places = np.take_along_axis(whole, order, axis=1)


def seen(
    blocks: Iterable[list[Entry]], queries: Vectors, found: Iterable[Nearest]
) -> Iterator[list[Entry]]:
    """The blocks, each handed on after `found` has seen it."""
    first = 0
    for block in blocks:
        lines = np.concatenate([e.vectors for e in block])
        ends = np.cumsum([len(e.vectors) for e in block])
        starts = np.concatenate([[0], ends[:-1]])
        best: Floats = np.maximum.reduceat(queries @ lines.T, starts, axis=1)
        for one in found:
            admitted = np.array([one.where.admits(e.traits) for e in block])
            one.see(first, admitted, best)
        first += len(block)
        yield block


class Worded:
    """Scores every capability of a frozen index by every word, without leaving any out."""

    def __init__(self, index: CapabilityIndex) -> None:
        self._state = index._live.state
        self._frozen = self._state.frozen

    def scores(self, text: str) -> NDArray[np.float64]:
        """BM25 of every place."""
        total = np.zeros(self._frozen.size)
        for term in terms(text):
            number = self._frozen.words.number(term)
            if number is None:
                continue
            docs, each = self._frozen.words.list_of(number)
            total[docs] += rarity(len(docs), self._state.count) * each.astype(np.float64)
        return total

    def mask(self, where: Filter) -> Mask:
        frozen = self._frozen
        good = np.array([where.admits(frozen.profiles[i]) for i in range(len(frozen.profiles))])
        made: Mask = good[frozen.profile]
        return made

    def first(self, near: Places, cosines: Floats, query: Vectors, text: str, mask: Mask) -> Places:
        """The first ten of both halves by the sum. near, cosines: the nearest of all. query: length 1.

        The cosines of those that only their words brought are of the index's bytes.
        """
        words = np.where(mask, self.scores(text), -1.0) * (WORDS / rarity(1, self._state.count))
        some = np.argpartition(-words, min(DEPTH, len(words) - 1))[: 2 * DEPTH]
        said = np.sort(some[np.argsort(-words[some], kind="stable")][:DEPTH])
        said = said[words[said] > 0]
        score = dict(zip(said.tolist(), self._frozen.meaning(query, said), strict=True))
        score |= dict(zip(near.tolist(), cosines.tolist(), strict=True))
        made = sorted(score, key=lambda p: -(score[p] + words[p]))[:10]
        return np.array(made, np.int64)


def overlap(found: Sequence[Sequence[int]], best: Sequence[Sequence[int]]) -> float:
    """Share of the best that were found."""
    wanted = sum(len(b) for b in best)
    return sum(len(set(f) & set(b)) for f, b in zip(found, best, strict=True)) / max(1, wanted)
