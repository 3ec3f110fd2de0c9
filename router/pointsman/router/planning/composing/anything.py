"""Any capability of the catalog: what it works on by kind, its other arguments from the words."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pointsman.router.catalog import Capability
from pointsman.router.plan import Ref, widen
from pointsman.router.planning import wishes
from pointsman.router.planning.arguments.filling import fill
from pointsman.router.planning.clauses import Clause
from pointsman.router.planning.composing.composition import FITS, Composition, Understood
from pointsman.router.planning.draft import Value
from pointsman.router.planning.retrieval import Hit, stems
from pointsman.router.values import kinds_of


async def by_retrieval(
    work: Composition, clause: Clause, source: Value | None, hits: Sequence[Hit]
) -> Understood | None:
    for hit in hits[:2]:
        if hit.score < FITS:
            break
        found = await general(work, hit, clause, source)
        if found is not None:
            return found
    return None


async def general(
    work: Composition, hit: Hit, clause: Clause, source: Value | None
) -> Understood | None:
    """One task of a capability; None when it has nothing to work on, a question when a word is missing."""
    capability = hit.capability
    given: dict[str, Any] = {}
    for name, schema in capability.properties.items():
        link = _linked(kinds_of(schema), source, schema)
        if link is not None and (name in capability.required or not given):
            given[name] = link
    given |= _columns_for(capability, clause.core, source)
    if capability.name == "table.export":
        given |= {"format": wishes.export_format(clause.text)}
    filled = await fill(
        clause.core, capability, given, now=work.request.now, embedder=work.embedder
    )
    if filled.missing:
        return _incomplete(capability, filled.missing, hit.score)
    if not given and not filled.used and capability.required:
        return None
    value = work.add(capability.name, filled.arguments, capability.title, source)
    return Understood(value, hit.score, way="capability", share=hit.words)


def _incomplete(capability: Capability, missing: Sequence[str], score: float) -> Understood | None:
    """A question for what is missing; None when that is no matter of words."""
    if any(kinds_of(capability.properties[m]) & {"table", "file", "list"} for m in missing):
        return None
    what = " and ".join(m.replace("_", " ") for m in missing)
    why = f"to {capability.title} I need the {what}"
    return Understood(None, score, why, f"What is the {what}?", way="capability")


def _columns_for(
    capability: Capability, text: str, source: Value | None
) -> dict[str, str | list[str]]:
    """Parameters that name columns, filled with the columns that the clause names."""
    if source is None or source.table is None:
        return {}
    said = stems(text.replace("_", " "))
    names = [
        c.name
        for c in source.table.columns
        if (own := stems(re.sub(r"[_-]+", " ", c.name))) and own <= said
    ]
    found: dict[str, str | list[str]] = {}
    if names and "column" in capability.properties and "columns" not in capability.properties:
        found["column"] = names[0]
    if names and "columns" in capability.properties:
        found["columns"] = names
    return found


def _linked(takes: frozenset[str], source: Value | None, schema: Mapping[str, Any]) -> Any:
    """The source as an argument, when its kind is taken there."""
    if source is None or not source.kinds & widen(takes):
        return None
    if takes <= {"text", "any"} and not isinstance(source.argument, Ref) and not source.documents:
        return None
    if takes == {"text"} and "enum" in schema:
        return None
    return source.argument
