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
from pointsman.router.planning.learned.training.bridging import fit_bridge
from pointsman.router.planning.learned.training.episodes import (
    Lessons,
    Material,
    beside,
    within,
)
from pointsman.router.planning.learned.training.fitting import CAREFUL, Recipe, fit_sets
from pointsman.router.planning.learned.training.links import fit_links
from pointsman.router.planning.learned.training.shipped import fifth, material, rows_without
from pointsman.router.planning.learned.training.sources import ultratool
from pointsman.router.planning.retrieval import masked

PUBLISHED = 0.728
BAR, BAR_UNSEEN = 0.88, 0.65
INNER = 5
"""Times a fifth of the tools is taken away in training, to learn to serve tools that were never used."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Asked:
    """Test requests with the vectors of their masked texts."""

    plans: tuple[PastPlan, ...]
    vectors: Vectors

    def of(self, rows: list[int]) -> "Asked":
        return Asked(tuple(self.plans[i] for i in rows), self.vectors[rows])


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
    scores: list[Score] = []
    for seed in options.seeds:
        heads = _heads(_lessons_of_known(known, rows, seed), seed, Recipe())
        bridge = fit_bridge([(known, rows)], seed=seed)
        reader = Reader(known.index, known.memory(rows), bridge)
        scores.append(_score(reader, known, asked, heads, options))
    return _figures(scores, _baselines(known, rows, asked))


def _lessons_of_known(known: Material, rows: list[int], seed: int) -> Lessons:
    """Every plan of the memory as a question, with a bridge that learned from the other half of them."""
    order = np.random.default_rng(seed).permutation(rows)
    halves = [half.tolist() for half in np.array_split(order, 2)]
    lessons = Lessons.none()
    for learned, tested in (halves, halves[::-1]):
        bridge = fit_bridge([(known, learned)], seed=seed)
        lessons.add(within(known, rows, bridge, tested))
    return lessons


def unseen(known: Material, asked: Asked, options: Options) -> dict[str, object]:
    """A fifth of the tools has no past use and no part in training, where it is not even in the catalog.

    Asked are the test requests that need one of them; beside that, the others.
    """
    scores: list[Score] = []
    others: list[Score] = []
    baselines: list[dict[str, float]] = []
    for seed in options.seeds:
        random = np.random.default_rng(seed)
        names = [c.name for c in known.index.capabilities]
        gone = frozenset(random.choice(names, len(names) // 5, replace=False).tolist())
        rows = rows_without(known, gone)
        heads = _heads(_lessons_of_new(known.without(gone), rows, random, seed), seed, CAREFUL)
        reader = Reader(known.index, known.memory(rows), fit_bridge([(known, rows)], seed=seed))
        needing = [i for i, p in enumerate(asked.plans) if gone & set(p.capabilities)]
        some = asked.of(needing)
        scores.append(_score(reader, known, some, heads, options))
        rest = asked.of([i for i in range(len(asked.plans)) if i not in needing])
        others.append(_score(reader, known, rest, heads, options))
        baselines.append(_baselines(known, rows, some))
    mean = {name: float(np.mean([b[name] for b in baselines])) for name in baselines[0]}
    figures = _figures(scores, mean)
    return figures | {"node_f1_of_the_other_requests": summed([s.nodes for s in others])}


def _lessons_of_new(
    known: Material, rows: list[int], random: np.random.Generator, seed: int
) -> Lessons:
    """With further tools taken out of the memory, and a third of the kept plans as they are."""
    lessons = Lessons.none()
    for turn in range(INNER):
        gone = fifth([known.plans[r] for r in rows], random)
        inner = [r for r in rows if not gone.intersection(known.plans[r].capabilities)]
        bridge = fit_bridge([(known, inner)], seed=10 * seed + turn)
        lessons.add(beside(known, inner, sorted(set(rows).difference(inner)), bridge))
    tested, learned = np.split(random.permutation(rows), [len(rows) // 3])
    bridge = fit_bridge([(known, learned.tolist())], seed=seed)
    lessons.add(within(known, rows, bridge, tested.tolist()))
    return lessons


def _heads(lessons: Lessons, seed: int, recipe: Recipe) -> tuple[SetHeads, LinkHeads]:
    sets = fit_sets(lessons.sets, seed=seed, heads=3, recipe=recipe)
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
        near = known.index.near(plan.request, vector, vector).description
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
        more = part.get("node_f1_of_the_other_requests")
        if isinstance(more, dict):
            print(f"      {'learned, node F1 of the others':36} {told(more['each'])}")
        print(f"      {'nearest neighbours, node F1':36} {base['neighbours']:.3f}")
        print(f"      {'best two by meaning, node F1':36} {base['best_two']:.3f}")
    print(f"      {'published (GNN beside an LLM)':36} {PUBLISHED}")
