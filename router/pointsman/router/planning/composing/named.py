"""Values that follow the name of what they are: "issue 42", "the user mona", "season 2 of the tv show 1399".

Parameters of addresses are called after the thing that they are the number or the name of (`issue_number`, `username`,
`tv_id`). What a text says right after that thing's name is its value; what follows it with "of" or "owned by"
is the value of the parameter before it in the address, as repositories stand below their owners.
"""

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from pointsman.router.catalog import Capability
from pointsman.router.planning.mentions import QUOTED
from pointsman.router.planning.retrieval import stems
from pointsman.router.planning.tables.words import STOP, split_name

FREE = frozenset("q query search keyword keywords text term topic".split())
"""Names of parameters that take whatever is looked for."""
PARTS = frozenset("id number name slug key no code path user".split())
"""Words of a parameter's name that say which kind of name it is, not of what."""
SPELT: Mapping[str, str] = {
    "username": "user",
    "org": "organi[sz]ation|org",
    "organization": "organi[sz]ation|org",
    "repo": "repository|repo",
    "repository": "repository|repo",
    "tv": "tv show|tv series|tv|show|series",
}
"""How people say what an address abbreviates."""
BETWEEN = r"(?:\s+(?:with|the|an?|id|ids|number|no\.?|nr\.?|called|named|titled|is|request|run|show|show's)\b)*\s*[:#]?\s*"
WORD = r"[\"'“‘]?(?P<value>[\w][\w.@-]*)"
OF = re.compile(rf"\s*(?:owned by|belonging to|of|from|by|in)\s+(?:the\s+)?{WORD}", re.IGNORECASE)
JOINED = re.compile(r"(?<![\w/.:@-])([\w.-]+)/([\w.-]*\w)(?![\w/])")


def named(capability: Capability, text: str) -> dict[str, Any]:
    """Required numbers and names that the text says by what they are. Values have the parameter's type."""
    found: dict[str, Any] = {}
    taken: dict[str, int] = {}
    scalars = [n for n in capability.required if _type(capability, n) in ("string", "integer")]
    for name in scalars:
        match = _after(name, text, whole=_type(capability, name) == "integer")
        if match is not None and match.start("value") not in taken.values():
            found[name] = _typed(capability, name, match["value"])
            taken[name] = match.end("value")
    for before, name in pairwise(scalars):
        if before in found or name not in taken:
            continue
        match = OF.match(text, taken[name])
        if (
            match is not None
            and _says(match["value"])
            and _fits(capability, before, match["value"])
        ):
            found[before] = _typed(capability, before, match["value"])
    return found | _joined(capability, text) | _quoted(capability, text, found)


def _quoted(capability: Capability, text: str, found: Mapping[str, Any]) -> dict[str, str]:
    """The one phrase in quotes, for the one required text that nothing else was said of."""
    phrases = [next(g for g in m.groups() if g is not None) for m in QUOTED.finditer(text)]
    free = [
        n
        for n in capability.required
        if n not in found
        and _type(capability, n) == "string"
        and "enum" not in capability.properties[n]
        and n not in _joined(capability, text)
    ]
    return {free[0]: phrases[0]} if len(phrases) == 1 and len(free) == 1 else {}


def is_said(capability: Capability, name: str, value: Any, text: str) -> bool:
    """Whether a text says an optional argument at all: by the parameter's name, or by the value of a list.

    What a parameter is called must stand beside a number, or any number would do for any parameter.
    """
    schema = capability.properties.get(name)
    if schema is None or name in capability.required:
        return True
    said = stems(text)
    if "enum" in schema:
        return stems(str(value)) <= said
    if schema.get("type") == "string" and set(split_name(name)) & FREE:
        return True
    if "year" in split_name(name) and isinstance(value, int) and 1900 <= value <= 2100:
        return True
    return bool(stems(" ".join(split_name(name))) & said)


def _joined(capability: Capability, text: str) -> dict[str, str]:
    """ "acme/widgets" for two names that are asked for one after the other, as addresses write them."""
    names = [n for n in capability.required if _type(capability, n) == "string"]
    match = JOINED.search(text)
    if match is None or len(names) < 2 or match[1].isdigit():
        return {}
    return {names[0]: match[1], names[1]: match[2]}


def _after(name: str, text: str, *, whole: bool) -> re.Match[str] | None:
    """The value right after the thing that a parameter is called after."""
    words = (
        [w for w in split_name(SPELT.get(name, name)) if w not in PARTS]
        if name not in SPELT
        else []
    )
    thing = SPELT.get(name) or "|".join(SPELT.get(w, re.escape(w)) for w in words[:1])
    if not thing:
        return None
    value = r"(?P<value>\d+)\b" if whole else WORD
    for match in re.finditer(rf"\b(?:{thing})s?\b{BETWEEN}{value}", text, re.IGNORECASE):
        if whole or _says(match["value"]):
            return match
    return None


def _says(value: str) -> bool:
    """A name rather than a small word of the sentence."""
    return value.lower() not in STOP and len(value) > 1


def _type(capability: Capability, name: str) -> str:
    return str(capability.properties[name].get("type", "string"))


def _fits(capability: Capability, name: str, value: str) -> bool:
    return value.isdigit() if _type(capability, name) == "integer" else not value.isdigit()


def _typed(capability: Capability, name: str, value: str) -> Any:
    return int(value) if _type(capability, name) == "integer" else value.rstrip(".")
