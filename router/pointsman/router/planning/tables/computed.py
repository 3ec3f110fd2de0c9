"""Numbers that a table does not hold but that follow from two of its columns: price times quantity.

The product becomes a column by one table.sql, and the question is then read over the table with it, so
that groups, conditions, orders and charts work on it as on any other column.
"""

from dataclasses import replace

from pointsman.router.planning.tables.context import NUMERIC, Step, TableContext
from pointsman.router.planning.tables.links import Links
from pointsman.router.planning.tables.marks import Marks
from pointsman.router.planning.tables.words import split_name, stem
from pointsman.router.values import Column

TAKINGS = frozenset("revenue turnover takings earning proceeds".split())
QUANTITIES = frozenset("quantity piece unit".split())
TIMES = frozenset(("times", "multiplied", "x", "*", "×"))


def with_product(
    marks: Marks, links: Links, table: TableContext
) -> tuple[TableContext, Step] | None:
    """The table with the product that a question asks for, and the step that makes it; None if it asks for none."""
    asked = _named_product(marks, links) or _takings(marks, links, table)
    if asked is None:
        return None
    name, one, two = asked
    product = f"{_quoted(one.name)} * {_quoted(two.name)}"
    query = f"SELECT *, {product} AS {_quoted(name)} FROM t"
    step = Step("table.sql", {"query": query}, f"Multiply {one.name} by {two.name}")
    return replace(table, columns=(*table.columns, Column(name, "number"))), step


def _named_product(marks: Marks, links: Links) -> tuple[str, Column, Column] | None:
    """ "price times quantity", named by the words of the question, so that they link to it."""
    for i, mark in enumerate(marks.items):
        if mark.word not in TIMES:
            continue
        before, after = i - 1, i + 2 if marks.word(i + 1) == "by" else i + 1
        found = [
            next((k.column for k in marks.links(at) if k.column.type in NUMERIC), None)
            for at in (before, after)
        ]
        one, two = found
        if one is None or two is None or links.is_identifier(one) or links.is_identifier(two):
            continue
        return marks.text[marks.items[before].start : marks.items[after].end], one, two
    return None


def _takings(marks: Marks, links: Links, table: TableContext) -> tuple[str, Column, Column] | None:
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
    return "revenue", prices[0], quantities[0]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
