"""The part of the index that lies on disk: read from its files' pages, never changed.

Files of its folder: those of `names` and `terms` (columns.py); profile.npy, the number of each slot's traits, and
profiles.json, the traits; profile_slots.npy and profile_ends.npy, slots by traits; present.npy, slots that are not
gone; ends.npy, where each slot's vectors end; codes.npy, lengths.npy, owners.npy, the vectors, their lengths, whose
they are; graph.usearch where there are many; term_ends.npy, docs.npy, weights.npy, most.npy, the words.
"""

import json
import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointsman.router.search.columns import Longs, Strings
from pointsman.router.search.entries import Filter, Traits
from pointsman.router.search.part import Allowed, Mask, by_slot
from pointsman.router.search.profiles import Profiles, traits_of
from pointsman.router.search.vectors import Codes, Floats, Graph, Slots, cosines, greatest

Ints = NDArray[np.int32]

FEW = 20_000
"""Up to this many slots are compared one by one."""
WIDER = 1.3
"""How many more vectors than capabilities are asked of the graph, beside what is filtered out."""
WIDEST = 4_096
"""Vectors that are asked of the graph at most, before everything admitted is compared one by one."""
REMEMBERED = 32
"""Filters whose answers are kept, a byte a slot each."""


class Frozen:
    """Raises OSError or ValueError when files are not there or no arrays."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names, self.terms = Strings(folder, "names"), Strings(folder, "terms")
        self.profile: Ints = np.load(folder / "profile.npy", mmap_mode="r")
        self.profiles = Profiles(
            traits_of(row) for row in json.loads((folder / "profiles.json").read_text())
        )
        self._profile_slots: Ints = np.load(folder / "profile_slots.npy", mmap_mode="r")
        self._profile_ends: Longs = np.load(folder / "profile_ends.npy")
        self.present: Mask = np.load(folder / "present.npy", mmap_mode="r")
        self._holes = not self.present.all()
        self.ends: Longs = np.load(folder / "ends.npy", mmap_mode="r")
        self.codes: Codes = np.load(folder / "codes.npy", mmap_mode="r")
        self.lengths: Floats = np.load(folder / "lengths.npy", mmap_mode="r")
        self.owners: Ints = np.load(folder / "owners.npy", mmap_mode="r")
        self.term_ends: Longs = np.load(folder / "term_ends.npy", mmap_mode="r")
        self.docs: Ints = np.load(folder / "docs.npy", mmap_mode="r")
        self.weights: Floats = np.load(folder / "weights.npy", mmap_mode="r")
        self._most: Floats = np.load(folder / "most.npy", mmap_mode="r")
        graph = folder / "graph.usearch"
        self._graph = Graph.opened(graph, self.dim, mapped=True) if graph.exists() else None
        self._masks: OrderedDict[Filter, Allowed] = OrderedDict()
        self._turn = threading.Lock()

    @property
    def size(self) -> int:
        return len(self.profile)

    @property
    def holes(self) -> bool:
        """Whether slots are gone since before this part was made."""
        return self._holes

    @property
    def dim(self) -> int:
        return int(self.codes.shape[1])

    def name(self, slot: int) -> str:
        return self.names[slot]

    def traits(self, slot: int) -> Traits:
        return self.profiles[int(self.profile[slot])]

    def admitted(self, where: Filter, usable: Mask | None) -> Allowed:
        found = self._static(where)
        if usable is None:
            return found
        few = None if found.few is None else found.few[usable[found.few]]
        return Allowed(usable if found.mask is None else found.mask & usable, few, found.share)

    def _static(self, where: Filter) -> Allowed:
        """By traits alone; kept."""
        with self._turn:
            found = self._masks.get(where)
            if found is not None:
                self._masks.move_to_end(where)
                return found
        found = self._by_traits(where)
        with self._turn:
            self._masks[where] = found
            if len(self._masks) > REMEMBERED:
                self._masks.popitem(last=False)
        return found

    def _by_traits(self, where: Filter) -> Allowed:
        numbers = self.profiles.admitted(where)
        ends = self._profile_ends
        begins = np.where(numbers > 0, ends[numbers - 1], 0)
        count = int((ends[numbers] - begins).sum())
        if count == self.size:
            return Allowed(None, np.arange(count) if count <= FEW else None, 1.0)
        if count <= FEW:
            parts = [
                self._profile_slots[a:b]
                for a, b in zip(begins.tolist(), ends[numbers].tolist(), strict=True)
            ]
            few = np.sort(np.concatenate([np.zeros(0, np.int32), *parts])).astype(np.int64)
            mask = np.zeros(self.size, np.bool_)
            mask[few] = True
            return Allowed(mask, few, count / max(1, self.size))
        good = np.zeros(len(self.profiles), np.bool_)
        good[numbers] = True
        return Allowed(good[self.profile], None, count / self.size)

    def nearest(self, query: Codes, count: int, allowed: Allowed) -> tuple[Slots, Floats]:
        if self._graph is None or allowed.few is not None:
            return self._one_by_one(query, count, self._slots(allowed))
        wanted = int(count * WIDER / allowed.share)
        while wanted <= WIDEST:
            rows = self._graph.rows(query, wanted)
            owners = self.owners[rows].astype(np.int64)
            there = allowed.of(owners)
            rows, owners = rows[there], owners[there]
            near = cosines(query, self.codes[rows], self.lengths[rows])
            slots, best = by_slot(owners, near, count)
            if len(slots) == count:
                return slots, best
            wanted *= 4
        return self._one_by_one(query, count, self._slots(allowed))

    def _slots(self, allowed: Allowed) -> Slots:
        if allowed.few is not None:
            return allowed.few
        if allowed.mask is None:
            return np.arange(self.size)
        return np.flatnonzero(allowed.mask)

    def _one_by_one(self, query: Codes, count: int, slots: Slots) -> tuple[Slots, Floats]:
        best = self.meaning(query, slots)
        some = greatest(best, count)
        return slots[some], best[some]

    def meaning(self, query: Codes, slots: Slots) -> Floats:
        if not len(slots):
            return np.zeros(0, np.float32)
        ends = self.ends[slots]
        begins = np.where(slots > 0, self.ends[slots - 1], 0)
        each = ends - begins
        firsts = np.cumsum(each) - each
        rows = np.repeat(begins - firsts, each) + np.arange(int(each.sum()))
        whole = len(rows) == len(self.codes)
        codes = self.codes if whole else self.codes[rows]
        near = cosines(query, codes, self.lengths if whole else self.lengths[rows])
        best: Floats = np.maximum.reduceat(near, firsts)
        return best

    def postings(self, term: str) -> tuple[Ints, Floats, float]:
        number = self.terms.number(term)
        if number is None:
            return np.zeros(0, np.int32), np.zeros(0, np.float32), 0.0
        at = slice(int(self.term_ends[number - 1]) if number else 0, int(self.term_ends[number]))
        return self.docs[at], self.weights[at], float(self._most[number])

    def grown(self) -> Graph | None:
        """A copy of the graph in memory, which can take more."""
        if self._graph is None:
            return None
        return Graph.opened(self.folder / "graph.usearch", self.dim, mapped=False)
