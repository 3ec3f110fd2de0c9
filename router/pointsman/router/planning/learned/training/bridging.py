"""Learns the bridge from requests to what serves them (bridge.py), on plans of one catalog or several.

Each request is drawn to the names and descriptions of what its plan used, away from the other capabilities of
its catalog (a softmax over them; van den Oord et al. 2018, arXiv 1807.03748). Every batch leaves out a share of the
capabilities, and the change stays small, so that it carries over to capabilities that are not there.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pointsman.router.planning.learned.bridge import Bridge
from pointsman.router.planning.learned.training.episodes import Material

Floats = NDArray[np.float32]
RANK = 24
EPOCHS = 12
BATCH = 128
RATE = 2e-3
LEFT_OUT = 0.25
SMALL = 1e-2
"""Weight of the squared size of the change."""


def fit_bridge(parts: Sequence[tuple[Material, Sequence[int]]], *, seed: int) -> Bridge:
    """parts: plans to learn from, by row, each over its own catalog."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    lessons = [_Lesson(material, list(rows)) for material, rows in parts]
    dim = lessons[0].requests.shape[1]
    down = torch.empty(dim, RANK).normal_(0, 0.05).requires_grad_()
    up = torch.empty(RANK, dim).normal_(0, 0.05).requires_grad_()
    scale = torch.tensor(3.0).requires_grad_()
    optimiser = torch.optim.Adam([down, up, scale], lr=RATE)
    for _ in range(EPOCHS):
        for lesson, rows in _batches(lessons, random):
            optimiser.zero_grad()
            loss = lesson.loss(rows, down, up, scale, random) + SMALL * ((down @ up) ** 2).sum()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return Bridge(down.detach().numpy(), up.detach().numpy())


class _Lesson:
    """requests: [plans, dim]. used: [plans, capabilities] of 0 and 1. told: [capabilities, dim], the mean of
    name and description.
    """

    def __init__(self, material: Material, rows: list[int]) -> None:
        names = sorted({c for r in rows for c in material.plans[r].capabilities})
        columns = {n: i for i, n in enumerate(names)}
        used = np.zeros((len(rows), len(names)), np.float32)
        for row, plan in enumerate(rows):
            used[row, [columns[c] for c in material.plans[plan].capabilities]] = 1
        places = [material.index.places[n] for n in names]
        told = (material.index.named(places) + material.index.described(places)) / 2
        self.requests = torch.from_numpy(material.vectors[rows])
        self.used = torch.from_numpy(used)
        self.told = torch.from_numpy(told)

    def loss(
        self, rows: Tensor, down: Tensor, up: Tensor, scale: Tensor, random: np.random.Generator
    ) -> Tensor:
        kept = torch.from_numpy(random.random(len(self.told)) >= LEFT_OUT)
        asked = self.requests[rows]
        moved = torch.nn.functional.normalize(asked + (asked @ down) @ up, dim=1)
        logs = torch.log_softmax(moved @ self.told[kept].T * scale.exp(), 1)
        used = self.used[rows][:, kept]
        counts = used.sum(1)
        each = -(logs * used).sum(1) / counts.clamp(min=1)
        made: Tensor = each.sum() / (counts > 0).sum().clamp(min=1)
        return made


def _batches(
    lessons: Sequence[_Lesson], random: np.random.Generator
) -> list[tuple[_Lesson, Tensor]]:
    made: list[tuple[_Lesson, Tensor]] = []
    for lesson in lessons:
        order = torch.from_numpy(random.permutation(len(lesson.requests)))
        made += [(lesson, order[at : at + BATCH]) for at in range(0, len(order), BATCH)]
    return [made[i] for i in random.permutation(len(made))]
