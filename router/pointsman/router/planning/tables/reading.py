"""What a question asks of a table, as it is filled in part by part."""

from dataclasses import dataclass, field
from typing import Any

from pointsman.router.planning.tables.conditions import AVERAGED, Condition, Conditions
from pointsman.router.planning.tables.context import NUMERIC, TEMPORAL, TableContext
from pointsman.router.planning.tables.links import Link, Links
from pointsman.router.planning.tables.marks import Mark, Marks
from pointsman.router.planning.tables.words import (
    split_name,
)
from pointsman.router.values import Column

TRAILING = frozenset(("on average", "in total", "in all", "altogether", "overall", "combined"))
"""Functions that stand after what they are taken of: "most visits on average"."""


@dataclass(slots=True)
class Reading:
    """The parts of a question. `groups`: (column, grain). `measures`: (function, column or None for rows)."""

    where: list[Condition] = field(default_factory=list)
    having: list[Condition] = field(default_factory=list)
    groups: list[tuple[str, str | None]] = field(default_factory=list)
    measures: list[tuple[str, str | None]] = field(default_factory=list)
    sort: str | None = None
    descending: bool = True
    ordered: bool = False
    limit: int | None = None
    chart: str | None = None
    chart_columns: list[str] = field(default_factory=list)
    select: list[str] = field(default_factory=list)
    distinct: bool = False
    any_of: bool = False
    share_of: Condition | None = None
    base: list[Condition] = field(default_factory=list)
    """Conditions on the rows that a share is taken of."""
    periods: list[Condition] = field(default_factory=list)
    """Times of which a row must be in one."""
    never: list[Condition] = field(default_factory=list)
    """What no row of a group may meet altogether."""
    best_of: str | None = None
    """The column by which each group's first row is chosen."""
    beyond: tuple[str, str, str] | None = None
    """Rows whose column is beyond a figure of all rows: the column, the sign, the figure's function."""
    listed: bool = False
    """Whether the columns were asked for before the conditions: "titles of cooking books"."""
    missing: str | None = None

    @property
    def aggregates(self) -> bool:
        return bool(self.groups or self.measures)

    def group(self, column: str, grain: str | None = None) -> None:
        if (column, grain) not in self.groups:
            self.groups.append((column, grain))

    def measure(self, function: str, column: str | None) -> None:
        if (function, column) not in self.measures:
            self.measures.append((function, column))


class Parts:
    """What all readers of parts share: the marks, the table, and which column fits which role."""

    def __init__(self, marks: Marks, links: Links, table: TableContext) -> None:
        self.marks, self.links, self.table = marks, links, table
        self.reading = Reading()
        self.conditions = Conditions(marks, links, table)

    def numeric(self, links: tuple[Link, ...]) -> Link | None:
        return self.conditions.numeric(links)

    def _grouping(self, links: tuple[Link, ...]) -> Link | None:
        """The likeliest column to group by: names before numbers, identifiers last."""

        def fit(link: Link) -> float:
            kind = link.column.type
            weight = 1.0 if kind in ("text", "boolean") else 0.95 if kind in TEMPORAL else 0.75
            return link.certainty * weight - (0.15 if self.links.is_identifier(link.column) else 0)

        return max(links, key=fit) if links else None

    def _entity(self, column: Column) -> bool:
        return self.links.is_identifier(column) or self.table.is_unique(column.name)

    def default_number(self) -> Column | None:
        """The number people mean when they name none: the only one, or the money."""
        numeric = [
            c
            for c in self.links.typed(NUMERIC)
            if not self.links.is_identifier(c) and "year" not in c.name.lower()
        ]
        if len(numeric) == 1:
            return numeric[0]
        return next(
            (
                k.column
                for k in self.links.with_concept("revenue", "salary", "price")
                if k.column in numeric
            ),
            None,
        )

    def _total_or_mean(self, column: Column) -> str:
        """What a number is taken together by: what the question says after it, else by its kind."""
        for i in self.marks.free("function"):
            if self.marks.word(i) in TRAILING:
                self.marks.use(i)
                return str(self.marks.items[i].value)
        return (
            "mean"
            if set(split_name(column.name)) & AVERAGED and "amount" not in column.name
            else "sum"
        )

    def _named_date(self, dates: tuple[Column, ...]) -> Column:
        for mark in self.marks.items:
            for link in mark.links or (
                self.links.columns((mark.word,), 0.75) if mark.kind in ("word", "value") else ()
            ):
                if link.column in dates:
                    return link.column
        return dates[0]

    def _few(self, column: Column) -> bool:
        known = self.table.values(column.name)
        return (
            column.type == "integer"
            and column.name in self.table.complete
            and len(known) <= 6
            and (self.table.row_count or 0) > 3 * len(known)
        )

    def _entity_column(self, mark: Mark) -> Column | None:
        links = self.links.columns((mark.word,), 0.7)
        return links[0].column if links else None


def measure_name(function: str, column: str | None) -> str:
    """The name of a measure's column in the result."""
    if column is None:
        return function
    if function == "share_of_sum":
        return f"share of {column}"
    return f"distinct {column}" if function == "count_distinct" else f"{function} of {column}"


def measure_json(function: str, column: str | None) -> dict[str, Any]:
    made: dict[str, Any] = {"fn": function}
    if column is not None:
        made["column"] = column
        if function == "count_distinct":
            made["as"] = measure_name(function, column)
    return made
