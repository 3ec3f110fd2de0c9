"""Heads in numpy: small networks whose weights lie in a safetensors file.

A set's score is the sum of the scores of its members, of its pairs, and of itself as a whole; the distribution
over sets is the softmax of the scores (a conditional random field over subsets; Lafferty et al. 2001). Several
heads that were trained from other seeds are averaged in probability.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from pointsman.router.planning.learned.features import CONTEXT, JOINT, UNARY, WHOLE, Scene
from pointsman.router.planning.learned.subsets import LARGEST, Sets, sets_of

Floats = NDArray[np.float32]
Weights = Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class Network:
    """One hidden layer. shift, scale: [features]; first: [features, hidden]; second: [hidden]."""

    shift: Floats
    scale: Floats
    first: Floats
    first_bias: Floats
    second: Floats
    second_bias: Floats

    def __call__(self, features: Floats) -> Floats:
        """[..., features] -> [...]: rectified, then summed."""
        hidden = np.maximum(
            ((features - self.shift) * self.scale) @ self.first + self.first_bias, 0
        )
        score: Floats = hidden @ self.second + self.second_bias[0]
        return score

    @classmethod
    def of(cls, weights: Weights, name: str) -> "Network":
        return cls(*(np.asarray(weights[f"{name}.{field}"], np.float32) for field in FIELDS))


FIELDS = ("shift", "scale", "first", "first_bias", "second", "second_bias")


@dataclass(frozen=True, slots=True)
class SetHead:
    unary: Network
    joint: Network
    whole: Network

    def probabilities(self, scene: Scene, sets: Sets) -> Floats:
        """[sets], summing to 1."""
        alone = self.unary(scene.unary)
        pairs = self.joint(scene.joint)
        np.fill_diagonal(pairs, 0)
        scores = sets.members @ alone
        scores += 0.5 * ((sets.members @ pairs) * sets.members).sum(1)
        scores += self.whole(wholes(scene, sets))
        shares = np.exp(scores - scores.max())
        probabilities: Floats = shares / shares.sum()
        return probabilities


def wholes(scene: Scene, sets: Sets) -> Floats:
    """[sets, WHOLE + LARGEST + len(CONTEXT)]: a set as a whole, its size, what is known of the request."""
    context = np.broadcast_to(scene.context, (len(sets.sizes), len(CONTEXT)))
    return np.concatenate([scene.whole, sets.by_size, context], 1)


WIDTHS = {"unary": UNARY, "joint": len(JOINT), "whole": WHOLE + LARGEST + len(CONTEXT)}


@dataclass(frozen=True, slots=True)
class SetHeads:
    """An ensemble; its probabilities are the mean."""

    heads: tuple[SetHead, ...]

    def probabilities(self, scene: Scene) -> tuple[Floats, Sets]:
        sets = sets_of(len(scene.places))
        return np.mean([h.probabilities(scene, sets) for h in self.heads], 0), sets

    @classmethod
    def of(cls, weights: Weights) -> "SetHeads":
        count = sum(
            1 for name in weights if name.startswith("set.") and name.endswith("unary.shift")
        )
        return cls(
            tuple(
                SetHead(*(Network.of(weights, f"set.{n}.{part}") for part in WIDTHS))
                for n in range(count)
            )
        )


@dataclass(frozen=True, slots=True)
class LinkHeads:
    """Probability that one chosen capability feeds or precedes another."""

    heads: tuple[Network, ...]

    def probabilities(self, features: Floats) -> Floats:
        """[pairs, features] -> [pairs]."""
        scores = np.mean([h(features) for h in self.heads], 0)
        made: Floats = 1 / (1 + np.exp(-scores))
        return made

    @classmethod
    def of(cls, weights: Weights) -> "LinkHeads":
        count = sum(1 for name in weights if name.startswith("link.") and name.endswith(".shift"))
        return cls(tuple(Network.of(weights, f"link.{n}") for n in range(count)))


def load(path: Path) -> dict[str, Floats]:
    return dict(load_file(path))


def save(weights: Weights, path: Path) -> None:
    save_file({n: np.ascontiguousarray(w) for n, w in weights.items()}, path)


def joined(parts: Sequence[Weights]) -> dict[str, Floats]:
    return {name: value for part in parts for name, value in part.items()}
