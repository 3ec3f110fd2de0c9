"""The parts of a Pointsman one by one, for tests in which some of them die, stop or are not there."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from serving import RefusingPlanner

from pointsman.experts.base import Expert
from pointsman.experts.files import LocalFiles
from pointsman.experts.worker import Worker
from pointsman.router.events import Event, RunId
from pointsman.router.plan import TaskId
from pointsman.router.workspace import Approval, Claim, RunRecord, Workspace, connect
from pointsman.router.workspace.keys import queue
from pointsman.workflows.checkpoint import RedisSaver
from pointsman.workflows.controller import ControllerGraph
from pointsman.workflows.policy import OPEN, Policy
from pointsman.workflows.serving import Controller

T = TypeVar("T")
E = TypeVar("E", bound=Event)
SECONDS = 20.0
"""How long a test waits for what must come."""


@contextlib.asynccontextmanager
async def controlling(
    workspace: Workspace, url: str, policy: Policy = OPEN
) -> AsyncIterator[Controller]:
    """A controller; when the block ends it is gone, and its runs with it."""
    saver = RedisSaver(connect(url, decode_responses=False))
    graph = ControllerGraph(workspace, RefusingPlanner(), saver, policy=policy)
    controller = Controller(workspace, graph)
    task = asyncio.create_task(controller.serve())
    try:
        yield controller
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await saver.aclose()


@contextlib.asynccontextmanager
async def working(
    workspace: Workspace, folder: Path, experts: Sequence[Expert]
) -> AsyncIterator[asyncio.Task[None]]:
    """A worker; it is stopped as by SIGTERM when the block ends."""
    worker = Worker(workspace, LocalFiles(folder), experts)
    await worker.announce()
    task = asyncio.create_task(worker.serve())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def announced(workspace: Workspace, folder: Path, experts: Sequence[Expert]) -> None:
    """The experts count as there, and nobody takes their tasks."""
    await Worker(workspace, LocalFiles(folder), experts).announce()


async def claimed_by_one_who_dies(
    workspace: Workspace, expert: str, *, lease: float = 0.1
) -> Claim:
    """A worker takes the expert's next offer, and is heard of no more."""
    offers = workspace.queue(queue(expert))
    async with asyncio.timeout(SECONDS):
        while not (taken := await offers.take("one who dies", 1, block_ms=1000)):
            pass
    fields = taken[0].fields
    claim = await workspace.claim(
        RunId(fields["run"]),
        TaskId(fields["task"]),
        int(fields["attempt"]),
        worker="one who dies",
        lease=lease,
    )
    await offers.done(taken[0])
    return claim


async def over(workspace: Workspace, run: RunId) -> RunRecord:
    """The record of a run once it has ended."""
    async with asyncio.timeout(SECONDS):
        async for _ in workspace.events(run):
            pass
    return await workspace.run(run)


async def first(workspace: Workspace, run: RunId, kind: type[E], *, task: str = "") -> E:
    """The first event of a kind, and of a task; waits for it."""
    async with asyncio.timeout(SECONDS):
        async for posted in workspace.events(run):
            event = posted.event
            if isinstance(event, kind) and task in ("", getattr(event, "task", "")):
                return event
    raise AssertionError(f"the run ended without {kind.__name__}")


async def pending(workspace: Workspace, run: RunId, count: int = 1) -> list[Approval]:
    """The requests that wait for a decision, once there are so many."""

    async def look() -> list[Approval]:
        found = [a for a in await workspace.approvals(run) if a.pending]
        return found if len(found) >= count else []

    return await until(look)


async def until(look: Callable[[], Awaitable[T]]) -> T:
    """What a look finds, once that is something."""
    async with asyncio.timeout(SECONDS):
        while True:
            found = await look()
            if found:
                return found
            await asyncio.sleep(0.02)


async def events_of(workspace: Workspace, run: RunId, kind: type[E]) -> list[E]:
    """All events of a kind so far."""
    return [p.event for p in await workspace.history(run) if isinstance(p.event, kind)]
