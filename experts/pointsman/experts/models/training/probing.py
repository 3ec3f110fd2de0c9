"""What the frozen encoder can tell without an adapter, and how the numbers of any head are judged."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pointsman.experts.models.readings import Head
from pointsman.experts.models.registry.manifest import Scores

Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int64]

DECAYS = (1e-6, 1e-5, 1e-4)
BINS = 10


@dataclass(frozen=True, slots=True)
class Vectors:
    """Unit vectors of texts, [texts, 384], and the places of their labels, [texts]."""

    vectors: Tensor
    labels: Tensor


def balance(labels: Tensor, classes: int) -> Tensor:
    """Weights of the classes: the root of how much rarer than the mean one is, 0.2..5."""
    counts = torch.bincount(labels, minlength=classes).clamp(min=1)
    return (len(labels) / (classes * counts)).sqrt().clamp(0.2, 5.0)


def centroids(train: Vectors, classes: int) -> Head:
    """The nearest of the classes' mean vectors, as a head."""
    sums = torch.zeros(classes, train.vectors.shape[1]).index_add_(0, train.labels, train.vectors)
    return Head(torch.nn.functional.normalize(sums, dim=1).T.contiguous(), torch.zeros(classes))


def majority(train: Vectors, classes: int) -> Head:
    counts = torch.bincount(train.labels, minlength=classes).to(torch.float32)
    return Head(torch.zeros(train.vectors.shape[1], classes), counts)


def linear_probe(train: Vectors, validation: Vectors, classes: int) -> Head:
    """Logistic regression on the vectors; the penalty is the one with the least loss on the validation part."""
    heads = [_regression(train, classes, decay) for decay in DECAYS]
    return min(heads, key=lambda head: loss(scores(head, validation.vectors), validation.labels))


def _regression(train: Vectors, classes: int, decay: float) -> Head:
    weights = (10 * centroids(train, classes).weights).requires_grad_()
    bias = torch.zeros(classes, requires_grad=True)
    weight = balance(train.labels, classes)
    optimizer = torch.optim.LBFGS(
        [weights, bias], max_iter=80, tolerance_grad=1e-6, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        out = train.vectors @ weights + bias
        value = torch.nn.functional.cross_entropy(out, train.labels, weight)
        value = value + decay * weights.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return Head(weights.detach(), bias.detach())


def scores(head: Head, vectors: Tensor) -> Tensor:
    return vectors @ head.weights + head.bias


def loss(numbers: Tensor, labels: Tensor) -> float:
    return float(torch.nn.functional.cross_entropy(numbers, labels))


def judged(numbers: Tensor, labels: Tensor) -> Scores:
    """Macro F1 over the labels that are there."""
    said = numbers.argmax(1)
    f1s = []
    for label in sorted(set(labels.tolist())):
        hit = int(((said == label) & (labels == label)).sum())
        f1s.append(2 * hit / int((said == label).sum() + (labels == label).sum()))
    accuracy = float((said == labels).to(torch.float32).mean())
    return Scores(accuracy=round(accuracy, 4), macro_f1=round(float(np.mean(f1s)), 4))


def temperature(numbers: Tensor, labels: Tensor) -> float:
    """By which the numbers are divided so that their softmax is as sure as it is right (Guo et al. 2017,
    arXiv 1706.04599, section 4.2)."""
    return float(np.exp(_least(lambda log: loss(numbers / float(np.exp(log)), labels), -3.0, 3.0)))


def _least(of: Callable[[float], float], low: float, high: float) -> float:
    """Where a function with one minimum has it: golden section."""
    golden = (5**0.5 - 1) / 2
    for _ in range(40):
        a, b = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, b) if of(a) < of(b) else (a, high)
    return (low + high) / 2


def calibration_error(numbers: Tensor, labels: Tensor) -> float:
    """Expected, over bins of equal counts: mean distance of how sure it is from how often it is right."""
    sure, said = numbers.softmax(1).max(1)
    right = (said == labels).to(torch.float32)
    order = sure.argsort()
    bins = [b for b in torch.tensor_split(order, BINS) if len(b)]
    gaps = [len(b) * abs(float(sure[b].mean() - right[b].mean())) for b in bins]
    return round(sum(gaps) / max(1, len(labels)), 4)
