"""Questions about dates themselves: how long between, what date after, which weekday."""

import re
from datetime import date, datetime

from pointsman.router.planning.arguments.amounts import amount_of
from pointsman.router.planning.arguments.moments import Moment, moments
from pointsman.router.planning.tables.context import Step

_UNITS = {
    "day": "days", "week": "weeks", "month": "months", "year": "years", "hour": "hours", "workday": "workdays",
    "business day": "workdays", "working day": "workdays", "weekday": "workdays", "work day": "workdays",
}  # fmt: skip
_UNIT = r"(?P<unit>(?:business|working|work)\s+days?|workdays?|weekdays?|days?|weeks?|months?|years?|hours?)"
_COUNT = r"(?P<count>\d{1,5}|an?|[a-z]+(?:[\s-][a-z]+){0,2}?)"
_SHIFT = re.compile(
    rf"\b{_COUNT}\s+{_UNIT}\s+(?P<way>after|before|from|past|prior\s+to|later\s+than|ahead\s+of|ago|later)\b",
    re.IGNORECASE,
)
_ADD = re.compile(rf"\b(?P<way>add|subtract|plus|minus)\s+{_COUNT}\s+{_UNIT}\b", re.IGNORECASE)
_UNTIL = re.compile(
    r"\b(?:how\s+(?:long|many\s+\w+(?:\s+days)?|much\s+time)\b.*\b(?:until|till|til|to|before)|(?:\w+\s+)?(?:days|weeks|months|hours)\s+(?:left\s+)?(?:until|till|til|to)|time\s+(?:left\s+)?until|countdown\s+to)\b",
    re.IGNORECASE,
)
_SINCE = re.compile(
    r"\b(?:how\s+(?:long|many\s+\w+(?:\s+days)?|much\s+time)\b.*\bsince|(?:days|weeks|months|years|time)\s+(?:passed\s+)?since|how\s+long\s+ago)\b",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"\b(?:between|from|difference|apart)\b", re.IGNORECASE)
_LONG = re.compile(
    r"\b(?:how\s+(?:long|many)|days|weeks|months|years|hours|workdays|difference|time|interval)\b",
    re.IGNORECASE,
)
_AGE = re.compile(
    r"\b(?:how\s+old|(?:what|which)\s+age|age\s+of)\b.*\bborn\b|\bborn\b.*\bhow\s+old\b|\bage\b.*\bborn\b",
    re.IGNORECASE,
)
_WEEKDAY = re.compile(
    r"\b(?:what|which)\s+(?:week\s?day|day(?:\s+of\s+the\s+week)?)\b|\bday\s+of\s+the\s+week\b|\b(?:what|which)\s+(?:calendar\s+)?(?:week|quarter)\b|\bleap\s+year\b|\bweekday\s+of\b",
    re.IGNORECASE,
)
_WHAT_DATE = re.compile(
    r"\b(?:what(?:'s|’s|\s+is)?\s+(?:the\s+)?(?:date|day)(?:\s+is\s+it)?|when\s+is|date\s+of|today(?:'s|’s)?\s+date)\b",
    re.IGNORECASE,
)


def date_question(text: str, now: datetime) -> Step | None:
    """A date.difference, date.shift or date.describe step with ISO days; None for any other text."""
    if len(text) > 400:
        return None
    found = moments(text, now)
    today = now.date()
    return (
        _age(text, found, today)
        or _shift(text, found, today)
        or _between(text, found)
        or _until(text, found, today)
        or _describe(text, found, today)
    )


def _unit_of(text: str, default: str = "days") -> str:
    match = re.search(_UNIT, text, re.IGNORECASE)
    if match is None:
        return default
    return _plain_unit(match["unit"])


def _plain_unit(written: str) -> str:
    return _UNITS[re.sub(r"\s+", " ", written.lower()).removesuffix("s")]


def _difference(start: date, end: date, unit: str) -> Step:
    arguments = {"start": start.isoformat(), "end": end.isoformat(), "unit": unit}
    return Step("date.difference", arguments, f"{unit.capitalize()} from {start} to {end}")


def _age(text: str, found: tuple[Moment, ...], today: date) -> Step | None:
    born = next((m.first or m.last for m in found), None)
    if born is None or not _AGE.search(text):
        return None
    later = [m.first for m in found[1:] if m.first]
    return _difference(born, later[0] if later else today, "years")


def _shift(text: str, found: tuple[Moment, ...], today: date) -> Step | None:
    match = _SHIFT.search(text) or _ADD.search(text)
    if match is None or (re.search(r"\bbetween\b|\bhow\s+(?:many|long)\b", text, re.IGNORECASE)):
        return None
    if not _only_dates(text):
        return None
    count = _count(match["count"])
    way = match["way"].lower()
    start = _anchor(text, match, found, today)
    if count is None or start is None:
        return None
    if way in ("before", "ago", "subtract", "minus") or way.startswith("prior"):
        count = -count
    unit = _plain_unit(match["unit"])
    if unit == "hours":
        return None
    arguments = {"date": start.isoformat(), "amount": count, "unit": unit}
    return Step(
        "date.shift", arguments, f"{abs(count)} {unit} {'before' if count < 0 else 'after'} {start}"
    )


def _count(written: str) -> int | None:
    if written.lower() in ("a", "an", "one"):
        return 1
    read = amount_of(written)
    return (
        int(read.value)
        if read and read.value == int(read.value) and abs(read.value) < 10**6
        else None
    )


def _anchor(text: str, match: re.Match[str], found: tuple[Moment, ...], today: date) -> date | None:
    """The day that is counted from: the one after the phrase, or today."""
    if match["way"].lower() in ("ago",) or re.match(
        r"\s*(?:from\s+)?(?:now|today)\b", text[match.end() :], re.IGNORECASE
    ):
        return today
    for moment in found:
        written = moments_within(text, moment, today)
        if written:
            return written[0]
    return today if match["way"].lower() == "later" else None


def moments_within(text: str, moment: Moment, today: date) -> list[date]:
    """The bare days in a moment's words, without the preposition that opened it."""
    words = re.sub(
        r"^(?:after|before|from|since|until|till|to|prior\s+to|later\s+than|past|on|of)\s+",
        "",
        text[moment.start : moment.end],
        flags=re.IGNORECASE,
    )
    inner = moments(words, datetime(today.year, today.month, today.day))
    return [d for d in (m.first or m.last for m in inner) if d is not None]


def _between(text: str, found: tuple[Moment, ...]) -> Step | None:
    if not _BETWEEN.search(text) or not _LONG.search(text) or not _only_dates(text):
        return None
    for moment in found:
        if moment.grain == "span" and moment.first and moment.last:
            return _difference(moment.first, moment.last, _unit_of(text))
    days = [m.first for m in found if m.first is not None]
    return _difference(days[0], days[1], _unit_of(text)) if len(days) == 2 else None


def _until(text: str, found: tuple[Moment, ...], today: date) -> Step | None:
    if not found or not _only_dates(text):
        return None
    days = moments_within(text, found[-1], today)
    if not days:
        return None
    day = days[0]
    if _UNTIL.search(text):
        if not found[-1].year_given:
            day = _next(day, today)
        return _difference(today, day, _unit_of(text))
    if _SINCE.search(text):
        return _difference(day, today, _unit_of(text))
    return None


def _next(day: date, today: date) -> date:
    """The same day of this year or the next, whichever is to come."""
    for year in (today.year, today.year + 1, today.year + 2, today.year + 4):
        try:
            moved = day.replace(year=year)
        except ValueError:
            continue
        if moved >= today:
            return moved
    return day


def _describe(text: str, found: tuple[Moment, ...], today: date) -> Step | None:
    if not _only_dates(text):
        return None
    if _WEEKDAY.search(text) and not re.search(
        r"\bwhat\s+day\s+(?:did|has|had)\b", text, re.IGNORECASE
    ):
        day = next((d for m in found for d in [m.first or m.last] if d), None)
    elif _WHAT_DATE.search(text):
        day = next(
            (
                d if m.year_given else _next(d, today)
                for m in found
                for d in [m.first or m.last]
                if d
            ),
            None,
        )
    else:
        return None
    return Step("date.describe", {"date": day.isoformat()}, f"Describe {day}") if day else None


_WORDS = re.compile(r"[a-z']+", re.IGNORECASE)
_TABLE_WORDS = frozenset(
    "orders order sales rows table average total sum revenue customers employees tickets count top highest most column file "
    "email emails summarise summarize reviews flights show list filter chart plot".split()
)


def _only_dates(text: str) -> bool:
    """Whether a text is about dates alone, not about rows that have dates."""
    return not any(w.lower() in _TABLE_WORDS for w in _WORDS.findall(text))
