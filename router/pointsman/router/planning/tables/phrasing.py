"""Ways to say one thing in several words, said in the words that the reader of questions knows.

Positions in the text change: what is read is the rewritten question.
"""

import re

from pointsman.router.planning.tables.links import Links
from pointsman.router.planning.tables.words import SUPERLATIVES, stem

_LOW = r"(?:smallest|lowest|minimum|least|min|cheapest)"
_HIGH = r"(?:largest|biggest|highest|maximum|greatest|max)"
_ENDS = re.compile(
    rf"\b(?:{_LOW}\s+and\s+(?:the\s+)?{_HIGH}|{_HIGH}\s+and\s+(?:the\s+)?{_LOW})\b", re.I
)
_RANGE_OF = re.compile(r"\brange\s+of\s+(?:the\s+)?(?=\w)", re.IGNORECASE)
_RANGE = re.compile(r"\b(\w+)\s+range\b", re.IGNORECASE)
_FIRST = re.compile(
    r"\b(?P<how>highest|best|most|lowest|worst|least)\s+(?P<what>\w+)\s+first\b", re.IGNORECASE
)
_MOST = re.compile(r"\b(?P<base>[a-z]{3,})(?P<y>i)?est\b", re.IGNORECASE)
_SPENT = re.compile(
    r"\bwhat\s+(?P<did>did|does|do|has|have|had)\b(?=[^?]*\b(?:spen[dt]|earn(?:ed)?|pay|paid|cost|sell|sold|invest(?:ed)?|make|made)\b)"
    r"(?![^?]*\b(?:each|every|per|by|most|least|buy|average|mean|median|total)\b)",
    re.IGNORECASE,
)
_REPEATED = re.compile(r"\b(?:repeat|returning|recurring)\s+(?P<who>\w+)\b", re.IGNORECASE)
BOTH = "minimum and maximum"


def plainly(text: str, links: Links) -> str:
    """ "windiest" as "highest wind", "salary range" as its two ends, "highest paid first" as an order."""
    if links.with_concept("revenue", "salary", "price"):
        text = _SPENT.sub(r"how much \g<did>", text)
    text = _REPEATED.sub(lambda m: _several(m, links), text)
    text = _ENDS.sub(BOTH, text)
    text = _RANGE_OF.sub(f"{BOTH} of ", text)
    text = _RANGE.sub(lambda m: _both_ends(m, links), text)
    text = _FIRST.sub(lambda m: _ordered(m, links), text)
    return _MOST.sub(lambda m: _highest(m, links), text)


def _both_ends(match: re.Match[str], links: Links) -> str:
    known = links.columns((match[1].lower(),), 0.7)
    pair = links.ends(known[0].column) if known else None
    if pair is not None:
        return f"minimum {pair[0].name} and maximum {pair[1].name}"
    return f"{BOTH} {match[1]}" if known else match.group()


def _several(match: re.Match[str], links: Links) -> str:
    """ "repeat customers": those with more than one row."""
    known = links.columns((match["who"].lower(),), 0.9)
    return f"{match['who']} with more than 1 rows" if known else match.group()


def _ordered(match: re.Match[str], links: Links) -> str:
    if not links.columns((match["what"].lower(),), 0.7):
        return match.group()
    down = match["how"].lower() in ("highest", "best", "most")
    return f"sorted by {match['what']} {'descending' if down else 'ascending'}"


def _highest(match: re.Match[str], links: Links) -> str:
    """An adjective made of a column's own name; those of the lexicon have their meaning."""
    if match.group().lower() in SUPERLATIVES:
        return match.group()
    base = match["base"].lower()
    names = {base, base + "y"} if match["y"] else {base, base[:-1]}
    for name in sorted(names):
        if any(k.certainty >= 0.9 for k in links.columns((stem(name),), 0.9)):
            return f"highest {name}"
    return match.group()
