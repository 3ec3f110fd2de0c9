"""The head that reads spans: token states and slot queries in, a best sequence of tags out. numpy only.

A slot is known to the head by its query only, never by an identity, so that it reads slots that no training saw:

    c = x W + local convolutions                                      a token and its neighbours, [n, inner]
    z = (c P) * (q Q) + c U + q V + r R                               token against slot, [n, slots, pair]
    logits = [c o, _gelu(z) T]                                         outside; begin and inside of each slot

q are the sentence vectors of the slot's name with its description and of examples of its values, r whether the
slot was asked for. The bilinear term is a low-rank form of label-embedding taggers (Ma et al. 2016,
"Label embedding for zero-shot fine-grained named entity typing", COLING). One softmax over all tags of the slots
on offer, decoded by Viterbi (1967) under the rule that inside follows only begin or inside of the same slot.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

__all__ = ["LAYERS", "QUERY", "SpanHead", "best_tags"]

Floats: TypeAlias = NDArray[np.float32]
Tags: TypeAlias = NDArray[np.int64]

LAYERS = (0, 2, 4, 6)
"""Layers of the encoder whose token states are set side by side; 0 are the embeddings."""
QUERY = 2 * 384
"""Width of a slot query: the vector of its name and description, and the mean vector of its values or zeros."""
NEVER = np.float32(-1e9)


@dataclass(frozen=True, slots=True)
class SpanHead:
    """Weights by name, float32, as `learned.training.spans` writes them."""

    weights: Mapping[str, Floats]
    settings: Mapping[str, object]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises OSError or SafetensorError when the file cannot be read."""
        with safe_open(path, "np") as file:
            kept = {k: file.get_tensor(k).astype(np.float32) for k in file.keys()}  # noqa: SIM118
            metadata: Mapping[str, str] = file.metadata() or {}
        return cls(kept, json.loads(metadata.get("settings", "{}")))

    def context(self, states: Floats, spelled: Floats) -> Floats:
        """Tokens with their neighbours, [n, inner]. states: [n, 384 * len(LAYERS)]; spelled: [n, SHAPES]."""
        w = self.weights
        x = (np.concatenate([states, spelled], axis=1) - w["mean"]) / w["spread"]
        c = _gelu(x @ w["narrow.weight"].T + w["narrow.bias"])
        for name in ("near", "wide"):
            c = c + _gelu(_convolved(c, w[f"{name}.weight"], w[f"{name}.bias"]))
        return c

    def log_chances(self, context: Floats, queries: Floats, asked: Floats) -> Floats:
        """[n, 1 + 2 * slots] float32: outside, then begin and inside of each slot.

        queries: [slots, QUERY]; asked: [slots] float32, 1 where asked for.
        """
        w = self.weights
        pair = (
            (context @ w["token.weight"].T + w["token.bias"])[:, None]
            * (queries @ w["query.weight"].T + w["query.bias"])[None]
            + (context @ w["token_plus.weight"].T + w["token_plus.bias"])[:, None]
            + (queries @ w["query_plus.weight"].T)[None]
            + asked[None, :, None] * w["asked.weight"][:, 0]
        )
        slots = _gelu(pair) @ w["tags.weight"].T + w["tags.bias"]
        outside = context @ w["outside.weight"].T + w["outside.bias"]
        logits = np.concatenate([outside, slots.reshape(len(context), -1)], axis=1)
        top = logits.max(1, keepdims=True)
        made: Floats = logits - top - np.log(np.exp(logits - top).sum(1, keepdims=True))
        return made


def best_tags(log_chances: Floats) -> Tags:
    """The most probable sequence of tags, [n]: 0 outside, 1 + 2s begin and 2 + 2s inside of slot s.

    log_chances: [n, 1 + 2 * slots].
    """
    count, tags = log_chances.shape
    if count == 0:
        return np.zeros(0, np.int64)
    score = log_chances[0].copy()
    score[2::2] = NEVER
    back = np.zeros((count, tags), np.int64)
    for at in range(1, count):
        before = int(score.argmax())
        came, reached = np.full(tags, before), np.full(tags, score[before])
        begin, inside = score[1::2], score[2::2]
        came[2::2] = np.where(begin >= inside, np.arange(1, tags, 2), np.arange(2, tags, 2))
        reached[2::2] = np.maximum(begin, inside)
        score = reached + log_chances[at]
        back[at] = came
    best = [int(score.argmax())]
    for at in range(count - 1, 0, -1):
        best.append(int(back[at, best[-1]]))
    return np.array(best[::-1], np.int64)


def _gelu(x: NDArray[np.floating]) -> Floats:
    """x * sigmoid(1.702 x): the fast form of Hendrycks & Gimpel 2016 (arXiv 1606.08415, section 2)."""
    made: Floats = (x / (1 + np.exp(-1.702 * np.clip(x, -50, 50)))).astype(np.float32, copy=False)
    return made


def _convolved(x: Floats, weight: Floats, bias: Floats) -> Floats:
    """x: [n, channels]; weight: [out, channels, width], width odd -> [n, out]; zeros beyond the ends."""
    reach = weight.shape[2] // 2
    edge = np.zeros((reach, x.shape[1]), np.float32)
    padded = np.concatenate([edge, x, edge])
    made = np.zeros((len(x), weight.shape[0]), np.float32) + bias
    for offset in range(weight.shape[2]):
        made += padded[offset : offset + len(x)] @ weight[:, :, offset].T
    return made
