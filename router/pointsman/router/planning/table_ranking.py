"""Superlatives of a question: "the cheapest flights", "who spent the most", "top 5 products by quantity"."""

from pointsman.router.planning.table_context import NUMERIC, TEMPORAL
from pointsman.router.planning.table_groups import COMMON, Groups
from pointsman.router.planning.table_words import ADJECTIVES, Superlative, concepts_of, stem
from pointsman.router.values import Column

BEST = frozenset("best top".split())

WORST = frozenset("worst bottom".split())

SIZES = frozenset("biggest largest highest greatest smallest lowest top".split())


class Ranking(Groups):
    """Takes superlatives out of the marks: what is ranked, by which column, which way."""

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
            reading.limit = reading.limit or (None if False else 1)
        elif (named and not asked) or grouped_after:
            reading.measure("max" if descending else "min", column.name)
        else:
            reading.sort, reading.descending, reading.ordered = column.name, descending, True
            reading.limit = reading.limit or self._how_many(i)

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
