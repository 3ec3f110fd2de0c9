"""How soon the first task starts when a model takes two seconds to write four.

From the moment the server has sent the last character of the first task to the moment its expert is called,
end to end: HTTP stream, parse, checks, workspace, dispatch, queue, worker. Beside it, on the same parts:

- line by line: a planner that takes a task when its line is over, as streaming planners of parallel function
  calling do (LLMCompiler, arXiv 2312.04511);
- whole plan first: a planner that is parsed when the model has ended, the usual way, and the default of the
  reference implementation of parallel function calling, which starts it 1.9 s later.
"""

import asyncio
import json
import math
import re
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.planning import Options
from benchmarks.planning.writing_server import Writer, writing
from pointsman.experts.files import LocalFiles
from pointsman.experts.tools.functions import ToolExpert, capability
from pointsman.experts.worker import Worker
from pointsman.router.catalog import Catalog
from pointsman.router.plan import Plan, Task, TaskId
from pointsman.router.planning.base import Proposal, Request
from pointsman.router.planning.llm.client import ChatClient
from pointsman.router.planning.llm.planner import LLMPlanner
from pointsman.router.planning.llm.settings import RemoteSettings
from pointsman.router.planning.llm.tokens import write_tokens
from pointsman.router.planning.streaming import Planned
from pointsman.router.workspace import RunSpec, Workspace, connect
from pointsman.services.embedded import EmbeddedRedis
from pointsman.workflows.checkpoint import RedisSaver
from pointsman.workflows.controller import ControllerGraph
from pointsman.workflows.serving import Controller

REPEATS = 20
SECONDS = 2.0
WORK = 0.2
"""Seconds that each task takes."""
CITIES = ("Oslo", "Lima", "Cairo", "Hanoi")
LINE = re.compile(r'\d+\. (?P<name>[\w.]+)\(city="(?P<city>[^"]*)"\)\n')

called: list[tuple[str, float]] = []
"""(city, seconds of time.monotonic) of each call of the expert."""


@capability("weather.today")
async def weather(city: str) -> str:
    """Tells the weather of a city today."""
    called.append((city, time.monotonic()))
    await asyncio.sleep(WORK)
    return f"{city}: mild"


def plan() -> Plan:
    tasks = tuple(
        Task(
            TaskId(city.lower()),
            "weather.today",
            {"city": city},
            title=f"look up the weather of {city} today",
        )
        for city in CITIES
    )
    return Plan(tasks, tuple(t.id for t in tasks), "given")


class WholePlan:
    """A planner that is asked for its whole plan."""

    name = "whole"

    def __init__(self, planner: LLMPlanner) -> None:
        self._planner = planner

    async def plan(self, request: Request, catalog: Catalog) -> Proposal:
        return await self._planner.plan(request, catalog)

    async def close(self) -> None:
        await self._planner.close()


class LineByLine:
    """Takes a task when its line is over. Its lines say nothing but a call."""

    name = "lines"

    def __init__(self, settings: RemoteSettings) -> None:
        self._client = ChatClient(settings)

    async def plan(self, request: Request, catalog: Catalog) -> Proposal:
        found = [item async for item in self.plan_stream(request, catalog)]
        assert isinstance(found[-1], Proposal)
        return found[-1]

    async def plan_stream(
        self, request: Request, catalog: Catalog, *, deadline: float | None = None
    ) -> AsyncGenerator[Planned, None]:
        text, tasks = "", list[Task]()
        messages = [{"role": "user", "content": request.text}]
        stream = self._client.stream(messages, deadline=self._client.deadline(deadline))
        async with aclosing(stream) as pieces:
            async for piece in pieces:
                text += piece if isinstance(piece, str) else ""
                while (line := LINE.search(text)) is not None:
                    text = text[line.end() :]
                    id = TaskId(line["city"].lower())
                    tasks.append(Task(id, line["name"], {"city": line["city"]}))
                    yield tasks[-1]
        yield Proposal(Plan(tuple(tasks), tuple(t.id for t in tasks), "lines"), 1.0)

    async def close(self) -> None:
        await self._client.close()


@dataclass(frozen=True, slots=True)
class Way:
    """A way to plan, and the answer that the model writes for it. mark: the last character of the first task."""

    label: str
    text: str
    mark: int
    planner: LLMPlanner | WholePlan | LineByLine


def ways(url: str) -> list[Way]:
    wanted = plan().to_json()
    form = {k: wanted[k] for k in ("tasks", "answer", "assumptions", "unserved")}
    first = json.dumps(form["tasks"][0])
    as_json = json.dumps(form)
    as_tokens = write_tokens(plan())
    lines = "".join(f'{n}. weather.today(city="{c}")\n' for n, c in enumerate(CITIES, 1))
    json_settings = RemoteSettings("scripted", base_url=url)
    token_settings = RemoteSettings("scripted", base_url=url, format="task_tokens")
    end = as_json.index(first) + len(first) - 1
    return [
        Way("Pointsman, JSON", as_json, end, LLMPlanner(json_settings)),
        Way(
            "Pointsman, task tokens",
            as_tokens,
            as_tokens.index("\n") - 1,
            LLMPlanner(token_settings),
        ),
        Way("line by line", lines, lines.index("\n") - 1, LineByLine(json_settings)),
        Way("whole plan first", as_json, end, WholePlan(LLMPlanner(json_settings))),
    ]


async def measure(url: str, folder: Path, way: Way, writer: Writer) -> dict[str, float]:
    """Milliseconds from the last character of the first task to its start, and seconds to the answer."""
    workspace = Workspace(connect(url))
    saver = RedisSaver.at(url)
    worker = Worker(
        workspace, LocalFiles(folder), [ToolExpert("weather", "weather", [weather], concurrency=8)]
    )
    await worker.announce()
    controller = Controller(workspace, ControllerGraph(workspace, way.planner, saver))
    serving = [asyncio.create_task(s.serve()) for s in (worker, controller)]
    writer.text, writer.mark, writer.seconds = way.text, way.mark, SECONDS
    delays, totals = [], []
    for _ in range(REPEATS + 1):
        called.clear()
        began = time.monotonic()
        run = await workspace.create_run(
            RunSpec("the weather of Oslo, Lima, Cairo and Hanoi today")
        )
        async with asyncio.timeout(60):
            async for _event in workspace.events(run):
                pass
        status = (await workspace.run(run)).status
        assert status == "done", f"{way.label}: the run is {status}"
        assert sorted(c for c, _ in called) == sorted(CITIES), "each task ran once"
        delays.append(1e3 * (called[0][1] - writer.sent[-1]))
        totals.append(time.monotonic() - began)
    for task in serving:
        task.cancel()
    await asyncio.gather(*serving, return_exceptions=True)
    await saver.aclose()
    await workspace.close()
    await way.planner.close()
    return figures(delays[1:], totals[1:])  # the first one warms connections up


def figures(delays: Sequence[float], totals: Sequence[float]) -> dict[str, float]:
    ranked = sorted(delays)
    return {
        "first_start_ms_p50": round(statistics.median(ranked), 1),
        "first_start_ms_p95": round(ranked[math.ceil(0.95 * len(ranked)) - 1], 1),
        "first_start_ms_max": round(ranked[-1], 1),
        "answer_s_p50": round(statistics.median(totals), 2),
        "repeats": len(ranked),
    }


async def compared(folder: Path) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    async with EmbeddedRedis(folder / "redis") as url:
        with writing() as writer:
            for way in ways(writer.url):
                found[way.label] = await measure(url, folder, way, writer)
    return found


def run(options: Options) -> dict[str, object]:
    """Prints and returns the delays of each way. Nothing is learned and no data set is read."""
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(compared(Path(folder)))
    print(
        f"four tasks written in {SECONDS:g} s; from the last character of the first to its start, ms"
    )
    print(f"{'':26}{'p50':>9}{'p95':>9}{'max':>9}   answer after, s")
    for label, row in found.items():
        print(
            f"{label:26}{row['first_start_ms_p50']:9.1f}{row['first_start_ms_p95']:9.1f}"
            f"{row['first_start_ms_max']:9.1f}{row['answer_s_p50']:12.2f}"
        )
    return dict(found)
