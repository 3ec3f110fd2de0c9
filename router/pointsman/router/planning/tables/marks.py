"""A question as a row of marks: which words are columns, values, numbers, dates, operations."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from pointsman.router.planning.arguments.amounts import Amount, amounts
from pointsman.router.planning.arguments.moments import Moment, moments
from pointsman.router.planning.tables.links import Link, Links, ValueLink
from pointsman.router.planning.tables.words import (
    ADVERB_GRAINS,
    CHARTS,
    COMPARISONS,
    FUNCTIONS,
    GRAINS,
    GROUPINGS,
    MISSING,
    NEGATIONS,
    PRESENT,
    SORTINGS,
    STOP,
    SUPERLATIVES,
    TEXT_OPERATORS,
)

Kind = Literal[
    "column", "value", "amount", "moment", "quote", "function", "superlative", "comparison", "text_op",
    "group", "sort", "grain", "chart", "not", "missing", "present", "rows", "and", "or", "wh", "stop", "word",
]  # fmt: skip

WH = frozenset("which what who whose where when whom".split())
_TOKEN = re.compile(
    r"\"[^\"]{1,200}\"|“[^”]{1,200}”|(?<!\w)'[^']{1,200}'(?!\w)|>=|<=|!=|<>|==|[<>=≥≤%]|[,;]"
    r"|[^\W_]+(?:[_.@'’&-][^\W_]+)*_?"
)
_COMPARED = re.compile(
    r"\b(?:more than|less than|fewer than|at least|at most|exactly|over)\s+$", re.I
)
RATES = frozenset("rate rates ratio".split())
LONGEST = 6


@dataclass(frozen=True, slots=True)
class Mark:
    """What some words of the question are. `word`: their lower-case text; `value` depends on the kind."""

    kind: Kind
    word: str
    start: int
    end: int
    value: Any = None
    links: tuple[Link, ...] = ()
    values: tuple[ValueLink, ...] = ()
    certainty: float = 1.0


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    lower: str
    start: int
    end: int
    unit: Amount | Moment | None = None


@dataclass(slots=True)
class Marks:
    """The marks of a text, and which of them have been explained. `certainty` by index of the mark."""

    text: str
    items: list[Mark]
    used: dict[int, float] = field(default_factory=dict)

    def use(self, *indexes: int, certainty: float = 1.0) -> None:
        for index in indexes:
            if 0 <= index < len(self.items):
                self.used[index] = max(
                    self.used.get(index, 0.0), certainty * self.items[index].certainty
                )

    def kind(self, index: int) -> Kind | None:
        return self.items[index].kind if 0 <= index < len(self.items) else None

    def word(self, index: int) -> str:
        return self.items[index].word if 0 <= index < len(self.items) else ""

    def free(self, *kinds: Kind) -> list[int]:
        """Indexes of marks of these kinds that nothing has explained yet."""
        return [i for i, m in enumerate(self.items) if m.kind in kinds and i not in self.used]

    def links(self, index: int) -> tuple[Link, ...]:
        """What a mark may mean as a column."""
        return self.items[index].links if 0 <= index < len(self.items) else ()

    def next_of(self, index: int, *skip: Kind) -> int:
        """The index of the next mark after `index` that is not of a skipped kind."""
        index += 1
        while index < len(self.items) and self.items[index].kind in skip:
            index += 1
        return index

    def before(self, index: int, *skip: Kind) -> int:
        index -= 1
        while index >= 0 and self.items[index].kind in skip:
            index -= 1
        return index


_LEXICONS: tuple[tuple[Kind, Mapping[str, object]], ...] = (
    ("comparison", COMPARISONS),
    ("present", dict.fromkeys(PRESENT)),
    ("text_op", TEXT_OPERATORS),
    ("function", FUNCTIONS),
    ("sort", SORTINGS),
    ("group", dict.fromkeys(GROUPINGS)),
    ("chart", CHARTS),
    ("grain", GRAINS),
    ("superlative", SUPERLATIVES),
    ("not", dict.fromkeys(NEGATIONS)),
    ("missing", dict.fromkeys(MISSING)),
)


def marks_of(text: str, links: Links, now: datetime) -> Marks:
    """One pass, longest phrase first; a column or value that is named exactly wins over an operation."""
    tokens = _tokens(text, now)
    found: list[Mark] = []
    at = 0
    while at < len(tokens):
        size, mark = _mark_at(tokens, at, links, found)
        found.append(mark)
        at += size
    return Marks(text, found)


def _tokens(text: str, now: datetime) -> list[_Token]:
    units: list[Amount | Moment] = [*moments(text, now)]
    taken = [(m.start, m.end) for m in units]
    for amount in amounts(text):
        if not any(s < amount.end and amount.start < e for s, e in taken):
            one = amount.worded and text[amount.start : amount.end].lower() == "one"
            if one and not _COMPARED.search(text, 0, amount.start):
                continue
            units.append(amount)
    units.sort(key=lambda u: u.start)
    tokens: list[_Token] = []
    at = 0
    for unit in [*units, None]:
        end = unit.start if unit else len(text)
        for match in _TOKEN.finditer(text, at, end):
            word = match.group().replace("’", "'")
            tokens.append(_Token(word, word.lower(), match.start(), match.end()))
        if unit is not None:
            written = text[unit.start : unit.end]
            tokens.append(_Token(written, written.lower(), unit.start, unit.end, unit))
            at = unit.end
    return tokens


def _mark_at(tokens: list[_Token], at: int, links: Links, before: list[Mark]) -> tuple[int, Mark]:
    token = tokens[at]
    if token.unit is not None:
        kind: Kind = "amount" if isinstance(token.unit, Amount) else "moment"
        return 1, Mark(kind, token.lower, token.start, token.end, token.unit)
    if token.text[0] in "\"“'" and len(token.text) > 2:
        inner = token.text[1:-1]
        values = links.values(tuple(inner.lower().split()), inner)
        columns = links.columns(tuple(inner.lower().split()), 0.95) if not values else ()
        made = Mark("quote", inner.lower(), token.start, token.end, inner, columns, values)
        return 1, replace(made, kind="column") if columns else made
    for size in range(min(LONGEST, len(tokens) - at), 0, -1):
        part = tokens[at : at + size]
        if any(t.unit is not None for t in part):
            continue
        mark = _phrase(part, links, before, tokens[at + size :])
        if mark is not None:
            return size, mark
    return 1, _word(token, links)


def _phrase(
    part: list[_Token], links: Links, before: list[Mark], after: list[_Token]
) -> Mark | None:
    """The reading of a phrase, if it is one: exact value or column, operation, likely column."""
    words = tuple(t.lower for t in part)
    phrase, written = " ".join(words), " ".join(t.text for t in part)
    start, end = part[0].start, part[-1].end
    if "," in words or ";" in words:
        return _separator(part[0]) if len(part) == 1 else None
    operation = _operation(phrase, start, end)
    rated = bool(after) and after[0].lower in RATES
    values = links.values(words, written, noun=rated)
    may_be = _may_be_column(words) or _short_column(part, links, before)
    columns = links.columns(words, 0.7) if may_be else ()
    exact = bool(columns) and columns[0].certainty >= 0.95
    if exact and len(words) > 1 and words[0] in FUNCTIONS and links.columns(words[1:], 0.95):
        return None  # "maximum temp_max" is a function of the column
    if exact and not (operation and _is_operation_here(operation, columns, before, after, links)):
        return Mark("column", phrase, start, end, links=columns, values=values)
    if values and not (operation and len(words) == 1 and written != values[0].value):
        certainty = max(v.certainty for v in values)
        return Mark("value", phrase, start, end, written, columns, values, certainty)
    if operation:
        return operation
    if columns and (len(words) == 1 or columns[0].certainty >= 0.82):
        return Mark("column", phrase, start, end, links=columns, certainty=columns[0].certainty)
    return None


def _short_column(part: list[_Token], links: Links, before: list[Mark]) -> bool:
    """ "the total of a", where a column is called a: a small word is a column where one is due."""
    word = part[0].lower
    due = before and (
        before[-1].word in ("of", "by", "column", "and") or before[-1].kind == "function"
    )
    named = any(k.column.name.lower() == word for k in links.columns((word,), 0.95))
    return bool(due) and len(part) == 1 and word not in ("the", "of", "is", "to") and named


def _may_be_column(words: tuple[str, ...]) -> bool:
    first, last = words[0], words[-1]
    if first in (
        "the",
        "of",
        "a",
        "an",
        "and",
        "or",
        "in",
        "is",
        "with",
        "to",
        "for",
        "by",
    ) or last in ("the", "of", "a", "is", "in", "by"):
        return False
    return (
        len(words) > 1
        or first not in STOP
        or first
        in ("value", "values", "first", "order", "orders", "name", "data", "file", "line", "items")
    )


def _separator(token: _Token) -> Mark:
    return Mark("and" if token.lower == "," else "stop", token.lower, token.start, token.end)


def _operation(phrase: str, start: int, end: int) -> Mark | None:
    if phrase in ("and", "or", "nor"):
        return Mark("or" if phrase == "or" else "and", phrase, start, end)
    if phrase in WH:
        return Mark("wh", phrase, start, end)
    for kind, lexicon in _LEXICONS:
        if phrase in lexicon:
            return Mark(kind, phrase, start, end, lexicon[phrase])
    return None


def _is_operation_here(
    operation: Mark,
    columns: tuple[Link, ...],
    before: list[Mark],
    after: list[_Token],
    links: Links,
) -> bool:
    """ "total", "count", "month", "top" name columns too: an operation if a column or a noun follows."""
    if operation.kind in ("grain",):
        return operation.word in ADVERB_GRAINS and columns[0].column.type != "date"
    if operation.kind == "sort" and operation.word in ("rank",):
        return False
    if operation.kind in ("and", "or", "wh", "group", "comparison", "not"):
        return True
    if (before and before[-1].kind in ("function", "superlative", "group")) or (
        len(before) > 1 and before[-1].word == "the" and before[-2].kind == "function"
    ):
        return False
    following = next((t for t in after if t.lower not in ("the", "of", "a", "all", "and")), None)
    if following is None or following.unit is not None:
        return False
    return bool(links.columns((following.lower,), 0.7)) or following.lower in FUNCTIONS


def _word(token: _Token, links: Links) -> Mark:
    if token.lower in STOP and not (
        token.lower not in ("values", "value") and links.is_own_row_noun(token.lower)
    ):
        return Mark("stop", token.lower, token.start, token.end, token.text)
    parts = (
        links.value_parts(token.lower) if token.text[:1].isupper() or len(token.text) > 3 else ()
    )
    if parts:
        return Mark("value", token.lower, token.start, token.end, token.text, (), parts, 0.8)
    if links.is_row_noun(token.lower):
        return Mark("rows", token.lower, token.start, token.end, token.text)
    return Mark("word", token.lower, token.start, token.end, token.text)


def content_share(marks: Marks) -> tuple[float, tuple[str, ...]]:
    """Share of the content words that are explained, weighted by certainty, and those that are not."""
    total = explained = 0.0
    left: list[str] = []
    for index, mark in enumerate(marks.items):
        if mark.kind in ("stop", "and", "or") and index not in marks.used:
            continue
        weight = 0.5 if mark.kind in ("wh", "rows", "group", "stop", "and", "or") else 1.0
        total += weight
        if index in marks.used:
            explained += weight * marks.used[index]
        elif mark.kind in ("wh", "rows"):
            explained += weight * 0.8
        else:
            left.append(marks.text[mark.start : mark.end])
    return (explained / total if total else 0.0), tuple(left)
