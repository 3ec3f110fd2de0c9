"""A worker hosts experts: it claims their tasks and carries each out (attempt.py)."""

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Sequence

from pointsman.experts.attempt import LEASE, Attempt, Place
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
        self.name = f"{os.uname().nodename}-{os.getpid()}-{secrets.token_hex(3)}"

    async def serve(self) -> None:
        """Announces and serves every expert. On cancellation running calls are stopped and handed back."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._announce())
                for expert in self._experts:
                    group.create_task(self._serve(expert))
        finally:
            await self._withdraw()

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
            group.create_task(self._reclaim(group, expert, offers, free))
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
                group.create_task(self._attempt(expert, offer, Place(free)))

    async def _attempt(self, expert: Expert, offer: Offer, place: Place) -> None:
        """One offer, from claim to commit. A lost Redis leaves the rest to the lease."""
        try:
            claim = await self._claim(expert, offer)
            # Acknowledged once the claim is decided: from then on the lease governs.
            acknowledged = asyncio.create_task(self._acknowledge(expert, offer))
            if claim is not None:
                attempt = Attempt(self._workspace, self._files, expert, claim, self.name, place)
                await attempt.run()
            await acknowledged
        except WorkspaceUnavailable as error:
            log.warning("%s: %s", expert.card.name, error)
        finally:
            place.free()

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
