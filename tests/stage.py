"""A stage for the gateway's tests: a real Redis, the real gateway on a real port, and a controller and an
expert that play a script instead of planning and computing.
"""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pointsman.experts.base import EchoExpert
from pointsman.experts.files import LocalFiles
from pointsman.router.cards import Candidate, ExpertCard, Route
from pointsman.router.catalog import Capability, Prior
from pointsman.router.errors import RunOver, StaleAttempt
from pointsman.router.events import (
    AnswerGrew,
    AnswerReady,
    Fault,
    PhaseEntered,
    PlanProposed,
    RunEnded,
    TaskCancelled,
    TaskDone,
    TaskFailed,
    TaskProgressed,
    TaskRouted,
    TaskSkipped,
)
from pointsman.router.plan import Plan, TaskId, order, parse_plan
from pointsman.router.planning.llm.settings import RemoteSettings
from pointsman.router.values import Json, kind_of
from pointsman.router.workspace import Owner, Workspace, connect
from pointsman.services.api.app import create_app
from pointsman.services.api.gateway import ApiSettings, Embedding
from pointsman.services.api.server import Server
from pointsman.services.embedded import EmbeddedRedis

NAMES = (
    ("table.read", "read a table", "Reads a table from a file."),
    ("text.sentiment", "tell the sentiment", "Tells whether texts are positive or negative."),
    ("table.filter", "filter rows", "Keeps the rows that match."),
    ("text.topics", "group by topic", "Groups texts by what they are about."),
    ("text.key_phrases", "find key phrases", "Finds the phrases that stand out."),
    ("chart.draw", "draw a chart", "Draws a chart of a table."),
    ("math.calculate", "calculate", "Calculates exactly."),
)
CARD = ExpertCard(
    name="echo",
    kind="tool",
    description="Plays what the script says",
    serves={name: Prior() for name, _, _ in NAMES},
)
EXPERT = EchoExpert(
    *(
        Capability(
            name,
            about,
            {"type": "object", "additionalProperties": True, "properties": {}},
            {},
            title=title,
            examples=(f"please {title}",),
        )
        for name, title, about in NAMES
    ),
    card=CARD,
)


@dataclass(frozen=True)
class Script:
    """How a run goes. values: what tasks give. failing: task -> message. pace: seconds a task takes."""

    tasks: Sequence[Mapping[str, Any]] = ()
    values: Mapping[str, Json] = field(default_factory=dict)
    failing: Mapping[str, str] = field(default_factory=dict)
    answer: Mapping[str, Any] = field(default_factory=lambda: {"text": "Done.", "parts": []})
    deltas: Sequence[str] = ()
    status: str = "done"
    error: Fault | None = None
    pace: float = 0.0
    answer_of: Sequence[str] = ()


class Player:
    """Takes every run off the queue and plays the script whose key its request contains."""

    def __init__(self, workspace: Workspace, scripts: Mapping[str, Script]) -> None:
        self.workspace = workspace
        self.scripts = scripts

    async def play_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                await self.workspace.announcements.announce(
                    "w1", CARD, EXPERT.capabilities, now=time.time()
                )
                await self.workspace.announcements.controller_alive("player", now=time.time())
                run = await self.workspace.admission.take(wait=2.0)
                if run is not None:
                    group.create_task(self._play(run))

    async def _play(self, run: str) -> None:
        owner = await self.workspace.own(run, "player", lease=600)
        assert owner is not None
        request = (await self.workspace.run(run)).request
        script = next((s for key, s in self.scripts.items() if key in request), Script())
        started = time.time()
        try:
            await self._phases(owner, script)
            status, error = script.status, script.error
        except (RunOver, StaleAttempt, Cancelled):
            status, error = "cancelled", None
        seconds = time.time() - started
        with contextlib.suppress(RunOver):
            usage = {
                "cost": 1200,
                "calls": len(script.tasks),
                "input_tokens": 7,
                "output_tokens": 5,
                "seconds": seconds,
            }
            await self.workspace.finish(owner, RunEnded(status, usage, seconds, time.time(), error))  # type: ignore[arg-type]

    async def _phases(self, owner: Owner, script: Script) -> None:
        post = self.workspace.post
        await post(owner, PhaseEntered("understand", time.time()))
        await post(owner, PhaseEntered("plan", time.time()))
        if script.tasks:
            plan = parse_plan(
                {
                    "tasks": list(script.tasks),
                    "answer": list(script.answer_of),
                    "source": "embedded",
                    "confidence": 0.87,
                }
            )
            considered = [{"name": "table.filter", "score": 0.71, "detail": {}}]
            event = PlanProposed(
                plan.to_json(), 1, time.time(), considered, {"seconds": 1.4, "cost": 0}
            )
            await self.workspace.propose(owner, event)
            await self.workspace.write_plan(owner, plan, 1)
            await post(owner, PhaseEntered("dispatch", time.time()))
            await self._tasks(owner, plan, script)
        await self._stop_if_asked(owner)
        await post(owner, PhaseEntered("respond", time.time()))
        for piece in script.deltas:
            await post(owner, AnswerGrew(piece, time.time()))
        answer = dict(script.answer)
        await post(owner, AnswerReady(answer, time.time()), answer=answer)

    async def _stop_if_asked(self, owner: Owner) -> None:
        if (await self.workspace.run(owner.run)).cancel is not None:
            raise Cancelled

    async def _tasks(self, owner: Owner, plan: Plan, script: Script) -> None:
        settled = {id: asyncio.Event() for id in order(plan)}
        broken: set[TaskId] = set()

        async def one(id: TaskId) -> None:
            inputs = plan.task(id).inputs()
            for needed in inputs:
                await settled[needed].wait()
            if broken & set(inputs):
                broken.add(id)
                reason = f"it needs the result of {next(iter(broken & set(inputs)))}"
                await self.workspace.settle(
                    owner, id, "skipped", TaskSkipped(id, reason, time.time())
                )
            else:
                await self._attempt(owner, plan, id, script, broken)
            settled[id].set()

        try:
            async with asyncio.TaskGroup() as group:
                for id in settled:
                    group.create_task(one(id))
        except* (RunOver, StaleAttempt, Cancelled):
            for id, done in settled.items():
                if not done.is_set():
                    event = TaskCancelled(id, time.time())
                    await self.workspace.settle(owner, id, "cancelled", event)
            raise Cancelled from None

    async def _attempt(
        self, owner: Owner, plan: Plan, id: TaskId, script: Script, broken: set[TaskId]
    ) -> None:
        task = plan.task(id)
        route = Route(
            "echo",
            "best quality of 2 that are live; latency 0.05 s",
            (
                Candidate("echo", 0.91, 0.95, 0, 0.05, True, "quality 0.95, cost 0"),
                Candidate("remote", 0.62, 0.97, 1500, 1.2, True, "quality 0.97, cost 1500"),
            ),
            0,
            0.05,
        )
        await self.workspace.route(
            owner, TaskRouted(id, 1, route.to_json(), time.time()), {"arguments": {}}
        )
        claim = await self.workspace.claim(owner.run, id, 1, worker="w1", lease=60)
        started = time.time()
        while time.time() - started < script.pace:
            await asyncio.sleep(min(0.1, script.pace))
            await self._stop_if_asked(owner)
            share = min(1.0, (time.time() - started) / script.pace)
            progress = TaskProgressed(id, 1, share, "working", time.time())
            await self.workspace.renew(claim, lease=60, progress=progress)
        now = time.time()
        if id in script.failing:
            fault = Fault("expert.bad-arguments", script.failing[id], "caller")
            broken.add(id)
            await self.workspace.settle(owner, id, "failed", TaskFailed(id, 1, fault, True, now))
            return
        value = script.values.get(id, f"result of {task.title or id}")
        preview = (
            json.dumps(value, ensure_ascii=False)[:200] if not isinstance(value, str) else value
        )
        usage = {
            "cost": 300,
            "calls": 1,
            "input_tokens": 0,
            "output_tokens": 0,
            "seconds": now - started,
        }
        done = TaskDone(
            id, 1, kind_of(value), preview, "12 of 40 rows kept", usage, now - started, now
        )
        await self.workspace.commit(claim, value, done)


class Cancelled(Exception):
    """The run was asked to stop."""


@dataclass(frozen=True)
class Stage:
    address: str
    workspace: Workspace
    server: Server
    files: LocalFiles


@contextlib.asynccontextmanager
async def stage(
    folder: Path,
    scripts: Mapping[str, Script],
    settings: ApiSettings | None = None,
    port: int = 0,
) -> AsyncIterator[Stage]:
    """The gateway on a port of its own, with a Redis and a player behind it."""
    async with (
        EmbeddedRedis(folder / "redis") as redis,
        stage_on(redis, folder, scripts, settings, port) as made,
    ):
        yield made


@contextlib.asynccontextmanager
async def stage_on(
    redis: str,
    folder: Path,
    scripts: Mapping[str, Script],
    settings: ApiSettings | None = None,
    port: int = 0,
    remotes: Mapping[str, RemoteSettings] | None = None,
    embedders: Mapping[str, Embedding] | None = None,
) -> AsyncIterator[Stage]:
    workspace = Workspace(connect(redis))
    player = asyncio.ensure_future(Player(workspace, scripts).play_all())
    try:
        async with gateway(workspace, folder, settings, port, remotes, embedders) as server:
            files = LocalFiles(folder / "files")
            yield Stage(server.address, workspace, server, files)
    finally:
        player.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await player
        await workspace.close()


@contextlib.asynccontextmanager
async def gateway(
    workspace: Workspace,
    folder: Path,
    settings: ApiSettings | None = None,
    port: int = 0,
    remotes: Mapping[str, RemoteSettings] | None = None,
    embedders: Mapping[str, Embedding] | None = None,
) -> AsyncIterator[Server]:
    files = LocalFiles(folder / "files")
    app = create_app(workspace, files, settings, remotes=remotes, embedders=embedders)
    server = Server(app, port=port)
    serving = asyncio.ensure_future(server._serve())
    try:
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        yield server
    finally:
        server.should_exit = True
        await serving


@contextlib.contextmanager
def stage_in_thread(
    folder: Path, scripts: Mapping[str, Script], settings: ApiSettings | None = None, port: int = 0
) -> Iterator[str]:
    """The stage in a thread of its own, for clients that block; gives its address."""

    @contextlib.asynccontextmanager
    async def address() -> AsyncIterator[str]:
        async with stage(folder, scripts, settings, port) as made:
            yield made.address

    with in_thread(address()) as found:
        yield found


@contextlib.contextmanager
def in_thread(opened: contextlib.AbstractAsyncContextManager[str]) -> Iterator[str]:
    """What `opened` gives, which is open in a thread with a loop of its own."""
    up = threading.Event()
    found: list[str] = []
    failed: list[BaseException] = []
    stop: list[asyncio.Event] = []
    loops: list[asyncio.AbstractEventLoop] = []

    async def main() -> None:
        async with opened as made:
            found.append(made)
            stop.append(asyncio.Event())
            loops.append(asyncio.get_running_loop())
            up.set()
            await stop[0].wait()

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread of the test
            failed.append(error)
        finally:
            up.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        up.wait(30)
        if failed:
            raise failed[0]
        yield found[0]
    finally:
        if loops and not failed:
            loops[0].call_soon_threadsafe(stop[0].set)
        thread.join(20)
    if failed:
        raise failed[0]
