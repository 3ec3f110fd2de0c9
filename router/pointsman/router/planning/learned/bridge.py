"""How a request is moved towards the descriptions of what serves it: a small learned change of its vector.

b(x) = (x + x A B) / |x + x A B|, with A and B of low rank, learned so that b(request) is nearest to what served
it (training/bridging.py). It knows no capability, so it serves ones that were never seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Bridge:
    """down: [dim, rank]; up: [rank, dim]; float32."""

    down: Floats
    up: Floats

    def __call__(self, vectors: Floats) -> Floats:
        """[..., dim] to unit vectors, [..., dim]."""
        moved = vectors + (vectors @ self.down) @ self.up
        made: Floats = moved / np.linalg.norm(moved, axis=-1, keepdims=True)
        return made

    def arrays(self) -> dict[str, Floats]:
        return {"bridge.down": self.down, "bridge.up": self.up}

    @classmethod
    def of(cls, weights: Mapping[str, Floats]) -> "Bridge":
        return cls(weights["bridge.down"], weights["bridge.up"])
