"""Predicates of a question: comparisons, missing cells, parts of texts."""

from dataclasses import dataclass
from typing import Any

from pointsman.router.planning.arguments.amounts import Amount
from pointsman.router.planning.tables.context import NUMERIC, TableContext
from pointsman.router.planning.tables.links import Link, Links
from pointsman.router.planning.tables.marks import Mark, Marks
from pointsman.router.planning.tables.words import COMPARATIVES, alike, split_name
from pointsman.router.values import Column, Json

OPPOSITE = {
    "eq": "ne", "ne": "eq", "gt": "le", "ge": "lt", "lt": "ge", "le": "gt", "in": "not_in", "contains": "not_contains",
}  # fmt: skip
AVERAGED = frozenset(
    "price salary rating age temperature score weight height humidity grade rate percent satisfaction stars duration hours stay runtime attendance speed pressure minutes percentage".split()
)

MAX_AGE = 120
"""No bare number above it is taken for an age, years."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One predicate. `column` None: the number of rows of a group (a condition on groups).

    `function`: set when the condition is on an aggregate of the column ("average salary above 5000").
    """

    column: str | None
    op: str
    value: Json = None
    function: str | None = None

    def to_json(self) -> dict[str, Any]:
        made: dict[str, Any] = {"column": self.column, "op": self.op}
        if self.op not in ("is_null", "not_null"):
            made["value"] = self.value
        return made


class Predicates:
    """Takes comparisons, missing cells and parts of texts out of the marks."""

    def __init__(self, marks: Marks, links: Links, table: TableContext) -> None:
        self.marks, self.links, self.table = marks, links, table
        self.found: list[Condition] = []
        self.alternatives = False
        self.missing: str | None = None
        """A comparison that no column was found for, as it was written."""

    def _negated(self, index: int, column: Column | None = None) -> bool:
        """Whether "not" or the like stands right before a mark, or before its column's name."""
        at = self.marks.before(index, "stop")
        if column is not None and any(k.column == column for k in self.marks.links(at)):
            at = self.marks.before(at, "stop")
        if at in self.marks.used:
            return False
        if self.marks.kind(at) == "not" or self.marks.word(at) in ("without", "unknown"):
            self.marks.use(at)
            return True
        return False

    def _missing(self) -> None:
        for i, mark in enumerate(self.marks.items):
            if mark.kind == "present" or (mark.kind == "missing" and mark.word != "without"):
                at = self._near_column(i)
                if at is not None:
                    positive = mark.kind == "present" or self._negated(i)
                    self._null(at, i, positive)
            elif mark.word in ("without", "no") and mark.kind in ("missing", "not"):
                at = self.marks.next_of(i, "stop")
                if (
                    self.marks.kind(at) == "column"
                    and not self.table.truth_values(self.marks.items[at].links[0].column)
                    and self.marks.kind(self.marks.next_of(at, "stop")) not in ("value", "amount")
                ):
                    self._null(at, i, False)

    def _null(self, column: int, word: int, filled: bool) -> None:
        name = self.marks.items[column].links[0].column.name
        self.found.append(Condition(name, "not_null" if filled else "is_null"))
        self.marks.use(column, word)

    def _near_column(self, index: int) -> int | None:
        before, after = (
            self.marks.before(index, "stop", "not", "wh"),
            self.marks.next_of(index, "stop"),
        )
        for at in (
            (after, before)
            if self.marks.word(index) in ("missing", "lacking", "lack", "lacks", "unknown")
            else (before, after)
        ):
            if self.marks.kind(at) == "column" and at not in self.marks.used:
                return at
        return None

    def _texts(self) -> None:
        for i, mark in enumerate(self.marks.items):
            if mark.kind != "text_op" or i in self.marks.used:
                continue
            target = i + 1
            while self._introduces(target):
                target += 1
            if target >= len(self.marks.items):
                continue
            at = self.marks.before(i, "stop", "not", "wh")
            column = (
                self.marks.items[at].links[0].column
                if self.marks.kind(at) == "column"
                else self._name_column()
            )
            if column is None:
                continue
            item = self.marks.items[target]
            value = item.value if item.kind == "quote" else self._raw(item)
            said = str(mark.value)
            op = OPPOSITE.get(said, said) if self._negated(i) else said
            self.found.append(Condition(column.name, op, value))
            self.marks.use(i, target, at if self.marks.kind(at) == "column" else i)

    def _introduces(self, index: int) -> bool:
        """ "starting with the letter A": words before the text itself; "The" may be the text."""
        words = ("the", "letter", "letters", "word", "words")
        mark = self.marks.items[index] if index + 1 < len(self.marks.items) else None
        return mark is not None and mark.word in words and self.marks.text[mark.start].islower()

    def _words_within(self) -> None:
        """ "with love in the title"."""
        for i, mark in enumerate(self.marks.items):
            at = self.marks.next_of(i, "stop")
            link = next((k for k in self.marks.links(at) if k.column.type == "text"), None)
            lead = self.marks.word(i - 1) in (
                "with",
                "has",
                "have",
                "having",
                "word",
                "contain",
                "contains",
            )
            within = self.marks.word(i + 1) == "in" and at - i <= 3
            if mark.kind in ("word", "quote") and link is not None and lead and within:
                value = mark.value if mark.kind == "quote" else self._raw(mark)
                self.found.append(Condition(link.column.name, "contains", value))
                self.marks.use(i, at)

    def _raw(self, mark: Mark) -> str:
        """A mark's text with the signs before it: ".com", "@gmail"."""
        start = mark.start
        while start > 0 and self.marks.text[start - 1] in ".@#-_+":
            start -= 1
        return self.marks.text[start : mark.end]

    def _name_column(self) -> Column | None:
        texts = self.links.typed(frozenset({"text"}))
        named = [c for c in texts if "name" in c.name.lower()]
        return next(iter([*named, *self.links.people(), *texts]), None)

    def _numbers(self) -> None:
        items = self.marks.items
        for i, mark in enumerate(items):
            if mark.kind == "comparison" and i not in self.marks.used:
                self._comparison(i)
            elif mark.word in COMPARATIVES and self.marks.word(i + 1) == "than":
                self._comparative(i)
            elif mark.word in ("between", "from") and self.marks.kind(i + 1) == "amount":
                self._between(i)
        for i, mark in enumerate(items):
            if mark.kind == "amount" and i not in self.marks.used:
                self._equals(i)

    def _comparison(self, i: int) -> None:
        if str(self.marks.items[i].value).startswith("post"):
            at, op = i - 1, str(self.marks.items[i].value)[5:]
        else:
            at, op = self.marks.next_of(i, "stop"), str(self.marks.items[i].value)
        amount = self.marks.items[at] if 0 <= at < len(self.marks.items) else None
        if amount is None or amount.kind != "amount" or at in self.marks.used:
            return
        if self._negated(min(i, at)):
            op = OPPOSITE[op]
        number: Amount = amount.value
        placed = self._compare(min(i, at), max(i, at), op, number.as_json(), number.unit)
        self._settle(placed or self._aged(min(i, at), op, number), i, at)

    def _comparative(self, i: int) -> None:
        op, concepts = COMPARATIVES[self.marks.word(i)]
        at = self.marks.next_of(i + 1, "stop")
        if self.marks.kind(at) != "amount":
            return
        number: Amount = self.marks.items[at].value
        links = [k for k in self.links.with_concept(*concepts) if k.column.type in NUMERIC]
        column = links[0].column if links else self._only_number()
        if column is not None:
            self.found.append(Condition(column.name, op, number.as_json()))
        self._settle(column is not None, i, i + 1, at)
        if self.marks.word(at + 1) in ("years", "year", "old"):
            self.marks.use(at + 1)

    def _between(self, i: int) -> None:
        marks = self.marks
        link = marks.word(i + 2)
        if marks.kind(i + 3) != "amount" or link not in ("and", "to"):
            return
        low, high = marks.items[i + 1].value, marks.items[i + 3].value
        value: Json = [low.as_json(), high.as_json()]
        placed = self._compare(i, i + 3, "between", value, low.unit or high.unit)
        self._settle(placed or self._aged(i, "between", high, value), i, i + 1, i + 2, i + 3)

    def _settle(self, placed: bool, *indexes: int) -> None:
        """A comparison is explained only when a column was found for it; else it is said to be missing."""
        if placed:
            self.marks.use(*indexes)
        else:
            first, last = self.marks.items[min(indexes)], self.marks.items[max(indexes)]
            self.missing = self.missing or self.marks.text[first.start : last.end]

    def _aged(self, first: int, op: str, number: Amount, value: Json = None) -> bool:
        """ "over 65", "members under 18": a bare number of people's years, or else of the only number or money."""
        column = self._age(first, number) or self._by_unit(number.unit)
        if column is None:
            return False
        self.found.append(Condition(column.name, op, number.as_json() if value is None else value))
        return True

    def _age(self, first: int, number: Amount) -> Column | None:
        if number.unit not in (None, "years", "year") or not 0 <= number.value <= MAX_AGE:
            return None
        ages = [c for c in self.links.typed(NUMERIC) if {"age", "ages"} & set(split_name(c.name))]
        before = self.marks.before(first, "stop", "wh", "not", "function")
        noun = self.marks.items[before] if before >= 0 else None
        people = self.links.rows_are_people() or (
            noun is not None and any(alike(noun.word, w) for w in ("person", "customer", "men"))
        )
        return ages[0] if ages and people else None

    def _only_number(self) -> Column | None:
        numeric = [c for c in self.links.typed(NUMERIC) if not self.links.is_identifier(c)]
        return numeric[0] if len(numeric) == 1 else None

    def _compare(self, first: int, last: int, op: str, value: Json, unit: str | None) -> bool:
        """Finds what is compared: the noun after the number, or the column before it. False: neither is."""
        marks = self.marks
        after, before = marks.next_of(last, "stop"), marks.before(first, "stop", "wh", "not")
        if (
            marks.kind(before) == "and"
            and marks.kind(before - 1) == "amount"
            and not unit
            and self.found
        ):
            self.found.append(Condition(self.found[-1].column, op, value, self.found[-1].function))
            return True
        counted = marks.kind(last + 1) in ("rows", "column", "word")
        if counted and self._counts_rows(last + 1):
            self.found.append(Condition(None, op, value))
            marks.use(last + 1)
            return True
        for at in (last + 1, before, after):
            if marks.kind(at) == "column":
                link = self.numeric(marks.items[at].links)
                money = unit not in (None, "%") and link and not self._is_money(link.column)
                if (
                    link
                    and not money
                    and (at not in marks.used or marks.kind(at + 1) != "comparison")
                ):
                    fn = marks.before(at, "stop")
                    function = (
                        str(marks.items[fn].value)
                        if marks.kind(fn) == "function" and self._on_groups(fn)
                        else None
                    )
                    self.found.append(Condition(link.column.name, op, value, function))
                    marks.use(at, fn if function else at, certainty=link.certainty)
                    return True
        return False

    def _on_groups(self, function: int) -> bool:
        """ "departments with an average salary above 50" asks of groups."""
        before = self.marks.before(function, "stop")
        return (
            any(
                self.marks.word(i) in ("with", "where", "whose", "having")
                for i in range(max(0, function - 3), function)
            )
            or self.marks.kind(before) == "wh"
        )

    def _counts_rows(self, index: int) -> bool:
        mark = self.marks.items[index]
        if mark.kind == "rows":
            return True
        column = mark.links[0].column if mark.kind == "column" else None
        return column is not None and (
            self.links.is_row_noun(mark.word)
            and (column.type not in NUMERIC or self.links.is_identifier(column))
        )

    def _is_money(self, column: Column) -> bool:
        money = self.links.with_concept("revenue") + self.links.with_concept("price", "salary")
        return any(k.column == column for k in money)

    def numeric(self, links: tuple[Link, ...]) -> Link | None:
        """The most certain numeric column that is no identifier."""
        fitting = [
            k for k in links if k.column.type in NUMERIC and not self.links.is_identifier(k.column)
        ]
        return fitting[0] if fitting else None

    def _by_unit(self, unit: str | None) -> Column | None:
        numeric = [c for c in self.links.typed(NUMERIC) if not self.links.is_identifier(c)]
        for mark in self.marks.items:
            link = self.numeric(mark.links) if mark.kind == "column" else None
            if link and unit not in (None, "%") and self._is_money(link.column):
                return link.column
        if unit not in (None, "%") or len(numeric) > 1:
            links = [
                k
                for k in self.links.with_concept("revenue", "price", "salary")
                if k.column in numeric
            ]
            return links[0].column if links else None
        return numeric[0] if len(numeric) == 1 else None

    def _equals(self, i: int) -> None:
        """ "3 bedrooms", "age 30", "rating is 5", "in grade 10"."""
        marks, amount = self.marks, self.marks.items[i].value
        assert isinstance(amount, Amount)
        nearby = ((marks.before(i, "stop"), "before"), (i + 1, "after"))
        for at, side in nearby:
            near = marks.kind(at) == "column" and (side == "after" or i - at <= 2)
            link = self.numeric(marks.items[at].links) if near else None
            if link and at not in marks.used and not (side == "before" and self._limits(at)):
                if side == "after" and self._limits(i):
                    continue
                self.found.append(
                    Condition(
                        link.column.name, "ne" if self._negated(i) else "eq", amount.as_json()
                    )
                )
                marks.use(i, at, certainty=link.certainty)
                return

    def _limits(self, index: int) -> bool:
        before = self.marks.before(index, "stop")
        return (
            self.marks.kind(before) in ("superlative", "group", "sort")
            or self.marks.word(before) in ("top", "first", "last")
            or self.marks.word(index - 1) in ("first", "top", "last", "show", "me")
        )
