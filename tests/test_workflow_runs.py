"""Runs that follow a workflow: in its order, and nothing outside of it without a person, or at all."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from actors import events_of, over, pending, working

from pointsman.experts.tools.functions import ToolExpert, capability
from pointsman.router.catalog import Catalog
from pointsman.router.errors import ExpertFailed
from pointsman.router.events import ApprovalRequested, PlanProposed, TaskStarted
from pointsman.router.plan import Plan, Task, TaskId
from pointsman.router.planning.base import Planner, Proposal, Refusal, Request
from pointsman.router.planning.workflow_match import Workflow
from pointsman.router.planning.workflows.action_plan import parse_actions
from pointsman.router.workspace import RunSpec, Workspace, connect
from pointsman.workflows.checkpoint import RedisSaver
from pointsman.workflows.controller import ControllerGraph
from pointsman.workflows.serving import Controller

pytestmark = pytest.mark.anyio
DONE: list[str] = []


def tool(name: str, *, fails: bool = False):  # type: ignore[no-untyped-def]
    @capability(f"test.{name}")
    async def act() -> str:
        """Acts."""
        if fails:
            raise ExpertFailed("it is broken")
        DONE.append(name)
        return name

    return act


TOOLS = ToolExpert("tools", "t", [*map(tool, ("find", "check", "pay", "mail")), tool("broken", fails=True)])  # fmt: skip


@pytest.fixture(autouse=True)
def fresh() -> None:
    DONE.clear()


def workflow(outside: str, *steps: object) -> Workflow:
    actions = parse_actions({"steps": list(steps), "outside": outside})
    return Workflow("w", "w", "w", ("w",), {}, {}, actions)


def plan(*names: str, source: str = "workflow:w") -> Plan:
    """Tasks with nothing between them: only the workflow can ask for an order."""
    tasks = tuple(Task(TaskId(n), f"test.{n}") for n in names)
    return Plan(tasks, (TaskId(names[-1]),), source)


class InTurn:
    """Plans that are proposed one after the other."""

    name = "in turn"

    def __init__(self, *plans: Plan) -> None:
        self._plans = list(plans)

    async def plan(self, request: Request, catalog: Catalog) -> Proposal:
        return Proposal(self._plans.pop(0) if self._plans else Refusal("no more"), 1.0)


@contextlib.asynccontextmanager
async def following(
    workspace: Workspace, url: str, folder: Path, bound: Workflow, planner: Planner
) -> AsyncIterator[None]:
    saver = RedisSaver(connect(url, decode_responses=False))
    graph = ControllerGraph(workspace, planner, saver, library=[bound])
    serving = asyncio.create_task(Controller(workspace, graph).serve())
    try:
        async with working(workspace, folder, [TOOLS]):
            yield
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await saver.aclose()


async def test_tasks_run_in_the_order_of_the_workflow(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    bound = workflow("refuse", "test.find", "test.check", "test.pay")
    planner = InTurn(plan("pay", "check", "find"))
    async with following(workspace, redis_url, tmp_path, bound, planner):
        run = await workspace.create_run(RunSpec("do it"))
        assert (await over(workspace, run)).status == "done"
    assert DONE == ["find", "check", "pay"]


@pytest.mark.parametrize("decision", ["approved", "denied"])
async def test_a_task_outside_of_the_workflow_waits_for_a_person(
    workspace: Workspace, redis_url: str, tmp_path: Path, decision: str
) -> None:
    bound = workflow("ask", "test.find", "test.pay")
    planner = InTurn(plan("find", "mail", "pay"))
    async with following(workspace, redis_url, tmp_path, bound, planner):
        run = await workspace.create_run(RunSpec("do it", approve="never"))
        (asked,) = await pending(workspace, run)
        assert asked.task == "mail"
        assert "workflow 'w'" in asked.question
        await workspace.decide(run, asked.id, decision, digest=asked.digest, by="ann")  # type: ignore[arg-type]
        assert (await over(workspace, run)).status == "done"
    assert ("mail" in DONE) == (decision == "approved")


async def test_a_plan_outside_of_the_workflow_is_refused_before_anything_runs(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    bound = workflow("refuse", "test.find", "test.pay")
    async with following(
        workspace, redis_url, tmp_path, bound, InTurn(plan("find", "mail", "pay"))
    ):
        run = await workspace.create_run(RunSpec("do it"))
        record = await over(workspace, run)
    assert record.status in ("failed", "refused")
    assert DONE == []
    assert await events_of(workspace, run, TaskStarted) == []


async def test_what_is_planned_anew_is_still_bound(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    """The second plan comes from a planner that knows nothing of workflows: its mail is asked about."""
    bound = workflow("ask", "test.find", {"any_of": ["test.broken", "test.pay"]})
    planner = InTurn(plan("find", "broken"), plan("find", "pay", "mail", source="embedded"))
    async with following(workspace, redis_url, tmp_path, bound, planner):
        run = await workspace.create_run(RunSpec("do it"))
        (asked,) = await pending(workspace, run)
        assert asked.capability == "test.mail"
        await workspace.decide(run, asked.id, "approved", digest=asked.digest, by="ann")
        record = await over(workspace, run)
    assert record.status == "done"
    assert DONE == ["find", "pay", "mail"]
    proposed = await events_of(workspace, run, PlanProposed)
    assert [p.plan["source"] for p in proposed] == ["workflow:w", "workflow:w"]
    assert len(await events_of(workspace, run, ApprovalRequested)) == 1
