"""A text to one of many named intents, or to none: a head on the vectors of the encoder that is there anyway.

    head = fit(vectors, labels)
    head = head.tuned(validation, its_labels, outside=vectors_of_other_texts)
    head.choose(vectors)          # [(name or None, confidence)]

Which intent: multinomial logistic regression. Whether any: three signs in one logistic regression, the
cosine to the nearest intent's centroid, the log of the summed evidence, and the confidence of the first.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from pointsman.router.errors import BadRouterModel
from pointsman.router.routing.logistic import (
    Doubles,
    Floats,
    Whole,
    best_threshold,
    binary_fit,
    log_sum,
    softmax_fit,
    temperature,
)

STRENGTH = 30.0
"""Of the examples against the penalty of the weights; between 10 and 100 the accuracy on CLINC150's
validation rows moves by 0.3 points (python -m benchmarks routing --part intents --verbose)."""


class Intent(NamedTuple):
    """name: None for none of them. confidence: 0..1 that the nearest one is right."""

    name: str | None
    confidence: float


@dataclass(frozen=True, slots=True)
class Scope:
    """Whether a text is any of the intents: signs [3] standardised, weighed and held against a threshold."""

    shift: Floats
    scale: Floats
    weights: Floats
    bias: float
    threshold: float

    def score(self, signs: Floats) -> Doubles:
        """[n, 3] -> [n], higher for what is inside."""
        score: Doubles = ((signs - self.shift) / self.scale) @ self.weights + self.bias
        return score


@dataclass(frozen=True, slots=True)
class IntentHead:
    """weights: [dim, intents]; bias: [intents]; centroids: [intents, dim], of unit length.

    heat: divisor of the scores that makes them probabilities. scope: None, every text is one of them.
    """

    names: tuple[str, ...]
    weights: Floats
    bias: Floats
    centroids: Floats
    heat: float = 1.0
    scope: Scope | None = None

    def scores(self, vectors: Floats) -> Floats:
        """[n, dim] -> [n, intents]."""
        return vectors @ self.weights + self.bias

    def probabilities(self, vectors: Floats) -> Floats:
        """[n, dim] -> [n, intents], each row sums to 1."""
        scores = self.scores(vectors) / np.float32(self.heat)
        made: Floats = np.exp(scores - log_sum(scores)[:, None])
        return made

    def signs(self, vectors: Floats, scores: Floats) -> Floats:
        """[n, 3]: cosine to the nearest centroid, summed evidence, log confidence of the first."""
        evidence = log_sum(scores)
        nearest = (vectors @ self.centroids.T).max(1)
        return np.stack([nearest, evidence, scores.max(1) - evidence], 1)

    def choose(self, vectors: Floats) -> list[Intent]:
        """[n, dim] -> n intents."""
        scores = self.scores(vectors)
        first = scores.argmax(1)
        heated = scores / np.float32(self.heat)
        sure = np.exp(heated.max(1) - log_sum(heated))
        inside = np.ones(len(vectors), bool)
        if self.scope is not None:
            inside = self.scope.score(self.signs(vectors, scores)) >= self.scope.threshold
        return [
            Intent(self.names[place] if there else None, confidence)
            for place, there, confidence in zip(
                first.tolist(), inside.tolist(), sure.tolist(), strict=True
            )
        ]

    def save(self, path: Path) -> None:
        """A safetensors file."""
        tensors = {"weights": self.weights, "bias": self.bias, "centroids": self.centroids}
        tensors["heat"] = np.array([self.heat], np.float32)
        if (scope := self.scope) is not None:
            tensors |= {"shift": scope.shift, "scale": scope.scale, "signs": scope.weights}
            tensors["scope"] = np.array([scope.bias, scope.threshold], np.float32)
        kept = {n: np.ascontiguousarray(tensor, np.float32) for n, tensor in tensors.items()}
        save_file(kept, path, metadata={"names": json.dumps(self.names)})

    @classmethod
    def load(cls, path: Path) -> "IntentHead":
        """Raises BadRouterModel for a file that is missing or is something else."""
        try:
            with safe_open(path, framework="numpy") as file:
                names = tuple(json.loads((file.metadata() or {})["names"]))
                found = {n: np.asarray(file.get_tensor(n)) for n in file.keys()}  # noqa: SIM118
            scope = None
            if "scope" in found:
                base, least = (float(v) for v in found["scope"])
                scope = Scope(found["shift"], found["scale"], found["signs"], base, least)
            weights, bias, centroids = (found[n] for n in ("weights", "bias", "centroids"))
            return cls(names, weights, bias, centroids, float(found["heat"][0]), scope)
        except (OSError, KeyError, ValueError, TypeError, SafetensorError) as error:
            raise BadRouterModel(str(path), str(error)) from error

    def tuned(
        self, vectors: Floats, labels: Sequence[str], *, outside: Floats | None = None
    ) -> "IntentHead":
        """With the confidence and the scope set on rows that trained nothing. outside: of no intent."""
        places = _places(labels, self.names)
        scores = self.scores(vectors)
        head = replace(self, heat=temperature(scores, places))
        if outside is None:
            return head
        return replace(head, scope=_scope(head, vectors, outside))


def fit(vectors: Floats, labels: Sequence[str], *, strength: float = STRENGTH) -> IntentHead:
    """vectors: [n, dim], of unit length; labels: n names. Two intents at least, or ValueError."""
    names = tuple(sorted(set(labels)))
    if len(names) < 2:
        raise ValueError(f"there is nothing to choose from: {len(names)} intent; give two or more")
    places = _places(labels, names)
    weights, bias = softmax_fit(vectors, places, len(names), strength=strength)
    return IntentHead(names, weights, bias, _centroids(vectors, places, len(names)))


def extended(
    head: IntentHead,
    old: tuple[Floats, Sequence[str]],
    new: tuple[Floats, Sequence[str]],
    *,
    limit: float,
    strength: float = STRENGTH,
) -> IntentHead:
    """With more intents, and what is right today as good as untouched.

    The old weights stay; the new intents' are fitted beside them and every second old example. By the others, all
    new ones together are held back by one bias, the least with which at most half of `limit` of those that are right
    go to a new one.
    old, new: vectors [n, dim] with labels; those of `old` should not be the rows that `head` was fitted on, or
    the bias is too small. Raises ValueError for a new intent that is an old one.
    """
    names = tuple(sorted(set(new[1])))
    if shared := set(names) & set(head.names):
        raise ValueError(f"{sorted(shared)[0]!r} is an intent already; fit the head anew")
    theirs = _places(old[1], head.names)
    vectors = np.concatenate([new[0], old[0][::2]])
    known = head.scores(vectors)
    places = np.concatenate([_places(new[1], names), theirs[::2] + len(names)])
    weights, bias = softmax_fit(vectors, places, len(names), strength=strength, fixed=known)
    rest = old[0][1::2]
    before = head.scores(rest)
    right = before.argmax(1) == theirs[1::2]
    lead = (rest @ weights + bias).max(1)[right] - before.max(1)[right]
    held = max(0.0, float(np.quantile(lead, 1 - limit / 2))) if len(lead) else 0.0
    centroids = _centroids(new[0], _places(new[1], names), len(names))
    return replace(
        head,
        names=(*head.names, *names),
        weights=np.concatenate([head.weights, weights], 1),
        bias=np.concatenate([head.bias, bias - np.float32(held)]),
        centroids=np.concatenate([head.centroids, centroids]),
    )


def _centroids(vectors: Floats, places: Whole, count: int) -> Floats:
    sums = np.zeros((count, vectors.shape[1]), np.float32)
    np.add.at(sums, places, vectors)
    made: Floats = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    return made


def _places(labels: Sequence[str], names: Sequence[str]) -> Whole:
    """Raises KeyError for a label that no example had."""
    place = {name: at for at, name in enumerate(names)}
    return np.array([place[label] for label in labels], np.int64)


def _scope(head: IntentHead, inside: Floats, outside: Floats) -> Scope:
    """Both kinds weigh the same, however many there are of each."""
    signs = [head.signs(v, head.scores(v)) for v in (inside, outside)]
    rows = np.concatenate(signs)
    shift, scale = rows.mean(0), np.maximum(rows.std(0), 1e-6)
    truth = np.repeat([1.0, 0.0], [len(inside), len(outside)])
    fair = np.repeat(len(rows) / 2 / np.array([len(inside), len(outside)]), [len(s) for s in signs])
    weights, bias = binary_fit((rows - shift) / scale, truth, strength=1.0, weights=fair)
    bare = Scope(shift, scale, weights, bias, 0.0)
    threshold = best_threshold(*(bare.score(s) for s in signs))
    return replace(bare, threshold=threshold)


__all__ = ["Intent", "IntentHead", "Scope", "extended", "fit"]
