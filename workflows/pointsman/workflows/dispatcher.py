"""Runs a plan's graph: follows the run's bus and carries out what the reducer commands.

Event-driven: a result is on the bus in the act that commits it, and so is every task that it made ready;
nothing is polled and nothing waits for a sibling. Timers stand only for what must not wait for ever: the
run's deadline and the leases of running attempts.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from pointsman.router.cards import ExpertCard, Route
from pointsman.router.errors import (
    ExpertFailed,
    IllTypedArgument,
    LoopTooLong,
    PlanError,
    PointsmanError,
    RunOver,
)
from pointsman.router.events import (
    Event,
    Fault,
    Posted,
    TaskCancelled,
    TaskDone,
    TaskFailed,
    TaskRouted,
    TaskSkipped,
)
from pointsman.router.plan import Loop, Ref, TaskId, at, holds, resolve
from pointsman.router.planning.base import Prefer
from pointsman.router.routing.choice import choose
from pointsman.router.routing.observations import Observations, heartbeat, observe, tried
from pointsman.router.run import (
    Collect,
    Command,
    Drop,
    Expand,
    Fail,
    Finish,
    Node,
    RunState,
    Skip,
    Start,
    child_id,
    pending,
    step,
)
from pointsman.router.usage import Usage
from pointsman.router.values import kind_of
from pointsman.router.workspace import Owner, Workspace
from pointsman.router.workspace.keys import queue
from pointsman.workflows.respond import CONDITION

log = logging.getLogger(__name__)

CALL_SECONDS = 120.0
"""The longest that one attempt may take, within the run's deadline."""
LEASE_SLACK = 1.0
"""Seconds after the end of a lease before the attempt counts as lost."""
LOOK_AT_LEASES = 5.0
"""Seconds without an event after which the leases of running attempts are looked at."""
RECENT = 2.0
"""Seconds for which the list of live experts is taken as it was."""


class Router:
    """Chooses routes for all runs of a controller, and keeps what it has seen of the experts."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._cards: tuple[ExpertCard, ...] = ()
        self._read = 0.0
        self.observations = Observations()

    def route(
        self, capability: str, *, prefer: Prefer, exclude: Sequence[str], budget_left: int | None
    ) -> Route:
        """Raises NoExpert. `refresh` comes first."""
        now = time.time()
        arguments: dict[str, Any] = {"prefer": prefer, "budget_left": budget_left, "now": now}
        route = choose(capability, self._cards, self.observations, exclude=exclude, **arguments)
        self.observations = tried(self.observations, route.expert, capability, now)
        return route

    async def refresh(self) -> None:
        """Reads who is there, unless that was done a moment ago."""
        if time.monotonic() - self._read < RECENT:
            return
        live = await self._workspace.experts()
        self._cards = tuple(e.card for e in live)
        for expert in live:
            queued = await self._workspace.queue(queue(expert.card.name)).length()
            self.observations = heartbeat(
                self.observations,
                expert.card.name,
                expert.seen,
                queued=queued,
                workers=expert.workers,
            )
        self._read = time.monotonic()

    def saw(self, expert: str, capability: str, seconds: float, ok: bool, usage: Usage) -> None:
        """After an attempt. Bad arguments are not the expert's fault and are not told here."""
        cost = usage.cost if ok else None
        self.observations = observe(
            self.observations, expert, capability, seconds, ok, time.time(), cost=cost
        )


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which a run is dispatched. deadline: seconds since the epoch."""

    prefer: Prefer
    deadline: float


class Dispatcher:
    """One run, from its plan to the last settled task."""

    def __init__(self, workspace: Workspace, router: Router, owner: Owner, terms: Terms) -> None:
        self._workspace = workspace
        self._router = router
        self._owner = owner
        self._terms = terms
        self._expert: dict[TaskId, str] = {}
        self._asked: dict[TaskId, int] = {}

    async def run(self, state: RunState) -> RunState:
        """Follows the bus from its beginning until every task is settled; returns the last state.

        Events that lie on the bus already rebuild the state and command nothing. Raises StaleOwner when
        another controller has taken the run over, RunOver when it has ended.
        """
        run = self._owner.run
        last = "0-0"
        while page := await self._workspace.history(run, after=last):
            for posted in page:
                last = posted.id
                self._note(posted.event)
                state, _ = step(state, posted.event)
        await self._offer_again(state)
        state, commands = pending(state)
        if await self._carry_out(state, commands):
            return state
        return await self._follow(state, last)

    async def _follow(self, state: RunState, last: str) -> RunState:
        """Live: the next event, or the next timer, whichever is first."""
        events = self._workspace.events(self._owner.run, after=last)
        coming = asyncio.ensure_future(_following(events))
        try:
            while True:
                await asyncio.wait({coming}, timeout=self._until_timer(state))
                if not coming.done():
                    await self._timers(state)
                    continue
                posted = coming.result()
                if posted is None:
                    raise RunOver(self._owner.run, "ended by another")
                coming = asyncio.ensure_future(_following(events))
                self._note(posted.event, state)
                state, commands = step(state, posted.event)
                if await self._carry_out(state, commands):
                    return state
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
            await events.aclose()

    def _note(self, event: Event, state: RunState | None = None) -> None:
        """Which expert has which task; with a state, also what an attempt tells of its expert."""
        if isinstance(event, TaskRouted):
            self._expert[TaskId(event.task)] = str(event.route["expert"])
            self._asked.pop(TaskId(event.task), None)
        if state is None or not isinstance(event, TaskDone | TaskFailed):
            return
        expert = self._expert.get(TaskId(event.task))
        node = state.nodes.get(TaskId(event.task))
        if expert is None or node is None or event.attempt == 0:
            return
        if isinstance(event, TaskDone):
            usage = Usage(**event.usage)
            self._router.saw(expert, node.task.capability, event.seconds, True, usage)
        elif not event.final and event.error.fault == "expert":
            self._router.saw(expert, node.task.capability, 0.0, False, Usage())

    async def _offer_again(self, state: RunState) -> None:
        """A controller that died between opening an attempt and offering it left it unoffered.

        A second offer of the same attempt does no harm: only one claim of it is taken.
        """
        for id, node in state.nodes.items():
            if node.status == "queued" and id in self._expert:
                await self._workspace.offer(self._owner.run, id, node.attempt, self._expert[id])

    # --- timers ---------------------------------------------------------------------------------

    def _until_timer(self, state: RunState) -> float:
        """Seconds until the deadline, or until the leases of running attempts are looked at."""
        until = self._terms.deadline - time.time()
        if any(n.status == "running" and n.children is None for n in state.nodes.values()):
            until = min(until, LOOK_AT_LEASES)
        return max(0.02, until)

    async def _timers(self, state: RunState) -> None:
        now = time.time()
        if now >= self._terms.deadline and not state.cancelling:
            await self._workspace.cancel(self._owner.run, "the deadline has passed")
            return
        for task, end in (await self._workspace.leases(self._owner.run)).items():
            node = state.nodes.get(TaskId(task))
            if node is None or end + LEASE_SLACK > now or node.status != "running":
                continue
            log.warning("%s/%s: its worker is gone", self._owner.run, task)
            gone = Fault.of(ExpertFailed("its worker stopped giving signs of life"))
            await self._workspace.lose(
                self._owner.run, TaskFailed(task, node.attempt, gone, False, now)
            )

    # --- commands -------------------------------------------------------------------------------

    async def _carry_out(self, state: RunState, commands: Sequence[Command]) -> bool:
        """All at once, for they concern different tasks; true when the run is settled."""
        await asyncio.gather(*(self._do(state, command) for command in commands))
        return any(isinstance(command, Finish) for command in commands)

    async def _do(self, state: RunState, command: Command) -> None:
        match command:
            case Start():
                await self._start(state, command)
            case Expand():
                await self._expand(state, command.task)
            case Collect():
                await self._collect(command)
            case Skip():
                await self._skip(command.task, command.reason)
            case Fail():
                await self._fail(state, command.task, command.error)
            case Drop():
                event = TaskCancelled(command.task, time.time())
                await self._workspace.settle(self._owner, command.task, "cancelled", event)
            case Finish():
                pass
            case _:
                assert_never(command)

    async def _start(self, state: RunState, command: Start) -> None:
        node = state.nodes[command.task]
        results = await self._results(node)
        condition = node.task.when
        if condition is not None and not holds(condition, results):
            await self._skip(command.task, CONDITION)
            return
        try:
            call = {
                "capability": node.task.capability,
                "arguments": resolve(node.task.arguments, results, await self._item(state, node)),
                "deadline": min(self._terms.deadline, time.time() + CALL_SECONDS),
            }
            await self._router.refresh()
            route = self._router.route(
                node.task.capability,
                prefer=self._terms.prefer,
                exclude=command.exclude,
                budget_left=self._cost_left(state),
            )
            self._asked[command.task] = route.cost
        except PointsmanError as error:
            # Nothing was called: what failed before stays the reason when no other expert is left.
            await self._fail(state, command.task, node.error or Fault.of(error))
            return
        event = TaskRouted(command.task, command.attempt, route.to_json(), time.time())
        await self._workspace.route(self._owner, event, call)

    def _cost_left(self, state: RunState) -> int | None:
        """Without what was asked for and is not yet on the bus: tasks are started side by side."""
        left = state.cost_left
        return None if left is None else max(0, left - sum(self._asked.values()))

    async def _results(self, node: Node) -> dict[TaskId, Any]:
        """What the task reads; null for what was skipped."""
        wanted = list(dict.fromkeys(r.task for r in node.task.refs()))
        found = await self._workspace.slots(self._owner.run, wanted)
        return {id: found.get(id) for id in wanted}

    async def _item(self, state: RunState, node: Node) -> Any:
        if node.parent is None or node.index is None:
            return None
        loop = state.nodes[node.parent].task.for_each
        assert loop is not None
        return (await self._items(node.parent, loop))[node.index]

    async def _items(self, task: TaskId, loop: Loop) -> list[Any]:
        """The list that a `for_each` goes over; a table's rows count as objects. Raises PlanError."""
        if not isinstance(loop.over, Ref):
            return list(loop.over)
        found = await self._workspace.slots(self._owner.run, [loop.over.task])
        value = at(found.get(loop.over.task), loop.over.path, of=loop.over.task)
        if kind_of(value) == "table":
            names = [c["name"] for c in value["columns"]]
            if value.get("file"):
                raise LoopTooLong(task, int(value["row_count"]), loop.limit)
            value = [dict(zip(names, row, strict=True)) for row in value["rows"]]
        if not isinstance(value, list):
            raise IllTypedArgument(
                task, "for_each", f"needs a list or a table, got {kind_of(value)}"
            )
        if len(value) > loop.limit:
            raise LoopTooLong(task, len(value), loop.limit)
        return value

    async def _expand(self, state: RunState, id: TaskId) -> None:
        node = state.nodes[id]
        loop = node.task.for_each
        assert loop is not None
        if node.task.when is not None and not holds(node.task.when, await self._results(node)):
            await self._skip(id, CONDITION)
            return
        try:
            items = await self._items(id, loop)
        except PlanError as error:
            await self._fail(state, id, Fault.of(error))
            return
        children = [child_id(id, index) for index in range(len(items))]
        await self._workspace.expand(self._owner, id, children)

    async def _collect(self, command: Collect) -> None:
        found = await self._workspace.slots(self._owner.run, command.children)
        value = [found.get(c) for c in command.children]
        note = f"{command.failed} of {len(value)} items failed" if command.failed else ""
        event = TaskDone(
            task=command.task,
            attempt=0,
            kind="list",
            preview=f"{len(value)} items",
            note=note,
            usage=Usage().to_json(),
            seconds=0.0,
            at=time.time(),
        )
        await self._workspace.settle(self._owner, command.task, "done", event, value)

    async def _skip(self, task: TaskId, reason: str) -> None:
        event = TaskSkipped(task, reason, time.time())
        await self._workspace.settle(self._owner, task, "skipped", event)

    async def _fail(self, state: RunState, task: TaskId, error: Fault) -> None:
        attempt = state.nodes[task].attempt
        event = TaskFailed(task, attempt, error, True, time.time())
        await self._workspace.settle(self._owner, task, "failed", event)


async def _following(events: AsyncGenerator[Posted, None]) -> Posted | None:
    """The next event; None at the end. (`anext` with a default loses cancellations in Python 3.11.)"""
    try:
        return await events.__anext__()
    except StopAsyncIteration:
        return None
