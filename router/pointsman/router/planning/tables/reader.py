"""Reads one question about a table from beginning to end."""

from pointsman.router.planning.tables.context import NUMERIC, TEMPORAL
from pointsman.router.planning.tables.groups import COMMON
from pointsman.router.planning.tables.marks import RATES
from pointsman.router.planning.tables.periods import Apart
from pointsman.router.planning.tables.reading import Reading
from pointsman.router.planning.tables.words import stem
from pointsman.router.values import Column


class Reader(Apart):
    """Reads one question; every part explains its marks, so that what is left over is known."""

    def read(self) -> Reading:
        self._limits()
        self._charts()
        found = self.conditions.read()
        said = self.conditions.missing
        self.reading.where = [c for c in found if c.column is not None and c.function is None]
        self.reading.having = [c for c in found if c.column is None or c.function is not None]
        self._periods()
        self._never()
        self._beyond()
        self._rates()
        self._sorts()
        self._groups()
        self._splits()
        self._told_apart()
        self._asked_groups()
        self._groups_with_conditions()
        self._superlatives()
        self._functions()
        self._rest()
        self._shares()
        if self.reading.beyond is None:
            self.reading.missing = self.reading.missing or said
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
            ) or self._numbers_the_asked(i)
            if (
                marks.kind(before) == "superlative"
                or marks.kind(after) == "superlative"
                or lead
                or marks.word(after) in ("most", "least")
            ):
                if not 0 < mark.value.value <= 1_000_000 or marks.kind(i - 1) == "comparison":
                    continue
                self.reading.limit = int(mark.value.value)
                marks.use(
                    i, before if lead and marks.kind(before) not in ("superlative", "wh") else i
                )

    def _numbers_the_asked(self, i: int) -> bool:
        """ "which three regions", "the two products with the most ...": how many of the ranked are wanted."""
        marks = self.marks
        asks = marks.word(i - 1) in ("which", "what", "whose", "the")
        ranked = any(m.kind == "superlative" or m.word in COMMON for m in marks.items[i:])
        noun = marks.kind(i + 1) == "rows" or (
            marks.kind(i + 1) == "column" and marks.links(i + 1)[0].column.type not in NUMERIC
        )
        return asks and ranked and noun

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
        if mark is None or at in self.marks.used or (mark.kind == "rows" and function == "count"):
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

    def _rates(self) -> None:
        """ "return rate", "churn rates": the share of the rows that meet the condition before the word."""
        for i, mark in enumerate(self.marks.items):
            condition = i - 1 in self.marks.used and self.marks.kind(i - 1) in ("value", "column")
            if mark.word in RATES and i not in self.marks.used and condition:
                self.reading.measure("share", None)
                self.marks.use(i)

    def _share(self, i: int) -> None:
        """ "share of orders" is one of rows, "share of revenue" one of a sum."""
        at = self.marks.next_of(i, "stop")
        free = self.marks.kind(at) == "column" and at not in self.marks.used
        link = self.numeric(self.marks.links(at)) if free else None
        own = self.links.is_own_row_noun(self.marks.word(at))
        if link is not None and not own and self.table.truth_values(link.column) is None:
            self.marks.use(at, certainty=link.certainty)
            self.reading.measure("share_of_sum", link.column.name)
            return
        self.reading.measure("share", None)
        if self.marks.kind(at) == "rows":
            self.marks.use(at)

    def _aggregate(self, i: int, function: str) -> None:
        """A function takes the column after it; "total and average price" share one."""
        marks = self.marks
        later = list(range(i + 1, len(marks.items)))
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

    def _sold(self) -> Column | None:
        """ "how many laptops did we sell" counts pieces, not rows."""
        for i, mark in enumerate(self.marks.items):
            if stem(mark.word) in ("sell", "buy", "selling"):
                link = self.numeric(self.links.columns(("quantity",), 0.75))
                if link is not None:
                    self.marks.use(i)
                    return link.column
        return None

    def _rest(self) -> None:
        """Columns that nothing has claimed: what is measured per group, or what is to be shown."""
        reading = self.reading
        free = self.marks.free("column")
        if reading.groups and not reading.measures and not reading.chart_columns:
            self._measure_rest(free)
        elif reading.chart and not reading.chart_columns and not reading.aggregates:
            self._chart_rest(free)
        self._show_rest()
        self.marks.use(*self.marks.free("rows", "wh"))
        for i, mark in enumerate(self.marks.items):
            if mark.word in ("distinct", "unique", "different"):
                reading.distinct = True
                self.marks.use(i)

    def _measure_rest(self, free: list[int]) -> None:
        reading = self.reading
        for i in free:
            link = self.numeric(self.marks.links(i))
            if link is not None:
                self.marks.use(i, certainty=link.certainty)
                reading.measure(self._total_or_mean(link.column), link.column.name)
        if not reading.measures and not reading.having:
            reading.measure("count", None)

    def _show_rest(self) -> None:
        reading = self.reading
        for i in self.marks.free("column"):
            doubtful = reading.aggregates and self.marks.items[i].certainty < 0.9
            exact = self._comes_first(i) and self.marks.links(i)[0].certainty >= 0.95
            if (self.links.is_row_noun(self.marks.word(i)) and not exact) or doubtful:
                self.marks.use(i, certainty=0.9)
            elif not reading.aggregates and not reading.sort:
                self._select(i)
                self.marks.use(i)
            else:
                self.marks.use(i, certainty=0.7)

    def _select(self, i: int) -> None:
        """A column to be shown; of those that were named first, only they."""
        best = self.marks.links(i)[0]
        if (
            self.marks.kind(i - 1) == "column"
            and self.marks.links(i - 1)[0].certainty > best.certainty
        ):
            best = self.marks.links(i - 1)[0]  # "email addresses" are e-mails
        reading, name = self.reading, best.column.name
        if self._comes_first(i):
            reading.select, reading.listed = (
                [*(reading.select if reading.listed else ()), name],
                True,
            )
        elif not reading.listed:
            reading.select.append(name)

    def _comes_first(self, i: int) -> bool:
        """ "titles of all cooking books": a column named in the plural or after "the", then whose it is."""
        before = self.marks.items[:i]
        leads = all(m.kind in ("stop", "wh", "and", "column") for m in before)
        return leads and self.marks.word(i + 1) in ("of", "for", "and", ",")

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
        dates = {c.name for c in self.links.typed(TEMPORAL)}
        if any(f == "share_of_sum" for f, _ in reading.measures) and not reading.groups:
            reading.base = [c for c in reading.where if c.column in dates]
            reading.where = [c for c in reading.where if c.column not in dates]
        if ("share", None) not in reading.measures or not reading.where or reading.any_of:
            return
        asked = [c for c in reading.where if c.column not in dates]
        if not asked and not reading.groups:
            asked = reading.where
        chosen = asked[-1 if self._says_of_share() else 0] if asked else None
        reading.base = [c for c in reading.where if c is not chosen]
        reading.where = [chosen] if chosen else []
        if chosen is None or reading.groups:
            return
        if chosen.column is not None and chosen.op in ("eq", "in", "ne"):
            reading.group(chosen.column)
            reading.share_of, reading.where = chosen, []

    def _says_of_share(self) -> bool:
        """ "share of orders in the North that were returned": the verb says it of the rows before it."""
        shares = [
            i for i, m in enumerate(self.marks.items) if m.value == "share" or m.word in RATES
        ]
        verbs = ("is", "are", "was", "were", "that", "who", "which", "have", "has")
        return any(m.word in verbs for m in self.marks.items[shares[0] :]) if shares else False
