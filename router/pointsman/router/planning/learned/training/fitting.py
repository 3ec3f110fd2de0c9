"""Fits set heads to scenes whose right set is known. torch is used here only; what comes out is plain arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pointsman.router.planning.learned.features import CONTEXT, WHOLE, Scene
from pointsman.router.planning.learned.heads import FIELDS, WIDTHS, Weights
from pointsman.router.planning.learned.subsets import LARGEST, sets_of

Floats = NDArray[np.float32]
HIDDEN = {"unary": 32, "joint": 12, "whole": 16}


@dataclass(frozen=True, slots=True)
class Example:
    """right: [k] of 0 and 1, the candidates that were used. missed: how many more were used."""

    scene: Scene
    right: Floats
    missed: int = 0


@dataclass(frozen=True, slots=True)
class Recipe:
    """regret: weight of the expected loss of F1 beside the likelihood. dropout: of input features."""

    epochs: int = 25
    rate: float = 5e-3
    batch: int = 64
    decay: float = 1e-3
    regret: float = 1.0
    dropout: float = 0.1


CAREFUL = Recipe(epochs=10, rate=1e-3, dropout=0.3)
"""For capabilities that are not among the lessons; chosen on tools held out of UltraTool's train part, where it gave
a node F1 of 0.643 and the other one 0.603."""


class Net(nn.Module):
    def __init__(self, shift: Floats, scale: Floats, hidden: int) -> None:
        super().__init__()
        self.shift = nn.Buffer(torch.from_numpy(shift))
        self.scale = nn.Buffer(torch.from_numpy(scale))
        self.first = nn.Linear(len(shift), hidden)
        self.second = nn.Linear(hidden, 1)

    def forward(self, features: Tensor, dropout: float) -> Tensor:
        made = (features - self.shift) * self.scale
        made = nn.functional.dropout(made, dropout, self.training)
        score: Tensor = self.second(torch.relu(self.first(made)))[..., 0]
        return score

    @classmethod
    def of(cls, weights: Weights, name: str) -> "Net":
        """From what `arrays` gave."""
        shift, scale, *layers = (torch.from_numpy(weights[f"{name}.{f}"].copy()) for f in FIELDS)
        made = cls(shift.numpy(), scale.numpy(), len(layers[1]))
        with torch.no_grad():
            made.first.weight.copy_(layers[0].T)
            made.first.bias.copy_(layers[1])
            made.second.weight.copy_(layers[2][None])
            made.second.bias.copy_(layers[3])
        return made

    def arrays(self) -> dict[str, Floats]:
        held = (
            self.shift, self.scale, self.first.weight.T, self.first.bias, self.second.weight[0], self.second.bias,
        )  # fmt: skip
        return {n: t.detach().numpy().copy() for n, t in zip(FIELDS, held, strict=True)}


@dataclass(frozen=True, slots=True)
class _Stack:
    """Examples with the same number of candidates, as tensors. both: [sets, k * k], 1 where a set has both.

    target: row of the right set, or -1. worth: F1 of each set, [examples, sets].
    """

    members: Tensor
    both: Tensor
    by_size: Tensor
    unary: Tensor
    joint: Tensor
    whole: Tensor
    target: Tensor
    worth: Tensor


def fit_sets(
    examples: Sequence[Example],
    *,
    seed: int,
    heads: int = 3,
    recipe: Recipe | None = None,
    initial: Weights | None = None,
) -> dict[str, Floats]:
    """Weights named as SetHeads.of reads them. initial: weights of as many heads to go on from."""
    recipe = recipe or Recipe()
    stacks = _stacks(examples)
    made: dict[str, Floats] = {}
    for number in range(heads):
        torch.manual_seed(1_000 * seed + number)
        nets = {
            part: _net(stacks, part) if initial is None else Net.of(initial, f"set.{number}.{part}")
            for part in WIDTHS
        }
        _fit_one(nets, stacks, recipe, 1_000 * seed + number)
        for part, net in nets.items():
            for field, value in net.arrays().items():
                made[f"set.{number}.{part}.{field}"] = value
    return made


def _stacks(examples: Sequence[Example]) -> list[_Stack]:
    by_count: dict[int, list[Example]] = {}
    for example in examples:
        by_count.setdefault(len(example.right), []).append(example)
    return [_stack(count, group) for count, group in sorted(by_count.items())]


def _stack(count: int, group: list[Example]) -> _Stack:
    sets = sets_of(count)
    right = np.stack([e.right for e in group])
    missed = np.array([e.missed for e in group])
    shared = right @ sets.members.T
    total = right.sum(1) + missed
    worth = 2 * shared / (total[:, None] + sets.sizes[None])
    exact = (shared == right.sum(1)[:, None]) & (sets.sizes[None] == right.sum(1)[:, None])
    target = np.where(exact.any(1), exact.argmax(1), -1)
    return _Stack(
        torch.from_numpy(sets.members),
        torch.from_numpy(sets.members[:, :, None] * sets.members[:, None]).flatten(1),
        torch.from_numpy(sets.by_size),
        torch.from_numpy(np.stack([e.scene.unary for e in group])),
        torch.from_numpy(np.stack([e.scene.joint for e in group])),
        torch.from_numpy(np.stack([e.scene.whole for e in group])),
        torch.from_numpy(target),
        torch.from_numpy(worth.astype(np.float32)),
    )


def _fit_one(nets: dict[str, Net], stacks: Sequence[_Stack], recipe: Recipe, seed: int) -> None:
    weights = [w for net in nets.values() for w in net.parameters()]
    steps = recipe.epochs * sum(-(-len(s.target) // recipe.batch) for s in stacks)
    optimiser = torch.optim.AdamW(weights, lr=recipe.rate, weight_decay=recipe.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, total_steps=steps)
    random = np.random.default_rng(seed)
    for _ in range(recipe.epochs):
        for stack, rows in _batches(stacks, recipe.batch, random):
            optimiser.zero_grad()
            loss = _loss(_scores(nets, stack, rows, recipe.dropout), stack, rows, recipe)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    for net in nets.values():
        net.eval()


def _net(stacks: Sequence[_Stack], part: str) -> Net:
    seen = torch.cat([_seen(s, part).reshape(-1, WIDTHS[part]) for s in stacks])
    spread = seen.std(0)
    scale = torch.where(spread > 1e-4, 1 / spread.clamp(min=1e-4), torch.zeros_like(spread))
    return Net(seen.mean(0).numpy(), scale.clamp(max=50).numpy(), HIDDEN[part])


def _seen(stack: _Stack, part: str) -> Tensor:
    """What a network sees of some examples spread over a stack, to put its features on one scale."""
    rows = torch.linspace(0, len(stack.target) - 1, min(500, len(stack.target))).long()
    if part == "whole":
        return _wholes(stack, rows)
    return (stack.unary if part == "unary" else stack.joint)[rows]


def _wholes(stack: _Stack, rows: Tensor) -> Tensor:
    """What heads.wholes gives, for a batch: [batch, sets, features]."""
    made = stack.whole[rows]
    context = stack.unary[rows, 0, -len(CONTEXT) :][:, None].expand(-1, made.shape[1], -1)
    return torch.cat([made, stack.by_size.expand(len(rows), -1, -1), context], 2)


def _batches(
    stacks: Sequence[_Stack], size: int, random: np.random.Generator
) -> list[tuple[_Stack, Tensor]]:
    made: list[tuple[_Stack, Tensor]] = []
    for stack in stacks:
        order = torch.from_numpy(random.permutation(len(stack.target)))
        made += [(stack, order[at : at + size]) for at in range(0, len(order), size)]
    return [made[i] for i in random.permutation(len(made))]


def _scores(nets: dict[str, Net], stack: _Stack, rows: Tensor, dropout: float) -> Tensor:
    """[batch, sets]: what SetHead computes, for a batch."""
    alone = nets["unary"](stack.unary[rows], dropout)
    pairs = nets["joint"](stack.joint[rows], 0.0)
    pairs = pairs * (1 - torch.eye(pairs.shape[-1]))
    made = alone @ stack.members.T + 0.5 * pairs.flatten(1) @ stack.both.T
    score: Tensor = made + _whole_scores(nets["whole"], stack, rows)
    return score


def _whole_scores(net: Net, stack: _Stack, rows: Tensor) -> Tensor:
    """What the network gives for heads.wholes, without laying out what is the same in many rows."""
    weights = net.first.weight * net.scale
    own, rest = weights[:, :WHOLE], weights[:, WHOLE:]
    size, context = rest[:, :LARGEST], rest[:, LARGEST:]
    asked = stack.unary[rows, 0, -len(CONTEXT) :]
    fixed = stack.by_size @ size.T + net.first.bias - weights @ net.shift
    hidden = stack.whole[rows] @ own.T + fixed + (asked @ context.T)[:, None]
    score: Tensor = net.second(torch.relu(hidden))[..., 0]
    return score


def _loss(scores: Tensor, stack: _Stack, rows: Tensor, recipe: Recipe) -> Tensor:
    logs = torch.log_softmax(scores, 1)
    target = stack.target[rows]
    known = target >= 0
    likelihood = -(logs.gather(1, target.clamp(min=0)[:, None])[:, 0] * known).mean()
    regret = 1 - (logs.exp() * stack.worth[rows]).sum(1).mean()
    return likelihood + recipe.regret * regret
