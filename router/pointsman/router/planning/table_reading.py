"""What a question asks of a table: groups, measures, order, how many, which picture."""

from dataclasses import dataclass, field, replace
from typing import Any

from pointsman.router.planning.table_conditions import AVERAGED, Condition, Conditions
from pointsman.router.planning.table_context import NUMERIC, TEMPORAL, TableContext
from pointsman.router.planning.table_links import Link, Links
from pointsman.router.planning.table_marks import Mark, Marks
from pointsman.router.planning.table_words import (
    ADJECTIVES,
    GRAINS,
    Superlative,
    concepts_of,
    split_name,
    stem,
)
from pointsman.router.values import Column

BEST = frozenset("best top".split())
WORST = frozenset("worst bottom".split())
SIZES = frozenset("biggest largest highest greatest smallest lowest top".split())
COMMON = frozenset("common frequent popular often frequently commonly busiest".split())


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


class Reader:
    """Reads one question; every part explains its marks, so that what is left over is known."""

    def __init__(self, marks: Marks, links: Links, table: TableContext) -> None:
        self.marks, self.links, self.table = marks, links, table
        self.reading = Reading()
        self.conditions = Conditions(marks, links, table)

    def read(self) -> Reading:
        self._limits()
        self._charts()
        found = self.conditions.read()
        self.reading.where = [c for c in found if c.column is not None and c.function is None]
        self.reading.having = [c for c in found if c.column is None or c.function is not None]
        self._sorts()
        self._groups()
        self._splits()
        self._asked_groups()
        self._groups_with_conditions()
        self._superlatives()
        self._functions()
        self._rest()
        self._shares()
        return self.reading

    def _limits(self) -> None:
        """ "top 5", "first 10", "the 3 cheapest", "latest 5"."""
        marks = self.marks
        for i, mark in enumerate(marks.items):
            if (
                mark.kind != "amount"
                or mark.value.unit
                or mark.value.value != int(mark.value.value)
            ):
                continue
            before, after = i - 1, i + 1
            lead = marks.word(before) in (
                "top",
                "first",
                "last",
                "bottom",
                "show",
                "list",
                "me",
                "any",
                "get",
                "see",
                "display",
                "limit",
                "sample",
                "random",
            )
            if (
                marks.kind(before) == "superlative"
                or marks.kind(after) == "superlative"
                or lead
                or marks.word(after) in ("most", "least")
            ):
                if not 0 < mark.value.value <= 1_000_000 or marks.kind(i - 1) == "comparison":
                    continue
                self.reading.limit = int(mark.value.value)
                marks.use(i, before if lead and marks.kind(before) != "superlative" else i)

    def _charts(self) -> None:
        for i in self.marks.free("chart"):
            kind = str(self.marks.items[i].value)
            if self.reading.chart in (None, "auto"):
                self.reading.chart = kind
            self.marks.use(i)
        if self.reading.chart in ("scatter", "histogram") or (
            self.reading.chart == "auto"
            and any(m.word in ("against", "versus", "vs") for m in self.marks.items)
        ):
            for i in self.marks.free("column"):
                link = self.numeric(self.marks.items[i].links)
                if link and self.marks.kind(i - 1) != "group":
                    self.reading.chart_columns.append(link.column.name)
                    self.marks.use(i, certainty=link.certainty)

    def numeric(self, links: tuple[Link, ...]) -> Link | None:
        return self.conditions.numeric(links)

    def _grouping(self, links: tuple[Link, ...]) -> Link | None:
        """The likeliest column to group by: names before numbers, identifiers last."""

        def fit(link: Link) -> float:
            kind = link.column.type
            weight = 1.0 if kind in ("text", "boolean") else 0.95 if kind in TEMPORAL else 0.75
            return link.certainty * weight - (0.15 if self.links.is_identifier(link.column) else 0)

        return max(links, key=fit) if links else None

    def _sorts(self) -> None:
        for i in self.marks.free("sort"):
            mark = self.marks.items[i]
            if mark.value is None:
                at = self._sorted_by(i)
                if self.marks.kind(at) == "function":
                    for j in range(i + 1, at):
                        if self.marks.kind(j) == "column":
                            self._group_at(j)
                            self.reading.descending = True
                if (
                    self.marks.kind(at) in ("column", "word", "function")
                    and not self.reading.groups
                ):
                    column = (
                        self.marks.next_of(at, "stop") if self.marks.kind(at) == "function" else at
                    )
                    if self.marks.kind(column) == "column" and column not in self.marks.used:
                        self.reading.sort = self.marks.items[column].links[0].column.name
                        self.reading.descending = False
                        self.marks.use(column, at)
                self.marks.use(*range(i, min(at, len(self.marks.items))))
                self.reading.ordered = True
            else:
                self.reading.descending, self.reading.ordered = bool(mark.value), True
                self.marks.use(i)
        for i in self.marks.free("sort"):
            self.reading.descending = bool(self.marks.items[i].value)
            self.marks.use(i)
        directions = [m.value for m in self.marks.items if m.kind == "sort" and m.value is not None]
        if directions:
            self.reading.descending = bool(directions[-1])

    def _sorted_by(self, i: int) -> int:
        """ "sort employees by hire date": the mark after "by", else the next one."""
        for at in range(i + 1, min(i + 5, len(self.marks.items))):
            if self.marks.word(at) == "by":
                return self.marks.next_of(at, "stop")
        return self.marks.next_of(i, "stop", "group", "rows")

    def _groups(self) -> None:
        for i in self.marks.free("grain"):
            if not self._in_group_list(i):
                self._grain(i)
        for i in self.marks.free("group"):
            at = self.marks.next_of(i, "stop")
            if self._ranks_by(i, at):
                continue
            at = self._counted_column(at)
            while self.marks.kind(at) in ("column", "grain") and self._group_at(at):
                self.marks.use(i)
                further = self.marks.next_of(at, "stop", "and")
                if self.marks.kind(self.marks.next_of(at, "stop")) not in (
                    "and",
                    "column",
                    "grain",
                ):
                    break
                at = further

    def _counted_column(self, at: int) -> int:
        """ "by number of bedrooms": the column that holds the number is the group."""
        column = self.marks.next_of(at, "stop")
        if self.marks.kind(at) == "function" and self.numeric(self.marks.links(column)):
            if self.marks.items[at].value == "count":
                self.marks.use(at)
                return column
        return at

    def _splits(self) -> None:
        """ "gender split", "compare North and South", "open vs closed": groups that no "by" announces."""
        marks = self.marks
        for i, mark in enumerate(marks.items):
            if (
                mark.word in ("split", "breakdown", "mix", "composition")
                and marks.kind(i - 1) == "column"
            ):
                self._group_at(i - 1)
                marks.use(i)
        compared = any(
            m.word in ("compare", "vs", "versus", "comparison", "compared") for m in marks.items
        )
        if compared and not self.reading.groups:
            for condition in self.reading.where:
                if condition.op == "in" and condition.column is not None:
                    self.reading.group(condition.column)

    def _in_group_list(self, i: int) -> bool:
        """ "by category and month": the list that starts at "by" takes its parts in order."""
        at = self.marks.before(i, "stop", "and", "column")
        return self.marks.kind(at) == "group" and at < i

    def _ranks_by(self, i: int, at: int) -> bool:
        """ "top 5 products by quantity": a number after "by" is what ranks, not what groups."""
        if self.marks.word(i) not in ("by", "according to") or self.marks.kind(at) not in (
            "column",
            "function",
        ):
            return False
        ranked = any(m.kind == "superlative" for m in self.marks.items[:i]) or self.reading.ordered
        column = self.marks.next_of(at, "stop") if self.marks.kind(at) == "function" else at
        link = (
            self.numeric(self.marks.items[column].links)
            if self.marks.kind(column) == "column"
            else None
        )
        return ranked and link is not None and not self._few(link.column)

    def _few(self, column: Column) -> bool:
        known = self.table.values(column.name)
        return (
            column.type == "integer"
            and column.name in self.table.complete
            and len(known) <= 6
            and (self.table.row_count or 0) > 3 * len(known)
        )

    def _group_at(self, at: int) -> bool:
        mark = self.marks.items[at]
        if at in self.marks.used:
            return mark.kind == "grain"
        if mark.kind == "grain":
            return self._grain(at)
        link = self._grouping(mark.links)
        if link is None:
            return False
        if self.links.is_identifier(link.column) and self.links.is_own_row_noun(mark.word):
            self.marks.use(at)
            return True
        self.reading.group(link.column.name, "day" if link.column.type == "datetime" else None)
        self.marks.use(at, certainty=link.certainty)
        return True

    def _grain(self, i: int) -> bool:
        mark = self.marks.items[i]
        before = self.marks.before(i, "stop")
        grouped = (
            self.marks.kind(before) in ("group", "wh", "and")
            or i == 0
            or mark.word not in GRAINS
            or self.marks.word(before) == "and"
        )
        adverb = mark.word not in (
            "day",
            "days",
            "year",
            "years",
            "month",
            "months",
            "week",
            "weeks",
            "hour",
            "hours",
            "quarter",
            "quarters",
            "weekday",
            "weekdays",
        )
        dates = self.links.typed(TEMPORAL)
        if not (grouped or adverb) or not dates:
            return False
        column = self._named_date(dates)
        grain = str(mark.value) if mark.value != "auto" else "month"
        self.reading.group(column.name, grain)
        self.marks.use(i)
        if self.marks.kind(before) in ("group", "wh"):
            self.marks.use(before)
        return True

    def _named_date(self, dates: tuple[Column, ...]) -> Column:
        for mark in self.marks.items:
            for link in mark.links or (
                self.links.columns((mark.word,), 0.75) if mark.kind in ("word", "value") else ()
            ):
                if link.column in dates:
                    return link.column
        return dates[0]

    def _asked_groups(self) -> None:
        """ "which region ...", "who ...", "what product ...", "on which day ..."."""
        if (
            not any(m.kind == "superlative" or m.word in COMMON for m in self.marks.items)
            and not self.reading.having
        ):
            return
        for i in self.marks.free("wh"):
            at = self.marks.next_of(i, "stop")
            between = {self.marks.word(j) for j in range(i + 1, at)}
            if (
                self.marks.word(i) in ("which", "what", "whose")
                and self.marks.kind(at) == "column"
                and at not in self.marks.used
                and between <= {"of", "the", "our", "kind", "kinds", "my", "is", "are"}
            ):
                if (
                    self.links.is_row_noun(self.marks.word(at))
                    and self._rows_are_unique(at)
                    and not self.reading.having
                ):
                    self.marks.use(i, at)
                elif self.marks.kind(i + 1) == "stop" and self.marks.word(i + 1) in (
                    "is",
                    "are",
                    "was",
                    "were",
                ):
                    continue
                elif self._group_at(at):
                    self.marks.use(i)
            elif self.marks.word(i) in ("who", "where", "what") and not self.reading.groups:
                self._asked_kind(i)

    def _groups_with_conditions(self) -> None:
        """ "agents with at least 50 tickets": a condition on groups, and the noun that names the group."""
        if not self.reading.having or self.reading.groups:
            return
        for i in self.marks.free("column"):
            if not self._entity(self.marks.items[i].links[0].column) and self._group_at(i):
                return

    def _rows_are_unique(self, at: int) -> bool:
        link = self._grouping(self.marks.items[at].links)
        return (
            link is None
            or self.table.is_unique(link.column.name)
            or self.links.is_identifier(link.column)
            or self.links.is_own_row_noun(self.marks.word(at))
        )

    def _asked_kind(self, i: int) -> None:
        word = self.marks.word(i)
        if i and self.marks.kind(i - 1) in ("rows", "column"):
            self.marks.use(i)
            return
        columns = (
            self.links.people() if word == "who" else self.links.places() if word == "where" else ()
        )
        if word == "what" and any(
            m.word in ("sell", "sold", "buy", "bought", "order", "ordered")
            for m in self.marks.items
        ):
            columns = tuple(k.column for k in self.links.with_concept("product"))
        if columns:
            self.marks.use(i)
            if not self.table.is_unique(columns[0].name) and not (stem(columns[0].name) == "name"):
                self.reading.group(columns[0].name)

    def _superlatives(self) -> None:
        for i in self.marks.free("superlative"):
            self._superlative(i)
        for i, mark in enumerate(self.marks.items):
            if mark.word in COMMON and i not in self.marks.used:
                self.marks.use(i)
                self._common(i)

    def _common(self, i: int) -> None:
        at = self.marks.next_of(i, "stop")
        if self.marks.kind(at) == "column" and at not in self.marks.used:
            self._group_at(at)
        if not self.reading.groups:
            for other in self.marks.free("column"):
                self._group_at(other)
                break
        if self.reading.groups:
            self.reading.measure("count", None)
            if self.reading.limit is None and any(
                m.kind == "superlative" for m in self.marks.items
            ):
                self.reading.limit = 1

    def _superlative(self, i: int) -> None:
        marks, word = self.marks, self.marks.word(i)
        order: Superlative = marks.items[i].value
        following = marks.next_of(i, "stop", "amount")
        marks.use(i)
        if marks.word(i + 1) in COMMON:
            return
        concepts = order.concepts or ADJECTIVES.get(marks.word(i + 1), ())
        if not order.concepts and concepts:
            marks.use(i + 1)
        if order.concepts or concepts:
            column, descending = self._by_meaning(order, concepts)
            if column is None:
                self.reading.missing = word if order.concepts else marks.word(i + 1)
                return
            self._rank(column, descending, i)
            return
        link = (
            self.numeric(marks.items[following].links)
            if marks.kind(following) == "column" and following not in marks.used
            else None
        )
        dated = (
            next((k for k in marks.items[following].links if k.column.type in TEMPORAL), None)
            if marks.kind(following) == "column"
            else None
        )
        if link is not None:
            marks.use(following, certainty=link.certainty)
            rows = self._is_participle_of_rows(following)
            self._rank(link.column, order.descending, i, named=not rows)
        elif dated is not None:
            marks.use(following)
            self._rank(dated.column, order.descending, i)
        else:
            self._rank_rows_or_groups(i, following, order.descending)

    def _is_participle_of_rows(self, at: int) -> bool:
        """ "highest paid employee", "best rated hotels": the noun of the rows comes after."""
        after = self.marks.next_of(at, "stop")
        noun = self.marks.kind(after) in ("rows", "column") and after == at + 1
        participle = self.marks.word(at).endswith(("ing", "ed", "id", "ld"))
        if noun and participle and self.marks.kind(after) == "column" and not self.reading.groups:
            if not self.links.is_row_noun(self.marks.word(after)):
                return not self._group_at(after)
        if noun and self.links.is_row_noun(self.marks.word(after)):
            self.marks.use(after)
            return True
        return False

    def _by_meaning(
        self, order: Superlative, concepts: tuple[str, ...]
    ) -> tuple[Column | None, bool]:
        """The column an adjective speaks of; dates order the other way than ages."""
        for turned, words in ((False, concepts), (True, order.inverse)):
            for word in words:
                kinds = (
                    TEMPORAL if word in ("date", "birth", "hire", "created", "time") else NUMERIC
                )
                links = [
                    k
                    for k in self.links.columns((word,), 0.65)
                    if k.column.type in kinds | (NUMERIC if word != "date" else frozenset())
                ]
                dates = self.links.typed(TEMPORAL) if word in ("date", "hire", "birth") else ()
                named = self._named_date(dates) if dates else None
                if links:
                    chosen = (
                        named if named and named in [k.column for k in links] else links[0].column
                    )
                    return chosen, order.descending is not turned
                if named and word == "date":
                    return named, order.descending is not turned
        return None, order.descending

    def _rank(self, column: Column, descending: bool, i: int, named: bool = False) -> None:
        """Ranks by a column: rows, groups by their total or mean, or only the extreme value itself."""
        reading = self.reading
        if self._functions_before(i):
            return
        grouped_after = reading.groups and any(
            m.kind in ("group",) and j in self.marks.used for j, m in enumerate(self.marks.items)
        )
        asked = self._asks_for_rows(i)
        if reading.groups and not grouped_after:
            reading.measure(self._total_or_mean(column), column.name)
            reading.descending, reading.ordered = descending, True
            reading.limit = reading.limit or (None if self._plural_groups() else 1)
        elif named and not asked:
            reading.measure("max" if descending else "min", column.name)
        elif grouped_after:
            reading.measure("max" if descending else "min", column.name)
        else:
            reading.sort, reading.descending, reading.ordered = column.name, descending, True
            reading.limit = reading.limit or self._how_many(i)

    def _plural_groups(self) -> bool:
        return False

    def _functions_before(self, i: int) -> bool:
        """ "the highest average price": the function decides the measure, the superlative the order."""
        at = self.marks.next_of(i, "stop")
        if self.marks.kind(at) != "function":
            return False
        self.reading.descending, self.reading.ordered = (
            bool(self.marks.items[i].value.descending),
            True,
        )
        self.reading.limit = self.reading.limit or 1
        return True

    def _asks_for_rows(self, i: int) -> bool:
        """ "the order with the largest amount", "who has the highest salary", "top 5 salaries"."""
        if self.reading.limit is not None:
            return True
        for at, mark in enumerate(self.marks.items[:i]):
            if mark.kind == "rows" or (
                mark.kind == "wh" and mark.word in ("who", "which", "whose", "where", "when")
            ):
                return True
            if mark.kind == "column" and any(
                m.word in ("with", "has", "have", "had") for m in self.marks.items[at + 1 : i + 1]
            ):
                self.marks.use(at)
                return True
        return False

    def _how_many(self, i: int) -> int | None:
        """One, unless the noun is in the plural ("the cheapest flights" is a ranking of some)."""
        noun = (
            self.marks.items[self.marks.next_of(i, "stop")].word
            if self.marks.next_of(i, "stop") < len(self.marks.items)
            else ""
        )
        return (
            10
            if noun.endswith("s") and stem(noun) != noun and self.marks.word(i) not in ("most",)
            else 1
        )

    def _total_or_mean(self, column: Column) -> str:
        return (
            "mean"
            if set(split_name(column.name)) & AVERAGED and "amount" not in column.name
            else "sum"
        )

    def _rank_rows_or_groups(self, i: int, following: int, descending: bool) -> None:
        """ "most orders", "top 5 products by quantity", "spent the most", "best customers"."""
        marks, reading, word = self.marks, self.reading, self.marks.word(i)
        reading.descending, reading.ordered = descending, True
        if self._functions_before(i):
            return
        rows = marks.kind(following) == "rows" or (
            marks.kind(following) == "column" and self.links.is_own_row_noun(marks.word(following))
        )
        if (
            marks.kind(following) == "column"
            and following not in marks.used
            and not (rows and not reading.groups)
        ):
            if rows:
                marks.use(following)
                reading.measure("count", None)
            elif not reading.groups:
                self._group_at(following)
            elif any(k.column.name == c for k in marks.links(following) for c, _ in reading.groups):
                marks.use(following)
            else:
                marks.use(following)
                link = self._grouping(marks.items[following].links)
                reading.measure(
                    "count" if link is None or self._entity(link.column) else "count_distinct",
                    None if link is None or self._entity(link.column) else link.column.name,
                )
        elif marks.kind(following) == "rows" and reading.groups:
            marks.use(following)
            reading.measure("count", None)
        column = None if reading.measures else self._ranking_column(i)
        if column is None and not reading.groups and word in BEST | WORST:
            column = self._quality_column()
        if column is None and rows and not reading.groups and word in SIZES:
            column = self._size_column() or self.default_number()
        if (
            column is None
            and reading.groups
            and not reading.measures
            and word in BEST | WORST | SIZES
        ):
            column = self.default_number()
        if reading.groups:
            if reading.limit is None:
                reading.limit = (
                    None
                    if following < len(marks.items)
                    and stem(marks.word(following)) != marks.word(following)
                    and marks.word(i) in BEST
                    else 1
                )
            if column is not None:
                reading.measure(self._total_or_mean(column), column.name)
            elif not reading.measures:
                reading.measure("count", None)
        elif column is not None:
            marks.use(following) if rows else None
            reading.sort = column.name
            reading.limit = reading.limit or 1
        elif marks.word(i) == "top" and reading.limit:
            marks.use(following) if rows else None

    def _size_column(self) -> Column | None:
        """What "biggest" goes by, before money: an area."""
        link = self.numeric(self.links.columns(("area",), 0.7))
        return link.column if link else None

    def _quality_column(self) -> Column | None:
        """What "best" goes by when nothing is said: a rating or a score."""
        for floor in (0.85, 0.7):
            for word in ("rating", "score", "satisfaction", "revenue"):
                link = self.numeric(self.links.columns((word,), floor))
                if link is not None:
                    return link.column
        return None

    def _entity(self, column: Column) -> bool:
        return self.links.is_identifier(column) or self.table.is_unique(column.name)

    def _ranking_column(self, i: int) -> Column | None:
        """The number that a ranking goes by: named after "by", or by a verb ("spent", "sold", "earns")."""
        for at in [*range(i + 1, len(self.marks.items)), *range(i)]:
            mark = self.marks.items[at]
            if at in self.marks.used and mark.kind != "stop":
                continue
            links = mark.links or (
                self.links.columns((mark.word,), 0.7)
                if mark.kind in ("word", "stop") and len(mark.word) > 3 and concepts_of(mark.word)
                else ()
            )
            link = self.numeric(links)
            if link is not None and mark.kind in ("column", "word", "stop", "rows"):
                self.marks.use(
                    at,
                    self.marks.before(at, "stop")
                    if self.marks.kind(self.marks.before(at, "stop")) == "group"
                    else at,
                    certainty=max(link.certainty, 0.8),
                )
                return link.column
        return None

    def _functions(self) -> None:
        for i in self.marks.free("function"):
            function = str(self.marks.items[i].value)
            self.marks.use(i)
            if (
                self.reading.sort
                and not self.reading.groups
                and function in ("count", "sum")
                and self.reading.limit == 1
            ):
                continue
            if function in ("count", "count_distinct"):
                self._count(i, function)
            elif function == "share":
                self._share(i)
            else:
                self._aggregate(i, function)

    def _count(self, i: int, function: str) -> None:
        at = self.marks.next_of(i, "stop")
        mark = self.marks.items[at] if at < len(self.marks.items) else None
        absorbed = (
            self.marks.kind(self.marks.before(i, "stop")) == "function" and at in self.marks.used
        )
        if absorbed and self.reading.measures:
            return
        if mark is not None and mark.kind == "value" and (sold := self._sold()) is not None:
            self.reading.measure("sum", sold.name)
            return
        if mark is None or at in self.marks.used or mark.kind == "rows" and function == "count":
            if mark is not None and mark.kind == "rows":
                self.marks.use(at)
            self.reading.measure("count", None)
            return
        if mark.kind == "column":
            number = self.numeric(mark.links)
            link = (
                number
                if number
                and number.certainty >= 0.75
                and function == "count"
                and number.certainty >= mark.links[0].certainty
                else self._grouping(mark.links)
            )
            assert link is not None
            self.marks.use(at, certainty=link.certainty)
            if self.links.is_own_row_noun(mark.word) and function == "count":
                self.reading.measure("count", None)
            elif number is link and not self._few(link.column):
                self.reading.measure("sum", link.column.name)
            elif function == "count" and (
                self._entity(link.column)
                or (self.links.is_row_noun(mark.word) and link.certainty < 0.95)
            ):
                self.reading.measure("count", None)
            else:
                self.reading.measure("count_distinct", link.column.name)
        elif mark.kind == "rows" and (entity := self._entity_column(mark)) is not None:
            self.marks.use(at)
            self.reading.measure("count_distinct", entity.name)
        else:
            self.reading.measure("count", None)

    def _sold(self) -> Column | None:
        """ "how many laptops did we sell" counts pieces, not rows."""
        for i, mark in enumerate(self.marks.items):
            if stem(mark.word) in ("sell", "buy", "selling"):
                link = self.numeric(self.links.columns(("quantity",), 0.75))
                if link is not None:
                    self.marks.use(i)
                    return link.column
        return None

    def _entity_column(self, mark: Mark) -> Column | None:
        links = self.links.columns((mark.word,), 0.7)
        return links[0].column if links else None

    def _share(self, i: int) -> None:
        self.reading.measure("share", None)
        at = self.marks.next_of(i, "stop")
        if self.marks.kind(at) == "rows":
            self.marks.use(at)

    def _aggregate(self, i: int, function: str) -> None:
        """A function takes the column after it; "total and average price" share one."""
        marks = self.marks
        later = [j for j in range(i + 1, len(marks.items))]
        for at in [*later, *reversed(range(i))]:
            mark = marks.items[at]
            if (
                at in marks.used
                and mark.kind == "column"
                and at > i
                and marks.kind(at - 1) in ("group",)
            ):
                continue
            if mark.kind == "group" and at > i and at not in marks.used:
                continue
            links = mark.links or (
                self.links.columns((mark.word,), 0.7)
                if mark.kind in ("word", "stop", "rows")
                and len(mark.word) > 3
                and mark.word not in ("value", "values", "first", "order", "orders")
                else ()
            )
            link = self.numeric(links)
            taken = at in marks.used and not any(
                c == (link.column.name if link else None) for _, c in self.reading.measures
            )
            if link is not None and not taken:
                marks.use(at, certainty=link.certainty if mark.kind != "stop" else 0.9)
                self.reading.measure(function, link.column.name)
                self._more_columns(at, function)
                return
        self._default_measure(i, function)

    def _more_columns(self, at: int, function: str) -> None:
        """ "average price and weight by brand"."""
        while self.marks.kind(self.marks.next_of(at, "stop")) == "and":
            at = self.marks.next_of(self.marks.next_of(at, "stop"), "stop")
            link = (
                self.numeric(self.marks.items[at].links)
                if self.marks.kind(at) == "column" and at not in self.marks.used
                else None
            )
            if link is None:
                return
            self.marks.use(at, certainty=link.certainty)
            self.reading.measure(function, link.column.name)

    def _default_measure(self, i: int, function: str) -> None:
        following = self.marks.next_of(i, "stop")
        unknown = (
            self.marks.items[following]
            if self.marks.kind(following) == "word" and following not in self.marks.used
            else None
        )
        if unknown is not None:
            self.reading.missing = unknown.word
            return
        if self.marks.kind(following) == "rows" and function == "sum":
            self.marks.use(following)
            self.reading.measure("count", None)
            return
        column = self.default_number()
        if column is not None:
            self.reading.measure(function, column.name)
        elif function == "sum":
            self.reading.measure("count", None)

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

    def _rest(self) -> None:
        """Columns that nothing has claimed: what is measured per group, or what is to be shown."""
        reading = self.reading
        free = self.marks.free("column")
        if reading.groups and not reading.measures and not reading.chart_columns:
            for i in free:
                link = self.numeric(self.marks.items[i].links)
                if link is not None:
                    self.marks.use(i, certainty=link.certainty)
                    reading.measure(self._total_or_mean(link.column), link.column.name)
            if not reading.measures and not reading.having:
                reading.measure("count", None)
        elif reading.chart and not reading.chart_columns and not reading.aggregates:
            self._chart_rest(free)
        for i in self.marks.free("column"):
            if (
                self.links.is_row_noun(self.marks.word(i))
                or reading.aggregates
                and self.marks.items[i].certainty < 0.9
            ):
                self.marks.use(i, certainty=0.9)
            elif not reading.aggregates and not reading.sort:
                name = self.marks.items[i].links[0].column.name
                reading.select.append(name)
                self.marks.use(i)
            else:
                self.marks.use(i, certainty=0.7)
        for i in self.marks.free("rows", "wh"):
            self.marks.use(i)
        for i, mark in enumerate(self.marks.items):
            if mark.word in ("distinct", "unique", "different"):
                reading.distinct = True
                self.marks.use(i)

    def _chart_rest(self, free: list[int]) -> None:
        for i in free:
            link = self.numeric(self.marks.items[i].links)
            best = self.marks.items[i].links[0]
            self.marks.use(i, certainty=best.certainty)
            if link is not None and link.certainty >= best.certainty:
                self.reading.chart_columns.append(link.column.name)
            else:
                self.reading.group(best.column.name)
        if self.reading.groups and not self.reading.measures:
            numbers, self.reading.chart_columns = self.reading.chart_columns, []
            for name in numbers:
                self.reading.measure("sum", name)
            if not numbers:
                self.reading.measure("count", None)

    def _shares(self) -> None:
        """A share asks how many of the rows meet the one condition: it must not filter before counting."""
        reading = self.reading
        if ("share", None) in reading.measures and reading.where and not reading.groups:
            reading.share_of = reading.where.pop()
            if reading.share_of.column is not None and reading.share_of.op in ("eq", "in", "ne"):
                reading.group(reading.share_of.column)

    def counted(self, condition: Condition) -> Condition:
        return replace(condition, column=condition.column or "count")


def measure_name(function: str, column: str | None) -> str:
    """The name of a measure's column in the result."""
    if column is None:
        return function
    return f"distinct {column}" if function == "count_distinct" else f"{function} of {column}"


def measure_json(function: str, column: str | None) -> dict[str, Any]:
    made: dict[str, Any] = {"fn": function}
    if column is not None:
        made["column"] = column
        if function == "count_distinct":
            made["as"] = measure_name(function, column)
    return made
