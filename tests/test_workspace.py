"""The workspace's promises, on a real Redis."""

import asyncio
import time

import pytest

from pointsman.router.cards import ExpertCard
from pointsman.router.catalog import Capability
from pointsman.router.errors import (
    RunNotFound,
    RunOver,
    SlotConflict,
    StaleAttempt,
    StaleOwner,
    WorkspaceError,
)
from pointsman.router.events import (
    Fault,
    PlanProposed,
    RunEnded,
    RunId,
    TaskDone,
    TaskFailed,
    TaskRouted,
    TaskSkipped,
)
from pointsman.router.plan import Plan, Ref, Task, TaskId
from pointsman.router.usage import Usage
from pointsman.router.workspace import Claim, Owner, RunSpec, Workspace
from pointsman.router.workspace.announcements import ALIVE

pytestmark = pytest.mark.anyio

A, B, C = TaskId("a"), TaskId("b"), TaskId("c")
DIAMOND = Plan(
    (
        Task(A, "test.echo"),
        Task(B, "test.echo"),
        Task(C, "test.echo", {"x": Ref(A), "y": Ref(B)}),
    ),
    answer=(C,),
)


async def planned(workspace: Workspace, plan: Plan = DIAMOND) -> Owner:
    run = await workspace.create_run(RunSpec("do it"))
    owner = await workspace.own(run, "me", lease=5)
    assert owner is not None
    await workspace.propose(owner, PlanProposed(plan.to_json(), 1, 0.0))
    assert await workspace.write_plan(owner, plan, 1)
    return owner


def routed(task: TaskId, attempt: int = 1) -> TaskRouted:
    return TaskRouted(task, attempt, {"expert": "e", "reason": "", "cost": 0}, 0.0)


def done(task: TaskId, attempt: int = 1) -> TaskDone:
    return TaskDone(task, attempt, "number", "1", "", Usage().to_json(), 0.0, 0.0)


async def claimed(workspace: Workspace, owner: Owner, task: TaskId, attempt: int = 1) -> Claim:
    assert await workspace.route(owner, routed(task, attempt), {"n": 1})
    return await workspace.claim(owner.run, task, attempt, worker="w", lease=5)


async def kinds(workspace: Workspace, run: RunId) -> list[tuple[str, str]]:
    return [(p.event.type, getattr(p.event, "task", "")) for p in await workspace.history(run)]


async def test_tasks_without_inputs_are_ready_in_the_act_that_writes_the_plan(
    workspace: Workspace,
) -> None:
    owner = await planned(workspace)
    assert (await kinds(workspace, owner.run))[1:] == [
        ("plan.proposed", ""),
        ("task.ready", "a"),
        ("task.ready", "b"),
    ]


async def test_a_task_is_ready_once_when_its_last_input_commits(workspace: Workspace) -> None:
    owner = await planned(workspace)
    first, second = await claimed(workspace, owner, A), await claimed(workspace, owner, B)
    await workspace.commit(first, 1, done(A))
    assert ("task.ready", "c") not in await kinds(workspace, owner.run)
    await workspace.commit(second, 2, done(B))
    assert (await kinds(workspace, owner.run)).count(("task.ready", "c")) == 1
    assert await workspace.slots(owner.run, ["a", "b"]) == {"a": 1, "b": 2}


async def test_late_commit_is_refused(workspace: Workspace) -> None:
    owner = await planned(workspace)
    slow = await claimed(workspace, owner, A)
    gone = TaskFailed("a", 1, Fault("expert.failed", "gone"), False, 0.0)
    assert await workspace.lose(owner.run, gone)
    quick = await claimed(workspace, owner, A, attempt=2)
    with pytest.raises(StaleAttempt):
        await workspace.commit(slow, "old", done(A))
    await workspace.commit(quick, "new", done(A, 2))
    with pytest.raises(StaleAttempt):
        await workspace.commit(quick, "another", done(A, 2))
    await workspace.commit(quick, "new", done(A, 2))  # its answer was lost: told again, nothing new
    assert (await kinds(workspace, owner.run)).count(("task.done", "a")) == 1
    assert await workspace.slot(owner.run, "a") == "new"


async def test_only_one_of_many_claims_of_an_offer_is_taken(workspace: Workspace) -> None:
    owner = await planned(workspace)
    assert await workspace.route(owner, routed(A), {})
    claims = await asyncio.gather(
        *(workspace.claim(owner.run, A, 1, worker=f"w{i}", lease=5) for i in range(20)),
        return_exceptions=True,
    )
    assert sum(isinstance(c, Claim) for c in claims) == 1
    assert sum(isinstance(c, StaleAttempt) for c in claims) == 19


async def test_an_attempt_is_opened_once(workspace: Workspace) -> None:
    owner = await planned(workspace)
    assert await workspace.route(owner, routed(A), {})
    assert not await workspace.route(owner, routed(A), {})
    assert not await workspace.route(owner, routed(C), {})  # its inputs are not there


async def test_after_a_cancel_nothing_starts_and_nothing_is_committed(workspace: Workspace) -> None:
    owner = await planned(workspace)
    claim = await claimed(workspace, owner, A)
    assert await workspace.route(owner, routed(B), {})
    await workspace.cancel(owner.run, "enough")
    with pytest.raises(StaleAttempt):
        await workspace.commit(claim, 1, done(A))
    with pytest.raises(StaleAttempt):
        await workspace.renew(claim, lease=5)
    with pytest.raises(StaleAttempt):
        await workspace.claim(owner.run, B, 1, worker="w", lease=5)


async def test_a_former_owner_is_refused_everywhere(workspace: Workspace) -> None:
    run = await workspace.create_run(RunSpec("x"))
    old = await workspace.own(run, "old", lease=0.01)
    assert old is not None
    await asyncio.sleep(0.05)
    assert await workspace.ownerless() == [run]
    new = await workspace.own(run, "new", lease=5)
    assert new is not None
    assert new.epoch == old.epoch + 1
    with pytest.raises(StaleOwner):
        await workspace.write_plan(old, DIAMOND, 1)
    with pytest.raises(StaleOwner):
        await workspace.keep(old, lease=5)
    with pytest.raises(StaleOwner):
        await workspace.finish(old, RunEnded("done", {}, 0.0, 0.0))
    assert await workspace.own(run, "third", lease=5) is None


async def test_settling_counts_dependants_down(workspace: Workspace) -> None:
    owner = await planned(workspace)
    await workspace.settle(owner, A, "skipped", TaskSkipped("a", "why", 0.0))
    await workspace.settle(owner, B, "skipped", TaskSkipped("b", "why", 0.0))
    assert not await workspace.settle(owner, B, "skipped", TaskSkipped("b", "again", 0.0))
    assert ("task.ready", "c") in await kinds(workspace, owner.run)


async def test_a_new_plan_keeps_what_is_done(workspace: Workspace) -> None:
    owner = await planned(workspace)
    await workspace.commit(await claimed(workspace, owner, A), 1, done(A))
    assert not await workspace.write_plan(owner, DIAMOND, 1)
    assert await workspace.write_plan(owner, DIAMOND, 2)
    ready = [t for k, t in await kinds(workspace, owner.run) if k == "task.ready"]
    assert ready == ["a", "b", "b"]
    await workspace.commit(await claimed(workspace, owner, B), 2, done(B))
    assert ("task.ready", "c") in await kinds(workspace, owner.run)


async def test_children_of_a_loop_are_made_once_and_ready(workspace: Workspace) -> None:
    owner = await planned(workspace)
    children = [TaskId("a[0]"), TaskId("a[1]")]
    assert await workspace.expand(owner, A, children)
    assert not await workspace.expand(owner, A, children)
    expanded = [k for k, _ in await kinds(workspace, owner.run) if k == "task.expanded"]
    assert expanded == ["task.expanded"]
    assert (await workspace.snapshot(owner.run)).status["a[1]"] == "ready"


async def test_watchers_see_every_event_once_and_can_resume(workspace: Workspace) -> None:
    owner = await planned(workspace)

    async def watch(after: str | None = None) -> list[str]:
        return [p.id async for p in workspace.events(owner.run, after=after)]

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0.05)
    for task in (A, B):
        await workspace.commit(await claimed(workspace, owner, task), 1, done(task))
    await workspace.finish(owner, RunEnded("done", {}, 0.0, time.time()))
    seen = await asyncio.wait_for(watching, 5)
    whole = [p.id for p in await workspace.history(owner.run)]
    assert seen == whole
    assert await watch(after=whole[4]) == whole[5:]
    assert await watch(after=whole[-1]) == []


async def test_a_run_that_has_ended_takes_nothing_more_and_expires_as_one(
    workspace: Workspace,
) -> None:
    owner = await planned(workspace)
    claim = await claimed(workspace, owner, A)
    await workspace.finish(owner, RunEnded("failed", {}, 0.0, time.time(), Fault("x", "y")))
    with pytest.raises(RunOver):
        await workspace.commit(claim, 1, done(A))
    with pytest.raises(RunOver):
        await workspace.cancel(owner.run, "late")
    record = await workspace.run(owner.run)
    assert (record.status, record.error) == ("failed", Fault("x", "y"))
    redis = workspace._redis
    keys = [k async for k in redis.scan_iter(f"pm:{{{owner.run}}}:*")]
    assert keys
    assert all([await redis.ttl(k) > 0 for k in keys])


async def test_slots_are_compared_and_set(workspace: Workspace) -> None:
    run = await workspace.create_run(RunSpec("x"))

    async def add() -> None:
        while True:
            found = await workspace.slots(run, ["n"])
            value = int(found.get("n", 0))  # type: ignore[arg-type]
            try:
                await workspace.write(run, "n", value + 1, expected=value)
            except SlotConflict:
                continue
            return

    await asyncio.gather(*(add() for _ in range(20)))
    assert await workspace.slot(run, "n") == 20


async def test_unknown_runs_and_missing_results_are_told_apart(workspace: Workspace) -> None:
    with pytest.raises(RunNotFound, match="run_nowhere"):
        await workspace.run("run_nowhere")
    with pytest.raises(RunNotFound):
        await workspace.cancel("run_nowhere", "x")
    with pytest.raises(RunNotFound):
        [e async for e in workspace.events("run_nowhere")]
    run = await workspace.create_run(RunSpec("x"))
    with pytest.raises(WorkspaceError, match="has no result"):
        await workspace.slot(run, "a")


async def test_runs_are_listed_newest_first_in_pages(workspace: Workspace) -> None:
    made = [await workspace.create_run(RunSpec(str(i))) for i in range(5)]
    first = await workspace.runs(limit=2)
    rest = await workspace.runs(limit=10, before=first[-1].id)
    assert [r.id for r in [*first, *rest]] == made[::-1]


async def test_experts_are_known_while_they_give_signs_of_life(workspace: Workspace) -> None:
    capability = Capability("test.echo", "Echoes.", {"type": "object"}, {})
    card = ExpertCard("echo", "tool", "echoes", {"test.echo": capability.prior})
    now = time.time()
    await workspace.announcements.announce("w1", card, [capability], now=now)
    await workspace.announcements.announce("w2", card, [capability], now=now)
    live = await workspace.experts()
    assert [(e.card, e.workers) for e in live] == [(card, 2)]
    catalog = await workspace.catalog()
    assert catalog["test.echo"] == capability
    assert await workspace.catalog() is catalog
    assert await workspace.announcements.experts(now=now + ALIVE + 1) == []
    await workspace.announcements.withdraw("w1", [card])
    await workspace.announcements.withdraw("w2", [card])
    assert await workspace.experts() == []
