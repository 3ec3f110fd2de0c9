"""A worker hosts experts: it claims their tasks, keeps the leases, runs them, and commits the results.

Results go through the fence of the attempt: when a lease was lost in between, the commit is refused and
nothing of it is seen. A cancelled run stops its calls at once.
"""

import asyncio
import logging
import math
import os
import secrets
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from pointsman.experts.base import Call, Done, Expert, Files
from pointsman.router.errors import (
    ExpertFailed,
    ExpertTimeout,
    PointsmanError,
    RunNotFound,
    RunOver,
    StaleAttempt,
    WorkspaceUnavailable,
)
from pointsman.router.events import Fault, RunId, TaskDone, TaskFailed, TaskProgressed
from pointsman.router.plan import TaskId
from pointsman.router.preview import preview
from pointsman.router.usage import Usage
from pointsman.router.values import kind_of
from pointsman.router.workspace import Claim, Offer, Workspace
from pointsman.router.workspace.keys import CANCEL, queue

log = logging.getLogger(__name__)

LEASE = 15.0
"""Seconds for which a claimed attempt is ours without a sign of life."""
ANNOUNCE = 5.0
"""Seconds between announcements."""
PROGRESS = 0.25
"""Seconds between two progress events of one attempt, at least."""
RETRY = 1.0
"""Seconds before a queue is read again after Redis was away."""


class Worker:
    """Runs until cancelled. `async with asyncio.TaskGroup() as g: g.create_task(worker.serve())`."""

    def __init__(self, workspace: Workspace, files: Files, experts: Sequence[Expert]) -> None:
        self._workspace = workspace
        self._files = files
        self._experts = tuple(experts)
        self.name = f"{os.uname().nodename}-{os.getpid()}-{secrets.token_hex(3)}"
        self._running: dict[RunId, set[asyncio.Task[None]]] = defaultdict(set)

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
        reclaimed = 0.0
        async with asyncio.TaskGroup() as group:
            while True:
                await free.acquire()
                free.release()
                count = max(1, free._value)
                try:
                    taken = await offers.take(self.name, count)
                    if time.monotonic() - reclaimed > LEASE:
                        reclaimed = time.monotonic()
                        taken += await offers.reclaim(self.name, idle_seconds=LEASE, count=count)
                except WorkspaceUnavailable as error:
                    log.warning("%s: %s", expert.card.name, error)
                    await asyncio.sleep(RETRY)
                    continue
                for offer in taken:
                    await free.acquire()
                    task = group.create_task(self._attempt(expert, offer))
                    task.add_done_callback(lambda _: free.release())

    async def _attempt(self, expert: Expert, offer: Offer) -> None:
        """One offer, from claim to commit. A lost Redis leaves the rest to the lease."""
        try:
            claim = await self._claim(expert, offer)
            async with asyncio.TaskGroup() as group:
                # Acknowledged once the claim is decided: from then on the lease governs.
                group.create_task(self._workspace.queue(queue(expert.card.name)).done(offer))
                if claim is not None:
                    attempt = _Attempt(self._workspace, self._files, expert, claim, self.name)
                    group.create_task(attempt.run())
        except* WorkspaceUnavailable as error:
            log.warning("%s: %s", expert.card.name, error.exceptions[0])

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


class _Attempt:
    """One claimed attempt while it runs."""

    def __init__(
        self, workspace: Workspace, files: Files, expert: Expert, claim: Claim, worker: str
    ) -> None:
        self._workspace = workspace
        self._files = files
        self._expert = expert
        self._claim = claim
        self._worker = worker
        self._progress: tuple[float, str] | None = None
        self._told = asyncio.Event()

    async def run(self) -> None:
        claim = self._claim
        work = asyncio.create_task(self._work(), name=f"{claim.run}/{claim.task}")
        watch = asyncio.create_task(self._watch(work))
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError:
            # The worker stops: the attempt is handed back at once instead of waiting for its lease.
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            await self._lost(ExpertFailed("the worker was stopped"))
            raise
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
        if not work.cancelled() and (error := work.exception()) is not None:
            raise error

    async def _work(self) -> None:
        claim, started = self._claim, time.monotonic()
        try:
            done = await self._call()
            value = _checked(done.value)
        except PointsmanError as error:
            await self._lost(error)
            return
        except Exception as error:
            # Border: whatever an expert raises is its failure, not the worker's.
            log.exception("%s failed on %s/%s", self._expert.card.name, claim.run, claim.task)
            await self._lost(
                ExpertFailed(f"{self._expert.card.name}: {type(error).__name__}: {error}")
            )
            return
        seconds = time.monotonic() - started
        usage = done.usage + Usage(calls=1, seconds=seconds)
        event = TaskDone(
            task=claim.task,
            attempt=claim.attempt,
            kind=kind_of(value),
            preview=preview(value),
            note=done.note,
            usage=usage.to_json(),
            seconds=seconds,
            at=time.time(),
            confidence=done.confidence,
        )
        try:
            await self._workspace.commit(claim, value, event)
        except (StaleAttempt, RunOver, RunNotFound) as error:
            log.info("late commit refused: %s", error)

    async def _call(self) -> Done:
        claim = self._claim
        loop = asyncio.get_running_loop()
        deadline = float(claim.call["deadline"])

        def progress(share: float, note: str) -> None:
            self._progress = (share, note)
            loop.call_soon_threadsafe(self._told.set)

        call = Call(
            capability=claim.call["capability"],
            arguments=claim.call["arguments"],
            files=self._files,
            deadline=deadline,
            run=claim.run,
            task=claim.task,
            attempt=claim.attempt,
            idempotency_key=f"{claim.run}/{claim.task}",
            progress=progress,
        )
        left = deadline - time.time()
        try:
            async with asyncio.timeout(left):
                return await self._expert.run(call)
        except TimeoutError:
            raise ExpertTimeout(self._expert.card.name, max(0.0, left)) from None

    async def _watch(self, work: asyncio.Task[None]) -> None:
        """Keeps the lease, tells progress, and stops the work when the run is cancelled or the lease lost."""
        claim = self._claim
        with self._workspace.wakeups.on(claim.run, CANCEL) as cancelled:
            while not work.done():
                told = asyncio.create_task(self._told.wait())
                stop = asyncio.create_task(cancelled.wait())
                try:
                    await asyncio.wait(
                        {told, stop}, timeout=LEASE / 3, return_when=asyncio.FIRST_COMPLETED
                    )
                finally:
                    told.cancel()
                    stop.cancel()
                self._told.clear()
                cancelled.clear()
                try:
                    await self._workspace.renew(claim, lease=LEASE, progress=self._progressed())
                except (StaleAttempt, RunOver, RunNotFound) as error:
                    log.info("stopping: %s", error)
                    work.cancel()
                    return
                except WorkspaceUnavailable as error:
                    log.warning("heartbeat: %s", error)
                await asyncio.sleep(PROGRESS)

    def _progressed(self) -> TaskProgressed | None:
        if self._progress is None:
            return None
        (share, note), self._progress = self._progress, None
        return TaskProgressed(
            self._claim.task, self._claim.attempt, max(0.0, min(1.0, share)), note, time.time()
        )

    async def _lost(self, error: PointsmanError) -> None:
        claim = self._claim
        event = TaskFailed(claim.task, claim.attempt, Fault.of(error), False, time.time())
        await self._workspace.lose(claim.run, event)


def _checked(value: Any) -> Any:
    """Raises ExpertFailed when a result cannot stand in a slot."""
    stack = [value]
    while stack:
        here = stack.pop()
        if isinstance(here, dict):
            stack.extend(here.values())
        elif isinstance(here, list):
            stack.extend(here)
        elif isinstance(here, float) and not math.isfinite(here):
            raise ExpertFailed("the result holds a number that is not finite")
        elif not (here is None or isinstance(here, str | int | float | bool)):
            raise ExpertFailed(f"the result holds a {type(here).__name__}, which is not JSON")
    return value
