"""Lists that people write into a request: labels, items, quoted strings, how many."""

import re

from pointsman.router.planning.arguments.amounts import amounts

_QUOTED = re.compile(
    r"\"([^\"\n]{1,500})\"|“([^”\n]{1,500})”|(?<!\w)'([^'\n]{1,500})'(?!\w)|«([^»\n]{1,500})»"
)
_BULLET = re.compile(r"^\s*(?:[-*•–]|\d{1,3}[.)]|[a-z]\))\s+(\S.*?)\s*$", re.MULTILINE)
_LABELS_AFTER = re.compile(
    r"\b(?:(?:classify|categori[sz]e|sort|label|tag|group|divide|split|assign|route|mark|bucket)\b[^.:\n]{0,80}?\b(?:into|as|to|with|by|under|between|among)"
    r"|(?:classify|categori[sz]e|label|tag)\b[^.:\n]{0,60}(?=:)"
    r"|(?:labels?|categories|classes|tags|types|one of|following|whether (?:it|they|each|this) (?:is|are|was)|is (?:it|this)|are they)\b)"
    r"(?:\s+(?:either|the|one of|these|following|labels?|categories|classes|tags|groups))*\s*:?\s*(?P<list>.+)",
    re.IGNORECASE | re.DOTALL,
)
_SEPARATOR = re.compile(
    r"\s*(?:,\s*(?:and|or)\s+|[,;/|]|\s+(?:and|or|vs\.?|versus)\s+)\s*", re.IGNORECASE
)
_STOPS = re.compile(
    r"(?:[.?!](?:\s|$)|\n|\b(?:then|and then|and (?:count|show|tell|give|sort|list|plot|draw|make|filter|save|export|summari[sz]e|chart))\b)",
    re.IGNORECASE,
)
_LIMIT = re.compile(
    r"\b(?:top|first|last|best|up\s+to|at\s+most|limit(?:ed)?(?:\s+(?:to|of))?|maximum(?:\s+of)?|max|show(?:\s+me)?|give\s+me|list|only|the|in|find|get)\s+(?=(?P<n>\S))",
    re.IGNORECASE,
)


def quoted(text: str) -> list[str]:
    """Strings in quotation marks, in order."""
    return [next(g for g in m.groups() if g is not None) for m in _QUOTED.finditer(text)]


def labels(text: str) -> list[str]:
    """Labels to sort things by: "as billing, technical or other". Empty when none are written."""
    match = _LABELS_AFTER.search(text)
    if match is None:
        return []
    rest = match["list"]
    marks = quoted(rest)
    if len(marks) > 1:
        return marks
    stop = _STOPS.search(rest)
    parts = _split(rest[: stop.start()] if stop else rest)
    short = [p for p in parts if 0 < len(p.split()) <= 4]
    return short if len(short) > 1 and len(short) == len(parts) else []


def _split(text: str) -> list[str]:
    cleaned = text.strip().strip("()[]{}.?! ")
    parts = [p.strip(" \"'“”()[]") for p in _SEPARATOR.split(cleaned)]
    without = [re.sub(r"^(?:the|either|a|an)\s+", "", p, flags=re.IGNORECASE) for p in parts]
    return list(dict.fromkeys(p for p in without if p))


def limit(text: str) -> int | None:
    """How many are wanted: "top 5", "the three best", "in 2 sentences". None when it is not said."""
    found = amounts(text)
    for match in _LIMIT.finditer(text):
        for amount in found:
            at_number = match.start("n") == amount.start
            whole = amount.value == amount.value.to_integral_value() and 0 < amount.value <= 100_000
            if at_number and whole and amount.unit is None:
                return int(amount.value)
    return None


def inline_items(text: str) -> list[str]:
    """Items that a request carries itself: bullets, numbered lines, several quoted strings, "a; b; c" or lines
    after a colon. Empty when it carries none.
    """
    bullets = [m.group(1) for m in _BULLET.finditer(text)]
    if len(bullets) > 1:
        return bullets
    marks = quoted(text)
    if len(marks) > 1:
        return marks
    _, colon, rest = text.partition(":")
    if colon and not rest.startswith("//"):
        lines = [line.strip() for line in rest.splitlines() if line.strip()]
        if len(lines) > 1:
            return lines
        parts = [p.strip() for p in rest.split(";") if p.strip()]
        if len(parts) > 1:
            return parts
    return marks
