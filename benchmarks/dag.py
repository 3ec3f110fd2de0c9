"""Makespan over critical path: ours beside a plain LangGraph graph and beside asyncio that keeps nothing.

The skewed graph: four chains of four sleeps, 0.05 s each, 0.40 s on the diagonal: the critical path is
0.55 s. In a graph that runs in supersteps every ready node waits for its slowest sibling; in the workspace
none does. `--graphs N` adds N random graphs: 8 to 30 tasks that sleep 20 to 200 ms, seeded.

asyncio's row is the floor: the same sleeps, started the moment their inputs are done. A sleep ends about a
millisecond late, so it is above 1 too.
"""

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypedDict

import uvloop
from langgraph.graph import END, START, StateGraph
from rich.console import Console
from rich.table import Table

from pointsman.experts.files import LocalFiles
from pointsman.experts.tools.functions import ToolExpert, capability
from pointsman.experts.worker import Worker
from pointsman.router.catalog import Catalog
from pointsman.router.events import Event, PhaseEntered, TaskDone, TaskReady
from pointsman.router.plan import Plan, Task, TaskId, critical_path
from pointsman.router.planning.base import Proposal, Refusal, Request
from pointsman.router.workspace import RunSpec, Workspace, connect
from pointsman.services.embedded import EmbeddedRedis
from pointsman.workflows.checkpoint import RedisSaver
from pointsman.workflows.controller import ControllerGraph
from pointsman.workflows.serving import Controller

SIZE, SHORT, LONG = 4, 0.05, 0.40
SEED = 4


@capability("bench.sleep")
async def sleep(seconds: float) -> float:
    """Sleeps."""
    await asyncio.sleep(seconds)
    return seconds


class GivenPlans:
    """The plan comes with the run: nothing is to be planned."""

    name = "given"

    async def plan(self, request: Request, catalog: Catalog) -> Proposal:
        return Proposal(Refusal("only given plans are run here"), 0.0)


# --- graphs -----------------------------------------------------------------------------------------


def duration(chain: int, link: int) -> float:
    return LONG if chain == link else SHORT


def skewed() -> Plan:
    tasks = [
        Task(
            TaskId(f"t{chain}{link}"),
            "bench.sleep",
            {"seconds": duration(chain, link)},
            after=(TaskId(f"t{chain}{link - 1}"),) if link else (),
        )
        for chain in range(SIZE)
        for link in range(SIZE)
    ]
    return Plan(tuple(tasks), answer=(TaskId("t33"),))


def random_plan(seed: int) -> Plan:
    """8 to 30 sleeps of 20 to 200 ms; each runs after 0 to 3 of the eight tasks before it."""
    rng = random.Random(seed)
    tasks: list[Task] = []
    for index in range(rng.randint(8, 30)):
        near = [t.id for t in tasks[-8:]]
        after = rng.sample(near, min(len(near), rng.randint(0, 3)))
        seconds = round(rng.uniform(0.02, 0.2), 3)
        tasks.append(
            Task(TaskId(f"t{index}"), "bench.sleep", {"seconds": seconds}, after=tuple(after))
        )
    return Plan(tuple(tasks), answer=(tasks[-1].id,))


def seconds_of(plan: Plan) -> dict[TaskId, float]:
    return {t.id: float(t.arguments["seconds"]) for t in plan.tasks}


def path_of(plan: Plan) -> float:
    """Seconds along the critical path."""
    return critical_path(plan, seconds_of(plan))


# --- the same graph, three ways ---------------------------------------------------------------------


class Nothing(TypedDict, total=False):
    done: int


def _add_node(graph: StateGraph[Nothing, None, Nothing, Nothing], task: Task) -> None:
    seconds = float(task.arguments["seconds"])

    async def node(state: Nothing) -> Nothing:
        await asyncio.sleep(seconds)
        return {}

    graph.add_node(task.id, node)


async def langgraph_once(plan: Plan) -> float:
    """Seconds of the same graph as plain LangGraph nodes, nothing kept."""
    graph = StateGraph(Nothing)
    for task in plan.tasks:
        _add_node(graph, task)
        graph.add_edge(list(task.after) or START, task.id)
    inner = {before for task in plan.tasks for before in task.after}
    for task in plan.tasks:
        if task.id not in inner:
            graph.add_edge(task.id, END)
    compiled = graph.compile()
    started = time.perf_counter()
    await compiled.ainvoke({}, {"recursion_limit": 100})
    return time.perf_counter() - started


async def asyncio_once(plan: Plan) -> float:
    """Seconds of the same graph as coroutines that wait for each other, nothing kept."""
    done = {task.id: asyncio.Event() for task in plan.tasks}

    async def one(task: Task) -> None:
        for before in task.after:
            await done[before].wait()
        await asyncio.sleep(float(task.arguments["seconds"]))
        done[task.id].set()

    started = time.perf_counter()
    await asyncio.gather(*(one(task) for task in plan.tasks))
    return time.perf_counter() - started


async def run_once(workspace: Workspace, plan: Plan) -> tuple[list[Event], float]:
    """(the run's events, seconds of the whole run as its caller sees it)."""
    started = time.perf_counter()
    run = await workspace.create_run(RunSpec("run the graph", plan=plan))
    events = [posted.event async for posted in workspace.events(run)]
    return events, time.perf_counter() - started


def makespan(events: Sequence[Event]) -> float:
    """Seconds from the first task that is ready, or the dispatch phase if that is first, to the last result."""
    begun = next(
        e.at
        for e in events
        if isinstance(e, TaskReady) or (isinstance(e, PhaseEntered) and e.phase == "dispatch")
    )
    return max(e.at for e in events if isinstance(e, TaskDone)) - begun


# --- measuring --------------------------------------------------------------------------------------


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[Workspace]:
    """An embedded server, a controller and a worker of sleeps, all warm."""
    async with EmbeddedRedis(folder / "redis") as url:
        workspace, saver = Workspace(connect(url)), RedisSaver.at(url)
        expert = ToolExpert("sleeper", "sleeps", [sleep], concurrency=32)
        worker = Worker(workspace, LocalFiles(folder / "files"), [expert])
        await worker.announce()
        controller = Controller(workspace, ControllerGraph(workspace, GivenPlans(), saver))
        serving = [asyncio.create_task(s.serve()) for s in (worker, controller)]
        try:
            await run_once(workspace, skewed())  # warm: scripts loaded, subscriptions made
            yield workspace
        finally:
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)
            await saver.aclose()
            await workspace.close()


Ratios = dict[str, list[float]]
"""Makespan over critical path, by who ran it, one number a run."""


async def measure(workspace: Workspace, plans: Sequence[Plan]) -> Ratios:
    """All ways take turns, graph by graph, so that a busy moment of the machine meets all of them."""
    found: Ratios = {"pointsman": [], "pointsman, whole run": [], "langgraph": [], "asyncio": []}
    ways: dict[str, Callable[[Plan], Awaitable[float]]] = {
        "langgraph": langgraph_once,
        "asyncio": asyncio_once,
    }
    for plan in plans:
        path = path_of(plan)
        events, whole = await run_once(workspace, plan)
        found["pointsman"].append(makespan(events) / path)
        found["pointsman, whole run"].append(whole / path)
        for name, way in ways.items():
            found[name].append(await way(plan) / path)
    return found


async def measure_all(rounds: int, graphs: int) -> dict[str, Ratios]:
    """By family of graphs: the skewed one `rounds` times, then `graphs` random ones once each."""
    found: dict[str, Ratios] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with served(Path(folder)) as workspace:
            found["skewed"] = await measure(workspace, [skewed()] * rounds)
            if graphs:
                plans = [random_plan(SEED + number) for number in range(graphs)]
                found["random"] = await measure(workspace, plans)
    return found


def show(families: dict[str, Ratios]) -> None:
    table = Table("graphs", "", "median over critical path", "min", "max", "runs")
    for family, ratios in families.items():
        for name, values in ratios.items():
            cells = (statistics.median(values), min(values), max(values))
            table.add_row(family, name, *(f"{c:.3f}" for c in cells), str(len(values)))
    Console().print(table)


def summary(families: dict[str, Ratios]) -> dict[str, object]:
    return {
        family: {name: round(statistics.median(values), 4) for name, values in ratios.items()}
        for family, ratios in families.items()
    }


def main(arguments: list[str]) -> dict[str, object]:
    parser = argparse.ArgumentParser(prog="benchmarks dag", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument(
        "--graphs", type=int, default=0, help="random graphs besides the skewed one"
    )
    options = parser.parse_args(arguments)
    families = uvloop.run(measure_all(options.rounds, options.graphs))
    show(families)
    return {
        "critical_path_seconds": path_of(skewed()),
        "rounds": options.rounds,
        "graphs": options.graphs,
        **summary(families),
    }
