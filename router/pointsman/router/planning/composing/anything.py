"""Any capability of the catalog: what it works on by kind, its other arguments from the words.

The nearest few by description are filled, and the one that accounts for most of the clause is taken: a
capability that leaves the number or the quoted name of a request unused is seldom the one that was meant.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from pointsman.router.catalog import Capability
from pointsman.router.plan import Ref, widen
from pointsman.router.planning import wishes
from pointsman.router.planning.arguments.filling import Filled, fill
from pointsman.router.planning.clauses import Clause
from pointsman.router.planning.composing.composition import Composition, Understood
from pointsman.router.planning.composing.named import is_said, named
from pointsman.router.planning.composing.supplying import (
    Supply,
    names_in,
    supplied,
    supplies,
)
from pointsman.router.planning.cues import built_in
from pointsman.router.planning.draft import Value
from pointsman.router.planning.mentions import QUOTED
from pointsman.router.planning.retrieval import Hit, stems
from pointsman.router.values import kinds_of

LOOKED_AT = 80
"""Nearest hits that are looked at, however large the catalog is."""
TRIED = 5
"""Capabilities whose arguments are read before one is chosen."""
LIKE = 0.35
"""Likeness from which a capability without cues of its own counts as what is asked for."""
NEAR = 0.42
"""Score from which one of our own capabilities is tried; how sure that is, the confidence says."""
WORDS, TITLE = 0.3, 0.2
"""What shared words, and the part of the title that was said, count beside a cosine."""
CHANCE = 0.3
"""What the set head's probability counts beside likeness: on 36 requests for foreign capabilities, the right one
of 337 is first for 32 by likeness alone, for 34 with it."""
CUED = 0.85
"""A cue from which words alone point to a capability, and how sure that reading is."""
SAID, LACKS = 0.15, 0.15
"""What is added when every name and number of the clause is used, and taken off for an argument that lacks."""
ON_SOMETHING = frozenset(("table", "file", "list"))
LITERAL = re.compile(
    QUOTED.pattern + r"|(?<![\w.])[\w.-]+/[\w.-]+(?![\w/])|(?<![\w.,])\d[\d.,]*\d|(?<![\w.,])\d"
)
"""Names and numbers of a clause: quoted, joined with a slash, in digits."""


_stems = lru_cache(maxsize=20_000)(stems)


def likeness(hit: Hit, text: str) -> float:
    """How near a clause is to what a capability says of itself, about 0..1.5; cues do not count."""
    title = _stems(hit.capability.title)
    said = len(title & _stems(text)) / len(title) if title else 0.0
    return hit.meaning + WORDS * hit.words + TITLE * said


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A capability with the arguments that a clause gives it. worth: what candidates are compared by.

    chance: that a request needs it, by the learned set head. supplies: what other capabilities give it.
    unnamed: the clause calls something by name, and nothing of it is used.
    """

    hit: Hit
    filled: Filled
    given: Mapping[str, Any]
    likeness: float
    chance: float
    share: float
    supplies: Sequence[Supply] = ()
    unnamed: bool = False

    @property
    def worth(self) -> float:
        lacks = LACKS * (len(self.filled.missing) + self.unnamed)
        return self.likeness + CHANCE * self.chance + SAID * self.share - lacks

    @property
    def stands(self) -> bool:
        """Whether it has what it works on."""
        properties = self.hit.capability.properties
        return not any(kinds_of(properties[m]) & ON_SOMETHING for m in self.filled.missing)


async def foreign(
    work: Composition,
    clause: Clause,
    source: Value | None,
    hits: Sequence[Hit],
    chances: Mapping[str, float],
) -> Understood | None:
    """The capability without cues of ours that a clause asks for, if one is near enough.

    chances: by name, that the clause needs it.
    """

    def nearness(pair: tuple[float, Hit]) -> float:
        return pair[0] + CHANCE * chances.get(pair[1].capability.name, 0.0)

    scored = [
        (likeness(h, clause.core), h) for h in hits[:LOOKED_AT] if not built_in(h.capability.name)
    ]
    near = sorted((s for s in scored if s[0] >= LIKE), key=nearness, reverse=True)[:TRIED]
    likenesses = {h.capability.name: s for s, h in scored}
    tried = [
        _with_supplies(
            work,
            clause,
            likenesses,
            await _tried(work, hit, score, chances.get(hit.capability.name, 0.0), clause, source),
        )
        for score, hit in near
    ]
    standing = [c for c in tried if c.stands]
    if not standing:
        return None
    best = max(standing, key=lambda c: c.worth)
    score = min(1.0, best.likeness)
    if best.filled.missing:
        return _incomplete(best.hit.capability, best.filled.missing, score)
    capability = best.hit.capability
    arguments = {**best.filled.arguments, **supplied(best.supplies, work.add)}
    made = work.add(capability.name, arguments, capability.title[:90], source)
    return Understood(made, score, way="foreign", share=best.share)


async def _tried(
    work: Composition,
    hit: Hit,
    score: float,
    chance: float,
    clause: Clause,
    source: Value | None,
) -> _Candidate:
    capability = hit.capability
    given: dict[str, Any] = {}
    for name in capability.required:
        schema = capability.properties[name]
        takes = kinds_of(schema)
        link = _linked(takes, source, schema)
        if link is not None and (takes & ON_SOMETHING or clause.refers_back):
            given[name] = link
    given |= named(capability, clause.core)
    filled = await fill(
        clause.core, capability, given, now=work.request.now, embedder=work.embedder
    )
    said = {
        k: v
        for k, v in filled.arguments.items()
        if k in given or is_said(capability, k, v, clause.core)
    }
    held = [capability.title, *map(str, said.values())]
    share = accounted(clause.core, " ".join(held))
    return _Candidate(hit, replace(filled, arguments=said), given, score, chance, share)


def _with_supplies(
    work: Composition, clause: Clause, near: Mapping[str, float], candidate: _Candidate
) -> _Candidate:
    """The candidate, for which other capabilities give what the words do not say, where they can."""
    names = names_in(clause.text)
    if not candidate.filled.missing:
        used = " ".join(map(str, candidate.filled.arguments.values()))
        return replace(candidate, unnamed=bool(names) and not any(n in used for n in names))
    found = supplies(
        work.draft.catalog, candidate.hit.capability, candidate.filled.missing, clause.text, near
    )
    if found is None:
        return candidate
    said = [str(v) for s in found for v in s.arguments.values()]
    held = [candidate.hit.capability.title, *said, *map(str, candidate.filled.arguments.values())]
    filled = replace(candidate.filled, missing=())
    share = accounted(clause.core, " ".join(held))
    return replace(candidate, filled=filled, supplies=found, share=share)


def accounted(text: str, held: str) -> float:
    """The share of a clause's names and numbers that stand in what was made of it; 1 when it has none."""
    said = [m.group().strip("\"'“”«»`‘’") for m in LITERAL.finditer(text)]
    if not said:
        return 1.0
    plain = held.casefold()
    used = [all(p in plain for p in s.casefold().replace(",", "").split("/")) for s in said]
    return sum(used) / len(used)


async def by_retrieval(
    work: Composition, clause: Clause, source: Value | None, hits: Sequence[Hit]
) -> Understood | None:
    """One of our own capabilities, where cues and meaning point to it."""
    for hit in [h for h in hits if built_in(h.capability.name)][:2]:
        if hit.score < NEAR:
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
    score = max(hit.score, CUED) if hit.cue >= CUED else hit.score
    return Understood(value, score, way="capability", share=max(hit.words, hit.cue))


def _incomplete(capability: Capability, missing: Sequence[str], score: float) -> Understood | None:
    """A question for what is missing; None when that is no matter of words."""
    if any(kinds_of(capability.properties[m]) & ON_SOMETHING for m in missing):
        return None
    told = [(m, str(capability.properties[m].get("description") or "")) for m in missing]
    what = "; ".join(f"{m.replace('_', ' ')}{f' ({d[:90]})' if d else ''}" for m, d in told)
    why = f"to {capability.title} I need more: {what}"
    asked = " and ".join(f"{m.replace('_', ' ')!r}" for m in missing)
    return Understood(None, score, why, f"What should {asked} be?", way="capability")


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
