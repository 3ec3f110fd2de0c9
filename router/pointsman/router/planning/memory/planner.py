"""The planner that has seen it before."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

import numpy as np

from pointsman.router.catalog import Catalog
from pointsman.router.errors import RequestError, WorkspaceUnavailable
from pointsman.router.planning.base import (
    Considered,
    Embedder,
    Proposal,
    Refusal,
    Request,
    Vectors,
)
from pointsman.router.planning.memory.aligning import Mismatch
from pointsman.router.planning.memory.constants import Form, form_of
from pointsman.router.planning.memory.learning import LONGEST_REQUEST
from pointsman.router.planning.memory.matching import Match, Matcher
from pointsman.router.planning.memory.remembered import Remembered, Tombstone, digested
from pointsman.router.planning.memory.words import classes, content

log = logging.getLogger(__name__)

FLOOR = 0.3
"""Cosine under which a remembered request is not looked at."""
LOOKED_AT = 8
APPLIES = 0.6
"""Chance from which a remembered plan is offered: none that asks for more was, in development."""
APART = 0.05
"""When another plan comes as near as this, neither is offered."""
NOT_REMEMBERED = Refusal("nothing like this is remembered")
FRESH = 2.0
"""Seconds for which the store is not asked again whether it has changed."""
BATCH = 15


@dataclass(frozen=True, slots=True)
class Recollection:
    """All that is remembered at one time. vectors: of the lines, [len(plans), dim] float32.

    record: by key, runs that used the plan and ended whole, and that did not. secret: of the tombstones.
    """

    version: str
    plans: tuple[Remembered, ...]
    vectors: Vectors
    tombstones: tuple[Tombstone, ...] = ()
    record: dict[str, tuple[int, int]] | None = None
    secret: str = ""


class Memory(Protocol):
    """Where remembered plans are kept."""

    async def version(self) -> str:
        """Another one after each change."""
        ...

    async def recollect(self, embedder: Embedder) -> Recollection:
        """Everything, with its vectors; those that are missing are made with the embedder and kept."""
        ...


class MemoryPlanner:
    """Reuses a plan that was right for a request that said the same; confidence 0 when there is none.

    The confidence is the calibrated chance that the plan is what is asked for (see `chance_of`), times the
    share of its uses that ended whole. It never raises RequestError: those after it say what is wrong.
    """

    name = "memory"

    def __init__(self, embedder: Embedder, memory: Memory) -> None:
        self._embedder = embedder
        self._memory = memory
        self._matcher = Matcher(embedder)
        self._held: Recollection | None = None
        self._asked = 0.0
        self._loading = asyncio.Lock()

    async def plan(self, request: Request, catalog: Catalog) -> Proposal:
        held = await self._recollected()
        text = request.text.strip()
        if not held.plans or not text or len(text) > LONGEST_REQUEST:
            return Proposal(NOT_REMEMBERED, 0.0)
        try:
            form = form_of(text, request.files, request.now)
        except RequestError:
            return Proposal(NOT_REMEMBERED, 0.0)
        near = await self._near(form, held)
        matches: list[Match] = []
        considered: list[Considered] = []
        for one, cosine in near:
            try:
                match = await self._matcher.match(one, cosine, form, request, catalog)
                _check_tombstones(match, form, held)
            except Mismatch as error:
                considered.append(_considered(one, cosine, str(error)))
            else:
                matches.append(match)
        return _proposal(matches, considered, held)

    async def _near(self, form: Form, held: Recollection) -> list[tuple[Remembered, float]]:
        """The nearest remembered requests with their cosines, nearest first."""
        vector = (await self._embedder.embed([form.line()]))[0]
        similar = held.vectors @ vector
        count = min(LOOKED_AT, len(similar))
        best = np.argpartition(-similar, count - 1)[:count]
        order = sorted(best, key=lambda i: (-similar[i], i))
        return [(held.plans[i], float(similar[i])) for i in order if similar[i] >= FLOOR]

    async def _recollected(self) -> Recollection:
        async with self._loading:
            if self._held is not None and time.monotonic() - self._asked < FRESH:
                return self._held
            try:
                version = await self._memory.version()
                if self._held is None or self._held.version != version:
                    self._held = await self._memory.recollect(self._embedder)
                self._asked = time.monotonic()
            except WorkspaceUnavailable as error:  # planning goes on without it
                log.warning("the plan memory cannot be read: %s", error)
            return self._held or Recollection("", (), np.zeros((0, 1), np.float32))


def _check_tombstones(match: Match, form: Form, held: Recollection) -> None:
    words = [t.word for t in form.tokens]
    said = digested([*content(words), *classes(words)], held.secret)
    if any(t.bars(match.remembered.shape, said) for t in held.tombstones):
        raise Mismatch("a person said that this plan is wrong for it")


def _proposal(
    matches: Sequence[Match], considered: Sequence[Considered], held: Recollection
) -> Proposal:
    ranked = sorted(matches, key=lambda m: -m.chance)
    told = [_considered(m.remembered, m.cosine, "", m.chance) for m in ranked] + list(considered)
    if not ranked or ranked[0].chance < APPLIES:
        return Proposal(NOT_REMEMBERED, 0.0, tuple(told[:3]))
    best = ranked[0]
    for other in ranked[1:]:
        if other.plan.tasks != best.plan.tasks and best.chance - other.chance < APART:
            refusal = Refusal("two remembered plans are as near to this, and they differ")
            return Proposal(refusal, 0.0, tuple(told[:3]))
    whole, not_whole = (held.record or {}).get(best.remembered.key, (0, 0))
    confidence = best.chance * (whole + 3) / (whole + not_whole + 3)
    when = datetime.fromtimestamp(best.remembered.at, UTC).strftime("%d %B %Y").lstrip("0")
    plan = replace(
        best.plan,
        confidence=round(confidence, 3),
        assumptions=(
            f"done as in run {best.remembered.run} on {when}, {SAID[best.remembered.how]}",
        ),
    )
    return Proposal(plan, confidence, tuple(told[:3]))


SAID = {
    "confirmed": "which was confirmed",
    "agreed": "which went well each time",
    "imported": "which was imported as right",
}


def _considered(one: Remembered, cosine: float, why: str, chance: float = 0.0) -> Considered:
    detail = {"near": round(cosine, 3), "chance": round(chance, 3)}
    return Considered(f"memory:{one.run}", round(chance, 3), detail | ({"why": why} if why else {}))
