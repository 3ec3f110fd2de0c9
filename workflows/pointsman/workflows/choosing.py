"""Routes for all runs of a controller: who is there, how they do, and who shall serve a task."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pointsman.router.cards import ExpertCard, Route
from pointsman.router.catalog import Capability
from pointsman.router.errors import WorkspaceUnavailable
from pointsman.router.planning.base import Prefer
from pointsman.router.routing.choice import choose
from pointsman.router.routing.observations import Observations, heartbeat, observe, tried
from pointsman.router.routing.predicting import Predictor
from pointsman.router.usage import Usage
from pointsman.router.workspace import Workspace
from pointsman.router.workspace.keys import queue

log = logging.getLogger(__name__)

RECENT = 2.0
"""Seconds for which the list of live experts is taken as it was."""


class Router:
    """Chooses routes for all runs of a controller, and keeps what it has seen of the experts."""

    def __init__(self, workspace: Workspace, predictor: Predictor | None = None) -> None:
        """predictor: what is expected of experts on the very input; without one their cards tell."""
        self._workspace = workspace
        self._predictor = predictor
        self._cards: tuple[ExpertCard, ...] = ()
        self._capabilities: dict[str, Capability] = {}
        self._places: dict[str, int] = {}
        self._read = 0.0
        self._reading: asyncio.Task[None] | None = None
        self.observations = Observations()

    async def predicted(self, capability: str, given: Mapping[str, Any]) -> Mapping[str, float]:
        """Expert -> quality expected of it with these arguments; empty where the cards have to do."""
        if self._predictor is None:
            return {}
        return await self._predictor.quality(capability, given)

    def route(
        self,
        capability: str,
        *,
        prefer: Prefer,
        exclude: Sequence[str],
        budget_left: int | None,
        predicted: Mapping[str, float],
    ) -> Route:
        """Raises NoExpert. `refresh` comes first."""
        now = time.time()
        route = choose(
            capability,
            self._cards,
            self.observations,
            prefer=prefer,
            exclude=exclude,
            budget_left=budget_left,
            predicted=predicted,
            now=now,
        )
        self.observations = tried(self.observations, route.expert, capability, now)
        return route

    def capability(self, name: str) -> Capability | None:
        """As a live expert describes it; None when none serves it now."""
        return self._capabilities.get(name)

    def is_there(self, expert: str) -> bool:
        return any(card.name == expert for card in self._cards)

    def places(self, capability: str) -> int:
        """How many tasks of a capability can run at once, over all experts and their workers."""
        return self._places.get(capability, 0)

    async def refresh(self) -> None:
        """Reads who is there. What was read a moment ago is taken while it is read anew."""
        if time.monotonic() - self._read < RECENT:
            return
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._refresh(), name="experts")
        if self._read == 0.0:
            await asyncio.shield(self._reading)

    async def _refresh(self) -> None:
        try:
            live = await self._workspace.experts()
            queues = [self._workspace.queue(queue(e.card.name)) for e in live]
            lengths = await asyncio.gather(*(q.length() for q in queues))
        except WorkspaceUnavailable as error:
            if self._read == 0.0:
                raise
            log.warning("experts: %s", error)
            return
        self._cards = tuple(e.card for e in live)
        self._capabilities = {c.name: c for e in live for c in e.capabilities}
        places: dict[str, int] = {}
        for expert, queued in zip(live, lengths, strict=True):
            name = expert.card.name
            self.observations = heartbeat(
                self.observations, name, expert.seen, queued=queued, workers=expert.workers
            )
            for capability in expert.card.serves:
                more = max(1, expert.card.concurrency) * expert.workers
                places[capability] = places.get(capability, 0) + more
        self._places = places
        self._read = time.monotonic()

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    def saw(self, expert: str, capability: str, seconds: float, ok: bool, usage: Usage) -> None:
        """After an attempt. Bad arguments are not the expert's fault and are not told here."""
        cost = usage.cost if ok else None
        self.observations = observe(
            self.observations, expert, capability, seconds, ok, time.time(), cost=cost
        )
