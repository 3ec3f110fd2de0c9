"""Adapters and heads trained on the backbone's upper layers, from states that are computed once.

The layers below the first adapter never change, so their states are kept (`Kept`) and every step of training runs
the upper ones alone. Adapters are in the last layer here: a sixth of the backbone for each step, minutes and not
hours for an experiment on two cores.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from pointsman.experts.models.adapters import LAYERS, MODULES, Pair, Place
from pointsman.experts.models.minilm import WIDTH, MiniLm, pooled

BELOW = LAYERS - 1
"""Layers whose states are kept; adapters are in those above."""
TUNED = ("attention.self.query", "attention.self.value", "intermediate.dense", "output.dense")
RANK = 8
SHARPNESS = 12.0
"""Of a new head: cosines times this are its logits."""
ROWS = 128
"""Texts that go through the upper layers at once where nothing is trained."""
LONGEST = 32
"""Tokens of a text that are kept."""


class Parts(Protocol):
    """An adapter that may change: by (layer, PEFT's module name), as an Adapter's parts."""

    def parts(self) -> Mapping[tuple[int, str], Pair]: ...


@dataclass(frozen=True, slots=True)
class Kept:
    """States after layer BELOW of some texts. tokens: [n, 384] of all of them, one after another; starts: [texts + 1]."""

    tokens: Tensor
    starts: Tensor

    def __len__(self) -> int:
        return len(self.starts) - 1

    def rows(self, which: Tensor) -> tuple[Tensor, Tensor]:
        """States [rows, longest, 384] float32 and the mask [rows, longest] bool of some texts."""
        first, length = self.starts[which], (self.starts[1:] - self.starts[:-1])[which]
        at = torch.arange(int(length.max()))[None]
        mask = at < length[:, None]
        x = self.tokens[(first[:, None] + at).clamp(max=len(self.tokens) - 1)].float()
        return x * mask[..., None], mask


@torch.no_grad()
def keep(model: MiniLm, texts: Sequence[str]) -> Kept:
    """Of each text its first LONGEST tokens, in half precision (bfloat16 would cost accuracy, float32 memory)."""
    ids = [t.ids[: LONGEST - 2] for t in model.tokenize(list(texts))]
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    states: list[Tensor] = [torch.empty(0)] * len(ids)
    for at in range(0, len(order), ROWS):
        rows = order[at : at + ROWS]
        made, mask = model.states([ids[i] for i in rows], (BELOW,))
        for row, x, kept in zip(rows, made, mask, strict=True):
            states[row] = x[kept].half()
    lengths = torch.tensor([0, *(len(s) for s in states)])
    return Kept(torch.cat(states), lengths.cumsum(0))


class Applied:
    """An adapter's parts as the backbone asks for them (minilm.Adding); gradients go through."""

    def __init__(self, parts: Mapping[tuple[int, str], Pair]) -> None:
        self._at: dict[tuple[int, Place], list[tuple[int, Pair]]] = {}
        for (layer, name), pair in parts.items():
            module = MODULES[name]
            self._at.setdefault((layer, module.place), []).append((module.at, pair))

    def add(self, layer: int, place: Place, x: Tensor, y: Tensor) -> None:
        for at, (down, up) in self._at.get((layer, place), ()):
            y[..., at : at + up.shape[1]] += x @ down @ up


class Fresh(nn.Module):
    """A new adapter in the layers above BELOW; at first it changes nothing. initial: parts to begin with instead."""

    def __init__(
        self, rank: int = RANK, initial: Mapping[tuple[int, str], Pair] | None = None
    ) -> None:
        super().__init__()
        self._keys = [(layer, name) for layer in range(BELOW, LAYERS) for name in TUNED]
        given = initial or {key: _beginning(key[1], rank) for key in self._keys}
        self.downs = nn.ParameterList([given[k][0].clone() for k in self._keys])
        self.ups = nn.ParameterList([given[k][1].clone() for k in self._keys])

    def parts(self) -> Mapping[tuple[int, str], Pair]:
        return dict(zip(self._keys, zip(self.downs, self.ups, strict=True), strict=True))


def _beginning(name: str, rank: int) -> Pair:
    module = MODULES[name]
    return torch.randn(module.inputs, rank) / module.inputs**0.5, torch.zeros(rank, module.outputs)


class Still:
    """Parts that are not trained."""

    def __init__(self, parts: Mapping[tuple[int, str], Pair]) -> None:
        self._parts = {k: (down.detach(), up.detach()) for k, (down, up) in parts.items()}

    def parts(self) -> Mapping[tuple[int, str], Pair]:
        return self._parts


NONE = Still({})


def vectors(model: MiniLm, kept: Kept, which: Tensor, adapter: Parts) -> Tensor:
    """Unit vectors [rows, 384] of some texts, with an adapter."""
    x, mask = kept.rows(which)
    return pooled(model.upward(x, mask, BELOW, Applied(adapter.parts())), mask)


@torch.no_grad()
def all_vectors(model: MiniLm, kept: Kept, adapter: Parts) -> Tensor:
    """As `vectors`, of all texts."""
    lengths = kept.starts[1:] - kept.starts[:-1]
    order = lengths.argsort()
    made = torch.empty(len(kept), WIDTH)
    for at in range(0, len(order), ROWS):
        rows = order[at : at + ROWS]
        made[rows] = vectors(model, kept, rows, adapter)
    return made


class Head(nn.Linear):
    """Unit vectors to logits. It begins with the mean of each class's vectors."""

    def __init__(self, units: Tensor, labels: Tensor, classes: int) -> None:
        super().__init__(WIDTH, classes)
        with torch.no_grad():
            self.bias.zero_()
            self.weight.zero_()
            self.weight.index_add_(0, labels, units)
            self.weight.copy_(normalize(self.weight, dim=1) * SHARPNESS)


@dataclass(frozen=True, slots=True)
class Recipe:
    """steps: of `batch` examples. rate: of the head and of an adapter's matrices; routed: of routing weights."""

    steps: int = 120
    batch: int = 32
    rate: float = 3e-3
    head_rate: float = 2e-2
    decay: float = 0.01


def tune(
    model: MiniLm,
    kept: Kept,
    labels: Tensor,
    adapter: Parts,
    *,
    classes: int,
    seed: int,
    recipe: Recipe | None = None,
    loss_of: "Loss | None" = None,
) -> Head:
    """Trains the adapter in place (where it is an nn.Module) with a new head, which is returned.

    labels: [texts] int. loss_of: another loss than the cross-entropy. Same seed, same weights.
    """
    recipe, loss_of = recipe or Recipe(), loss_of or _plain
    torch.manual_seed(seed)
    head = Head(all_vectors(model, kept, adapter), labels, classes)
    inner = list(adapter.parameters()) if isinstance(adapter, nn.Module) else []
    trained = [(inner, recipe.rate), (list(head.parameters()), recipe.head_rate)]
    groups = [{"params": given, "lr": rate} for given, rate in trained if given]
    optimiser = torch.optim.AdamW(groups, weight_decay=recipe.decay)
    rates = [rate for given, rate in trained if given]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, total_steps=recipe.steps)
    still = None if inner else all_vectors(model, kept, adapter)
    for rows in _draws(len(kept), recipe):
        units = vectors(model, kept, rows, adapter) if still is None else still[rows]
        loss = loss_of(head(units), labels[rows], rows)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return head


class Loss(Protocol):
    def __call__(self, logits: Tensor, labels: Tensor, rows: Tensor) -> Tensor:
        """logits: [batch, classes]; labels and rows (places of the texts): [batch] -> a scalar."""
        ...


def _plain(logits: Tensor, labels: Tensor, rows: Tensor) -> Tensor:
    return cross_entropy(logits, labels)


def _draws(count: int, recipe: Recipe) -> Iterable[Tensor]:
    """Batches: every text once before any comes again."""
    waiting = torch.empty(0, dtype=torch.long)
    size = min(recipe.batch, count)
    for _ in range(recipe.steps):
        if len(waiting) < size:
            waiting = torch.cat([waiting, torch.randperm(count)])
        yield waiting[:size]
        waiting = waiting[size:]


def correct(head: nn.Module, units: Tensor, labels: Tensor) -> float:
    """Share of the texts that get their label."""
    with torch.inference_mode():
        return float((head(units).argmax(1) == labels).float().mean())
