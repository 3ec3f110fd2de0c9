"""Single points in time, as people write them: one pattern and one reader for each form."""

import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, time
from typing import Literal

from pointsman.router.planning.arguments.amounts import amount_of

Grain = Literal["day", "week", "month", "quarter", "year", "decade", "span"]
Reader = Callable[[re.Match[str], date], "Moment | None"]

MONTHS = {name.lower(): n for n, name in enumerate(calendar.month_name) if name} | {
    name.lower(): n for n, name in enumerate(calendar.month_abbr) if name
}
MONTHS["sept"] = 9
WEEKDAYS = {name.lower(): n for n, name in enumerate(calendar.day_name)}
WEEKDAYS |= {name.lower(): n for n, name in enumerate(calendar.day_abbr)} | {"tues": 1, "thurs": 3}
ORDINALS = {
    "first": 1,
    "second": 2,
    "third": 3,
    "fourth": 4,
    "1st": 1,
    "2nd": 2,
    "3rd": 3,
    "4th": 4,
}

_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
_WEEKDAY = "|".join(sorted(WEEKDAYS, key=len, reverse=True))
_UNIT = r"(?:day|week|month|quarter|year|decade)"
_COUNT = (
    r"(?:\d{1,4}|a|an|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|couple\sof)"
)
DAY = r"(?:3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th)?"
_YEAR = r"(?:1[5-9]\d\d|20\d\d|21\d\d)"


@dataclass(frozen=True, slots=True)
class Moment:
    """The days from `first` to `last`, both included, as text[start:end] names them.

    first None: everything up to `last`; last None: from `first` on. `year_given`: false when the year was
    not written and the latest one that is not in the future was taken. `clock`: a time of day, when given.
    """

    first: date | None
    last: date | None
    grain: Grain
    start: int
    end: int
    year_given: bool = True
    clock: time | None = None

    def iso(self) -> tuple[str | None, str | None]:
        """Both ends as ISO 8601 days."""
        return (
            self.first.isoformat() if self.first else None,
            self.last.isoformat() if self.last else None,
        )

    def moved_to_year(self, year: int) -> "Moment":
        """The same days of another year; for moments written without a year."""
        if self.first is None or self.last is None:
            anchor = self.first or self.last
            shift = year - anchor.year if anchor else 0
        else:
            shift = year - self.first.year
        return replace(self, first=_same_day(self.first, shift), last=_same_day(self.last, shift))


def month_span(year: int, month: int) -> tuple[date, date]:
    """First and last day of a month."""
    return date(year, month, 1), date(year, month, calendar.monthrange(year, month)[1])


def shift_months(day: date, months: int) -> date:
    """A day some months away, at the month's last day when it is shorter. Stays in years 1 to 9999."""
    index = min(max(day.year * 12 + day.month - 1 + months, 12), 9999 * 12 + 11)
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def shift_days(day: date, days: int) -> date:
    """A day some days away, within years 1 to 9999."""
    return date.fromordinal(min(max(day.toordinal() + days, 1), date.max.toordinal()))


def easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar (the anonymous algorithm, Meeus, Astronomical Algorithms, ch. 8)."""
    a, b, c = year % 19, year // 100, year % 100
    d = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    e = (32 + 2 * (b % 4) + 2 * (c // 4) - d - c % 4) % 7
    month, day = divmod(d + e - 7 * ((a + 11 * d + 22 * e) // 451) + 114, 31)
    return date(year, month, day + 1)


def period(day: date, grain: str, offset: int = 0) -> tuple[date, date]:
    """The calendar week, month, quarter, year or decade of a day, some periods away."""
    match grain:
        case "day":
            moved = shift_days(day, offset)
            return moved, moved
        case "week":
            monday = shift_days(day, -day.weekday() + 7 * offset)
            return monday, shift_days(monday, 6)
        case "month":
            moved = shift_months(day.replace(day=1), offset)
            return month_span(moved.year, moved.month)
        case "quarter":
            opening = date(day.year, 3 * ((day.month - 1) // 3) + 1, 1)
            moved = shift_months(opening, 3 * offset)
            return moved, month_span(moved.year, moved.month + 2)[1]
        case "decade":
            year = min(max(day.year // 10 * 10 + 10 * offset, 10), 9990)
            return date(year, 1, 1), date(year + 9, 12, 31)
        case _:
            year = min(max(day.year + offset, 1), 9999)
            return date(year, 1, 1), date(year, 12, 31)


def _same_day(day: date | None, years: int) -> date | None:
    return None if day is None else shift_months(day, 12 * years)


def _day(
    match: re.Match[str], year: int, month: int, day: int, given: bool = True
) -> Moment | None:
    try:
        made = date(year, month, day)
    except ValueError:
        return None
    return Moment(made, made, "day", match.start(), match.end(), given)


def _span(
    match: re.Match[str], ends: tuple[date, date], grain: Grain, given: bool = True
) -> Moment:
    return Moment(ends[0], ends[1], grain, match.start(), match.end(), given)


def _number(written: str) -> int:
    if written.isdigit():
        return int(written)
    if written in ("a", "an") or written.startswith("couple"):
        return 2 if written.startswith("couple") else 1
    read = amount_of(written)
    return int(read.value) if read else 1


def _full_year(written: str) -> int:
    number = int(written.lstrip("'’"))
    return number + (2000 if number < 70 else 1900) if number < 100 else number


def _read_iso(m: re.Match[str], _today: date) -> Moment | None:
    moment = _day(m, int(m["iso_y"]), int(m["iso_m"]), int(m["iso_d"]))
    if moment is None or not m["iso_h"]:
        return moment
    hour, minute, second = int(m["iso_h"]), int(m["iso_min"]), int(m["iso_s"] or 0)
    if hour > 23 or minute > 59 or second > 59:
        return moment
    return replace(moment, clock=time(hour, minute, second))


def _read_year_month(m: re.Match[str], _today: date) -> Moment | None:
    year = int(m["ym_y"])
    return _span(m, month_span(year, int(m["ym_m"])), "month") if year else None


def _read_numeric(m: re.Match[str], _today: date) -> Moment | None:
    """Dots mean day first; slashes mean month first unless only the other reading is a date."""
    first, second, year = int(m["num_a"]), int(m["num_b"]), _full_year(m["num_y"])
    if m["num_sep"] == "." or first > 12:
        return _day(m, year, second, first)
    return _day(m, year, first, second)


def _read_named(m: re.Match[str], today: date) -> Moment | None:
    day = int(re.sub(r"\D", "", m["dm_d"] or m["md_d"]))
    month = MONTHS[(m["dm_m"] or m["md_m"]).lower()]
    year = m["dm_y"] or m["md_y"]
    if year:
        return _day(m, _full_year(year), month, day)
    made = _day(m, today.year, month, day, given=False)
    if made is not None and made.first is not None and made.first > today:
        return _day(m, today.year - 1, month, day, given=False)
    return made


def _read_month(m: re.Match[str], today: date) -> Moment | None:
    month = MONTHS[m["mon"].lower()]
    if m["mon_y"]:
        return _span(m, month_span(_full_year(m["mon_y"]), month), "month")
    if m["mon_year"] and not m["mon_rel"]:
        year = today.year - (m["mon_year"].lower() == "last")
        return _span(m, month_span(year, month), "month")
    if m["mon_rel"]:
        offset = {"last": -1, "this": 0, "next": 1}[m["mon_rel"].lower()]
        year = today.year + offset if offset or m["mon_year"] else today.year
        if offset == -1 and not m["mon_year"] and month < today.month:
            year = today.year
        if offset == 1 and not m["mon_year"] and month > today.month:
            year = today.year
        return _span(m, month_span(year, month), "month")
    year = today.year if month <= today.month else today.year - 1
    return _span(m, month_span(year, month), "month", given=False)


def _read_part(m: re.Match[str], today: date) -> Moment | None:
    """Quarters and halves of a year."""
    given = m["q_y"] or m["q_y0"]
    year = _full_year(given) if given else today.year
    if m["half"]:
        first = 1 if m["half"].lower() in ("h1", "first half") else 7
        ends = (date(year, first, 1), month_span(year, first + 5)[1])
        return _span(m, ends, "span", bool(given))
    name = (m["q"] or m["q_word"]).lower()
    quarter = ORDINALS.get(name) or int(name[-1])
    ends = period(date(year, 3 * quarter - 2, 1), "quarter")
    return _span(m, ends, "quarter", bool(given))


def _read_year(m: re.Match[str], _today: date) -> Moment | None:
    if m["decade"]:
        year = _full_year(m["decade"])
        return _span(m, (date(year, 1, 1), date(year + 9, 12, 31)), "decade")
    return _span(m, period(date(int(m["year"]), 1, 1), "year"), "year")


def _read_word(m: re.Match[str], today: date) -> Moment | None:
    offsets = {
        "today": 0,
        "tonight": 0,
        "now": 0,
        "yesterday": -1,
        "tomorrow": 1,
        "day before yesterday": -2,
        "day after tomorrow": 2,
    }
    return _span(m, period(today, "day", offsets[" ".join(m["word"].lower().split())]), "day")


def _read_relative(m: re.Match[str], today: date) -> Moment | None:
    """ "last month", "the past 3 weeks", "this year so far", "year to date"."""
    if m["to_date"]:
        return _span(m, (period(today, m["to_date"].lower())[0], today), "span")
    unit, which = m["rel_u"].lower(), m["rel"].lower()
    if m["rel_n"]:
        number = _number(m["rel_n"].lower())
        if which in ("next", "coming", "following"):
            return _span(m, (shift_days(today, 1), _away(today, number, unit)), "span")
        return _span(m, (shift_days(_away(today, -number, unit), 1), today), "span")
    if which in ("past",):
        return _span(m, (shift_days(_away(today, -1, unit), 1), today), "span")
    offset = {"last": -1, "previous": -1, "this": 0, "current": 0}.get(which, 1)
    grain: Grain = unit  # type: ignore[assignment]
    return _span(m, period(today, unit, offset), grain)


def _away(today: date, number: int, unit: str) -> date:
    months = {"month": 1, "quarter": 3, "year": 12, "decade": 120}
    if unit in months:
        return shift_months(today, number * months[unit])
    return shift_days(today, number * (7 if unit == "week" else 1))


def _read_ago(m: re.Match[str], today: date) -> Moment | None:
    number, unit = _number((m["ago_n"] or m["in_n"]).lower()), (m["ago_u"] or m["in_u"]).lower()
    day = _away(today, number if m["in_n"] or m["ahead"] else -number, unit)
    return _span(m, (day, day), "day")


def _read_weekday(m: re.Match[str], today: date) -> Moment | None:
    target, which = WEEKDAYS[m["wd"].lower()], (m["wd_rel"] or "").lower()
    ahead = (target - today.weekday()) % 7
    if which in ("last", "past", "previous"):
        day = shift_days(today, ahead - 7)
    elif which == "next":
        day = shift_days(today, ahead or 7)
    else:
        day = shift_days(today, ahead)
    return _span(m, (day, day), "day")


def _read_feast(m: re.Match[str], today: date) -> Moment | None:
    name = re.sub(r"['’]|\bday$", "", m["feast"].lower()).replace("s eve", " eve").strip()
    year = int(m["feast_y"]) if m["feast_y"] else today.year
    if year < 1:
        return None
    day = _feast(name, year)
    return Moment(day, day, "day", m.start(), m.end(), bool(m["feast_y"]))


def _feast(name: str, year: int) -> date:
    fixed = {
        "christmas eve": (12, 24),
        "christmas": (12, 25),
        "xmas": (12, 25),
        "boxing": (12, 26),
        "halloween": (10, 31),
        "valentine": (2, 14),
        "new year": (1, 1),
        "new year eve": (12, 31),
    }
    name = " ".join(name.split())
    if name.startswith("thanksgiving"):
        first = date(year, 11, 1)
        return shift_days(first, (3 - first.weekday()) % 7 + 21)
    if name.startswith("easter"):
        return easter(year)
    if name.startswith("new year eve"):
        return date(year, 12, 31)
    month, day = fixed.get(name) or fixed.get(name.removesuffix("s")) or (1, 1)
    return date(year, month, day)


_WRITTEN: tuple[tuple[str, Reader], ...] = (
    (
        r"(?P<iso_y>\d{4})[-/.](?P<iso_m>\d{1,2})[-/.](?P<iso_d>\d{1,2})"
        r"(?:[T ](?P<iso_h>\d{2}):(?P<iso_min>\d{2})(?::(?P<iso_s>\d{2}))?Z?)?(?![\d-])",
        _read_iso,
    ),
    (r"(?P<ym_y>\d{4})-(?P<ym_m>0[1-9]|1[0-2])(?![\d-])", _read_year_month),
    (
        r"(?P<num_a>\d{1,2})(?P<num_sep>[/.])(?P<num_b>\d{1,2})(?P=num_sep)(?P<num_y>\d{4}|\d{2})(?![\d./])",
        _read_numeric,
    ),
    (
        rf"(?:the\s)?(?P<dm_d>{DAY})\s(?:of\s)?(?P<dm_m>{_MONTH})\b\.?(?:,?\s(?:of\s)?(?P<dm_y>{_YEAR}|['’]\d\d)\b)?"
        rf"|(?P<md_m>{_MONTH})\b\.?\s(?:the\s)?(?P<md_d>{DAY})\b(?!:)(?:,?\s(?P<md_y>{_YEAR})\b)?",
        _read_named,
    ),
    (
        rf"(?:(?P<mon_rel>last|this|next)\s)?(?P<mon>{_MONTH})\b\.?"
        rf"(?:(?:,?\s(?:of\s)?|-)(?P<mon_y>{_YEAR}|['’]\d\d)\b|\s(?:of\s)?(?P<mon_year>last|this)\syear)?",
        _read_month,
    ),
    (
        rf"(?:(?P<q_y0>{_YEAR})[\s-])?(?:the\s)?(?:(?P<q>q[1-4])\b|(?P<q_word>first|second|third|fourth|1st|2nd|3rd|4th)\squarter"
        rf"|(?P<half>h[12]\b|(?:first|second)\shalf(?=\sof)))(?:,?\s(?:of\s)?(?P<q_y>{_YEAR}|['’]\d\d)\b)?",
        _read_part,
    ),
    (
        r"(?P<word>today|tonight|now|yesterday|tomorrow|day\sbefore\syesterday|day\safter\stomorrow)\b",
        _read_word,
    ),
    (
        rf"(?:the\s)?(?P<rel>last|past|previous|this|current|next|coming|following)\s"
        rf"(?:(?P<rel_n>{_COUNT})\s)?(?P<rel_u>{_UNIT})(?:s|(?![a-z]))\b|(?P<to_date>year|month|quarter|week)\sto\sdate\b",
        _read_relative,
    ),
    (
        rf"(?P<ago_n>{_COUNT})\s(?P<ago_u>{_UNIT})s?\s(?:ago|(?P<ahead>from\s(?:now|today)))\b"
        rf"|in\s(?P<in_n>{_COUNT})\s(?P<in_u>{_UNIT})s?\b(?:\stime)?",
        _read_ago,
    ),
    (rf"(?:(?P<wd_rel>last|next|this|past|previous)\s)?(?P<wd>{_WEEKDAY})\b", _read_weekday),
    (
        r"(?P<feast>christmas(?:\seve|\sday)?|xmas|boxing\sday|halloween|easter(?:\ssunday)?|thanksgiving"
        r"|valentine['’]?s?\sday|new\syear['’]?s?(?:\s(?:eve|day)|(?!\w)))(?:\s(?:in\s)?(?P<feast_y>\d{4})\b)?",
        _read_feast,
    ),
    (rf"(?:the\s)?(?P<decade>\d{{2}}(?:\d{{2}})?)['’]?s\b|(?P<year>{_YEAR})\b", _read_year),
)
PATTERNS = tuple((re.compile(p, re.IGNORECASE), read) for p, read in _WRITTEN)
