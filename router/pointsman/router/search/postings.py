"""An inverted index on disk: which texts have a word, and which words a text has.

Files: those of `terms` (columns.py); term_ends.npy, docs.npy, weights.npy: of each word the texts that have it,
ascending, and its weights; first_ends.npy, first_docs.npy, first_weights.npy: of each word that many have, those where
it weighs most; doc_ends.npy, doc_terms.npy, doc_weights.npy: of each text its words and their weights.

A search reads the lists of its rarest words whole, up to READ entries together, and of the others those where they
weigh most; the CONSIDERED best by that are scored by all their words. Where all lists are read whole that is exact.
"""

import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointsman.router.search.allowed import Allowed
from pointsman.router.search.columns import Longs, Strings, mapped, write_strings
from pointsman.router.search.vectors import Floats, Slots, greatest

Ints = NDArray[np.int32]
Halves = NDArray[np.float16]

READ = 32_768
MANY = 512
"""Of a word that more texts have, those where it weighs most are kept apart."""
CONSIDERED = 512


class Postings:
    """Searched from any thread, never changed."""

    def __init__(self, folder: Path) -> None:
        self.terms = Strings(folder, "terms")
        self.number = lru_cache(maxsize=65_536)(self.terms.number)
        """Of a word; None where no text has it."""
        self.term_ends: Longs = mapped(folder, "term_ends")
        self.docs: Ints = mapped(folder, "docs")
        self.weights: Halves = mapped(folder, "weights")
        self._first_ends: Longs = mapped(folder, "first_ends")
        self._first_docs: Ints = mapped(folder, "first_docs")
        self._first_weights: Halves = mapped(folder, "first_weights")
        self.doc_ends: Longs = mapped(folder, "doc_ends")
        self.doc_terms: Ints = mapped(folder, "doc_terms")
        self.doc_weights: Halves = mapped(folder, "doc_weights")
        self._scratch = threading.local()

    def having(self, number: int) -> int:
        """How many texts have a word."""
        return int(self.term_ends[number]) - (int(self.term_ends[number - 1]) if number else 0)

    def list_of(self, number: int) -> tuple[Ints, Halves]:
        """Texts that have a word, ascending, and its weights."""
        some = _span(self.term_ends, number)
        return self.docs[some], self.weights[some]

    def terms_of(self, slot: int) -> Ints:
        """Numbers of the words of a text."""
        return self.doc_terms[_span(self.doc_ends, slot)]

    def best(self, rare: Mapping[int, float], count: int, allowed: Allowed) -> tuple[Slots, Floats]:
        """The `count` texts that score most and their scores, most first. rare: rarity of each word asked for."""
        found = self._candidates(rare, allowed)
        score = self.scores(rare, found)
        some = greatest(score, count)
        return found[some], score[some]

    def scores(self, rare: Mapping[int, float], slots: Slots) -> Floats:
        """Of some texts by all words."""
        table = np.zeros(len(self.term_ends), np.float32)
        table[list(rare)] = list(rare.values())
        ends = self.doc_ends[slots]
        begins = np.where(slots > 0, self.doc_ends[slots - 1], 0)
        each = ends - begins
        places = np.repeat(begins - (np.cumsum(each) - each), each) + np.arange(int(each.sum()))
        gained = table[self.doc_terms[places]] * self.doc_weights[places]
        of = np.repeat(np.arange(len(slots)), each)
        made: Floats = np.bincount(of, gained, len(slots)).astype(np.float32)
        return made

    def _candidates(self, rare: Mapping[int, float], allowed: Allowed) -> Slots:
        """Those that score most by the lists that are read, ascending."""
        total = self._zeros()
        seen: list[Ints] = []
        for docs, weights, rarity in self._lists(rare):
            there = allowed.of(docs)
            docs = docs[there]
            before = total[docs]
            seen.append(docs[before == 0])
            total[docs] = before + weights[there].astype(np.float32) * np.float32(rarity)
        docs = np.concatenate([np.zeros(0, np.int32), *seen])
        score = total[docs]
        total[docs] = 0
        if len(docs) > CONSIDERED:
            docs = docs[np.argpartition(-score, CONSIDERED)[:CONSIDERED]]
        made: Slots = np.sort(docs).astype(np.int64)
        return made

    def _lists(self, rare: Mapping[int, float]) -> list[tuple[Ints, Halves, float]]:
        """Rarest first: whole lists as far as READ goes, then their first entries."""
        made: list[tuple[Ints, Halves, float]] = []
        left = READ
        for number in sorted(rare, key=self.having):
            length = self.having(number)
            left -= length
            if left >= 0 or length <= MANY:
                docs, weights = self.list_of(number)
            else:
                some = _span(self._first_ends, number)
                docs, weights = self._first_docs[some], self._first_weights[some]
            made.append((docs, weights, rare[number]))
        return made

    def _zeros(self) -> Floats:
        """One a text, of this thread; whoever writes to it leaves zeros."""
        made: Floats | None = getattr(self._scratch, "total", None)
        if made is None:
            made = self._scratch.total = np.zeros(len(self.doc_ends), np.float32)
        return made


def write_postings(
    folder: Path, terms: Sequence[str], texts: int, numbers: Ints, docs: Ints, weights: Halves
) -> None:
    """numbers, docs, weights: of every word of every text its number, the text and the weight; texts ascending."""
    write_strings(folder, "terms", terms)
    _save(folder, doc_terms=numbers, doc_weights=weights)
    _save(folder, doc_ends=np.cumsum(np.bincount(docs, minlength=texts)))
    order = np.argsort(numbers, kind="stable")
    counts = np.bincount(numbers, minlength=len(terms))
    ends = np.cumsum(counts)
    docs, weights = docs[order], weights[order]
    _save(folder, term_ends=ends, docs=docs, weights=weights)
    firsts: list[NDArray[np.int64]] = []
    for number in np.flatnonzero(counts > MANY).tolist():
        each = weights[ends[number] - counts[number] : ends[number]].astype(np.float32)
        firsts.append(np.sort(greatest(each, MANY)) + ends[number] - counts[number])
    some = np.concatenate([np.zeros(0, np.int64), *firsts])
    kept = np.where(counts > MANY, MANY, 0)
    _save(folder, first_ends=np.cumsum(kept), first_docs=docs[some], first_weights=weights[some])


def _span(ends: Longs, number: int) -> slice:
    return slice(int(ends[number - 1]) if number else 0, int(ends[number]))


def _save(folder: Path, **arrays: NDArray[np.generic]) -> None:
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
