"""How a constant of a request stands in an argument, whole or inside of a string."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from pointsman.router.planning.memory.constants import ENDS, Constant
from pointsman.router.planning.memory.words import CLASS_OF, POLITE
from pointsman.router.planning.retrieval import STOP

LEADS = frozenset("about with in of for like as by to at on into than".split())
"""Words before what is taken over, never its first."""


def equal(constant: Constant, value: str) -> str | None:
    """How a constant gives a string, when it gives the whole of it."""
    match constant.kind:
        case "moment":
            return next((e for e, d in days(constant) if d == value), None)
        case "amount":
            try:
                same = Decimal(value) == Decimal(str(constant.value))
            except InvalidOperation:
                return None
            return "digits" if same else None
        case "column" | "cell" | "url" | "quote" | "body":
            return "value" if value == constant.value else None
        case "email":
            return "value" if value.lower() == constant.value else None
        case _:
            return None


def days(constant: Constant) -> list[tuple[str, str]]:
    """The days of a moment with the names of its ends."""
    days = constant.value if isinstance(constant.value, list) else []
    return [(end, str(day)) for end, day in zip(ENDS, days, strict=False) if day is not None]


def spellings(constant: Constant, text: str) -> list[tuple[str, str]]:
    """How a constant may stand inside of a string, and how it is written from another one."""
    said = text[constant.start : constant.end]
    match constant.kind:
        case "moment":
            return [*((day, end) for end, day in days(constant)), (said, "said")]
        case "column" | "cell" | "quote" | "url" | "email":
            return [(str(constant.value), "value"), (said, "said")]
        case "file":
            return [(said, "said")]
        case "amount":  # with digits its value is looked for, however it is written
            return [] if any(c.isdigit() for c in said) else [(said, "said")]
        case _:
            return []


def bare(text: str) -> str:
    return " ".join(text.split()).strip(" .?!").lower()


def same(one: str, other: str) -> bool:
    return one == other or (len(one) > 3 and other in (f"{one}s", f"{one}es"))


def carries(words: Sequence[str]) -> bool:
    """Whether words are the subject of a request, and none of those that say what is done with it."""
    if any(w in CLASS_OF or w.startswith("<") for w in words):
        return False
    return words[0] not in POLITE | LEADS and any(w not in STOP and w not in POLITE for w in words)
