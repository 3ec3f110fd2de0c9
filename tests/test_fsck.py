"""fsck finds what is damaged on purpose, exactly that, and nothing on a sound server under load."""

import asyncio
import json
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from actors import over, pending, working
from serving import serving

from pointsman.experts.base import Call
from pointsman.experts.tools.functions import ToolExpert, capability
from pointsman.router.errors import RunNotFound
from pointsman.router.events import (
    ApprovalDecided,
    CancelRequested,
    Event,
    Fault,
    PlanProposed,
    RunEnded,
    RunId,
    TaskDone,
    TaskFailed,
    TaskReady,
    TaskRouted,
    TaskSkipped,
    encode,
)
from pointsman.router.plan import Item, Loop, Plan, Ref, Task, TaskId
from pointsman.router.usage import Budget, Usage
from pointsman.router.workspace import Claim, Owner, RunSpec, Workspace, connect, keys
from pointsman.router.workspace.acts import FOCUS
from pointsman.router.workspace.approvals import request_for
from pointsman.router.workspace.artifacts import ArtifactLedger, Artifacts
from pointsman.router.workspace.findings import CHECKS, Finding
from pointsman.router.workspace.fsck import fsck

pytestmark = pytest.mark.anyio

NAMES = ("done", "running", "queued", "waiting", "held", "skipped", "ready", "loop", "paid")
READS = {"waiting": ("running", "queued")}
PLAN = Plan(
    tuple(
        Task(TaskId(n), "test.do", after=tuple(TaskId(i) for i in READS.get(n, ()))) for n in NAMES
    ),
    answer=(TaskId("waiting"),),
)
HOUR = 3600.0


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pointsman.router.workspace.fsck.SECOND_LOOK", 0.0)


def t(id: str) -> TaskId:
    return TaskId(id)


def finished(task: str, attempt: int = 1) -> TaskDone:
    return TaskDone(task, attempt, "number", "1", "", Usage(cost=3).to_json(), 0.0, time.time())


async def claimed(workspace: Workspace, owner: Owner, task: str) -> Claim:
    event = TaskRouted(task, 1, {"expert": "e", "reason": "", "cost": 5}, time.time())
    assert await workspace.route(owner, event, {"capability": "test.do", "salience": 1.0})
    return await workspace.claim(owner.run, t(task), 1, worker="w", lease=HOUR)


@pytest.fixture
async def run(workspace: Workspace) -> RunId:
    """A sound run under way, with a task in every status."""
    made = await workspace.create_run(RunSpec("x", budget=Budget(cost=1000, calls=20)))
    owner = await workspace.own(made, "me", lease=HOUR)
    assert owner is not None
    await workspace.propose(owner, PlanProposed(PLAN.to_json(), 1, time.time()))
    assert await workspace.write_plan(owner, PLAN, 1)
    await workspace.commit(await claimed(workspace, owner, "done"), 1, finished("done"))
    await claimed(workspace, owner, "running")
    paid = await claimed(workspace, owner, "paid")
    assert (await workspace.intend(paid, "once", "w")).answer == "go"
    await workspace.commit(paid, 2, finished("paid"))
    event = TaskRouted("queued", 1, {"expert": "e", "reason": "", "cost": 5}, time.time())
    assert await workspace.route(owner, event, {"capability": "test.do"})
    asked = request_for(
        t("held"), "test.do", {}, why="marked", question="?", now=time.time(), seconds=HOUR
    )
    assert await workspace.hold(owner, asked)
    await workspace.settle(owner, t("skipped"), "skipped", TaskSkipped("skipped", "", time.time()))
    assert await workspace.expand(owner, t("loop"), [t("loop[0]"), t("loop[1]")])
    await workspace.commit(await claimed(workspace, owner, "loop[0]"), 3, finished("loop[0]"))
    await workspace.write(made, "notes", "mine", expected=0)
    return made


@pytest.fixture
async def ended(workspace: Workspace, run: RunId) -> RunId:
    """The same run, once it has failed."""
    epoch = int((await raw(workspace, run, "HGET", "run", "epoch")) or 0)
    owner = Owner(run, "me", epoch)
    for task in ("running", "queued", "waiting", "held", "ready", "loop[1]", "loop"):
        failed = TaskFailed(task, 0, Fault("x", "y"), True, time.time())
        assert await workspace.settle(owner, t(task), "failed", failed)
    await workspace.finish(owner, RunEnded("failed", {}, 0.0, time.time(), Fault("x", "y")))
    return run


async def raw(workspace: Workspace, run: str, command: str, part: str, *args: Any) -> Any:
    return await workspace._redis.execute_command(command, keys.part(run, part), *args)


async def post(workspace: Workspace, run: str, event: Event) -> None:
    await raw(workspace, run, "XADD", "bus", "*", "e", encode(event))


def told(found: list[Finding]) -> set[tuple[str, str]]:
    return {(f.rule, f.task) for f in found}


async def test_a_sound_run_has_nothing_wrong(workspace: Workspace, run: RunId) -> None:
    assert await fsck(workspace) == []
    assert await fsck(workspace, run=run) == []


async def test_a_sound_run_that_has_ended_has_nothing_wrong(
    workspace: Workspace, ended: RunId
) -> None:
    assert await fsck(workspace) == []


async def test_a_run_that_is_not_there_cannot_be_checked(workspace: Workspace) -> None:
    with pytest.raises(RunNotFound):
        await fsck(workspace, run="run_nowhere")


# --- damages to a run under way -------------------------------------------------------------------

Damage = Callable[[Workspace, str], Awaitable[Any]]


def does(command: str, part: str, *args: Any) -> Damage:
    async def damage(workspace: Workspace, run: str) -> None:
        await raw(workspace, run, command, part, *args)

    return damage


def posts(event: Event) -> Damage:
    async def damage(workspace: Workspace, run: str) -> None:
        await post(workspace, run, event)

    return damage


def both(*damages: Damage) -> Damage:
    async def damage(workspace: Workspace, run: str) -> None:
        for one in damages:
            await one(workspace, run)

    return damage


async def asked_twice(workspace: Workspace, run: str) -> None:
    (id, text), *_ = (await workspace._redis.hgetall(keys.part(run, "approvals"))).items()
    await raw(workspace, run, "HSET", "approvals", f"{id}x", text)


async def decided_unseen(workspace: Workspace, run: str) -> None:
    (id, text), *_ = (await workspace._redis.hgetall(keys.part(run, "approvals"))).items()
    entry = {**json.loads(text), "decision": "approved", "by": "nobody"}
    await raw(workspace, run, "HSET", "approvals", id, json.dumps(entry))


async def undecided_for_long(workspace: Workspace, run: str) -> None:
    (id, text), *_ = (await workspace._redis.hgetall(keys.part(run, "approvals"))).items()
    entry = {**json.loads(text), "expires": time.time() - HOUR}
    await raw(workspace, run, "HSET", "approvals", id, json.dumps(entry))


def ledger(task: str, **change: Any) -> Damage:
    async def damage(workspace: Workspace, run: str) -> None:
        text = await raw(workspace, run, "HGET", "effects", "paid/0")
        entry = {**json.loads(text), **change}
        await raw(workspace, run, "HSET", "effects", f"{task}/0", json.dumps(entry))

    return damage


async def crowded(workspace: Workspace, run: str) -> None:
    """More results in focus than there may be."""
    for n in range(FOCUS):
        task = f"k{n}"
        await raw(workspace, run, "HSET", "status", task, "done")
        await raw(workspace, run, "HSET", "attempt", task, 0)
        await raw(workspace, run, "HSET", "slots", task, "1")
        await raw(workspace, run, "HSET", "versions", task, 1)
        await raw(workspace, run, "ZADD", "focus", 0, task)
        await post(workspace, run, finished(task, 0))


async def lost_offer(workspace: Workspace, run: str) -> None:
    await workspace._redis.delete(keys.queue("e"))


async def forgotten(workspace: Workspace, run: str) -> None:
    await raw(workspace, run, "HSET", "run", "owner", "")
    await workspace._redis.zrem(keys.ACTIVE, run)


async def overdue(workspace: Workspace, run: str) -> None:
    await raw(workspace, run, "HSET", "run", "lease", time.time() - HOUR)
    await workspace._redis.zadd(keys.ACTIVE, {run: time.time() - HOUR})


async def left_waiting(workspace: Workspace, run: str) -> None:
    await raw(
        workspace,
        run,
        "HSET",
        "run",
        "owner",
        "",
        "status",
        "queued",
        "created",
        time.time() - HOUR,
    )
    await workspace.admission.put(run, "default", 1.0)


async def unlisted(workspace: Workspace, run: str) -> None:
    await workspace._redis.zrem(keys.RUNS, run)


MISSING = "artifact:sha256:" + "0" * 64 + ":7"
NOW = time.time()

DAMAGES: dict[str, tuple[Damage, set[tuple[str, str]]]] = {
    "a slot of an undone task": (
        both(does("HSET", "slots", "ready", "1"), does("HSET", "versions", "ready", 1)),
        {("slot", "ready")},
    ),
    "a lost result": (
        both(does("HDEL", "slots", "done"), does("HDEL", "versions", "done")),
        {("slot", "done")},
    ),
    "a slot without a version": (does("HDEL", "versions", "notes"), {("version", "")}),
    "a result written twice": (does("HINCRBY", "versions", "done", 1), {("version", "done")}),
    "a status that the bus does not know": (
        does("HSET", "status", "ready", "waiting"),
        {("status", "ready"), ("pending", "ready")},
    ),
    "an attempt that the bus does not know": (
        does("HSET", "attempt", "ready", 4),
        {("status", "ready")},
    ),
    "a lost status": (does("HDEL", "status", "ready"), {("status", "ready")}),
    "a task of no plan": (does("HSET", "status", "stranger", "ready"), {("status", "stranger")}),
    "a commit twice": (posts(finished("done")), {("commit", "done")}),
    "a commit of an undone task": (
        posts(finished("ready")),
        {("commit", "ready"), ("status", "ready")},
    ),
    "a result without a commit": (
        both(
            does("HSET", "status", "ready", "done"),
            does("HSET", "slots", "ready", "1"),
            does("HSET", "versions", "ready", 1),
        ),
        {("commit", "ready"), ("status", "ready")},
    ),
    "a start after a stop": (
        both(
            posts(CancelRequested("x", NOW)),
            does("HSET", "run", "cancel", "x"),
            posts(ApprovalDecided("held", "apr_x", "approved", "p", NOW)),
        ),
        {("bus", "held")},
    ),
    "a stop that the bus does not know": (does("HSET", "run", "cancel", "x"), {("bus", "")}),
    "an event that cannot be read": (does("XADD", "bus", "*", "e", "{}"), {("bus", "")}),
    "an end of a run that goes on": (
        posts(RunEnded("done", {}, 0.0, NOW)),
        {("bus", "")},
    ),
    "ready twice": (posts(TaskReady("ready", NOW)), {("ready", "ready")}),
    "ready too soon": (
        both(posts(TaskReady("waiting", NOW)), does("HSET", "status", "waiting", "ready")),
        {("ready", "waiting")},
    ),
    "a count of inputs that is wrong": (
        does("HSET", "pending", "waiting", 1),
        {("pending", "waiting")},
    ),
    "a count of inputs that is lost": (
        does("HDEL", "pending", "waiting"),
        {("pending", "waiting")},
    ),
    "a lease of a task that does not run": (
        does("ZADD", "leases", NOW + HOUR, "ready"),
        {("lease", "ready")},
    ),
    "a lost lease": (does("ZREM", "leases", "running"), {("lease", "running")}),
    "a lease that ended long ago": (
        does("ZADD", "leases", NOW - HOUR, "running"),
        {("lease", "running")},
    ),
    "a lost call": (does("HDEL", "calls", "queued"), {("lease", "queued")}),
    "a call of a settled task": (does("HSET", "calls", "done", "{}"), {("lease", "done")}),
    "a lost offer": (lost_offer, {("offer", "queued")}),
    "a lost run": (forgotten, {("owner", "")}),
    "a run that nobody takes over": (overdue, {("owner", "")}),
    "a run that nobody takes": (left_waiting, {("owner", "")}),
    "a run that will expire": (does("EXPIRE", "slots", 1000), {("expiry", "")}),
    "nobody is asked": (decided_unseen, {("approval", "held")}),
    "two requests for one task": (asked_twice, {("approval", "held")}),
    "a request that should have expired": (undecided_for_long, {("approval", "held")}),
    "a request for a task that is not held": (
        does("HSET", "status", "held", "ready"),
        {("approval", "held"), ("status", "held")},
    ),
    "an unknown effect": (ledger("skipped", state="intent"), {("effect", "skipped")}),
    "a done task with an open effect": (ledger("paid", state="unknown"), {("effect", "paid")}),
    "an effect that happened twice": (ledger("paid", also=1), {("effect", "paid")}),
    "money set aside that nobody holds": (
        does("HINCRBY", "budget", "held:cost", 7),
        {("budget", "")},
    ),
    "calls set aside that nobody holds": (
        does("HINCRBY", "budget", "held:calls", 1),
        {("budget", "")},
    ),
    "money set aside for a task that is done": (
        both(
            does("HSET", "budget", "open:done", 5),
            does("HINCRBY", "budget", "held:cost", 5),
            does("HINCRBY", "budget", "held:calls", 1),
        ),
        {("budget", "done")},
    ),
    "more calls than there may be": (
        does("HSET", "budget", "spent:calls", 30),
        {("budget", "")},
    ),
    "an undone task in focus": (does("ZADD", "focus", 9, "ready"), {("focus", "ready")}),
    "a crowded focus": (crowded, {("focus", "")}),
    "a lost artifact": (does("HSET", "slots", "notes", MISSING), {("artifact", "notes")}),
    "a run that is not listed": (unlisted, {("list", "")}),
}


@pytest.mark.parametrize("name", DAMAGES)
async def test_a_damage_is_found_and_nothing_else(
    workspace: Workspace, run: RunId, name: str
) -> None:
    damage, wanted = DAMAGES[name]
    other = await workspace.create_run(RunSpec("another one"))
    await damage(workspace, run)
    found = await fsck(workspace)
    assert told(found) == wanted
    assert {f.run for f in found} == {run}
    assert await fsck(workspace, run=other) == []
    if ("list", "") not in wanted:  # of one run alone all is found but its place in the list
        assert told(await fsck(workspace, run=run)) == wanted


def test_every_rule_of_a_run_is_damaged_by_a_test() -> None:
    assert CHECKS.keys() <= {rule for _, wanted in DAMAGES.values() for rule, _ in wanted}


# --- damages to a run that has ended, and around runs ---------------------------------------------


@pytest.mark.parametrize(
    ("damage", "rule"),
    [
        (does("PERSIST", "slots"), "expiry"),
        (does("EXPIRE", "bus", 60), "expiry"),
        (does("XTRIM", "bus", "MAXLEN", 3), "bus"),
        (posts(TaskReady("ready", NOW)), "bus"),
        (ledger("running", state="intent"), "effect"),
    ],
)
async def test_a_damage_to_what_has_ended_is_found(
    workspace: Workspace, ended: RunId, damage: Damage, rule: str
) -> None:
    await damage(workspace, ended)
    assert rule in {f.rule for f in await fsck(workspace, run=ended)}


async def test_parts_of_no_run_are_found(workspace: Workspace, run: RunId) -> None:
    await workspace._redis.hset("pm:{run_gone}:slots", "a", "1")
    await workspace._redis.hset("pm:{run_gone}:status", "a", "done")
    (found,) = await fsck(workspace)
    assert (found.severity, found.rule, found.run) == ("error", "orphan", "run_gone")
    assert "slots, status" in found.what


async def test_lists_of_runs_that_are_not_there_are_found(workspace: Workspace) -> None:
    await workspace._redis.zadd(keys.ACTIVE, {"run_gone": time.time() - HOUR})
    await workspace.admission.put("run_lost", "default", 1.0)
    found = await fsck(workspace)
    assert [(f.rule, f.run, f.severity) for f in found] == [
        ("list", "run_gone", "warning"),
        ("list", "run_lost", "warning"),
    ]


async def test_the_dead_and_what_they_left_are_found(
    workspace: Workspace, run: RunId, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis = workspace._redis
    await redis.hset(keys.WORKERS, "e|w1", f"digest|{time.time() - 100:.3f}")
    await redis.hset(keys.WORKERS, "e|w2", f"digest|{time.time():.3f}")
    await redis.hset(keys.CONTROLLERS, "c1", f"{time.time() - 100:.3f}")
    assert await workspace.queue(keys.queue("e")).take("w1", 1, block_ms=10)
    monkeypatch.setattr("pointsman.router.workspace.fsck.LATE", 0.01)
    await asyncio.sleep(0.05)
    found = await fsck(workspace)
    assert [f.rule for f in found] == ["dead", "dead", "queue"]
    assert "e|w1" in found[1].what
    assert "1 offers were read and left, by w1" in found[2].what


async def test_artifacts_are_looked_up_in_their_store(redis_url: str, tmp_path: Path) -> None:
    redis = connect(redis_url)
    await redis.flushall()
    store = Artifacts(tmp_path, limit=10)
    workspace = Workspace(redis, artifacts=ArtifactLedger(redis, store))
    run = await workspace.create_run(RunSpec("x"))
    await workspace.write(run, "notes", "a long text", expected=0)
    assert await fsck(workspace) == []
    await asyncio.to_thread(shutil.rmtree, tmp_path)
    (found,) = await fsck(workspace)
    assert (found.severity, found.rule, found.task) == ("error", "artifact", "notes")
    await workspace.close()


async def test_what_is_only_so_for_a_moment_is_not_told(
    workspace: Workspace, run: RunId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pointsman.router.workspace.fsck.SECOND_LOOK", 0.2)
    await lost_offer(workspace, run)
    looking = asyncio.create_task(fsck(workspace))
    await asyncio.sleep(0.1)
    await workspace.offer(run, "queued", 1, "e")  # it was on its way
    assert await looking == []


# --- a sound server under load --------------------------------------------------------------------


@capability("test.add")
async def add(x: int, y: int = 1) -> int:
    """Adds."""
    return x + y


@capability("test.pay", effect="keyed")
async def pay(x: int, call: Call) -> str:
    """Pays."""
    await asyncio.sleep(0.01)
    return call.key()


@capability("test.send", approval=True, effect="once")
async def send(x: int) -> int:
    """Sends."""
    return x


TOOLS = ToolExpert("tools", "for tests", [add, pay, send], concurrency=8)


async def test_a_sound_server_under_load_has_nothing_wrong(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    each = Task(t("each"), "test.add", {"x": Item()}, for_each=Loop(tuple(range(120)), 120))
    last = Task(t("then"), "test.pay", {"x": 1}, after=(t("each"),))
    busy = Plan((each, last), answer=(t("then"),))
    ask = Task(t("a"), "test.send", {"x": 1})
    use = Task(t("b"), "test.add", {"x": Ref(t("a"))})
    asking = Plan((ask, use), answer=(t("b"),))
    budget = Budget(calls=500, cost=10_000)
    async with (
        serving(workspace, redis_url, tmp_path, [TOOLS]),
        working(workspace, tmp_path, [TOOLS]),
    ):
        parked = await workspace.create_run(RunSpec("ask", plan=asking))
        runs = [
            await workspace.create_run(RunSpec("x", plan=busy, budget=budget)) for _ in range(4)
        ]
        stopped = await workspace.create_run(RunSpec("stop", plan=busy))
        await pending(workspace, parked)
        looks = 0
        await workspace.cancel(stopped, "enough")
        while await workspace._redis.zcard(keys.ACTIVE) > 1:
            assert await fsck(workspace) == []
            looks += 1
        for run in runs:
            assert (await over(workspace, run)).status == "done"
        (asked,) = await pending(workspace, parked)
        await workspace.decide(parked, asked.id, "approved", digest=asked.digest, by="ann")
        assert (await over(workspace, parked)).status == "done"
        assert await fsck(workspace) == []
    assert looks > 1
