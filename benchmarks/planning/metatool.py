"""Which one of 199 tools, on MetaTool: recall@1 and @5 with a fifth of the tools never seen in use.

Queries were written by models, so nearly the same one stands there often: queries whose cosine is at least
0.9 make a group (single linkage), and a group is wholly in the train part or wholly in the test part.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from benchmarks.planning import Options
from benchmarks.planning._planning_sets import encoder, nearest_votes, summed, told
from pointsman.router.planning.learned.features import Reader
from pointsman.router.planning.learned.heads import SetHeads
from pointsman.router.planning.learned.training.bridging import fit_bridge
from pointsman.router.planning.learned.training.episodes import (
    Lessons,
    Material,
    beside,
    within,
)
from pointsman.router.planning.learned.training.fitting import CAREFUL, fit_sets
from pointsman.router.planning.learned.training.shipped import material
from pointsman.router.planning.learned.training.sources import metatool_single, without

ALIKE = 0.9
TEST_SHARE = 0.2
TRAINED = 3_000
"""Train queries that are the memory and the lessons, drawn by seed."""
LESSONS = 1_200
TESTED = 1_000
"""Test queries of each kind, drawn by seed."""

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Split:
    """Rows of the queries. seen, unseen: test queries by whether their tool was in the train part.

    gone: the tools that were not.
    """

    train: Rows
    seen: Rows
    unseen: Rows
    gone: frozenset[str]


@dataclass(frozen=True, slots=True)
class Recall:
    at_1: float
    at_5: float


def run(options: Options) -> dict[str, object]:
    embedder = encoder()
    known = asyncio.run(material(metatool_single(options.data / "metatool"), embedder))
    groups = groups_of(known.vectors)
    found: dict[str, list[Recall]] = {}
    for seed in options.seeds:
        split = split_of(known, groups, np.random.default_rng(seed))
        for name, recall in _scores(known, split, seed).items():
            found.setdefault(name, []).append(recall)
    print(f"   {len(known.plans)} queries in {groups.max() + 1} groups of nearly the same, "
          f"{len(known.index.capabilities)} tools")  # fmt: skip
    print(f"   {'':38}{'recall@1':>16}{'recall@5':>16}")
    for name, each in found.items():
        one, five = [r.at_1 for r in each], [r.at_5 for r in each]
        print(f"   {name:38}{told(one):>16}{told(five):>16}")
    return {
        name: {"at_1": summed([r.at_1 for r in each]), "at_5": summed([r.at_5 for r in each])}
        for name, each in found.items()
    }


def groups_of(vectors: Floats) -> Rows:
    """A group's number for each query, [queries]."""
    near: list[Rows] = []
    for start in range(0, len(vectors), 1_000):
        rows, columns = np.nonzero(vectors[start : start + 1_000] @ vectors.T >= ALIKE)
        near.append(np.stack([rows + start, columns]))
    rows, columns = np.concatenate(near, axis=1)
    graph = coo_matrix((np.ones(len(rows), np.int8), (rows, columns)), (len(vectors),) * 2)
    labels: Rows = connected_components(graph, directed=False)[1].astype(np.int64)
    return labels


def split_of(known: Material, groups: Rows, random: np.random.Generator) -> Split:
    """A fifth of the groups is tested, and every query of a fifth of the tools."""
    names = [c.name for c in known.index.capabilities]
    gone = frozenset(random.choice(names, len(names) // 5, replace=False).tolist())
    kept = {id(p) for p in without(known.plans, gone)}
    tested = random.permutation(groups.max() + 1)[: int(TEST_SHARE * (groups.max() + 1))]
    test = np.isin(groups, tested)
    of_kept = np.array([id(p) in kept for p in known.plans])
    order = random.permutation(len(known.plans))

    def some(chosen: NDArray[np.bool_], most: int) -> Rows:
        rows: Rows = order[chosen[order]][:most]
        return rows

    # groups of unseen tools may hold train queries of other tools: those tests are left out
    return Split(
        some(of_kept & ~test, TRAINED),
        some(of_kept & test, TESTED),
        some(~of_kept & test, TESTED),
        gone,
    )


def _scores(known: Material, split: Split, seed: int) -> dict[str, Recall]:
    train = split.train.tolist()
    heads = SetHeads.of(_fitted(known, split, seed))
    bridge = fit_bridge([(known, train)], seed=seed)
    reader = Reader(known.index, known.memory(train), bridge)
    made: dict[str, Recall] = {}
    for part, rows in (("seen", split.seen), ("unseen", split.unseen)):
        made[f"learned, {part} tools"] = _recall(
            known, rows, [_ranked(reader, known, r, heads) for r in rows]
        )
        made[f"nearest by description, {part} tools"] = _recall(
            known, rows, [_by_meaning(known, r) for r in rows]
        )
        votes = nearest_votes(known.vectors[rows], known.vectors[split.train], reader.memory.used)
        voted = [[reader.memory.names[i] for i in np.argsort(-v)[:5]] for v in votes]
        made[f"nearest neighbours, {part} tools"] = _recall(known, rows, voted)
    return made


def _fitted(known: Material, split: Split, seed: int) -> dict[str, Floats]:
    """Half of the lessons are of tools that have past use, half of such as are taken out of the memory.

    The tools that are tested as unseen are not in the catalog of any lesson.
    """
    random = np.random.default_rng([seed, 1])
    rows = split.train.tolist()
    taught = known.without(split.gone)
    names = sorted({known.plans[r].capabilities[0] for r in rows})
    lessons = Lessons.none()
    for turn in range(2):
        gone = frozenset(random.choice(names, len(names) // 4, replace=False).tolist())
        inner = [r for r in rows if known.plans[r].capabilities[0] not in gone]
        others = [r for r in rows if known.plans[r].capabilities[0] in gone]
        bridge = fit_bridge([(taught, inner)], seed=10 * seed + turn)
        asked = random.permutation(others)[: LESSONS // 2].tolist()
        lessons.add(beside(taught, inner, asked, bridge))
    tested, learned = np.split(random.permutation(rows), [LESSONS])
    bridge = fit_bridge([(taught, learned.tolist())], seed=seed)
    lessons.add(within(taught, rows, bridge, tested.tolist()))
    return fit_sets(lessons.sets, seed=seed, heads=2, recipe=CAREFUL)


def _ranked(reader: Reader, known: Material, row: int, heads: SetHeads) -> list[str]:
    scene, _ = reader.read(known.plans[row].request, known.vectors[row])
    probabilities, sets = heads.probabilities(scene)
    order = np.argsort(-(probabilities @ sets.members), kind="stable")[:5]
    return [known.index.capabilities[scene.places[i]].name for i in order]


def _by_meaning(known: Material, row: int) -> list[str]:
    vector = known.vectors[row]
    near = known.index.near(known.plans[row].request, vector, vector).description
    return [known.index.capabilities[i].name for i in np.argsort(-near)[:5]]


def _recall(known: Material, rows: Rows, ranked: Sequence[Sequence[str]]) -> Recall:
    right = [known.plans[r].capabilities[0] for r in rows]
    return Recall(
        float(np.mean([r == found[0] for r, found in zip(right, ranked, strict=True)])),
        float(np.mean([r in found for r, found in zip(right, ranked, strict=True)])),
    )
