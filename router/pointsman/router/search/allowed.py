"""Which capabilities a search may find."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointsman.router.search.vectors import Slots

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Allowed:
    """Slots of the frozen or the recent part of an index that a search may find.

    mask: [slots]; None: all. few: the same as ascending slots, where they are few enough to be compared one by
    one. share: of all slots, about.
    """

    mask: Mask | None
    few: Slots | None
    share: float

    def of(self, slots: Slots | NDArray[np.int32]) -> Mask:
        if self.mask is None:
            return np.ones(len(slots), np.bool_)
        made: Mask = self.mask[slots]
        return made
