"""Is a request one that the catalog can serve at all? An in-scope score from the examples of the catalog.

    scope = Scope.fit(vectors, labels)                  # no out-of-scope example is needed
    outside = scope.score(requests) < scope.threshold(0.95)

Evidence of a request, from unit vectors of a frozen encoder:
- kernel density of the nearest label: log of the mean of exp(BETA (cos - 1)) over the label's examples, a soft
  form of the k-nearest-neighbour distance (Sun et al. 2022, arXiv 2204.06507), and the three nearest examples;
- Mahalanobis distance to the nearest label mean under a shared, shrunk covariance (Podolskiy et al. 2021,
  arXiv 2101.03778), and the same relative to one Gaussian of all examples (Ren et al. 2021, arXiv 2106.09022);
- energy of a softmax regression on the labels (Liu et al. 2020, arXiv 2010.03759), which also chooses the label;
- with out-of-scope examples, the cosine of the nearest of them.

A logistic regression with weights of at least zero (each kind of evidence may only count in its own direction)
weighs them. Its negatives need not be given: neighbouring labels are held out together, in turn, and their
examples play the outside. The threshold is cross-conformal (Vovk 2015, arXiv 1208.0806): a quantile of the scores
that examples get from the examples of the other folds. Near-duplicates are kept in one fold: people write
examples by varying the last one, and a new request is nobody's variation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pointsman.router.planning.base import Vectors

__all__ = ["Scope"]

Floats: TypeAlias = NDArray[np.float64]
Labels: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]

BETA = 20.0
NEAREST = 3
WITHIN, ALL = 0.5, 0.3
"""Least shrinkage of the covariance within labels, and of that over all examples."""
STEPS, RATE, BATCH = 200, 0.1, 256
"""Of the softmax regression: the same number of steps for any number of examples, so that folds compare."""
FOLDS = 5
DUPLICATE = 0.82
"""Cosine from which two examples of a label are variations of one another."""
ROWS = 512
TRUST = 2.0
"""Examples' worth of trust in START, the weights before anything was learned."""
START = np.array([0.3, 1.0, 0.3, 0.3, 0.5])
"""Weights of the standardised evidence, in the order of `_Reference.evidence`."""
LEAST_SPREAD = np.array([1.0, 50.0, 0.05, 0.5, 0.05])
"""A third of what the evidence's standard deviation is in catalogs of 5 to 150 labels."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is known of a catalog's in-scope requests. Made by `fit`, never changed."""

    reference: "_Reference"
    centre: Floats
    spread: Floats
    weights: Floats
    bias: float
    held_out: Floats
    """Scores of the examples, each from the other folds, ascending: [n] float64."""

    @classmethod
    def fit(
        cls, vectors: Vectors, labels: Labels, *, outside: Vectors | None = None, seed: int = 0
    ) -> Self:
        """vectors: [n, dim] float32, unit length. labels: [n] whole numbers, one for each capability or intent.
        outside: [m, dim] float32, requests known to be out of scope. seed: of the folds.

        Takes time in the square of n: 15,000 examples 15 s on one core, 1,000 a tenth of a second.
        Raises ValueError for no examples, or labels that do not match.
        """
        if len(vectors) == 0 or len(vectors) != len(labels):
            raise ValueError(
                f"{len(vectors)} examples with {len(labels)} labels; give one label each, and at least one"
            )
        none = np.zeros((0, vectors.shape[1]), np.float32)
        away = none if outside is None else outside
        inside, foreign, real = _evidence_by_folds(
            vectors, labels, away, np.random.default_rng(seed)
        )
        reference = _Reference.of(vectors, labels, away)
        rows = np.concatenate([inside.stacked, foreign, real])
        if not len(rows):
            rows = reference.evidence(vectors)
        centre = rows.mean(0)
        spread = np.maximum(rows.std(0), LEAST_SPREAD[: rows.shape[1]])
        truth = np.zeros(len(rows))
        truth[: len(inside.stacked)] = 1
        counts = np.ones(len(rows))
        for part, total in _balance(len(inside.stacked), len(foreign), len(real)):
            counts[part] = total / max(1, part.stop - part.start)
        weights, bias = _logistic((rows - centre) / spread, truth, counts)
        held_out = np.sort((inside.plain - centre) / spread @ weights + bias)
        return cls(reference, centre, spread, weights, bias, held_out)

    def arrays(self) -> dict[str, Floats]:
        """What takes long to fit; the rest is made of the examples (see `again`)."""
        fitted = {"centre": self.centre, "spread": self.spread, "weights": self.weights}
        return fitted | {"bias": np.array([self.bias]), "held_out": self.held_out}

    @classmethod
    def again(
        cls,
        arrays: Mapping[str, Floats],
        vectors: Vectors,
        labels: Labels,
        *,
        outside: Vectors | None = None,
    ) -> Self:
        """What `fit` gave for the same examples, from its `arrays`."""
        away = np.zeros((0, vectors.shape[1]), np.float32) if outside is None else outside
        reference = _Reference.of(vectors, labels, away)
        centre, spread, weights = arrays["centre"], arrays["spread"], arrays["weights"]
        return cls(reference, centre, spread, weights, float(arrays["bias"][0]), arrays["held_out"])

    def score(self, vectors: Vectors) -> Floats:
        """Log-odds of being in scope, [len(vectors)] float64; higher is more surely in scope."""
        evidence = self.reference.evidence(vectors)
        made: Floats = (evidence - self.centre) / self.spread @ self.weights + self.bias
        return made

    def threshold(self, coverage: float) -> float:
        """The score that at least `coverage` of in-scope requests reach, if these are drawn as the examples were.

        The k-th smallest held-out score with k = floor((1 - coverage)(n + 1)); minus infinity where n examples
        are too few to promise it. Raises ValueError for a coverage outside 0..1.
        """
        if not 0 < coverage < 1:
            raise ValueError(f"coverage {coverage} is not between 0 and 1")
        rank = int(np.floor((1 - coverage) * (len(self.held_out) + 1) + 1e-9))
        return float(self.held_out[rank - 1]) if rank else float("-inf")

    def coverage_at(self, scores: Floats) -> Floats:
        """Share of in-scope requests that score lower, a conformal p-value, [n] float64 in 0..1."""
        below = np.searchsorted(self.held_out, scores, side="right")
        made: Floats = (below + 1) / (len(self.held_out) + 1)
        return made

    def probability(self, vectors: Vectors, *, prior: float = 0.5) -> Floats:
        """Probability of being in scope where a share `prior` of all requests is, [n] float64."""
        odds = self.score(vectors) + np.log(prior / (1 - prior))
        made: Floats = 1 / (1 + np.exp(-np.clip(odds, -40, 40)))
        return made

    def label_scores(self, vectors: Vectors) -> tuple[Labels, Floats]:
        """The distinct labels, ascending [c], and how well each fits, [n, c] float64; the best one is the argmax."""
        return self.reference.names, self.reference.fits(vectors)


@dataclass(frozen=True, slots=True)
class _Gaussian:
    """Means [c, dim], and what turns vectors into ones with unit covariance, [dim, dim]."""

    means: Floats
    whitener: Floats

    @classmethod
    def of(cls, means: Floats, deviations: Floats, freedom: int, least: float) -> Self:
        dim = deviations.shape[1]
        covariance = deviations.T @ deviations / max(1, freedom)
        part = max(least, dim / (dim + freedom / 4))
        level = max(float(np.trace(covariance)) / dim, 1e-4)
        covariance = (1 - part) * covariance + part * level * np.eye(dim)
        values, axes = np.linalg.eigh(covariance)
        return cls(means, axes / np.sqrt(values))

    def distances(self, vectors: Vectors) -> Floats:
        """Squared, [n, c] float64."""
        at, means = vectors @ self.whitener, self.means @ self.whitener
        made: Floats = (at * at).sum(1)[:, None] + (means * means).sum(1) - 2 * at @ means.T
        return made


@dataclass(frozen=True, slots=True)
class _Reference:
    """Examples ordered by label, and the Gaussians that were fitted to them."""

    vectors: Vectors
    names: Labels
    starts: Labels
    counts: Labels
    near: _Gaussian
    whole: _Gaussian
    regression: Vectors
    outside: Vectors

    @classmethod
    def of(cls, vectors: Vectors, labels: Labels, outside: Vectors) -> Self:
        order = np.argsort(labels, kind="stable")
        ordered, wide = vectors[order], vectors[order].astype(np.float64)
        names, starts, counts = np.unique(labels[order], return_index=True, return_counts=True)
        means = np.add.reduceat(wide, starts, axis=0) / counts[:, None]
        inner = wide - np.repeat(means, counts, axis=0)
        middle: Floats = wide.mean(0)[None]
        freedom = len(ordered) - len(names)
        return cls(
            ordered, names, starts, counts,
            _Gaussian.of(means, inner, freedom, WITHIN),
            _Gaussian.of(middle, wide - middle, len(ordered) - 1, ALL),
            _regression(ordered, np.repeat(np.arange(len(names)), counts)),
            outside,
        )  # fmt: skip

    @property
    def kinds(self) -> int:
        return 5 if len(self.outside) else 4

    def evidence(self, vectors: Vectors) -> Floats:
        """[n, 4] float64, or [n, 5] with out-of-scope examples, each higher for what is in scope: log-density of the
        nearest label, minus its Mahalanobis distance relative to all examples, mean cosine of the nearest
        examples, energy, minus the cosine of the nearest out-of-scope example.
        """
        rows = [self._evidence(vectors[at : at + ROWS]) for at in range(0, len(vectors), ROWS)]
        return np.concatenate(rows) if rows else np.zeros((0, self.kinds))

    def _evidence(self, vectors: Vectors) -> Floats:
        cosines = vectors @ self.vectors.T
        nearest = min(NEAREST, cosines.shape[1])
        relative = self.whole.distances(vectors)[:, 0] - self.near.distances(vectors).min(1)
        found = [
            self._densities(cosines).max(1),
            relative,
            np.partition(cosines, -nearest, axis=1)[:, -nearest:].mean(1),
            _log_sum(self.fits(vectors)),
        ]
        if len(self.outside):
            found.append(-(vectors @ self.outside.T).max(1))
        return np.stack(found, axis=1).astype(np.float64)

    def fits(self, vectors: Vectors) -> Floats:
        """Logits of the labels, [n, c] float64."""
        made: Floats = (vectors @ self.regression[:-1] + self.regression[-1]).astype(np.float64)
        return made

    def _densities(self, cosines: Vectors) -> Floats:
        sums = np.add.reduceat(np.exp(BETA * (cosines - 1)), self.starts, axis=1)
        made: Floats = np.log(sums / self.counts + 1e-12)
        return made


def _regression(vectors: Vectors, places: Labels) -> Vectors:
    """Softmax regression by Adam (Kingma & Ba 2015, arXiv 1412.6980): [dim + 1, c] float32, the last row the bias.

    vectors: [n, dim]; places: [n], numbers 0..c-1. The step falls linearly to nothing.
    """
    rng = np.random.default_rng(0)
    x = np.column_stack([vectors, np.ones(len(vectors), np.float32)])
    weights = np.zeros((x.shape[1], int(places.max()) + 1), np.float32)
    mean, square = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, STEPS + 1):
        some = rng.integers(0, len(x), min(len(x), BATCH))
        logits = x[some] @ weights
        chance = np.exp(logits - logits.max(1, keepdims=True))
        chance /= chance.sum(1, keepdims=True)
        chance[np.arange(len(some)), places[some]] -= 1
        slope = x[some].T @ chance / len(some)
        mean = 0.9 * mean + 0.1 * slope
        square = 0.999 * square + 0.001 * slope * slope
        steadied = mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
        weights -= np.float32(RATE * (1 - step / STEPS)) * steadied
    return weights


def _log_sum(logits: Floats) -> Floats:
    top = logits.max(1)
    made: Floats = top + np.log(np.exp(logits - top[:, None]).sum(1))
    return made


@dataclass(frozen=True, slots=True)
class _Inside:
    """Evidence of held-out examples. plain: all labels known. stacked: while other labels were held out."""

    plain: Floats
    stacked: Floats


def _evidence_by_folds(
    vectors: Vectors, labels: Labels, outside: Vectors, rng: np.random.Generator
) -> tuple[_Inside, Floats, Floats]:
    """Evidence of held-out examples, of examples of held-out labels, and of held-out outside examples."""
    width = 5 if len(outside) else 4
    plain, stacked, foreign, real = ([np.zeros((0, width))] for _ in range(4))
    fold, group = _folds(vectors, labels, rng), _neighbourhoods(vectors, labels, rng)
    away = rng.permutation(len(outside)) % FOLDS
    for number in range(FOLDS):
        others = outside[away != number] if len(outside) > 1 else outside
        held, strange = fold == number, group == number
        if held.any() and not held.all():
            reference = _Reference.of(vectors[~held], labels[~held], others)
            plain.append(reference.evidence(vectors[held]))
            real.append(reference.evidence(outside[away == number]))
        kept = ~held & ~strange
        if strange.any() and kept.any():
            reference = _Reference.of(vectors[kept], labels[kept], others)
            foreign.append(reference.evidence(vectors[strange & held]))
            stacked.append(reference.evidence(vectors[held & ~strange]))
    return (
        _Inside(np.concatenate(plain), np.concatenate(stacked)),
        np.concatenate(foreign),
        np.concatenate(real),
    )


def _folds(vectors: Vectors, labels: Labels, rng: np.random.Generator) -> Labels:
    """A fold for each example: each label is shared out evenly, near-duplicates stay together. [n] of 0..FOLDS-1."""
    fold = np.zeros(len(labels), np.int64)
    total = np.zeros(FOLDS)
    for name in np.unique(labels):
        own = np.flatnonzero(labels == name)
        linked = _linked(vectors[own] @ vectors[own].T > DUPLICATE)
        size = np.zeros(FOLDS)
        for link in rng.permutation(np.unique(linked)):
            members = own[linked == link]
            least = int(np.argmin(size + 1e-3 * total))
            fold[members] = least
            size[least] += len(members)
            total[least] += len(members)
    return fold


def _linked(alike: Mask) -> Labels:
    """Connected parts of a symmetric graph [n, n] whose diagonal is set: the least member of each one's part, [n]."""
    part: Labels = np.arange(len(alike))
    while True:
        least: Labels = np.where(alike, part, len(part)).min(1)
        if np.array_equal(least, part):
            return part
        part = least


def _neighbourhoods(vectors: Vectors, labels: Labels, rng: np.random.Generator) -> Labels:
    """A group for each example; a group is of neighbouring labels, so that holding it out leaves a hole. [n]."""
    names = np.unique(labels)
    means = np.stack([vectors[labels == name].mean(0) for name in names])
    size = -(-len(names) // FOLDS)
    left, group = set(range(len(names))), np.zeros(len(labels), np.int64)
    for number in range(FOLDS):
        if not left:
            break
        first = int(rng.choice(sorted(left)))
        near = sorted(left, key=lambda other: -float(means[other] @ means[first]))[:size]
        group[np.isin(labels, names[near])] = number
        left -= set(near)
    return group


def _balance(inside: int, foreign: int, real: int) -> list[tuple[slice, float]]:
    """Parts of the rows and what each weighs together: both sides alike, real outside examples half of theirs."""
    total = float(min(inside, foreign + real) or 1)
    away = inside + foreign
    share = 0.5 if foreign and real else 1.0
    return [
        (slice(0, inside), total),
        (slice(inside, away), total * share),
        (slice(away, away + real), total * share),
    ]


def _logistic(rows: Floats, truth: Floats, counts: Floats) -> tuple[Floats, float]:
    """Weights and bias of largest posterior with a Gaussian prior around START. A weight that comes out below zero
    is set to zero, the least one first, and the others are fitted again. With one side only, START itself.
    """
    weights = START[: rows.shape[1]].copy()
    if truth.all() or not truth.any():
        return weights, float(weights.sum())
    used = np.ones(len(weights), np.bool_)
    while used.any():
        found, bias = _newton(rows[:, used], truth, counts, START[: rows.shape[1]][used])
        if found.min() >= 0:
            weights[:] = 0
            weights[used] = found
            return weights, bias
        used[np.flatnonzero(used)[int(found.argmin())]] = False
    return weights, 0.0


def _newton(rows: Floats, truth: Floats, counts: Floats, start: Floats) -> tuple[Floats, float]:
    x = np.column_stack([rows, np.ones(len(rows))])
    goal = np.append(start, 0.0)
    weights, trust = goal.copy(), np.append(np.full(len(start), TRUST), 0.01)
    for _ in range(25):
        chance = 1 / (1 + np.exp(-np.clip(x @ weights, -40, 40)))
        slope = x.T @ (counts * (chance - truth)) + trust * (weights - goal)
        bend = (x * (counts * chance * (1 - chance))[:, None]).T @ x + np.diag(trust)
        step = np.linalg.solve(bend, slope)
        weights -= step
        if float(np.abs(step).max()) < 1e-6:
            break
    return weights[:-1], float(weights[-1])
