"""Calls of an API in whole runs: a lost answer is never taken for "nothing happened"."""

from pathlib import Path
from typing import Any

import pytest
from actors import controlling, first, over, pending, working
from tool_apis import served

from pointsman.experts.tools.openapi.server import Faults
from pointsman.router.events import TaskFailed
from pointsman.router.plan import Plan, Task, TaskId
from pointsman.router.workspace import RunSpec, Workspace

pytestmark = pytest.mark.anyio
A = TaskId("a")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pointsman.workflows.dispatcher.LOOK", 0.1)
    monkeypatch.setattr("pointsman.workflows.dispatcher.BACKOFF", 0.01)


def calling(capability: str, **arguments: Any) -> RunSpec:
    return RunSpec("do it", plan=Plan((Task(A, capability, arguments),), answer=(A,)))


async def test_a_call_whose_answer_was_lost_is_not_made_again_unasked(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    async with (
        served(faults=Faults(1.0, "drop")) as (server, expert),
        controlling(workspace, redis_url),
        working(workspace, tmp_path, [expert]),
    ):
        run = await workspace.create_run(calling("shop.add_product", name="A"))
        (asked,) = await pending(workspace, run)
        assert asked.why == "unknown-effect"
        assert [s.key for s in server.seen] == ["POST /products"]
        server.faults = Faults()
        await workspace.decide(run, asked.id, "approved", digest=asked.digest, by="ana")
        assert (await over(workspace, run)).status == "done"
        assert len(server.seen) == 2


async def test_a_keyed_call_is_made_again_under_the_same_key(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    async with (
        served(faults=Faults(1.0, "503")) as (server, expert),
        controlling(workspace, redis_url),
        working(workspace, tmp_path, [expert]),
    ):
        run = await workspace.create_run(calling("shop.place_order", product=1, count=2))
        await first(workspace, run, TaskFailed)
        server.faults = Faults()
        assert (await over(workspace, run)).status == "done"
        assert len(server.seen) >= 2
        assert len({s.headers["idempotency-key"] for s in server.seen}) == 1


async def test_a_call_that_was_refused_has_done_nothing_and_asks_nobody(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    async with (
        served(faults=Faults(1.0, "422")) as (server, expert),
        controlling(workspace, redis_url),
        working(workspace, tmp_path, [expert]),
    ):
        run = await workspace.create_run(calling("shop.add_product", name="A"))
        assert (await over(workspace, run)).status == "failed"
        assert len(server.seen) == 1


async def test_a_server_that_asks_to_wait_is_asked_again_later(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    async with (
        served(faults=Faults(1.0, "429;retry-after=1")) as (server, expert),
        controlling(workspace, redis_url),
        working(workspace, tmp_path, [expert]),
    ):
        run = await workspace.create_run(calling("shop.add_product", name="A"))
        failed = await first(workspace, run, TaskFailed)
        assert failed.error.code == "expert.overloaded"
        server.faults = Faults()
        assert (await over(workspace, run)).status == "done"
        assert len(server.seen) == 2
