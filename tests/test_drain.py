"""Roles that are told to stop: they take nothing new, end what they have, and give back the rest at once."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from actors import controlling, events_of, first, over, until
from serving import RefusingPlanner, serving

from pointsman.experts.files import LocalFiles
from pointsman.experts.tools.functions import ToolExpert, capability
from pointsman.experts.worker import Worker
from pointsman.router.catalog import Catalog
from pointsman.router.events import TaskStarted
from pointsman.router.plan import Plan, Task, TaskId
from pointsman.router.planning.base import Proposal, Request
from pointsman.router.workspace import RunSpec, Workspace, connect
from pointsman.services.api.app import create_app
from pointsman.services.api.server import Server
from pointsman.services.readiness import Readiness

pytestmark = pytest.mark.anyio

NAP = 0.6


@capability("t.nap")
async def nap(seconds: float) -> float:
    """Takes its time."""
    await asyncio.sleep(seconds)
    return seconds


def expert() -> ToolExpert:
    return ToolExpert("sleeper", "sleeps", [nap], concurrency=4)


def plan(seconds: float) -> Plan:
    id = TaskId("a")
    return Plan((Task(id, "t.nap", {"seconds": seconds}),), answer=(id,))


async def test_a_worker_that_drains_ends_its_calls_and_leaves_new_ones_to_others(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    own = Workspace(connect(redis_url))
    old = Worker(own, LocalFiles(tmp_path), [expert()])
    new = Worker(workspace, LocalFiles(tmp_path), [expert()])
    async with controlling(workspace, redis_url):
        await old.announce()
        leaving = asyncio.create_task(old.serve())
        begun = await workspace.create_run(RunSpec("x", plan=plan(NAP)))
        assert (await first(workspace, begun, TaskStarted)).worker == old.name
        old.drain()
        await new.announce()
        staying = asyncio.create_task(new.serve())
        later = await workspace.create_run(RunSpec("x", plan=plan(0.0)))
        started = time.monotonic()
        assert (await over(workspace, later)).status == "done"
        assert time.monotonic() - started < 4, "the offer went to a worker that reads no more"
        async with asyncio.timeout(5):
            await leaving
        assert (await over(workspace, begun)).status == "done"
        assert [s.worker for s in await events_of(workspace, begun, TaskStarted)] == [old.name]
        assert [s.worker for s in await events_of(workspace, later, TaskStarted)] == [new.name]
        staying.cancel()
        await asyncio.gather(staying, return_exceptions=True)
    await own.close()


async def test_a_controller_that_drains_takes_no_run_and_ends_those_it_has(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    async with serving(workspace, redis_url, tmp_path, [expert()]) as controller:
        begun = await workspace.create_run(RunSpec("x", plan=plan(NAP)))
        await first(workspace, begun, TaskStarted)
        controller.drain()
        later = await workspace.create_run(RunSpec("x", plan=plan(0.0)))
        assert (await over(workspace, begun)).status == "done"
        assert await workspace.controllers() == []
        assert (await workspace.run(later)).status == "queued"
        async with controlling(workspace, redis_url):
            assert (await over(workspace, later)).status == "done"


async def test_a_controller_that_is_stopped_gives_its_runs_back_at_once(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    async with serving(workspace, redis_url, tmp_path, [expert()]):
        begun = await workspace.create_run(RunSpec("x", plan=plan(30.0)))
        await first(workspace, begun, TaskStarted)
    assert await workspace.ownerless() == [begun], "its lease still holds the run"
    assert await workspace.own(begun, "another", lease=5) is not None


async def test_readiness_says_what_is_missing(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    worker = Worker(workspace, LocalFiles(tmp_path), [expert()])
    here = Readiness(frozenset({"worker"}))
    assert await here.checks() == {"server": "starting"}
    here.workspace = workspace
    assert await here.checks() == {"workspace": "ok", "worker": "starting"}
    here.worker = worker
    assert (await here.checks())["worker"] == "not announced: sleeper"
    await worker.announce()
    assert await here.checks() == {"workspace": "ok", "worker": "ok"}
    other = Worker(workspace, LocalFiles(tmp_path), [expert()])
    here.worker = other
    assert (await here.checks())["worker"] == "not announced: sleeper", "another one announced it"
    here.stopping = True
    assert await here.checks() == {"server": "stopping"}


class SlowPlanner(RefusingPlanner):
    async def plan(self, request: Request, catalog: Catalog) -> Proposal:
        await asyncio.sleep(NAP)
        return await super().plan(request, catalog)


@asynccontextmanager
async def gateway(workspace: Workspace, folder: Path) -> AsyncIterator[Server]:
    server = Server(create_app(workspace, LocalFiles(folder)))
    task = asyncio.create_task(server.serve())

    async def up() -> bool:
        return server.started

    await until(up)
    try:
        yield server
    finally:
        server.should_exit = True
        await task


async def test_a_gateway_that_leaves_ends_event_streams_and_answers_what_cannot_be_resumed(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    async with (
        serving(workspace, redis_url, tmp_path, [expert()], SlowPlanner()),
        gateway(workspace, tmp_path) as server,
        httpx.AsyncClient(base_url=server.address, timeout=20) as http,
    ):
        run = await workspace.create_run(RunSpec("x", plan=plan(30.0)))
        question = {"model": "pointsman", "messages": [{"role": "user", "content": "hello"}]}
        chat = asyncio.create_task(http.post("/v1/chat/completions", json=question))
        async with http.stream("GET", f"/v1/runs/{run}/events") as events:
            lines = events.aiter_lines()
            await anext(lines)

            async def asked() -> bool:
                return len(await workspace.runs()) == 2

            await until(asked)
            server.leave(10)
            rest = [line async for line in lines]
        assert not chat.done(), "the stream was to end before the answer was there"
        assert not any("run.ended" in line for line in rest)
        answer = await chat
        assert answer.status_code == 200, answer.text
        with pytest.raises(httpx.ConnectError):
            await http.get("/livez", headers={"Connection": "close"})
