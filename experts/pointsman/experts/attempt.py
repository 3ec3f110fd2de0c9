"""One claimed attempt: lease, ledger, call, commit.

The result goes through the fence of the attempt: when its lease was lost in between, the commit is refused
and nothing of it is seen. A cancelled run stops its calls at once. An effect outside goes through the
ledger: the intent is written before the call, the outcome with the commit. An intent without an outcome is
unknown: `keyed` effects go again under the same key, `once` effects never without a person.

A `pure` call that takes no longer than its claim may be done first, and then claimed and committed in one act:
the lease of a claim guards nothing that ends before it is written, and each act waits for the disk.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from pointsman.experts.base import Call, Done, Expert, Files, Reconciled, Reconciling
from pointsman.router.catalog import Effect
from pointsman.router.errors import (
    EffectUnknown,
    ExpertFailed,
    ExpertTimeout,
    PointsmanError,
    RunNotFound,
    RunOver,
    StaleAttempt,
    WorkerStopped,
    WorkspaceUnavailable,
)
from pointsman.router.events import Fault, TaskDone, TaskFailed, TaskProgressed, TaskStarted
from pointsman.router.preview import preview
from pointsman.router.usage import Usage
from pointsman.router.values import kind_of
from pointsman.router.workspace import Before, Claim, Workspace
from pointsman.router.workspace.keys import CANCEL

log = logging.getLogger(__name__)

LEASE = 15.0
"""Seconds for which a claimed attempt is ours without a sign of life."""
QUICK = 0.002
"""Seconds that a call is given before it is claimed."""
PROGRESS = 0.25
"""Seconds between two progress events of one attempt, at least."""
GRACE = 10.0
"""Seconds that an effect which is under way is given to end when its worker stops."""
RECONCILE_SECONDS = 20.0
AGAIN = (0.05, 0.2, 0.5, 1.0, 2.0, 3.0, 4.0)
"""Seconds between tries to tell a Redis that is away what has come of the attempt; the lease is longer."""
VOID = (StaleAttempt, RunOver, RunNotFound)
T = TypeVar("T")


class Place:
    """One of the calls that an expert can run at once; given back once, when the call is over."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places: asyncio.Semaphore | None = places

    def free(self) -> None:
        if self._places is not None:
            self._places.release()
            self._places = None


class Attempt:
    """Runs one claim to its end; or begins before the claim is made (`at_once`).

    seconds: how long the call took, once it has succeeded.
    """

    def __init__(
        self,
        workspace: Workspace,
        files: Files,
        expert: Expert,
        claim: Claim,
        worker: str,
        place: Place,
    ) -> None:
        self._workspace = workspace
        self._files = files
        self._expert = expert
        self._claim = claim
        self._worker = worker
        self._place = place
        self._progress: tuple[float, str] | None = None
        self._stirred = asyncio.Event()
        """Set when the run is cancelled, and when there is progress to tell."""
        name = claim.call["capability"]
        self._effect: Effect = _effect_of(expert, name)
        self._intended = False
        self._begun: asyncio.Task[Done] | None = None
        self.seconds = math.inf

    async def at_once(self) -> bool:
        """Does a quick pure call and commits it unclaimed. False: it is to be claimed, and then `run`.

        What was begun goes on meanwhile; `drop` ends it.
        """
        began, started = time.time(), time.monotonic()
        self._begun = asyncio.create_task(self._call())
        await asyncio.wait({self._begun}, timeout=QUICK)
        if not self._begun.done() or self._begun.exception() is not None:
            return False
        done = self._begun.result()
        try:
            value = _checked(done.value)
        except ExpertFailed:
            return False
        claim, self.seconds = self._claim, time.monotonic() - started
        self._place.free()
        start = TaskStarted(claim.task, claim.attempt, self._worker, began)
        event = self._event(done, value, self.seconds)
        await self._effective(lambda: self._workspace.perform(claim, value, start, event))
        return True

    async def drop(self) -> None:
        """Ends a call that was begun and is not wanted."""
        if self._begun is not None:
            self._begun.cancel()
            await asyncio.gather(self._begun, return_exceptions=True)

    async def run(self) -> None:
        claim = self._claim
        work = asyncio.create_task(self._work(), name=f"{claim.run}/{claim.task}")
        watch = asyncio.create_task(self._watch(work))
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError:
            await self._stop(work)
            raise
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
        if not work.cancelled() and (error := work.exception()) is not None:
            raise error

    async def _stop(self, work: asyncio.Task[None]) -> None:
        """The worker stops: an effect may end; any other call is handed back at once, without its lease."""
        if self._intended:
            await asyncio.wait({work}, timeout=GRACE)
        if work.done():
            return
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await self._lost(WorkerStopped())

    async def _work(self) -> None:
        started = time.monotonic()
        try:
            done = await self._done()
            value = _checked(done.value)
        except VOID as error:
            log.info("stopping: %s", error)
            return
        except WorkspaceUnavailable:
            raise
        except PointsmanError as error:
            await self._failed(error)
            return
        except Exception as error:
            # Border: whatever an expert raises is its failure, not the worker's.
            claim = self._claim
            log.exception("%s failed on %s/%s", self._expert.card.name, claim.run, claim.task)
            name = self._expert.card.name
            await self._failed(ExpertFailed(f"{name}: {type(error).__name__}: {error}"))
            return
        finally:
            self._place.free()
        self.seconds = time.monotonic() - started
        await self._commit(done, value, self.seconds)

    async def _commit(self, done: Done, value: Any, seconds: float) -> None:
        event = self._event(done, value, seconds)
        told = await self._effective(lambda: self._workspace.commit(self._claim, value, event))
        if self._intended and not told:  # nobody else knows that it has happened
            await self._note("done", "its attempt was superseded", value)

    async def _effective(self, commit: Callable[[], Awaitable[object]]) -> bool:
        """False when it came too late: then it is void."""
        try:
            await self._tell(commit)
        except VOID as error:
            log.info("late commit refused: %s", error)
            return False
        return True

    def _event(self, done: Done, value: Any, seconds: float) -> TaskDone:
        claim = self._claim
        usage = done.usage + Usage(calls=1, seconds=seconds)
        return TaskDone(
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

    # --- the call, and the ledger around it -----------------------------------------------------

    async def _done(self) -> Done:
        if self._effect not in ("keyed", "once"):
            return await (self._begun or self._call())
        before = await self._workspace.intend(self._claim, self._effect, self._worker)
        if before.answer == "done" and before.has_value:
            return Done(before.value, "done by an attempt before")
        if before.answer != "go":
            return await self._reconciled(before)
        self._intended = True
        return await self._call()

    async def _reconciled(self, before: Before) -> Done:
        """An attempt before this one began the effect. Raises EffectUnknown when only a person can tell."""
        found = await self._ask_tool(before.attempt)
        if found.outcome == "done":
            await self._note("done", "found by its tool", found.value, before.attempt)
            return Done(found.value, "had happened already, as its tool found")
        if found.outcome == "not-done" and before.answer == "unknown":
            await self._note("cleared", "found by its tool", None, before.attempt)
            again = await self._workspace.intend(self._claim, self._effect, self._worker)
            if again.answer == "go":
                self._intended = True
                return await self._call()
        raise EffectUnknown(
            self._claim.call["capability"],
            f"attempt {before.attempt} began it and its outcome was lost",
        )

    async def _failed(self, error: PointsmanError) -> None:
        """After an error a `once` effect may have happened, unless the error says that nothing was done."""
        if self._intended and error.nothing_done:
            await self._note("cleared", error.message)
        elif self._intended and self._effect == "once":
            await self._note("unknown", error.message)
            found = await self._ask_tool(self._claim.attempt)
            if found.outcome == "done":
                await self._commit(Done(found.value, "its tool found it done"), found.value, 0.0)
                return
            if found.outcome == "not-done":
                await self._note("cleared", "found by its tool")
            else:
                error = EffectUnknown(self._claim.call["capability"], error.message)
        await self._lost(error)

    async def _ask_tool(self, attempt: int) -> Reconciled:
        """What the tool knows of the effect that `attempt` began."""
        if not isinstance(self._expert, Reconciling):
            return Reconciled("unknown")
        try:
            async with asyncio.timeout(RECONCILE_SECONDS):
                return await self._expert.reconcile(replace(self._as_call(), attempt=attempt))
        except Exception:
            # Border: a tool that cannot find out does not know.
            log.exception("%s could not reconcile", self._expert.card.name)
            return Reconciled("unknown")

    async def _note(
        self, state: Any, note: str, value: Any = None, attempt: int | None = None
    ) -> None:
        begun = self._claim.attempt if attempt is None else attempt
        claim = self._claim
        await self._tell(
            lambda: self._workspace.note_effect(claim, begun, state, note[:300], value)
        )

    async def _call(self) -> Done:
        return await self._within(self._expert.run(self._as_call()))

    async def _within(self, work: Awaitable[T]) -> T:
        """Raises ExpertTimeout at the call's deadline."""
        left = float(self._claim.call["deadline"]) - time.time()
        try:
            async with asyncio.timeout(left):
                return await work
        except TimeoutError:
            raise ExpertTimeout(self._expert.card.name, max(0.0, left)) from None

    def _as_call(self) -> Call:
        claim = self._claim
        loop = asyncio.get_running_loop()

        def progress(share: float, note: str) -> None:
            self._progress = (share, note)
            loop.call_soon_threadsafe(self._stirred.set)

        return Call(
            capability=claim.call["capability"],
            arguments=claim.call["arguments"],
            files=self._files.of(claim.call.get("tenant", "default")),
            deadline=float(claim.call["deadline"]),
            run=claim.run,
            task=claim.task,
            attempt=claim.attempt,
            tenant=claim.call.get("tenant", "default"),
            progress=progress,
        )

    # --- the lease ------------------------------------------------------------------------------

    async def _watch(self, work: asyncio.Task[None]) -> None:
        """Keeps the lease, tells progress, and stops the work when the run is cancelled or the lease lost."""
        claim = self._claim
        with self._workspace.wakeups.on(claim.run, CANCEL) as self._stirred:
            while not work.done():
                with suppress(TimeoutError):
                    async with asyncio.timeout(LEASE / 3):
                        await self._stirred.wait()
                self._stirred.clear()
                try:
                    await self._workspace.renew(claim, lease=LEASE, progress=self._progressed())
                except VOID as error:
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
        await self._tell(lambda: self._workspace.lose(claim.run, event))

    async def _tell(self, act: Callable[[], Awaitable[object]]) -> None:
        """An act that may be repeated, until Redis has taken it. Raises WorkspaceUnavailable at last."""
        for wait in AGAIN:
            try:
                await act()
            except WorkspaceUnavailable as error:
                log.warning("%s/%s: %s; trying again", self._claim.run, self._claim.task, error)
                await asyncio.sleep(wait)
            else:
                return
        await act()


def _effect_of(expert: Expert, capability: str) -> Effect:
    for one in expert.capabilities:
        if one.name == capability:
            return one.effect
    return "once"


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
