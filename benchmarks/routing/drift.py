"""Growing a catalog: 200 capabilities are added to 2,000; which old requests that were routed right flip?

Capabilities with requests of their own: CLINC150's and BANKING77's intents and MetaTool's tools; the others have
nothing but a description (GitHub's and TMDB's operations, UltraTool's tools, BFCL's functions). The 200 that are
added are drawn from those with requests, so they compete; the old requests are of those that stay, held out.
"""

import gzip
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from benchmarks.routing import Options
from benchmarks.routing._routing_sets import Vectors, embed, lines, summed, told
from pointsman.router.routing.checking import LIMIT, Golden, compare
from pointsman.router.routing.intents import IntentHead, extended, fit

OLD, ADDED = 2_000, 200
SHOWN, HELD, ASKED = 15, 10, 10
"""Requests of a capability: examples, held back for the check, and asked in the end; no request is in two."""
METHODS = ("untouched weights, held back", "untouched weights", "nearest example", "fitted anew")


Chooser: TypeAlias = Callable[[Vectors], list[str]]


@dataclass(frozen=True, slots=True)
class Rows:
    vectors: Vectors
    labels: list[str]

    def of(self, names: set[str]) -> "Rows":
        kept = [at for at, label in enumerate(self.labels) if label in names]
        return Rows(self.vectors[kept], [self.labels[at] for at in kept])

    def __add__(self, other: "Rows") -> "Rows":
        return Rows(np.concatenate([self.vectors, other.vectors]), self.labels + other.labels)


def run(options: Options) -> dict[str, object]:
    asked, described = _requests(options.data), _described(options.data)
    found: dict[str, list[tuple[float, float, float, float]]] = {m: [] for m in METHODS}
    for seed in options.seeds:
        for method, figures in _one(asked, described, seed).items():
            found[method].append(figures)
    print(
        f"  {'':30} {'flips of right ones':>20} {'old right':>16} {'new right':>16} {'seconds':>9}"
    )
    report: dict[str, object] = {}
    for method, rows in found.items():
        flips, old, new, seconds = (list(column) for column in zip(*rows, strict=True))
        print(
            f"  {method:30} {told([100 * f for f in flips], 2) + ' %':>20} {told(old):>16} "
            f"{told(new):>16} {np.mean(seconds):9.1f}"
        )
        report[method] = {
            "flips": summed(flips),
            "old_right_after": summed(old),
            "new_right": summed(new),
            "seconds": summed(seconds),
        }
    return report


def _one(
    asked: dict[str, list[Vectors]], described: Rows, seed: int
) -> dict[str, tuple[float, float, float, float]]:
    """Method -> share of flips, old requests right after, new requests right, seconds of the change."""
    rng = np.random.default_rng(seed)
    names = rng.permutation(sorted(asked)).tolist()
    added, stay = set(names[:ADDED]), set(names[ADDED:])
    fillers = rng.permutation(described.labels).tolist()[: OLD - len(stay)]
    shown, held, test = (_part(asked, at) for at in range(3))
    old, more, back = shown.of(stay) + described.of(set(fillers)), shown.of(added), held.of(stay)
    both = old + more
    head = fit(old.vectors, old.labels)

    def grown(limit: float) -> Chooser:
        wider = extended(
            head, (back.vectors, back.labels), (more.vectors, more.labels), limit=limit
        )
        return lambda vectors: _first(wider, vectors)

    def anew() -> Chooser:
        other = fit(both.vectors, both.labels)
        return lambda vectors: _first(other, vectors)

    before, near = lambda vectors: _first(head, vectors), _nearest(old)
    changes: dict[str, tuple[Chooser, Callable[[], Chooser]]] = {
        METHODS[0]: (before, lambda: grown(LIMIT)),
        METHODS[1]: (before, lambda: grown(2.0)),
        METHODS[2]: (near, lambda: _nearest(both)),
        METHODS[3]: (before, anew),
    }
    tests = test.of(stay), test.of(added)
    return {method: _measured(*change, *tests) for method, change in changes.items()}


def _measured(
    before: Chooser, change: Callable[[], Chooser], old: Rows, new: Rows
) -> tuple[float, float, float, float]:
    began = time.monotonic()
    after = change()
    seconds = time.monotonic() - began
    golden = [Golden(text="-", route=label) for label in old.labels]
    compared = compare(golden, before(old.vectors), after(old.vectors))
    right = [a == b for a, b in zip(after(new.vectors), new.labels, strict=True)]
    share = compared.right_after / len(golden)
    return compared.flipped, share, float(np.mean(right)), seconds


def _nearest(rows: Rows) -> Chooser:
    return lambda vectors: [rows.labels[at] for at in (vectors @ rows.vectors.T).argmax(1)]


def _first(head: IntentHead, vectors: Vectors) -> list[str]:
    return [head.names[at] for at in head.scores(vectors).argmax(1)]


def _part(asked: dict[str, list[Vectors]], at: int) -> Rows:
    """Part 0, 1 or 2 of each capability's requests: examples, held back, asked."""
    vectors: list[Vectors] = []
    labels: list[str] = []
    for name, parts in asked.items():
        vectors.append(parts[at])
        labels += [name] * len(parts[at])
    return Rows(np.concatenate(vectors), labels)


def _requests(data: Path) -> dict[str, list[Vectors]]:
    """Capability -> vectors of its examples, of those held back, of those asked."""
    texts: dict[str, list[str]] = {}
    for name, field in (("clinc150", "intent"), ("banking77", "intent")):
        for row in lines(data / name / "train.jsonl"):
            texts.setdefault(f"{name}: {row[field]}", []).append(row["text"])
    for row in lines(data / "metatool" / "single.jsonl"):
        texts.setdefault(f"metatool: {row['tool']}", []).append(row["query"])
    wanted = SHOWN + HELD + ASKED
    rng = np.random.default_rng(0)
    drawn = {
        name: [unique[at] for at in rng.permutation(len(unique))[:wanted]]
        for name, found in texts.items()
        if len(unique := list(dict.fromkeys(found))) >= wanted - ASKED // 2
    }
    vectors = embed([text for found in drawn.values() for text in found])
    parts: dict[str, list[Vectors]] = {}
    at = 0
    for name, found in drawn.items():
        own = vectors[at : at + len(found)]
        parts[name] = [own[:SHOWN], own[SHOWN : SHOWN + HELD], own[SHOWN + HELD :]]
        at += len(found)
    return parts


def _described(data: Path) -> Rows:
    texts: dict[str, str] = {}
    for path in (data / "openapi/github.json.gz", data / "restbench/tmdb_oas.json.gz"):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for where, item in json.load(file)["paths"].items():
                for verb, operation in item.items():
                    if isinstance(operation, dict) and "responses" in operation:
                        texts[f"{verb} {where}"] = _said(operation)
    tools = json.loads((data / "ultratool/tool_desc.json").read_text(encoding="utf-8"))
    texts |= {f"ultratool: {node['id']}": node["desc"] for node in tools["nodes"]}
    for path in sorted((data / "bfcl").glob("*.jsonl")):
        for row in lines(path):
            texts |= {f"bfcl: {f['name']}": f["description"] for f in row["function"]}
    texts = {name: text[:300] for name, text in texts.items() if text.strip()}
    return Rows(embed(list(texts.values())), list(texts))


def _said(operation: dict[str, Any]) -> str:
    return f"{operation.get('summary') or ''}. {operation.get('description') or ''}".strip(". ")
