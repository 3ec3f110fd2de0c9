"""How whole runs are dispatched: errors by their class, fairness, budgets, reruns, large values, streams."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from actors import (
    announced,
    claimed_by_one_who_dies,
    controlling,
    events_of,
    over,
    until,
)
from serving import ended, serving

from pointsman.experts.base import Call, Done
from pointsman.experts.tools.functions import ToolExpert, capability
from pointsman.router.catalog import Prior
from pointsman.router.errors import (
    BudgetExceeded,
    ExpertFailed,
    ExpertOverloaded,
    ExpertTimeout,
    NothingToRerun,
    RunNotFound,
    RunNotOver,
)
from pointsman.router.events import (
    Event,
    RunEnded,
    RunId,
    TaskDone,
    TaskFailed,
    TaskRouted,
    TaskStarted,
)
from pointsman.router.plan import Item, Loop, Plan, Ref, Task, TaskId
from pointsman.router.run import RunState, step
from pointsman.router.usage import Budget, Usage
from pointsman.router.workspace import Owner, RunSpec, Workspace, connect, keys
from pointsman.router.workspace.acts import FOCUS
from pointsman.router.workspace.artifacts import ArtifactLedger, Artifacts
from pointsman.workflows.dispatcher import WINDOW

pytestmark = pytest.mark.anyio
A, B, C, D = TaskId("a"), TaskId("b"), TaskId("c"), TaskId("d")
MANY = int(os.environ.get("POINTSMAN_DISPATCH_TASKS", "2000"))
ERRORS: list[Exception] = []
CALLS: list[str] = []


@capability("test.try")
async def try_(name: str, call: Call) -> str:
    """Tries."""
    CALLS.append(f"{call.task}#{call.attempt}")
    if ERRORS:
        raise ERRORS.pop(0)
    return f"{name} done"


@capability("test.numbers")
async def numbers(count: int) -> list[int]:
    """Counts."""
    return list(range(count))


@capability("test.add", prior=Prior(quality=0.9, cost=10))
async def add(x: int, y: int = 1) -> int:
    """Adds."""
    return x + y


@capability("test.dear", prior=Prior(quality=0.9, cost=10))
async def dear(x: int) -> Done:
    """Costs."""
    return Done(x, usage=Usage(cost=10))


@capability("test.join")
async def join(parts: list[str]) -> str:
    """Joins."""
    CALLS.append("join")
    return " ".join(parts)


@capability("test.long")
async def long(letter: str, count: int) -> str:
    """Writes much."""
    return letter * count


@capability("test.length")
async def length(text: str) -> int:
    """Measures."""
    return len(text)


TOOLS = ToolExpert(
    "tools", "for tests", [try_, numbers, add, dear, join, long, length], concurrency=4
)
TRYING = Plan((Task(A, "test.try", {"name": "a"}),), answer=(A,))


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    ERRORS.clear()
    CALLS.clear()
    yield
    ERRORS.clear()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A controller looks at leases often."""
    monkeypatch.setattr("pointsman.workflows.dispatcher.LOOK", 0.1)
    monkeypatch.setattr("pointsman.workflows.dispatcher.LEASE_SLACK", 0.0)


# --- errors by their class ------------------------------------------------------------------------


async def test_a_task_that_takes_its_workers_down_is_given_up(
    workspace: Workspace, redis_url: str, tmp_path: Path, quick: None
) -> None:
    await announced(workspace, tmp_path, [TOOLS])
    async with controlling(workspace, redis_url):
        run = await workspace.create_run(RunSpec("poison", plan=TRYING))
        for _ in range(3):
            await claimed_by_one_who_dies(workspace, "tools")
        record = await over(workspace, run)
    assert record.status == "failed"
    assert record.error is not None
    assert record.error.code == "expert.poison-task"
    assert "3 workers were lost" in record.error.message
    assert len(await events_of(workspace, run, TaskStarted)) == 3
    (letter,) = await workspace.dead_letters()
    assert (letter.run, letter.task, letter.capability) == (run, "a", "test.try")
    assert (letter.error.code, letter.attempts) == ("expert.poison-task", 3)
    assert letter.request == "poison"
    again = await workspace.rerun(letter.run, from_task=letter.task)  # once the cause is found
    async with serving(workspace, redis_url, tmp_path, [TOOLS]):
        assert (await over(workspace, again)).status == "done"
    assert await workspace.forget_dead_letter(run, "a")
    assert not await workspace.forget_dead_letter(run, "a")
    assert await workspace.dead_letters() == []


async def test_an_overloaded_expert_is_asked_again_when_it_said(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    ERRORS.append(ExpertOverloaded("tools", 0.4))
    async with serving(workspace, redis_url, tmp_path, [TOOLS]):
        record = await ended(workspace, RunSpec("x", plan=TRYING))
    assert record.status == "done"
    assert CALLS == ["a#1", "a#2"]
    first, second = await events_of(workspace, record.id, TaskRouted)
    assert first.route["expert"] == second.route["expert"] == "tools"
    (failed,) = await events_of(workspace, record.id, TaskFailed)
    assert second.at >= failed.at + 0.4
    assert await workspace.dead_letters() == []


async def test_after_a_timeout_the_same_expert_may_serve_it(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    ERRORS.extend([ExpertTimeout("tools", 1.0), ExpertTimeout("tools", 1.0)])
    async with serving(workspace, redis_url, tmp_path, [TOOLS]):
        record = await ended(workspace, RunSpec("x", plan=TRYING))
    assert record.status == "done"
    assert CALLS == ["a#1", "a#2", "a#3"]


async def test_attempts_are_counted_and_the_last_failure_is_the_reason(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    ERRORS.extend(ExpertTimeout("tools", float(n)) for n in range(1, 9))
    async with serving(workspace, redis_url, tmp_path, [TOOLS]):
        record = await ended(workspace, RunSpec("x", plan=TRYING))
    assert record.status == "failed"
    assert CALLS == ["a#1", "a#2", "a#3"]
    assert record.error is not None
    assert record.error.code == "expert.timeout"
    (letter,) = await workspace.dead_letters()
    assert letter.error.code == "expert.timeout"


async def test_after_a_plain_failure_the_runner_up_serves_it(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    ERRORS.append(ExpertFailed("out of order"))
    other = ToolExpert("other tools", "the same", [try_])
    async with serving(workspace, redis_url, tmp_path, [TOOLS, other]):
        record = await ended(workspace, RunSpec("x", plan=TRYING))
    assert record.status == "done"
    routed = [e.route["expert"] for e in await events_of(workspace, record.id, TaskRouted)]
    assert sorted(routed) == ["other tools", "tools"]


# --- again ----------------------------------------------------------------------------------------


CONE = Plan(
    (
        Task(A, "test.try", {"name": "a"}),
        Task(B, "test.try", {"name": "b"}),
        Task(C, "test.join", {"parts": [Ref(A), Ref(B)]}),
        Task(D, "test.try", {"name": Ref(B)}),
    ),
    answer=(C, D),
)


async def test_a_rerun_from_a_task_runs_its_cone_and_keeps_the_rest(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    async with serving(workspace, redis_url, tmp_path, [TOOLS]):
        record = await ended(workspace, RunSpec("x", plan=CONE))
        with pytest.raises(NothingToRerun, match="all of its tasks are done"):
            await workspace.rerun(record.id)
        with pytest.raises(NothingToRerun, match="no task 'z'"):
            await workspace.rerun(record.id, from_task="z")
        CALLS.clear()
        again = await workspace.rerun(record.id, from_task="a")
        repeated = await over(workspace, again)
    assert repeated.status == "done"
    assert CALLS == ["a#1", "join"]
    done = {e.task: e for e in await events_of(workspace, again, TaskDone)}
    assert {t: e.attempt for t, e in done.items()} == {"a": 1, "b": 0, "c": 1, "d": 0}
    assert done["b"].note == f"kept from {record.id}"
    names = ["a", "b", "c", "d"]
    assert await workspace.slots(again, names) == await workspace.slots(record.id, names)


async def test_a_rerun_of_a_failed_run_repeats_what_failed(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    plan = Plan(
        (
            Task(A, "test.add", {"x": 1}),
            Task(B, "test.try", {"name": "b"}, after=(A,)),
            Task(C, "test.add", {"x": Ref(A)}, after=(B,)),
        ),
        answer=(C,),
    )
    async with serving(workspace, redis_url, tmp_path, [TOOLS]):
        ERRORS.append(ExpertFailed("not today"))
        record = await ended(workspace, RunSpec("x", plan=plan))
        assert record.status == "failed"
        again = await workspace.rerun(record.id)
        repeated = await over(workspace, again)
    assert repeated.status == "done"
    assert [e.task for e in await events_of(workspace, again, TaskRouted)] == ["b", "c"]
    assert await workspace.slot(again, "c") == 3


async def test_only_what_has_lastcan_be_run_again(workspace: Workspace) -> None:
    run = await workspace.create_run(RunSpec("x"))
    with pytest.raises(RunNotOver):
        await workspace.rerun(run)
    with pytest.raises(RunNotFound):
        await workspace.rerun("run_nowhere")


# --- fairness -------------------------------------------------------------------------------------


def looping(count: int, capability: str = "test.add") -> Plan:
    each = Task(B, capability, {"x": Item()}, for_each=Loop(Ref(A), limit=count))
    return Plan((Task(A, "test.numbers", {"count": count}), each), answer=(B,))


async def test_a_small_run_beside_a_large_one_is_served_in_turn(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    small = Plan(tuple(Task(t, "test.add", {"x": 1}) for t in (A, B, C)), answer=(A,))
    async with serving(workspace, redis_url, tmp_path, [TOOLS]):
        large = await workspace.create_run(RunSpec("large", plan=looping(MANY)))

        async def under_way() -> bool:
            return len(await events_of(workspace, large, TaskDone)) > 20

        await until(under_way)
        await ended(workspace, RunSpec("small", plan=small))
        settled = (await workspace.snapshot(large)).status
        done_by_then = sum(s == "done" for t, s in settled.items() if t.startswith("b["))
        async with asyncio.timeout(300):
            async for _ in workspace.events(large):
                pass
    assert done_by_then < MANY / 2
    assert (await workspace.run(large)).status == "done"
    assert len(list(await workspace.slot(large, "b"))) == MANY  # type: ignore[arg-type]


async def test_a_run_has_only_so_many_tasks_with_the_experts(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    async with serving(workspace, redis_url, tmp_path, [TOOLS]):
        record = await ended(workspace, RunSpec("x", plan=looping(60)))
    away: set[str] = set()
    most = 0
    for event in await whole(workspace, record.id):
        if isinstance(event, TaskRouted):
            away.add(event.task)
        elif isinstance(event, TaskDone):
            away.discard(event.task)
        most = max(most, len(away))
    assert TOOLS.card.concurrency <= most <= WINDOW * TOOLS.card.concurrency


async def test_tenants_are_admitted_in_turn_and_by_weight(workspace: Workspace) -> None:
    for n in range(6):
        await workspace.create_run(RunSpec(f"crowd {n}", tenant="crowd"))
    for n in range(3):
        await workspace.create_run(RunSpec(f"single {n}", tenant="single"))
    for n in range(6):
        await workspace.create_run(RunSpec(f"heavy {n}", tenant="heavy", weight=2.0))
    taken = []
    while run := await workspace.admission.take(wait=0.05):
        taken.append((await workspace.run(run)).request.split()[0])
    assert len(taken) == 15
    assert [taken[:8].count(t) for t in ("crowd", "single", "heavy")] == [2, 2, 4]
    assert taken[-3:] == ["crowd"] * 3  # whoever sends most waits longest


# --- runs are made once, and found ----------------------------------------------------------------


async def test_an_idempotency_key_makes_one_run(workspace: Workspace) -> None:
    made = await asyncio.gather(
        *(workspace.create_run(RunSpec("x"), key="order 7") for _ in range(10))
    )
    assert len(set(made)) == 1
    assert await workspace.create_run(RunSpec("x"), key="order 8") != made[0]
    assert len(await workspace.runs()) == 2
    assert await workspace.admission.length() == 2


class Dies(Exception):
    """Where a gateway is killed."""


async def test_a_run_whose_maker_died_before_its_hash_is_dropped(
    workspace: Workspace, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pointsman.router.workspace.watching.UNSEEN", 0.0)
    with monkeypatch.context() as dying:
        dying.setattr(workspace, "_scripts", dies)
        with pytest.raises(Dies):
            await workspace.create_run(RunSpec("x"))
    (run,) = await workspace.ownerless()
    assert await workspace.runs() == []
    async with serving(workspace, redis_url, tmp_path, [TOOLS]):

        async def dropped() -> bool:
            return await workspace._redis.zscore(keys.ACTIVE, run) is None

        await until(dropped)


async def test_a_run_whose_maker_died_before_it_waited_is_found_and_runs(
    workspace: Workspace, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pointsman.router.workspace.watching.UNSEEN", 0.0)
    with monkeypatch.context() as dying:
        dying.setattr(workspace.admission, "put", dies)
        with pytest.raises(Dies):
            await workspace.create_run(RunSpec("x", plan=TRYING), key="order 9")
    (run,) = await workspace.ownerless()
    assert await workspace.create_run(RunSpec("x", plan=TRYING), key="order 9") == run
    async with serving(workspace, redis_url, tmp_path, [TOOLS]):
        assert (await over(workspace, run)).status == "done"
    assert CALLS == ["a#1"]
    assert [r.id for r in await workspace.runs()] == [run]


async def dies(*args: object, **kwargs: object) -> None:
    raise Dies


async def test_a_run_that_waits_is_not_taken_for_lost(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pointsman.router.workspace.watching.UNSEEN", 0.0)
    run = await workspace.create_run(RunSpec("x"))
    assert await workspace.ownerless() == []  # its place in the line will come
    assert await workspace.admission.take(wait=0.05) == run
    monkeypatch.setattr("pointsman.router.workspace.owning.LOOK_AGAIN", 0.0)
    waits = await workspace.create_run(RunSpec("y"))
    await workspace.admission.leave(waits)  # taken by one who died
    assert waits in await workspace.ownerless()


# --- budgets, attention, snapshots ----------------------------------------------------------------


async def planned(workspace: Workspace, count: int, budget: Budget) -> Owner:
    run = await workspace.create_run(RunSpec("x", budget=budget))
    owner = await workspace.own(run, "me", lease=60)
    assert owner is not None
    plan = Plan(tuple(Task(TaskId(f"t{n}"), "test.add", {"x": n}) for n in range(count)))
    assert await workspace.write_plan(owner, plan, 1)
    return owner


async def opened(workspace: Workspace, owner: Owner, task: str, cost: int) -> bool:
    event = TaskRouted(task, 1, {"expert": "e", "reason": "", "cost": cost}, 0.0)
    try:
        return await workspace.route(owner, event, {"capability": "test.add"})
    except BudgetExceeded:
        return False


async def test_what_attempts_may_cost_is_set_aside_in_the_act_that_opens_them(
    workspace: Workspace,
) -> None:
    owner = await planned(workspace, 10, Budget(cost=35))
    found = await asyncio.gather(*(opened(workspace, owner, f"t{n}", 10) for n in range(10)))
    assert sum(found) == 3
    budget = (await workspace.snapshot(owner.run)).budget
    assert (budget["held:cost"], budget["held:calls"], budget.get("spent:cost", 0)) == (30, 3, 0)
    claim = await workspace.claim(owner.run, TaskId("t0"), 1, worker="w", lease=60)
    usage = Usage(cost=4, calls=1).to_json()
    await workspace.commit(claim, 1, TaskDone("t0", 1, "number", "1", "", usage, 0.0, 0.0))
    budget = (await workspace.snapshot(owner.run)).budget
    assert (budget["held:cost"], budget["spent:cost"], budget["spent:calls"]) == (20, 4, 1)
    assert await opened(workspace, owner, "t8", 11)  # what was not used is free again
    assert not await opened(workspace, owner, "t9", 1)


async def test_a_budget_of_money_is_kept_by_a_whole_run(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    plan = looping(8, "test.dear")
    async with serving(workspace, redis_url, tmp_path, [TOOLS]):
        record = await ended(workspace, RunSpec("x", plan=plan, budget=Budget(cost=35)))
    budget = (await workspace.snapshot(record.id)).budget
    assert budget["held:cost"] == budget["held:calls"] == 0
    assert budget["spent:cost"] == 30
    value: Any = await workspace.slot(record.id, "b")
    assert sum(v is not None for v in value) == 3
    assert not [field for field in budget if field.startswith("open:")]


async def test_attention_is_bounded_and_the_answer_stays_in_it(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    count = FOCUS + 14
    tasks = [Task(TaskId(f"t{n}"), "test.add", {"x": n}) for n in range(count)]
    plan = Plan(tuple(tasks), answer=(TaskId("t0"), TaskId("t1")))
    async with serving(workspace, redis_url, tmp_path, [TOOLS]):
        record = await ended(workspace, RunSpec("x", plan=plan))
    focus = await workspace.focus(record.id)
    assert len(focus) == FOCUS
    assert set(list(focus)[:2]) == {"t0", "t1"}  # the most salient first
    assert focus["t0"] == 1
    names = [f"t{n}" for n in range(count)]
    assert (
        len(await workspace.slots(record.id, names)) == count
    )  # evicted from focus, not from storage


async def test_a_snapshot_is_of_one_moment(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    looked = []
    async with serving(workspace, redis_url, tmp_path, [TOOLS]):
        run = await workspace.create_run(RunSpec("x", plan=looping(150)))
        while not looked or looked[-1].record.ended is None:
            looked.append(await workspace.snapshot(run))
    assert len(looked) > 3
    state, left = RunState(), list(looked)
    for posted in await history(workspace, run):
        state, _ = step(state, posted.event)
        while left and left[0].newest == posted.id:
            now = left.pop(0)
            found = {t: n.status for t, n in state.nodes.items() if t in now.status}
            assert found == dict(now.status)
            done = {t for t, s in now.status.items() if s == "done"}
            assert set(now.results) == done == set(now.versions)
    assert left == []


# --- large values, streams ------------------------------------------------------------------------


async def test_large_values_stand_beside_redis_and_come_back(
    redis_url: str, tmp_path: Path
) -> None:
    redis = connect(redis_url)
    await redis.flushall()
    store = Artifacts(tmp_path / "artifacts", limit=1000)
    workspace = Workspace(redis, artifacts=ArtifactLedger(redis, store))
    plan = Plan(
        (
            Task(A, "test.long", {"letter": "ü", "count": 5000}),
            Task(B, "test.length", {"text": Ref(A)}),
            Task(C, "test.long", {"letter": "x", "count": 10}),
        ),
        answer=(A, B, C),
    )
    async with serving(workspace, redis_url, tmp_path, [TOOLS]):
        record = await ended(workspace, RunSpec("x", plan=plan))
    assert record.status == "done"
    texts: Any = await redis.hgetall(keys.part(record.id, "slots"))
    assert texts["a"].startswith("artifact:sha256:")
    assert texts["c"] == '"xxxxxxxxxx"'
    assert await workspace.slots(record.id, ["a", "b"]) == {"a": "ü" * 5000, "b": 5000}
    assert (await workspace.snapshot(record.id)).results["a"] == "ü" * 5000
    await workspace.close()


async def test_a_stream_that_is_cut_anywhere_loses_and_doubles_nothing(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    async with serving(workspace, redis_url, tmp_path, [TOOLS]):
        run = await workspace.create_run(RunSpec("x", plan=CONE))
        seen: list[str] = []
        last = False
        while not last:  # live: another connection for every event
            stream = workspace.events(run, after=seen[-1] if seen else None)
            posted = await anext(stream)
            await stream.aclose()
            seen.append(posted.id)
            last = isinstance(posted.event, RunEnded)
    ids = [p.id for p in await history(workspace, run)]
    assert seen == ids
    for index, id in enumerate(ids):  # and afterwards
        assert [p.id async for p in workspace.events(run, after=id)] == ids[index + 1 :]


async def history(workspace: Workspace, run: RunId) -> list[Any]:
    found: list[Any] = []
    while page := await workspace.history(run, after=found[-1].id if found else "0-0"):
        found.extend(page)
    return found


async def whole(workspace: Workspace, run: RunId) -> list[Event]:
    return [p.event for p in await history(workspace, run)]


async def test_a_burst_of_creations_is_taken(workspace: Workspace) -> None:
    made = await asyncio.gather(*(workspace.create_run(RunSpec("x")) for _ in range(400)))
    assert len(set(made)) == 400 == await workspace.admission.length()


async def test_an_expert_that_hangs_gives_way_to_the_runner_up(
    workspace: Workspace, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pointsman.router.routing.choice.LEAST_PATIENCE", 0.3)
    hanging, sound = asyncio.Event(), Prior(quality=0.5, latency=0.01)

    @capability("test.slow", prior=Prior(quality=0.9, latency=0.01))
    async def hangs() -> str:
        """Never ends."""
        await hanging.wait()
        return "late"

    @capability("test.slow", prior=sound)
    async def answers() -> str:
        """Ends."""
        return "in time"

    experts = [ToolExpert("hanging", "best", [hangs]), ToolExpert("sound", "less good", [answers])]
    plan = Plan((Task(A, "test.slow", {}),), answer=(A,))
    async with serving(workspace, redis_url, tmp_path, experts):
        record = await ended(workspace, RunSpec("x", plan=plan))
    assert record.status == "done"
    first, second = await events_of(workspace, record.id, TaskRouted)
    assert (first.route["expert"], second.route["expert"]) == ("hanging", "sound")
    assert first.route["patience"] == pytest.approx(0.3)
    assert second.route["patience"] is None  # whoever is asked next is let finish
    (failed,) = await events_of(workspace, record.id, TaskFailed)
    assert failed.error.code == "expert.timeout"
