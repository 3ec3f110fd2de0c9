"""Splits a request into clauses: the parts that each ask for one thing.

A boundary is a sentence end, "then", or a conjunction or comma before a verb or a question word. Nothing
inside quotes, names or addresses is cut, and lists of nouns stay together.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pointsman.router.planning.mentions import Mentions

# Words that open an order. Those in NOUNS open one only when an object follows.
VERBS = frozenset(
    """add aggregate alphabetise alphabetize analyse analyze answer apply arrange ask average build calculate
    categorise categorize change chart check choose classify clean cluster collect combine compare compute condense
    convert correlate count create cut dedupe deduplicate delete describe detect determine display divide download
    draw drop email estimate evaluate examine exclude explain export extract fetch figure filter find flag fold gather
    generate get give go grab graph grep group highlight identify ignore include inspect join judge keep label leave
    limit list load locate look lowercase make map match measure merge multiply name notify omit open order organise
    organize paraphrase parse pick pivot plot post predict present print produce provide pull put rank rate read
    recommend redact remove rename replace report restrict return rewrite round save score search select send
    separate show shorten sort split square store strip subtract substitute sum summarise summarize tag take tally
    tell transform translate turn uppercase use visualise visualize work write""".split()
)
NOUNS = frozenset(
    """average chart change check count cut display divide download draw drop email estimate export extract
    filter flag graph group highlight label limit list load look map match measure name order pick plot post present
    print produce rank rate read report return round sample save score search select show sort split square store
    sum table tag tally total use work write answer ask""".split()
)
OPENERS = frozenset(
    "what which who whom whose when where why how is are was were does do did can could will would has have".split()
)
ADVERBS = r"(?:(?:also|finally|lastly|then|next|afterwards|after that|please|pls|plz|now|secondly|thirdly|first|first of all|just|simply|second|third|likewise)[\s,]+)*"
OBJECT = re.compile(
    r"(?:the|a|an|all|any|each|every|it|them|those|these|that|this|its|their|my|our|me|us|how|which|what|only|both|"
    r"rows?|lines?|columns?|duplicates?|everything|top|by|into|as|out|up|for|to|\d+|[\"'“‘`])(?=\W|$)",
    re.IGNORECASE,
)
LINK = re.compile(
    r"(?P<end>(?:(?<=[.?!;])|(?<=[.?!;][\"'”’)]))\s+|\s*;\s*|\s*\n+\s*)"
    r"|(?P<then>\s*,?\s*(?:and\s+then|and\s+after\s+that|after\s+that|afterwards|but\s+then|then)\b[\s,]*)"
    r"|(?P<and>\s*,?\s+(?:and|but|plus|as well as|&|and also)\s+|\s*,\s*)",
    re.IGNORECASE,
)
BACK = re.compile(
    r"\b(?:them|those|it|its|their|they|these results?|this result|that|the results?|the outcome|the output|the answers?"
    r"|the same|the ones?|the rest|the latter|each one|of these|each of these|that (?:number|amount|sum|value|total|figure|list)"
    r"|the (?:remaining|resulting|filtered|matching|joined|merged|combined) \w+)\b",
    re.IGNORECASE,
)
OWN_THAT = re.compile(
    r"\b(?:\w+(?:s|ers|ies|ows|ines|ets|nts)|rows|lines|people|customers|those|ones|anything|everything|words|texts?) that\b",
    re.IGNORECASE,
)
CONTEXT = re.compile(
    r"^(?:hi|hello|hey|dear|thanks?|thank you|cheers|ok|okay)\b[\s\w,!.]{0,20}$|^(?:here (?:is|are)|here's|i (?:have|'ve|uploaded|attached|got|need help)|i've|"
    r"attached|we have|this is|see attached|the file is|my name is|i am|i'm|for context)\b",
    re.IGNORECASE,
)
POLITE = re.compile(
    r"^(?:(?:hi|hello|hey|ok|okay|so|well|and|but|please|pls|plz|kindly|now|also|then|finally|next|first|lastly|just)\b[\s,!]*"
    r"|(?:can|could|would|will) (?:you|u|we|i)(?: please| kindly| maybe)?(?: (?:help me|be able to))?(?: to)?\s+"
    r"|(?:would|do) you mind\s+|i(?:'d| would) (?:like|love)(?: you)? to\s+|i (?:want|need)(?: you)? to\s+"
    r"|i(?:'d| would) (?:like|love)\s+|i (?:want|need)\s+|let(?:'s| us)\s+|(?:i am|i'm) (?:trying|looking) (?:to|for)\s+|help me(?: to)?\s+"
    r"|(?:go ahead and)\s+|i(?:'m| am) (?:interested in|curious(?: about)?|wondering)\s+)+",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Clause:
    """One thing asked for, request[start:end]. refers_back: it points at what came before ("those", "it").

    `opens_sentence`: it begins a sentence. question: it is worded as a question of its own. linked: joined
    with "then".
    """

    text: str
    start: int
    end: int
    refers_back: bool = False
    opens_sentence: bool = True
    question: bool = False
    linked: bool = False

    @property
    def core(self) -> str:
        """The clause without politeness."""
        return POLITE.sub("", self.text).strip() or self.text


def split(text: str, mentions: Mentions) -> tuple[Clause, ...]:
    """Clauses in order; a list or a text written into the request belongs to none of them."""
    pieces: list[tuple[int, int, str]] = []
    regions = (
        [(0, mentions.body_start), (mentions.body_end, len(text))]
        if mentions.body_end
        else [(0, len(text))]
    )
    for low, high in regions:
        pieces += _cut(text, low, high, mentions.protected())
    clauses: list[Clause] = []
    for start, end, link in pieces:
        made = _clause(text, start, end, link, first=not clauses)
        if made is None:
            continue
        said_after = AFTER_ITEMS.match(made.text)
        if said_after is not None and clauses and made.start >= mentions.body_end > 0:
            before = clauses[-1]
            whole = f"{before.text} {made.text[said_after.end() :]}"
            clauses[-1] = replace(before, text=whole, end=made.end)
        else:
            clauses.append(made)
    active = [c for c in clauses if not CONTEXT.match(c.text)]
    return tuple(active or clauses)


def _cut(
    text: str, low: int, high: int, protected: Sequence[tuple[int, int]]
) -> list[tuple[int, int, str]]:
    pieces: list[tuple[int, int, str]] = []
    start, kind = low, "end"
    for match in LINK.finditer(text, low, high):
        if match.start() < start or match.end() >= high or match.end() == match.start():
            continue
        if any(s < match.end() and match.start() < e for s, e in protected):
            continue
        name = match.lastgroup or ""
        if text[match.start() - 2 : match.end() + 2].lower() == "tl;dr":
            continue
        if name == "end" and _is_abbreviation(text, match.start()):
            continue
        if name == "then" and not text[start : match.start()].strip():
            start, kind = match.end(), "then"
            continue
        if name == "and" and not _opens(
            text[match.end() : high], text[start : match.start()], match.group()
        ):
            continue
        pieces.append((start, match.start(), kind))
        start, kind = match.end(), name
    pieces.append((start, high, kind))
    return pieces


RANKED = re.compile(
    r"(?:also\s+)?(?:the\s+)?(?:(?:top|first|last)\s+)?(?:\d+|one|two|three|four|five|six|seven|eight|nine|ten)\s+"
    r"(?:[a-z]{3,}est|top|most|least|best|worst)\s+(?!of\b|ones?\b)\w+",
    re.IGNORECASE,
)
"""A ranking of its own: "and the three largest orders"."""
MEASURE_TO = re.compile(
    r"(?:\b|(?<=\s))[$€£]?\d[\d.,]*\s*[^\W\d]+(?:\s[^\W\d]+)?\s+(?:to|in|into)\s+[^\W\d]+",
    re.IGNORECASE,
)
""" "70 fahrenheit to celsius", after another one."""
GROUPED = re.compile(r"\b(?:per|by|each|every)\b", re.IGNORECASE)
AGE = re.compile(r"\bborn\b.*\bhow old\b", re.IGNORECASE)
AFTER_ITEMS = re.compile(r"^\W*(?=(?:as|into|by|under)\b)", re.IGNORECASE)
""" "Classify these: … — as praise or complaint": goes on from before the items."""
PAIRED = ((GROUPED, RANKED), (MEASURE_TO, MEASURE_TO))
"""What opens a clause of its own after what."""
LEAD_IN = re.compile(
    r"^\W*(?:according to|based on|in|from|using|with|for|given|regarding|about|within|as per|per|looking at|on|of|out of|across|"
    r"after|before|between|since|during|if|when|once)\b(?!.*\b(?:is|are|was|were|find|show|give|list|count)\b)",
    re.IGNORECASE,
)


def _is_abbreviation(text: str, at: int) -> bool:
    return bool(
        re.search(
            r"(?:\b(?:e\.g|i\.e|etc|vs|approx|no|nr|mr|mrs|dr|st|inc|ltd|co)\.|\b[A-Z]\.)$",
            text[max(0, at - 8) : at],
            re.IGNORECASE,
        )
    )


def _opens(rest: str, before: str, link: str) -> bool:
    """Whether what follows a conjunction is an order or a question of its own."""
    rest = re.sub(rf"^{ADVERBS}", "", rest, flags=re.IGNORECASE)
    if link.strip() == "," and LEAD_IN.match(before):
        return False
    words = re.findall(r"[\w']+", rest[:80])
    if not words or not before.strip():
        return False
    first = words[0].lower().partition("'")[0]
    if re.match(
        r"(?:could|can|would|will) (?:you|we)\b|i(?:'d| would| want| need)\b|please\b|let me know\b",
        rest,
        re.IGNORECASE,
    ):
        return True
    if any(then.match(rest) and earlier.search(before) for earlier, then in PAIRED):
        return True
    if first in OPENERS:
        relative = link.strip() == "," and first in {"which", "who", "whose", "where", "when"}
        return not relative and not AGE.search(f"{before} {rest}")
    if re.match(r"(?:of|from|among) (?:those|these|them|which)\b", rest, re.IGNORECASE):
        return True
    if first not in VERBS:
        return False
    if re.search(
        r"\b(?:to|can|could|would|by|either|not|or|who|that|people|we|they|find)\s*$",
        before,
        re.IGNORECASE,
    ) or (before.split()[-1].lower() in VERBS and len(before.split()) <= 2):
        return False
    if first not in NOUNS:
        return True
    return bool(OBJECT.match(rest[len(words[0]) :].lstrip()))


def _clause(text: str, start: int, end: int, link: str, *, first: bool) -> Clause | None:
    body = text[start:end]
    lead = len(body) - len(body.lstrip(" \t\n,;.!?…"))
    body = body[lead:].rstrip(" \t\n,;:.!…")
    if not re.search(r"\w", body):
        return None
    core = POLITE.sub("", body)
    opener = re.match(r"[\w']+", core)
    question = bool(
        opener and opener.group().lower().partition("'")[0] in OPENERS
    ) or body.endswith("?")
    back = bool(
        BACK.search(
            OWN_THAT.sub("rows", re.sub(r"\b(?:is|was) it\b|\bit is\b|\bit's\b", "is", body))
        )
    )
    return Clause(
        text=body,
        start=start + lead,
        end=start + lead + len(body),
        refers_back=back and not first,
        opens_sentence=link == "end",
        question=question,
        linked=link == "then",
    )
