"""An expert's update on more data: how many answers that were right are wrong afterwards?

The old expert knows a quarter of the training texts, the new one all of them.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from benchmarks.compose import Options
from benchmarks.compose._experts import Expert, expert
from benchmarks.compose._tasks import Task, kept, sources, stored, texts_of
from pointsman.experts.models.compose.tuning import Fresh, Head, Recipe, all_vectors, tune
from pointsman.experts.models.compose.updates import Both, compatible, flips
from pointsman.experts.models.minilm import MiniLm

SEEDS = (0,)
WEIGHTS = (2.0,)
OLD, NEW, WARM, BOTH = (
    "old",
    "new, trained anew",
    "new, from the old weights",
    "both, half and half (two passes)",
)
DRAWN = {weight: f"the same, drawn to the old, {weight:g}" for weight in WEIGHTS}
NAMES = (OLD, NEW, WARM, *DRAWN.values(), BOTH)


def run(options: Options) -> dict[str, object]:
    torch.set_num_threads(1)
    model = MiniLm()
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    tasks = [t for t in sources(options.data) if t.name in ("films", "banking")]
    for task in tasks:
        for seed in options.seeds or SEEDS:
            run = partial(_measured, model, task, seed)
            measured = stored(f"update {seed} {WEIGHTS}", texts_of(task.train), run)
            for name in NAMES:
                found.setdefault(name, {}).setdefault(task.name, []).append(measured[name].tolist())
    print(
        f"  accuracy % / right before and wrong now, % of all texts; mean of {len(options.seeds or SEEDS)} seeds"
    )
    print(f"  {'':34}" + "".join(f"{t.name:>16}" for t in tasks) + f"{'mean':>16}{'flips cut':>11}")
    figures: dict[str, object] = {}
    plain = float(np.mean([m[1] for ms in found[NEW].values() for m in ms]))
    for name, by_task in found.items():
        means = [np.mean(by_task[t.name], axis=0) for t in tasks]
        over = np.mean(means, axis=0)
        row = "".join(f"{100 * a:9.1f} /{100 * f:5.2f}" for a, f in [*means, over])
        cut = "" if name == OLD else f"{100 * (1 - over[1] / plain):10.1f}%"
        print(f"  {name:34}{row}{cut}")
        figures[name] = [round(float(v), 4) for v in over]
    return figures


def _measured(model: MiniLm, task: Task, seed: int) -> dict[str, Tensor]:
    """(accuracy, share of negative flips) by method."""
    quarter = replace(task, train=task.train[: len(task.train) // 4])
    old, new = expert(model, quarter, seed + 100), expert(model, task, seed)
    states, labels = kept(model, [p for n, p in enumerate(task.train) if n % 5])
    tested, right = new.test
    before, after = _logits(model, old, tested), _logits(model, new, tested)

    def told(logits: Tensor) -> Tensor:
        answers = logits.argmax(1)
        score = float((answers == right).float().mean())
        return torch.tensor([score, flips(before.argmax(1), answers, right)[0]])

    made = {OLD: told(before), NEW: told(after)}
    warm = Fresh(initial=old.adapter.parts())
    head = tune(model, states, labels, warm, classes=task.classes, seed=seed)
    made[WARM] = told(_read(model, head, warm, tested))
    seen = _logits(model, old, states)
    for weight in WEIGHTS:
        adapter = Fresh(initial=old.adapter.parts())
        head = tune(model, states, labels, adapter, classes=task.classes, seed=seed, recipe=Recipe(), loss_of=compatible(seen, weight))  # fmt: skip
        made[DRAWN[weight]] = told(_read(model, head, adapter, tested))
    made[BOTH] = told(Both(0.5)(before, after))
    return made


def _logits(model: MiniLm, found: Expert, states: object) -> Tensor:
    return _read(model, found.head, found.adapter, states)


@torch.inference_mode()
def _read(model: MiniLm, head: Head, adapter: object, states: object) -> Tensor:
    made: Tensor = head(all_vectors(model, states, adapter))  # type: ignore[arg-type]
    return made
