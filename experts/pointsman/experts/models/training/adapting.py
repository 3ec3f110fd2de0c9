"""Trains an adapter on the upper layers of the backbone, with a head on the mean of the states.

The states below the first layer that is adapted are made once and kept, so that a pass goes through half of
the layers only. The head begins as the linear probe: from there on it can only become better.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from pointsman.experts.models.adapters import LAYERS, MODULES, Pair, Place
from pointsman.experts.models.minilm import MiniLm, pooled
from pointsman.experts.models.readings import Head
from pointsman.experts.models.training.probing import balance, loss

FIRST = 3
"""Layers that stay as they are."""
RANK, ALPHA = 8, 16.0
ROWS = 32
EPOCHS = 15
PATIENCE = 3
RATE, HEAD_RATE = 2e-3, 2e-2
WARMING = 0.1
DROPOUT = 0.1
SMOOTHING = 0.05

Told = Callable[[str], None]


class Trained(nn.Module):
    """Adapters of one expert while they are trained: an `Adding` for MiniLm."""

    def __init__(self, first: int, rank: int) -> None:
        super().__init__()
        self.scale = ALPHA / rank
        self.drop = nn.Dropout(DROPOUT)
        self._keys = [(layer, name) for layer in range(first, LAYERS) for name in MODULES]
        self.downs = nn.ParameterList(
            torch.randn(MODULES[n].inputs, rank) / MODULES[n].inputs ** 0.5 for _, n in self._keys
        )
        self.ups = nn.ParameterList(torch.zeros(rank, MODULES[n].outputs) for _, n in self._keys)
        self._at: dict[tuple[int, Place], list[int]] = {}
        for index, (layer, name) in enumerate(self._keys):
            self._at.setdefault((layer, MODULES[name].place), []).append(index)

    def add(self, layer: int, place: Place, x: Tensor, y: Tensor) -> None:
        for index in self._at.get((layer, place), ()):
            module = MODULES[self._keys[index][1]]
            made = self.drop(x) @ self.downs[index] @ self.ups[index] * self.scale
            y[..., module.at : module.at + module.outputs] += made

    def weights(self) -> Mapping[tuple[int, str], Pair]:
        """As save_adapter takes them: without the scale."""
        pairs = zip(self.downs, self.ups, strict=True)
        return {k: (d.detach(), u.detach()) for k, (d, u) in zip(self._keys, pairs, strict=True)}


@dataclass(frozen=True, slots=True)
class Prefixes:
    """States below the first adapted layer. flat: [all tokens, 384] float16; ends: [texts]."""

    flat: Tensor
    ends: tuple[int, ...]
    labels: Tensor

    def batch(self, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        """[rows, longest, 384] float32 and the mask."""
        spans = [(self.ends[r - 1] if r else 0, self.ends[r]) for r in rows]
        longest = max(end - start for start, end in spans)
        states = torch.zeros(len(rows), longest, self.flat.shape[1])
        mask = torch.zeros(len(rows), longest, dtype=torch.bool)
        for row, (start, end) in enumerate(spans):
            states[row, : end - start] = self.flat[start:end]
            mask[row, : end - start] = True
        return states, mask

    def lengths(self) -> np.ndarray:
        return np.diff([0, *self.ends])


@torch.no_grad()
def prefixes(model: MiniLm, ids: Sequence[list[int]], labels: Tensor) -> Prefixes:
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    made: dict[int, Tensor] = {}
    for start in range(0, len(order), ROWS):
        rows = order[start : start + ROWS]
        states, _ = model.forward([ids[i] for i in rows], (FIRST,))
        made |= {i: s[: len(ids[i]) + 2].half() for i, s in zip(rows, states, strict=True)}
    flat = torch.cat([made[i] for i in range(len(ids))])
    return Prefixes(flat, tuple(np.cumsum([len(i) + 2 for i in ids]).tolist()), labels)


@dataclass(frozen=True, slots=True)
class Adapted:
    """validation: the numbers for the validation part, [texts, labels]."""

    weights: Mapping[tuple[int, str], Pair]
    head: Head
    validation: Tensor
    epochs: int


def adapt(
    model: MiniLm,
    train: Prefixes,
    validation: Prefixes,
    probe: Head,
    *,
    ends: float,
    seed: int = 0,
    told: Told = lambda _: None,
) -> Adapted:
    """AdamW, its rate warmed up and brought down by a cosine; the epoch with the least loss on the validation part is kept. It stops when
    PATIENCE epochs bring nothing, or at `ends` (time.monotonic())."""
    torch.manual_seed(seed)
    chance = np.random.default_rng(seed)
    classes = probe.bias.shape[0]
    weight = balance(train.labels, classes)
    adapter = Trained(FIRST, RANK)
    head = nn.ParameterList([probe.weights.clone(), probe.bias.clone()])
    optimizer = torch.optim.AdamW(
        [
            {"params": list(adapter.parameters()), "full": RATE},
            {"params": list(head), "full": HEAD_RATE},
        ],
        weight_decay=0.01,
    )
    steps, step, began = EPOCHS * -(-len(train.ends) // ROWS), 0, time.monotonic()
    best: Adapted | None = None
    least, waited = float("inf"), 0
    for epoch in range(1, EPOCHS + 1):
        adapter.train()
        for rows in _batches(train, chance):
            now = time.monotonic()
            if now > ends:
                break
            _pace(optimizer, max(step / steps, (now - began) / (ends - began)))
            step += 1
            unit = _vectors(model, adapter, train, rows)
            value = nn.functional.cross_entropy(
                unit @ head[0] + head[1], train.labels[rows], weight, label_smoothing=SMOOTHING
            )
            optimizer.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_([*adapter.parameters(), *head], 1.0)
            optimizer.step()
        numbers = _numbers(model, adapter, head, validation)
        lost = loss(numbers, validation.labels)
        right = float((numbers.argmax(1) == validation.labels).float().mean())
        told(f"epoch {epoch}: validation loss {lost:.3f}, accuracy {right:.3f}")
        waited = 0 if lost < least else waited + 1
        if lost < least:
            least = lost
            kept = Head(head[0].detach().clone(), head[1].detach().clone())
            pairs = {k: (d.clone(), u.clone()) for k, (d, u) in adapter.weights().items()}
            best = Adapted(pairs, kept, numbers, epoch)
        if waited >= PATIENCE or time.monotonic() > ends:
            break
    assert best is not None
    return best


def _pace(optimizer: torch.optim.Optimizer, done: float) -> None:
    """The rates after a share of the way, of steps or of time, whichever is nearer its end: up, then a cosine down."""
    share = min(1.0, done / WARMING) * (1 + math.cos(math.pi * min(1.0, done))) / 2
    for group in optimizer.param_groups:
        group["lr"] = group["full"] * share


def _batches(train: Prefixes, chance: np.random.Generator) -> list[list[int]]:
    """Rows of about the same length together, in random order."""
    lengths = train.lengths()
    order = np.argsort(lengths + chance.uniform(0, 4, len(lengths)))
    batches = [order[at : at + ROWS].tolist() for at in range(0, len(order), ROWS)]
    chance.shuffle(batches)
    return batches


def _vectors(model: MiniLm, adapter: Trained, part: Prefixes, rows: Sequence[int]) -> Tensor:
    states, mask = part.batch(rows)
    return pooled(model.upward(states, mask, FIRST, adapter), mask)


@torch.no_grad()
def _numbers(model: MiniLm, adapter: Trained, head: nn.ParameterList, part: Prefixes) -> Tensor:
    adapter.eval()
    made = torch.zeros(len(part.ends), head[1].shape[0])
    order = np.argsort(part.lengths()).tolist()
    for start in range(0, len(order), ROWS):
        rows = order[start : start + ROWS]
        made[rows] = _vectors(model, adapter, part, rows) @ head[0] + head[1]
    return made
