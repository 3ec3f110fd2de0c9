"""What the parts on UltraTool and MetaTool share: an encoder that embeds each text once, F1, mean and spread."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pointsman.experts.models.encoder import Encoder
from pointsman.router.planning.learned.training.shipped import Kept


def encoder() -> Kept:
    """The encoder that ships; it ends with the process."""
    return Kept(Encoder())


def f1(found: Sequence[object], right: Sequence[object]) -> float:
    """Of two sets; two empty ones agree."""
    a, b = set(found), set(right)
    return 2 * len(a & b) / (len(a) + len(b)) if a or b else 1.0


def told(values: Sequence[float]) -> str:
    """Mean and spread, for a table."""
    return f"{np.mean(values):.3f} ± {np.std(values):.3f}"


def summed(values: Sequence[float]) -> dict[str, object]:
    """Mean and spread, for JSON."""
    return {
        "mean": round(float(np.mean(values)), 4),
        "std": round(float(np.std(values)), 4),
        "each": [round(float(v), 4) for v in values],
    }


def nearest_votes(
    asked: NDArray[np.float32], past: NDArray[np.float32], used: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The baseline's votes: the 20 nearest past requests, softmax of the cosine over 0.05; [asked, names]."""
    cosines = asked @ past.T
    rows = np.argpartition(-cosines, 20, axis=1)[:, :20]
    near = np.take_along_axis(cosines, rows, 1)
    shares = np.exp((near - near.max(1, keepdims=True)) / 0.05)
    shares /= shares.sum(1, keepdims=True)
    made: NDArray[np.float32] = np.einsum("an,anc->ac", shares, used[rows])
    return made
