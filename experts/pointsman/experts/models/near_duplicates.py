"""Near-duplicates: texts that say the same in almost the same words.

Two texts are near-duplicates when their vectors are close, they share most content words, their numbers are
the same and neither negates more than the other. Groups are the connected components of such pairs.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pointsman.experts.base import Call, Done
from pointsman.experts.models.encoder import Encoder, Vectors
from pointsman.experts.models.inputs import Texts, kept, rows_in, vectors_of
from pointsman.experts.models.words import content_stems, negations_in, numbers_of
from pointsman.experts.tools.functions import Tool, capability
from pointsman.router.catalog import Prior
from pointsman.router.errors import BadArguments
from pointsman.router.values import TABLE, Column, Json, Table

SHARED_WORDS = 0.5
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class _Print:
    stems: frozenset[str]
    numbers: tuple[str, ...]
    negations: int


def near_duplicates(
    texts: Sequence[str], vectors: Vectors, threshold: float
) -> list[list[tuple[int, float]]]:
    """Groups of (index, cosine to the group's first), largest group first; blank texts are in none.

    vectors: [len(texts), 384] unit length. The first of a group is the one nearest to its others.
    """
    prints = [_Print(frozenset(content_stems(t)), numbers_of(t), negations_in(t)) for t in texts]
    parent = list(range(len(texts)))

    def root(n: int) -> int:
        while parent[n] != n:
            parent[n] = parent[parent[n]]
            n = parent[n]
        return n

    for start in range(0, len(texts), _BLOCK):
        near = vectors[start : start + _BLOCK] @ vectors[start:].T >= threshold
        for row, column in np.argwhere(np.triu(near, 1)):
            a, b = start + int(row), start + int(column)
            if root(a) != root(b) and _alike(prints[a], prints[b]):
                parent[root(b)] = root(a)
    members: defaultdict[int, list[int]] = defaultdict(list)
    for n in range(len(texts)):
        members[root(n)].append(n)
    groups = [_from_representative(g, vectors) for g in members.values() if len(g) > 1]
    return sorted(groups, key=lambda g: -len(g))


def _alike(a: _Print, b: _Print) -> bool:
    if not a.stems or not b.stems or a.numbers != b.numbers:
        return False
    shared = len(a.stems & b.stems) / max(len(a.stems), len(b.stems))
    return shared >= SHARED_WORDS and (a.negations > 0) == (b.negations > 0)


def _from_representative(group: list[int], vectors: Vectors) -> list[tuple[int, float]]:
    inside = vectors[group] @ vectors[group].mean(axis=0)
    first = group[int(inside.argmax())]
    cosines = np.minimum(vectors[group] @ vectors[first], 1)
    rest = sorted(zip(group, cosines.tolist(), strict=True), key=lambda m: (m[0] != first, -m[1]))
    return [(n, round(cosine, 3)) for n, cosine in rest]


def duplicates_tool(encoder: Encoder) -> Tool:
    @capability(
        "text.duplicates",
        title="find near-duplicates",
        examples=[
            "find near-duplicate tickets",
            "which of these questions are asked twice in other words",
            "are there reviews that say almost the same thing",
            "group the messages that are practically identical",
            "find duplicates in the comments column, also reworded ones",
            "show me repeated complaints",
            "detect copied answers",
            "which lines mean the same",
        ],
        composition=["After table.read or text.filter. For exact duplicates use table.duplicates."],
        prior=Prior(quality=0.85, latency=0.8),
        output={
            **TABLE,
            "x-adds": [
                {"name": "group", "type": "integer"},
                {"name": "similarity", "type": "number"},
                {"name": "text", "type": "text"},
            ],
        },
    )
    async def duplicates(
        texts: Texts, column: str | None = None, threshold: float = 0.85, *, call: Call
    ) -> Done:
        """Finds texts that say the same in almost the same words, and groups them, the typical one first.

        Args:
            texts: a table with a text column, or a list of texts.
            column: the column to compare; by default the one that holds prose.
            threshold: how similar two texts must be, from 0 to 1.
        """
        if not 0 < threshold <= 1:
            raise BadArguments(
                f"text.duplicates: threshold must be over 0 and at most 1, not {threshold}"
            )
        found, table = await rows_in(texts, column, call)
        vectors = await vectors_of(encoder, found, call, "texts")
        groups = await asyncio.to_thread(near_duplicates, found, vectors, threshold)
        rows: list[tuple[Json, ...]] = [
            (number, similarity, found[n], *_others(table, n))
            for number, group in enumerate(groups, 1)
            for n, similarity in group
        ]
        columns = (
            Column("group", "integer"),
            Column("similarity", "number"),
            Column("text", "text"),
            *(c for c in table.columns if c.name.casefold() not in _OURS),
        )
        result = Table(columns, tuple(rows), len(rows), table.name)
        note = f"{len(groups):,} groups with {len(rows):,} of {len(found):,} texts"
        if not groups:
            note = f"no near-duplicates among {len(found):,} texts at similarity {threshold:g}"
        return Done(await kept(result, call), note)

    return duplicates


_OURS = frozenset({"group", "similarity", "text"})


def _others(table: Table, row: int) -> tuple[Json, ...]:
    cells = zip(table.columns, table.rows[row], strict=True)
    return tuple(cell for column, cell in cells if column.name.casefold() not in _OURS)
