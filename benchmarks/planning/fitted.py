"""What `pointsman planner fit` changes for a user: the served planner before and after it was shown past plans.

Served: the cascade as a server has it, over our own capabilities and UltraTool's 260 tools, asked UltraTool's
test requests; F1 of the capabilities of the plan that is taken, 0 where there is none. The heads that ship have
seen other requests for these tools, so what is there before fitting is flattered.

Unfamiliar: the learned planner alone over TMDB's operations (RestBench), which no training has seen.
"""

import asyncio
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from benchmarks.planning import Options
from benchmarks.planning._planning_sets import encoder, f1, summed, told
from pointsman.experts.builtin import model_experts, tool_experts
from pointsman.experts.models.encoder import Encoder
from pointsman.router.catalog import Catalog
from pointsman.router.plan import Plan, Task, TaskId, sinks
from pointsman.router.planning.base import Embedder, Request
from pointsman.router.planning.learned.own import OwnPlanner
from pointsman.router.planning.learned.past import PastPlan
from pointsman.router.planning.learned.planner import LearnedPlanner
from pointsman.router.planning.learned.training.sources import tmdb, ultratool
from pointsman.services.planning import WarmPlanner

NOW = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)
SHOWN = (0, 50, 200, 1_000)
"""Past plans that the planner was fitted to."""
FEW = (0, 25, 50)
"""The same, of TMDB's hundred."""
ASKED = 50
"""Requests to TMDB that are asked."""
SURE = 0.8


@dataclass(frozen=True, slots=True)
class Served:
    """f1: of each request. sure: confidence of each plan. right: whether it has exactly the right set."""

    f1: list[float]
    sure: list[float]
    right: list[bool]

    @property
    def precision(self) -> float | None:
        """Of plans that are taken without asking further, the share that is right."""
        taken = [r for r, s in zip(self.right, self.sure, strict=True) if s >= SURE]
        return sum(taken) / len(taken) if taken else None


def run(options: Options) -> dict[str, object]:
    embedder = encoder()
    figures = {
        "served": asyncio.run(_served(options, embedder)),
        "unfamiliar": asyncio.run(_unfamiliar(options, embedder)),
    }
    return dict(figures)


async def _served(options: Options, embedder: Embedder) -> dict[str, object]:
    folder = options.data / "ultratool"
    known, asked = ultratool(folder), ultratool(folder, "test").plans
    inner = Encoder()
    own = [c for e in (*tool_experts(), *model_experts(inner)) for c in e.capabilities]
    catalog = Catalog([*own, *known.capabilities])
    found: dict[str, object] = {}
    print(f"   served: {len(asked)} requests over {len(catalog)} capabilities")
    for shown in SHOWN:
        seeds = options.seeds[:1] if shown == 0 else options.seeds
        each = [
            await _asked(embedder, catalog, _drawn(known.plans, shown, s), asked) for s in seeds
        ]
        means = [float(np.mean(e.f1)) for e in each]
        precisions = [e.precision for e in each if e.precision is not None]
        taken = float(np.mean([np.mean(np.array(e.sure) >= SURE) for e in each]))
        right = float(np.mean(precisions)) if precisions else 0.0
        print(
            f"      {shown:5} plans shown: node F1 {told(means)}; sure of {taken:.2f}, right {right:.2f}"
        )
        found[str(shown)] = {"node_f1": summed(means), "sure": round(taken, 4), "right": round(right, 4)}  # fmt: skip
    inner.close()
    return found


def _drawn(plans: Sequence[PastPlan], count: int, seed: int) -> list[PastPlan]:
    order = np.random.default_rng(seed).permutation(len(plans))[:count]
    return [plans[i] for i in order]


async def _asked(
    embedder: Embedder, catalog: Catalog, past: Sequence[PastPlan], asked: Sequence[PastPlan]
) -> Served:
    made = Served([], [], [])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if past:
            file = folder / "shown.jsonl"
            file.write_text("".join(f"{_line(p)}\n" for p in past), "utf-8")
            OwnPlanner(folder / "planner").keep(None, file)
        planner = WarmPlanner(embedder, None, own=folder / "planner")
        for plan in asked:
            proposal = await planner.plan(Request(plan.request, NOW), catalog)
            outcome = proposal.outcome
            names = [t.capability for t in outcome.tasks] if isinstance(outcome, Plan) else []
            made.f1.append(f1(names, plan.capabilities) if names else 0.0)
            made.sure.append(proposal.confidence if names else 0.0)
            made.right.append(set(names) == set(plan.capabilities))
    return made


def _line(past: PastPlan) -> str:
    """A line of plans.jsonl."""
    ids = {name: TaskId(f"t{place}") for place, name in enumerate(past.capabilities)}
    tasks = [
        Task(ids[n], n, {}, tuple(ids[a] for a, b in past.links if b == n and a != n))
        for n in past.capabilities
    ]
    plan = Plan(tuple(tasks), sinks(tasks))
    return json.dumps({"request": past.request, "plan": plan.to_json(), "right": True})


async def _unfamiliar(options: Options, embedder: Embedder) -> dict[str, object]:
    source = tmdb(options.data)
    catalog = Catalog(source.capabilities)
    found: dict[str, object] = {}
    print(f"   unfamiliar: {ASKED} of {len(source.plans)} requests over {len(catalog)} operations")
    for shown in FEW:
        means: list[float] = []
        for seed in options.seeds:
            order = np.random.default_rng(seed).permutation(len(source.plans))
            asked = [source.plans[i] for i in order[:ASKED]]
            past = [source.plans[i] for i in order[ASKED : ASKED + shown]]
            planner = LearnedPlanner(embedder, memory=past)
            each = [(await planner.outline(p.request, catalog))[0].chosen for p in asked]
            names = [[c.capability.name for c in chosen] for chosen in each]
            means.append(float(np.mean([f1(n, p.capabilities) for n, p in zip(names, asked, strict=True)])))  # fmt: skip
        print(f"      {shown:5} plans shown: node F1 {told(means)}")
        found[str(shown)] = {"node_f1": summed(means)}
    return found
