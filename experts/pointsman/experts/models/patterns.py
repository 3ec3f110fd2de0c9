"""Entities with a form: date, time, money, percent, quantity, email, phone, url, with a normal form.

Expressions are anchored on a literal or a bounded run of digits, without nested repetition, so that
matching takes time linear in the text. Where two kinds claim the same characters, the longer wins, then
the earlier in KINDS.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Final

KINDS: Final = ("url", "email", "date", "time", "money", "percent", "phone", "quantity")


@dataclass(frozen=True, slots=True)
class Mention:
    """An entity in a text: value == text[start:end]; normalized: None where there is no normal form."""

    type: str
    start: int
    end: int
    value: str
    normalized: str | None = None


MONTHS: Final = {
    name: number
    for number, names in enumerate(
        "january jan|february feb|march mar|april apr|may|june jun|july jul|august aug|"
        "september sept sep|october oct|november nov|december dec".split("|"),
        start=1,
    )
    for name in names.split()
}
_MONTH = "(?P<{0}>" + "|".join(sorted(MONTHS, key=len, reverse=True)) + r")\b\.?"
_WEEKDAY = "(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_I = re.IGNORECASE
_NUMBER = r"(?<![\w.,])[-+]?(?:\d{1,3}(?:[,.' \u00a0]\d{3}){1,5}(?!\d)|\d{1,15})(?:[.,]\d{1,6})?"
_SCALE: Final = {
    "k": 3, "thousand": 3, "m": 6, "mn": 6, "mio": 6, "million": 6, "millions": 6,
    "b": 9, "bn": 9, "billion": 9, "billions": 9, "trillion": 12,
}  # fmt: skip
_SCALES = r"(?:[ -]?(?P<scale>thousand|millions?|billions?|trillion|mio|mn|bn|[kmb])\b)?"
_SIGNS: Final = {
    "$": "USD", "US$": "USD", "C$": "CAD", "CA$": "CAD", "A$": "AUD", "AU$": "AUD", "€": "EUR", "£": "GBP",
    "¥": "JPY", "₹": "INR", "₩": "KRW", "₽": "RUB", "R$": "BRL", "HK$": "HKD", "NZ$": "NZD", "S$": "SGD",
}  # fmt: skip
_CODES: Final = frozenset(
    "USD EUR GBP JPY CHF CAD AUD NZD CNY INR KRW BRL MXN SEK NOK DKK PLN CZK HUF RUB TRY ZAR SGD HKD AED SAR ILS THB".split()
)
_NAMES: Final = {
    "dollar": "USD", "us dollar": "USD", "buck": "USD", "euro": "EUR", "pound": "GBP", "pound sterling": "GBP",
    "yen": "JPY", "rupee": "INR", "swiss franc": "CHF", "cent": "USD cent", "pence": "GBP penny", "yuan": "CNY",
}  # fmt: skip
_UNITS: Final = {
    "km": "kilometre", "cm": "centimetre", "mm": "millimetre", "m": "metre", "kg": "kilogram", "g": "gram",
    "mg": "milligram", "t": "tonne", "lb": "pound", "lbs": "pound", "oz": "ounce", "l": "litre", "ml": "millilitre",
    "ft": "foot", "mph": "mile per hour", "km/h": "kilometre per hour", "kwh": "kilowatt hour", "kw": "kilowatt",
    "mw": "megawatt", "w": "watt", "v": "volt", "hz": "hertz", "ghz": "gigahertz", "mhz": "megahertz", "gb": "gigabyte",
    "mb": "megabyte", "tb": "terabyte", "kb": "kilobyte", "°c": "degree Celsius", "°f": "degree Fahrenheit",
    "m²": "square metre", "m2": "square metre", "sqm": "square metre", "m³": "cubic metre", "bar": "bar",
    "px": "pixel", "psi": "psi", "ha": "hectare", "kcal": "kilocalorie",
}  # fmt: skip
_UNIT_WORDS: Final = (
    "kilometre kilometer metre meter centimetre centimeter millimetre millimeter mile yard foot inch kilogram kilo "
    "gram milligram tonne ton ounce litre liter millilitre milliliter gallon pint hectare acre watt kilowatt volt "
    "hertz gigabyte megabyte terabyte byte pixel calorie degree second minute hour day week month year"
).split()
_UNIT = "|".join(
    [*(re.escape(u) for u in sorted(_UNITS, key=len, reverse=True)), "feet", "inches"]
    + [f"{w}s?" for w in _UNIT_WORDS]
)


def _iso(year: str, month: int, day: str) -> str | None:
    try:
        return date(int(year), month, int(day)).isoformat()
    except ValueError:
        return None


def _named_date(m: re.Match[str]) -> str | None:
    """Day, month by name, year; without a day YYYY-MM; without a year none."""
    part = m.groupdict()
    month, year, day = MONTHS[part["month"].lower()], part.get("year"), part.get("day")
    if year is None:
        return None
    return _iso(year, month, day) if day else f"{year}-{month:02}"


def _iso_date(m: re.Match[str]) -> str | None:
    return _iso(m["year"], int(m["month"]), m["day"])


def _numeric_date(m: re.Match[str]) -> str | None:
    """12/03/2024: only where one reading is possible, or with dots, which are written day first."""
    first, second = int(m["first"]), int(m["second"])
    year = m["year"] if len(m["year"]) == 4 else f"20{m['year']}"
    if m["mark"] == "." or first > 12 or first == second:
        return _iso(year, second, m["first"])
    return _iso(year, first, m["second"]) if second > 12 else None


def _same(m: re.Match[str]) -> str | None:
    return m.group().lower()


def _nothing(_m: re.Match[str]) -> str | None:
    return None


def _clock(m: re.Match[str]) -> str | None:
    part = m.groupdict()
    hour, minute = int(part["hour"]), int(part.get("minute") or 0)
    half = (part.get("half") or "").lower().replace(".", "").replace(" ", "")
    if hour > 23 or minute > 59 or (half and not 1 <= hour <= 12):
        return None
    if half:
        hour = hour % 12 + (12 if half == "pm" else 0)
    return f"{hour:02}:{minute:02}"


def number_of(written: str) -> Decimal | None:
    """1,200.50 and 1.200,50 and 1 200 as a number: the last mark before 1-2 or 4+ digits is the point."""
    plain = re.sub(r"[ '\u00a0]", "", written)
    last = max(plain.rfind("."), plain.rfind(","))
    if last >= 0:
        mark, after = plain[last], len(plain) - last - 1
        other = "," if mark == "." else "."
        grouping = after == 3 and (plain.count(mark) > 1 or (mark == "," and other not in plain))
        plain = plain.replace(other, "")
        plain = plain.replace(mark, "") if grouping else plain.replace(mark, ".")
    try:
        return Decimal(plain)
    except InvalidOperation:
        return None


def _plain(value: Decimal) -> str:
    return format(value.normalize(), "f") if value else "0"


def _money(m: re.Match[str]) -> str | None:
    part = m.groupdict()
    value = number_of(part["number"].strip())
    if value is None:
        return None
    scale = part.get("scale")
    if scale:
        value *= Decimal(10) ** _SCALE[scale.lower()]
    sign = part["currency"].strip()
    name = re.sub(r"s$", "", sign.lower())
    code = _SIGNS.get(sign.upper()) or _NAMES.get(name) or sign.upper()
    return f"{_plain(value)} {code}"


def _percent(m: re.Match[str]) -> str | None:
    value = number_of(m["number"])
    return None if value is None else f"{_plain(value)} %"


def _quantity(m: re.Match[str]) -> str | None:
    value, unit = number_of(m["number"]), m["unit"].lower()
    if value is None:
        return None
    irregular = {"feet": "foot", "inches": "inch"}
    name = _UNITS.get(unit) or irregular.get(unit) or (unit[:-1] if unit.endswith("s") else unit)
    return f"{_plain(value)} {name}"


def _phone(m: re.Match[str]) -> str | None:
    digits = re.sub(r"\D", "", m.group().replace("(0)", ""))
    plus = "+" if m.group().lstrip("(").startswith("+") else ""
    return plus + digits if 7 <= len(digits) <= 15 else None


Normal = Callable[[re.Match[str]], str | None]
_DAY = r"(?P<day>[0-3]?\d)(?:st|nd|rd|th)?"
_CURRENCY = "|".join(re.escape(s) for s in sorted(_SIGNS, key=len, reverse=True))
_CODE = "|".join(sorted(_CODES))
_NAMED = r"(?:US |Canadian |Australian )?dollars?|bucks|euros?|pounds?(?: sterling)?|yen|rupees?|Swiss francs?|cents?|pence|yuan"

_PATTERNS: Final[tuple[tuple[str, re.Pattern[str], Normal, bool], ...]] = tuple(
    (kind, re.compile(pattern, _I), normal, needed)
    for kind, pattern, normal, needed in (
        ("url", r"\b(?:https?://|www\.)[^\s<>\"'\]]{3,2000}", _same, False),
        ("email", r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[a-z0-9-]{1,63}\.){1,6}[a-z]{2,24}\b", _same, False),
        ("date", r"(?<![\d-])(?P<year>[12]\d{3})-(?P<month>[01]?\d)-(?P<day>[0-3]?\d)(?![\d-])", _iso_date, True),
        ("date", r"(?<![\d/])(?P<year>[12]\d{3})/(?P<month>[01]?\d)/(?P<day>[0-3]?\d)(?![\d/])", _iso_date, True),
        ("date", r"(?<![\d./-])(?P<first>[0-3]?\d)(?P<mark>[./-])(?P<second>[0-3]?\d)(?P=mark)(?P<year>(?:[12]\d)?\d\d)(?![\d/-])", _numeric_date, False),
        ("date", rf"\b(?:{_WEEKDAY},?[ ])?{_DAY}(?: of)?[ -]{_MONTH.format('month')}(?:,?[ -](?P<year>[12]\d{{3}})\b)?", _named_date, False),
        ("date", rf"\b(?:{_WEEKDAY},?[ ])?{_MONTH.format('month')} {_DAY}\b(?!:\d)(?:,? (?P<year>[12]\d{{3}})\b)?", _named_date, False),
        ("date", rf"\b{_MONTH.format('month')},? (?P<year>[12]\d{{3}})\b", _named_date, True),
        ("date", rf"\b(?:(?:next|last|this|coming) )?{_WEEKDAY}(?: (?:morning|afternoon|evening|night))?\b", _nothing, False),
        ("date", r"\b(?:today|tomorrow|yesterday|tonight|(?:next|last) (?:week|month|quarter|year|summer|winter|spring|autumn))\b", _nothing, False),
        ("date", r"(?<=\bin )(?P<year>(?:19|20)\d\d)\b(?![.,]?\d)", lambda m: m["year"], True),
        ("date", r"(?<=\bfrom )(?P<year>(?:19|20)\d\d)\b(?![.,]?\d)", lambda m: m["year"], True),
        ("date", r"(?<=\bsince )(?P<year>(?:19|20)\d\d)\b(?![.,]?\d)", lambda m: m["year"], True),
        ("time", r"(?<![\d:.])(?P<hour>[0-2]?\d)[:.](?P<minute>[0-5]\d)(?::[0-5]\d)? ?(?P<half>[ap]\.?m\b\.?)", _clock, True),
        ("time", r"(?<![\d:])(?P<hour>[0-2]?\d):(?P<minute>[0-5]\d)(?::[0-5]\d)?(?![\d:])", _clock, True),
        ("time", r"(?<![\d:.,])(?P<hour>1?\d) ?(?P<half>[ap]\.?m\b\.?|o'clock\b)" , lambda m: _clock(m) if "clock" not in m["half"].lower() else f"{int(m['hour']):02}:00", True),
        ("time", r"\b(?:noon|midnight)\b", lambda m: "12:00" if m.group().lower() == "noon" else "00:00", True),
        ("money", rf"(?P<currency>{_CURRENCY}) ?(?P<number>(?:\d{{1,3}}(?:[,' .]\d{{3}}){{1,5}}(?!\d)|\d{{1,15}})(?:[.,]\d{{1,2}}(?!\d))?){_SCALES}", _money, True),
        ("money", rf"(?<!\w)(?P<currency>{_CODE}) ?(?P<number>(?:\d{{1,3}}(?:[,' .]\d{{3}}){{1,5}}(?!\d)|\d{{1,15}})(?:[.,]\d{{1,2}}(?!\d))?){_SCALES}", _money, True),
        ("money", rf"(?P<number>{_NUMBER}){_SCALES} ?(?P<currency>(?:{_CODE}|{_NAMED})\b|[€£¥₹$])", _money, True),
        ("percent", rf"(?P<number>{_NUMBER}) ?(?:%|(?:percent|per cent|pct)\b)", _percent, True),
        ("phone", r"(?<![\w+./-])(?:\+\d{1,3}[ .-]?)?(?:\(\d{1,5}\)[ .-]?)?\d{2,8}(?:[ ./-]\d{2,8}){0,5}(?![\w/-])", _phone, True),
        ("phone", r"(?<![\w+])\+\d{8,15}(?!\w)", _phone, True),
        ("quantity", rf"(?P<number>{_NUMBER}) ?(?P<unit>{_UNIT})(?![\w²³/])", _quantity, True),
    )
)  # fmt: skip


def mentions_in(text: str, kinds: Sequence[str] = KINDS) -> list[Mention]:
    """Entities with a form, in order, none overlapping another."""
    found = [m for m in _candidates(text) if m.type in KINDS]
    found.sort(key=lambda m: (m.start - m.end, KINDS.index(m.type), m.start))
    taken = bytearray(len(text))
    kept: list[Mention] = []
    for m in found:
        if not any(taken[m.start : m.end]):
            taken[m.start : m.end] = b"\1" * (m.end - m.start)
            kept.append(m)
    return sorted((m for m in kept if m.type in kinds), key=lambda m: m.start)


def _candidates(text: str) -> Iterator[Mention]:
    for kind, pattern, normal, needed in _PATTERNS:
        for match in pattern.finditer(text):
            value = _trimmed(kind, match.group())
            if kind == "date" and value.lower() in MONTHS:
                continue
            if kind == "phone" and not _is_phone(value):
                continue
            normalized = normal(match)
            if normalized is None and needed:
                continue
            if kind == "url":
                normalized = value
            yield Mention(kind, match.start(), match.start() + len(value), value, normalized)


def _trimmed(kind: str, value: str) -> str:
    """Without the punctuation of the sentence: "3 pm." ends in a full stop, "3 p.m." does not."""
    if kind == "url":
        return value.rstrip(" .,;:!?)")
    dots = 0 if kind == "time" and re.search(r"\.m\.$", value, _I) else 1
    return value.rstrip(" ,;." if dots and kind in ("time", "date") else " ,;")


def _is_phone(value: str) -> bool:
    """Digits in groups are a phone number with a plus, a leading zero, an area code or as NNN-NNN-NNNN."""
    if not 7 <= sum(c.isdigit() for c in value) <= 15:
        return False
    if value.startswith(("+", "(")) or (value[0] == "0" and re.search(r"[ ./-]", value)):
        return True
    return (
        re.fullmatch(
            r"\d{3}[ .-]\d{3}[ .-]\d{4}|\d{3}-\d{4}|1[ .-]\d{3}[ .-]\d{3}[ .-]\d{4}", value
        )
        is not None
    )
