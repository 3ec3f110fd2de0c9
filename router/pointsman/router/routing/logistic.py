"""Logistic regression on frozen vectors: two classes or many, fitted by L-BFGS, without a training framework."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Whole = NDArray[np.int64]

ITERATIONS = 200


def log_sum(scores: Floats) -> Floats:
    """[n, classes] -> [n], the log of the sum of the exponentials."""
    most: Floats = scores.max(1)
    made: Floats = most + np.log(np.exp(scores - most[:, None]).sum(1))
    return made


def softmax_fit(
    vectors: Floats, labels: Whole, count: int, *, strength: float, fixed: Floats | None = None
) -> tuple[Floats, Floats]:
    """Weights [dim, count] and bias [count] of a multinomial logistic regression.

    vectors: [n, dim]; labels: [n], 0..count-1. strength: how much the examples weigh against the penalty
    |weights|^2 / 2 (the inverse of the regularisation); the bias is not punished. fixed: [n, others], scores of
    other classes that stay as they are; a label of theirs is `count` or more.
    """
    n, dim = vectors.shape
    others = np.zeros((n, 0), np.float32) if fixed is None else fixed
    truth = np.zeros((n, count + others.shape[1]), np.float32)
    truth[np.arange(n), labels] = 1

    def loss(flat: Doubles) -> tuple[float, Doubles]:
        table = flat.astype(np.float32).reshape(dim + 1, count)
        scores = np.concatenate([vectors @ table[:-1] + table[-1], others], 1)
        norm = log_sum(scores)[:, None]
        rest = (np.exp(scores - norm) - truth)[:, :count]
        told = strength * float(norm.sum() - (scores * truth).sum())
        slope = np.empty_like(table)
        slope[:-1] = strength * (vectors.T @ rest) + table[:-1]
        slope[-1] = strength * rest.sum(0)
        punished = 0.5 * float((table[:-1] ** 2).sum())
        return told + punished, slope.astype(np.float64).ravel()

    found = minimize(
        loss,
        np.zeros((dim + 1) * count),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": ITERATIONS, "maxcor": 10},
    )
    table = found.x.astype(np.float32).reshape(dim + 1, count)
    return table[:-1], table[-1]


def binary_fit(
    features: Floats,
    truth: Doubles,
    *,
    strength: float,
    weights: Doubles | None = None,
) -> tuple[Floats, float]:
    """Weights [dim] and bias of P(true) = expit(features @ weights + bias).

    features: [n, dim]; truth: [n] in 0..1 (shares are allowed); weights: [n], how much each row counts.
    """
    n, dim = features.shape
    each = np.ones(n) if weights is None else weights

    def loss(flat: Doubles) -> tuple[float, Doubles]:
        scores = features @ flat[:-1] + flat[-1]
        rest = each * (expit(scores) - truth)
        told = float((each * (np.logaddexp(0, scores) - truth * scores)).sum())
        slope = np.append(strength * (features.T @ rest) + flat[:-1], strength * rest.sum())
        return strength * told + 0.5 * float((flat[:-1] ** 2).sum()), slope

    found = minimize(loss, np.zeros(dim + 1), jac=True, method="L-BFGS-B")
    return found.x[:-1].astype(np.float32), float(found.x[-1])


def temperature(scores: Floats, labels: Whole) -> float:
    """The divisor of the scores [n, classes] under which the right classes are likeliest (Guo et al. 2017,
    "On calibration of modern neural networks", equation 9), found on rows that trained nothing."""
    right = np.arange(len(labels)), labels
    tried = np.geomspace(0.1, 10, 81)
    losses = [float((log_sum(scores / np.float32(t)) - scores[right] / t).mean()) for t in tried]
    return float(tried[int(np.argmin(losses))])


def best_threshold(inside: Sequence[float] | Doubles, outside: Sequence[float] | Doubles) -> float:
    """The score below which a row is held to be outside, with the highest F1 of "outside" where both kinds
    are equally frequent. Raises ValueError where one kind is missing."""
    within, without = np.sort(np.asarray(inside)), np.sort(np.asarray(outside))
    if not len(within) or not len(without):
        raise ValueError("a threshold needs examples of both kinds")
    points = np.unique(np.concatenate([within, without]))
    edges = (points[:-1] + points[1:]) / 2 if len(points) > 1 else points
    caught = np.searchsorted(without, edges) / len(without)
    lost = np.searchsorted(within, edges) / len(within)
    return float(edges[int(np.argmax(2 * caught / (caught + lost + 1)))])


__all__ = ["best_threshold", "binary_fit", "log_sum", "softmax_fit", "temperature"]
