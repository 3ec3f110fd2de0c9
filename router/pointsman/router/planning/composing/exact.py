"""Clauses that are read whole, word by word: arithmetic, conversions of units, questions about dates."""

import re
from typing import Any

from pointsman.router.planning.arguments.arithmetic import arithmetic
from pointsman.router.planning.arguments.conversions import Conversion, conversion
from pointsman.router.planning.arguments.date_questions import date_question
from pointsman.router.planning.composing.composition import Composition, Understood
from pointsman.router.planning.draft import Value
from pointsman.router.values import Quantity

SCORE = 0.95


PARTS = {
    "half": 2, "halve": 2, "third": 3, "quarter": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10,
}  # fmt: skip
NUMBERS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
}  # fmt: skip
FRACTION = re.compile(
    rf"\b(?:(?P<many>\d+|{'|'.join(NUMBERS)})[\s-]+)?(?P<part>{'|'.join(PARTS)})s?\s+of\s+(?=[\d$€£])",
    re.IGNORECASE,
)
AMONG = re.compile(r"\b((?:split|divide|share)\b.*?\d\S*\s+)among\b", re.IGNORECASE)


def in_digits(text: str) -> str:
    """ "3 quarters of 188" as "3/4 * 188", "split 90 among 4" as "split 90 between 4"."""

    def said(match: re.Match[str]) -> str:
        many = (match["many"] or "1").lower()
        return f"{NUMBERS.get(many, many)}/{PARTS[match['part'].lower()]} * "

    return AMONG.sub(r"\1between", FRACTION.sub(said, text))


def exactly(work: Composition, text: str, focus: Value | None) -> Understood | None:
    """None when the clause is nothing of the kind. `focus`: a number that "it" would mean."""
    text = in_digits(text)
    number = focus if focus is not None and focus.kinds & {"quantity", "number"} else None
    measured = conversion(text)
    if measured is not None and work.can("units.convert"):
        made = _converted(work, measured, number)
        if made is not None:
            return made
    asked = date_question(text, work.request.now)
    if asked is not None and work.can(asked.capability):
        task = work.add(asked.capability, asked.arguments, asked.title)
        return Understood(task, SCORE, way="exact")
    return _calculated(work, text, number)


def _calculated(work: Composition, text: str, number: Value | None) -> Understood | None:
    found = arithmetic(text) or (arithmetic(_with_object(text)) if number else None)
    if found is None or not work.can("math.calculate"):
        return None
    if found.variables and number is None:
        return None
    arguments: dict[str, Any] = {"expression": found.expression}
    if found.variables and number is not None:
        arguments["variables"] = dict.fromkeys(found.variables, number.argument)
    made = work.add("math.calculate", arguments, f"calculate {found.expression}"[:90])
    return Understood(made, SCORE, way="exact")


def _converted(work: Composition, measured: Conversion, number: Value | None) -> Understood | None:
    to = measured.to_unit
    if measured.value is None:
        if number is None:
            return None
        arguments = {"value": number.argument, "to": to, "from_unit": measured.from_unit}
    else:
        value = Quantity(measured.value, measured.from_unit)
        arguments = {"value": value.to_json(), "to": to}
    made = work.add("units.convert", arguments, f"convert to {to}")
    return Understood(made, SCORE, way="exact")


def _with_object(text: str) -> str:
    """ "multiply by 12" means the number that came before."""
    text = re.sub(
        r"^(multiply|divide|increase|reduce|decrease|raise|square|double|halve|triple|round)\b(?!\s+(?:it|that|this|the)\b)",
        r"\1 it",
        text,
        flags=re.I,
    )
    text = re.sub(r"^add\s+(\S*\d[\d.,]*%?).*$", r"add \1 to it", text, flags=re.I)
    return re.sub(r"^subtract\s+(\S*\d[\d.,]*%?).*$", r"subtract \1 from it", text, flags=re.I)
