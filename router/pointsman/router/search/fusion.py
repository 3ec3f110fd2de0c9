"""One order from two: reciprocal ranks, weighed (Cormack, Clarke and Buettcher 2009, section 2)."""

import numpy as np
from numpy.typing import NDArray

from pointsman.router.search.vectors import Slots

DEPTH = 50
"""Capabilities that each half hands over."""
FLAT = 60.0
"""Ranks this far apart count alike."""
WORDS = 0.5
"""What a rank by words counts, of one by meaning."""


def fused(meaning: Slots, words: Slots) -> tuple[Slots, NDArray[np.float64]]:
    """Best first of each half -> all of both, best first, and their scores; the earlier of equal ones first."""
    both = np.union1d(meaning, words)
    score = np.zeros(len(both))
    score[np.searchsorted(both, meaning)] += 1 / (FLAT + 1 + np.arange(len(meaning)))
    score[np.searchsorted(both, words)] += WORDS / (FLAT + 1 + np.arange(len(words)))
    order = np.argsort(-score, kind="stable")
    return both[order], score[order]
