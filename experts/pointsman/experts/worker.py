"""A worker hosts experts: it claims their tasks and carries each out (attempt.py)."""

import asyncio
import json
import logging
import os
import secrets
import time
from collections.abc import Sequence

from pointsman.experts.attempt import LEASE, QUICK, Attempt, Place
from pointsman.experts.base import Expert, Files
from pointsman.router.errors import RunNotFound, RunOver, StaleAttempt, WorkspaceUnavailable
from pointsman.router.events import RunId
from pointsman.router.plan import TaskId
from pointsman.router.workspace import Claim, Offer, Workspace
from pointsman.router.workspace.keys import queue
from pointsman.router.workspace.queues import Queue

log = logging.getLogger(__name__)

ANNOUNCE = 5.0
"""Seconds between announcements."""
RECLAIM = 5.0
"""Seconds after which an offer that another worker read and did not claim is taken over."""
RETRY = 1.0
"""Seconds before a queue is read again after Redis was away."""


class Worker:
    """Runs until cancelled. `async with asyncio.TaskGroup() as g: g.create_task(worker.serve())`."""

    def __init__(self, workspace: Workspace, files: Files, experts: Sequence[Expert]) -> None:
        self._workspace = workspace
        self._files = files
        self._experts = tuple(experts)
        self._seconds: dict[tuple[str, str], float] = {}
        """How long the last call of (expert, capability) took."""
        self.name = f"{os.uname().nodename}-{os.getpid()}-{secrets.token_hex(3)}"
        self._draining = asyncio.Event()
        self._under_way = 0

    @property
    def experts(self) -> tuple[str, ...]:
        """Names of the experts that are hosted here."""
        return tuple(expert.card.name for expert in self._experts)

    @property
    def under_way(self) -> int:
        """How many attempts run here now."""
        return self._under_way

    async def serve(self) -> None:
        """Announces and serves every expert, until `drain`: then it returns when the last call has ended.

        On cancellation running calls are stopped and handed back.
        """
        try:
            async with asyncio.TaskGroup() as group:
                announcing = group.create_task(self._announce())
                for expert in self._experts:
                    group.create_task(self._serve(expert))
                await self._draining.wait()
                announcing.cancel()
                await self._withdraw()
        finally:
            await self._withdraw()

    def drain(self) -> None:
        """Takes no offer from now on; calls that run go on."""
        self._draining.set()

    async def announce(self) -> None:
        """Tells the workspace what is hosted here; `serve` repeats it."""
        for expert in self._experts:
            await self._workspace.announcements.announce(
                self.name, expert.card, expert.capabilities, now=time.time()
            )

    async def _announce(self) -> None:
        while True:
            try:
                await self.announce()
            except WorkspaceUnavailable as error:
                log.warning("announcing: %s", error)
                await asyncio.sleep(RETRY)
            else:
                await asyncio.sleep(ANNOUNCE)

    async def _withdraw(self) -> None:
        try:
            cards = [expert.card for expert in self._experts]
            await self._workspace.announcements.withdraw(self.name, cards)
        except WorkspaceUnavailable as error:
            log.warning("withdrawing: %s", error)

    async def _serve(self, expert: Expert) -> None:
        """One expert's queue: never more offers taken than can run at once."""
        offers = self._workspace.queue(queue(expert.card.name))
        free = asyncio.Semaphore(expert.card.concurrency)
        async with asyncio.TaskGroup() as group:
            reading = (
                group.create_task(self._reclaim(group, expert, offers, free)),
                group.create_task(self._take(group, expert, offers, free)),
            )
            await self._draining.wait()
            for task in reading:
                task.cancel()
            # A read that waits at the server would still be handed offers, for nobody.
            await offers.close()

    async def _take(
        self, group: asyncio.TaskGroup, expert: Expert, offers: Queue, free: asyncio.Semaphore
    ) -> None:
        while True:
            await free.acquire()
            free.release()
            try:
                taken = await offers.take(self.name, max(1, free._value))
            except WorkspaceUnavailable as error:
                log.warning("%s: %s", expert.card.name, error)
                await asyncio.sleep(RETRY)
                continue
            for offer in taken:
                await free.acquire()
                group.create_task(self._attempt(expert, offer, Place(free)))

    async def _reclaim(
        self, group: asyncio.TaskGroup, expert: Expert, offers: Queue, free: asyncio.Semaphore
    ) -> None:
        """Offers that another worker had read when it died."""
        while True:
            await asyncio.sleep(RECLAIM)
            if free.locked():
                continue
            try:
                left = await offers.reclaim(self.name, idle_seconds=RECLAIM, count=free._value)
            except WorkspaceUnavailable as error:
                log.warning("%s: %s", expert.card.name, error)
                continue
            for offer in left:
                await free.acquire()
                group.create_task(self._attempt(expert, offer, Place(free), again=True))

    async def _attempt(
        self, expert: Expert, offer: Offer, place: Place, *, again: bool = False
    ) -> None:
        """One offer, from claim to commit. A lost Redis leaves the rest to the lease.

        again: another worker had the offer before. It may have died of it, so it is claimed first: what
        is claimed is counted.
        """
        self._under_way += 1
        try:
            told = None if again else _told(offer)
            if told is not None and self._is_quick(expert, told):
                await self._at_once(expert, offer, told, place)
            else:
                await self._claimed(expert, offer, place)
        except WorkspaceUnavailable as error:
            log.warning("%s: %s", expert.card.name, error)
        finally:
            self._under_way -= 1
            place.free()

    def _is_quick(self, expert: Expert, claim: Claim) -> bool:
        """Free of charge, without effects, and done at once the last time."""
        name = claim.call["capability"]
        effects = {c.name: c.effect for c in expert.capabilities}
        free = name in expert.card.serves and expert.card.serves[name].cost == 0
        quick = self._seconds.get((expert.card.name, name), QUICK) < QUICK
        return quick and free and effects.get(name) == "pure"

    async def _at_once(self, expert: Expert, offer: Offer, told: Claim, place: Place) -> None:
        attempt = Attempt(self._workspace, self._files, expert, told, self.name, place)
        try:
            if await attempt.at_once():
                self._seconds[expert.card.name, told.call["capability"]] = attempt.seconds
                await self._acknowledge(expert, offer)
            else:
                await self._claimed(expert, offer, place, attempt)
        finally:
            await attempt.drop()

    async def _claimed(
        self, expert: Expert, offer: Offer, place: Place, begun: Attempt | None = None
    ) -> None:
        claim = await self._claim(expert, offer)
        # Acknowledged once the claim is decided: from then on the lease governs.
        acknowledged = asyncio.create_task(self._acknowledge(expert, offer))
        if claim is not None:
            attempt = begun or Attempt(
                self._workspace, self._files, expert, claim, self.name, place
            )
            await attempt.run()
            self._seconds[expert.card.name, claim.call["capability"]] = attempt.seconds
        await acknowledged

    async def _acknowledge(self, expert: Expert, offer: Offer) -> None:
        """Where Redis is away the offer comes back, and is found void."""
        try:
            await self._workspace.queue(queue(expert.card.name)).done(offer)
        except WorkspaceUnavailable as error:
            log.warning("%s: %s", expert.card.name, error)

    async def _claim(self, expert: Expert, offer: Offer) -> Claim | None:
        """None when the offer is void: superseded, cancelled, or its run is over."""
        try:
            return await self._workspace.claim(
                RunId(offer.fields["run"]),
                TaskId(offer.fields["task"]),
                int(offer.fields["attempt"]),
                worker=self.name,
                lease=LEASE,
            )
        except (StaleAttempt, RunOver, RunNotFound) as error:
            log.info("%s: offer is void: %s", expert.card.name, error)
            return None


def _told(offer: Offer) -> Claim | None:
    """What an offer tells of its call, as the claim that is still to be made; None: nothing."""
    call = offer.fields.get("call")
    if not call:
        return None
    task, attempt = TaskId(offer.fields["task"]), int(offer.fields["attempt"])
    return Claim(RunId(offer.fields["run"]), task, attempt, json.loads(call))
