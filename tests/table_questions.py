"""Reads tests/table_questions.yaml and writes steps in its short form. Run as a script: prints the accuracy."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import yaml
from numpy.typing import NDArray

from pointsman.router.planning.tables.question import Step, TableContext, TableQuestion, understand
from pointsman.router.values import Column

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
WEAK = 0.6


class LexicalEmbedder:
    """Character trigrams hashed to unit vectors: alike when spelt alike. Fit for tests that need no meaning."""

    dim = 256

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        made = np.zeros((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            padded = f"  {text.lower()}  "
            for i in range(len(padded) - 2):
                made[row, crc32(padded[i : i + 3].encode()) % self.dim] += 1
        return made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-6)


@dataclass(frozen=True)
class Case:
    part: str
    table: TableContext
    question: str
    answer: str | None
    missing: str | None
    weak: bool
    meaning: bool
    open: bool


def cases() -> Iterator[Case]:
    content = yaml.safe_load((Path(__file__).parent / "table_questions.yaml").read_text("utf-8"))
    tables = {name: _table(t) for name, t in content["tables"].items()}
    for part in ("held", "fresh", "fresh_two", "fresh_three", "fresh_four", "developed", "asked"):
        for name, questions in content[part].items():
            for c in questions:
                yield Case(
                    part,
                    tables[name],
                    str(c["q"]),
                    c.get("a"),
                    c.get("missing"),
                    c.get("weak", False),
                    c.get("meaning", False),
                    c.get("open", False),
                )


def _table(t: dict[str, Any]) -> TableContext:
    columns = tuple(Column(n, k) for n, k in t["columns"].items())
    return TableContext(
        t["name"],
        columns,
        {k: tuple(v) for k, v in t["samples"].items()},
        tuple(t["complete"]),
        t["rows"],
    )


def table(name: str) -> TableContext:
    content = yaml.safe_load((Path(__file__).parent / "table_questions.yaml").read_text("utf-8"))
    return _table(content["tables"][name])


def short(steps: Sequence[Step]) -> str:
    return " | ".join(_step(s) for s in steps)


def _where(where: list[dict[str, Any]]) -> str:
    return " & ".join(
        " ".join(str(x) for x in (p["column"], p["op"], _value(p)) if x != "")
        for p in sorted(where, key=str)
    )


def _value(p: dict[str, Any]) -> str:
    value = p.get("value", "")
    if isinstance(value, bool):
        return str(value).lower()
    return "[" + ", ".join(str(v) for v in value) + "]" if isinstance(value, list) else str(value)


def _step(s: Step) -> str:
    a = s.arguments
    limit = f" limit {a['limit']}" if a.get("limit") else ""
    match s.capability:
        case "table.aggregate":
            measures = ",".join(
                m["fn"] + (f"({m['column']})" if "column" in m else "") for m in a["measures"]
            )
            by = ",".join(
                b["column"] + (f":{b['grain']}" if "grain" in b else "") for b in a.get("by", ())
            )
            out = f"agg {measures}" + (f" by {by}" if by else "")
            out += f" where {_where(a['where'])}" if a.get("where") else ""
            return out + ("" if a.get("descending", True) else " asc") + limit
        case "table.filter":
            return f"filter {_where(a['where'])}" + (" any" if a.get("match") == "any" else "")
        case "table.sort":
            return f"sort {a['by']} {'desc' if a['descending'] else 'asc'}" + limit
        case "table.select":
            columns = "" if limit and len(a["columns"]) > 5 else " " + ",".join(a["columns"])
            return f"select{columns}" + (" distinct" if a.get("distinct") else "") + limit
        case "chart.draw":
            columns = (
                ""
                if "y" in a and a["kind"] != "scatter"
                else "".join(f" {a[k]}" for k in ("x", "y") if k in a)
            )
            return f"chart {a['kind']}{columns}"
        case "table.outliers":
            return f"outliers {a['column']}"
        case _:
            return " ".join([s.capability.partition(".")[2], *a.get("columns", ())])


def normal(answer: str) -> str:
    """Sorts the conditions of an answer written by hand."""
    parts = []
    for part in answer.split(" | "):
        head, mark, rest = part.partition(" where ")
        if part.startswith("filter "):
            head, mark, rest = "filter", " ", part[7:]
        tail = ""
        for word in (" asc", " limit "):
            if mark and word in rest:
                at = rest.index(word)
                rest, tail = rest[:at], rest[at:] + tail
        parts.append(head + mark + " & ".join(sorted(rest.split(" & "))) + tail if mark else part)
    return " | ".join(parts)


def is_right(case: Case, found: TableQuestion | None) -> bool:
    if case.weak:
        return found is None or found.score < WEAK
    if case.missing:
        return found is None or found.missing is not None
    return (
        found is not None
        and normal(short(found.steps)) == normal(case.answer or "")
        and found.missing is None
        and found.score >= 0.5
    )


async def main(embedder: Any) -> None:
    counts: dict[str, list[int]] = {}
    for case in cases():
        found = await understand(case.question, case.table, now=NOW, embedder=embedder)
        right = is_right(case, found)
        counts.setdefault(case.part, []).append(right)
        if not right or "-v" in sys.argv:
            got = (
                f"{short(found.steps)}  [{found.score} left={found.leftover} missing={found.missing}]"
                if found
                else "None"
            )
            print(  # noqa: T201
                f"{'ok ' if right else 'BAD'} {case.part[0]} {case.question}\n      want {case.answer or case.missing or 'weak'}\n      got  {got}"
            )
    for part, outcomes in counts.items():
        print(part, f"{sum(outcomes)} of {len(outcomes)}")  # noqa: T201


if __name__ == "__main__":
    if "--meaning" in sys.argv:
        from pointsman.experts.models.encoder import Encoder

        encoder = Encoder(threads=1)
        asyncio.run(main(encoder))
        encoder.close()
    else:
        asyncio.run(main(LexicalEmbedder()))
