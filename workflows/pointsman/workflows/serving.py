"""A controller process: takes runs from the queue, holds each by a lease, and steps it to its end.

When a controller dies, its runs' leases end and another one takes them over, without a caller.
"""

import asyncio
import logging
import os
import secrets
import time
from contextlib import suppress

from pointsman.router.errors import (
    PointsmanError,
    RunNotFound,
    RunOver,
    StaleOwner,
    WorkspaceUnavailable,
)
from pointsman.router.events import RunId
from pointsman.router.workspace import Owner, Workspace
from pointsman.workflows.checkpoint import UNAVAILABLE, StaleCheckpoint
from pointsman.workflows.controller import ControllerGraph
from pointsman.workflows.dispatcher import Parked

log = logging.getLogger(__name__)

LEASE = 5.0
"""Seconds for which a run is ours without a sign of life."""
RUNS_AT_ONCE = 64
RETRY = 1.0
AWAY: tuple[type[Exception], ...] = (WorkspaceUnavailable, *UNAVAILABLE)


class Defect(PointsmanError):
    """Something that should not happen happened; the log has the details."""

    code = "controller.defect"


class Controller:
    """Runs until cancelled; runs that are under way are then given to another controller."""

    def __init__(self, workspace: Workspace, graph: ControllerGraph) -> None:
        self._workspace = workspace
        self._graph = graph
        self.name = f"{os.uname().nodename}-{os.getpid()}-{secrets.token_hex(3)}"
        self._free = asyncio.Semaphore(RUNS_AT_ONCE)
        self._mine: set[RunId] = set()
        self._called_back: set[RunId] = set()
        self._draining = asyncio.Event()

    @property
    def under_way(self) -> int:
        """How many runs are stepped here now."""
        return len(self._mine)

    async def serve(self) -> None:
        """Until `drain`: then it returns when the last of its runs has ended or is parked."""
        try:
            async with asyncio.TaskGroup() as group:
                taking = (
                    group.create_task(self._alive(group)),
                    group.create_task(self._take(group)),
                )
                await self._draining.wait()
                for task in taking:
                    task.cancel()
                await self._gone()
        finally:
            await self._gone()

    def drain(self) -> None:
        """Takes no run from now on; those that are under way go on."""
        self._draining.set()

    async def _gone(self) -> None:
        with suppress(WorkspaceUnavailable):
            await self._workspace.announcements.controller_gone(self.name)

    async def _take(self, group: asyncio.TaskGroup) -> None:
        while True:
            async with self._free:  # a place must be free before a run is taken
                pass
            try:
                run = await self._workspace.admission.take()
                if run is not None:
                    group.create_task(self._run(RunId(run)))
            except WorkspaceUnavailable as error:
                log.warning("taking runs: %s", error)
                await asyncio.sleep(RETRY)

    async def _alive(self, group: asyncio.TaskGroup) -> None:
        """Signs of life, and runs whose owners gave none."""
        while True:
            try:
                await self._workspace.announcements.controller_alive(self.name, now=time.time())
                for run in await self._workspace.ownerless():
                    group.create_task(self._run(run))
            except WorkspaceUnavailable as error:
                log.warning("controller: %s", error)
            await asyncio.sleep(LEASE / 2)

    async def _run(self, run: RunId) -> None:
        """Whoever dies here leaves the run on the watch list."""
        if run in self._mine:
            self._called_back.add(run)  # it may just be being parked
            return
        self._mine.add(run)
        try:
            async with self._free:
                over = False
                while not over or run in self._called_back:
                    self._called_back.discard(run)
                    over = await self._owned_and_stepped(run)
        finally:
            self._mine.discard(run)
            self._called_back.discard(run)

    async def _owned_and_stepped(self, run: RunId) -> bool:
        """False when Redis went away meanwhile: what was begun is taken up again under a new epoch."""
        try:
            owner = await self._own(run)
            if owner is not None:
                await self._step(owner)
        except AWAY as error:
            log.warning("%s: %s", run, error)
            await asyncio.sleep(RETRY)
            return False
        return True

    async def _own(self, run: RunId) -> Owner | None:
        try:
            return await self._workspace.own(run, self.name, lease=LEASE)
        except (RunOver, RunNotFound):
            await self._workspace.not_active(run)
            return None

    async def _step(self, owner: Owner) -> None:
        run = owner.run
        keeper = asyncio.create_task(self._keep(owner), name=f"lease of {run}")
        try:
            await self._graph.step(owner)
        except Parked:
            log.info("%s: waits for people", run)
        except (StaleOwner, StaleCheckpoint, RunOver) as error:
            log.info("%s: left to another controller: %s", run, error)
        except asyncio.CancelledError:
            await self._give_back(owner)
            raise
        except AWAY:
            raise
        except Exception:
            # Border: a defect in one run must not take the controller's other runs with it.
            log.exception("%s: a defect ends the run", run)
            await self._graph.abandon(owner, Defect("a defect of Pointsman stopped this run"))
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    async def _give_back(self, owner: Owner) -> None:
        """The lease ends now, so that another controller need not wait for its end."""
        with suppress(StaleOwner, RunOver, *AWAY):
            await self._workspace.keep(owner, lease=0.0)

    async def _keep(self, owner: Owner) -> None:
        while True:
            await asyncio.sleep(LEASE / 3)
            try:
                await self._workspace.keep(owner, lease=LEASE)
            except WorkspaceUnavailable as error:
                log.warning("%s: lease: %s", owner.run, error)
            except (StaleOwner, RunOver):
                return
