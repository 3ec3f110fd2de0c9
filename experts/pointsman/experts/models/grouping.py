"""Groups of vectors: how many there are, and which text is in which.

Ward's linkage over an even sample (Ward 1963), the number of groups by the mean silhouette (Rousseeuw 1987)
over cosine distance, then spherical k-means over all vectors from the sample's centres. No randomness.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, ward
from scipy.spatial.distance import pdist

Vectors: TypeAlias = NDArray[np.float32]
Labels: TypeAlias = NDArray[np.int64]

SAMPLE = 1_500
MOST_GROUPS = 16
_ROUNDS = 12


def grouped(vectors: Vectors, count: int | None = None) -> Labels:
    """The group of each vector, 0..k-1: [n]. vectors: [n, 384] unit length; count: k when it is known."""
    n = len(vectors)
    if n < 4 or count == 1:
        return np.zeros(n, np.int64) if count is None or count == 1 else np.arange(n) % count
    sample = vectors[np.linspace(0, n - 1, min(n, SAMPLE)).astype(int)]
    tree = ward(pdist(sample))
    if count is None:
        labels = _best_cut(tree, sample)
    else:
        labels = fcluster(tree, min(count, n), "maxclust") - 1
    return refined(vectors, _centres(sample, labels.astype(np.int64)))


def _best_cut(tree: NDArray[np.float64], sample: Vectors) -> Labels:
    distance = 1 - sample @ sample.T
    most = max(2, min(MOST_GROUPS, len(sample) // 4))
    cuts = {k: fcluster(tree, k, "maxclust").astype(np.int64) - 1 for k in range(2, most + 1)}
    scores = {k: silhouette(distance, cut) for k, cut in cuts.items()}
    best: Labels = cuts[max(scores, key=lambda k: (scores[k], -k))]
    return best


def silhouette(distance: Vectors, labels: Labels) -> float:
    """Mean silhouette; 0 for texts alone in their group. distance: [n, n]; labels: [n] from 0."""
    member = np.eye(int(labels.max()) + 1, dtype=np.float32)[labels]
    sizes = member.sum(axis=0)
    total = distance @ member
    own = np.maximum(sizes[labels] - 1, 1)
    inside = total[np.arange(len(labels)), labels] / own
    others = total / sizes
    others[np.arange(len(labels)), labels] = np.inf
    outside = others.min(axis=1)
    width = (outside - inside) / np.maximum(np.maximum(outside, inside), 1e-9)
    return float(np.where(sizes[labels] > 1, width, 0).mean())


def refined(vectors: Vectors, centres: Vectors) -> Labels:
    """Spherical k-means from given centres; a group that runs empty is dropped."""
    labels = np.full(len(vectors), -1, np.int64)
    for _ in range(_ROUNDS):
        moved: Labels = (vectors @ centres.T).argmax(axis=1)
        if np.array_equal(moved, labels):
            break
        _, labels = np.unique(moved, return_inverse=True)
        centres = _centres(vectors, labels)
    return labels


def _centres(vectors: Vectors, labels: Labels) -> Vectors:
    sums = np.zeros((int(labels.max()) + 1, vectors.shape[1]), np.float32)
    np.add.at(sums, labels, vectors)
    unit: Vectors = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    return unit
