"""Topics: texts grouped by what they are about, each group under a phrase that its texts use.

A label is the noun phrase that is frequent in the group, rare outside it (class-based TF-IDF, Grootendorst
2022, arXiv 2203.05794) and close to the group's mean vector. Groups with the same label are one topic.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pointsman.experts.base import Call, Done
from pointsman.experts.models.encoder import Encoder, Vectors
from pointsman.experts.models.grouping import Labels, grouped
from pointsman.experts.models.inputs import Texts, rows_in, vectors_of
from pointsman.experts.models.phrases import phrase_key
from pointsman.experts.models.words import phrases_in
from pointsman.experts.tools.functions import Tool, capability
from pointsman.router.catalog import Prior
from pointsman.router.errors import BadArguments
from pointsman.router.values import TABLE, Json, Table

OTHER = "other"
EXAMPLES = 3
_CANDIDATES = 40
_COVERS = 0.04
"""Share of a group's texts that must use its label; a group without such a phrase goes to "other"."""
_EXAMPLE_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Topic:
    """members: indexes of the texts, most typical first."""

    label: str
    members: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Group:
    members: list[int]
    candidates: list[str]
    weights: list[float]
    centre: Vectors


def topics_tool(encoder: Encoder) -> Tool:
    @capability(
        "text.topics",
        title="group by topic",
        examples=[
            "group the reviews by topic",
            "what are the main complaints, with counts",
            "which themes come up in the feedback",
            "cluster these tickets into 8 groups",
            "what do customers talk about most",
            "sort the messages by subject and count them",
            "the three main issues in the survey answers",
            "topics of these emails",
            "break the comments down by theme",
            "what are people asking about",
        ],
        composition=[
            "After table.read, text.filter, or text.sentiment with table.filter (topics of the negative ones).",
            "table.sort with a limit keeps the largest; chart.draw shows topic against count.",
        ],
        prior=Prior(quality=0.8, latency=1.0),
        output={
            **TABLE,
            "x-columns": [
                {"name": "topic", "type": "text"},
                {"name": "count", "type": "integer"},
                {"name": "share", "type": "number"},
                {"name": "examples", "type": "text"},
            ],
        },
    )
    async def topics(
        texts: Texts, column: str | None = None, count: int | None = None, *, call: Call
    ) -> Done:
        """Groups texts by what they are about; gives each topic a name, its count, share and examples.

        Args:
            texts: a table with a text column, documents, or a list of texts.
            column: the column to read; by default the one that holds prose.
            count: how many topics; by default as many as the texts suggest.
        """
        if count is not None and count < 1:
            raise BadArguments(f"text.topics: count must be at least 1, not {count}")
        rows, _ = await rows_in(texts, column, call)
        vectors = await vectors_of(encoder, rows, call, "texts", upto=0.7)
        found = await find_topics(encoder, rows, vectors, count=count, deadline=call.deadline)
        table = [_row(t, rows) for t in found]
        columns = [
            ("topic", "text"),
            ("count", "integer"),
            ("share", "number"),
            ("examples", "text"),
        ]
        note = f"{len(rows):,} texts in {len(found)} topics"
        if count is not None and len(found) < count:
            note += f"; the texts do not fall into {count}"
        return Done(Table.of(columns, table).to_json(), note)  # type: ignore[arg-type]

    return topics


def _row(topic: Topic, rows: Sequence[str]) -> list[Json]:
    shown = [_shortened(rows[n]) for n in topic.members[:EXAMPLES]]
    share = round(100 * len(topic.members) / len(rows), 1)
    return [topic.label, len(topic.members), share, "\n".join(dict.fromkeys(shown))]


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _EXAMPLE_LENGTH else line[: _EXAMPLE_LENGTH - 1].rstrip() + "\u2026"


async def find_topics(
    encoder: Encoder,
    texts: Sequence[str],
    vectors: Vectors,
    *,
    count: int | None = None,
    deadline: float | None = None,
) -> list[Topic]:
    """Topics of the texts, largest first, "other" last; every text is in exactly one."""
    written = [n for n, text in enumerate(texts) if text.strip()]
    present = [texts[n] for n in written]
    labels = await asyncio.to_thread(grouped, vectors[written], count)
    groups = await asyncio.to_thread(_groups, present, vectors[written], labels)
    phrases = list(dict.fromkeys(p for g in groups for p in g.candidates))
    named = dict(zip(phrases, await encoder.embed(phrases, deadline=deadline), strict=True))
    merged: dict[str, list[int]] = {}
    for group, label in zip(groups, _labels(groups, named), strict=True):
        merged.setdefault(label, []).extend(written[n] for n in group.members)
    blank = [n for n in range(len(texts)) if not texts[n].strip()]
    if blank:
        merged.setdefault(OTHER, []).extend(blank)
    found = [Topic(label, tuple(members)) for label, members in merged.items()]
    return sorted(found, key=lambda t: (t.label == OTHER, -len(t.members)))


def _groups(texts: Sequence[str], vectors: Vectors, labels: Labels) -> list[_Group]:
    """Groups with candidate labels and their weight within and against the rest (0..1)."""
    spelled: dict[str, Counter[str]] = {}
    keys: list[set[str]] = []
    for text in texts:
        phrases = {phrase_key(p): p for p in phrases_in(text)}
        keys.append(set(phrases))
        for key, phrase in phrases.items():
            spelled.setdefault(key, Counter())[phrase] += 1
    everywhere = Counter(k for present in keys for k in present)
    groups: list[_Group] = []
    for label in range(int(labels.max()) + 1):
        members = np.flatnonzero(labels == label)
        centre = vectors[members].mean(axis=0)
        centre /= max(float(np.linalg.norm(centre)), 1e-9)
        typical = members[np.argsort(-(vectors[members] @ centre), kind="stable")].tolist()
        weights = _weights(
            Counter(k for n in typical for k in keys[n]), everywhere, len(typical), len(texts)
        )
        best = sorted(weights, key=lambda k: (-weights[k], k))[:_CANDIDATES]
        names = [spelled[k].most_common(1)[0][0] for k in best]
        groups.append(_Group(typical, names, [weights[k] for k in best], centre))
    return sorted(groups, key=lambda g: -len(g.members))


def _weights(
    inside: Counter[str], everywhere: Counter[str], size: int, total: int
) -> dict[str, float]:
    """Share of the group's texts that use the phrase, times how much rarer it is outside; highest 1."""
    least = max(2 if size >= 8 else 1, _COVERS * size)
    raw = {
        k: math.sqrt(c / size)
        * math.log1p((c / size) / ((everywhere[k] - c + 1) / (total - size + 1)))
        for k, c in inside.items()
        if c >= least
    }
    top = max(raw.values(), default=1) or 1
    return {k: w / top for k, w in raw.items()}


def _labels(groups: Sequence[_Group], named: dict[str, Vectors]) -> list[str]:
    """A label for each group; the same one for groups that are to be merged."""
    given: list[str] = []
    for group in groups:
        scores = [
            0.55 * float(named[p] @ group.centre) + 0.45 * w + 0.14 * min(1, p.count(" "))
            for p, w in zip(group.candidates, group.weights, strict=True)
        ]
        if not scores:
            given.append(OTHER)
            continue
        best = group.candidates[int(np.argmax(scores))]
        twin = next(
            (g for g in given if set(phrase_key(g).split()) == set(phrase_key(best).split())), best
        )
        given.append(twin)
    return given
