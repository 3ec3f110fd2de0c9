"""Which tool serves a request: recall@5 by meaning, by words and by both, on MetaTool and UltraTool.

What the fusion is weighed by is chosen on the validation rows (of the train files), the table is of the test rows.
Known by their description alone, and by up to eight requests of the train file that a tool served beside it.
"""

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.routing._routing_sets import embed
from benchmarks.scale import Options
from benchmarks.scale.catalog import Vectors, rows
from pointsman.router.search import EVERYTHING, CapabilityIndex, Entry
from pointsman.router.search.fusion import DEPTH, WORDS
from pointsman.router.search.words import rarity

MOST_EXAMPLES = 8
MOST_ASKED = 1_000
"""Requests of each part and set."""
WEIGHTS = (0.0, 0.02, 0.05, 0.07, 0.1, 0.15, 0.2)
FLATS = (10.0, 60.0)
RANK_WEIGHTS = (0.3, 0.5, 0.7)
"""Of the words' reciprocal ranks (Cormack, Clarke and Buettcher 2009), added to ranks of FLATS."""
LEAST_ALIKE = 0.9
"""MetaTool's requests were written by models: test requests this near to an example are left out."""

Scores = Mapping[str, tuple[float, float]]
"""Cosine and words, in the coin of the rarest, of what either half found."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request and the tools that serve it."""

    text: str
    tools: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Set:
    """described: text of each tool. shown: whose requests may be examples."""

    described: Mapping[str, str]
    shown: Sequence[Asked]
    validation: Sequence[Asked]
    test: Sequence[Asked]


def run(options: Options) -> dict[str, object]:
    sets = {
        "metatool": _metatool(options.data / "metatool"),
        "ultratool": _ultratool(options.data / "ultratool"),
    }
    ranked: dict[tuple[str, str, str], list[Answered]] = {}
    for name, each in sets.items():
        texts = list(dict.fromkeys(_texts(each)))
        vectors = dict(zip(texts, embed(texts), strict=True))
        for known in ("description", "examples"):
            lines = _lines(each, examples=known == "examples")
            ranked[name, known, "validation"] = _ranked(lines, each.validation, vectors)
            ranked[name, known, "test"] = _ranked(lines, each.test, vectors)
    best = _chosen(ranked)
    return {"best on validation": best, "ships": WORDS, **_table(ranked)}


Answered = tuple[Scores, tuple[str, ...]]
"""What was found, and the tools that serve the request."""
Ranked = Mapping[tuple[str, str, str], list[Answered]]


def _chosen(ranked: Ranked) -> float:
    """By mean recall@5 over sets and over what tools are known by, on validation rows; ranks beside."""
    ways: dict[str, Order] = {f"sum, words x {w:g}": _summed(w) for w in WEIGHTS}
    ways |= {f"ranks + {f:g}, words x {w:g}": _by_ranks(f, w) for f in FLATS for w in RANK_WEIGHTS}
    tried = {
        way: float(
            np.mean([_recall(e, order) for (_, _, p), e in ranked.items() if p == "validation"])
        )
        for way, order in ways.items()
    }
    print("   recall@5, validation, mean of four:")
    for way, recall in tried.items():
        print(f"      {way:28}{recall:8.4f}")
    return max(WEIGHTS, key=lambda w: tried[f"sum, words x {w:g}"])


def _table(ranked: Ranked) -> dict[str, object]:
    figures: dict[str, object] = {}
    ways = {"meaning": _summed(0), "words": _summed(1e6), "both": _summed(WORDS)}
    print(f"   {'recall@5, test':32}{'meaning':>10}{'words':>10}{'both':>10}{'requests':>10}")
    for (name, known, part), each in ranked.items():
        if part == "test":
            found = {way: round(_recall(each, order), 4) for way, order in ways.items()}
            figures[f"{name}, {known}"] = {**found, "requests": len(each)}
            told = "".join(f"{v:10.3f}" for v in found.values())
            print(f"   {f'{name}, by {known}':32}{told}{len(each):10}")
    return figures


Order = Callable[[Scores], Sequence[str]]
"""Names, best first."""


def _recall(each: Sequence[Answered], order: Order) -> float:
    return float(
        np.mean([len(set(order(found)[:5]) & set(tools)) / len(tools) for found, tools in each])
    )


def _summed(weight: float) -> Order:
    return lambda found: sorted(found, key=lambda n: -(found[n][0] + weight * found[n][1]))


def _by_ranks(flat: float, weight: float) -> Order:
    def order(found: Scores) -> Sequence[str]:
        score = dict.fromkeys(found, 0.0)
        for half, counts in ((0, 1.0), (1, weight)):
            there = [n for n in found if found[n][half] > 0]
            for rank, name in enumerate(sorted(there, key=lambda n: -found[n][half]), 1):
                score[name] += counts / (flat + rank)
        return sorted(score, key=lambda n: -score[n])

    return order


def _lines(each: Set, *, examples: bool) -> dict[str, list[str]]:
    """What each tool is known by."""
    lines = {tool: [text] for tool, text in each.described.items()}
    for asked in each.shown if examples else ():
        for tool in asked.tools:
            if tool in lines and len(lines[tool]) <= MOST_EXAMPLES:
                lines[tool].append(asked.text)
    return lines


def _texts(each: Set) -> list[str]:
    lines = _lines(each, examples=True).values()
    return [t for texts in lines for t in texts] + [a.text for a in (*each.validation, *each.test)]


def _ranked(
    lines: Mapping[str, Sequence[str]], asked: Sequence[Asked], vectors: Mapping[str, Vectors]
) -> list[Answered]:
    entries = [
        Entry(tool, np.stack([vectors[t] for t in texts]), " ".join(texts))
        for tool, texts in lines.items()
    ]
    known = np.concatenate([e.vectors for e in entries])
    with TemporaryDirectory() as folder:
        index = CapabilityIndex.build(Path(folder), known.shape[1], [entries], durable=False)
        made = [
            (_halves(index, vectors[a.text], a.text), a.tools)
            for a in asked
            if float((known @ vectors[a.text]).max()) < LEAST_ALIKE
        ]
        index.close()
    return made


def _halves(index: CapabilityIndex, query: Vectors, text: str) -> Scores:
    rarest = rarity(1, len(index))
    found = index.search(query, text, 2 * DEPTH, EVERYTHING)
    return {f.name: (f.meaning, f.words / rarest) for f in found}


def _metatool(folder: Path) -> Set:
    """Three fifths of the requests may be examples, a fifth is for validation, a fifth for the test."""

    described: dict[str, str] = json.loads((folder / "plugin_des.json").read_text(encoding="utf-8"))
    described |= json.loads((folder / "big_tool_des.json").read_text(encoding="utf-8"))
    parts: list[list[Asked]] = [[] for _ in range(5)]
    for row in rows(folder / "single.jsonl"):
        if row["tool"] in described:
            parts[zlib.crc32(row["query"].encode()) % 5].append(Asked(row["query"], (row["tool"],)))
    return Set(
        {tool: f"{tool}: {text}" for tool, text in described.items()},
        [*parts[2], *parts[3], *parts[4]],
        parts[1][:MOST_ASKED],
        parts[0][:MOST_ASKED],
    )


def _ultratool(folder: Path) -> Set:

    tools = json.loads((folder / "tool_desc.json").read_text(encoding="utf-8"))["nodes"]

    def asked(file: str) -> list[Asked]:
        return [
            Asked(
                r["user_request"].strip(), tuple(dict.fromkeys(n["task"] for n in r["task_nodes"]))
            )
            for r in rows(folder / file)
        ]

    train = asked("train.jsonl")
    return Set(
        {t["id"]: f"{t['id'].replace('_', ' ')}: {t['desc']}" for t in tools},
        train[: 2 * len(train) // 3],
        train[2 * len(train) // 3 :][:MOST_ASKED],
        asked("test.jsonl"),
    )
