"""A controller is killed while its model writes the plan; another one goes on, and nothing is done twice."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from openai_server import OpenAIServer, Say

from pointsman.experts.files import LocalFiles
from pointsman.experts.tools.functions import ToolExpert, capability
from pointsman.experts.worker import Worker
from pointsman.router.events import PlanProposed, TaskDone, TaskStarted
from pointsman.router.planning.llm.planner import LLMPlanner
from pointsman.router.planning.llm.settings import RemoteSettings
from pointsman.router.workspace import RunSpec, Workspace, connect
from pointsman.router.workspace.fsck import fsck
from pointsman.workflows.checkpoint import RedisSaver
from pointsman.workflows.controller import ControllerGraph
from pointsman.workflows.serving import Controller

pytestmark = pytest.mark.anyio

CONTROLLER = """
import asyncio, sys
from pointsman.router.planning.llm.planner import LLMPlanner
from pointsman.router.planning.llm.settings import RemoteSettings
from pointsman.router.workspace import Workspace, connect
from pointsman.workflows.checkpoint import RedisSaver
from pointsman.workflows.controller import ControllerGraph
from pointsman.workflows.serving import Controller

async def main(redis, model):
    workspace = Workspace(connect(redis))
    planner = LLMPlanner(RemoteSettings("small", base_url=model))
    graph = ControllerGraph(workspace, planner, RedisSaver.at(redis))
    print("ready", flush=True)
    await Controller(workspace, graph).serve()

asyncio.run(main(*sys.argv[1:]))
"""
NAMES = ("ada", "bob", "cyd", "dan")


@contextlib.asynccontextmanager
async def controller(redis_url: str, model_url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A controller in a process of its own, which is there; dead at the end in any case."""
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CONTROLLER, redis_url, model_url, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert started.stdout is not None
        assert await asyncio.wait_for(started.stdout.readline(), 30) == b"ready\n"
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


async def stopped(*tasks: asyncio.Task[None] | None) -> None:
    running = [t for t in tasks if t is not None]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def test_a_kill_in_the_middle_of_a_plan_loses_nothing_and_repeats_nothing(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    called: list[str] = []

    @capability("test.greet")
    async def greet(name: str) -> str:
        """Greets."""
        called.append(name)
        return f"hello {name}"

    tasks = [
        {"id": n, "title": n, "capability": "test.greet", "arguments": {"name": n}} for n in NAMES
    ]
    text = json.dumps({"tasks": tasks, "answer": list(NAMES)})
    slow, quick = Say(text, pieces=4, pause=0.05), Say(text, pieces=4, pause=0.005)
    worker = Worker(workspace, LocalFiles(tmp_path), [ToolExpert("tools", "tools", [greet])])
    await worker.announce()
    working = asyncio.create_task(worker.serve())
    async with (
        OpenAIServer([slow, quick]) as server,
        controller(redis_url, server.url) as first,
    ):
        run = await workspace.create_run(RunSpec("greet everybody"))
        planner = LLMPlanner(RemoteSettings("small", base_url=server.url))
        saver = RedisSaver(connect(redis_url, decode_responses=False))
        second = Controller(workspace, ControllerGraph(workspace, planner, saver))
        serving: asyncio.Task[None] | None = None
        async with asyncio.timeout(40):
            async for posted in workspace.events(run):
                if isinstance(posted.event, TaskDone) and serving is None:
                    # one task is done, and the model writes on
                    first.send_signal(signal.SIGKILL)
                    serving = asyncio.create_task(second.serve())
        record = await workspace.run(run)
        events = [p.event for p in await workspace.history(run)]
        assert await fsck(workspace, run=run) == []
        assert await first.wait() == -signal.SIGKILL
        await stopped(working, serving)
        await planner.close()
    await saver.aclose()
    assert len(server.requests) == 2, "the plan was written anew"
    assert record.status == "done"
    assert sorted(called) == sorted(NAMES)
    assert sorted(e.task for e in events if isinstance(e, TaskStarted)) == sorted(NAMES)
    assert {e.version for e in events if isinstance(e, PlanProposed)} == {0, 1}
    assert record.usage.calls == len(NAMES)
