"""What of a request may change from one time to the next: its constants, and the tokens around them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pointsman.router.planning.arguments.amounts import amounts
from pointsman.router.planning.arguments.moments import Moment, moment_of, moments
from pointsman.router.planning.mentions import FILE_NAME, Mentions, find_mentions
from pointsman.router.values import FileProfile, Json

Kind = Literal[
    "file", "url", "quote", "email", "moment", "amount", "column", "cell", "items", "body"
]

EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
TOKEN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?|\d+(?:\.\d+)?|_+")
LEAD = re.compile(
    r"(?:after|before|since|until|till|from|by|in|of|on|during|up\s+to|as\s+of|starting|on\s+or\s+after|on\s+or\s+before)\s+",
    re.IGNORECASE,
)
AWAY = re.compile(
    r"(?:\d+|[a-z]+)\s+(?:days?|weeks?|months?|years?|work(?:ing\s+)?days?|business\s+days?)\s+"
    r"(?:from|after|before)\s+(?=\S)",
    re.IGNORECASE,
)
"""\"45 days from today\": a number and a day, not one day."""
YEARS = (1900, 2100)
"""Four digits outside of these are a number."""
FILE_FIRST = re.compile(rf"\s*{FILE_NAME.pattern}\s*:\s*", re.IGNORECASE)
"""\"lease.txt: who pays for repairs\"."""
ENDS = ("first", "last", "from", "until")
"""Names of the four days of a moment: both ends of what is named, both ends of the span that is meant."""
SHOWN: dict[str, str] = {
    "file": "the file",
    "url": "the page",
    "quote": "'phrase'",
    "email": "the address",
    "moment": "the date",
    "amount": "7",
    "column": "the column",
    "cell": "the value",
    "items": "the list",
    "body": "the text",
}
"""How a constant stands in the line that is embedded."""
HOLDS = {
    "integer": "number",
    "number": "number",
    "date": "date",
    "datetime": "date",
    "text": "text",
}
SOMETHING = "something"
"""How words stand in it that a plan takes over."""
LONGEST_CELL = 40


@dataclass(frozen=True, slots=True)
class Constant:
    """text[start:end]. value: a file's id, a number, both ends of a span of days, a column's name, the text.

    unit: of an amount, "%" or a currency; of a column, what it holds: "number", "date", "text".
    """

    kind: Kind
    start: int
    end: int
    value: Json
    unit: str | None = None

    @property
    def mark(self) -> str:
        """Its token: what a constant of another unit is never taken for."""
        return "<column>" if self.kind == "column" else f"<{self.kind}{self.unit or ''}>"


@dataclass(frozen=True, slots=True)
class Token:
    """A word at text[start:end], folded; or, with `constant`, the place of a constant."""

    word: str
    start: int
    end: int
    constant: int | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """A request taken apart. constants: in order, none overlaps another."""

    text: str
    constants: tuple[Constant, ...]
    tokens: tuple[Token, ...]

    def line(self, spans: Sequence[tuple[int, int]] = ()) -> str:
        """The text as it is embedded: every constant stands for all of its kind, and so do words that a
        plan takes over. spans: of those words.
        """
        made, at = "", 0
        places = [(c.start, c.end, SHOWN[c.kind]) for c in self.constants]
        for start, end, shown in sorted([*places, *((s, e, SOMETHING) for s, e in spans)]):
            made += self.text[at:start] + shown
            at = end
        return " ".join((made + self.text[at:]).split())

    def years_as_numbers(self) -> "Form":
        """Bare years ("2024") read as the numbers that they may be."""
        made = tuple(
            Constant("amount", c.start, c.end, int(self.text[c.start : c.end]))
            if is_bare_year(c, self.text)
            else c
            for c in self.constants
        )
        return Form(self.text, made, tokens_of(self.text, made))

    def without(self, dropped: frozenset[int]) -> "Form":
        """Some constants are plain words after all."""
        kept = tuple(c for i, c in enumerate(self.constants) if i not in dropped)
        return Form(self.text, kept, tokens_of(self.text, kept))


def form_of(text: str, files: Sequence[FileProfile], now: datetime) -> Form:
    """Raises UnknownFile when a file is named that is not at hand."""
    found = _Found()
    mentions = find_mentions(text, files)
    if mentions.body is not None and FILE_FIRST.fullmatch(text[: mentions.body_start]):
        mentions = find_mentions(text.replace(":", ",", 1), files)  # no text: it says where
    _mentioned(found, mentions)
    for match in EMAIL.finditer(text):
        found.add(Constant("email", match.start(), match.end(), match.group().lower()))
    holds = {c.name: HOLDS.get(c.type) for f in files for c in f.columns}
    for column, start, end in columns_in(text, files):
        found.add(Constant("column", start, end, column, holds.get(column)))
    for cell, start, end in cells_in(text, files):
        found.add(Constant("cell", start, end, cell))
    for moment in moments(text, now):
        constant = _moment(text, moment, now)
        if not is_bare_year(constant, text) or _is_year(constant, text):
            found.add(constant)
    for amount in amounts(text):
        if not (amount.worded and text[amount.start : amount.end].lower() in ("one", "a", "an")):
            value = amount.as_json()
            found.add(Constant("amount", amount.start, amount.end, value, amount.unit))
    constants = tuple(sorted(found.constants, key=lambda c: c.start))
    return Form(text, constants, tokens_of(text, constants))


def _is_year(constant: Constant, text: str) -> bool:
    """Whether four digits may be a year: within YEARS, and no part of a longer number."""
    inside = re.match(r"[.,]\d", text[constant.end :])
    return inside is None and YEARS[0] <= int(text[constant.start : constant.end]) <= YEARS[1]


def is_bare_year(constant: Constant, text: str) -> bool:
    """Whether a moment is four digits that could be a number as well."""
    said = text[constant.start : constant.end]
    return constant.kind == "moment" and len(said) == 4 and said.isdecimal()


def _moment(text: str, moment: Moment, now: datetime) -> Constant:
    """Both ends of the span that is named, and of what is named without its preposition: "after 3 May"
    begins on 4 May and names 3 May.
    """
    said = text[moment.start : moment.end]
    lead = AWAY.match(said) or LEAD.match(said)
    point = moment_of(said[lead.end() :], now) if lead else None
    if lead is None or point is None:
        return Constant("moment", moment.start, moment.end, [*moment.iso(), *moment.iso()])
    ends: list[Json] = [*point.iso(), *moment.iso()]
    return Constant("moment", moment.start + lead.end(), moment.end, ends)


class _Found:
    """Constants by precedence: what is read first keeps its place."""

    def __init__(self) -> None:
        self.constants: list[Constant] = []

    def add(self, new: Constant) -> None:
        if not any(new.start < c.end and c.start < new.end for c in self.constants):
            self.constants.append(new)


def _mentioned(found: _Found, mentions: Mentions) -> None:
    if mentions.items:
        found.add(Constant("items", mentions.body_start, mentions.body_end, list(mentions.items)))
    if mentions.body is not None:
        found.add(Constant("body", mentions.body_start, mentions.body_end, mentions.body))
    for span in mentions.urls:
        found.add(Constant("url", span.start, span.end, span.text))
    for span in mentions.quotes:
        found.add(Constant("quote", span.start, span.end, span.text))
    for named in mentions.files:
        if named.exact:
            ids: list[Json] = [f.ref.id for f in named.files]
            found.add(Constant("file", named.start, named.end, ids))


def columns_in(text: str, files: Sequence[FileProfile]) -> list[tuple[str, int, int]]:
    """Columns of the files that are named in the text, as (name, start, end), longest names first."""
    names = dict.fromkeys(c.name for f in files for c in f.columns or ())
    found: list[tuple[str, int, int]] = []
    for name in sorted(names, key=len, reverse=True):
        spoken = r"[\s_-]+".join(re.escape(p) for p in re.split(r"[\s_-]+", name) if p)
        if len(name) < 2 or not spoken:
            continue
        plural = "(?:s|es)?" if name[-1:].isalpha() else ""
        if name.endswith("y"):
            spoken = f"{spoken[:-1]}(?:y|ies)"
        pattern = rf"(?<![\w.]){spoken}{plural}(?![\w])(?!\.\w)"
        found += [(name, m.start(), m.end()) for m in re.finditer(pattern, text, re.IGNORECASE)]
    return found


def cells_in(text: str, files: Sequence[FileProfile]) -> list[tuple[str, int, int]]:
    """Values of the files' columns of few values that the text names, as (value, start, end), longest first."""
    values = dict.fromkeys(
        v
        for f in files
        for name in f.complete
        for v in (f.samples or {}).get(name, ())
        if isinstance(v, str) and 2 <= len(v) <= LONGEST_CELL
    )
    return [
        (value, m.start(), m.end())
        for value in sorted(values, key=len, reverse=True)
        for m in re.finditer(rf"(?<![\w.]){re.escape(value)}(?![\w])(?!\.\w)", text, re.IGNORECASE)
    ]


def tokens_of(text: str, constants: Sequence[Constant]) -> tuple[Token, ...]:
    """Words and constants in order."""
    found: list[Token] = []
    at = 0
    for index, constant in enumerate(constants):
        found += _words(text, at, constant.start)
        found.append(Token(constant.mark, constant.start, constant.end, index))
        at = constant.end
    return (*found, *_words(text, at, len(text)))


def _words(text: str, start: int, end: int) -> list[Token]:
    return [
        Token(m.group().lower().replace("’", "'"), m.start(), m.end())
        for m in TOKEN.finditer(text, start, end)
    ]
