"""A text that a regular expression matches: read from the expression's own parse."""

import re
from re import _constants as c  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

CATEGORIES: dict[Any, str] = {
    c.CATEGORY_DIGIT: "0123456789",
    c.CATEGORY_WORD: "abcdefghij0123456789_",
    c.CATEGORY_SPACE: " ",
    c.CATEGORY_NOT_DIGIT: "abcdefghij",
    c.CATEGORY_NOT_WORD: "-",
    c.CATEGORY_NOT_SPACE: "abcdefghij",
}
PLENTY = 40


def text_for(pattern: str, least: int = 0, most: int | None = None) -> str:
    """A text that matches and has a length within bounds, as well as one can tell; "text" where none is found."""
    made = ""
    for more in range(PLENTY):
        try:
            made = _Writer(more).all(parser.parse(pattern))
        except (re.error, ValueError, RecursionError):
            return "text"
        if len(made) >= least:
            break
    return made if most is None else made[:most]


class _Writer:
    """more: how many times beyond the least something is repeated."""

    def __init__(self, more: int) -> None:
        self._more = more
        self._groups: dict[int, str] = {}

    def all(self, nodes: Any) -> str:
        return "".join(self._one(op, given) for op, given in nodes)

    def _one(self, op: Any, given: Any) -> str:  # noqa: C901 - one case for each node of an expression
        match op:
            case c.LITERAL:
                return chr(given)
            case c.NOT_LITERAL:
                return "a" if given != ord("a") else "b"
            case c.ANY:
                return "a"
            case c.IN:
                return _member(given)
            case c.CATEGORY:
                return CATEGORIES[given][0]
            case c.BRANCH:
                return self.all(given[1][0])
            case c.SUBPATTERN:
                made = self.all(given[3])
                self._groups[given[0]] = made
                return made
            case c.MAX_REPEAT | c.MIN_REPEAT | c.POSSESSIVE_REPEAT:
                low, high, inner = given
                return "".join(self.all(inner) for _ in range(min(int(high), low + self._more)))
            case c.ATOMIC_GROUP:
                return self.all(given)
            case c.GROUPREF:
                return self._groups.get(given, "")
            case _:  # anchors and looks ahead write nothing
                return ""


def _member(items: Any) -> str:
    """A character of a class."""
    if items and items[0][0] is c.NEGATE:
        inside = re.compile("[" + "".join(_class(i) for i in items[1:]) + "]")
        return next((x for x in "aA0-_ ~é" if not inside.match(x)), "a")
    op, given = items[0]
    if op is c.LITERAL:
        return chr(given)
    return chr(given[0]) if op is c.RANGE else CATEGORIES[given][0]


def _class(item: Any) -> str:
    op, given = item
    if op is c.LITERAL:
        return re.escape(chr(given))
    if op is c.RANGE:
        return f"{re.escape(chr(given[0]))}-{re.escape(chr(given[1]))}"
    return {c.CATEGORY_DIGIT: r"\d", c.CATEGORY_WORD: r"\w", c.CATEGORY_SPACE: r"\s",
            c.CATEGORY_NOT_DIGIT: r"\D", c.CATEGORY_NOT_WORD: r"\W", c.CATEGORY_NOT_SPACE: r"\S"}[given]  # fmt: skip
