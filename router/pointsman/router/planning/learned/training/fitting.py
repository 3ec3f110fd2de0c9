"""Fits set heads to scenes whose right set is known. torch is used here only; what comes out is plain arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pointsman.router.planning.learned.features import Scene
from pointsman.router.planning.learned.heads import FIELDS, WIDTHS, wholes
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

    epochs: int = 12
    rate: float = 2e-3
    batch: int = 64
    decay: float = 1e-3
    regret: float = 1.0
    dropout: float = 0.1


class _Net(nn.Module):
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

    def arrays(self) -> dict[str, Floats]:
        held = (
            self.shift, self.scale, self.first.weight.T, self.first.bias, self.second.weight[0], self.second.bias,
        )  # fmt: skip
        return {n: t.detach().numpy().copy() for n, t in zip(FIELDS, held, strict=True)}


@dataclass(frozen=True, slots=True)
class _Stack:
    """Examples with the same number of candidates, as tensors. target: row of the right set, or -1."""

    members: Tensor
    overlap: Tensor
    unary: Tensor
    joint: Tensor
    whole: Tensor
    target: Tensor
    worth: Tensor


def fit_sets(
    examples: Sequence[Example], *, seed: int, heads: int = 3, recipe: Recipe | None = None
) -> dict[str, Floats]:
    """Weights named as SetHeads.of reads them."""
    recipe = recipe or Recipe()
    stacks = _stacks(examples)
    made: dict[str, Floats] = {}
    for number in range(heads):
        torch.manual_seed(1_000 * seed + number)
        for part, net in _fit_one(stacks, recipe, 1_000 * seed + number).items():
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
        torch.from_numpy(sets.overlap),
        torch.from_numpy(np.stack([e.scene.unary for e in group])),
        torch.from_numpy(np.stack([e.scene.joint for e in group])),
        torch.from_numpy(np.stack([wholes(e.scene) for e in group])),
        torch.from_numpy(target),
        torch.from_numpy(worth.astype(np.float32)),
    )


def _fit_one(stacks: Sequence[_Stack], recipe: Recipe, seed: int) -> dict[str, _Net]:
    nets = {part: _net(stacks, part) for part in WIDTHS}
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
    return {part: net.eval() for part, net in nets.items()}


def _net(stacks: Sequence[_Stack], part: str) -> _Net:
    seen = torch.cat([getattr(s, part).reshape(-1, WIDTHS[part])[:200_000] for s in stacks])
    spread = seen.std(0)
    scale = torch.where(spread > 1e-4, 1 / spread.clamp(min=1e-4), torch.zeros_like(spread))
    return _Net(seen.mean(0).numpy(), scale.clamp(max=50).numpy(), HIDDEN[part])


def _batches(
    stacks: Sequence[_Stack], size: int, random: np.random.Generator
) -> list[tuple[_Stack, Tensor]]:
    made: list[tuple[_Stack, Tensor]] = []
    for stack in stacks:
        order = torch.from_numpy(random.permutation(len(stack.target)))
        made += [(stack, rows) for rows in order.split(size)]
    return [made[i] for i in random.permutation(len(made))]


def _scores(nets: dict[str, _Net], stack: _Stack, rows: Tensor, dropout: float) -> Tensor:
    """[batch, sets]: what SetHead computes, for a batch."""
    alone = nets["unary"](stack.unary[rows], dropout)
    pairs = nets["joint"](stack.joint[rows], 0.0)
    pairs = pairs * (1 - torch.eye(pairs.shape[-1]))
    made = alone @ stack.members.T
    made = made + 0.5 * torch.einsum("sa,bac,sc->bs", stack.members, pairs, stack.members)
    score: Tensor = made + nets["whole"](stack.whole[rows], 0.0)
    return score


def _loss(scores: Tensor, stack: _Stack, rows: Tensor, recipe: Recipe) -> Tensor:
    logs = torch.log_softmax(scores, 1)
    target = stack.target[rows]
    known = target >= 0
    likelihood = -(logs.gather(1, target.clamp(min=0)[:, None])[:, 0] * known).mean()
    regret = 1 - (logs.exp() * stack.worth[rows]).sum(1).mean()
    return likelihood + recipe.regret * regret
