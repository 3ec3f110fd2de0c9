"""Runs a plan's graph: follows the run's bus and carries out what the reducer commands.

Event-driven: a result is on the bus in the act that commits it, and so is every task that it made ready;
nothing is polled and nothing waits for a sibling. Timers stand only for what must not wait for ever: the
run's deadline, leases of running attempts, queued attempts that nobody takes, people who do not decide.

A run has only so many tasks with the experts at once as those can run, twice over: the rest waits here. So
an expert's queue is short however large a run is, and a small run beside it is served in turn.
"""

import asyncio
import heapq
import logging
import time
from collections import defaultdict, deque
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import Any, assert_never

from pointsman.router.errors import (
    ExpertTimeout,
    ExpertUnavailable,
    NoExpert,
    PointsmanError,
    RunOver,
    WorkerLost,
)
from pointsman.router.events import (
    Event,
    Fault,
    Posted,
    RunEnded,
    TaskCancelled,
    TaskDone,
    TaskFailed,
    TaskRouted,
)
from pointsman.router.plan import TaskId
from pointsman.router.run import (
    Ask,
    Collect,
    Command,
    Drop,
    Expand,
    Fail,
    Finish,
    Node,
    RunState,
    Settle,
    Skip,
    Start,
    pending,
    step,
)
from pointsman.router.usage import Usage
from pointsman.router.workspace import Approval, Owner, Workspace
from pointsman.router.workspace.watching import PAGE
from pointsman.workflows.choosing import Router
from pointsman.workflows.estimates import RUN_SECONDS
from pointsman.workflows.starting import CALL_SECONDS, Starter, Terms

log = logging.getLogger(__name__)

LEASE_SLACK = 1.0
"""Seconds after the end of a lease before the attempt counts as lost."""
LOOK = 2.5
"""Seconds between looks at leases, queued attempts and pending approvals."""
OFFER_AGAIN = 10.0
"""Seconds after which an attempt that nobody claims is offered again, doubled each time: the offer was lost."""
WINDOW = 2
"""Tasks of a run with the experts, for each place that they have."""
NOBODY_SECONDS = 20.0
"""How long a task waits for an expert that was there when it was planned."""
BACKOFF = 0.25
"""Seconds before the same expert is asked again, doubled with each failure."""
AFTER_A_DECISION = RUN_SECONDS
"""Seconds that a run has from the last decision of a person on, when its caller set no deadline."""


class Parked(Exception):
    """The run has been let go of; a decision, or the time it expires, brings it back."""


class Dispatcher:
    """One run, from its plan to the last settled task."""

    def __init__(self, workspace: Workspace, router: Router, owner: Owner, terms: Terms) -> None:
        self._workspace = workspace
        self._router = router
        self._owner = owner
        self._terms = terms
        self._starter = Starter(workspace, router, owner, terms)
        self._deadline = terms.deadline
        self._waiting: dict[str, deque[Start]] = defaultdict(deque)
        self._later: list[tuple[float, int, Start]] = []
        self._numbers = count()
        self._open: dict[str, set[TaskId]] = defaultdict(set)
        self._queued_since: dict[TaskId, float] = {}
        self._offers: dict[TaskId, int] = {}
        self._nobody_since: dict[TaskId, float] = {}
        # after a takeover at once: the owner before may have died with its workers
        self._next_look = time.time() + (LOOK if owner.epoch == 1 else 0.0)

    async def run(self, state: RunState) -> RunState:
        """Follows the bus from its beginning until every task is settled; returns the last state.

        Events that lie on the bus already rebuild the state and command nothing. Raises StaleOwner when
        another controller has taken the run over, RunOver when it has ended, Parked.
        """
        run = self._owner.run
        with self._workspace.wakeups.on(run) as grown:
            await self._workspace.wakeups.ready()
            state, last = await self._rebuilt(state)
            await self._offer_again(state)
            if state.held:
                self._next_look = 0.0  # a parked run is brought back when a person's time is over
            state, resumed = pending(state)
            commands = list(resumed)
            more = False
            while not await self._carry_out(state, commands):
                if not more:
                    await self._park_if_idle(state, last)
                    await self._wait(grown, state)
                    await self._timers(state)
                grown.clear()  # before the read: what comes while it is under way wakes us again
                page = await self._workspace.history(run, after=last)
                last, more = page[-1].id if page else last, len(page) == PAGE
                state, commands = self._fold(state, page)
            return state

    async def _rebuilt(self, state: RunState) -> tuple[RunState, str]:
        last = "0-0"
        while page := await self._workspace.history(self._owner.run, after=last):
            last = page[-1].id
            for posted in page:
                state, _ = step(state, posted.event)
                self._note(posted.event, state, live=False)
            if len(page) < PAGE:
                break
            await asyncio.sleep(0)  # a long bus must not keep the leases of other runs waiting
        return state, last

    def _fold(self, state: RunState, page: Sequence[Posted]) -> tuple[RunState, list[Command]]:
        commands: list[Command] = []
        for posted in page:
            if isinstance(posted.event, RunEnded):
                raise RunOver(self._owner.run, posted.event.status)
            self._note(posted.event, state, live=True)
            state, more = step(state, posted.event)
            commands.extend(more)
        return state, commands

    def _note(self, event: Event, state: RunState, *, live: bool) -> None:
        """Which tasks are with experts; and, live, what an attempt tells of its expert."""
        task = TaskId(getattr(event, "task", ""))
        node = state.nodes.get(task)
        if node is None:
            return
        if isinstance(event, TaskRouted):
            self._starter.routed(task)
            self._queued_since[task] = event.at
            self._offers.pop(task, None)
            self._open[node.task.capability].add(task)
            return
        if event.type == "task.started":
            self._queued_since.pop(task, None)
        if event.type == "approval.decided":
            self._deadline = max(self._deadline, event.at + AFTER_A_DECISION)
        if event.type in CAME_BACK:
            self._queued_since.pop(task, None)
            self._open[node.task.capability].discard(task)
            if live:
                self._learn(event, node)

    def _learn(self, event: Event, node: Node) -> None:
        if isinstance(event, TaskDone) and event.attempt:
            usage = Usage(**event.usage)
            self._router.saw(node.expert, node.task.capability, event.seconds, True, usage)
        elif isinstance(event, TaskFailed) and not event.final and event.error.fault == "expert":
            self._router.saw(node.expert, node.task.capability, 0.0, False, Usage())

    async def _offer_again(self, state: RunState) -> None:
        """A controller that died between opening an attempt and offering it left it unoffered.

        A second offer of the same attempt does no harm: only one claim of it is taken.
        """
        for id, node in state.nodes.items():
            if node.status == "queued":
                await self._workspace.offer(self._owner.run, id, node.attempt, node.expert)

    # --- waiting --------------------------------------------------------------------------------

    def _end(self, state: RunState) -> float | None:
        """The run's deadline, seconds since the epoch; None while it waits for people."""
        if self._terms.fixed:
            return self._terms.deadline
        return None if state.held else self._deadline

    async def _wait(self, grown: asyncio.Event, state: RunState) -> None:
        until = [self._next_look]
        if (end := self._end(state)) is not None and not state.cancelling:
            until.append(end)
        if self._later:
            until.append(self._later[0][0])
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.005, min(until) - time.time())):
                await grown.wait()

    async def _park_if_idle(self, state: RunState, last: str) -> None:
        idle = state.held and not (state.open_calls or self._later or state.cancelling)
        if not idle or any(self._waiting.values()):
            return
        ends = [n.approval.expires for n in state.nodes.values() if n.approval is not None]
        if self._terms.fixed:
            ends.append(self._terms.deadline)
        if min(ends) <= time.time():
            return  # its time has come: the timers decide
        if await self._workspace.park(self._owner, last, min(ends)):
            raise Parked

    async def _timers(self, state: RunState) -> None:
        now = time.time()
        end = self._end(state)
        if end is not None and now >= end and not state.cancelling:
            await self._workspace.cancel(self._owner.run, "the deadline has passed")
        if now < self._next_look:
            return
        self._next_look = now + LOOK
        await self._router.refresh()
        leases = await self._workspace.leases(self._owner.run)
        for task, until in leases.items():
            if until + LEASE_SLACK <= now:
                await self._lose(state, TaskId(task), WorkerLost())
        for task, since in list(self._queued_since.items()):
            node = state.nodes[task]
            if node.status != "queued":
                continue
            if since + CALL_SECONDS <= now:
                await self._lose(state, task, ExpertTimeout(node.expert, CALL_SECONDS))
            elif now - since >= OFFER_AGAIN * 2 ** self._offers.get(task, 0):
                self._offers[task] = self._offers.get(task, 0) + 1
                await self._workspace.offer(self._owner.run, task, node.attempt, node.expert)
            elif not self._router.is_there(node.expert) and since + LOOK <= now:
                why = f"{node.expert} has no worker any more"
                await self._lose(state, task, ExpertUnavailable(why))
        await self._expire(state, now)

    async def _lose(self, state: RunState, task: TaskId, error: PointsmanError) -> None:
        node = state.nodes.get(task)
        if node is None or node.settled or node.children is not None:
            return
        log.warning("%s/%s: %s", self._owner.run, task, error)
        event = TaskFailed(task, node.attempt, Fault.of(error), False, time.time())
        await self._workspace.lose(self._owner.run, event)

    async def _expire(self, state: RunState, now: float) -> None:
        if not state.held:
            return
        for node in state.nodes.values():
            asked = node.approval
            if node.status == "held" and asked is not None and asked.expires <= now:
                await self._workspace.expire(self._owner.run, Approval.of(asked))

    # --- commands -------------------------------------------------------------------------------

    async def _carry_out(self, state: RunState, commands: Iterable[Command]) -> bool:
        """All at once, for they concern different tasks; true when the run is settled."""
        doing: list[Coroutine[Any, Any, None]] = []
        settled = False
        for command in commands:
            if isinstance(command, Start):
                self._line_up(state, command)
            elif isinstance(command, Finish):
                settled = True
            else:
                doing.append(self._do(state, command))
        if self._later or any(self._waiting.values()):
            await self._router.refresh()
            doing.extend(self._start(state, command) for command in self._free_to_start(state))
        if len(doing) == 1:
            await doing[0]
        elif doing:
            await asyncio.gather(*doing)
        return settled

    def _line_up(self, state: RunState, command: Start) -> None:
        if command.not_before > time.time():
            self._put_off(command)
        else:
            self._waiting[state.nodes[command.task].task.capability].append(command)

    def _put_off(self, command: Start) -> None:
        heapq.heappush(self._later, (command.not_before, next(self._numbers), command))

    def _free_to_start(self, state: RunState) -> list[Start]:
        """Those that wait and for which there is room with the experts."""
        now = time.time()
        while self._later and self._later[0][0] <= now:
            command = heapq.heappop(self._later)[2]
            self._waiting[state.nodes[command.task].task.capability].append(command)
        found: list[Start] = []
        for capability, line in self._waiting.items():
            places = max(1, self._router.places(capability))
            room = max(1, round(WINDOW * places * min(1.0, self._terms.weight)))
            busy = self._open[capability]
            while line and len(busy) < room:
                command = line.popleft()
                if state.nodes[command.task].asked:  # else it was settled meanwhile
                    busy.add(command.task)
                    found.append(command)
        return found

    async def _start(self, state: RunState, command: Start) -> None:
        end = self._end(state) or time.time() + AFTER_A_DECISION
        nobody = await self._starter.start(state, command, deadline=end)
        if nobody is None:
            self._nobody_since.pop(command.task, None)
            return
        self._open[state.nodes[command.task].task.capability].discard(command.task)
        await self._nobody(state, command, nobody)

    async def _nobody(self, state: RunState, command: Start, error: NoExpert) -> None:
        """No expert is left: one that failed for a passing reason is asked again, one that is away awaited."""
        node, now = state.nodes[command.task], time.time()
        away = self._router.places(node.task.capability) == 0
        since = self._nobody_since.setdefault(command.task, now)
        if away and now < since + NOBODY_SECONDS:
            wait = LOOK / 2
        elif not away and command.again and command.exclude:
            wait = BACKOFF * 2.0 ** max(0, node.failures - 1)
        else:
            # Nothing was called: what failed before stays the reason when no other expert is left.
            await self._starter.fail(state, command.task, node.error or Fault.of(error))
            return
        exclude = command.exclude if away else ()
        self._put_off(replace(command, exclude=exclude, not_before=now + wait))

    async def _do(self, state: RunState, command: Command) -> None:
        match command:
            case Ask():
                await self._starter.ask(state, command)
            case Settle():
                await self._starter.settle(state, command)
            case Expand():
                await self._starter.expand(state, command.task)
            case Collect():
                await self._starter.collect(state, command)
            case Skip():
                await self._starter.skip(command.task, command.reason)
            case Fail():
                await self._starter.fail(state, command.task, command.error)
            case Drop():
                event = TaskCancelled(command.task, time.time())
                await self._workspace.settle(self._owner, command.task, "cancelled", event)
            case Start() | Finish():
                pass
            case _:
                assert_never(command)


CAME_BACK = frozenset(
    {"task.done", "task.failed", "task.skipped", "task.cancelled", "approval.requested"}
)
"""Events after which a task is with no expert."""
