"""Reuse of remembered plans: the right plan with the right arguments, how often a wrong one, how fast, how much.

First set: 58 groups of requests over the built-in capabilities (memory_groups.yaml), reported on the 28 that
nothing was chosen on; 8 of them were written last, and their figures stand by themselves, too. Of three quarters of its groups one phrasing is remembered, the others are asked; of the
last quarter nothing is remembered, so that any reuse is wrong; and each request is asked once more with an
addition that the plan does not serve. Second set: MetaTool, tools of the half that nothing was chosen on: half
of their requests is remembered, the other half asked. Beside it stands the nearest neighbour at a cosine of 0.9,
taken as it was, and with its files and values filled in as ours are.
"""

import asyncio
import hashlib
import json
import random
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from statistics import mean, pstdev

import numpy as np

from benchmarks.planning import Options
from benchmarks.planning.memory_cases import NOW, Case, load
from benchmarks.planning.memory_growth import grown
from pointsman.experts.builtin import model_experts, tool_experts
from pointsman.experts.models.encoder import Encoder
from pointsman.router.catalog import Capability, Catalog
from pointsman.router.errors import PlanError, RequestError
from pointsman.router.plan import Plan, parse_plan
from pointsman.router.planning.base import Request, Vectors
from pointsman.router.planning.memory import MemoryPlanner, Recollection, Remembered, generalise
from pointsman.router.planning.memory.aligning import Mismatch, align
from pointsman.router.planning.memory.constants import form_of
from pointsman.router.planning.memory.matching import filled

BASELINE = 0.9
ADDITIONS = (
    " for new hires",
    " and upload it to the server",
    " of the southern branches",
    " adjusted for inflation",
    ", then explain the trend",
    " rounded to the nearest hundred",
    " with the holidays marked",
    " and send it to my accountant",
)
MANY = 10_000
METATOOL_ASKED = 1_200


class Vectored:
    """An Embedder that embeds each text once."""

    def __init__(self, encoder: Encoder) -> None:
        self.dim = encoder.dim
        self._encoder = encoder
        self._kept: dict[str, np.ndarray] = {}

    async def embed(self, texts: Sequence[str]) -> Vectors:
        new = [t for t in dict.fromkeys(texts) if t not in self._kept]
        for start in range(0, len(new), 64):
            batch = new[start : start + 64]
            self._kept.update(zip(batch, await self._encoder.embed(batch), strict=True))
        return np.stack([self._kept[t] for t in texts])


@dataclass(frozen=True, slots=True)
class Fixed:
    """A memory that does not change."""

    held: Recollection

    async def version(self) -> str:
        return self.held.version

    async def recollect(self, embedder: object) -> Recollection:
        return self.held


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, and the plan that would be right; None where any reuse is wrong."""

    request: Request
    plan: Plan | None


async def recollection(plans: Sequence[Remembered], embedder: Vectored) -> Recollection:
    vectors = await embedder.embed([p.line for p in plans])
    return Recollection("1", tuple(plans), vectors)


def tasks_of(plan: Plan) -> list[tuple[str, str]]:
    """Capabilities with their arguments, in order."""
    tasks = plan.to_json()["tasks"]
    return [(t["capability"], json.dumps(t["arguments"], sort_keys=True)) for t in tasks]


# --- the ways -----------------------------------------------------------------------------------------


async def ours(
    held: Recollection, asked: Request, embedder: Vectored, catalog: Catalog
) -> Plan | None:
    proposal = await MemoryPlanner(embedder, Fixed(held)).plan(asked, catalog)
    return proposal.outcome if isinstance(proposal.outcome, Plan) else None


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The nearest request by cosine, taken from BASELINE on: by its text as it is, or with its files, values
    and columns masked and filled in as ours are, but without a look at its words.
    """

    plans: Sequence[tuple[Remembered, Plan]]
    vectors: Vectors
    fills: bool

    async def plan(self, asked: Request, embedder: Vectored) -> Plan | None:
        text = asked.text
        if self.fills:
            text = form_of(text, asked.files, asked.now).line()
        similar = self.vectors @ (await embedder.embed([text]))[0]
        best = int(similar.argmax())
        if similar[best] < BASELINE:
            return None
        remembered, plan = self.plans[best]
        if not self.fills:
            return plan
        try:
            form = form_of(asked.text, asked.files, asked.now)
            return filled(remembered, align(remembered, form), asked)
        except (Mismatch, PlanError, RequestError):
            return None


# --- the groups ---------------------------------------------------------------------------------------


def drawn(
    cases: Sequence[Case], seed: int
) -> tuple[list[Case], list[Asked], list[Asked], list[Asked]]:
    """What is remembered; asked of the same groups; of groups not remembered; with an addition."""
    chance = random.Random(seed)
    groups = sorted({c.group for c in cases})
    unknown = set(chance.sample(groups, len(groups) // 4))
    told: list[Case] = []
    known: list[Asked] = []
    strange: list[Asked] = []
    more: list[Asked] = []
    for group in groups:
        here = [c for c in cases if c.group == group]
        chance.shuffle(here)
        if group in unknown:
            strange += [Asked(c.request, None) for c in here]
            continue
        told.append(here[0])
        known += [Asked(c.request, c.plan) for c in here[1:]]
        for case in here:
            text = case.request.text.rstrip(" .?!") + chance.choice(ADDITIONS)
            more.append(Asked(replace(case.request, text=text), None))
    return told, known, strange, more


async def groups(
    cases: Sequence[Case], seed: int, embedder: Vectored, catalog: Catalog
) -> dict[str, dict[str, float]]:
    told, known, strange, more = drawn(cases, seed)
    pairs = []
    for case in told:
        try:
            pairs.append((_remembered(case, catalog), case.plan))
        except PlanError:
            continue  # what cannot be generalised is not remembered, and its requests count as missed
    held = await recollection([r for r, _ in pairs], embedder)
    raw = await embedder.embed([r.request or "" for r, _ in pairs])
    plain, filling = Neighbour(pairs, raw, False), Neighbour(pairs, held.vectors, True)
    found: dict[str, dict[str, float]] = {}
    for name in ("ours", "nearest, cosine 0.9", "nearest, masked, values filled"):
        counts = {"right": 0, "wrong": 0, "strange": 0, "more": 0}
        for label, asked in (("known", known), ("strange", strange), ("more", more)):
            for one in asked:
                if name == "ours":
                    plan = await ours(held, one.request, embedder, catalog)
                else:
                    chosen = filling if name.endswith("filled") else plain
                    plan = await chosen.plan(one.request, embedder)
                if plan is None:
                    continue
                right = one.plan is not None and tasks_of(plan) == tasks_of(one.plan)
                counts["right" if right else "wrong" if label == "known" else label] += 1
        found[name] = _shares(counts, len(known), len(strange), len(more))
    return found


def general(cases: Sequence[Case], catalog: Catalog) -> list[Remembered]:
    """What can be remembered of the cases."""
    found = []
    for case in cases:
        with suppress(PlanError):
            found.append(_remembered(case, catalog))
    return found


def _remembered(case: Case, catalog: Catalog) -> Remembered:
    asked = case.request
    return generalise(
        asked.text, case.plan, catalog, files=asked.files, now=asked.now, run=case.group
    )


def _shares(counts: dict[str, int], known: int, strange: int, more: int) -> dict[str, float]:
    reused = sum(counts.values())
    return {
        "recall": counts["right"] / known,
        "precision": counts["right"] / reused if reused else 1.0,
        "wrong of known": counts["wrong"] / known,
        "wrong of unknown": counts["strange"] / strange,
        "wrong with an addition": counts["more"] / more,
    }


# --- MetaTool -----------------------------------------------------------------------------------------


def held_out(text: str) -> bool:
    """The half of the tools that nothing was chosen on."""
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % 2 == 1


async def metatool(options: Options, seed: int, embedder: Vectored) -> dict[str, dict[str, float]]:
    lines = (options.data / "metatool" / "single.jsonl").read_text("utf-8").splitlines()
    rows = [r for r in map(json.loads, lines) if held_out(r["tool"]) and len(r["query"]) < 500]
    random.Random(seed).shuffle(rows)
    names = {t: "tool." + re.sub(r"[^a-z0-9_]", "_", t.lower()) for t in {r["tool"] for r in rows}}
    form = {"type": "object", "properties": {}}
    catalog = Catalog(Capability(names[t], t, form, {}) for t in sorted(names))
    told = rows[: len(rows) // 2]
    asked = rows[len(rows) // 2 :][:METATOOL_ASKED]
    pairs = []
    for row in told:
        plan = parse_plan({"tasks": [{"id": "t", "capability": names[row["tool"]]}]})
        try:
            one = generalise(row["query"], plan, catalog, files=(), now=NOW, run="r")
        except (PlanError, RequestError):
            continue
        pairs.append((one, plan))
    held = await recollection([r for r, _ in pairs], embedder)
    raw = await embedder.embed([r.request or "" for r, _ in pairs])
    nearest = Neighbour(pairs, raw, False)
    found: dict[str, dict[str, float]] = {}
    for name in ("ours", "nearest, cosine 0.9"):
        reused = right = 0
        for row in asked:
            request = Request(row["query"], NOW)
            if name == "ours":
                plan = await ours(held, request, embedder, catalog)
            else:
                plan = await nearest.plan(request, embedder)
            reused += plan is not None
            right += plan is not None and plan.tasks[0].capability == names[row["tool"]]
        found[name] = {
            "reused": reused / len(asked),
            "precision": right / reused if reused else 1.0,
        }
    return found


# --- latency and bounds -------------------------------------------------------------------------------


async def latency(cases: Sequence[Case], encoder: Encoder, catalog: Catalog) -> dict[str, float]:
    """Milliseconds of one request with MANY remembered plans: of the whole, and without the embedding."""
    plans = general(cases, catalog)
    vectors = await encoder.embed([p.line for p in plans])
    noise = np.random.default_rng(0).normal(0, 0.02, (MANY, encoder.dim)).astype(np.float32)
    rows = vectors[np.arange(MANY) % len(plans)] + noise
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    many = tuple(replace(plans[i % len(plans)], key=str(i)) for i in range(MANY))
    planner = MemoryPlanner(encoder, Fixed(Recollection("1", many, rows)))
    whole = []
    for case in cases * 3:
        began = time.perf_counter()
        await planner.plan(case.request, catalog)
        whole.append((time.perf_counter() - began) * 1e3)
    return {
        "p50": float(np.quantile(whole, 0.5)),
        "p99": float(np.quantile(whole, 0.99)),
    }


# --- the whole ----------------------------------------------------------------------------------------


@asynccontextmanager
async def encoder() -> AsyncIterator[Encoder]:
    made = Encoder(threads=1)
    try:
        yield made
    finally:
        made.close()


async def measure(options: Options) -> dict[str, object]:
    async with encoder() as made:
        experts = [*tool_experts(), *model_experts(made)]
        catalog = Catalog(c for e in experts for c in e.capabilities)
        embedder = Vectored(made)
        cases = [c for c in load() if c.half != "dev"]
        last = [c for c in cases if c.half == "last"]
        runs = [await groups(cases, seed, embedder, catalog) for seed in options.seeds]
        fresh = [await groups(last, seed, embedder, catalog) for seed in options.seeds]
        others = [await metatool(options, seed, embedder) for seed in options.seeds]
        fast = await latency(cases, made, catalog)
        size = await grown(catalog)
    return {
        "groups": _means(runs),
        "groups_last": _means(fresh),
        "metatool": _means(others),
        "latency_ms_10000": fast,
        "growth": size,
    }


def _means(runs: Sequence[dict[str, dict[str, float]]]) -> dict[str, dict[str, list[float]]]:
    """Mean and spread (population standard deviation) over the seeds."""
    return {
        name: {
            k: [
                round(mean(r[name][k] for r in runs), 4),
                round(pstdev(r[name][k] for r in runs), 4),
            ]
            for k in runs[0][name]
        }
        for name in runs[0]
    }


def run(options: Options) -> dict[str, object]:
    found = asyncio.run(measure(options))
    for part in ("groups", "groups_last", "metatool"):
        table = found[part]
        assert isinstance(table, dict)
        print(f"   {part}")
        for name, row in table.items():
            told = ", ".join(f"{k} {m:.3f} ± {s:.3f}" for k, (m, s) in row.items())
            print(f"   {name:28} {told}")
    print(f"   latency with {MANY:,} plans, ms: {found['latency_ms_10000']}")
    print(f"   growth: {found['growth']}")
    return found
