"""A new task from few examples: composed out of six experts for other tasks, or a fresh adapter.

Five tasks with labels that no expert was trained on; 16 and 100 examples, drawn anew for each seed (of each class one
at least, where there are enough). All have the same head to begin with (class means) and the same training.
"""

from collections.abc import Callable
from functools import partial
from time import perf_counter

import numpy as np
import torch
from torch import nn

from benchmarks.compose import Options
from benchmarks.compose._experts import expert
from benchmarks.compose._tasks import Task, held_out, kept, sources, stored
from pointsman.experts.models.compose.routed import Routed, mean_of
from pointsman.experts.models.compose.tuning import (
    NONE,
    RANK,
    Fresh,
    Kept,
    Parts,
    Recipe,
    all_vectors,
    correct,
    tune,
)
from pointsman.experts.models.minilm import MiniLm

SEEDS = (0, 1, 2, 3, 4)
SIZES = (16, 100)
FEW = {16: Recipe(steps=12, batch=16), 100: Recipe(steps=20, batch=16)}
Way = Callable[[Recipe], tuple[Parts, Recipe]]
ROUTES = 5e-2
"""Rate of routing weights, which are few."""
FRESH, HEAD = "fresh adapter", "head alone"


def run(options: Options) -> dict[str, object]:
    torch.set_num_threads(1)
    model, seeds = MiniLm(), options.seeds or SEEDS
    shipped: list[Parts] = [expert(model, task, 0).adapter for task in sources(options.data)]
    tasks = held_out(options.data)
    scores: dict[tuple[str, int, str], list[float]] = {}
    seconds: dict[str, list[float]] = {}
    sizes: dict[str, int] = {}
    full: dict[str, float] = {}
    for task in tasks:
        part, test = kept(model, task.train), kept(model, task.test)
        for size in SIZES:
            for seed in seeds:
                rows = _drawn(part[1], task.classes, size, seed)
                for name, make in _ways(shipped).items():
                    what = f"few {name} {seed} {FEW[size]}"
                    texts = [task.train[row][0] for row in rows.tolist()]
                    run = partial(_one, model, task, part, test, rows, make, FEW[size], seed)
                    found = stored(what, texts, run)["found"].tolist()
                    scores.setdefault((task.name, size, name), []).append(found[0])
                    seconds.setdefault(name, []).append(found[1])
                    sizes[name] = int(found[2])
        whole = expert(model, task, 0)
        full[task.name] = whole.score(model, whole.adapter)
    return _report(tasks, scores, full, sizes, seconds)


def _one(
    model: MiniLm,
    task: Task,
    part: tuple[Kept, torch.Tensor],
    test: tuple[Kept, torch.Tensor],
    rows: torch.Tensor,
    make: Way,
    recipe: Recipe,
    seed: int,
) -> dict[str, torch.Tensor]:
    """Accuracy, seconds of training, and numbers that were trained beside the head."""
    torch.manual_seed(seed)
    adapter, recipe = make(recipe)
    labels = part[1][rows]
    began = perf_counter()
    head = tune(model, _of(part[0], rows), labels, adapter, classes=task.classes, seed=seed, recipe=recipe)  # fmt: skip
    took = perf_counter() - began
    score = correct(head, all_vectors(model, test[0], adapter), test[1])
    return {"found": torch.tensor([score, took, float(_parameters(adapter))])}


def _ways(shipped: list[Parts]) -> dict[str, Way]:
    """Each method: the adapter to be trained, and how."""

    def routed(way: str) -> Way:
        return lambda r: (Routed(shipped, way), _rated(r, ROUTES))  # type: ignore[arg-type]

    mean = mean_of(shipped, RANK)
    return {
        HEAD: lambda r: (NONE, r),
        FRESH: lambda r: (Fresh(), r),
        "MHR-mu (the mean, trained)": lambda r: (Fresh(initial=mean), r),
        "Poly": routed("poly"),
        "MHR-z": routed("mhr"),
        "ScaLearn, each layer": routed("scale"),
    }


def _rated(recipe: Recipe, rate: float) -> Recipe:
    return Recipe(recipe.steps, recipe.batch, rate, recipe.head_rate, 0.0)


def _drawn(labels: torch.Tensor, classes: int, size: int, seed: int) -> torch.Tensor:
    """Places of examples, the classes in turn."""
    draw = torch.Generator().manual_seed(1_000 * seed + size)
    order = torch.randperm(len(labels), generator=draw)
    turns = torch.zeros(len(labels), dtype=torch.long)
    for label in range(classes):
        those = (labels[order] == label).nonzero()[:, 0]
        turns[those] = torch.arange(len(those))
    return order[turns.argsort(stable=True)][:size]


def _of(states: Kept, rows: torch.Tensor) -> Kept:
    pieces = [states.tokens[int(states.starts[r]) : int(states.starts[r + 1])] for r in rows]
    lengths = torch.tensor([0, *(len(p) for p in pieces)])
    return Kept(torch.cat(pieces), lengths.cumsum(0))


def _parameters(adapter: Parts) -> int:
    """That are trained beside the head."""
    return sum(p.numel() for p in adapter.parameters()) if isinstance(adapter, nn.Module) else 0


def _report(
    tasks: list[Task],
    scores: dict[tuple[str, int, str], list[float]],
    full: dict[str, float],
    sizes: dict[str, int],
    seconds: dict[str, list[float]],
) -> dict[str, object]:
    figures: dict[str, object] = {"full": {k: round(v, 4) for k, v in full.items()}}
    names = list(sizes)
    composed = [n for n in names if n not in (FRESH, HEAD)]
    for size in SIZES:
        print(f"  {size} examples: accuracy % (standard deviation of the draws)")
        print(
            f"  {'':28}{'trained':>8}{'s':>6}"
            + "".join(f"{t.name:>16}" for t in tasks)
            + "    mean"
        )
        for name in names:
            each = [scores[t.name, size, name] for t in tasks]
            cells = "".join(f"{100 * np.mean(e):9.1f} ({100 * np.std(e):4.1f})" for e in each)
            mean = np.mean(each)
            took = np.mean(seconds[name])
            print(f"  {name:28}{sizes[name]:8,}{took:6.1f}{cells}{100 * mean:8.1f}")
            figures[f"{size} {name}"] = [round(float(np.mean(e)), 4) for e in each]
        best = {t.name: max(composed, key=lambda n, t=t: np.mean(scores[t.name, size, n])) for t in tasks}  # fmt: skip
        wins = {n: sum(np.mean(scores[t.name, size, n]) > np.mean(scores[t.name, size, FRESH]) for t in tasks) for n in composed}  # fmt: skip
        print("  tasks of five where it is better than the fresh adapter: " + ", ".join(f"{n} {w}" for n, w in wins.items()))  # fmt: skip
        figures[f"{size} wins"] = wins
        if size == max(SIZES):
            shares = [np.mean(scores[t.name, size, best[t.name]]) / full[t.name] for t in tasks]
            print("  the best composed one as a share of an adapter with all the data: " + ", ".join(f"{t.name} {100 * s:.1f}% of {100 * full[t.name]:.1f}" for t, s in zip(tasks, shares, strict=True)))  # fmt: skip
            figures["share of full"] = [round(float(s), 4) for s in shares]
    return figures
