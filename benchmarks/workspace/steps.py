"""The durable task step: from the claim of an attempt to its commit, with readiness and broadcast.

Chains of two tasks: each commit makes a dependant ready. Plans are written and routes opened outside the
timed part. What is timed goes through the public Workspace, as the worker uses it.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import redis.asyncio

from benchmarks.workspace.server import Policy, reset, script_cost
from pointsman.experts.files import LocalFiles
from pointsman.experts.tools.functions import ToolExpert, capability
from pointsman.experts.worker import Worker
from pointsman.router.events import RunId, TaskDone, TaskRouted, TaskStarted
from pointsman.router.plan import Plan, Task, TaskId
from pointsman.router.usage import Usage
from pointsman.router.workspace import Claim, Owner, RunSpec, Workspace, keys

EXPERT = "echo"
WORKERS = 8
WARM = 100
LEASE = 15.0


Step: TypeAlias = Callable[[Workspace, "Lot", int], Awaitable[None]]


@capability("bench.echo")
async def echo(n: int) -> int:
    """Answers with its argument."""
    return n


@dataclass(frozen=True, slots=True)
class Lot:
    """A run whose first `size` tasks are routed to EXPERT: each has one dependant."""

    owner: Owner
    size: int

    def task(self, number: int) -> TaskId:
        return TaskId(f"a{number}")


async def prepared(workspace: Workspace, size: int) -> Lot:
    run = await workspace.create_run(RunSpec("a lot of steps"))
    owner = await workspace.own(run, "bench", lease=3600)
    assert owner is not None
    first = [Task(TaskId(f"a{n}"), echo.capability.name, {"n": n}) for n in range(size)]
    then = [
        Task(TaskId(f"b{n}"), echo.capability.name, {"n": n}, after=(t.id,))
        for n, t in enumerate(first)
    ]
    plan = Plan((*first, *then), answer=(then[-1].id,))
    await workspace.write_plan(owner, plan, 1)
    lot = Lot(owner, size)
    for number, task in enumerate(first):
        routed = TaskRouted(task.id, 1, {"expert": EXPERT, "cost": 0}, time.time())
        call = {
            "capability": echo.capability.name,
            "arguments": {"n": number},
            "deadline": time.time() + 600,
        }
        await workspace.route(owner, routed, call)
    return lot


async def claim(workspace: Workspace, run: RunId, task: TaskId) -> Claim:
    return await workspace.claim(run, task, 1, worker="bench", lease=LEASE)


async def commit(workspace: Workspace, claimed: Claim) -> None:
    await workspace.commit(claimed, dict(claimed.call["arguments"]), done(claimed))


def done(claimed: Claim) -> TaskDone:
    return TaskDone(
        task=claimed.task,
        attempt=claimed.attempt,
        kind="object",
        preview="n: 1",
        note="",
        usage=Usage(calls=1).to_json(),
        seconds=0.0,
        at=time.time(),
    )


async def one_step(workspace: Workspace, lot: Lot, number: int) -> None:
    await commit(workspace, await claim(workspace, lot.owner.run, lot.task(number)))


async def at_once(workspace: Workspace, lot: Lot, number: int) -> None:
    """A quick pure task, as experts/attempt.py does it: claim and commit are one act."""
    call = {"capability": echo.capability.name, "arguments": {"n": number}}
    told = Claim(lot.owner.run, lot.task(number), 1, call)
    start = TaskStarted(told.task, 1, "bench", time.time())
    await workspace.perform(told, {"n": number}, start, done(told))


async def drop_offers(client: redis.asyncio.Redis) -> None:
    await client.delete(keys.queue(EXPERT))


# --- one worker -------------------------------------------------------------------------------------


async def latencies(workspace: Workspace, steps: int, step: Step) -> list[float]:
    """Milliseconds of each step of one worker that does nothing else."""
    lot = await prepared(workspace, steps + WARM)
    taken = []
    for number in range(lot.size):
        started = time.perf_counter()
        await step(workspace, lot, number)
        taken.append((time.perf_counter() - started) * 1e3)
    return taken[WARM:]


async def overlapped(workspace: Workspace, steps: int) -> list[float]:
    """Milliseconds a step of one worker that always has work: as in experts/worker.py, the place of a call
    is free when it ends, so the next claim is under way beside the commit, and one sync serves both."""
    lot = await prepared(workspace, steps + WARM)
    taken = []
    claimed = await claim(workspace, lot.owner.run, lot.task(0))
    for number in range(1, lot.size):
        started = time.perf_counter()
        following = claim(workspace, lot.owner.run, lot.task(number))
        _, claimed = await asyncio.gather(commit(workspace, claimed), following)
        taken.append((time.perf_counter() - started) * 1e3)
    return taken[WARM:]


async def script_costs(
    workspace: Workspace, client: redis.asyncio.Redis, steps: int
) -> dict[str, float]:
    """Microseconds inside Redis of a claim and of a commit."""
    lot = await prepared(workspace, steps)
    await reset(client)
    claims = [await claim(workspace, lot.owner.run, lot.task(n)) for n in range(steps)]
    found = {"claim": await script_cost(client)}
    await reset(client)
    for claimed in claims:
        await commit(workspace, claimed)
    return found | {"commit": await script_cost(client)}


# --- eight workers ----------------------------------------------------------------------------------


async def rate(steps: int, work: Callable[[int], Awaitable[None]]) -> tuple[float, float]:
    """(steps per second, share of one core that this process used) with WORKERS coroutines."""
    numbers = iter(range(steps))

    async def worker() -> None:
        for number in numbers:
            await work(number)

    cpu, started = time.process_time(), time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(WORKERS)))
    seconds = time.perf_counter() - started
    return steps / seconds, (time.process_time() - cpu) / seconds


async def claims_and_commits(workspace: Workspace, steps: int, step: Step) -> tuple[float, float]:
    lot = await prepared(workspace, steps)
    return await rate(steps, lambda number: step(workspace, lot, number))


async def with_queue(workspace: Workspace, steps: int) -> tuple[float, float]:
    """The same, each offer taken from the queue and acknowledged, as a worker does."""
    await prepared(workspace, steps)
    queue = workspace.queue(keys.queue(EXPERT))

    async def work(_: int) -> None:
        for offer in await queue.take("bench", 1):
            run, task = RunId(offer.fields["run"]), TaskId(offer.fields["task"])
            claimed = await claim(workspace, run, task)
            await queue.done(offer)
            await commit(workspace, claimed)

    return await rate(steps, work)


async def real_worker(workspace: Workspace, steps: int, folder: Path) -> tuple[float, float]:
    """The worker itself, with WORKERS places and an expert that answers with its arguments."""
    lot = await prepared(workspace, steps)
    expert = ToolExpert(EXPERT, "echoes", [echo], concurrency=WORKERS)
    worker = Worker(workspace, LocalFiles(folder), [expert])
    cpu, started = time.process_time(), time.perf_counter()
    serving = asyncio.create_task(worker.serve())
    try:
        # Looked at now and then: to follow the bus would take its part of the core that is measured.
        while await workspace.queue(keys.queue(EXPERT)).length():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        while await results(workspace, lot) < steps:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        seconds, used = time.perf_counter() - started, time.process_time() - cpu
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    return steps / seconds, used / seconds


async def results(workspace: Workspace, lot: Lot) -> int:
    """How many of a lot's steps have a result."""
    return len(await workspace.slots(lot.owner.run, [lot.task(n) for n in range(lot.size)]))


# --- all of it --------------------------------------------------------------------------------------


@dataclass(slots=True)
class Found:
    """What was measured under one policy, a list a round: milliseconds, steps per second, microseconds."""

    step: list[list[float]] = field(default_factory=list)
    one_act: list[list[float]] = field(default_factory=list)
    overlapped: list[list[float]] = field(default_factory=list)
    rates: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    scripts: dict[str, list[float]] = field(default_factory=dict)

    def add_rate(self, name: str, value: tuple[float, float]) -> None:
        self.rates.setdefault(name, []).append(value)


async def measure(
    workspace: Workspace, client: redis.asyncio.Redis, found: Found, *, steps: int, folder: Path
) -> None:
    """One round, added to what was found before."""
    found.step.append(await latencies(workspace, steps, one_step))
    await drop_offers(client)
    found.one_act.append(await latencies(workspace, steps, at_once))
    await drop_offers(client)
    found.overlapped.append(await overlapped(workspace, steps))
    await drop_offers(client)
    for name, cost in (await script_costs(workspace, client, steps // 4)).items():
        found.scripts.setdefault(name, []).append(cost)
    await drop_offers(client)
    found.add_rate("claim and commit", await claims_and_commits(workspace, steps, one_step))
    await drop_offers(client)
    found.add_rate("both in one act", await claims_and_commits(workspace, steps, at_once))
    await drop_offers(client)
    found.add_rate("with the queue", await with_queue(workspace, steps))
    found.add_rate("the real worker", await real_worker(workspace, steps, folder))
    await client.flushall()


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0..1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def summary(found: Found) -> dict[str, Any]:
    """Medians; `best`: of the best round, which a busy machine disturbed the least."""
    steps = [one for step in found.step for one in step]
    return {
        "step_p50_ms": round(statistics.median(steps), 3),
        "one_act_step_p50_ms": round(statistics.median(o for r in found.one_act for o in r), 3),
        "busy_step_p50_ms": round(statistics.median(o for r in found.overlapped for o in r), 3),
        "step_p99_ms": round(percentile(steps, 0.99), 3),
        "best_step_p50_ms": round(min(map(statistics.median, found.step)), 3),
        "tasks_per_second": {
            name: round(statistics.median(rate for rate, _ in rates))
            for name, rates in found.rates.items()
        },
        "best_tasks_per_second": {
            name: round(max(rate for rate, _ in rates)) for name, rates in found.rates.items()
        },
        "process_cpu": {
            name: round(statistics.median(cpu for _, cpu in rates), 2)
            for name, rates in found.rates.items()
        },
        "redis_us": {n: round(statistics.median(c), 1) for n, c in found.scripts.items()},
    }


def rows(policy: Policy, found: Found) -> list[tuple[str, str, str]]:
    """(what, policy, value) for the table."""
    told = summary(found)
    step = "p50 {step_p50_ms} ms (best round {best_step_p50_ms}), p99 {step_p99_ms} ms"
    lines = [("step, 1 worker, claimed first", step.format(**told))]
    lines.append(("step, 1 worker, a quick pure task", f"p50 {told['one_act_step_p50_ms']} ms"))
    lines.append(("step, 1 worker that always has work", f"p50 {told['busy_step_p50_ms']} ms"))
    for name, per_second in told["tasks_per_second"].items():
        best, cpu = told["best_tasks_per_second"][name], told["process_cpu"][name]
        shown = f"{per_second:,} tasks/s (best round {best:,}), {cpu:.0%} of a core"
        lines.append((f"{WORKERS} workers: {name}", shown))
    scripts = ", ".join(f"{name} {cost} us" for name, cost in told["redis_us"].items())
    lines.append(("inside Redis", scripts))
    return [(what, policy, value) for what, value in lines]
