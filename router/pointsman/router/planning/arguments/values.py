"""One parameter's value from a text: by the schema's type, and by cues in the parameter's name and description."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from pointsman.router.planning.arguments.amounts import CURRENCIES, Amount, amounts
from pointsman.router.planning.arguments.lists import inline_items, labels, quoted
from pointsman.router.planning.arguments.moments import Moment, moments
from pointsman.router.planning.tables.words import STOP, split_name, stem

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_URL = re.compile(r"https?://[^\s<>\"'）)]+|\bwww\.[^\s<>\"')]+", re.IGNORECASE)
_PHONE = re.compile(r"(?<![\w.])\+?\d[\d\s()/-]{6,}\d(?![\w.])")
LANGUAGES = frozenset(
    "english french german spanish italian portuguese dutch polish czech danish swedish norwegian finnish greek turkish "
    "russian ukrainian arabic hebrew hindi chinese japanese korean vietnamese thai indonesian latin hungarian romanian".split()
)
# Words of a name or description -> what stands before the value in a sentence.
_CUES: tuple[tuple[str, str], ...] = (
    ("destination target arrival recipient receiver", r"to|towards?|into"),
    ("origin source departure sender start", r"from|leaving|starting\s+(?:in|at|from)"),
    ("language lang locale", r"in|into|to"),
    ("subject topic theme about", r"about|on|regarding|concerning|re"),
    ("name called", r"named|called|for|by\s+the\s+name\s+of"),
    ("title", r"titled|entitled|called|named"),
    ("city place location town country where address", r"in|at|for|near|around|to|of"),
    ("person customer user author attendee participant owner assignee", r"for|by|with|to|of|from"),
    ("query keyword search term", r"for|about|on"),
    ("message body text content note", r"saying|that\s+says|with\s+the\s+(?:text|message|content)|reading|message|note"),
    ("reason", r"because(?:\s+of)?|due\s+to|since"),
    ("company organization symbol ticker", r"of|for|at|from"),
    ("product item dish", r"of|for|order|buy"),
    ("channel room", r"in|to|on"),
)  # fmt: skip
_PROPER = r"[A-ZÀ-Þ][\w'’.-]*(?:\s+(?:of|de|la|van|von|the|di|da)\s+(?=[A-ZÀ-Þ])|\s+(?=[A-ZÀ-Þ]))?"
_NAME = re.compile(rf"(?:{_PROPER})+")
_FREE = frozenset("message body text content note query question prompt instruction".split())


class Reading:
    """A text with its numbers, dates and strings, and which of its characters have been read."""

    def __init__(self, text: str, now: datetime) -> None:
        self.text, self.now = text, now
        self.used: list[tuple[int, int]] = []
        self.currencies: set[int] = set()
        self.moments = tuple(to_come(m, now.date()) for m in moments(text, now))
        inside = [(m.start, m.end) for m in self.moments]
        self.amounts = tuple(
            a for a in amounts(text) if not any(s <= a.start < e for s, e in inside)
        )

    def use(self, start: int, end: int) -> None:
        self.used.append((start, end))

    def free(self, start: int, end: int) -> bool:
        return not any(s < end and start < e for s, e in self.used)

    def free_words(self) -> list[tuple[str, tuple[int, int]]]:
        found = re.finditer(r"[^\W\d_]+", self.text)
        return [
            (m.group().lower(), m.span())
            for m in found
            if m.group().lower() not in STOP and self.free(*m.span())
        ]


def to_come(moment: Moment, today: date) -> Moment:
    """A day without a year, in an order to do something, is the next such day."""
    if moment.year_given or moment.first is None or moment.first >= today:
        return moment
    this_year = moment.moved_to_year(today.year)
    if this_year.first is not None and this_year.first >= today:
        return this_year
    return moment.moved_to_year(today.year + 1)


def read_parameter(
    name: str, schema: Mapping[str, Any], reading: Reading, *, cued: bool, required: bool
) -> Any:
    """A value for one parameter, or None. cued: only where the text says which parameter is meant."""
    if "enum" in schema:
        return _enum(name, schema, reading)
    kinds = schema.get("x-kind")
    match schema.get("type"):
        case "boolean":
            return _boolean(name, schema, reading) if cued else None
        case "integer" | "number":
            return _number(name, schema, reading, cued, required)
        case "array":
            return _array(name, schema, reading, cued)
        case "string":
            return _string(name, schema, reading, cued, required)
        case _ if kinds == "quantity":
            return _number(name, schema | {"type": "number"}, reading, cued, required)  # type: ignore[operator]
        case _:
            return None


def words_of(name: str, schema: Mapping[str, Any]) -> tuple[frozenset[str], frozenset[str]]:
    """The stems of a parameter's name, and of its description."""
    described = re.findall(r"[a-z]+", str(schema.get("description") or "").lower())
    own = frozenset(stem(w) for w in split_name(name))
    return own, frozenset(stem(w) for w in described if w not in STOP) | own


def _enum(name: str, schema: Mapping[str, Any], reading: Reading) -> Any:
    best: tuple[int, Any, tuple[int, int]] | None = None
    own, _ = words_of(name, schema)
    for value in schema["enum"]:
        if not isinstance(value, str) or not value:
            continue
        spoken = re.escape(value).replace("_", r"[\s_-]").replace(r"\-", r"[\s_-]")
        for match in re.finditer(
            rf"(?<!\w){spoken}(?:s|es|ed|ly)?(?!\w)", reading.text, re.IGNORECASE
        ):
            near = any(
                stem(w) in own
                for w in re.findall(
                    r"\w+", reading.text[max(0, match.start() - 20) : match.end() + 20].lower()
                )
            )
            rank = len(value) + (100 if near else 0)
            if best is None or rank > best[0]:
                best = (rank, value, match.span())
    if best is None:
        return None
    reading.use(*best[2])
    return best[1]


def _boolean(name: str, schema: Mapping[str, Any], reading: Reading) -> bool | None:
    own = [
        re.escape(stem(w))
        for w in split_name(name)
        if w not in ("is", "has", "use", "include", "with", "enable", "allow")
    ]
    if not own:
        return None
    phrase = r"[\s_-]+".join(rf"{w}\w{{0,3}}" for w in own)
    match = re.search(
        rf"(?P<no>\b(?:no|not|non|without|don't|do\s+not|never|isn't)\s+(?:\w+\s+){{0,2}}|\bun(?=\w)|\bnon-)?(?<!\w){phrase}(?P<off>\s*(?:=|:|is)?\s*(?:off|false|no)\b)?",
        reading.text,
        re.IGNORECASE,
    )
    if match is None:
        return None
    reading.use(*match.span())
    return not (match["no"] or match["off"])


def _number(
    name: str, schema: Mapping[str, Any], reading: Reading, cued: bool, required: bool
) -> int | float | None:
    whole = schema.get("type") == "integer"
    free = [
        a for a in reading.amounts if reading.free(a.start, a.end) and _allowed(a, schema, whole)
    ]
    if not free:
        return None
    own, described = words_of(name, schema)
    scored = [(_nearness(a, own, described, reading), a) for a in free]
    best, amount = max(scored, key=lambda s: s[0])
    if cued and best <= 0:
        return None
    if (
        not cued
        and (not required or (len(free) > 1 and best <= 0))
        and not (required and len(free) == 1)
    ):
        return None
    reading.use(amount.start, amount.end)
    value = amount.as_json()
    return int(value) if whole else value


def _allowed(amount: Amount, schema: Mapping[str, Any], whole: bool) -> bool:
    value = amount.as_json()
    if (whole and not isinstance(value, int)) or (amount.worded and amount.value == 1):
        return False
    low, high = schema.get("minimum"), schema.get("maximum")
    return (low is None or value >= low) and (high is None or value <= high)


def _nearness(
    amount: Amount, own: frozenset[str], described: frozenset[str], reading: Reading
) -> float:
    """How surely a number is meant for a parameter: its name beside the number, its unit, its currency."""
    before = re.findall(
        r"[a-z]+|%", reading.text[max(0, amount.start - 30) : amount.start].lower()
    )[-3:]
    after = re.findall(r"[a-z]+|%", reading.text[amount.end : amount.end + 30].lower())[:2]
    near = {stem(w) for w in (*before, *after)}
    score = 2.0 * len(near & own) + 0.5 * len(near & (described - own))
    if amount.unit == "%" and described & {"percent", "percentage", "rate", "discount"}:
        score += 2
    if amount.unit not in (None, "%") and described & {
        "amount",
        "price",
        "money",
        "budget",
        "cost",
        "currency",
        "value",
        "salary",
    }:
        score += 2
    if (
        described & {"limit", "maximum", "count"}
        and before[-1:]
        and before[-1] in ("top", "first", "limit", "max", "last")
    ):
        score += 2
    return score


def _array(name: str, schema: Mapping[str, Any], reading: Reading, cued: bool) -> list[Any] | None:
    items = schema.get("items", {})
    kind, form = items.get("type"), items.get("format", "")
    own, _ = words_of(name, schema)
    if form == "email" or own & {"email", "recipient", "attendee"}:
        found: list[Any] = [m.group() for m in _EMAIL.finditer(reading.text)]
        return found or None
    if form in ("uri", "url") or own & {"url", "link"}:
        return [m.group().rstrip(".,;") for m in _URL.finditer(reading.text)] or None
    if kind in ("integer", "number"):
        return [a.as_json() for a in reading.amounts] or None
    if "enum" in items:
        named = [
            v
            for v in items["enum"]
            if isinstance(v, str)
            and re.search(rf"(?<!\w){re.escape(v)}(?:s|es)?(?!\w)", reading.text, re.IGNORECASE)
        ]
        return list(named) or None
    if kind != "string":
        return None
    if own & {"label", "category", "class", "tag"}:
        return list(labels(reading.text)) or None
    return None if cued else (list(inline_items(reading.text)) or _listed(own, reading))


def _listed(own: frozenset[str], reading: Reading) -> list[Any] | None:
    """ "with ingredients flour, eggs and milk": a list after the parameter's name."""
    for word in own:
        match = re.search(
            rf"\b{re.escape(word)}\w{{0,2}}\s*:?\s+([^.?!\n]+)", reading.text, re.IGNORECASE
        )
        parts = re.split(r"\s*,\s*(?:and\s+)?|\s+and\s+", match.group(1)) if match else []
        if len(parts) > 1:
            return [p.strip() for p in parts if p.strip()]
    return None


def _string(
    name: str, schema: Mapping[str, Any], reading: Reading, cued: bool, required: bool
) -> str | None:
    own, described = words_of(name, schema)
    form = str(schema.get("format", ""))
    only_email = form == "email" or "email" in own
    if only_email or own & {"recipient", "to", "cc", "bcc", "sender"}:
        email = _pattern(_EMAIL, reading)
        if email is not None or only_email:
            return email
    if form in ("uri", "url") or own & {"url", "link", "website", "uri"}:
        return _pattern(_URL, reading)
    if own & {"phone", "telephone", "mobile"}:
        return _pattern(_PHONE, reading)
    if form in ("date", "date-time", "time") or own & {
        "date",
        "day",
        "deadline",
        "when",
        "datetime",
        "until",
        "since",
    }:
        return _moment(own, form, reading)
    if own & {"currency"}:
        return _currency(own, reading)
    if own & {"language", "lang"}:
        return _language(reading)
    found = _named(own, reading) or _cued(own, described, reading)
    if found is not None or cued:
        return found
    return _whole_string(own, reading, required)


def _pattern(pattern: re.Pattern[str], reading: Reading) -> str | None:
    for match in pattern.finditer(reading.text):
        if reading.free(*match.span()):
            reading.use(*match.span())
            return match.group().rstrip(".,;")
    return None


def _moment(own: frozenset[str], form: str, reading: Reading) -> str | None:
    """A day, or a point in time when a clock is given. Ends of a span go to start and end parameters."""
    late = bool(own & {"end", "to", "until", "till", "finish", "checkout", "return", "last"})
    for moment in reading.moments:
        key = (
            (moment.start, moment.end)
            if moment.grain != "span"
            else (moment.start + late, moment.start + late + 1)
        )
        if reading.free(*key):
            day = (moment.last if late else moment.first) or moment.first or moment.last
            reading.use(*key)
            return _iso(moment, form, str(day))
    return None


def _iso(moment: Moment, form: str, day: str) -> str:
    if form == "date" or (moment.clock is None and form != "date-time"):
        return day
    clock = moment.clock.isoformat() if moment.clock else "00:00:00"
    return clock if form == "time" else f"{day}T{clock}"


def _currency(own: frozenset[str], reading: Reading) -> str | None:
    pattern = re.compile(
        "|".join(re.escape(c) if not c.isalpha() else rf"\b{c}\b" for c in CURRENCIES)
        + r"|\b[A-Z]{3}\b",
        re.IGNORECASE,
    )
    found = [
        m
        for m in pattern.finditer(reading.text)
        if m.start() not in reading.currencies
        and (m.group().lower() in CURRENCIES or m.group().isupper())
    ]
    wanted = [m for m in found if re.search(r"\b(?:to|in|into)\s+$", reading.text[: m.start()])]
    target = bool(own & {"to", "target"})
    pool = wanted if target else [m for m in found if m not in wanted] or found
    if not pool:
        return None
    reading.use(*pool[0].span())
    reading.currencies.add(pool[0].start())
    return CURRENCIES.get(pool[0].group().lower(), pool[0].group().upper())


def _language(reading: Reading) -> str | None:
    for match in re.finditer(r"[^\W\d_]+", reading.text):
        if match.group().lower() in LANGUAGES and reading.free(*match.span()):
            reading.use(*match.span())
            return match.group()
    return None


def _named(own: frozenset[str], reading: Reading) -> str | None:
    """ "subject: Hello", "title 'Report'", "with the name Anna"."""
    for word in sorted(own, key=len, reverse=True):
        if len(word) < 3:
            continue
        match = re.search(
            rf"\b{re.escape(word)}\w{{0,2}}\s*(?:[:=]|\bis\b|\bof\b)?\s*(?:\"([^\"]+)\"|'([^']+)'|“([^”]+)”|(?<=[:=])\s*([^,;\n]+)|(?<=[:=]\s)([^,;\n]+)|({_NAME.pattern}))",
            reading.text,
        )
        if match is not None:
            at = next(i for i in range(1, 7) if match.group(i))
            if reading.free(*match.span(at)):
                reading.use(*match.span())
                return match.group(at).strip().rstrip(".?!")
    return None


def _cued(own: frozenset[str], described: frozenset[str], reading: Reading) -> str | None:
    for words, cue in _CUES:
        keys = set(words.split())
        if not (
            own & keys or (not any(own & set(w.split()) for w, _ in _CUES) and described & keys)
        ):
            continue
        quote = rf"\b(?:{cue})\s+(?:the\s+)?(?:\"([^\"]+)\"|“([^”]+)”|'([^']+)')"
        free = (
            rf"\b(?:{cue})\s+([^,;.?!\n]+)"
            if own
            & {
                "subject",
                "topic",
                "message",
                "body",
                "query",
                "reason",
                "search",
                "text",
                "keyword",
            }
            else ""
        )
        for pattern, flags in (
            (quote, re.IGNORECASE),
            (rf"\b(?i:{cue})\s+(?:the\s+)?({_NAME.pattern})", 0),
            (free, re.IGNORECASE),
        ):
            for match in re.finditer(pattern, reading.text, flags) if pattern else ():
                at = next(i for i in range(1, len(match.groups()) + 1) if match.group(i))
                if reading.free(*match.span(at)) and not _is_date(match.span(at), reading):
                    reading.use(*match.span())
                    return match.group(at).strip().rstrip(".?!")
    return None


def _is_date(span: tuple[int, int], reading: Reading) -> bool:
    return any(m.start < span[1] and span[0] < m.end for m in reading.moments)


def _whole_string(own: frozenset[str], reading: Reading, required: bool) -> str | None:
    """What can only be meant for this parameter: a free quotation, or the text after a colon."""
    for inner in quoted(reading.text):
        start = reading.text.find(inner)
        if reading.free(start, start + len(inner)):
            reading.use(start, start + len(inner))
            return inner
    if not required or not own & _FREE:
        return None
    head, colon, rest = reading.text.partition(":")
    if colon and rest.strip() and not rest.startswith("//"):
        start = len(head) + 1
        if reading.free(start, len(reading.text)):
            reading.use(start, len(reading.text))
            return rest.strip()
    return None
