"""Whether a remembered plan is meant by a new request, how sure that is, and the plan with its slots filled."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from pointsman.router.catalog import Catalog
from pointsman.router.errors import PlanError
from pointsman.router.plan import Plan, parse_plan, validate
from pointsman.router.planning.base import Embedder, Request, Vectors
from pointsman.router.planning.memory.aligning import Alignment, Mismatch, align
from pointsman.router.planning.memory.constants import ENDS, Form
from pointsman.router.planning.memory.learning import neutral
from pointsman.router.planning.memory.remembered import Remembered, digest_of
from pointsman.router.planning.memory.words import CLASS_OF, classes, content, spoken
from pointsman.router.values import FileProfile

WEIGHTS = (6.62, 8.72)
BIAS = -9.98
"""Fitted on pairs of the development half of the benchmark `memory`, with and without additions."""
SUREST = 0.97
"""No two requests are surely the same: among near-identical ones of MetaTool people chose another tool."""
KEPT_WORDS = 5_000
SINGULAR = re.compile(r"(?<=[a-z]{3})s\b")


@dataclass(frozen=True, slots=True)
class Match:
    """A remembered plan, filled for a new request. chance: that it is what the request asks for, 0..1."""

    remembered: Remembered
    plan: Plan
    chance: float
    cosine: float


class Matcher:
    """Lays a request beside remembered ones. One instance may serve many; it keeps vectors of words."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: dict[str, np.ndarray] = {}

    async def match(
        self, remembered: Remembered, cosine: float, form: Form, request: Request, catalog: Catalog
    ) -> Match:
        """Raises Mismatch, which says why the remembered plan does not apply."""
        _check_catalog(remembered, catalog)
        alignment = align(remembered, form)
        cosine = await self.cosine(remembered, cosine, alignment)
        facts = await self.features(remembered, cosine, alignment, request)
        plan = filled(remembered, alignment, request)
        try:
            validate(plan, catalog)
        except PlanError as error:
            raise Mismatch(f"with these values the plan cannot run: {error}") from error
        return Match(remembered, plan, chance_of(facts), cosine)

    async def cosine(self, remembered: Remembered, cosine: float, alignment: Alignment) -> float:
        """Of the two requests, each without the words that the plan takes over."""
        spans = alignment.spans(remembered)
        if not spans:
            return cosine
        pair = await self._embedder.embed([remembered.line, alignment.form.line(spans)])
        return float(pair[0] @ pair[1])

    async def features(
        self, remembered: Remembered, cosine: float, alignment: Alignment, request: Request
    ) -> tuple[float, float]:
        """What the chance is computed from: the cosine, and how well each word that only one of the two
        requests has is covered by a word of the other, the worst of them. Raises Mismatch.
        """
        left = alignment.left()
        if classes(left) != classes(remembered.tokens):
            apart = sorted(classes(left) ^ classes(remembered.tokens))
            raise Mismatch(f"one of the two requests says {', '.join(apart)!r}, the other does not")
        names = neutral([f.ref.name for f in request.files]) | set(remembered.neutral)
        here, there = content(left) - names, content(remembered.tokens) - names
        said = spoken([*left, *remembered.tokens])
        covered = min(
            await self._covered({said[w] for w in here - there}, remembered.tokens),
            await self._covered({said[w] for w in there - here}, left),
        )
        return cosine, covered

    async def _covered(self, spare: set[str], other: Sequence[str]) -> float:
        """How near the word of `spare` that is furthest from all words of the other request comes to one of
        them, 0..1 (cosine); 1 when there is none to spare.
        """
        if not spare:
            return 1.0
        words = sorted({w for w in other if w in CLASS_OF or content([w])})
        if not words:
            return 0.0
        near = await self._vectors(sorted(spare)) @ (await self._vectors(words)).T
        return max(0.0, float(near.max(axis=1).min()))

    async def _vectors(self, words: Sequence[str]) -> Vectors:
        new = [w for w in dict.fromkeys(words) if w not in self._known]
        if new:
            if len(self._known) > KEPT_WORDS:
                self._known.clear()
                new = list(dict.fromkeys(words))
            self._known.update(zip(new, await self._embedder.embed(new), strict=True))
        return np.stack([self._known[w] for w in words])


def chance_of(facts: tuple[float, float]) -> float:
    """Of being the same request, by logistic regression over the features; at most SUREST."""
    total = BIAS + sum(w * f for w, f in zip(WEIGHTS, facts, strict=True))
    return min(SUREST, 1 / (1 + math.exp(-total)))


def _check_catalog(remembered: Remembered, catalog: Catalog) -> None:
    for name, digest in remembered.digests.items():
        capability = catalog.get(name)
        if capability is None:
            raise Mismatch(f"nothing serves {name!r} any more")
        if digest_of(capability) != digest:
            raise Mismatch(f"{name!r} takes or gives something else than it did then")


# --- filling ---------------------------------------------------------------------------------------


def filled(remembered: Remembered, alignment: Alignment, request: Request) -> Plan:
    """The remembered plan for a new request. Raises Mismatch when a file is missing or has no such column."""
    filling = _Filling(remembered, alignment, request)
    parts = ("arguments", "for_each", "when")
    tasks = [{**t, **{p: filling.value(t[p]) for p in parts}} for t in remembered.plan["tasks"]]
    filling.check_columns()
    plan = {**remembered.plan, "tasks": tasks, "source": f"memory:{remembered.run}"}
    return parse_plan(plan)


class _Filling:
    def __init__(self, remembered: Remembered, alignment: Alignment, request: Request) -> None:
        self._remembered = remembered
        self._alignment = alignment
        self._request = request
        self._files = [self._found(rule) for rule in remembered.files]

    def value(self, form: Any) -> Any:
        """An argument's JSON form with its slots filled."""
        if isinstance(form, list):
            lists = [self.value(v) for v in form]
            whole = len(form) == 1 and isinstance(form[0], Mapping) and "$files" in form[0]
            return lists[0] if whole else lists
        if not isinstance(form, Mapping):
            return form
        if "$slot" in form:
            return self._slot(form)
        if "$text" in form:
            return "".join(p if isinstance(p, str) else str(self._slot(p)) for p in form["$text"])
        if "$whole" in form:
            return self._request.text.strip()
        if "$file" in form:
            return self._files[form["$file"]][0].ref.to_json()
        if "$files" in form:
            return [f.ref.to_json() for f in self._files[form["$files"]]]
        if "$cell" in form:
            return self._cell(form)
        return {k: self.value(v) for k, v in form.items()}

    def _slot(self, form: Mapping[str, Any]) -> Any:
        filler = self._alignment.fillers[form["$slot"]]
        match form["as"]:
            case "number":
                return filler.value
            case "negative":
                return -filler.value
            case "digits":
                return f"{Decimal(str(filler.value)):f}"
            case end if end in ENDS:
                found = filler.value[ENDS.index(end)]
                if found is None:
                    raise Mismatch(f"{filler.said!r} has no day {end!r}")
                return found
            case "said":
                return filler.said
            case "lower":
                return filler.said.lower()
            case "singular":
                return SINGULAR.sub("", filler.said.lower())
            case _:
                return filler.value

    def _cell(self, form: Mapping[str, Any]) -> str:
        """A value that the file is known to have in that column, as it is spelt there."""
        wanted = str(self.value(form["$cell"])).casefold()
        column = self.value(form["of"])
        for files in self._files:
            for file in files:
                for known in (file.samples or {}).get(column, ()):
                    if isinstance(known, str) and known.casefold() == wanted:
                        return known
        raise Mismatch(f"{wanted!r} is not among the known values of {column!r}")

    def _found(self, rule: Mapping[str, Any]) -> list[FileProfile]:
        files = [f for f in self._request.files if f.error is None]
        if rule["slot"] is not None:
            ids = self._alignment.fillers[rule["slot"]].value
            found = [f for f in files if f.ref.id in ids]
        else:
            found = [f for f in files if f.shape == rule["shape"]]
            if not rule["many"] and len(found) != 1:
                raise Mismatch(f"it has {len(found)} files of the shape {rule['shape']!r}, not one")
        if not found or any(f.shape != rule["shape"] for f in found):
            raise Mismatch(f"it has no file of the shape {rule['shape']!r} in the place")
        return found

    def check_columns(self) -> None:
        """Columns that the plan reads without being told to must be there."""
        there = {c.name for files in self._files for f in files for c in f.columns or ()}
        missing = [c for c in self._remembered.columns if c not in there]
        if missing:
            raise Mismatch(f"its file has no column {missing[0]!r}")
