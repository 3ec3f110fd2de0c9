"""Groups and orders of a question: "per region", "by month", "which customer", "sorted by"."""

from pointsman.router.planning.tables.context import TEMPORAL
from pointsman.router.planning.tables.reading import Parts
from pointsman.router.planning.tables.words import GRAINS, stem

COMMON = frozenset("common frequent popular often frequently commonly busiest".split())


class Groups(Parts):
    """Takes groups and sort orders out of the marks."""

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
        counts = self.marks.kind(at) == "function" and self.marks.items[at].value == "count"
        if counts and self.numeric(self.marks.links(column)):
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
        self._contrasts()
        compared = any(
            m.word in ("compare", "vs", "versus", "comparison", "compared") for m in marks.items
        )
        if compared and not self.reading.groups:
            for condition in self.reading.where:
                if condition.op == "in" and condition.column is not None:
                    self.reading.group(condition.column)

    def _contrasts(self) -> None:
        """ "smokers vs non-smokers": yes and no of one column are its groups, for no row can be both."""
        where = self.reading.where
        for one in where:
            truth = next(
                (self.table.truth_values(c) for c in self.table.columns if c.name == one.column),
                None,
            )
            said = [c.value for c in where if c.column == one.column and c.op == "eq"]
            if truth is not None and one.column is not None and set(said) == set(truth):
                self.reading.where = [c for c in where if c.column != one.column]
                self.reading.group(one.column)
                return

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

    def _asked_groups(self) -> None:
        """ "which region ...", "who ...", "what product ...", "on which day ..."."""
        if (
            not any(m.kind == "superlative" or m.word in COMMON for m in self.marks.items)
            and not self.reading.having
        ):
            return
        for i in self.marks.free("wh"):
            limited = ("amount",) if i + 1 in self.marks.used else ()
            at = self.marks.next_of(i, "stop", *limited)
            between = {
                self.marks.word(j) for j in range(i + 1, at) if self.marks.kind(j) != "amount"
            }
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
            if not self.table.is_unique(columns[0].name) and stem(columns[0].name) != "name":
                self.reading.group(columns[0].name)
