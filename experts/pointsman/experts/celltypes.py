"""Types of columns that came as text: numbers, dates, booleans, found for a column as a whole.

A column is read as a type only when every cell that is filled can be; what stays text keeps its cells
as they were written. All patterns are run by DuckDB over all rows (RE2 syntax).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pointsman.experts.database import Database, literal
from pointsman.router.values import ColumnType

TRY_ROWS: Final = 2_000
"""Rows that a reading must fit before it is tried on all."""

FIRST_ROWS: Final = 100
"""Rows that every reading worth trying is tried on."""

MISSING: Final = frozenset(
    ("", "-", "--", "—", "–", "n/a", "#n/a", "na", "nan", "null", "none", "nil", "?", ".", "n.a.")
)
MISSING_TEXT: Final = frozenset(("", "n/a", "#n/a", "nan", "null", "-", "--"))
"""Missing in a column of words, where "NA" may be Namibia and "none" an answer."""

SPACES: Final = "\u00a0\u202f\u2009"
MONEY: Final = r"(?:[$€£¥₹₽₩₺]|US\$|USD|EUR|GBP|JPY|CHF|INR|CNY|CAD|AUD|SEK|NOK|DKK|PLN|BRL|kr|zł)"
POINT: Final = r"(?:\d{1,3}(?:,\d{3})+|(?:0|[1-9]\d*))(?:\.\d+)?|\.\d+"
COMMA: Final = r"(?:\d{1,3}(?:[.]\d{3})+|(?:0|[1-9]\d*))(?:,\d+)?"
SPACE: Final = r"\d{1,3}(?:[ '’" + SPACES + r"]\d{3})+(?:[.,]\d+)?"
BOOLEANS: Final = {"true": True, "false": False, "yes": True, "no": False, "y": True, "n": False}
DAYS_FIRST: Final = ("%d/%m/%Y", "%d-%m-%Y", "%d.%m.%Y", "%d/%m/%y", "%d.%m.%y", "%d-%m-%y")
MONTHS_FIRST: Final = ("%m/%d/%Y", "%m-%d-%Y", "%m.%d.%Y", "%m/%d/%y", "%m-%d-%y")
NAMED: Final = (
    *("%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y"),
    *("%d-%b-%Y", "%d-%b-%y", "%d. %B %Y", "%a, %d %b %Y", "%A, %B %d, %Y", "%b %Y", "%B %Y"),
)
YEARS_FIRST: Final = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y-%m")
TIMES: Final = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p")


@dataclass(frozen=True, slots=True)
class Reading:
    """A way to read a column. sql: the value of a cell from `v`, its trimmed text; NULL if it is none.

    note: said to the user when the reading is not the only one possible or changes what was written.
    """

    type: ColumnType
    sql: str
    note: str = ""


def _number(pattern: str, cleaned: str, note: str = "") -> Reading:
    return Reading(
        "number",
        f"CASE WHEN regexp_full_match(v, {literal(pattern)}) THEN TRY_CAST({cleaned} AS DOUBLE) END",
        note,
    )


def _signed(amount: str) -> str:
    """A pattern of an amount with a sign, brackets for a negative one, a currency or a percent sign."""
    return rf"\(?[-+−]?\s*{MONEY}?\s*[-+−]?(?:{amount})\s*(?:{MONEY}|%)?\)?-?"


def _digits(keep: str) -> str:
    """SQL of the digits and the decimal sign of `v`, with a minus where the writing says negative."""
    digits = f"regexp_replace(v, '[^0-9{keep}]', '', 'g')"
    return f"(CASE WHEN regexp_matches(v, '^\\(|[-−]') THEN '-' ELSE '' END || {digits})"


NUMBERS: Final = (
    Reading(
        "integer",
        r"CASE WHEN regexp_full_match(v, '[-+]?(0|[1-9]\d{0,17})') THEN TRY_CAST(v AS BIGINT) END",
    ),
    _number(r"[-+]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?", "v"),
    _number(_signed(POINT), _digits(".")),
    _number(_signed(COMMA), f"replace({_digits(',')}, ',', '.')", "read with a decimal comma"),
    _number(_signed(f"{SPACE}|{POINT}"), _digits(".")),
    _number(_signed(f"{SPACE}|{COMMA}"), f"replace({_digits(',')}, ',', '.')"),
)
BOOLEAN: Final = Reading(
    "boolean",
    "CASE WHEN lower(v) IN ('true', 'yes', 'y') THEN true "
    "WHEN lower(v) IN ('false', 'no', 'n') THEN false END",
)
NESTED: Final = Reading("json", "CASE WHEN json_valid(v) THEN CAST(v AS JSON) END")
STAMP: Final = Reading(
    "datetime",
    r"CASE WHEN regexp_full_match(v, '\d{4}-\d\d?-\d\d?[T ]\d\d?:\d\d.*') "
    "THEN TRY_CAST(v AS TIMESTAMP) END",
)


def _dates(formats: Iterable[str], note: str = "") -> tuple[Reading, ...]:
    return tuple(
        Reading("date", _dated(form, f"CAST(try_strptime(v, {literal(form)}) AS DATE)"), note)
        for form in formats
    )


def _moments(formats: Iterable[str], note: str = "") -> tuple[Reading, ...]:
    made: list[Reading] = []
    for form in formats:
        ways = ", ".join(literal(f"{form}{gap}{t}") for t in TIMES for gap in (" ", ", "))
        made.append(Reading("datetime", _dated(form, f"try_strptime(v, [{ways}])"), note))
    return tuple(made)


def _dated(form: str, sql: str) -> str:
    """Holds %Y to four digits, which DuckDB does not: "3.2.24" is not in the year 3."""
    years = r"\d{4}\b.*" if form.startswith("%Y") else r".*\b\d{4}\b.*"
    if "%Y" not in form:
        return sql
    return f"CASE WHEN regexp_full_match(v, {literal(years)}) THEN {sql} END"


ASSUMED: Final = "; no day is over 12, so the order is an assumption"
ISO: Final = _dates(YEARS_FIRST)
WORDED: Final = (*_dates(NAMED), *_moments(NAMED), *_moments(YEARS_FIRST))
DAY_FIRST: Final = (
    *_dates(DAYS_FIRST, "read as day/month/year"),
    *_moments(DAYS_FIRST, "read as day/month/year"),
)
MONTH_FIRST: Final = (
    *_dates(MONTHS_FIRST, "read as month/day/year"),
    *_moments(MONTHS_FIRST, "read as month/day/year"),
)


def candidates(samples: Sequence[str]) -> tuple[Reading, ...]:
    """Readings worth trying, best first, by a look at some filled cells of a column."""
    filled = [s.strip() for s in samples if s.strip().casefold() not in MISSING]
    if not filled:
        return ()
    if all(s.casefold() in BOOLEANS for s in filled):
        return (BOOLEAN,)
    if all(s[0] + s[-1] in ("[]", "{}") for s in filled):
        return (NESTED,)
    if not all(re.search(r"\d", s) for s in filled) or max(map(len, filled)) > 40:
        return ()
    if any(re.fullmatch(r"\+\d+ .*|\D*\d{19,}", s) for s in filled):
        return ()  # telephone numbers, and ids with more digits than a number keeps
    if any(re.search(r"\d[-/.:]\d+[-/.:]\d|[^\W\d]{3,}|\d{4}-\d\d", s) for s in filled):
        dotted = any("." in s for s in filled)
        mixed = (*DAY_FIRST, *MONTH_FIRST) if dotted else (*MONTH_FIRST, *DAY_FIRST)
        return (*ISO, STAMP, *WORDED, *mixed, *NUMBERS)
    return NUMBERS


def readings(
    database: Database, relation: str, width: int, *, whole: bool = True
) -> list[Reading | None]:
    """How to read each of the columns c0..c{width-1} of a relation of text; None for text.

    whole: the reading must fit every row, not only the first TRY_ROWS.
    """
    head = database.run(f"SELECT * FROM {relation} LIMIT {TRY_ROWS}")
    found: list[list[Reading]] = []
    for place in range(width):
        cells = [str(r[place]) for r in head if r[place] is not None]
        tried = candidates(cells[:50])
        found.append(
            _fitting(database, f"(SELECT * FROM {relation} LIMIT {FIRST_ROWS})", place, tried)
        )
    checked = (
        relation
        if whole and len(head) == TRY_ROWS
        else f"(SELECT * FROM {relation} LIMIT {TRY_ROWS})"
    )
    return _confirmed(database, checked, found)


def _fitting(
    database: Database, relation: str, place: int, tried: Sequence[Reading]
) -> list[Reading]:
    if not tried:
        return []
    counts = database.run(
        f"SELECT count(v), {', '.join(f'count({r.sql})' for r in tried)} "
        f"FROM (SELECT {filled(place)} AS v FROM {relation})"
    )[0]
    return [r for r, n in zip(tried, counts[1:], strict=True) if n == counts[0] and n]


def _confirmed(
    database: Database, relation: str, found: Sequence[Sequence[Reading]]
) -> list[Reading | None]:
    """The first reading of each column that fits all rows; a single pass over them."""
    asked = [(place, r) for place, tried in enumerate(found) for r in tried[:6]]
    if not asked:
        return [None] * len(found)
    places = sorted({place for place, _ in asked})
    parts = [f"count(v{p}) AS n{p}" for p in places]
    parts += [f"count({_of(r.sql, f'v{p}')})" for p, r in asked]
    cells = ", ".join(f"{filled(p)} AS v{p}" for p in places)
    counts = database.run(f"SELECT {', '.join(parts)} FROM (SELECT {cells} FROM {relation})")[0]
    total = dict(zip(places, counts, strict=False))
    chosen: list[Reading | None] = [None] * len(found)
    alternatives: dict[int, set[str]] = {}
    for (place, reading), count in zip(asked, counts[len(places) :], strict=True):
        if count == total[place]:
            alternatives.setdefault(place, set()).add(reading.note)
            chosen[place] = chosen[place] or reading
    return [_with_doubt(r, alternatives.get(p, set())) for p, r in enumerate(chosen)]


def _with_doubt(reading: Reading | None, notes: set[str]) -> Reading | None:
    orders = {n for n in notes if n.startswith("read as ")}
    if reading is None or len(orders) < 2:
        return reading
    return Reading(reading.type, reading.sql, reading.note + ASSUMED)


def _of(sql: str, column: str) -> str:
    return re.sub(r"\bv\b", column, sql)


def filled(place: int, missing: Iterable[str] = MISSING) -> str:
    """SQL of a cell's trimmed text, NULL when it says that it is missing."""
    cell = f"trim(c{place}, ' ' || chr(9) || chr(160))"
    words = ", ".join(literal(w) for w in sorted(missing))
    return f"CASE WHEN lower({cell}) NOT IN ({words}) THEN {cell} END"


def typed(relation: str, readings: Sequence[Reading | None]) -> str:
    """A SELECT of a relation of text with each column in its type."""
    inner: list[str] = []
    outer: list[str] = []
    words = ", ".join(literal(w) for w in sorted(MISSING_TEXT))
    for place, reading in enumerate(readings):
        if reading is None:
            cell = f"CASE WHEN lower(trim(c{place})) NOT IN ({words}) THEN c{place} END"
            inner.append(f"{cell} AS v{place}")
            outer.append(f"v{place} AS c{place}")
        else:
            inner.append(f"{filled(place)} AS v{place}")
            outer.append(f"{_of(reading.sql, f'v{place}')} AS c{place}")
    return f"SELECT {', '.join(outer)} FROM (SELECT {', '.join(inner)} FROM {relation})"
