"""What came since the frozen part was made: in memory, compared one by one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointsman.router.search.allowed import Allowed, Mask
from pointsman.router.search.columns import Growing
from pointsman.router.search.entries import Filter, Traits
from pointsman.router.search.profiles import Profiles
from pointsman.router.search.vectors import Codes, Floats, Slots, cosines, greatest, lengths, meant
from pointsman.router.search.words import weights

Ints = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Item:
    """An entry as it is kept: vectors as bytes, [lines, dim] int8, and how often each word is said."""

    name: str
    codes: Codes
    words: Mapping[str, int]
    traits: Traits


class Recent:
    """Written by one thread, read by many through `Glimpse`s."""

    def __init__(self, dim: int) -> None:
        self.items: list[Item] = []
        self._profiles = Profiles()
        self._profile = Growing(np.zeros(0, np.int32))
        self._codes = Growing(np.zeros((0, dim), np.int8))
        self._lengths = Growing(np.zeros(0, np.float32))
        self._starts = Growing(np.zeros(0, np.int64))
        self._words: dict[str, tuple[Growing[np.int32], Growing[np.float32]]] = {}

    def append(self, item: Item) -> int:
        """Its slot. It is seen by glimpses that are taken afterwards."""
        slot = len(self.items)
        self._profile.extend(np.array([self._profiles.number(item.traits)], np.int32))
        self._starts.extend(np.array([len(self._codes)]))
        self._codes.extend(item.codes)
        self._lengths.extend(lengths(item.codes))
        for term, weight in weights(item.words).items():
            docs, each = self._words.setdefault(
                term, (Growing(np.zeros(0, np.int32)), Growing(np.zeros(0, np.float32)))
            )
            # the weight first: whoever sees the slot finds its weight
            each.extend(np.array([weight], np.float32))
            docs.extend(np.array([slot], np.int32))
        self.items.append(item)
        return slot

    def glimpse(self) -> "Glimpse":
        return Glimpse(self, len(self.items), len(self._codes))


@dataclass(frozen=True, slots=True)
class Glimpse:
    """The recent part as it was at one moment: its first `size` slots and first `rows` vectors."""

    recent: Recent
    size: int
    rows: int

    def name(self, slot: int) -> str:
        return self.recent.items[slot].name

    def items(self) -> Iterator[Item]:
        return iter(self.recent.items[: self.size])

    def admitted(self, where: Filter, usable: Mask | None) -> Allowed:
        recent = self.recent
        good = np.zeros(len(recent._profiles), np.bool_)
        numbers = recent._profiles.admitted(where)
        good[numbers[numbers < len(good)]] = True
        mask: Mask = good[recent._profile.first(self.size)]
        if usable is not None:
            mask = mask & usable
        return Allowed(mask, np.flatnonzero(mask), float(mask.mean()) if self.size else 0.0)

    def nearest(self, query: Codes, count: int, allowed: Allowed) -> tuple[Slots, Floats]:
        """Slots of the `count` nearest by their nearest line, nearest first, and about its cosine."""
        slots = np.arange(self.size) if allowed.few is None else allowed.few
        if not len(slots):
            return slots, np.zeros(0, np.float32)
        best: Floats = np.maximum.reduceat(cosines(query, *self._vectors()), self._starts())[slots]
        some = greatest(best, count)
        return slots[some], best[some]

    def meaning(self, query: Floats, slots: Slots) -> Floats:
        """Cosines of some ascending slots by their nearest line. query: [dim], length 1."""
        codes, length = self._vectors()
        ends = np.append(self._starts()[1:], self.rows)
        best = [
            meant(query, codes[a:b], length[a:b]).max()
            for a, b in zip(self._starts()[slots].tolist(), ends[slots].tolist(), strict=True)
        ]
        return np.array(best, np.float32)

    def _vectors(self) -> tuple[Codes, Floats]:
        return self.recent._codes.first(self.rows), self.recent._lengths.first(self.rows)

    def _starts(self) -> NDArray[np.int64]:
        return self.recent._starts.first(self.size)

    def having(self, term: str) -> Ints:
        """Slots that have a word, ascending."""
        return self._postings(term)[0]

    def words(self, rare: Mapping[str, float]) -> Floats:
        """BM25 of every slot, [size]. rare: rarity of each word asked for."""
        total = np.zeros(self.size, np.float32)
        for term, rarity in rare.items():
            docs, each = self._postings(term)
            total[docs] += each * np.float32(rarity)
        return total

    def _postings(self, term: str) -> tuple[Ints, Floats]:
        found = self.recent._words.get(term)
        if found is None:
            return np.zeros(0, np.int32), np.zeros(0, np.float32)
        docs = found[0].all()
        docs = docs[: int(np.searchsorted(docs, self.size))]
        return docs, found[1].first(len(docs))
