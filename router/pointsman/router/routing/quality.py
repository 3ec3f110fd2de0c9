"""How well each expert is expected to do on *this* input, from what it did on others.

    model = fit(("small", "large"), vectors, surface(texts), outcomes)
    model.predict(vector, surface([text]))        # [1, experts], P(right)

Two views are blended: a logistic regression per expert on the vector and on what is read off the text, and
the outcomes of the nearest past inputs, drawn towards the expert's mean by a prior worth `shrink` neighbours
of full weight. How strong the penalty, how wide the neighbourhood and how they are blended is chosen on a
fifth of the rows that is set aside, by how well the differences between the experts are foretold. The neighbours take new outcomes at
once (`learned`), the regression when it is fitted again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from scipy.special import expit

from pointsman.router.errors import BadRouterModel
from pointsman.router.routing.logistic import Floats, binary_fit
from pointsman.router.routing.surface import FEATURES

Outcomes = NDArray[np.float32]
"""[inputs, experts]: 1 right, 0 wrong, shares between them, NaN where it was not tried."""

STRENGTHS = (0.001, 0.003, 0.01, 0.03)
HEATS = (0.05, 0.1, 0.2)
BLENDS = (0.25, 0.5, 0.75)
SPREAD = 0.3
"""A vector's standardised values are scaled by this, so that 384 of them do not drown those of the surface."""
SET_ASIDE = 0.2
KEPT = 20_000
"""Past inputs that are searched; beyond them the oldest go."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """vectors: [past, dim], unit; outcomes: [past, experts]; mean: [experts].

    A past input weighs exp((cosine - 1) / heat).
    """

    vectors: Floats
    outcomes: Outcomes
    mean: Floats
    heat: float
    shrink: float = 1.0

    def predict(self, vectors: Floats) -> Floats:
        """[n, dim] -> [n, experts]."""
        weights = np.exp((vectors @ self.vectors.T - 1) / self.heat)
        known = np.isfinite(self.outcomes)
        right = weights @ np.where(known, self.outcomes, 0)
        seen = weights @ known.astype(np.float32)
        # a prior worth `shrink` inputs as near as the nearest one
        prior = self.shrink * weights.max(1, keepdims=True)
        made: Floats = (right + prior * self.mean) / (seen + prior)
        return made


@dataclass(frozen=True, slots=True)
class Regression:
    """shift, scale: [dim + FEATURES]; weights: [dim + FEATURES, experts]; bias: [experts]."""

    shift: Floats
    scale: Floats
    weights: Floats
    bias: Floats

    def predict(self, vectors: Floats, surfaces: Floats) -> Floats:
        """[n, dim], [n, FEATURES] -> [n, experts]."""
        rows = (np.concatenate([vectors, surfaces], 1) - self.shift) * self.scale
        made: Floats = expit(rows @ self.weights + self.bias)
        return made


@dataclass(frozen=True, slots=True)
class QualityModel:
    """experts: in the order of every column. blend: the neighbours' share, 0..1."""

    experts: tuple[str, ...]
    regression: Regression
    neighbours: Neighbours
    blend: float

    def predict(self, vectors: Floats, surfaces: Floats) -> Floats:
        """[n, dim], [n, FEATURES] -> [n, experts], P(right)."""
        near = self.neighbours.predict(vectors)
        fitted = self.regression.predict(vectors, surfaces)
        return _blended(near, fitted, self.blend)

    def learned(self, vector: Floats, expert: str, right: float) -> "QualityModel":
        """With one more outcome: [dim], 0..1. Of an expert that was not fitted nothing is learned."""
        if expert not in self.experts:
            return self
        row = np.full((1, len(self.experts)), np.nan, np.float32)
        row[0, self.experts.index(expert)] = right
        past = self.neighbours
        return replace(
            self,
            neighbours=replace(
                past,
                vectors=np.concatenate([past.vectors, vector[None]])[-KEPT:],
                outcomes=np.concatenate([past.outcomes, row])[-KEPT:],
            ),
        )

    def save(self, path: Path) -> None:
        """A safetensors file; the neighbours' vectors are halved to float16."""
        r, n = self.regression, self.neighbours
        tensors: dict[str, NDArray[np.float32] | NDArray[np.float16]] = {
            "shift": r.shift,
            "scale": r.scale,
            "weights": r.weights,
            "bias": r.bias,
            "vectors": n.vectors.astype(np.float16),
            "outcomes": n.outcomes,
            "mean": n.mean,
            "settings": np.array([n.heat, n.shrink, self.blend], np.float32),
        }
        kept = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
        save_file(kept, path, metadata={"experts": "\n".join(self.experts)})

    @classmethod
    def load(cls, path: Path) -> "QualityModel":
        """Raises BadRouterModel for a file that is missing or is something else."""
        try:
            with safe_open(path, framework="numpy") as file:
                told = file.metadata() or {}
                found = {n: file.get_tensor(n).astype(np.float32) for n in file.keys()}  # noqa: SIM118
            heat, shrink, blend = (float(v) for v in found["settings"])
            return cls(
                tuple(told["experts"].split("\n")),
                Regression(*(found[n] for n in ("shift", "scale", "weights", "bias"))),
                Neighbours(found["vectors"], found["outcomes"], found["mean"], heat, shrink),
                blend,
            )
        except (OSError, KeyError, ValueError, SafetensorError) as error:
            raise BadRouterModel(str(path), str(error)) from error


def fit(
    experts: Sequence[str],
    vectors: Floats,
    surfaces: Floats,
    outcomes: Outcomes,
    *,
    seed: int = 0,
) -> QualityModel:
    """vectors: [n, dim], unit; surfaces: [n, FEATURES]; outcomes: [n, experts].

    Raises ValueError for fewer than ten rows or a shape that does not fit.
    """
    n = len(vectors)
    if n < 10 or outcomes.shape != (n, len(experts)) or surfaces.shape != (n, FEATURES):
        raise ValueError(
            f"{n} inputs with outcomes {outcomes.shape} of {len(experts)} experts: "
            "give ten or more inputs, and one row of outcomes for each"
        )
    order = np.random.default_rng(seed).permutation(n)
    aside, rest = order[: max(2, int(n * SET_ASIDE))], order[max(2, int(n * SET_ASIDE)) :]
    strength, heat, blend = _chosen(vectors, surfaces, outcomes, rest, aside)
    return QualityModel(
        tuple(experts),
        _regression(vectors, surfaces, outcomes, strength),
        _neighbours(vectors, outcomes, heat),
        blend,
    )


def _chosen(
    vectors: Floats,
    surfaces: Floats,
    outcomes: Outcomes,
    rest: NDArray[np.int64],
    aside: NDArray[np.int64],
) -> tuple[float, float, float]:
    """Strength, heat and blend with the least error on the rows set aside."""
    fitted = {
        strength: _regression(vectors[rest], surfaces[rest], outcomes[rest], strength).predict(
            vectors[aside], surfaces[aside]
        )
        for strength in STRENGTHS
    }
    near = {
        heat: _neighbours(vectors[rest], outcomes[rest], heat).predict(vectors[aside])
        for heat in HEATS
    }

    def miss(choice: tuple[float, float, float]) -> float:
        strength, heat, blend = choice
        return _miss(_blended(near[heat], fitted[strength], blend), outcomes[aside])

    return min(product(STRENGTHS, HEATS, BLENDS), key=miss)


def _blended(near: Floats, fitted: Floats, blend: float) -> Floats:
    made: Floats = (blend * near + (1 - blend) * fitted).astype(np.float32)
    return made


def _miss(expected: Floats, outcomes: Outcomes) -> float:
    """Mean squared error of each outcome against the input's mean: how hard an input is for all decides no
    route. Where an input was tried once only, against nothing."""
    known = np.isfinite(outcomes)
    tries = known.sum(1, keepdims=True)
    error = np.where(known, expected - np.where(known, outcomes, 0), 0)
    centre = np.where(tries > 1, error.sum(1, keepdims=True) / np.maximum(tries, 1), 0)
    return float(((error - centre) ** 2)[known].mean()) if known.any() else 0.0


def _neighbours(vectors: Floats, outcomes: Outcomes, heat: float) -> Neighbours:
    vectors, outcomes = vectors[-KEPT:], outcomes[-KEPT:]
    return Neighbours(vectors, outcomes, _means(outcomes), heat)


def _means(outcomes: Outcomes) -> Floats:
    """[experts]: with one right and one wrong more, so that none is certain."""
    known = np.isfinite(outcomes)
    right = np.where(known, outcomes, 0).sum(0)
    made: Floats = ((right + 1) / (known.sum(0) + 2)).astype(np.float32)
    return made


def _regression(
    vectors: Floats, surfaces: Floats, outcomes: Outcomes, strength: float
) -> Regression:
    rows = np.concatenate([vectors, surfaces], 1)
    shift = rows.mean(0)
    scale = 1 / np.maximum(rows.std(0), 1e-3)
    scale[: vectors.shape[1]] = SPREAD * np.sqrt(vectors.shape[1])
    rows = (rows - shift) * scale
    weights = np.zeros((rows.shape[1], outcomes.shape[1]), np.float32)
    bias = np.zeros(outcomes.shape[1], np.float32)
    for expert in range(outcomes.shape[1]):
        known = np.isfinite(outcomes[:, expert])
        truth = outcomes[known, expert].astype(np.float64)
        weights[:, expert], bias[expert] = binary_fit(rows[known], truth, strength=strength)
    return Regression(shift, scale, weights, bias)


__all__ = ["Neighbours", "Outcomes", "QualityModel", "Regression", "fit"]
