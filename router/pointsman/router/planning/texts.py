"""Tasks over texts: which capability of the text family a clause asks for, and with what arguments."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from pointsman.router.planning import wishes
from pointsman.router.planning.arguments.lists import labels, limit, quoted

TEXT = "texts"

_CASES = (
    ("upper", r"\bupper|\bcapital letters|\ball caps|\bcaps\b"),
    ("lower", r"\blower|\bsmall letters"),
    ("title", r"\btitle"),
    ("sentence", r"\bsentence"),
)
_COUNTED = ("words", "characters", "lines", "sentences", "paragraphs")


def arguments_for(name: str, text: str) -> dict[str, Any] | None:
    """Arguments beside the texts themselves; None when the clause does not say what is needed."""
    reader = _READERS.get(name)
    return {} if reader is None else reader(text)


def _classify(text: str) -> dict[str, Any] | None:
    found = labels(text)
    return {"labels": found} if len(found) > 1 else None


def _filter(text: str) -> dict[str, Any] | None:
    found = wishes.criterion(text)
    return {"criterion": found} if found else None


def _search(text: str) -> dict[str, Any] | None:
    return {"query": wishes.search_query(text), "limit": limit(text)}


def _answer(text: str) -> dict[str, Any] | None:
    return {"question": text.strip()}


def _count(text: str) -> dict[str, Any] | None:
    marks = quoted(text)
    often = re.search(
        r"\b(?:how (?:often|many times)|occurrences? of|times)\b(?:\s+(?:does|do|is|the|word|words|phrase|term))*\s+(?P<word>[\w-]+)",
        text,
        re.IGNORECASE,
    )
    phrase = marks[0] if marks else (often["word"] if often else None)
    return {"what": counted(text)[0], "phrase": phrase}


def counted(text: str) -> list[str]:
    """What of a text is to be counted, in the order in which it is said; words, when nothing is."""
    found = [
        (match.start(), what)
        for what in _COUNTED
        if (match := re.search(rf"\b{what[:-1]}", text, re.IGNORECASE)) is not None
    ]
    return [what for _, what in sorted(found)] or ["words"]


def _replace(text: str) -> dict[str, Any] | None:
    marks = quoted(text)
    if len(marks) >= 2:
        return {"find": marks[0], "replacement": marks[1]}
    match = re.search(
        r"\b(?:replace|substitute|swap|change|turn)\s+(?:all\s+|every\s+|each\s+|the\s+|words?\s+|occurrences?\s+of\s+|instances?\s+of\s+)*"
        r"(?P<find>\S+)\s+(?:with|by|for|to|into)\s+(?P<new>\S+)",
        text,
        re.IGNORECASE,
    )
    if match is None:
        return None
    return {"find": match["find"].strip("\"'"), "replacement": match["new"].strip("\"'.,")}


def _case(text: str) -> dict[str, Any] | None:
    found = next((c for c, p in _CASES if re.search(p, text, re.IGNORECASE)), None)
    return {"case": found} if found else None


def _find(text: str) -> dict[str, Any] | None:
    marks = quoted(text)
    if marks:
        return {"pattern": marks[0]}
    match = re.search(
        r"\b(?:contain(?:s|ing)?|mention(?:s|ing)?|includ(?:es|ing)|match(?:es|ing)?|with|grep|word)\s+(?:the\s+)?(?:word\s+|text\s+|string\s+)?(?P<word>[\w@.-]+)",
        text,
        re.IGNORECASE,
    )
    return {"pattern": match["word"]} if match else None


def _sorted(text: str) -> dict[str, Any] | None:
    down = re.search(r"\b(?:descending|reverse\w*|z[- ]?(?:to|-)[- ]?a)\b", text, re.IGNORECASE)
    once = re.search(
        r"\b(?:unique|distinct|(?:without|no|remove|drop|delete|eliminate)\s+(?:the\s+|all\s+|any\s+)?(?:duplicates?|doubles|repeats))\b",
        text,
        re.IGNORECASE,
    )
    return {"descending": True if down else None, "unique": True if once else None}


def _topics(text: str) -> dict[str, Any] | None:
    match = re.search(
        r"\b(?:in)?to\s+(\d+)\s+(?:topics?|groups?|clusters?|themes?)", text, re.IGNORECASE
    )
    return {"count": int(match.group(1)) if match else None}


_READERS: Mapping[str, Callable[[str], dict[str, Any] | None]] = {
    "text.classify": _classify,
    "text.filter": _filter,
    "text.search": _search,
    "text.answer": _answer,
    "text.count": _count,
    "text.replace": _replace,
    "text.change_case": _case,
    "text.find": _find,
    "text.sort_lines": _sorted,
    "text.topics": _topics,
    "text.entities": lambda text: {"types": wishes.entity_types(text)},
    "text.summarize": lambda text: {"sentences": wishes.sentences_wanted(text)},
    "text.key_phrases": lambda text: {"limit": limit(text)},
    "text.word_frequency": lambda text: {"limit": limit(text)},
}

_TITLES: Mapping[str, str] = {
    "text.classify": "sort by {labels}",
    "text.filter": "keep what is {criterion}",
    "text.search": "search for {query}",
    "text.answer": "find the answer in the text",
    "text.count": "count {what}",
    "text.replace": "replace {find} with {replacement}",
    "text.change_case": "change to {case} case",
    "text.find": "find lines with {pattern}",
    "text.entities": "find {types}",
}


def title_for(name: str, default: str, arguments: Mapping[str, Any]) -> str:
    """A phrase for people."""
    form = _TITLES.get(name)
    if form is None:
        return default
    said = {
        k: ", ".join(map(str, v)) if isinstance(v, list) else str(v) for k, v in arguments.items()
    }
    if name == "text.count" and said.get("phrase", "None") != "None":
        return f"count how often {said['phrase']!r} occurs"
    if said.get("types") in (None, "None") and name == "text.entities":
        return "find names, dates, amounts and the like"
    return form.format_map({"labels": "", "criterion": "", **said})[:90]


def is_text_capability(name: str) -> bool:
    return name in _READERS or name in (
        "text.sentiment",
        "text.emotion",
        "text.duplicates",
        "text.embed",
    )


def parameter_of(name: str) -> str:
    """Which parameter takes the texts: the tools call it `text`, the models `texts`."""
    tools = ("count", "word_frequency", "replace", "change_case", "find", "sort_lines")
    return "text" if name.removeprefix("text.") in tools else TEXT
