"""One adapter for six tasks, and six adapters in a third of their memory.

Each task keeps its own head. A quarter of the held-out texts with labels is the canary, the others are requests without
labels; the test is apart from both.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from benchmarks.compose import Options
from benchmarks.compose._experts import Expert, expert
from benchmarks.compose._tasks import sources
from pointsman.experts.models.compose import ranks
from pointsman.experts.models.compose.merging import Merged, Requests, ada_merged, arithmetic
from pointsman.experts.models.compose.routed import Key, mean_of
from pointsman.experts.models.compose.tuning import NONE, RANK, Kept, Parts, Still, all_vectors
from pointsman.experts.models.minilm import MiniLm

SEEDS = (0,)
CANARY = 40
"""Labelled texts of each task."""
TRIED = (0.1, 1 / 6, 0.25, 0.35, 0.5, 0.7, 1.0)


def run(options: Options) -> dict[str, object]:
    torch.set_num_threads(1)
    model = MiniLm()
    found: dict[str, list[list[float]]] = {}
    memory: dict[str, list[list[float]]] = {}
    tasks = sources(options.data)
    for seed in options.seeds or SEEDS:
        experts = [expert(model, task, seed) for task in tasks]
        for name, adapters in _merged(model, experts, seed).items():
            found.setdefault(name, []).append(_scores(model, experts, adapters))
        for name, adapters in _cut(model, experts).items():
            memory.setdefault(name, []).append(_scores(model, experts, adapters))
    names = [t.name for t in tasks]
    print(f"  one adapter for all, accuracy %, mean of {len(options.seeds or SEEDS)} seeds")
    figures = _table(names, found, "each its own adapter")
    print("  six adapters under a memory limit")
    return figures | _table(names, memory | {"whole": found["each its own adapter"]}, "whole")


def _merged(model: MiniLm, experts: list[Expert], seed: int) -> dict[str, list[Parts]]:
    adapters: list[Parts] = [e.adapter for e in experts]
    canaries = [_first(e.held, CANARY) for e in experts]

    def canary(adapter: Parts) -> float:
        scores = [e.score(model, adapter, part) for e, part in zip(experts, canaries, strict=True)]
        return float(np.mean(scores))

    requests = [Requests(_after(e.held, CANARY), e.head) for e in experts]
    mean = Merged(adapters, 1 / len(adapters))
    chosen = arithmetic(adapters, canary, TRIED)
    start = float(chosen.coefficients[0, 0].detach())
    sure, _ = ada_merged(model, adapters, requests, canary, start=start, seed=seed)
    one_rank = Still(mean_of([Still(sure.parts())], 2 * RANK))
    ways: dict[str, Parts] = {
        "no adapter": NONE,
        "averaging": mean,
        "task arithmetic": chosen,
        "AdaMerging, layer-wise": sure,
        f"the same, cut to rank {2 * RANK}": one_rank,
    }
    return {"each its own adapter": adapters} | {n: [a] * len(experts) for n, a in ways.items()}


def _cut(model: MiniLm, experts: list[Expert]) -> dict[str, list[Parts]]:
    """A third of the numbers: the same share for each, or by measured loss; and a sixth."""
    parts = [e.adapter.parts() for e in experts]
    loss = _loss(model, experts)
    ways: dict[str, list[Parts]] = {}
    for name, share in (("a third", 1 / 3), ("a sixth", 1 / 6), ("a twelfth", 1 / 12)):
        tiers = ranks.chosen(parts, loss, share)
        ways[f"{name}, the same for each"] = [Still(ranks.truncated(p, share)) for p in parts]
        ways[f"{name}, by measured loss"] = [
            Still(ranks.truncated(p, tier)) for p, tier in zip(parts, tiers, strict=True)
        ]
    return ways


def _loss(model: MiniLm, experts: list[Expert]) -> Callable[[int, Mapping[Key, ranks.Pair]], float]:
    known: dict[tuple[int, int], float] = {}

    def loss(at: int, parts: Mapping[Key, ranks.Pair]) -> float:
        key = (at, ranks.numbers(parts))
        if key not in known:
            (states, labels), head = experts[at].held, experts[at].head
            with torch.inference_mode():
                logits = head(all_vectors(model, states, Still(parts)))
                known[key] = float(cross_entropy(logits, labels))
        return known[key]

    return loss


def _first(part: tuple[Kept, torch.Tensor], count: int) -> tuple[Kept, torch.Tensor]:
    states, labels = part
    return Kept(states.tokens, states.starts[: count + 1]), labels[:count]


def _after(part: tuple[Kept, torch.Tensor], count: int) -> Kept:
    return Kept(part[0].tokens, part[0].starts[count:])


def _scores(model: MiniLm, experts: list[Expert], adapters: list[Parts]) -> list[float]:
    return [e.score(model, a) for e, a in zip(experts, adapters, strict=True)]


def _table(names: list[str], found: dict[str, list[list[float]]], whole: str) -> dict[str, object]:
    full = np.mean(found[whole])
    print(
        f"  {'':30}" + "".join(f"{n:>12}" for n in names) + f"{'mean':>8}{'spread':>8}{'kept':>8}"
    )
    figures: dict[str, object] = {}
    for name, scores in found.items():
        each, means = np.mean(scores, axis=0), np.mean(scores, axis=1)
        kept = means.mean() / full
        row = "".join(f"{100 * s:12.1f}" for s in each)
        print(
            f"  {name:30}{row}{100 * means.mean():8.1f}{100 * means.std():8.1f}{100 * kept:7.1f}%"
        )
        figures[name] = {"mean": round(float(means.mean()), 4), "kept": round(float(kept), 4)}
    return figures
