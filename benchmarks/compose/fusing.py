"""Logits fusion: a small expert steers a large model that knows little of the task.

Large: the whole backbone with class means of three examples of each class. Small: a head on the second of six layers,
fitted to all examples; before it was tuned it was the class means of the same three on that layer. Averaging is the mean
of the large one's and the tuned small one's log-probabilities; the scale of all class means is chosen on the small
one's examples.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from benchmarks.compose import Options
from benchmarks.compose._tasks import Task, means_of, whole
from pointsman.experts.models.compose.fusing import fused
from pointsman.experts.models.minilm import MiniLm

SEEDS = (0, 1, 2)
SHOTS = 3
SMALL, LARGE = 1, 5
"""Layers, from 0."""
SCALES = (5.0, 10.0, 15.0, 20.0, 30.0, 40.0)


def run(options: Options) -> dict[str, object]:
    torch.set_num_threads(1)
    model, figures = MiniLm(), dict[str, object]()
    found: dict[str, dict[str, list[float]]] = {}
    tasks = whole(options.data)
    for task in tasks:
        for seed in options.seeds or SEEDS:
            for name, score in _measured(model, task, seed).items():
                found.setdefault(name, {}).setdefault(task.name, []).append(score)
    print(f"  accuracy %, mean (standard deviation) of {len(options.seeds or SEEDS)} seeds")
    print(f"  {'':30}" + "".join(f"{t.name:>16}" for t in tasks))
    for name, by_task in found.items():
        each = [by_task[t.name] for t in tasks]
        print(
            f"  {name:30}"
            + "".join(f"{100 * np.mean(e):9.1f} ({100 * np.std(e):4.1f})" for e in each)
        )
        figures[name] = [round(float(np.mean(e)), 4) for e in each]
    return figures


def _measured(model: MiniLm, task: Task, seed: int) -> dict[str, float]:
    means, labels = means_of(model, task.train)
    tested, right = means_of(model, task.test)
    draw = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=draw)
    few = torch.cat([order[labels[order] == label][:SHOTS] for label in range(task.classes)])
    prototypes = {at: _prototypes(means[at], labels, few, task.classes) for at in (SMALL, LARGE)}
    scale = {
        at: _scale(means[at][order[:500]] @ p.T, labels[order[:500]])
        for at, p in prototypes.items()
    }
    weight, bias = _fitted(means[SMALL], labels, task.classes, seed)
    large, plain = (tested[at] @ prototypes[at].T * scale[at] for at in (LARGE, SMALL))
    tuned = tested[SMALL] * 8 @ weight.T + bias
    ways = {
        "large, three of each class": large,
        "small, before it was tuned": plain,
        "small, tuned": tuned,
        "averaging": large.log_softmax(1) + tuned.log_softmax(1),
        "fused, the whole difference": large + tuned - plain,
        "fused, as far as the small": fused(large, [tuned], [plain]),
    }
    return {name: float((made.argmax(1) == right).float().mean()) for name, made in ways.items()}


def _prototypes(units: Tensor, labels: Tensor, few: Tensor, classes: int) -> Tensor:
    sums = torch.zeros(classes, units.shape[1]).index_add_(0, labels[few], units[few])
    return normalize(sums, dim=1)


def _scale(cosines: Tensor, labels: Tensor) -> float:
    return min(SCALES, key=lambda s: float(cross_entropy(cosines * s, labels)))


def _fitted(units: Tensor, labels: Tensor, classes: int, seed: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(seed)
    head = torch.nn.Linear(units.shape[1], classes)
    optimiser = torch.optim.AdamW(head.parameters(), 1e-2, weight_decay=0.05)
    for _ in range(12):
        order = torch.randperm(len(labels))
        for at in range(0, len(order), 128):
            rows = order[at : at + 128]
            loss = cross_entropy(head(units[rows] * 8), labels[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return head.weight.detach(), head.bias.detach()
