"""A part of the index: what both the frozen one on disk and the recent one in memory are to a search."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pointsman.router.search.entries import Filter
from pointsman.router.search.vectors import Codes, Floats, Slots

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Allowed:
    """Which slots of a part a search may find.

    mask: [slots]; None: all. few: the same as ascending slots, where they are few enough to be compared one by
    one. share: of all slots, about.
    """

    mask: Mask | None
    few: Slots | None
    share: float

    def of(self, slots: Slots) -> Mask:
        if self.mask is None:
            return np.ones(len(slots), np.bool_)
        made: Mask = self.mask[slots]
        return made


class Part(Protocol):
    """Capabilities by slot, 0 .. size - 1, and their vectors by row. Slots that are gone stay and are masked."""

    @property
    def size(self) -> int: ...

    def name(self, slot: int) -> str: ...

    def admitted(self, where: Filter, usable: Mask | None) -> Allowed:
        """usable: [slots], those that are there and, if asked for, healthy; None: all are."""
        ...

    def nearest(self, query: Codes, count: int, allowed: Allowed) -> tuple[Slots, Floats]:
        """Slots of the `count` nearest by their nearest vector and its cosine, nearest first."""
        ...

    def meaning(self, query: Codes, slots: Slots) -> Floats:
        """Cosines of some ascending slots by their nearest vector."""
        ...

    def postings(self, term: str) -> tuple[NDArray[np.int32], Floats, float]:
        """Slots that have a word, ascending; its weight in each; the greatest weight."""
        ...


def by_slot(slots: Slots, near: Floats, count: int) -> tuple[Slots, Floats]:
    """Of several vectors a slot the nearest: the `count` nearest slots, the earlier of equal ones first."""
    order = np.lexsort((slots, -near))
    slots, near = slots[order], near[order]
    _, first = np.unique(slots, return_index=True)
    kept = np.sort(first)[:count]
    return slots[kept], near[kept]
