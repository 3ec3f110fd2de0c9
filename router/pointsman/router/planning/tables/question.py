"""Questions about a table, in any wording, as steps over the table's capabilities.

    found = await understand("top 5 products by revenue in 2025", table, now=now, embedder=embedder)
    found.steps       # one table.aggregate: sum of amount by product, where ..., limit 5

Words are linked to columns and values by form first and by meaning (the embedder) only where form does
not settle it. What is not explained is said in `leftover` and `missing`; it is never replaced by a guess.
"""

import re
from dataclasses import replace
from datetime import datetime

from pointsman.router.planning.base import Embedder
from pointsman.router.planning.tables.computed import with_computed
from pointsman.router.planning.tables.context import Step, TableContext, TableQuestion
from pointsman.router.planning.tables.links import Links
from pointsman.router.planning.tables.marks import Marks, content_share, marks_of
from pointsman.router.planning.tables.meaning import link_by_meaning
from pointsman.router.planning.tables.phrasing import plainly
from pointsman.router.planning.tables.reader import Reader
from pointsman.router.planning.tables.steps import about_table, steps_of
from pointsman.router.planning.tables.words import COMPARATIVES

__all__ = ["Step", "TableContext", "TableQuestion", "understand"]

MAX_TEXT = 2_000
ADDS = re.compile(
    r"^\W*(?:please\s+)?(?:add|append|create|insert|make|include)\s+(?:me\s+)?(?:an?\s+|another\s+)?(?:new\s+)?(?:extra\s+)?columns?\b",
    re.IGNORECASE,
)
"""What asks for the table with one more column, not for that column alone."""


async def understand(
    text: str,
    table: TableContext,
    *,
    now: datetime,
    embedder: Embedder,
    refers_back: bool = False,
) -> TableQuestion | None:
    """The steps that answer a question about a table; None when it asks nothing of the table.

    refers_back: the text goes on from an earlier result ("only Germany", "now by region"), so a condition
    or a grouping alone is a question. Never raises because of the text.
    """
    if not text.strip() or not table.columns or len(text) > MAX_TEXT:
        return None
    links = Links(table)
    text = plainly(text, links)
    marks = marks_of(text, links, now)
    made = with_computed(marks, links, table, now)
    if made is not None:
        table, links = made[0], Links(made[0])
        marks = marks_of(text, links, now)
    marks = await link_by_meaning(marks, links, embedder)
    steps = about_table(text, marks, links, table)
    whole = bool(steps)
    missing: str | None = None
    if not steps:
        reader = Reader(marks, links, table)
        reading = reader.read()
        missing = reading.missing
        reading.any_of = _alternatives(marks, len({c.column for c in reading.where}))
        steps = _without_measured_groups(_with_all_columns(steps_of(reading), table))
    share, leftover = content_share(marks)
    if not steps or not (whole or _anchored(marks, refers_back)):
        return None
    if made is not None:
        steps = (made[1],) if ADDS.match(text) else (made[1], *steps)
    missing = missing or _asked_for(marks, leftover)
    if missing is None and leftover and all(s.capability == "table.select" for s in steps):
        missing = leftover[-1]
    used = tuple((marks.items[i].start, marks.items[i].end) for i in sorted(marks.used))
    score = share * (0.5 if missing else 1.0)
    return TableQuestion(steps, round(min(score, 1.0), 4), used, leftover, missing)


def _without_measured_groups(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """ "What did each team spend": a number that is measured is not grouped by as well."""
    made: list[Step] = []
    for step in steps:
        if step.capability == "table.aggregate":
            measured = {m.get("column") for m in step.arguments["measures"]}
            by = [b for b in step.arguments.get("by", ()) if b["column"] not in measured]
            if by and len(by) < len(step.arguments["by"]):
                step = replace(step, arguments=step.arguments | {"by": by})
        made.append(step)
    return tuple(made)


def _with_all_columns(steps: tuple[Step, ...], table: TableContext) -> tuple[Step, ...]:
    """ "Show the first 10" selects every column."""
    names = [c.name for c in table.columns]
    return tuple(
        replace(s, arguments=s.arguments | {"columns": names})
        if s.capability == "table.select" and not s.arguments["columns"]
        else s
        for s in steps
    )


def _alternatives(marks: Marks, columns: int) -> bool:
    """Whether conditions on different columns are joined by "or"."""
    return columns > 1 and any(
        m.kind == "or" and i not in marks.used for i, m in enumerate(marks.items)
    )


def _anchored(marks: Marks, refers_back: bool) -> bool:
    """Whether anything in the text is the table's: a column, a value, a row, or an operation on it."""
    kinds = {marks.items[i].kind for i in marks.used}
    if kinds & {"column", "value"} or refers_back:
        return bool(kinds)
    if any(marks.items[i].word in COMPARATIVES for i in marks.used):
        return True
    generic = any(
        m.kind == "rows"
        or m.word in ("rows", "row", "records", "columns", "table", "data", "first")
        for m in marks.items
    )
    operations = kinds & {
        "function",
        "amount",
        "moment",
        "superlative",
        "chart",
        "grain",
        "comparison",
        "missing",
    }
    return (generic and bool(kinds)) or bool(operations & {"moment", "function", "superlative"})


def _asked_for(marks: Marks, leftover: tuple[str, ...]) -> str | None:
    """What was to be measured, grouped by or filtered on, but is not a column or value of the table."""
    for i, mark in enumerate(marks.items):
        if mark.kind != "word" or i in marks.used:
            continue
        before = marks.before(i, "stop")
        if (
            marks.kind(before)
            in ("function", "group", "superlative", "comparison", "wh", "not", "missing", "chart")
            or (
                marks.kind(marks.next_of(i, "stop"))
                in ("group", "comparison", "grain", "superlative")
            )
            or (mark.value[:1].isupper() and i > 0)
        ):
            return str(mark.word)
    return None
