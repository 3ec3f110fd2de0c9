"""The nearest of many vectors: all of them along few axes, then the best in full.

The axes are those along which the vectors differ most (principal axes without centring; their products are the
best low-rank stand-in for the full ones). A million vectors are for router/search; this holds tens of thousands,
needs no graph to be built and gives the same answer every time.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Rows: TypeAlias = NDArray[np.int64]

AXES = 64
FEW = 4_000
"""Up to this many vectors are compared in full: that takes a millisecond."""
WIDER = 6
"""How many times as many as asked for are compared in full."""


class Nearest:
    """vectors: [n, dim] float32, unit length; not copied."""

    def __init__(self, vectors: Floats) -> None:
        self._vectors = vectors
        self._axes: Floats | None = None
        if len(vectors) > FEW:
            _, axes = np.linalg.eigh(vectors.T @ vectors)
            self._axes = np.ascontiguousarray(axes[:, -AXES:])
            self._short = vectors @ self._axes

    def rows(self, queries: Floats, count: int) -> Rows:
        """Rows of the `count` nearest to each query, [queries, dim] -> [queries, count], in no order.

        All queries at once: reading the vectors takes longer than multiplying them.
        """
        if self._axes is None:
            whole: Floats = queries @ self._vectors.T
            return np.stack([_greatest(one, count) for one in whole])
        along: Floats = ((queries @ self._axes) @ self._short.T).astype(np.float32)
        made: list[Rows] = []
        for query, one in zip(queries, along, strict=True):
            near = _greatest(one, WIDER * count)
            full: Floats = self._vectors[near] @ query
            made.append(near[_greatest(full, count)])
        return np.stack(made)


def _greatest(values: Floats, count: int) -> Rows:
    if count >= len(values):
        return np.arange(len(values))
    return np.argpartition(-values, count - 1)[:count]
