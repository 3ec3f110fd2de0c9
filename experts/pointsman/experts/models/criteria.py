"""A criterion in words ("angry and not about billing") as an expression over moods, forms and topics."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from pointsman.experts.models.moods import MOODS
from pointsman.experts.models.patterns import mentions_in
from pointsman.router.errors import BadArguments

Kind = Literal["mood", "form", "topic"]


@dataclass(frozen=True, slots=True)
class Test:
    """One condition. subject: a mood, a form's name or a topic in words."""

    kind: Kind
    subject: str
    negated: bool = False


Clause = tuple[Test, ...]
"""Tests of which one must hold. A criterion is a list of clauses that all must hold."""

_FORMS: Final = (
    ("question", r"\bquestions?\b|\bask(?:s|ing)?(?: (?:something|for help))?$|\bqueries\b"),
    ("urgent", r"\burgent(?:ly)?\b|\burgency\b|\bas soon as possible\b|\bhigh[- ]priority\b"),
    ("phone", r"\b(?:tele)?phone numbers?\b"),
    ("email", r"\be-?mail address(?:es)?\b"),
    ("url", r"\b(?:urls?|links?|web ?addresses)\b"),
    ("money", r"\b(?:amounts?(?: of money)?|sums? of money)\b"),
    ("date", r"\bdates?\b"),
    ("percent", r"\bpercentages?\b"),
    ("capitals", r"\b(?:all[- ]caps|capital letters|upper[- ]?case|shouting|caps)\b"),
    ("exclamation", r"\bexclamation marks?\b"),
    ("number", r"\b(?:numbers?|digits?)$"),
    ("emoji", r"\bemojis?\b"),
    ("empty", r"^(?:are )?(?:empty|blank)$"),
)
_QUESTION: Final = re.compile(
    r"\?\s*$|\?\s|^(?:who|what|when|where|why|how|which|whose|is|are|do|does|did|can|could|would|will|should|may|has|have)\b(?!.*[.!]$)",
    re.IGNORECASE,
)
_URGENT: Final = re.compile(
    r"\b(?:urgent\w*|asap|immediate(?:ly)?|right (?:now|away)|emergency|critical|as soon as possible|at once|"
    r"time[- ]sensitive|by (?:today|tonight|tomorrow|noon|end of (?:the )?day|eod)|deadline|within (?:the|an|one) hour|"
    r"production is down|(?:is|are|system|site|server) down|without delay|can(?:no|')t wait|need (?:it|this|help) (?:now|today))\b|\bNOW\b",
    re.IGNORECASE,
)
_LEAD: Final = re.compile(
    r"^(?:(?:all|any|only|the|those|these|ones?|rows?|texts?|items?|entries|records?|messages?|reviews?|tickets?|comments?|"
    r"e-?mails?|tweets?|posts?|answers?|feedback|sentences?|lines?|reports?|customers?|people|users?|writers?|authors?|"
    r"that|which|who|whose|where|is|are|was|were|be|being|seems?|sounds?|looks?|feels?|express(?:es|ing)?|contain(?:s|ing)?|"
    r"ha(?:s|ve)|having|includ(?:es?|ing)|show(?:s|ing)?|with|written|very|really|a|an|some|in|of|from)\b\s*)+",
    re.IGNORECASE,
)
_ABOUT: Final = re.compile(
    r"\b(?:about|regarding|concerning|mention(?:s|ing|ed)?|related to|relat(?:es?|ing) to|deal(?:s|ing)? with|discuss(?:es|ing)?|"
    r"talk(?:s|ing)? (?:about|of)|refer(?:s|ring)? to|on the (?:topic|subject) of|on|with|over|because of|due to|describ(?:es?|ing)|"
    r"ask(?:s|ing)? (?:about|for)|request(?:s|ing)?)\b\s*",
    re.IGNORECASE,
)
_NOT: Final = re.compile(
    r"\b(?:(?:do|does|is|are|did|was|were)(?: not|n[o']?t)|not|without|excluding|except|other than|unrelated to|no)\b\s*",
    re.IGNORECASE,
)
_NOUNS: Final = re.compile(
    r"\b(?:customers?|reviews?|tickets?|comments?|feedback|people|users?|messages?|texts?|tone|mood|sentiment|emotions?|"
    r"opinions?|ones|notes?|e-?mails?|tweets?|posts?|rows?|words?|letters?)\b",
    re.IGNORECASE,
)
_FORM_PATTERNS: Final = tuple((n, re.compile(p, re.IGNORECASE)) for n, p in _FORMS)
_FORM_MENTION: Final = frozenset({"phone", "email", "url", "money", "date", "percent"})


def parse(criterion: str) -> list[Clause]:
    """Clauses that all must hold. Raises BadArguments when nothing is asked for."""
    clauses: list[Clause] = []
    for part in re.split(r",?\s+(?:and also|and|but)\s+|\s*[;&]\s*", " ".join(criterion.split())):
        tests = [t for option in re.split(r",?\s+or\s+", part) for t in _tests(option)]
        if not tests:
            continue
        plain = not _NOT.search(part) and not _ABOUT.match(_LEAD.sub("", part.strip()))
        if clauses and plain and _all_topics(tests) and _all_topics(clauses[-1]):
            clauses[-1] = (*clauses[-1], *tests)
        elif re.search(r"\sor\s", part):
            clauses.append(tuple(tests))
        else:
            clauses += [(t,) for t in tests]
    if not clauses:
        raise BadArguments(
            f"the criterion {criterion!r} names nothing to look for; "
            "say a mood ('angry'), a topic ('about billing') or a form ('questions')"
        )
    return clauses


def _all_topics(tests: "list[Test] | Clause") -> bool:
    return all(t.kind == "topic" and not t.negated for t in tests)


def _tests(clause: str) -> list[Test]:
    """What a clause without "and" and "or" asks: at most a mood or a form, and a topic."""
    text = clause.strip(" .!?\"'")
    negated = bool(_NOT.search(text))
    text = _LEAD.sub("", _NOT.sub("", text)).strip()
    about = _ABOUT.search(text)
    head = text[: about.start()] if about else text
    tests: list[Test] = []
    form = next(((n, p) for n, p in _FORM_PATTERNS if p.search(text)), None)
    if form is not None:
        tests.append(Test("form", form[0], negated))
        rest = form[1].sub("", text)
        return tests + _topic(rest if about else "", False)
    moods = [MOODS[w] for w in re.findall(r"[a-z]+", head.lower()) if w in MOODS]
    if not moods and about and not about.group().lower().startswith(("on", "with", "over")):
        return _topic(text[about.end() :] if not head.strip() else text, negated)
    tests += [Test("mood", moods[0], negated)] if moods else []
    if not moods:
        return _topic(text, negated)
    words = [w for w in head.split() if re.sub(r"\W", "", w).lower() not in MOODS]
    rest = text[about.end() :] if about else _NOUNS.sub("", " ".join(words))
    return tests + _topic(rest, negated and not moods)


def _topic(text: str, negated: bool) -> list[Test]:
    text = re.sub(
        r"^(?:\W|\b(?:the|a|an|their|our|my|its|any)\b)+",
        "",
        _ABOUT.sub("", text, count=1),
        flags=re.I,
    )
    words = [w for w in re.findall(r"\w+", text) if len(w) > 1]
    return [Test("topic", text.strip(), negated)] if words else []


def has_form(form: str, text: str) -> bool:
    if form in _FORM_MENTION:
        return bool(mentions_in(text, [form]))
    letters = [c for c in text if c.isalpha()]
    match form:
        case "question":
            return bool(_QUESTION.search(text.strip()))
        case "urgent":
            return bool(_URGENT.search(text))
        case "capitals":
            return len(letters) > 3 and sum(c.isupper() for c in letters) > 0.8 * len(letters)
        case "exclamation":
            return "!" in text
        case "number":
            return any(c.isdigit() for c in text)
        case "emoji":
            return any(0x1F300 <= ord(c) <= 0x1FAFF or 0x2600 <= ord(c) <= 0x27BF for c in text)
        case _:
            return not text.strip()
