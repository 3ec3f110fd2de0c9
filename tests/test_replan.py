"""A failed task is planned again without what failed; what is done is kept."""

from pathlib import Path

import pytest
from serving import ended, serving

from pointsman.experts.tools.functions import ToolExpert, capability
from pointsman.router.catalog import Catalog
from pointsman.router.errors import BadArguments, ExpertFailed
from pointsman.router.events import PhaseEntered, PlanProposed, TaskStarted
from pointsman.router.plan import Item, Loop, Plan, Ref, Task, TaskId, cone
from pointsman.router.planning.base import Proposal, Refusal, Request
from pointsman.router.run import Node, RunState
from pointsman.router.workspace import RunSpec, Workspace
from pointsman.workflows.replanning import merged

pytestmark = pytest.mark.anyio


@capability("test.read")
async def read(name: str) -> str:
    """Reads."""
    return f"text of {name}"


@capability("test.broken")
async def broken(text: str) -> str:
    """Fails."""
    raise ExpertFailed("it is broken")


@capability("test.refusing")
async def refusing(text: str) -> str:
    """Refuses."""
    raise BadArguments("that is no text")


@capability("test.sound")
async def sound(text: str) -> str:
    """Works."""
    return text.upper()


TOOLS = ToolExpert("tools", "tools", [read, broken, refusing, sound])


def t(id: str) -> TaskId:
    return TaskId(id)


class Resourceful:
    """Reads, then takes the first capability of its list that the catalog still has."""

    name = "resourceful"

    def __init__(self, *ways: str) -> None:
        self.ways = ways

    async def plan(self, request: Request, catalog: Catalog) -> Proposal:
        way = next((w for w in self.ways if w in catalog), None)
        if way is None:
            return Proposal(Refusal("no way is left"), 0.0)
        tasks = (
            Task(t("read"), "test.read", {"name": "a"}),
            Task(t("work"), way, {"text": Ref(t("read"))}),
        )
        return Proposal(Plan(tasks, answer=(t("work"),)), 1.0)


async def run(workspace: Workspace, url: str, folder: Path, *ways: str) -> tuple[str, list[object]]:
    async with serving(workspace, url, folder, [TOOLS], Resourceful(*ways)):
        id = (await ended(workspace, RunSpec("do it"))).id
    return id, [p.event for p in await workspace.history(id)]


async def test_another_way_is_taken_and_what_is_done_is_kept(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    id, events = await run(workspace, redis_url, tmp_path, "test.broken", "test.sound")
    record = await workspace.run(id)
    assert record.status == "done"
    assert record.answer is not None
    assert record.answer["parts"][0]["value"] == "TEXT OF A"
    started = [e.task for e in events if isinstance(e, TaskStarted)]
    assert started == ["read", "work", "work_v2"], "the reading is not done twice"
    assert [e.version for e in events if isinstance(e, PlanProposed)] == [1, 2]
    assert any("it is broken" in a for a in (record.plan or {})["assumptions"])


async def test_where_no_way_is_left_the_failure_is_told(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    id, events = await run(workspace, redis_url, tmp_path, "test.broken")
    record = await workspace.run(id)
    assert record.status == "failed"
    assert record.error is not None
    assert "it is broken" in record.error.message
    assert [e.phase for e in events if isinstance(e, PhaseEntered)].count("replan") == 1


async def test_the_callers_mistake_is_not_planned_around(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    id, events = await run(workspace, redis_url, tmp_path, "test.refusing", "test.sound")
    assert (await workspace.run(id)).status == "failed"
    assert all(e.phase != "replan" for e in events if isinstance(e, PhaseEntered))


def test_merging_follows_references_and_loops_to_the_ids_they_have_now() -> None:
    a, b = (
        Task(t("a"), "test.read", {"name": "x"}),
        Task(t("b"), "test.broken", {"text": Ref(t("a"))}),
    )
    nodes = {t("a"): Node(a, status="done"), t("b"): Node(b, status="failed")}
    state = RunState(plan=Plan((a, b), (t("b"),)), nodes=RunState().nodes.update(nodes))
    new = Plan(
        (
            Task(t("b"), "test.read", {"name": "x"}),
            Task(t("c"), "test.sound", {"text": Item()}, for_each=Loop(Ref(t("b")))),
            Task(t("d"), "test.sound", {"text": Ref(t("c"), ("0",))}, after=(t("b"),)),
        ),
        answer=(t("d"),),
    )
    plan = merged(state, new, 2)
    assert plan is not None
    assert [x.id for x in plan.tasks] == ["a", "c_v2", "d_v2"]
    assert plan.task(t("c_v2")).for_each == Loop(Ref(t("a")))
    assert plan.task(t("d_v2")).arguments == {"text": Ref(t("c_v2"), ("0",))}
    assert plan.task(t("d_v2")).after == (t("a"),)
    assert plan.answer == (t("d_v2"),)
    assert cone(plan, [t("a")]) == {"a", "c_v2", "d_v2"}


def test_a_plan_that_leaves_more_undone_is_not_taken() -> None:
    a = Task(t("a"), "test.broken", {})
    state = RunState(plan=Plan((a,), (t("a"),)), nodes=RunState().nodes.update({t("a"): Node(a)}))
    assert merged(state, Plan((), unserved=("all of it",)), 2) is None
