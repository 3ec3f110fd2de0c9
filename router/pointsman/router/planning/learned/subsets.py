"""All small sets of a few candidates, and the choice among them that is best on average.

Under a distribution over sets the answer with the greatest expected F1 is looked for (minimum Bayes risk;
Jansche 2007, "A maximum expected utility framework for binary sequence labeling"), not the likeliest set.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
LARGEST = 6


@dataclass(frozen=True, slots=True)
class Sets:
    """members: [sets, candidates] of 0 and 1; sizes: [sets]; by_size: [sets, LARGEST], 1 at the size;
    overlap: F1 of each pair, [sets, sets].
    """

    members: Floats
    sizes: NDArray[np.int64]
    by_size: Floats
    overlap: Floats


@lru_cache(maxsize=16)
def sets_of(candidates: int) -> Sets:
    """Every set of 1 to LARGEST of the candidates (847 sets of ten)."""
    most = min(LARGEST, candidates)
    chosen = [c for size in range(1, most + 1) for c in combinations(range(candidates), size)]
    members = np.zeros((len(chosen), candidates), np.float32)
    for row, places in enumerate(chosen):
        members[row, list(places)] = 1
    sizes = members.sum(1)
    overlap = 2 * (members @ members.T) / (sizes[:, None] + sizes[None])
    whole = sizes.astype(np.int64)
    by_size = np.eye(LARGEST, dtype=np.float32)[whole - 1]
    return Sets(members, whole, by_size, overlap.astype(np.float32))


def best_set(probabilities: Floats, sets: Sets) -> int:
    """The row of the set with the greatest expected F1 under probabilities [sets]."""
    return int(np.argmax(sets.overlap @ probabilities))
