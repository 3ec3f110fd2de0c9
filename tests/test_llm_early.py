"""Tasks run while their plan is still being written, and nothing is done twice or lost on the way."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest
from openai_server import OpenAIServer, Say
from serving import ended, serving

from pointsman.experts.tools.functions import ToolExpert, capability
from pointsman.router.catalog import Catalog
from pointsman.router.errors import ExpertFailed
from pointsman.router.events import (
    Event,
    PhaseEntered,
    PlanProposed,
    RunId,
    TaskCancelled,
    TaskDone,
    TaskStarted,
)
from pointsman.router.plan import Item, Loop, Plan, Ref, Task, TaskId
from pointsman.router.planning.base import Proposal, Refusal, Request
from pointsman.router.planning.llm.planner import LLMPlanner
from pointsman.router.planning.llm.settings import RemoteSettings
from pointsman.router.planning.streaming import Planned, Withdrawn
from pointsman.router.usage import Budget
from pointsman.router.workspace import RunSpec, Workspace, connect
from pointsman.router.workspace.fsck import fsck
from pointsman.workflows.checkpoint import RedisSaver
from pointsman.workflows.controller import ControllerGraph
from pointsman.workflows.serving import Controller

pytestmark = pytest.mark.anyio


class Tools:
    """What was called, in order; `hold` keeps calls of test.slow until it is set."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.hold = asyncio.Event()
        self.called = asyncio.Event()

    def expert(self) -> ToolExpert:
        @capability("test.say")
        async def say(text: str) -> str:
            """Says."""
            self._note(f"say {text}")
            return text.upper()

        @capability("test.slow")
        async def slow(text: str) -> str:
            """Says, after a while."""
            self._note(f"slow {text}")
            await self.hold.wait()
            return text

        @capability("test.letters")
        async def letters(text: str) -> list[str]:
            """Spells."""
            self._note(f"letters {text}")
            return list(text)

        @capability("test.broken")
        async def broken(text: str) -> str:
            """Fails."""
            self._note(f"broken {text}")
            raise ExpertFailed("it is broken")

        @capability("test.send", effect="once")
        async def send(text: str) -> str:
            """Sends a message."""
            self._note(f"send {text}")
            return "sent"

        return ToolExpert("tools", "tools", [say, slow, letters, broken, send], concurrency=8)

    def _note(self, what: str) -> None:
        self.calls.append(what)
        self.called.set()

    async def until(self, what: str) -> None:
        async with asyncio.timeout(10):
            while what not in self.calls:
                self.called.clear()
                await self.called.wait()


def t(id: str, does: str = "test.say", **arguments: Any) -> Task:
    return Task(TaskId(id), does, arguments or {"text": id})


def whole(*tasks: Task, answer: str = "") -> Proposal:
    return Proposal(Plan(tasks, (TaskId(answer or tasks[-1].id),), "scripted"), 0.9)


Step = Planned | Callable[[], Any]


class Scripted:
    """A streaming planner that gives what it is told; a function among it is awaited in its place."""

    name = "scripted"

    def __init__(self, *scripts: list[Step]) -> None:
        self.scripts = list(scripts)
        self.asked = 0

    async def plan(self, request: Request, catalog: Catalog) -> Proposal:
        async for item in self.plan_stream(request, catalog):
            if isinstance(item, Proposal):
                return item
        raise AssertionError("a script ends with a Proposal")

    async def plan_stream(
        self, request: Request, catalog: Catalog, *, deadline: float | None = None
    ) -> AsyncGenerator[Planned, None]:
        script = self.scripts[min(self.asked, len(self.scripts) - 1)]
        self.asked += 1
        for item in script:
            if callable(item):
                await item()
            else:
                yield item


async def events_of(workspace: Workspace, run: str) -> list[Event]:
    return [p.event for p in await workspace.history(RunId(run))]


async def sound(workspace: Workspace, run: str) -> None:
    assert await fsck(workspace, run=run) == []


async def test_a_task_runs_while_the_next_one_is_written(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    tools = Tools()
    a, b, c = t("a"), t("b", text=Ref(TaskId("a"))), t("c", text=Ref(TaskId("b")))
    # The plan goes on only when the task before was called: without an early start this waits for ever.
    script: list[Step] = [a, lambda: tools.until("say a"), b, lambda: tools.until("say A"), c]
    planner = Scripted([*script, whole(a, b, c)])
    async with serving(workspace, redis_url, tmp_path, [tools.expert()], planner):
        record = await ended(workspace, RunSpec("do it"))
    assert record.status == "done"
    assert record.answer is not None
    assert record.answer["parts"][0]["value"] == "A"
    assert tools.calls == ["say a", "say A", "say A"]
    events = await events_of(workspace, record.id)
    proposed = [(e.version, len(e.plan["tasks"])) for e in events if isinstance(e, PlanProposed)]
    assert proposed == [(0, 1), (0, 2), (0, 3), (1, 3)]
    first = next(i for i, e in enumerate(events) if isinstance(e, TaskStarted))
    reviewed = next(
        i for i, e in enumerate(events) if isinstance(e, PhaseEntered) and e.phase == "review"
    )
    assert first < reviewed
    assert record.usage.calls == 3
    await sound(workspace, record.id)


async def test_an_effect_and_what_reads_it_wait_for_the_whole_plan(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    tools = Tools()
    a, send, after = t("a"), t("b", "test.send"), t("c", text=Ref(TaskId("b")))

    async def look() -> None:
        await tools.until("say a")
        await asyncio.sleep(0.2)
        assert tools.calls == ["say a"]

    planner = Scripted([a, send, after, look, whole(a, send, after)])
    async with serving(workspace, redis_url, tmp_path, [tools.expert()], planner):
        record = await ended(workspace, RunSpec("send it"))
    assert record.status == "done"
    assert tools.calls == ["say a", "send b", "say sent"]
    await sound(workspace, record.id)


async def test_a_withdrawn_task_is_taken_over_or_dropped_and_what_it_cost_is_counted(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    tools = Tools()
    a, other, slow = t("a"), t("b", text="other"), t("s", "test.slow", text="s")
    waiting = t("w", text=Ref(TaskId("s")))
    again, changed = t("first"), t("b", text="new")
    again = Task(again.id, again.capability, {"text": "a"})

    async def under_way() -> None:
        for what in ("say a", "say other", "slow s"):
            await tools.until(what)

    planner = Scripted(
        [
            *(a, other, slow, waiting, under_way),
            *(Withdrawn("faulty"), again, changed, whole(again, changed)),
        ]
    )
    async with serving(workspace, redis_url, tmp_path, [tools.expert()], planner):
        record = await ended(workspace, RunSpec("do it"))
    assert record.status == "done"
    assert sorted(tools.calls) == ["say a", "say new", "say other", "slow s"]
    events = await events_of(workspace, record.id)
    assert {e.task for e in events if isinstance(e, TaskCancelled)} == {"s", "w"}
    assert record.plan is not None
    assert [x["id"] for x in record.plan["tasks"]] == ["a", "b_r2"]
    assert any("not used" in x for x in record.plan["assumptions"])
    assert record.usage.calls == 4, "three that were done and one that was under way"
    await sound(workspace, record.id)


async def test_a_refusal_after_tasks_were_begun_drops_them(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    tools = Tools()
    refusal = Proposal(Refusal("it cannot be done", ("say",)), 0.0)
    script: list[Step] = [t("a"), t("s", "test.slow"), lambda: tools.until("slow s"), refusal]
    async with serving(workspace, redis_url, tmp_path, [tools.expert()], Scripted(script)):
        record = await ended(workspace, RunSpec("do it"))
    assert record.status == "refused"
    assert record.usage.calls == 2
    events = await events_of(workspace, record.id)
    assert [e.task for e in events if isinstance(e, TaskCancelled)] == ["s"]
    await sound(workspace, record.id)


async def test_a_loop_that_was_begun_goes_on_when_the_plan_is_whole(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    tools = Tools()
    spelt = t("a", "test.letters", text="xy")
    each = Task(TaskId("each"), "test.slow", {"text": Item()}, for_each=Loop(Ref(TaskId("a"))))
    last = t("last", text="z")

    async def go_on() -> None:
        await tools.until("slow x")
        await tools.until("slow y")

    async def release(run: RunId) -> None:
        async for posted in workspace.events(run):
            if isinstance(posted.event, PlanProposed) and posted.event.version == 1:
                tools.hold.set()

    planner = Scripted([spelt, each, go_on, whole(spelt, each, last, answer="each")])
    async with serving(workspace, redis_url, tmp_path, [tools.expert()], planner):
        run = await workspace.create_run(RunSpec("do it"))
        async with asyncio.timeout(20):
            await release(run)
        record = await workspace.run(run)
    assert record.answer is not None
    assert record.answer["parts"][0]["value"] == ["x", "y"]
    assert sorted(tools.calls) == ["letters xy", "say z", "slow x", "slow y"]
    await sound(workspace, record.id)


async def test_a_controller_that_dies_while_the_plan_is_written_leaves_nothing_to_do_twice(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    tools = Tools()
    a, slow, b = t("a"), t("s", "test.slow"), t("b", text=Ref(TaskId("s")))
    for_ever = asyncio.Event()

    async def release() -> None:
        tools.hold.set()

    planner = Scripted([a, slow, for_ever.wait, b], [release, slow, b, whole(slow, b)])
    saver = RedisSaver(connect(redis_url, decode_responses=False))
    second = Controller(workspace, ControllerGraph(workspace, planner, saver))
    async with serving(workspace, redis_url, tmp_path, [tools.expert()], planner) as first:
        run = await workspace.create_run(RunSpec("do it"))
        await tools.until("slow s")
        await tools.until("say a")
        # The lease of the controller that planned it is taken, as after a kill.
        assert await workspace.own(run, first.name, lease=0.001) is not None
        taking = asyncio.create_task(second.serve())
        async with asyncio.timeout(20):
            async for _ in workspace.events(run):
                pass
        for_ever.set()  # the first one wakes up, and is refused whatever it does
        record = await workspace.run(run)
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
    await saver.aclose()
    assert record.status == "done"
    assert sorted(tools.calls) == ["say a", "say s", "slow s"]
    events = await events_of(workspace, run)
    assert [e.task for e in events if isinstance(e, TaskDone)].count("s") == 1
    assert record.usage.calls == 3
    await sound(workspace, run)


async def test_a_dry_run_begins_nothing(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    tools = Tools()
    planner = Scripted([t("a"), whole(t("a"))])
    async with serving(workspace, redis_url, tmp_path, [tools.expert()], planner):
        record = await ended(workspace, RunSpec("do it", dry_run=True))
    assert record.status == "done"
    assert tools.calls == []


async def test_a_budget_of_calls_holds_before_the_plan_is_whole(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    tools = Tools()
    tasks = [t("a"), t("b"), t("c")]
    planner = Scripted([*tasks, lambda: tools.until("say b"), whole(*tasks)])
    async with serving(workspace, redis_url, tmp_path, [tools.expert()], planner):
        record = await ended(workspace, RunSpec("do it", budget=Budget(calls=2)))
    assert record.status == "refused"
    assert sorted(tools.calls) == ["say a", "say b"]
    assert record.usage.calls == 2


async def test_a_cancelled_run_stops_planning(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    tools = Tools()

    async def cancel() -> None:
        await tools.until("slow s")
        (found,) = await workspace.runs()
        await workspace.cancel(found.id, "enough")

    def never() -> None:
        raise AssertionError("the planner is not asked on")

    planner = Scripted([t("s", "test.slow"), cancel, t("b"), never, whole(t("b"))])
    async with serving(workspace, redis_url, tmp_path, [tools.expert()], planner):
        record = await ended(workspace, RunSpec("do it"))
    assert record.status == "cancelled"
    assert tools.calls == ["slow s"]
    await sound(workspace, record.id)


async def test_a_task_that_failed_early_is_planned_around(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    tools = Tools()
    bad, good = t("a", "test.broken"), t("a", "test.say")
    planner = Scripted([bad, lambda: tools.until("broken a"), whole(bad)], [whole(good)])
    async with serving(workspace, redis_url, tmp_path, [tools.expert()], planner):
        record = await ended(workspace, RunSpec("do it"))
    assert record.status == "done"
    assert tools.calls[-1] == "say a"
    await sound(workspace, record.id)


async def test_a_model_that_streams_starts_its_first_task_before_its_last_is_written(
    workspace: Workspace, redis_url: str, tmp_path: Path
) -> None:
    tools = Tools()
    tasks = [
        {"id": n, "title": n, "capability": "test.say", "arguments": {"text": n}} for n in "abcd"
    ]
    answer = Say(json.dumps({"tasks": tasks, "answer": ["d"]}), pieces=8, pause=0.02)
    async with OpenAIServer([answer]) as server:
        planner = LLMPlanner(RemoteSettings("small", base_url=server.url))
        async with serving(workspace, redis_url, tmp_path, [tools.expert()], planner):
            record = await ended(workspace, RunSpec("say a, b, c and d"))
        await planner.close()
    assert record.status == "done"
    events = await events_of(workspace, record.id)
    started = next(i for i, e in enumerate(events) if isinstance(e, TaskStarted))
    third = [i for i, e in enumerate(events) if isinstance(e, PlanProposed)][2]
    assert started < third
    assert sorted(tools.calls) == ["say a", "say b", "say c", "say d"]
    await sound(workspace, record.id)
