"""The part of the index that lies on disk: read from its files' pages, never changed.

Files of its folder: those of `names` (columns.py) and of the words (postings.py); profile.npy, the number of each slot's traits, and
profiles.json, the traits; profile_slots.npy and profile_ends.npy, slots by traits; present.npy, slots that are not
gone; ends.npy, where each slot's vectors end; codes.npy, lengths.npy, owners.npy, the vectors, their lengths, whose
they are; graph.usearch where there are many.
"""

import json
import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointsman.router.search.allowed import Allowed, Mask
from pointsman.router.search.columns import Longs, Strings, mapped
from pointsman.router.search.entries import Filter, Traits
from pointsman.router.search.postings import Postings
from pointsman.router.search.profiles import Profiles, traits_of
from pointsman.router.search.vectors import Codes, Floats, Graph, Slots, cosines, greatest, meant

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
        self.names, self.words = Strings(folder, "names"), Postings(folder)
        self.profile: Ints = mapped(folder, "profile")
        self.profiles = Profiles(
            traits_of(row) for row in json.loads((folder / "profiles.json").read_text())
        )
        self._profile_slots: Ints = mapped(folder, "profile_slots")
        self._profile_ends: Longs = np.load(folder / "profile_ends.npy")
        self.present: Mask = mapped(folder, "present")
        self._holes = not self.present.all()
        self.ends: Longs = mapped(folder, "ends")
        self.codes: Codes = mapped(folder, "codes")
        self.lengths: Floats = mapped(folder, "lengths")
        self.owners: Ints = mapped(folder, "owners")
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
            slots, best = _by_slot(owners, near, count)
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
        rows, firsts = self._rows(slots)
        if not len(rows):
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        whole = len(rows) == len(self.codes)
        codes = self.codes if whole else self.codes[rows]
        near = cosines(query, codes, self.lengths if whole else self.lengths[rows])
        best: Floats = np.maximum.reduceat(near, firsts)
        some = greatest(best, count)
        return slots[some], best[some]

    def meaning(self, query: Floats, slots: Slots) -> Floats:
        """Cosines of some ascending slots by their nearest line. query: [dim], length 1."""
        rows, firsts = self._rows(slots)
        if not len(rows):
            return np.zeros(0, np.float32)
        near = meant(query, self.codes[rows], self.lengths[rows])
        best: Floats = np.maximum.reduceat(near, firsts)
        return best

    def _rows(self, slots: Slots) -> tuple[Longs, Longs]:
        """Rows of the vectors of some ascending slots, and where each slot's begin among them."""
        ends = self.ends[slots]
        begins = np.where(slots > 0, self.ends[slots - 1], 0)
        each = ends - begins
        firsts = np.cumsum(each) - each
        return np.repeat(begins - firsts, each) + np.arange(int(each.sum())), firsts

    def grown(self) -> Graph | None:
        """A copy of the graph in memory, which can take more."""
        if self._graph is None:
            return None
        return Graph.opened(self.folder / "graph.usearch", self.dim, mapped=False)


def _by_slot(slots: Slots, near: Floats, count: int) -> tuple[Slots, Floats]:
    """Of several vectors a slot the nearest: the `count` nearest slots, the earlier of equal ones first."""
    order = np.lexsort((slots, -near))
    slots, near = slots[order], near[order]
    _, first = np.unique(slots, return_index=True)
    kept = np.sort(first)[:count]
    return slots[kept], near[kept]
