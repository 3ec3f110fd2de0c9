"""Texts as sparse vectors of words: term frequency, inverse document frequency, unit length.

Sublinear term frequency, smoothed inverse document frequency (Manning, Raghavan, Schuetze 2008, sections 6.2
and 6.4.1).
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from pointsman.router.planning.retrieval import WORD, masked, stems

Grams = Callable[[str], Iterable[str]]


def grams(text: str) -> list[str]:
    """Words and pairs of neighbouring words; numbers count as one word, masked names as none."""
    words = [w if w.isalpha() else "0" for w in WORD.findall(masked(text).lower())]
    return words + [f"{a} {b}" for a, b in pairwise(words)]


def content(text: str) -> list[str]:
    """Content words, cut to their stems, each once."""
    return sorted(stems(text))


class Lexicon:
    """Weights of the grams of some texts. least: texts that a gram must be in to count."""

    def __init__(self, texts: Sequence[str], cut: Grams, *, least: int = 1) -> None:
        self._cut = cut
        split = [Counter(cut(t)) for t in texts]
        spread = Counter(g for counts in split for g in counts)
        kept = sorted(g for g, n in spread.items() if n >= least)
        self._places = {g: i for i, g in enumerate(kept)}
        self._weights = np.array(
            [math.log((1 + len(texts)) / (1 + spread[g])) + 1 for g in kept], np.float32
        )
        self.rows = self._sparse(split)
        """[texts, grams] float32, rows of unit length."""
        self._count = len(split)
        columns = self.rows.tocsc()
        self._ends = np.asarray(columns.indptr, np.int64)
        self._rows = np.asarray(columns.indices, np.int64)
        self._held = np.asarray(columns.data, np.float32)

    def cosines(self, text: str) -> NDArray[np.float32]:
        """Of another text and every text, [texts] float32; grams that the texts did not have do not count."""
        row = self._sparse([Counter(self._cut(text))])
        ends, rows, held = self._ends, self._rows, self._held
        made = np.zeros(self._count, np.float32)
        for gram, weight in zip(row.indices.tolist(), row.data.tolist(), strict=True):
            at = slice(ends[gram], ends[gram + 1])
            made[rows[at]] += held[at] * weight
        return made

    def _sparse(self, split: Sequence[Counter[str]]) -> csr_matrix:
        values: list[NDArray[np.float32]] = []
        columns: list[NDArray[np.int64]] = []
        ends = [0]
        for counts in split:
            known = [(self._places[g], n) for g, n in counts.items() if g in self._places]
            places = np.array([p for p, _ in known], np.int64)
            often = np.array([n for _, n in known], np.float32)
            weights = (1 + np.log(often)) * self._weights[places]
            length = float(np.linalg.norm(weights)) or 1.0
            values.append(weights / length)
            columns.append(places)
            ends.append(ends[-1] + len(places))
        parts = (
            np.concatenate(values) if values else np.zeros(0, np.float32),
            np.concatenate(columns) if columns else np.zeros(0, np.int64),
            np.array(ends),
        )
        return csr_matrix(parts, shape=(len(split), len(self._places)), dtype=np.float32)
