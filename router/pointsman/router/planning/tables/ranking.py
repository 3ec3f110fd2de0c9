"""Superlatives of a question: "the cheapest flights", "who spent the most", "top 5 products by quantity"."""

import re

from pointsman.router.planning.tables.context import NUMERIC, TEMPORAL
from pointsman.router.planning.tables.groups import COMMON, Groups
from pointsman.router.planning.tables.words import ADJECTIVES, Superlative, concepts_of, stem
from pointsman.router.values import Column

BEST = frozenset("best top".split())

WORST = frozenset("worst bottom".split())

SIZES = frozenset("biggest largest highest greatest smallest lowest top".split())


class Ranking(Groups):
    """Takes superlatives out of the marks: what is ranked, by which column, which way."""

    def _superlatives(self) -> None:
        self._first_or_last()
        self._leading()
        for i in self.marks.free("superlative"):
            self._superlative(i)
        for i, mark in enumerate(self.marks.items):
            if mark.word in COMMON and i not in self.marks.used:
                self.marks.use(i)
                self._common(i)

    def _leading(self) -> None:
        """ "newest first", "oldest first": an order of the rows by their date or year."""
        for mark in self.marks.items:
            timely = mark.kind == "sort" and re.match(
                r"(?:newest|oldest|latest|earliest|most recent)\b", mark.word
            )
            if not timely or self.reading.groups or self.reading.sort:
                continue
            dates = self.links.typed(TEMPORAL)
            years = [k.column for k in self.links.columns(("year",), 0.9)]
            column = self._named_date(dates) if dates else next(iter(years), None)
            if column is not None:
                self.reading.sort, self.reading.ordered = column.name, True
                self.reading.descending = bool(mark.value)

    def _first_or_last(self) -> None:
        """ "who joined first", "the last person to be hired": the row at the end of a date that is named."""
        marks = self.marks
        for i, mark in enumerate(marks.items):
            beside = (marks.kind(i - 1), marks.kind(i + 1))
            if mark.word not in ("first", "last") or i in marks.used or "amount" in beside:
                continue
            if self.reading.groups or self.reading.sort or mark.kind not in ("stop", "word"):
                continue
            for at in marks.free("column"):
                dated = next((k for k in marks.links(at) if k.column.type in TEMPORAL), None)
                if dated is not None and not self._named_rows(at):
                    marks.use(i, at)
                    self.reading.sort = dated.column.name
                    self.reading.descending, self.reading.ordered = mark.word == "last", True
                    self.reading.limit = self.reading.limit or 1
                    return

    def _named_rows(self, at: int) -> bool:
        """Whether a mark is the rows' noun rather than a column: "order" of orders with an order date."""
        return self.links.is_own_row_noun(self.marks.word(at))

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
            and not (word in SIZES and self.links.is_row_noun(marks.word(following)))
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
        own = self.links.is_row_noun(self.marks.word(after))
        column = self.marks.kind(after) == "column" and not own
        if noun and participle and column and not self.reading.groups:
            return not self._group_at(after)
        if noun and own:
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
                    pair = self.links.ends(chosen)
                    if pair is not None:  # the hottest day is one of the highest maximum
                        chosen = pair[1] if order.descending is not turned else pair[0]
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
            extreme = "max" if descending else "min"
            dated = column.type in TEMPORAL
            reading.measure(extreme if dated else self._total_or_mean(column), column.name)
            reading.descending, reading.ordered = descending, True
            reading.limit = reading.limit or (None if False else 1)
        elif grouped_after and not named and self._ranks_rows(i) and not reading.measures:
            reading.best_of, reading.descending = column.name, descending
        elif (named and not asked) or grouped_after:
            reading.measure("max" if descending else "min", column.name)
        else:
            reading.sort, reading.descending, reading.ordered = column.name, descending, True
            reading.limit = reading.limit or self._how_many(i)

    def _ranks_rows(self, i: int) -> bool:
        """ "the best rated book per genre": the rows' own noun follows, and one column groups them."""
        ahead = range(i + 1, min(i + 4, len(self.marks.items)))
        noun = any(
            self.links.is_row_noun(self.marks.word(j))
            and not any(self.marks.kind(k) == "group" for k in range(i, j + 1))
            for j in ahead
        )
        return noun and len(self.reading.groups) == 1 and self.reading.groups[0][1] is None

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
        self.reading.descending, self.reading.ordered = descending, True
        if self._functions_before(i):
            return
        noun = self.marks.word(following)
        rows = self.marks.kind(following) == "rows" or (
            self.marks.kind(following) == "column"
            and (
                self.links.is_own_row_noun(noun)
                or (self.links.is_row_noun(noun) and self._dates_only(following))
            )
        )
        self._ranked_noun(following, rows)
        column = None if self.reading.measures else self._ranking_column(i)
        column = column or self._implied_column(self.marks.word(i), rows)
        if self.reading.groups:
            self._rank_groups(i, following, column)
        elif rows or column is not None:
            self.marks.use(following) if rows else None
            self.reading.sort = column.name if column else None
            if column is not None:
                self.reading.limit = self.reading.limit or 1

    def _dates_only(self, at: int) -> bool:
        """ "order" of purchases with an order date: as a column it would only be a date."""
        return all(k.column.type in TEMPORAL for k in self.marks.links(at))

    def _ranked_noun(self, at: int, rows: bool) -> None:
        """The noun after a superlative: counted rows, or a column to group by or to count the values of."""
        marks, reading = self.marks, self.reading
        if at in marks.used or marks.kind(at) not in ("rows", "column"):
            return
        if rows and reading.groups:
            marks.use(at)
            reading.measure("count", None)
        elif not rows and not reading.groups:
            self._group_at(at)
        elif not rows:
            marks.use(at)
            link = self._grouping(marks.links(at))
            if link is None or self._entity(link.column):
                reading.measure("count", None)
            elif all(link.column.name != column for column, _ in reading.groups):
                reading.measure("count_distinct", link.column.name)

    def _implied_column(self, word: str, rows: bool) -> Column | None:
        """What a ranking goes by when nothing is named: "best" a rating, "biggest" an area or the money."""
        if self.reading.measures:
            return None
        if self.reading.groups:
            return self.default_number() if word in BEST | WORST | SIZES else None
        if word in BEST | WORST and (quality := self._quality_column()) is not None:
            return quality
        return self._size_column() or self.default_number() if rows and word in SIZES else None

    def _rank_groups(self, i: int, following: int, column: Column | None) -> None:
        reading, noun = self.reading, self.marks.word(following)
        several = self.marks.word(i) in BEST and stem(noun) != noun
        if reading.limit is None and not several:
            reading.limit = 1
        if column is not None:
            reading.measure(self._total_or_mean(column), column.name)
        elif not reading.measures:
            reading.measure("count", None)

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
