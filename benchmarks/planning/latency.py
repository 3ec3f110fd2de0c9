"""How long a whole plan takes over 10,000 capabilities on one core: encode, choose, link, fill, prove valid.

The catalog: every operation of GitHub's and TMDB's OpenAPI files and a list of public APIs, then the same for
further sites until there are 10,000. Beside it: where the time goes, and the search alone, exact and by usearch.
"""

import asyncio
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from usearch.index import Index

from benchmarks.planning import Options
from pointsman.experts.models.encoder import Encoder
from pointsman.router.catalog import Capability, Catalog
from pointsman.router.plan import Plan
from pointsman.router.planning.base import Embedder, Request, Vectors
from pointsman.router.planning.learned.index import lines
from pointsman.router.planning.learned.planner import LearnedPlanner
from pointsman.router.planning.learned.training.sources import every_operation, ultratool
from pointsman.router.planning.retrieval import masked

MANY = 10_000
PAST = 1_000
"""Past plans in the memory."""
EACH = 100
"""Requests of each kind."""
WARMING = 20
"""Requests of each kind that are planned before the clock runs, where the set has more."""
BAR_P50, BAR_P99 = 25.0, 60.0
"""Milliseconds."""
NOW = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)


class Varied:
    """An embedder that gives a further site's line the vector of the first site's line, moved a little.

    What is searched costs the same whatever the vectors are; embedding 30,000 lines takes minutes.
    """

    def __init__(self, embedder: Embedder) -> None:
        self.dim = embedder.dim
        self._embedder = embedder

    async def embed(self, texts: Sequence[str]) -> Vectors:
        cut = [t.partition(" (site ") for t in texts]
        vectors = (await self._embedder.embed([a for a, _, _ in cut])).copy()
        for row, (base, mark, site) in enumerate(cut):
            if mark:
                random = np.random.default_rng([len(base), int(site.partition(")")[0])])
                moved = vectors[row] + random.normal(0, 0.01, self.dim).astype(np.float32)
                vectors[row] = moved / np.linalg.norm(moved)
        return vectors


def catalog(data: Path) -> list[Capability]:
    """10,000 capabilities."""
    base = every_operation(data)
    made = list(base)
    site = 1
    while len(made) < MANY:
        site += 1
        made += [_at(c, site) for c in base[: MANY - len(made)]]
    return made


def _at(capability: Capability, site: int) -> Capability:
    return replace(
        capability,
        name=f"{capability.name}_site{site}",
        title=f"{capability.title or capability.name} (site {site})",
        description=f"{capability.description} (site {site})",
    )


def requests(data: Path) -> dict[str, list[str]]:
    """Requests by kind: short (TMDB), middling (ToolAlpaca's instructions), long (UltraTool's)."""
    films = json.loads((data / "restbench" / "tmdb.json").read_text(encoding="utf-8"))
    simulated = json.loads((data / "toolalpaca" / "eval_simulated.json").read_text("utf-8"))
    instructions = [i for api in simulated for i in api["Instructions"]]
    told = [p.request for p in ultratool(data / "ultratool", "test").plans]
    kinds = {"TMDB": [f["query"] for f in films], "ToolAlpaca": instructions, "UltraTool": told}
    return {kind: found[: EACH + WARMING] for kind, found in kinds.items()}


def run(options: Options) -> dict[str, object]:
    torch.set_num_threads(1)
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        return asyncio.run(_measured(options.data))
    finally:
        os.sched_setaffinity(0, cores)


async def _measured(data: Path) -> dict[str, object]:
    encoder = Encoder(threads=1)
    everything = Catalog(catalog(data))
    past = ultratool(data / "ultratool").plans[:PAST]
    planner = LearnedPlanner(Varied(encoder), memory=past)
    await planner.warm(everything)
    by_kind = requests(data)
    for texts in by_kind.values():
        for text in texts[EACH:]:
            await planner.plan(Request(text, NOW), everything)
    figures: dict[str, object] = {"capabilities": len(everything), "past_plans": len(past)}
    print(f"   {len(everything)} capabilities, {len(past)} past plans, one core; milliseconds")
    print(
        f"   {'requests':12}{'words':>7}{'plans':>7}{'p50':>8}{'p99':>8}{'encode':>8}{'choose':>8}{'fill':>8}"
    )
    rows: list[Timed] = []
    for kind, texts in by_kind.items():
        timed = [await _timed(planner, encoder, everything, t) for t in texts[:EACH]]
        rows += timed
        figures[kind] = _row(kind, timed)
    figures["all"] = _row("all", rows)
    figures["searches"] = _searches(await _vectors(encoder, everything))
    encoder.close()
    print(f"   bars: p50 {BAR_P50:g}, p99 {BAR_P99:g}")
    return figures


@dataclass(frozen=True, slots=True)
class Timed:
    """Of one request; milliseconds. encode: the request alone. choose: encode, choose and link. made: a plan."""

    words: int
    made: bool
    whole: float
    encode: float
    choose: float


async def _timed(planner: LearnedPlanner, encoder: Encoder, all_: Catalog, text: str) -> Timed:
    """The whole plan first, when nothing of the request is known; then its parts, on texts a word longer."""
    began = time.perf_counter()
    proposal = await planner.plan(Request(text, NOW), all_)
    whole = time.perf_counter() - began
    began = time.perf_counter()
    await planner.outline(f"{text} now", all_)
    choose = time.perf_counter() - began
    began = time.perf_counter()
    await encoder.embed([f"{masked(text)} please"])
    encode = time.perf_counter() - began
    made = isinstance(proposal.outcome, Plan)
    return Timed(len(text.split()), made, 1e3 * whole, 1e3 * encode, 1e3 * choose)


def _row(kind: str, timed: Sequence[Timed]) -> dict[str, object]:
    whole = [t.whole for t in timed]
    p50, p99 = np.percentile(whole, [50, 99])
    encode, choose = (np.median([getattr(t, part) for t in timed]) for part in ("encode", "choose"))
    words = np.mean([t.words for t in timed])
    made = sum(t.made for t in timed)
    print(
        f"   {kind:12}{words:7.0f}{made:7}{p50:8.1f}{p99:8.1f}{encode:8.1f}"
        f"{choose - encode:8.1f}{p50 - choose:8.1f}"
    )
    return {
        "p50_ms": round(float(p50), 2),
        "p99_ms": round(float(p99), 2),
        "encode_p50_ms": round(float(encode), 2),
        "outline_p50_ms": round(float(choose), 2),
        "words": round(float(words), 1),
        "plans": made,
        "requests": len(timed),
    }


async def _vectors(encoder: Encoder, all_: Catalog) -> Vectors:
    return await Varied(encoder).embed([t for c in all_ for _, t in lines(c)][: 3 * MANY])


def _searches(vectors: Vectors) -> dict[str, object]:
    """The nearest 50 of 30,000 lines: a matrix product against usearch's graph, and what the graph misses."""
    queries = vectors[:: max(1, len(vectors) // EACH)][:EACH]
    graph = Index(ndim=vectors.shape[1], metric="cos", dtype="f32")
    graph.add(np.arange(len(vectors)), vectors, threads=1)

    def exact(query: NDArray[np.float32]) -> NDArray[np.int64]:
        cosines = vectors @ query
        return np.argpartition(-cosines, 50)[:50]

    def approximate(query: NDArray[np.float32]) -> NDArray[np.int64]:
        return np.asarray(graph.search(query, 50, threads=1).keys, np.int64)

    exact_ms, right = _each(exact, queries)
    graph_ms, found = _each(approximate, queries)
    shared = [len(set(a) & set(b)) / 50 for a, b in zip(right, found, strict=True)]
    print(f"   nearest 50 of {len(vectors)} lines: exact {exact_ms:.2f}, usearch {graph_ms:.2f} ms, "
          f"which finds {np.mean(shared):.1%} of them")  # fmt: skip
    return {
        "exact_ms": round(exact_ms, 3),
        "usearch_ms": round(graph_ms, 3),
        "usearch_recall": round(float(np.mean(shared)), 4),
    }


def _each(
    search: Callable[[NDArray[np.float32]], NDArray[np.int64]], queries: Vectors
) -> tuple[float, list[list[int]]]:
    """Median milliseconds and what was found."""
    times: list[float] = []
    found: list[list[int]] = []
    for query in queries:
        began = time.perf_counter()
        got = search(query)
        times.append(time.perf_counter() - began)
        found.append(got.tolist())
    return 1e3 * float(np.median(times)), found
