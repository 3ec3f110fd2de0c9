"""What a question asks for, and the spans of a sentence that are of that type."""

import re
from enum import Enum

from pointsman.experts.models.words import STOPWORDS, stem, words_of


class Wanted(Enum):
    """The type of an answer; SENTENCE when a whole sentence is the answer."""

    DATE = "date"
    TIME = "time"
    DURATION = "duration"
    MONEY = "money"
    PERCENT = "percent"
    NUMBER = "number"
    DISTANCE = "distance"
    NAME = "name"
    PLACE = "place"
    EMAIL = "email"
    PHONE = "phone"
    URL = "url"
    CODE = "code"
    SENTENCE = "sentence"


_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_DAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)days?"
_COUNT = (
    r"(?:\d+(?:[.,]\d+)*|half an?|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen"
    r"|twenty|thirty|forty|fifty|sixty|ninety)(?:\s?(?:-|\u2013|to|or)\s?\d+)?(?:\s\(\d+\))?"
)
_CLOCK = r"(?:\d{1,2}(?::\d{2})?\s?(?:a\.m\.|p\.m\.|am\b|pm\b)|\d{1,2}:\d{2}|noon|midnight|\d{1,2}\s?o'clock)"
_PERIOD = r"(?:business |working |calendar |consecutive |full )?(?:second|minute|hour|day|night|week|month|quarter|year|decade)s?"
_SYMBOL = r"(?:[$\u20ac\u00a3\u00a5]|USD|EUR|GBP|CHF|US\$)"
_SCALE = r"(?:\s?(?:thousand|million|billion|bn|m|k)\b)?"
_UNIT = r"(?:km|kilomet(?:er|re)s?|miles?|met(?:er|re)s?|m|cm|mm|feet|foot|ft|inch(?:es)?|in|yards?|kg|g|pounds?|lbs?|ounces?|tons?|litres?|liters?|gallons?)"

_NAME = r"(?:[A-Z][\w.'\u2019&-]*)(?:\s(?:(?:of|de|van|von|der|the|and|&)\s)?[A-Z][\w.'\u2019&-]*)*"

_PATTERNS: dict[Wanted, re.Pattern[str]] = {
    Wanted.DATE: re.compile(
        rf"\b(?:{_DAY},?\s)?(?:(?:the\s)?\d{{1,2}}(?:st|nd|rd|th)?(?:\sof)?\s{_MONTH}(?:,?\s\d{{4}})?"
        rf"|{_MONTH}\s\d{{1,2}}(?:st|nd|rd|th)?\b(?:,?\s\d{{4}})?|{_MONTH}\s\d{{4}}"
        rf"|\d{{4}}-\d{{2}}-\d{{2}}|\d{{1,2}}[./]\d{{1,2}}[./]\d{{2,4}}|(?:1[5-9]|20)\d\d\b)"
        rf"|\b(?:(?:every|next|last|this|on)\s)?{_DAY}\b(?!,?\s(?:the\s)?(?:\d|{_MONTH}))|\b(?:today|tomorrow|yesterday)\b",
        re.IGNORECASE,
    ),
    Wanted.TIME: re.compile(
        rf"\b(?:from\s|between\s)?{_CLOCK}(?:\s?(?:-|\u2013|to|until|and)\s?{_CLOCK})?",
        re.IGNORECASE,
    ),
    Wanted.DURATION: re.compile(
        rf"\b(?:up to |at least |about |within |more than |less than )?{_COUNT}[\s-]{_PERIOD}\b",
        re.IGNORECASE,
    ),
    Wanted.MONEY: re.compile(
        rf"{_SYMBOL}\s?\d+(?:,\d+)*(?:\.\d+)?{_SCALE}"
        rf"|\b\d+(?:,\d+)*(?:\.\d+)?{_SCALE}\s?(?:[$\u20ac\u00a3\u00a5]|(?:USD|EUR|GBP|CHF|dollars?|euros?|pounds?|cents?|francs?)\b)"
        r"|\bfree of charge\b",
        re.IGNORECASE,
    ),
    Wanted.PERCENT: re.compile(
        r"\b\d+(?:[.,]\d+)?\s?(?:%|per ?cent\b|percentage points)", re.IGNORECASE
    ),
    Wanted.NUMBER: re.compile(
        rf"(?<![\w.,$\u20ac\u00a3])(?:\d+(?:,\d+)*(?:\.\d+)?{_SCALE}|(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven"
        r"|twelve|fifteen|twenty|thirty|forty|fifty|sixty|a dozen)\b)(?![\w%])",
        re.IGNORECASE,
    ),
    Wanted.DISTANCE: re.compile(rf"\b\d+(?:,\d+)*(?:\.\d+)?\s?{_UNIT}\b", re.IGNORECASE),
    Wanted.NAME: re.compile(rf"\b{_NAME}"),
    Wanted.PLACE: re.compile(
        rf"\b(?:(?:in|at|from|to|near|on)\s(?:the\s)?(?:{_NAME}|\d+\s{_NAME})(?:,\s{_NAME})*)"
        r"|\b(?:room|hall|floor|building|gate|platform)\s[A-Z0-9][\w-]*",
    ),
    Wanted.CODE: re.compile(
        r"(?<![\w+])(?=[\w/-]*\d{2})[A-Z0-9][A-Za-z0-9]*(?:[-/][A-Za-z0-9]+)*(?![\w%])"
    ),
    Wanted.EMAIL: re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    Wanted.PHONE: re.compile(r"\+?\d[\d\s().-]{6,}\d"),
    Wanted.URL: re.compile(r"(?:https?://|www\.)[^\s,;)]*[^\s,;).]"),
}

_QUESTIONS: tuple[tuple[str, Wanted], ...] = (
    (r"\be-?mail( address)?\b(?=.*\?|$)|\bwhat('s| is).*e-?mail", Wanted.EMAIL),
    (
        r"\b(phone|telephone|fax|hotline|mobile) number\b|\bwhat number (do|can|should) .*call\b",
        Wanted.PHONE,
    ),
    (r"\b(url|web ?site|web address|link)\b", Wanted.URL),
    (
        r"\b(what|which) (percentage|percent|share|proportion)\b|\binterest rate\b|\bhow many percent",
        Wanted.PERCENT,
    ),
    (
        r"\bhow much (is|are|was|were|does|did|do|will|would|money|must|should|can|has)\b|\bhow expensive\b"
        r"|\bwhat('s| is| was| are| were| does) .*\b(price|cost|fee|fees|salary|rent|budget|fine|deposit|revenue|charge|penalty|amount|total|bill)\b"
        r"|\b(what|which) (price|amount|fee|cost|salary|rent)\b",
        Wanted.MONEY,
    ),
    (
        r"\bhow long\b|\bhow many (seconds|minutes|hours|days|weeks|months|years)\b"
        r"|\bwhat('s| is| was) .*\b(notice period|duration|time limit|length of|term|period|age)\b|\bhow old\b|\bhow often\b"
        r"|\bhow (soon|quickly|fast)\b",
        Wanted.DURATION,
    ),
    (r"\bwhat time\b|\bat what hour\b|\b(opening|office|business) hours\b", Wanted.TIME),
    (
        r"\bwhen\b|\b(what|which) (date|day|year|month)\b|\bwhat('s| is| was) the .*\b(date|deadline|due date|birthday)\b",
        Wanted.DATE,
    ),
    (
        r"\bhow (far|tall|high|wide|heavy|deep|big)\b|\bwhat('s| is) the (height|width|weight|distance)",
        Wanted.DISTANCE,
    ),
    (
        r"\b(?:what|which)(?:'s| is| was)?\b.*\b(?:number|no\.|code|reference|id)\b(?!\s+of)",
        Wanted.CODE,
    ),
    (r"\bhow many\b|\bwhat('s| is| was) the (number|count)\b|\bwhat number\b", Wanted.NUMBER),
    (
        r"\bwhere\b|\b(what|which) (city|country|town|place|location|address|room|state)\b",
        Wanted.PLACE,
    ),
    (
        r"\bwho\b(?!se)|\bwhom\b|\b(what|which) (person|company|organi[sz]ation|team)\b|\bname of the\b",
        Wanted.NAME,
    ),
)
_COMPILED = [(re.compile(p, re.IGNORECASE), w) for p, w in _QUESTIONS]


def wanted_by(question: str) -> Wanted:
    """The type that a question asks for, by its question words."""
    return next(
        (wanted for pattern, wanted in _COMPILED if pattern.search(question)), Wanted.SENTENCE
    )


def spans_in(text: str, wanted: Wanted, question: str) -> list[tuple[int, int]]:
    """(start, end) of the spans of the wanted type that do not only repeat the question."""
    if wanted is Wanted.SENTENCE:
        return []
    asked = {stem(w) for w in words_of(question)}
    kinds = _also(wanted)
    for kind in kinds:
        spans = [_trimmed(text, m.start(), m.end(), kind) for m in _PATTERNS[kind].finditer(text)]
        new = [s for s in spans if not _repeats(text[s[0] : s[1]], asked)]
        if kind in (Wanted.NAME, Wanted.PLACE):
            new = [s for s in new if not _opens_sentence(text, s)]
        if kind is Wanted.NAME:
            new = _listed(text, new)
        if new:
            return new
    return []


def _listed(text: str, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Names that stand in a list, "A, B and C", are one answer; two names beside a comma may be a person
    and a place."""
    found: list[tuple[int, int]] = []
    row: list[tuple[int, int]] = []

    def ended() -> None:
        joined = len(row) > 2 or (len(row) == 2 and " and " in text[row[0][1] : row[1][0]])
        found.extend([(row[0][0], row[-1][1])] if joined else row)

    for span in spans:
        if row and not re.fullmatch(r"(?:,|,? and|,? &)\s", text[row[-1][1] : span[0]]):
            ended()
            row = []
        row.append(span)
    ended()
    return found


def _also(wanted: Wanted) -> tuple[Wanted, ...]:
    """Other types that answer when the first is not there."""
    more: dict[Wanted, tuple[Wanted, ...]] = {
        Wanted.DATE: (Wanted.TIME, Wanted.DURATION),
        Wanted.TIME: (Wanted.DATE,),
        Wanted.MONEY: (Wanted.PERCENT, Wanted.DISTANCE),
        Wanted.DURATION: (Wanted.DATE,),
        Wanted.PERCENT: (Wanted.NUMBER,),
        Wanted.CODE: (Wanted.NUMBER,),
    }
    return wanted, *more.get(wanted, ())


def _trimmed(text: str, start: int, end: int, kind: Wanted) -> tuple[int, int]:
    end = start + len(text[start:end].rstrip(" .,;:"))
    if kind not in (Wanted.PLACE, Wanted.DATE):
        return start, end
    skip = re.match(r"(?:in|at|from|to|near|on)\s(?:the\s(?=[A-Z]))?", text[start:end])
    return start + (skip.end() if skip else 0), end


def _repeats(span: str, asked: set[str]) -> bool:
    words = [stem(w) for w in words_of(span)]
    return bool(words) and all(w in asked or w in STOPWORDS for w in words)


def _opens_sentence(text: str, span: tuple[int, int]) -> bool:
    """A single capitalised word at the start that is only capital because of where it stands."""
    word = text[span[0] : span[1]]
    return span[0] == 0 and " " not in word and word.casefold() in STOPWORDS
