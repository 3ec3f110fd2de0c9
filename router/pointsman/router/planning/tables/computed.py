"""What a table does not hold but what follows from two of its columns: price times quantity, spent minus
planned, whether spent is more than planned.

It becomes a column by one table.sql, and the question is then read over the table with it, so that groups,
conditions, orders and charts work on it as on any other column.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from pointsman.router.planning.tables.context import NUMERIC, TEMPORAL, Step, TableContext, quoted
from pointsman.router.planning.tables.links import Links
from pointsman.router.planning.tables.marks import Marks
from pointsman.router.planning.tables.words import split_name, stem
from pointsman.router.values import Column, ColumnType

TAKINGS = frozenset("revenue turnover takings earning proceeds".split())
QUANTITIES = frozenset("quantity piece unit".split())
TIMES = frozenset(("times", "multiplied", "x", "*", "×"))


MINUS = frozenset(("minus", "-", "\u2212"))
SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "ne": "<>", "eq": "="}
AGES = frozenset("old age ages aged older younger".split())
FILLERS = frozenset("is are was were be the a an being did does do than".split())


@dataclass(frozen=True, slots=True)
class Computed:
    """A column to be made. name: the words of the question, so that they link to it."""

    name: str
    expression: str
    title: str
    type: ColumnType = "number"


def with_computed(
    marks: Marks, links: Links, table: TableContext, now: datetime
) -> tuple[TableContext, Step] | None:
    """The table with the column that a question asks for, and the step that makes it; None if it asks for none."""
    asked = (
        _named_product(marks, links)
        or _difference(marks, links)
        or _compared(marks, links)
        or _takings(marks, links, table)
        or _age(marks, links, now)
    )
    if asked is None:
        return None
    query = f"SELECT *, {asked.expression} AS {quoted(asked.name)} FROM t"
    step = Step("table.sql", {"query": query}, asked.title)
    return replace(table, columns=(*table.columns, Column(asked.name, asked.type))), step


def _number_at(marks: Marks, links: Links, at: int) -> Column | None:
    """The column of numbers that a mark names, if it names one."""
    found = next((k.column for k in marks.links(at) if k.column.type in NUMERIC), None)
    return None if found is None or links.is_identifier(found) else found


def _difference(marks: Marks, links: Links) -> Computed | None:
    """ "spent minus planned", "the difference between spent and planned"."""
    for i, mark in enumerate(marks.items):
        if mark.word in MINUS:
            ends = i - 1, i + 1
        elif mark.word == "difference" and marks.word(i + 1) in ("between", "of"):
            first = marks.next_of(i + 1, "stop")
            ends = first, marks.next_of(first, "and", "stop")
        else:
            continue
        one, two = (_number_at(marks, links, at) for at in ends)
        if one is None or two is None or one == two:
            continue
        begins = min(i, *ends)
        name = marks.text[marks.items[begins].start : marks.items[ends[1]].end]
        expression = f"{quoted(one.name)} - {quoted(two.name)}"
        return Computed(name, expression, f"Subtract {two.name} from {one.name}")
    return None


def _compared(marks: Marks, links: Links) -> Computed | None:
    """ "spent is more than planned": which rows it holds for."""
    for i, mark in enumerate(marks.items):
        if mark.kind != "comparison" or mark.value not in SIGNS:
            continue
        before, after = i - 1, i + 1
        while marks.word(before) in FILLERS:
            before -= 1
        while marks.word(after) in FILLERS:
            after += 1
        one, two = _number_at(marks, links, before), _number_at(marks, links, after)
        if one is None or two is None or one == two:
            continue
        name = marks.text[marks.items[before].start : marks.items[after].end]
        expression = f"{quoted(one.name)} {SIGNS[mark.value]} {quoted(two.name)}"
        return Computed(name, expression, f"Compare {one.name} with {two.name}", "boolean")
    return None


def _named_product(marks: Marks, links: Links) -> Computed | None:
    """ "price times quantity", named by the words of the question, so that they link to it."""
    for i, mark in enumerate(marks.items):
        if mark.word not in TIMES:
            continue
        before, after = i - 1, i + 2 if marks.word(i + 1) == "by" else i + 1
        one, two = (_number_at(marks, links, at) for at in (before, after))
        if one is not None and two is not None:
            name = marks.text[marks.items[before].start : marks.items[after].end]
            return _product(name, one, two)
    return None


def _product(name: str, one: Column, two: Column) -> Computed:
    expression = f"{quoted(one.name)} * {quoted(two.name)}"
    return Computed(name, expression, f"Multiply {one.name} by {two.name}")


def _takings(marks: Marks, links: Links, table: TableContext) -> Computed | None:
    """Revenue, where only one price and one quantity are known."""
    asked = any(stem(m.word) in TAKINGS and m.kind in ("word", "column") for m in marks.items)
    held = [k.column for k in links.columns(("revenue",), 0.7) if k.column.type in NUMERIC]
    if not asked or not all(links.is_identifier(c) for c in held):
        return None
    numbers = [(c, {stem(w) for w in split_name(c.name)}) for c in table.columns]
    numbers = [(c, words) for c, words in numbers if c.type in NUMERIC]
    prices = [c for c, words in numbers if "price" in words]
    quantities = [c for c, words in numbers if words & QUANTITIES and "price" not in words]
    if len(prices) != 1 or len(quantities) != 1:
        return None
    return _product("revenue", prices[0], quantities[0])


def _age(marks: Marks, links: Links, now: datetime) -> Computed | None:
    """Whole years since a date of birth, where no column holds ages."""
    asked = any(m.word in AGES for m in marks.items)
    born = [c for c in links.typed(TEMPORAL) if {"birth", "birthday"} & set(split_name(c.name))]
    if not asked or len(born) != 1 or links.columns(("age",), 0.7):
        return None
    expression = f"datesub('year', {quoted(born[0].name)}, DATE '{now.date().isoformat()}')"
    return Computed("age", expression, f"Count the years since {born[0].name}", "integer")
