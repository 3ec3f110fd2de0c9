"""Runs from creation to answer, on real parts; only the experts are made for the test."""

import asyncio
import time
from pathlib import Path

import pytest
from serving import ended, serving

from pointsman.experts.tools.functions import ToolExpert, capability
from pointsman.router.errors import BadArguments, ExpertFailed
from pointsman.router.events import TaskDone, TaskRouted, TaskStarted
from pointsman.router.plan import Condition, Item, Loop, Plan, Ref, Task, TaskId
from pointsman.router.usage import Budget
from pointsman.router.workspace import RunSpec, Workspace

pytestmark = pytest.mark.anyio


@capability("test.add", title="add")
def add(x: float, y: float = 0.0) -> float:
    """Adds."""
    return x + y


@capability("test.numbers")
def numbers(count: int) -> list[int]:
    """Counts."""
    return list(range(count))


@capability("test.sleep")
async def sleep(seconds: float) -> float:
    """Sleeps."""
    await asyncio.sleep(seconds)
    return seconds


@capability("test.refuse")
def refuse(x: float) -> float:
    """Takes no number."""
    raise BadArguments(f"{x} is too small; give a larger one")


@capability("test.break")
def break_(x: float) -> float:
    """Breaks."""
    raise ZeroDivisionError("by nought")


class Flaky(ToolExpert):
    """Serves test.add, and fails at it."""

    async def run(self, call):  # type: ignore[no-untyped-def]
        raise ExpertFailed("out of order")


TOOLS = ToolExpert("tools", "for tests", (add, numbers, sleep, refuse, break_), concurrency=16)


def t(id: str) -> TaskId:
    return TaskId(id)


async def run(workspace: Workspace, url: str, folder: Path, plan: Plan, **spec):  # type: ignore[no-untyped-def]
    async with serving(workspace, url, folder, [TOOLS]):
        return await ended(workspace, RunSpec("do it", plan=plan, **spec))


async def test_a_plan_runs_and_the_answer_shows_how(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    plan = Plan(
        (
            Task(t("a"), "test.add", {"x": 1, "y": 2}, title="add one and two"),
            Task(t("b"), "test.add", {"x": Ref(t("a")), "y": 10}),
        ),
        answer=(t("b"),),
    )
    record = await run(workspace, redis_url, tmp_path, plan)
    assert record.status == "done"
    assert record.answer is not None
    assert record.answer["parts"][0]["value"] == 13
    assert "**13**" in record.answer["text"]
    step = record.answer["steps"][0]
    assert (step["status"], step["expert"]) == ("done", "tools")
    assert "tools" in step["reason"]
    assert record.answer["usage"]["calls"] == 2


async def test_loops_conditions_and_order(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    plan = Plan(
        (
            Task(t("n"), "test.numbers", {"count": 4}),
            Task(t("each"), "test.add", {"x": Item(), "y": 100}, for_each=Loop(Ref(t("n")))),
            Task(t("none"), "test.numbers", {"count": 0}),
            Task(t("no"), "test.add", {"x": 1}, when=Condition(Ref(t("none")))),
            Task(t("after"), "test.add", {"x": 5}, after=(t("no"),)),
            Task(t("needs"), "test.add", {"x": Ref(t("no"))}),
        ),
        answer=(t("each"), t("after"), t("needs")),
    )
    record = await run(workspace, redis_url, tmp_path, plan)
    assert record.answer is not None
    values = {p["task"]: p["value"] for p in record.answer["parts"]}
    assert values == {"each": [100, 101, 102, 103], "after": 5}
    assert {s["task"]: s["status"] for s in record.answer["steps"]} == {
        "n": "done",
        "each": "done",
        "none": "done",
        "no": "skipped",
        "after": "done",
        "needs": "skipped",
    }


async def test_an_empty_loop_is_an_empty_list(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    plan = Plan(
        (
            Task(t("n"), "test.numbers", {"count": 0}),
            Task(t("each"), "test.add", {"x": Item()}, for_each=Loop(Ref(t("n")))),
        ),
        answer=(t("each"),),
    )
    record = await run(workspace, redis_url, tmp_path, plan)
    assert record.answer is not None
    assert record.answer["parts"][0]["value"] == []


async def test_a_loop_over_its_limit_fails_and_says_so(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    plan = Plan(
        (
            Task(t("n"), "test.numbers", {"count": 9}),
            Task(t("each"), "test.add", {"x": Item()}, for_each=Loop(Ref(t("n")), limit=5)),
        ),
        answer=(t("each"),),
    )
    record = await run(workspace, redis_url, tmp_path, plan)
    assert record.status == "failed"
    assert record.error is not None
    assert record.error.code == "plan.loop-too-long"


async def test_independent_tasks_run_side_by_side(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    plan = Plan(
        tuple(Task(t(f"s{i}"), "test.sleep", {"seconds": 0.3}) for i in range(5)),
        answer=(t("s0"),),
    )
    async with serving(workspace, redis_url, tmp_path, [TOOLS]):
        record = await ended(workspace, RunSpec("x", plan=plan))
    events = [p.event for p in await workspace.history(record.id)]
    started = [e.at for e in events if isinstance(e, TaskStarted)]
    finished = [e.at for e in events if isinstance(e, TaskDone)]
    assert max(started) < min(finished)


async def test_a_failing_expert_is_followed_by_the_runner_up(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    flaky = Flaky("a-better-one", "said to be better", (add,))
    flaky.card.serves["test.add"]  # it serves the same capability
    plan = Plan((Task(t("a"), "test.add", {"x": 1, "y": 1}),), answer=(t("a"),))
    async with serving(workspace, redis_url, tmp_path, [flaky, TOOLS]):
        record = await ended(workspace, RunSpec("x", plan=plan))
    events = [p.event for p in await workspace.history(record.id)]
    routes = [e.route["expert"] for e in events if isinstance(e, TaskRouted)]
    assert record.status == "done"
    assert routes[-1] == "tools"
    assert record.answer is not None
    assert record.answer["parts"][0]["value"] == 2


@pytest.mark.parametrize(
    ("capability", "code", "words"),
    [
        ("test.refuse", "expert.bad-arguments", "too small; give a larger one"),
        ("test.break", "expert.failed", "by nought"),
    ],
)
async def test_a_failed_task_fails_the_run_with_its_reason(
    workspace: Workspace,
    redis_url: str,
    tmp_path: Path,
    capability: str,
    code: str,
    words: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    plan = Plan(
        (
            Task(t("a"), capability, {"x": 1}),
            Task(t("b"), "test.add", {"x": Ref(t("a"))}),
        ),
        answer=(t("b"),),
    )
    record = await run(workspace, redis_url, tmp_path, plan)
    assert record.status == "failed"
    assert record.error is not None
    assert record.error.code == code
    assert words in record.error.message
    assert record.answer is not None
    assert words in record.answer["text"]


async def test_what_can_be_answered_is_answered_when_another_part_fails(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    plan = Plan(
        (Task(t("good"), "test.add", {"x": 3}), Task(t("bad"), "test.refuse", {"x": 1})),
        answer=(t("good"), t("bad")),
    )
    record = await run(workspace, redis_url, tmp_path, plan)
    assert record.status == "done"
    assert record.answer is not None
    assert [p["task"] for p in record.answer["parts"]] == ["good"]
    assert "too small" in record.answer["text"]


async def test_a_refusal_says_why_and_what_could_be_done(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    async with serving(workspace, redis_url, tmp_path, [TOOLS]):
        record = await ended(workspace, RunSpec("sing"))
    assert record.status == "refused"
    assert record.answer is not None
    assert "I cannot do that" in record.answer["text"]
    assert "Count words" in record.answer["text"]
    assert "Which file?" in record.answer["text"]


async def test_an_empty_request_is_refused(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    async with serving(workspace, redis_url, tmp_path, [TOOLS]):
        record = await ended(workspace, RunSpec("  \n "))
    assert (record.status, record.error and record.error.code) == ("refused", "request.empty")


async def test_a_plan_that_breaks_a_rule_fails_before_anything_runs(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    plan = Plan(
        (
            Task(t("a"), "test.add", {"x": Ref(t("b"))}),
            Task(t("b"), "test.add", {"x": Ref(t("a"))}),
        )
    )
    record = await run(workspace, redis_url, tmp_path, plan)
    assert record.status == "failed"
    assert record.error is not None
    assert record.error.code == "plan.cycle"
    events = [p.event.type for p in await workspace.history(record.id)]
    assert "task.routed" not in events


async def test_a_dry_run_shows_the_plan_and_runs_nothing(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    plan = Plan((Task(t("a"), "test.add", {"x": 1}),), answer=(t("a"),))
    record = await run(workspace, redis_url, tmp_path, plan, dry_run=True)
    assert record.status == "done"
    assert record.plan is not None
    events = [p.event.type for p in await workspace.history(record.id)]
    assert "plan.proposed" in events
    assert not [e for e in events if e.startswith("task.")]


async def test_a_budget_of_calls_is_kept(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    plan = Plan(
        (
            Task(t("n"), "test.numbers", {"count": 5}),
            Task(t("each"), "test.add", {"x": Item()}, for_each=Loop(Ref(t("n")))),
        ),
        answer=(t("each"),),
    )
    record = await run(workspace, redis_url, tmp_path, plan, budget=Budget(calls=3))
    events = [p.event for p in await workspace.history(record.id)]
    assert sum(isinstance(e, TaskRouted) for e in events) == 3
    assert record.answer is not None
    assert record.answer["parts"][0]["value"].count(None) == 3


async def test_a_cancelled_run_stops_its_calls_at_once(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    plan = Plan(
        (
            Task(t("slow"), "test.sleep", {"seconds": 30}),
            Task(t("then"), "test.add", {"x": Ref(t("slow"))}),
        ),
        answer=(t("then"),),
    )
    async with serving(workspace, redis_url, tmp_path, [TOOLS]):
        run = await workspace.create_run(RunSpec("x", plan=plan))
        async for posted in workspace.events(run):
            if isinstance(posted.event, TaskStarted):
                await workspace.cancel(run, "enough")
                cancelled = time.monotonic()
        took = time.monotonic() - cancelled
    record = await workspace.run(run)
    assert record.status == "cancelled"
    assert took < 2
    assert record.answer is not None
    assert [s["status"] for s in record.answer["steps"]] == ["cancelled", "cancelled"]


async def test_a_deadline_ends_a_run(workspace: Workspace, redis_url: str, tmp_path: Path) -> None:
    plan = Plan((Task(t("slow"), "test.sleep", {"seconds": 30}),), answer=(t("slow"),))
    record = await run(workspace, redis_url, tmp_path, plan, deadline=time.time() + 0.5)
    assert record.status in ("cancelled", "failed")
    assert record.answer is not None


async def test_another_controller_takes_over_when_the_owner_dies(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    plan = Plan(
        (
            Task(t("slow"), "test.sleep", {"seconds": 1}),
            Task(t("then"), "test.add", {"x": Ref(t("slow")), "y": 1}),
        ),
        answer=(t("then"),),
    )
    run = await workspace.create_run(RunSpec("x", plan=plan))
    dead = await workspace.own(run, "a controller that dies at once", lease=0.2)
    assert dead is not None
    async with serving(workspace, redis_url, tmp_path, [TOOLS]):
        async with asyncio.timeout(15):
            async for _ in workspace.events(run):
                pass
    record = await workspace.run(run)
    assert record.status == "done"
    assert record.answer is not None
    assert record.answer["parts"][0]["value"] == 2
