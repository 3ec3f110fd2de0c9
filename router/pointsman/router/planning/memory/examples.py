"""Remembered plans as examples for a language model that plans."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pointsman.router.planning.memory.constants import ENDS
from pointsman.router.planning.memory.remembered import Remembered


@dataclass(frozen=True, slots=True)
class Example:
    """A request and the plan that was right for it, in a plan's JSON form. similarity: cosine, -1..1.

    Files stand as {"$file": NAME}; what is withheld is left out with its example.
    """

    request: str
    plan: Mapping[str, Any]
    similarity: float


def examples_of(remembered: Sequence[tuple[Remembered, float]], k: int) -> tuple[Example, ...]:
    """At most k, nearest first, no two of one shape. Those with anything withheld are passed over."""
    found: dict[str, Example] = {}
    for one, similarity in sorted(remembered, key=lambda pair: -pair[1]):
        if one.request is not None and one.shape not in found and len(found) < k:
            found[one.shape] = Example(one.request, _as_said(one), similarity)
    return tuple(found.values())


def _as_said(one: Remembered) -> dict[str, Any]:
    tasks = [
        {
            "id": t["id"],
            "title": t["title"],
            "capability": t["capability"],
            "arguments": _said(t["arguments"], one),
            "after": t["after"],
            "for_each": _said(t["for_each"], one),
            "when": _said(t["when"], one),
        }
        for t in one.plan["tasks"]
    ]
    return {"tasks": tasks, "answer": one.plan["answer"]}


def _said(form: Any, one: Remembered) -> Any:
    """An argument with what its slots held at the time."""
    if isinstance(form, list):
        return [_said(v, one) for v in form]
    if not isinstance(form, Mapping):
        return form
    if "$slot" in form:
        value = one.slots[form["$slot"]].value
        if form["as"] in ENDS:
            return value[ENDS.index(form["as"])]
        if form["as"] == "negative":
            return -value
        return (
            value
            if form["as"] == "number"
            else str(value)
            if not isinstance(value, list)
            else value
        )
    if "$text" in form:
        return "".join(str(_said(p, one)) for p in form["$text"])
    if "$whole" in form:
        return one.request
    if "$file" in form or "$files" in form:
        rule = one.files[form.get("$file", form.get("$files"))]
        return {"$file": f"the {rule['shape']} file of the request"}
    if "$cell" in form:
        return _said(form["$cell"], one)
    return {k: _said(v, one) for k, v in form.items()}
