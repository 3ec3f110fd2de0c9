"""The gateway alone: python -m benchmarks.gateway.ours PORT_OF_THE_MODEL FOLDER [planned].

With `planned` a controller and a worker with echo experts run beside it, in the same process.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from pointsman.experts.base import EchoExpert
from pointsman.experts.files import LocalFiles
from pointsman.experts.worker import Worker
from pointsman.router.cards import ExpertCard
from pointsman.router.catalog import Capability, Catalog, Prior
from pointsman.router.planning.base import Proposal, Refusal, Request
from pointsman.router.planning.llm.settings import RemoteSettings
from pointsman.router.workspace import Workspace, connect
from pointsman.services.api.app import create_app
from pointsman.services.api.server import Server
from pointsman.services.embedded import EmbeddedRedis
from pointsman.workflows.checkpoint import RedisSaver
from pointsman.workflows.controller import ControllerGraph
from pointsman.workflows.serving import Controller


def echo() -> EchoExpert:
    """One capability that gives back what it is given."""
    parameters = {
        "type": "object",
        "properties": {"value": {"type": "object"}},
        "required": ["value"],
    }
    capability = Capability(
        name="echo.value",
        title="give back a value",
        description="Gives back what it is given.",
        parameters=parameters,
        output={"type": "object"},
        examples=("echo this",),
    )
    card = ExpertCard(
        name="echo",
        kind="tool",
        description="gives back what it is given",
        serves={"echo.value": Prior(1.0, 0, 0.001)},
        concurrency=64,
    )
    return EchoExpert(capability, card=card)


class NoPlanner:
    """Runs bring their plans."""

    name = "none"

    async def plan(self, request: Request, catalog: Catalog) -> Proposal:
        return Proposal(Refusal("the run has no plan", (), ""), 0.0)


@contextlib.asynccontextmanager
async def at_work(workspace: Workspace, url: str, folder: Path) -> AsyncIterator[None]:
    saver = RedisSaver(connect(url, decode_responses=False))
    worker = Worker(workspace, LocalFiles(folder), [echo()])
    await worker.announce()
    controller = Controller(workspace, ControllerGraph(workspace, NoPlanner(), saver))
    tasks = [asyncio.create_task(part.serve()) for part in (worker, controller)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await saver.aclose()


async def _serve(model: str, folder: Path, planned: bool) -> None:
    async with contextlib.AsyncExitStack() as stack:
        url = await stack.enter_async_context(EmbeddedRedis(folder / "redis"))
        workspace = Workspace(connect(url))
        stack.push_async_callback(workspace.close)
        if planned:
            await stack.enter_async_context(at_work(workspace, url, folder / "files"))
        expert = RemoteSettings("mock", base_url=f"http://127.0.0.1:{model}/v1")
        app = create_app(workspace, LocalFiles(folder / "files"), remotes={"mock": expert})
        server = Server(app)
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        print(server.address.rpartition(":")[2], flush=True)
        await asyncio.to_thread(sys.stdin.read)
        server.should_exit = True
        await serving


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve(sys.argv[1], Path(sys.argv[2]), "planned" in sys.argv[3:]))
