"""Arithmetic on calendar dates: differences, shifts, and what kind of day a date is.

Dates come in as ISO 8601 (planning resolves "next Friday" before); other absolute spellings are read
too, in any language dateparser knows. A numeric date that can be read in two ways is refused.
"""

import datetime as calendar_time
import re
from calendar import isleap, monthrange
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

from pointsman.experts.base import Done
from pointsman.experts.tools.functions import ToolExpert, capability
from pointsman.router.catalog import Prior
from pointsman.router.errors import BadArguments
from pointsman.router.values import QUANTITY, Quantity

__all__ = ["DATES", "TOOLS", "describe", "difference", "read_date", "shift", "workdays_between"]

ShiftUnit = Literal["days", "weeks", "months", "years", "workdays"]
DifferenceUnit = Literal["days", "weeks", "months", "years", "hours", "workdays"]

_NUMERIC = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})")
_TIME = re.compile(r"\d{1,2}:\d{2}|[T ]\d{2}Z?$")


def read_date(text: str) -> datetime:
    """A date, or a date and time, without a time zone unless one is given. Raises BadArguments."""
    cleaned = text.strip()
    try:
        return datetime.fromisoformat(cleaned)
    except ValueError:
        pass
    if match := _NUMERIC.fullmatch(cleaned):
        return _numeric(cleaned, int(match[1]), int(match[3]), int(match[4]), match[2])
    import dateparser  # type: ignore[import-untyped,unused-ignore]

    found: datetime | None = None
    if 4 <= len(cleaned) <= 60:
        found = dateparser.parse(
            cleaned,
            settings={"PARSERS": ["absolute-time"], "REQUIRE_PARTS": ["day", "month", "year"]},
        )
    if found is None:
        raise BadArguments(f"{text[:60]!r} is not a date; write it as 2025-03-31")
    return found


def _numeric(text: str, first: int, second: int, year: int, separator: str) -> datetime:
    """31/12/2024, 12/31/2024 and 31.12.2024; 03/04/2024 could be either."""
    day, month = first, second
    if separator != "." and first <= 12 and second <= 12 and first != second:
        raise BadArguments(
            f"{text!r} is either {_iso(year, second, first)} or {_iso(year, first, second)}; "
            "write the one that is meant"
        )
    if second > 12 and separator != ".":
        day, month = second, first
    try:
        return datetime(year, month, day)
    except ValueError as error:
        raise BadArguments(f"there is no date {text!r}; {error}") from error


def _iso(year: int, month: int, day: int) -> str:
    return f"{year:04d}-{month:02d}-{day:02d}"


def workdays_between(start: calendar_time.date, end: calendar_time.date) -> int:
    """Mondays to Fridays after `start` up to and with `end`; negative when `end` is the earlier."""
    if end < start:
        return -workdays_between(end, start)
    weeks, rest = divmod((end - start).days, 7)
    days = (start + timedelta(days=7 * weeks + n) for n in range(1, rest + 1))
    return 5 * weeks + sum(day.weekday() < 5 for day in days)


def _months_between(start: datetime, end: datetime) -> int:
    """Whole months that have passed; an end of month counts as the day that is not there."""
    months = (end.year - start.year) * 12 + end.month - start.month
    if months > 0 and _plus_months(start, months) > end:
        months -= 1
    elif months < 0 and _plus_months(start, months) < end:
        months += 1
    return months


def _plus_months(start: datetime, months: int) -> datetime:
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    return start.replace(
        year=year, month=month + 1, day=min(start.day, monthrange(year, month + 1)[1])
    )


def _plus_workdays(start: datetime, amount: int) -> datetime:
    """The amount-th workday after (or before) a date; whole weeks at a step."""
    step = 1 if amount > 0 else -1
    while start.weekday() > 4 and amount:
        start -= timedelta(days=step)
    weeks, rest = divmod(abs(amount), 5)
    moved = start + timedelta(days=7 * weeks * step)
    while rest:
        moved += timedelta(days=step)
        rest -= moved.weekday() < 5
    return moved


@capability(
    "date.difference",
    title="time between dates",
    output=QUANTITY,
    examples=[
        "how many days between 1 March and 17 June 2025",
        "how long is it from 2024-02-10 to 2024-12-24",
        "number of weeks from 3 May 2021 to 1 January 2022",
        "how old is someone born on 1990-07-12",
        "working days between 2 and 30 June",
        "how many months passed since 15 January 2023",
        "days until Christmas",
        "how many business days are left until the deadline",
        "hours between 2025-01-01 08:00 and 2025-01-02 17:30",
        "how many years ago was 1969-07-20",
    ],
    composition=["the result is a quantity: math.calculate can use it, units.convert convert it"],
    prior=Prior(quality=0.98, latency=0.002),
)
def difference(start: str, end: str, unit: DifferenceUnit = "days") -> Done:
    """Counts the time from one date to another in days, weeks, whole months or years, hours, or working days.

    Args:
        start: the first date, such as 2025-03-31.
        end: the second date; before the first it gives a negative number.
        unit: what to count; months and years are whole ones that have passed, workdays are Monday to
            Friday after the start up to and with the end.
    """
    first, second = _alike(read_date(start), read_date(end))
    value, note = _difference(first, second, unit)
    return Done(Quantity(value, unit).to_json(), note)


def _difference(first: datetime, second: datetime, unit: DifferenceUnit) -> tuple[Decimal, str]:
    span = second - first
    days = (second.date() - first.date()).days
    match unit:
        case "days":
            return Decimal(days), ""
        case "hours":
            seconds = Decimal(span.days * 86_400 + span.seconds)
            return _short(seconds / 3_600), ""
        case "weeks":
            weeks, rest = divmod(abs(days), 7)
            return _short(Decimal(days) / 7), f"{weeks} weeks and {rest} days" if rest else ""
        case "workdays":
            return Decimal(workdays_between(first.date(), second.date())), "Monday to Friday"
        case "months" | "years":
            months = _months_between(first, second)
            rest = abs((second.date() - _plus_months(first, months).date()).days)
            years, over = divmod(abs(months), 12)
            note = f"{years} years, {over} months and {rest} days"
            whole = years if months >= 0 else -years
            return Decimal(months if unit == "months" else whole), note


def _short(value: Decimal) -> Decimal:
    """To two places, and whole when it is."""
    if value == value.to_integral_value():
        return Decimal(int(value))
    return value.quantize(Decimal("0.01"), ROUND_HALF_UP).normalize()


def _alike(first: datetime, second: datetime) -> tuple[datetime, datetime]:
    """Both with a time zone or both without: one that has none is in the zone of the other."""
    if first.tzinfo is None and second.tzinfo is not None:
        first = first.replace(tzinfo=second.tzinfo)
    elif second.tzinfo is None and first.tzinfo is not None:
        second = second.replace(tzinfo=first.tzinfo)
    return first, second


@capability(
    "date.shift",
    title="move a date",
    examples=[
        "what date is 90 days after 2025-01-15",
        "30 days from today",
        "the date three months before 31 May 2024",
        "add 10 working days to 2 June 2025",
        "when does a 24-month contract that started on 1 Feb 2023 end",
        "two weeks before 24 December",
        "what day was it 100 days ago",
        "due date: invoice date plus 45 days",
        "5 years after 29 February 2024",
    ],
    composition=["date.describe tells the weekday of the result"],
    prior=Prior(quality=0.98, latency=0.002),
)
def shift(date: str, amount: int, unit: ShiftUnit = "days") -> str:
    """Moves a date forward or back by days, weeks, months, years or working days.

    Args:
        date: the date to start from, such as 2025-03-31.
        amount: how far to move; negative moves back.
        unit: days, weeks, months, years or workdays. A month's last days are kept inside the month:
            31 January plus one month is the last day of February.
    """
    start = read_date(date)
    try:
        moved = _shifted(start, amount, unit)
    except (OverflowError, ValueError) as error:
        raise BadArguments(
            f"{amount} {unit} from {date!r} leaves the calendar (years 1 to 9999)"
        ) from error
    return moved.isoformat() if _TIME.search(date) else moved.date().isoformat()


def _shifted(start: datetime, amount: int, unit: ShiftUnit) -> datetime:
    match unit:
        case "days":
            return start + timedelta(days=amount)
        case "weeks":
            return start + timedelta(weeks=amount)
        case "months":
            return _plus_months(start, amount)
        case "years":
            return _plus_months(start, 12 * amount)
        case "workdays":
            return _plus_workdays(start, amount)


@capability(
    "date.describe",
    title="look up a date",
    examples=[
        "what day of the week is 2025-07-04",
        "which weekday was 20 July 1969",
        "what week number is 12 November 2025",
        "is 2028 a leap year",
        "which quarter is 15 August in",
        "what day of the year is 1 March 2024",
        "was 13 June 2025 a Friday",
        "tell me about the date 29 February 2024",
    ],
    composition=["after date.shift, to say which weekday the result is"],
    prior=Prior(quality=0.98, latency=0.002),
)
def describe(date: str) -> dict[str, str | int]:
    """Tells the weekday, ISO week, day of the year and quarter of a date, and whether its year is a leap year.

    Args:
        date: the date, such as 2025-03-31.
    """
    day = read_date(date).date()
    return {
        "date": day.isoformat(),
        "weekday": _WEEKDAYS[day.weekday()],
        "week": day.isocalendar().week,
        "day_of_year": day.timetuple().tm_yday,
        "quarter": (day.month + 2) // 3,
        "leap_year": isleap(day.year),
    }


_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

TOOLS = (difference, shift, describe)
DATES = ToolExpert("dates", "Arithmetic on calendar dates", TOOLS)
