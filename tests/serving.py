"""A whole Pointsman without a gateway, for tests: real Redis, controller and worker, experts as given."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from pointsman.experts.base import Expert
from pointsman.experts.files import LocalFiles
from pointsman.experts.worker import Worker
from pointsman.router.catalog import Catalog
from pointsman.router.planning.base import Planner, Proposal, Refusal, Request
from pointsman.router.routing.predicting import Predictor
from pointsman.router.workspace import RunRecord, RunSpec, Workspace, connect
from pointsman.workflows.checkpoint import RedisSaver
from pointsman.workflows.controller import ControllerGraph
from pointsman.workflows.serving import Controller


class RefusingPlanner:
    """Plans nothing; runs bring their plans."""

    name = "refusing"

    async def plan(self, request: Request, catalog: Catalog) -> Proposal:
        refusal = Refusal("I cannot do that", ("count words",), "Which file?")
        return Proposal(refusal, 0.0)


@contextlib.asynccontextmanager
async def serving(
    workspace: Workspace,
    url: str,
    folder: Path,
    experts: Sequence[Expert],
    planner: Planner | None = None,
    predictor: Predictor | None = None,
) -> AsyncIterator[Controller]:
    saver = RedisSaver(connect(url, decode_responses=False))
    worker = Worker(workspace, LocalFiles(folder), experts)
    await worker.announce()
    planner = planner or RefusingPlanner()
    graph = ControllerGraph(workspace, planner, saver, predictor=predictor)
    controller = Controller(workspace, graph)
    tasks = [asyncio.create_task(s.serve()) for s in (worker, controller)]
    try:
        yield controller
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await saver.aclose()


async def ended(workspace: Workspace, spec: RunSpec, *, seconds: float = 20) -> RunRecord:
    """The record of a run that has ended."""
    run = await workspace.create_run(spec)
    async with asyncio.timeout(seconds):
        async for _ in workspace.events(run):
            pass
    return await workspace.run(run)
