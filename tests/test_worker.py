"""How a worker carries out an offer: quick pure calls before their claim, all others after it."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from actors import events_of, until, working

from pointsman.experts.files import LocalFiles
from pointsman.experts.tools.functions import ToolExpert, capability
from pointsman.experts.worker import Worker
from pointsman.router.errors import StaleAttempt
from pointsman.router.events import RunId, TaskDone, TaskRouted, TaskStarted
from pointsman.router.plan import Plan, Task, TaskId
from pointsman.router.workspace import Claim, Owner, RunSpec, Workspace
from pointsman.router.workspace.keys import queue

pytestmark = pytest.mark.anyio

EXPERT = "e"
calls: list[tuple[str, int]] = []


@capability("t.quick")
async def quick(n: int) -> int:
    """Answers at once, but for 13: that takes its time."""
    calls.append(("quick", n))
    if n == 13:
        await asyncio.sleep(0.1)
    if n == 7:
        raise RuntimeError("seven")
    return n


@capability("t.ping", effect="once")
async def ping(n: int) -> int:
    """Has an effect."""
    calls.append(("ping", n))
    return n


def claims(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> list[TaskId]:
    """The tasks that are claimed on their own, as they come."""
    found: list[TaskId] = []
    claim: Callable[..., object] = workspace.claim

    async def noted(run: RunId, task: TaskId, *rest: object, **more: object) -> object:
        found.append(task)
        return await claim(run, task, *rest, **more)  # type: ignore[misc]

    monkeypatch.setattr(workspace, "claim", noted)
    calls.clear()
    return found


async def opened(workspace: Workspace, *tasks: Task) -> Owner:
    """A run with these tasks, each of them ready."""
    owner = await workspace.own(await workspace.create_run(RunSpec("x")), "c", lease=60)
    assert owner is not None
    await workspace.write_plan(owner, Plan(tasks, answer=(tasks[-1].id,)), 1)
    return owner


async def offered(workspace: Workspace, owner: Owner, task: Task, attempt: int = 1) -> None:
    route = {"expert": EXPERT, "reason": "", "cost": 0}
    call = {"capability": task.capability, "arguments": task.arguments, "deadline": 4e9}
    assert await workspace.route(owner, TaskRouted(task.id, attempt, route, 0.0), call)


async def result(workspace: Workspace, owner: Owner, task: Task) -> object:
    async def look() -> dict[str, object]:
        return dict(await workspace.slots(owner.run, [task.id]))

    return (await until(look))[task.id]


def tasks(capability: str, *numbers: int) -> list[Task]:
    return [Task(TaskId(f"n{n}"), capability, {"n": n}) for n in numbers]


async def test_once_a_call_is_known_as_quick_it_is_claimed_and_committed_in_one_act(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed = claims(workspace, monkeypatch)
    first, second = tasks("t.quick", 1, 2)
    owner = await opened(workspace, first, second)
    async with working(workspace, tmp_path, [ToolExpert(EXPERT, "", [quick])]):
        for task in (first, second):
            await offered(workspace, owner, task)
            await result(workspace, owner, task)
    assert claimed == ["n1"]
    assert calls == [("quick", 1), ("quick", 2)]
    started = await events_of(workspace, owner.run, TaskStarted)
    ended = await events_of(workspace, owner.run, TaskDone)
    assert [e.task for e in started] == [e.task for e in ended] == ["n1", "n2"]
    assert started[1].at <= ended[1].at
    assert await workspace.queue(queue(EXPERT)).length() == 0


@pytest.mark.parametrize("number", [13, 7])
async def test_a_call_that_is_not_quick_after_all_or_fails_is_claimed_and_not_done_twice(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    claimed = claims(workspace, monkeypatch)
    first, second = tasks("t.quick", 1, number)
    owner = await opened(workspace, first, second)
    async with working(workspace, tmp_path, [ToolExpert(EXPERT, "", [quick])]):
        await offered(workspace, owner, first)
        await result(workspace, owner, first)
        await offered(workspace, owner, second)

        async def settled() -> bool:
            status = (await workspace.snapshot(owner.run)).status[second.id]
            return status in ("done", "ready")  # ready: its attempt has failed

        await until(settled)
    assert claimed == ["n1", second.id]
    assert calls == [("quick", 1), ("quick", number)]


async def test_effects_are_claimed_first(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed = claims(workspace, monkeypatch)
    first, second = tasks("t.ping", 1, 2)
    owner = await opened(workspace, first, second)
    async with working(workspace, tmp_path, [ToolExpert(EXPERT, "", [ping])]):
        for task in (first, second):
            await offered(workspace, owner, task)
            await result(workspace, owner, task)
    assert claimed == ["n1", "n2"]


async def test_what_was_done_for_a_run_that_was_cancelled_meanwhile_is_void(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tasks("t.quick", 1, 2)
    owner = await opened(workspace, first, second)
    async with working(workspace, tmp_path, [ToolExpert(EXPERT, "", [quick])]):
        await offered(workspace, owner, first)
        await result(workspace, owner, first)
        await offered(workspace, owner, second)
        await workspace.cancel(owner.run, "enough")
        length = workspace.queue(queue(EXPERT)).length

        async def taken() -> bool:
            return await length() == 0

        await until(taken)
    done = [e.task for e in await events_of(workspace, owner.run, TaskDone)]
    status = (await workspace.snapshot(owner.run)).status[second.id]
    assert (second.id in done) == (status == "done")


async def test_an_offer_that_another_worker_had_is_claimed_first(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have died of it, and only what is claimed is counted."""
    monkeypatch.setattr("pointsman.experts.worker.RECLAIM", 0.05)
    claimed = claims(workspace, monkeypatch)
    [task] = tasks("t.quick", 1)
    owner = await opened(workspace, task)
    expert = ToolExpert(EXPERT, "", [quick])
    worker = Worker(workspace, LocalFiles(tmp_path), [expert])
    worker._seconds[EXPERT, "t.quick"] = 0.0
    await worker.announce()
    await offered(workspace, owner, task)
    assert len(await workspace.queue(queue(EXPERT)).take("one who dies", 1)) == 1
    serving = asyncio.create_task(worker.serve())
    try:
        await result(workspace, owner, task)
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    assert claimed == ["n1"]


async def test_one_act_is_refused_where_a_claim_would_be(workspace: Workspace) -> None:
    first, second = tasks("t.quick", 1, 2)
    owner = await opened(workspace, first, second)
    await offered(workspace, owner, first)
    held = await workspace.claim(owner.run, first.id, 1, worker="w", lease=60)
    with pytest.raises(StaleAttempt, match="running at attempt 1"):
        await workspace.perform(
            Claim(owner.run, first.id, 1, held.call), 1, TaskStarted(first.id, 1, "v", 0.0), done(1)
        )
    assert (await workspace.snapshot(owner.run)).status[first.id] == "running"


def done(n: int) -> TaskDone:
    return TaskDone(TaskId(f"n{n}"), 1, "number", str(n), "", {}, 0.0, 0.0)
