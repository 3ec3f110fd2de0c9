"""Dates and spans of time in text, as ISO days.

Own patterns, one regular expression for single points ("3 March 2024", "Q2 2025", "last month") and one
pass that joins two points or a point and a preposition into a span ("between ... and ...", "since ...").
Pure: the caller's clock is an argument. Days of the week are ISO: a week starts on Monday.
"""

import re
from dataclasses import replace
from datetime import date, datetime, time

from pointsman.router.planning.arguments.moment_patterns import (
    DAY,
    PATTERNS,
    Moment,
    easter,
    shift_days,
)

__all__ = ["Moment", "easter", "moment_of", "moments"]


def moments(text: str, now: datetime) -> tuple[Moment, ...]:
    """All dates and spans in order of appearance, longest reading first. "the last 0 days" is none."""
    found = _joined(text, _points(text, now.date()))
    return tuple(m for m in found if m.first is None or m.last is None or m.first <= m.last)


def moment_of(text: str, now: datetime) -> Moment | None:
    """The first date or span of a text."""
    return next(iter(moments(text, now)), None)


_START = re.compile(r"(?<![\w.$€£%-])(?=\w)|(?<=\w[–—-])(?=\w)")
_CLOCK = re.compile(
    r"\s(?:at\s)?(?:(?P<h24>[01]?\d|2[0-3])[:.](?P<min>[0-5]\d)\s?(?P<half24>[ap]\.?m\b)?"
    r"|(?P<h12>1[0-2]|0?[1-9])\s?(?P<half>[ap]\.?m\b)|(?P<noon>noon|midnight)\b)",
    re.IGNORECASE,
)
_NOT_A_YEAR = re.compile(
    r"(?:\b(?:over|under|above|below|than|least|most|exceed(?:s|ing)?|top|first|last|about|around|"
    r"cost(?:s|ing)?|worth|pay|paid|[<>=]+)\s|[<>=$€£*/+^]\s?)$",
    re.IGNORECASE,
)
_AFTER_A_NUMBER = re.compile(
    r"\s?(?:%|per\s?cent|\*|/|\+|\^|=|km|kg|miles?|met(?:er|re)s?|square|euros?|dollars?|usd|eur|people|"
    r"units?|items?|rows?|orders?|points?|grams?|m\b|ft\b|feet|days?|hours?|minutes?|seconds?|words)",
    re.IGNORECASE,
)


def _points(text: str, today: date) -> list[Moment]:
    found: list[Moment] = []
    at = 0
    while (place := _START.search(text, at)) is not None:
        moment = _point_at(text, place.start(), today)
        if moment is None:
            at = place.start() + 1
        else:
            found.append(_with_clock(text, moment))
            at = max(found[-1].end, place.start() + 1)
    return found


def _point_at(text: str, start: int, today: date) -> Moment | None:
    for pattern, read in PATTERNS:
        match = pattern.match(text, start)
        if match is None or not _plausible(text, match):
            continue
        moment = read(match, today)
        if moment is not None:
            return moment
    return None


def _plausible(text: str, match: re.Match[str]) -> bool:
    """Refuses numbers that only look like years, and verbs that only look like months."""
    named = match.groupdict()
    written = match.group()
    if named.get("year") is not None:
        before, after = text[max(0, match.start() - 16) : match.start()], text[match.end() :][:16]
        return not (_NOT_A_YEAR.search(before) or _AFTER_A_NUMBER.match(after))
    if named.get("decade") is not None:
        return named["decade"].endswith("0") and (
            len(named["decade"]) == 4
            or bool(
                re.search(r"(?:the\s|['’])$", text[: match.end()][: match.start()][-5:])
                or written.lower().startswith("the")
            )
        )
    if written.lower() in (
        "may",
        "march",
        "mar",
        "sun",
        "sat",
        "mon",
        "wed",
        "dec",
        "now",
        "second",
    ):
        before = text[max(0, match.start() - 12) : match.start()].lower()
        return (
            (written[0].isupper() and match.start() > 0)
            or bool(
                re.search(
                    r"\b(?:in|of|since|until|during|for|by|from|to|and|before|after|on|between|last|till)\s$",
                    before,
                )
            )
            or written.lower() == "now"
        )
    return True


def _with_clock(text: str, moment: Moment) -> Moment:
    match = _CLOCK.match(text, moment.end) if moment.grain == "day" and not moment.clock else None
    if match is None:
        return moment
    if match["noon"]:
        hour, minute = (12 if match["noon"].lower() == "noon" else 0), 0
    else:
        hour, minute = int(match["h24"] or match["h12"]), int(match["min"] or 0)
        half = (match["half24"] or match["half"] or "").lower()[:1]
        if half and hour <= 12:
            hour = hour % 12 + (12 if half == "p" else 0)
    return replace(moment, clock=time(hour, minute), end=match.end())


_OPEN = re.compile(
    r"\b(?P<from>since|starting(?:\s(?:from|in|on))?|beginning(?:\s(?:in|on))?|as\sof)\s(?:the\s)?$"
    r"|\b(?P<after>after|later\sthan|newer\sthan|past)\s(?:the\s)?$"
    r"|\b(?P<upto>until|till|up\sto|through|no\slater\sthan|by\sthe\send\sof|to)\s(?:the\s)?$"
    r"|\b(?P<before>before|prior\sto|earlier\sthan|older\sthan)\s(?:the\s)?$"
    r"|\b(?P<in>from|in|on|during|within|over|for|of|at)\s(?:the\s)?$",
    re.IGNORECASE,
)
_ONWARD = re.compile(r"\s(?:onwards?|and\slater|or\slater|or\safter|and\safter)\b", re.IGNORECASE)
_BETWEEN = re.compile(
    r"\s?(?:-|–|—)\s?|\s(?:and|to|until|till|through|thru|up\sto)\s(?:the\s)?", re.IGNORECASE
)
_LEAD = re.compile(r"\b(?P<lead>between|from)\s(?:the\s)?$", re.IGNORECASE)
_BARE_DAY = re.compile(
    rf"(?P<day>{DAY})(?:\s?[-–—]\s?|\s(?:to|and|until)\s(?:the\s)?)$", re.IGNORECASE
)


def _joined(text: str, points: list[Moment]) -> tuple[Moment, ...]:
    joined: list[Moment] = []
    at = 0
    while at < len(points):
        point = points[at]
        pair = _pair(text, point, points[at + 1]) if at + 1 < len(points) else None
        if pair is not None:
            joined.append(pair)
            at += 2
            continue
        joined.append(_opened(text, _from_bare_day(text, point)))
        at += 1
    return tuple(joined)


def _pair(text: str, one: Moment, two: Moment) -> Moment | None:
    """Two points that are the ends of one span. "and" joins only after "between"."""
    link = text[one.end : two.start]
    lead = _LEAD.search(text[max(0, one.start - 12) : one.start])
    if not _BETWEEN.fullmatch(link) or (
        link.strip().lower() == "and" and not (lead and lead["lead"].lower() == "between")
    ):
        return None
    if not one.year_given and two.first is not None:
        one = _before(one, two)
    ends = sorted(d for d in (one.first, one.last, two.first, two.last) if d is not None)
    if not ends:
        return None
    start = one.start - (len(lead.group()) if lead else 0)
    return Moment(ends[0], ends[-1], "span", start, two.end, two.year_given)


def _before(one: Moment, two: Moment) -> Moment:
    """A day without a year takes the year of the later end, or the one before it."""
    assert two.first is not None
    moved = one.moved_to_year(two.first.year)
    if moved.first is not None and moved.first > two.first:
        moved = one.moved_to_year(two.first.year - 1)
    return moved


def _from_bare_day(text: str, point: Moment) -> Moment:
    """ "1-15 March", "from 3 to 9 May": the first day has no month of its own."""
    match = _BARE_DAY.search(text[max(0, point.start - 12) : point.start])
    if match is None or point.grain != "day" or point.first is None or point.clock:
        return point
    day = int(re.sub(r"\D", "", match["day"]))
    if day >= point.first.day:
        return point
    start = point.start - len(match.group())
    lead = _LEAD.search(text[max(0, start - 12) : start])
    start -= len(lead.group()) if lead else 0
    return replace(point, first=point.first.replace(day=day), grain="span", start=start)


def _opened(text: str, point: Moment) -> Moment:
    """Takes a preposition before a point into account, and into its place in the text."""
    if point.grain == "span" and _LEAD.match(text, point.start):
        return point
    match = _OPEN.search(text[max(0, point.start - 24) : point.start])
    onward = _ONWARD.match(text, point.end)
    if onward:
        start = point.start - (len(match.group()) if match else 0)
        return replace(point, last=None, start=start, end=onward.end())
    if match is None or point.first is None or point.last is None:
        return point
    start = point.start - len(match.group())
    if match["from"]:
        return replace(point, last=None, start=start)
    if match["after"]:
        return replace(point, first=shift_days(point.last, 1), last=None, start=start)
    if match["upto"]:
        return replace(point, first=None, start=start)
    if match["before"]:
        return replace(point, first=None, last=shift_days(point.first, -1), start=start)
    return replace(point, start=start)
