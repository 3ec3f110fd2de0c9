"""Early exit under a budget: accuracy and compute on requests, with a head after each layer of the backbone."""

import numpy as np
import torch

from benchmarks.compose import Options
from benchmarks.compose._tasks import Task, means_of, whole
from pointsman.experts.models.compose import exits
from pointsman.experts.models.minilm import LAYERS, MiniLm

SEEDS = (0, 1, 2)
SHOWN = (1 / 3, 5 / 12, 0.5, 7 / 12, 2 / 3, 5 / 6, 1.0)


def run(options: Options) -> dict[str, object]:
    model = MiniLm()
    shown = "".join(f"{100 * b:8.0f}%" for b in SHOWN)
    print(f"  accuracy % (compute used) by budget, mean of {len(options.seeds or SEEDS)} seeds")
    print(f"  {'':14}{'all six':>8}{shown}   answers that a larger budget gives earlier")
    figures: dict[str, object] = {}
    for task in whole(options.data):
        found = [_measured(model, task, seed) for seed in options.seeds or SEEDS]
        full = np.mean([f[0] for f in found])
        scores = np.mean([f[1] for f in found], axis=0)
        earlier = sum(f[2] for f in found)
        row = "".join(f"{100 * s:9.1f}" for s in scores[:, 0])
        print(f"  {task.name:14}{100 * full:8.1f}{row}   {earlier}")
        print(f"  {'':22}" + "".join(f"  ({100 * c:4.0f}%)" for c in scores[:, 1]))
        figures[task.name] = {
            "full": round(float(full), 4),
            "accuracy": [round(float(s), 4) for s in scores[:, 0]],
            "compute": [round(float(s), 4) for s in scores[:, 1]],
            "earlier": earlier,
        }
    return figures


def _measured(model: MiniLm, task: Task, seed: int) -> tuple[float, np.ndarray, int]:
    """Accuracy of the last layer; for each shown budget (accuracy, share of the layers run); texts whose layer
    falls where the budget grows. A fifth of the training texts is for temperatures and thresholds."""
    means, labels = means_of(model, task.train)
    tested, right = means_of(model, task.test)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    held, fitted = order[: len(order) // 5], order[len(order) // 5 :]
    aside = (means[:, held], labels[held])
    heads = exits.fit_heads(means[:, fitted], labels[fitted], aside, task.classes, seed=seed)
    plan = exits.fit_exits(exits.confidence_of(heads, aside[0])[0])
    sure, answers = exits.confidence_of(heads, tested)
    hits = answers == right.numpy()
    scores, layers = [], []
    for budget in SHOWN:
        left = exits.leaving(sure, plan.at(budget))
        scores.append((hits[left, np.arange(len(left))].mean(), (left + 1).mean() / LAYERS))
        layers.append(left)
    earlier = int((np.diff(np.stack(layers), axis=0) < 0).sum())
    return float(hits[-1].mean()), np.array(scores), earlier
