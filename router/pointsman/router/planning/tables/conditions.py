"""Conditions in a question: values, dates, yes and no columns, and the predicates."""

import re
from datetime import date
from typing import Any

from pointsman.router.planning.arguments.moments import Moment
from pointsman.router.planning.tables.context import NUMERIC, TEMPORAL
from pointsman.router.planning.tables.marks import Mark
from pointsman.router.planning.tables.predicates import AVERAGED, Condition, Predicates
from pointsman.router.planning.tables.words import split_name, stem
from pointsman.router.values import Column, Json

__all__ = ["AVERAGED", "Condition", "Conditions"]

ANTONYMS = {
    "failed": "passed", "fail": "passed", "failing": "passed", "stayed": "churned", "retained": "churned",
    "loyal": "churned", "sick": "healthy", "absent": "present", "dead": "survived", "died": "survived",
    "offline": "online", "onsite": "remote", "lost": "won",
}  # fmt: skip


class Conditions(Predicates):
    """Takes all conditions out of the marks of one question."""

    def read(self) -> list[Condition]:
        self._missing()
        self._texts()
        self._words_within()
        self._numbers()
        self._moments()
        self._values()
        self._antonyms()
        self._truths()
        return self.found

    def _moments(self) -> None:
        for i, mark in enumerate(self.marks.items):
            if mark.kind != "moment" or i in self.marks.used:
                continue
            moment: Moment = mark.value
            column = self._date_column(i, moment)
            if column is None:
                continue
            if column.type in NUMERIC:
                self._year(column, moment)
            elif _recurs(column, moment) and moment.first is not None:
                self.found.append(Condition(column.name, "in_month", moment.first.month))
            else:
                self._date(column, self._in_data(column, moment), self._negated(i, column))
            self.marks.use(i)

    def _date_column(self, index: int, moment: Moment) -> Column | None:
        dates = self.links.typed(TEMPORAL)
        years = [
            c
            for c in self.links.typed(NUMERIC)
            if {"year", "built"} & {stem(w) for w in c.name.lower().split("_")}
        ]
        for at in (self.marks.before(index, "stop", "wh", "not", "comparison"), index + 1):
            if 0 <= at < len(self.marks.items):
                mark = self.marks.items[at]
                candidates = mark.links or self.links.columns((mark.word,), 0.6)
                for link in candidates:
                    if link.column in dates or (
                        link.column in years and moment.grain in ("year", "decade", "span")
                    ):
                        if link.certainty >= candidates[0].certainty:
                            self.marks.use(at, certainty=link.certainty)
                        return link.column
        for mark in self.marks.items:
            for link in (
                self.links.columns((mark.word,), 0.7)
                if mark.kind in ("word", "column", "value", "stop")
                else ()
            ):
                if link.column in dates:
                    return link.column
        return next(
            iter(dates),
            next(iter(years), None) if moment.grain in ("year", "decade", "span") else None,
        )

    def _in_data(self, column: Column, moment: Moment) -> Moment:
        """A month without a year means the latest such month that the table has."""
        known = [str(v) for v in self.table.values(column.name)]
        years = sorted({int(v[:4]) for v in known if v[:4].isdigit()}, reverse=True)
        if moment.year_given or not years or moment.first is None:
            return moment
        with_month = [
            y for y in years if any(v.startswith(f"{y}-{moment.first.month:02d}") for v in known)
        ]
        return moment.moved_to_year((with_month or years)[0])

    def _date(self, column: Column, moment: Moment, negated: bool) -> None:
        first, last = moment.iso()
        if first and last:
            if negated:
                self.found.append(Condition(column.name, "lt", first))
            elif first == last:
                self.found.append(
                    Condition(
                        column.name,
                        "eq" if column.type == "date" else "between",
                        first if column.type == "date" else [first, last + "T23:59:59"],
                    )
                )
            else:
                self.found.append(
                    Condition(
                        column.name,
                        "between",
                        [first, last if column.type == "date" else last + "T23:59:59"],
                    )
                )
        elif first:
            self.found.append(Condition(column.name, "ge", first))
        elif moment.last:
            self.found.append(
                Condition(
                    column.name, "lt", date.fromordinal(moment.last.toordinal() + 1).isoformat()
                )
            )

    def _year(self, column: Column, moment: Moment) -> None:
        first = moment.first.year if moment.first else None
        last = moment.last.year if moment.last else None
        if first is not None and last is not None:
            op, value = ("eq", first) if first == last else ("between", [first, last])
            self.found.append(Condition(column.name, op, value))  # type: ignore[arg-type]
        elif first is not None:
            self.found.append(Condition(column.name, "ge", first))
        else:
            self.found.append(Condition(column.name, "le", last))

    def _values(self) -> None:
        by_column: dict[str, list[tuple[Json, bool, bool]]] = {}
        for i, mark in enumerate(self.marks.items):
            if i in self.marks.used or not (mark.values and mark.kind in ("value", "quote")):
                continue
            chosen = self._choose_value(i, mark)
            negated = self._negated(i, chosen.column) or self._carried(i, by_column)
            part = (
                chosen.part
                and len({str(v.value) for v in mark.values if v.column == chosen.column}) > 1
            )
            value = mark.value if part else chosen.value
            by_column.setdefault(chosen.column.name, []).append((value, negated, part))
            self.marks.use(i)
            self._use_column_beside(i, chosen.column)
            before = self.marks.before(i, "stop")
            if self.marks.kind(before) == "or" and any(
                v.column == chosen.column for v in self.marks.items[before - 1].values
            ):
                self.marks.use(before)
        for column, chosen_values in by_column.items():
            self._add_values(column, chosen_values)

    def _carried(self, index: int, chosen: dict[str, list[tuple[Json, bool, bool]]]) -> bool:
        """A negation reaches over "or" and "and": "not shipped or pending"."""
        before = self.marks.before(index, "stop")
        if self.marks.kind(before) not in ("and", "or"):
            return False
        last = [values[-1][1] for values in chosen.values() if values]
        return bool(
            last and last[-1] and self.marks.kind(self.marks.before(before, "stop")) == "value"
        )

    def _choose_value(self, index: int, mark: Mark) -> Any:
        """Of several columns that hold the value, the one that is named beside it, else by preposition."""
        preposition = self.marks.word(index - 1)
        for at in (self.marks.before(index, "stop"), self.marks.next_of(index, "stop")):
            named = (
                {k.column.name for k in self.marks.items[at].links}
                if self.marks.kind(at) == "column"
                else set()
            )
            for value in mark.values:
                if value.column.name in named:
                    return value
        wanted = {
            "from": ("origin", "departure", "source", "from"),
            "to": ("destination", "arrival", "to"),
        }.get(preposition, ())
        for value in mark.values:
            if any(k.column == value.column for w in wanted for k in self.links.columns((w,), 0.7)):
                return value
        return max(mark.values, key=lambda v: v.certainty)

    def _use_column_beside(self, index: int, column: Column) -> None:
        for at in (
            self.marks.before(index, "stop", "comparison"),
            self.marks.next_of(index, "stop"),
        ):
            if (
                self.marks.kind(at) == "column"
                and at not in self.marks.used
                and any(k.column == column for k in self.marks.items[at].links[:2])
            ):
                if self.marks.kind(at - 1) == "group" or self.marks.kind(at - 1) == "wh":
                    continue
                self.marks.use(at)
                if self.marks.kind(at + 1) == "comparison":
                    self.marks.use(at + 1)
                return

    def _add_values(self, column: str, chosen: list[tuple[Json, bool, bool]]) -> None:
        for negated in (False, True):
            values = list(dict.fromkeys(v for v, n, part in chosen if n == negated and not part))
            if len(values) == 1:
                self.found.append(Condition(column, "ne" if negated else "eq", values[0]))
            elif values:
                self.found.append(Condition(column, "not_in" if negated else "in", values))
        for value, negated, part in chosen:
            if part:
                self.found.append(
                    Condition(column, "not_contains" if negated else "contains", value)
                )

    def _counted(self, i: int) -> bool:
        """ "how many smokers": the column's name, in the plural, names the rows that it holds for."""
        word = self.marks.word(i)
        return self.marks.items[i - 1].value == "count" and stem(word) != word

    def _antonyms(self) -> None:
        """ "failed", "inactive", "unpaid": the opposite of a two-valued column's name."""
        for i, mark in enumerate(self.marks.items):
            if i in self.marks.used or mark.kind not in ("word", "column", "stop"):
                continue
            opposite = ANTONYMS.get(stem(mark.word)) or re.sub(
                r"^(?:un|in|non-?|dis)(?=\w{4})", "", mark.word
            )
            if opposite == mark.word:
                continue
            for link in self.links.columns((opposite,), 0.8):
                truth = self.table.truth_values(link.column)
                if truth is not None:
                    self.found.append(Condition(link.column.name, "eq", truth[1]))
                    self.marks.use(i)
                    break

    def _truths(self) -> None:
        """ "customers who churned", "not active", "remote employees": a two-valued column named as a word."""
        for i, mark in enumerate(self.marks.items):
            if (
                mark.kind != "column"
                or i in self.marks.used
                or self.marks.kind(i - 1) == "group"
                or (
                    self.marks.kind(i - 1) == "function"
                    and not self._counted(i)
                    and self.marks.items[i - 1].value != "share"
                )
            ):
                continue
            truth = self.table.truth_values(mark.links[0].column)
            if truth is None or self.marks.kind(self.marks.before(i, "stop")) in ("group",):
                continue
            if any(m.kind == "chart" for m in self.marks.items):
                continue
            negated = self._negated(i)
            self.found.append(
                Condition(mark.links[0].column.name, "eq", truth[1] if negated else truth[0])
            )
            self.marks.use(i)


def _recurs(column: Column, moment: Moment) -> bool:
    """ "whose birthday is in November": of any year, where the column holds what comes again each year."""
    yearly = {"birth", "birthday", "anniversary"} & set(split_name(column.name))
    return bool(yearly) and moment.grain == "month" and not moment.year_given
