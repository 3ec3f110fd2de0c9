"""Makespan over critical path on a skewed 4x4 graph: ours beside a plain LangGraph graph.

Four chains of four sleeps, 0.05 s each, 0.40 s on the diagonal: the critical path is 0.55 s. In a graph
that runs in supersteps every ready node waits for its slowest sibling; in the workspace none does.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import TypedDict

from langgraph.graph import END, START, StateGraph
from rich.console import Console
from rich.table import Table

from pointsman.experts.files import LocalFiles
from pointsman.experts.tools.functions import ToolExpert, capability
from pointsman.experts.worker import Worker
from pointsman.router.catalog import Catalog
from pointsman.router.events import PhaseEntered, TaskDone
from pointsman.router.plan import Plan, Task, TaskId, critical_path
from pointsman.router.planning.base import Proposal, Refusal, Request
from pointsman.router.workspace import RunSpec, Workspace, connect
from pointsman.services.embedded import EmbeddedRedis
from pointsman.workflows.checkpoint import RedisSaver
from pointsman.workflows.controller import ControllerGraph
from pointsman.workflows.serving import Controller

SIZE, SHORT, LONG = 4, 0.05, 0.40


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


class Nothing(TypedDict, total=False):
    done: int


async def langgraph_once() -> float:
    """Seconds of the same graph as plain LangGraph nodes."""
    graph = StateGraph(Nothing)
    for chain in range(SIZE):
        for link in range(SIZE):

            async def node(_: Nothing, seconds: float = duration(chain, link)) -> Nothing:
                await asyncio.sleep(seconds)
                return {}

            graph.add_node(f"t{chain}{link}", node)
            graph.add_edge(f"t{chain}{link - 1}" if link else START, f"t{chain}{link}")
        graph.add_edge(f"t{chain}{SIZE - 1}", END)
    compiled = graph.compile()
    started = time.perf_counter()
    await compiled.ainvoke({})
    return time.perf_counter() - started


async def ours_once(workspace: Workspace) -> tuple[float, float]:
    """(makespan of the plan: from dispatch to the last result, whole run) in seconds."""
    plan, started = skewed(), time.perf_counter()
    run = await workspace.create_run(RunSpec("run the graph", plan=plan))
    begun = ended = 0.0
    async for posted in workspace.events(run):
        event = posted.event
        if isinstance(event, PhaseEntered) and event.phase == "dispatch":
            begun = event.at
        if isinstance(event, TaskDone):
            ended = event.at
    return ended - begun, time.perf_counter() - started


async def measure(rounds: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"pointsman": [], "pointsman, whole run": [], "langgraph": []}
    with tempfile.TemporaryDirectory() as folder:
        async with EmbeddedRedis(Path(folder) / "redis") as url:
            workspace, saver = Workspace(connect(url)), RedisSaver.at(url)
            expert = ToolExpert("sleeper", "sleeps", [sleep], concurrency=32)
            worker = Worker(workspace, LocalFiles(Path(folder) / "files"), [expert])
            await worker.announce()
            controller = Controller(workspace, ControllerGraph(workspace, GivenPlans(), saver))
            serving = [asyncio.create_task(s.serve()) for s in (worker, controller)]
            await ours_once(workspace)  # warm: scripts loaded, subscriptions made
            for _ in range(rounds):
                makespan, whole = await ours_once(workspace)
                found["pointsman"].append(makespan)
                found["pointsman, whole run"].append(whole)
                found["langgraph"].append(await langgraph_once())
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)
            await saver.aclose()
            await workspace.close()
    return found


def main(arguments: list[str]) -> dict[str, object]:
    parser = argparse.ArgumentParser(prog="benchmarks dag", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args(arguments)
    plan = skewed()
    path = critical_path(plan, {t.id: float(t.arguments["seconds"]) for t in plan.tasks})
    found = asyncio.run(measure(options.rounds))
    table = Table("", "median s", "over critical path", "min", "max")
    ratios: dict[str, object] = {"critical_path_seconds": path, "rounds": options.rounds}
    for name, seconds in found.items():
        median = statistics.median(seconds)
        ratios[name] = round(median / path, 4)
        cells = (median, median / path, min(seconds) / path, max(seconds) / path)
        table.add_row(name, *(f"{c:.3f}" for c in cells))
    Console().print(table)
    return ratios
