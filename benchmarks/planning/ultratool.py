"""Which tools, how many and how linked, on UltraTool: all tools known, and a fifth of them never seen in use.

Node F1 and link F1 are macro means over requests. Baselines: nearest neighbours on the same encoder, the best
two by meaning, links by the order in which nearest plans were, and the published 0.728 of a graph network
beside a language model (GNN4TaskPlan).
"""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.planning import Options
from benchmarks.planning._planning_sets import encoder, f1, nearest_votes, summed, told
from pointsman.router.planning.base import Vectors
from pointsman.router.planning.learned.features import Reader, Scene
from pointsman.router.planning.learned.heads import LinkHeads, SetHeads
from pointsman.router.planning.learned.linking import links
from pointsman.router.planning.learned.memory import PlanMemory, Votes
from pointsman.router.planning.learned.past import PastPlan
from pointsman.router.planning.learned.subsets import best_set
from pointsman.router.planning.learned.training.episodes import (
    Lessons,
    Material,
    beside,
    within,
)
from pointsman.router.planning.learned.training.fitting import Recipe, fit_sets
from pointsman.router.planning.learned.training.links import fit_links
from pointsman.router.planning.learned.training.shipped import material
from pointsman.router.planning.learned.training.sources import ultratool, without
from pointsman.router.planning.retrieval import masked

PUBLISHED = 0.728
BAR, BAR_UNSEEN = 0.88, 0.65
INNER = 3
"""Times a fifth of the tools is taken away in training, to learn to serve tools that were never used."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Asked:
    """Test requests with the vectors of their masked texts."""

    plans: tuple[PastPlan, ...]
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class Score:
    nodes: float
    links: float
    by_type: float


def run(options: Options) -> dict[str, object]:
    folder = options.data / "ultratool"
    embedder = encoder()

    async def embedded() -> tuple[Material, Asked]:
        known = await material(ultratool(folder), embedder)
        test = ultratool(folder, "test").plans
        return known, Asked(test, await embedder.embed([masked(p.request) for p in test]))

    known, asked = asyncio.run(embedded())
    figures = {"official": official(known, asked, options), "unseen": unseen(known, asked, options)}
    _table(figures)
    return dict(figures)


def official(known: Material, asked: Asked, options: Options) -> dict[str, object]:
    """All tools have past use: heads are trained on the train split, which is the memory too."""
    rows = list(range(len(known.plans)))
    lessons = within(known, rows)
    reader = Reader(known.index, known.memory(rows))
    scores = [_score(reader, known, asked, _heads(lessons, s), options) for s in options.seeds]
    return _figures(scores, _baselines(known, rows, asked))


def unseen(known: Material, asked: Asked, options: Options) -> dict[str, object]:
    """A fifth of the tools has no past use and no part in training; asked are requests that need one."""
    scores: list[Score] = []
    baselines: list[dict[str, float]] = []
    for seed in options.seeds:
        random = np.random.default_rng(seed)
        gone = _fifth([c.name for c in known.index.capabilities], random)
        rows = _rows_without(known, gone)
        heads = _heads(_lessons_of_new(known, rows, random), seed)
        needing = [i for i, p in enumerate(asked.plans) if gone & set(p.capabilities)]
        some = Asked(tuple(asked.plans[i] for i in needing), asked.vectors[needing])
        reader = Reader(known.index, known.memory(rows))
        scores.append(_score(reader, known, some, heads, options))
        baselines.append(_baselines(known, rows, some))
    mean = {name: float(np.mean([b[name] for b in baselines])) for name in baselines[0]}
    return _figures(scores, mean)


def _lessons_of_new(known: Material, rows: list[int], random: np.random.Generator) -> Lessons:
    """The kept plans as they are, and with further tools taken out of the memory."""
    lessons = Lessons.none()
    names = sorted({c for r in rows for c in known.plans[r].capabilities})
    kept = set(rows)
    for _ in range(INNER):
        gone = _fifth(names, random)
        inner = [r for r in _rows_without(known, gone) if r in kept]
        lessons.add(beside(known, inner, sorted(kept.difference(inner))))
    some = random.permutation(rows)[: len(rows) // 3]
    lessons.add(within(known, rows, some.tolist()))
    return lessons


def _fifth(names: Sequence[str], random: np.random.Generator) -> frozenset[str]:
    return frozenset(random.choice(names, len(names) // 5, replace=False).tolist())


def _rows_without(known: Material, gone: frozenset[str]) -> list[int]:
    kept = {id(p) for p in without(known.plans, gone)}
    return [r for r, p in enumerate(known.plans) if id(p) in kept]


def _heads(lessons: Lessons, seed: int) -> tuple[SetHeads, LinkHeads]:
    sets = fit_sets(lessons.sets, seed=seed, heads=3, recipe=Recipe())
    pairs = fit_links(np.concatenate(lessons.pairs), np.concatenate(lessons.linked), seed=seed)
    return SetHeads.of(sets), LinkHeads.of(pairs)


def _score(
    reader: Reader,
    known: Material,
    asked: Asked,
    heads: tuple[SetHeads, LinkHeads],
    options: Options,
) -> Score:
    nodes, linked, typed = [], [], []
    for plan, vector in zip(asked.plans, asked.vectors, strict=True):
        scene, votes = reader.read(plan.request, vector)
        names = _chosen(reader, scene, heads[0])
        nodes.append(f1(names, plan.capabilities))
        if options.verbose and nodes[-1] < 1:
            print(f"   {plan.request[:120]!r}\n      {names} but {plan.capabilities}")
        found = _links(reader, known, plan.request, names, votes, heads[1])
        linked.append(f1(found, plan.links))
        typed.append(f1(by_type_and_mention(reader, plan.request, names), plan.links))
    return Score(float(np.mean(nodes)), float(np.mean(linked)), float(np.mean(typed)))


def _chosen(reader: Reader, scene: Scene, heads: SetHeads) -> list[str]:
    probabilities, sets = heads.probabilities(scene)
    inside = sets.members[best_set(probabilities, sets)] > 0
    return [reader.index.capabilities[p].name for p in scene.places[inside]]


def _links(
    reader: Reader,
    known: Material,
    text: str,
    names: Sequence[str],
    votes: Votes,
    heads: LinkHeads,
) -> list[tuple[str, str]]:
    chosen = [reader.index.capabilities[reader.index.places[n]] for n in names]
    found = links(text, chosen, reader, votes, heads, known.earliness)
    return [(k.source, k.target) for k in found]


def by_type_and_mention(reader: Reader, text: str, names: Sequence[str]) -> list[tuple[str, str]]:
    """The rule one would write: where types say nothing (no tool here has any), a chain as mentioned."""
    from pointsman.router.planning.learned.linking import fit, mentioned

    chosen = [reader.index.capabilities[reader.index.places[n]] for n in names]
    places = mentioned(text, chosen)
    order = sorted(range(len(chosen)), key=lambda i: 2.0 if places[i] is None else places[i] or 0.0)
    return [
        (chosen[a].name, chosen[b].name)
        for a, b in itertools.pairwise(order)
        if fit(chosen[a], chosen[b]) > 0
    ]


def _baselines(known: Material, rows: Sequence[int], asked: Asked) -> dict[str, float]:
    memory: PlanMemory = known.memory(rows)
    votes = nearest_votes(asked.vectors, known.vectors[list(rows)], memory.used)
    voted = [[memory.names[i] for i in range(len(v)) if v[i] >= min(0.4, v.max())] for v in votes]
    two = []
    for plan, vector in zip(asked.plans, asked.vectors, strict=True):
        near = known.index.near(plan.request, vector).description
        two.append([known.index.capabilities[i].name for i in np.argsort(-near)[:2]])
    right = [p.capabilities for p in asked.plans]
    return {
        "neighbours": float(np.mean([f1(a, b) for a, b in zip(voted, right, strict=True)])),
        "best_two": float(np.mean([f1(a, b) for a, b in zip(two, right, strict=True)])),
        "requests": float(len(right)),
    }


def _figures(scores: Sequence[Score], baselines: Mapping[str, float]) -> dict[str, object]:
    return {
        "node_f1": summed([s.nodes for s in scores]),
        "link_f1": summed([s.links for s in scores]),
        "link_f1_by_rule": summed([s.by_type for s in scores]),
        "baselines": {n: round(v, 4) for n, v in baselines.items()},
    }


def _table(figures: Mapping[str, Mapping[str, object]]) -> None:
    for name, bar in (("official", BAR), ("unseen", BAR_UNSEEN)):
        part = figures[name]
        base = part["baselines"]
        assert isinstance(base, dict)
        print(f"   {name}: {base['requests']:.0f} requests (bar: node F1 {bar})")
        for label, key in (
            ("learned, node F1", "node_f1"),
            ("learned, link F1", "link_f1"),
            ("rule on the same nodes, link F1", "link_f1_by_rule"),
        ):
            values = part[key]
            assert isinstance(values, dict)
            print(f"      {label:36} {told(values['each'])}")
        print(f"      {'nearest neighbours, node F1':36} {base['neighbours']:.3f}")
        print(f"      {'best two by meaning, node F1':36} {base['best_two']:.3f}")
    print(f"      {'published (GNN beside an LLM)':36} {PUBLISHED}")
