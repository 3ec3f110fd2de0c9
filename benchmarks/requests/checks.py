"""What must be true of an answer's content. Each check gives "" or why the answer is wrong."""

import io
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pointsman.client import Answer
from pointsman.client.results import Event, Part

PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer, the events of its run, and what gives the bytes of a file by its id."""

    answer: Answer
    events: Sequence[Event]
    content: Callable[[str], bytes]

    @property
    def tables(self) -> list[Part]:
        return [p for p in self.answer.parts if p.kind == "table"]

    @property
    def told(self) -> str:
        """All that the results say, as one text."""
        values = [
            p.value if isinstance(p.value, str) else json.dumps(p.value, ensure_ascii=False)
            for p in self.answer.parts
        ]
        return "\n".join(values)


def number(cell: Any) -> float | None:
    if isinstance(cell, bool) or cell is None:
        return None
    if isinstance(cell, dict):
        return number(cell.get("value", cell.get("amount")))
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None


def close(cell: Any, wanted: Any, within: float = 0.006) -> bool:
    """Numbers within an absolute distance; texts by their letters; a month or year also as its first day."""
    if isinstance(wanted, str):
        text = str(cell).casefold()
        return text == wanted.casefold() or (
            bool(re.fullmatch(r"\d{4}(?:-\d\d)?", wanted)) and text.startswith(f"{wanted}-01")
        )
    found = number(cell)
    return found is not None and math.isclose(found, wanted, rel_tol=1e-9, abs_tol=within)


def same(given: Any, wanted: Any) -> bool:
    """Arguments of a call: numbers by value, texts by their letters, nested ones part by part."""
    if isinstance(wanted, dict):
        return (
            isinstance(given, dict)
            and {*given} == {*wanted}
            and all(same(given[k], v) for k, v in wanted.items())
        )
    if isinstance(wanted, str):
        return str(given).casefold() == wanted.casefold()
    return bool(given == wanted)


def value(seen: Seen, wanted: float, check: dict[str, Any]) -> str:
    """A number on its own, or in a table of one row."""
    within = check.get("within", 0.006)
    cells = [p.value for p in seen.answer.parts if p.kind != "table"]
    cells += [c for p in seen.tables if p.row_count == 1 for c in p.rows[0]]
    if any(close(c, wanted, within) for c in cells):
        return ""
    return f"no result is {wanted}: {shown(seen)}"


def count(seen: Seen, wanted: int, check: dict[str, Any]) -> str:
    """A number, or a list of so many rows whose length the answer tells."""
    listed = any(p.row_count == wanted for p in seen.tables)
    if listed and re.search(rf"\b{wanted}\b", seen.answer.text):
        return ""
    return value(seen, wanted, check)


def rows(seen: Seen, wanted: list[list[Any]], check: dict[str, Any]) -> str:
    """A table of exactly these rows, among other columns."""
    for table in seen.tables:
        if table.row_count != len(wanted):
            continue
        left = list(table.rows)
        for number_, row in enumerate(wanted):
            candidates = [left[0]] if check.get("ordered") else left
            hit = next((r for r in candidates if holds(r, row)), None)
            if hit is None:
                return f"row {number_ + 1} should hold {row}: {shown(seen)}"
            left.remove(hit)
        return ""
    return f"no table of {len(wanted)} rows: {shown(seen)}"


def holds(row: Sequence[Any], wanted: Sequence[Any]) -> bool:
    return all(any(close(cell, w, 0.011) for cell in row) for w in wanted)


def column(seen: Seen, wanted: dict[str, Any], _: dict[str, Any]) -> str:
    name = wanted["name"]
    for table in seen.tables:
        if name in table.columns and sorted(str(r[name]) for r in table.records) == sorted(
            wanted["equals"]
        ):
            return ""
    return f"no table has these {len(wanted['equals'])} of {name!r}: {shown(seen)}"


def f1(seen: Seen, wanted: dict[str, Any], _: dict[str, Any]) -> str:
    """The last table with the key: what it lists against what people said. F1 = 2PR / (P + R)."""
    gold = set(wanted["gold"])
    for table in reversed(seen.tables):
        if wanted["key"] in table.columns:
            listed = {str(r[wanted["key"]]) for r in table.records}
            score = 2 * len(gold & listed) / (len(gold) + len(listed))
            if score >= wanted["least"] and table.complete:
                return ""
            return f"F1 {score:.2f} of {wanted['least']}, {len(listed)} listed, {len(gold)} right"
    return f"no table with {wanted['key']!r}: {shown(seen)}"


def labels(seen: Seen, wanted: dict[str, Any], _: dict[str, Any]) -> str:
    """Distinct labels with counts: whole numbers that add up to the total (at most, for a cut list)."""
    for table in seen.tables:
        if "count" not in table.columns or not wanted["least"] <= table.row_count <= wanted["most"]:
            continue
        counts = [number(r["count"]) or 0.0 for r in table.records]
        names = [str(r[0]).casefold() for r in table.rows]
        cut = table.row_count == wanted["least"] == wanted["most"]
        whole = sum(counts) == wanted["total"] or (cut and 0 < sum(counts) <= wanted["total"])
        known = [str(n).casefold() for n in wanted.get("names", names)]
        if whole and min(counts) > 0 and len(set(names)) == len(names) and {*names} <= {*known}:
            return ""
    return f"no labels whose counts add up: {shown(seen)}"


def readable(seen: Seen, _wanted: bool, _: dict[str, Any]) -> str:
    """First cells of the table with counts: one to six words, no underscores, no numbers alone."""
    for table in seen.tables:
        if "count" in table.columns:
            bad = [r[0] for r in table.rows if not re.fullmatch(r"[^\W\d_].{2,60}", str(r[0]))]
            bad += [r[0] for r in table.rows if len(str(r[0]).split()) > 6]
            return f"not readable: {bad}" if bad else ""
    return "no table with counts"


def contains(seen: Seen, wanted: list[str], _: dict[str, Any]) -> str:
    missing = [w for w in wanted if w.casefold() not in seen.told.casefold()]
    return f"lacks {missing}: {shown(seen)}" if missing else ""


def lacks(seen: Seen, unwanted: list[str], _: dict[str, Any]) -> str:
    there = [w for w in unwanted if w.casefold() in seen.told.casefold()]
    return f"should not hold {there}" if there else ""


def cells(seen: Seen, wanted: list[str], _: dict[str, Any]) -> str:
    """Each in a short cell of a table: found as a thing, not merely within a passage."""
    found = [str(c).casefold() for p in seen.tables for r in p.rows for c in r if len(str(c)) <= 40]
    missing = [w for w in wanted if not any(w.casefold() in c for c in found)]
    return f"not found: {missing}" if missing else ""


def first(seen: Seen, wanted: str, _: dict[str, Any]) -> str:
    """The best hit holds these words."""
    tops = [" ".join(map(str, p.rows[0])) for p in seen.tables if p.rows]
    return "" if any(wanted in top for top in tops) else f"first is not it: {shown(seen)}"


def short(seen: Seen, most: int, _: dict[str, Any]) -> str:
    """An answer, not the document: so many characters at most in each text that is given."""
    texts = [p.value for p in seen.answer.parts if isinstance(p.value, str)]
    texts += [str(p.value.get("text")) for p in seen.answer.parts if isinstance(p.value, dict)]
    if any(p.kind == "answer" for p in seen.answer.parts) and all(len(t) <= most for t in texts):
        return ""
    return f"not a short answer: {shown(seen)}"


def sentences(seen: Seen, wanted: dict[str, Any], _: dict[str, Any]) -> str:
    """Sentences taken from the text, word for word, and no more than asked for."""
    source = " ".join(wanted["of"].split())
    texts = [p.value for p in seen.answer.parts if isinstance(p.value, str)]
    if len(texts) != 1:
        return f"not one text: {shown(seen)}"
    taken = [s for s in re.split(r"(?<=[.!?])\s+", " ".join(texts[0].split())) if s]
    if not wanted["least"] <= len(taken) <= wanted["most"]:
        return f"{len(taken)} sentences"
    strange = [s for s in taken if s not in source]
    return f"not in the text: {strange}" if strange else ""


def picture(seen: Seen, _wanted: bool, _: dict[str, Any]) -> str:
    for part in seen.answer.parts:
        if part.kind == "picture" and isinstance(part.value, dict):
            made = seen.content(str(part.value["file"]))
            return "" if made.startswith(PNG) and len(made) > 2_000 else "not a real PNG"
    return f"no picture: {shown(seen)}"


def refused(seen: Seen, _wanted: bool, _: dict[str, Any]) -> str:
    """No result, and words that say why."""
    if seen.answer.parts:
        return f"made up a result: {shown(seen)}"
    return "" if seen.answer.status == "refused" and seen.answer.text else seen.answer.status


def top(seen: Seen, wanted: list[Any], _: dict[str, Any]) -> str:
    """The first row of a table, or a table of one row, holds these."""
    if any(p.rows and holds(p.rows[0], wanted) for p in seen.tables):
        return ""
    return f"no table begins with {wanted}: {shown(seen)}"


def workbook(seen: Seen, wanted: int, _: dict[str, Any]) -> str:
    """An Excel file with so many rows below its header."""
    from openpyxl import load_workbook

    for part in seen.answer.parts:
        if isinstance(part.value, dict) and str(part.value.get("name", "")).endswith(".xlsx"):
            content = io.BytesIO(seen.content(str(part.value["id"])))
            found = load_workbook(content).worksheets[0].max_row - 1
            return "" if found == wanted else f"{found} rows instead of {wanted}"
    return f"no Excel file: {shown(seen)}"


def drawn(seen: Seen, wanted: str, _: dict[str, Any]) -> str:
    """The kind of the chart, as the plan has it."""
    plans = [e.fields["plan"] for e in seen.events if e.type == "plan.proposed"]
    kinds = [
        t["arguments"].get("kind")
        for plan in plans
        for t in plan["tasks"]
        if t["capability"] == "chart.draw"
    ]
    return "" if wanted in kinds else f"drawn as {kinds}"


def called(seen: Seen, wanted: dict[str, Any], _: dict[str, Any]) -> str:
    """A recorded capability was called with exactly these arguments; with any, where none are given."""
    calls = [p.value for p in seen.answer.parts if isinstance(p.value, dict)]
    for call in calls:
        if call.get("capability") == wanted["capability"] and (
            "arguments" not in wanted or same(call["arguments"], wanted["arguments"])
        ):
            return ""
    return f"not called: {wanted}, but {shown(seen)}"


def parallel(seen: Seen, _wanted: bool, _: dict[str, Any]) -> str:
    """Two tasks ran at one time: one began before the other ended."""
    began: dict[str, float] = {}
    for event in sorted(seen.events, key=lambda e: e.at):
        if event.type == "task.started" and event.task:
            began[event.task] = event.at
            if len(began) > 1:
                return ""
        elif event.type == "task.done" and event.task:
            began.pop(event.task, None)
    return "no two tasks ran at one time"


CHECKS: dict[str, Callable[[Seen, Any, dict[str, Any]], str]] = {
    check.__name__: check
    for check in (value, count, rows, column, f1, labels, readable, contains, lacks, cells, first)
} | {
    check.__name__: check
    for check in (short, sentences, picture, refused, parallel, top, workbook, drawn, called)
}


def wrong(seen: Seen, checks: Sequence[dict[str, Any]], gold: dict[str, Any]) -> str:
    """Why the answer is wrong; "" when it is right. Raises KeyError for an unknown check or gold."""
    for check in checks:
        name = next(iter(check))
        if name != "refused" and seen.answer.status != "done":
            return f"{seen.answer.status}: {seen.answer.text[:160]}"
        told = CHECKS[name](seen, known(check[name], gold), check)
        if told:
            return told
    return ""


def known(wanted: Any, gold: dict[str, Any]) -> Any:
    """Replaces "$name" by that right answer."""
    if isinstance(wanted, dict):
        return {k: known(v, gold) for k, v in wanted.items()}
    return gold[wanted[1:]] if isinstance(wanted, str) and wanted.startswith("$") else wanted


def shown(seen: Seen) -> str:
    """The results in brief, for people."""
    parts = []
    for part in seen.answer.parts:
        if part.kind == "table":
            parts.append(f"{part.row_count} rows {list(part.columns)} {list(part.rows[:2])}")
        else:
            parts.append(f"{part.kind} {part.value}")
    return " | ".join(parts)[:300] or "no result"
