"""How a run goes on: a pure reducer, (state, event) -> (state, commands).

No clock, no loop, no Redis: the controller folds the events of the run's bus through `step` and carries
out the commands. The same fold over the same bus gives the same state, which is how another controller
takes over a run.

What it promises (tests/test_run.py holds it with random plans, orders of events, failures, cancels):
a task starts only when its inputs are settled; a task has at most one effective result; what is spent
and reserved never exceeds the budget; every run ends. A step costs O(log n) of n tasks.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, assert_never

from immutables import Map

from pointsman.router.errors import ApprovalDenied, ApprovalExpired, BudgetExceeded, PoisonTask
from pointsman.router.events import (
    SETTLED,
    AnswerGrew,
    AnswerReady,
    ApprovalDecided,
    ApprovalRequested,
    CancelRequested,
    Event,
    Fault,
    PhaseEntered,
    PlanProposed,
    RunCreated,
    RunEnded,
    TaskCancelled,
    TaskDone,
    TaskExpanded,
    TaskFailed,
    TaskProgressed,
    TaskReady,
    TaskRouted,
    TaskSkipped,
    TaskStarted,
    TaskStatus,
)
from pointsman.router.plan import Plan, Task, TaskId, parse_plan
from pointsman.router.usage import USAGE, Budget, Usage

MAX_ATTEMPTS = 3


POISON = 3
"""Workers that may be lost over one task before it is held to be the cause."""
AGAIN = frozenset(
    {
        "expert.timeout",
        "expert.overloaded",
        "expert.unavailable",
        "expert.worker-lost",
        "expert.worker-stopped",
    }
)
"""Faults that pass: the same expert may serve the task later. After any other only another expert may."""
NOT_COUNTED = frozenset({"expert.worker-lost", "expert.worker-stopped"})
"""Faults that say nothing of the expert: they do not use up the task's attempts."""


@dataclass(frozen=True, slots=True)
class Node:
    """One task of a run, or one child of a `for_each` task.

    asked: commanded to start, not yet routed. tried: experts that failed it. failures: attempts that
    count; lost: workers that died over it. approval: the request that is pending; approved: the digest
    that a person said yes to; given: the arguments of it. left: children that are not settled.
    """

    task: Task
    status: TaskStatus = "waiting"
    attempt: int = 0
    expert: str = ""
    tried: tuple[str, ...] = ()
    failures: int = 0
    lost: int = 0
    error: Fault | None = None
    asked: bool = False
    reserved: int = 0
    approval: ApprovalRequested | None = None
    decision: ApprovalDecided | None = None
    approved: str | None = None
    given: Mapping[str, Any] | None = None
    parent: TaskId | None = None
    index: int | None = None
    children: tuple[TaskId, ...] | None = None
    left: int = 0

    @property
    def settled(self) -> bool:
        return self.status in SETTLED

    @property
    def open(self) -> bool:
        """An attempt is asked for, queued or running."""
        return self.asked or (self.status in ("queued", "running") and self.children is None)


@dataclass(frozen=True, slots=True)
class RunState:
    """`spent`: what finished attempts used.

    Counted as it goes: reserved, micro-dollars that open attempts may still cost; open_calls, attempts
    that are open; unsettled tasks; held ones.
    """

    budget: Budget = field(default_factory=Budget)
    plan: Plan | None = None
    version: int = 0
    nodes: Map[TaskId, Node] = field(default_factory=Map)
    spent: Usage = field(default_factory=Usage)
    cancelling: bool = False
    ended: bool = False
    reserved: int = 0
    open_calls: int = 0
    unsettled: int = 0
    held: int = 0

    @property
    def settled(self) -> bool:
        return self.plan is not None and self.unsettled == 0

    @property
    def cost_left(self) -> int | None:
        """Micro-dollars that a new attempt may cost; None is no cap."""
        if self.budget.cost is None:
            return None
        return max(0, self.budget.cost - self.spent.cost - self.reserved)


@dataclass(frozen=True, slots=True)
class Start:
    """Check `when`, resolve the arguments, choose a route that avoids `exclude`, put it on the queue.

    not_before: seconds since the epoch. again: when no other expert is left, the same one may serve it.
    """

    task: TaskId
    attempt: int
    exclude: tuple[str, ...] = ()
    not_before: float = 0.0
    again: bool = False


@dataclass(frozen=True, slots=True)
class Expand:
    """Make the children of a `for_each` task."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class Collect:
    """Commit a `for_each` task: the list of its children's results, null where one failed."""

    task: TaskId
    children: tuple[TaskId, ...]
    failed: int


@dataclass(frozen=True, slots=True)
class Ask:
    """A `once` effect of the task is unknown: hold the task and ask a person."""

    task: TaskId
    error: Fault


@dataclass(frozen=True, slots=True)
class Settle:
    """A person gave the task's result: commit it."""

    task: TaskId
    value: Any


@dataclass(frozen=True, slots=True)
class Skip:
    task: TaskId
    reason: str


@dataclass(frozen=True, slots=True)
class Fail:
    """No further attempt: the task has failed for good."""

    task: TaskId
    error: Fault


@dataclass(frozen=True, slots=True)
class Drop:
    """Cancel a task: queued or running work is stopped, a late commit is refused."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class Finish:
    """Every task is settled."""


Command: TypeAlias = Start | Ask | Settle | Expand | Collect | Skip | Fail | Drop | Finish
Step: TypeAlias = tuple[RunState, tuple[Command, ...]]


def step(state: RunState, event: Event) -> Step:
    """One event. Events that no longer matter (a late or repeated one) change nothing."""
    match event:
        case PlanProposed():
            return _planned(state, event)
        case CancelRequested():
            return _cancelling(state)
        case RunEnded():
            return replace(state, ended=True), ()
        case TaskReady() | TaskExpanded():
            return _opened(state, event)
        case TaskRouted() | TaskStarted():
            return _under_way(state, event), ()
        case ApprovalRequested():
            return _asked_for(state, event), ()
        case ApprovalDecided():
            return _decided(state, event)
        case TaskDone() | TaskFailed() | TaskSkipped() | TaskCancelled():
            return _came_back(state, event)
        case RunCreated() | PhaseEntered() | TaskProgressed() | AnswerGrew() | AnswerReady():
            return state, ()
        case _:
            assert_never(event)


def _planned(state: RunState, event: PlanProposed) -> Step:
    """A plan, or a later version of it: what is done stays done.

    Until it is whole for the first time (version 1), what was begun of it goes on as it is.
    """
    plan = parse_plan(event.plan)
    begun = {t.id: t for t in plan.tasks} if event.version <= 1 else {}
    kept = {id: n for id, n in state.nodes.items() if n.status == "done" or n.task == begun.get(id)}
    children = {c for n in kept.values() for c in n.children or ()}
    nodes: dict[TaskId, Node] = {t.id: kept.get(t.id, Node(t)) for t in plan.tasks}
    nodes |= {id: n for id, n in state.nodes.items() if id in children}
    return _counted(replace(state, plan=plan, version=event.version, nodes=Map(nodes))), ()


def _counted(state: RunState) -> RunState:
    nodes = state.nodes.values()
    return replace(
        state,
        reserved=sum(n.reserved for n in nodes),
        open_calls=sum(n.open for n in nodes),
        unsettled=sum(not n.settled for n in nodes),
        held=sum(n.status == "held" for n in nodes),
    )


def _cancelling(state: RunState) -> Step:
    if state.cancelling:
        return state, ()
    state = replace(state, cancelling=True)
    return state, tuple(Drop(id) for id, n in state.nodes.items() if not n.settled)


def _opened(state: RunState, event: TaskReady | TaskExpanded) -> Step:
    if isinstance(event, TaskExpanded):
        return _expanded(state, event)
    id = TaskId(event.task)
    node = state.nodes.get(id)
    if node is None or node.status != "waiting":
        return state, ()
    state = _with(state, id, replace(node, status="ready"))
    if state.cancelling:
        return state, (Drop(id),)
    blocked = _blocked(state, node)
    if blocked is not None:
        return state, (Skip(id, blocked),)
    if node.task.for_each is not None:
        return state, (Expand(id),)
    return _start_or_fail(state, id)


def _blocked(state: RunState, node: Node) -> str | None:
    """Why a ready task cannot run: something that it reads, or runs after, has no result."""
    reads = {r.task for r in node.task.refs()}
    if node.task.when is not None:
        reads.discard(node.task.when.ref.task)
    for id in node.task.inputs():
        other = state.nodes.get(id)
        if other is None:
            continue
        what = other.task.title or id
        if other.status in ("failed", "cancelled"):
            return f"it needs {what!r}, which {other.status}"
        if other.status == "skipped" and id in reads:
            return f"it needs {what!r}, which was skipped"
    return None


def _start_or_fail(state: RunState, id: TaskId, at: float = 0.0) -> Step:
    node = state.nodes[id]
    over = _over_budget(state)
    if over is not None:
        return state, (Fail(id, Fault.of(over)),)
    error = node.error
    again = error is not None and error.code in AGAIN
    start = Start(id, node.attempt + 1, node.tried, at, again)
    return _with(state, id, replace(node, asked=True)), (start,)


def _over_budget(state: RunState) -> BudgetExceeded | None:
    budget, spent = state.budget, state.spent
    if budget.calls is not None and spent.calls + state.open_calls >= budget.calls:
        return BudgetExceeded("calls", 1, 0)
    if budget.tokens is not None and spent.tokens >= budget.tokens:
        return BudgetExceeded("tokens", 1, 0)
    if budget.cost is not None and spent.cost + state.reserved > budget.cost:
        return BudgetExceeded("micro-dollars", 1, 0)
    return None


def _expanded(state: RunState, event: TaskExpanded) -> Step:
    id = TaskId(event.task)
    node = state.nodes.get(id)
    if node is None or node.children is not None or node.settled:
        return state, ()
    children = tuple(TaskId(c) for c in event.children)
    inner = replace(node.task, for_each=None, when=None)
    made = {
        child: Node(replace(inner, id=child), status="ready", parent=id, index=index)
        for index, child in enumerate(children)
    }
    made[id] = replace(node, status="running", children=children, left=len(children))
    unsettled = state.unsettled + len(children)
    state = replace(state, nodes=state.nodes.update(made), unsettled=unsettled)
    if state.cancelling:
        return state, tuple(Drop(c) for c in (*children, id))
    if not children:
        return state, (Collect(id, (), 0),)
    commands: list[Command] = []
    for child in children:
        state, more = _start_or_fail(state, child)
        commands.extend(more)
    return state, tuple(commands)


def _under_way(state: RunState, event: TaskRouted | TaskStarted) -> RunState:
    id = TaskId(event.task)
    node = state.nodes.get(id)
    if node is None or node.settled:
        return state
    if isinstance(event, TaskStarted):
        if event.attempt != node.attempt:
            return state
        return _with(state, id, replace(node, status="running"))
    expert = str(event.route["expert"])
    return _with(
        state,
        id,
        replace(
            node,
            status="queued",
            asked=False,
            attempt=event.attempt,
            expert=expert,
            reserved=int(event.route.get("most") or event.route.get("cost", 0)),
        ),
    )


def _came_back(state: RunState, event: TaskDone | TaskFailed | TaskSkipped | TaskCancelled) -> Step:
    id = TaskId(event.task)
    node = state.nodes.get(id)
    if node is None or node.settled:
        return state, ()
    match event:
        case TaskDone():
            state = replace(state, spent=state.spent + USAGE.validate_python(event.usage))
            node = replace(node, status="done", asked=False, reserved=0, error=None)
        case TaskFailed():
            if not event.final:
                return _attempt_failed(state, id, node, event)
            node = replace(node, status="failed", asked=False, reserved=0, error=event.error)
        case TaskSkipped():
            node = replace(node, status="skipped", asked=False, reserved=0)
        case TaskCancelled():
            node = replace(node, status="cancelled", asked=False, reserved=0)
        case _:
            assert_never(event)
    state = _with(state, id, replace(node, approval=None))
    if node.parent is not None:
        parent = state.nodes[node.parent]
        state = _with(state, node.parent, replace(parent, left=parent.left - 1))
    return state, tuple(_after_settling(state, node))


def _attempt_failed(state: RunState, id: TaskId, node: Node, event: TaskFailed) -> Step:
    """Another expert may serve it: the router falls back to the runner-up."""
    if event.attempt != node.attempt or node.status == "ready":
        return state, ()
    code = event.error.code
    counts = code not in NOT_COUNTED
    spent = state.spent + Usage(calls=1)
    node = replace(
        node,
        status="ready",
        reserved=0,
        error=event.error,
        failures=node.failures + counts,
        lost=node.lost + (code == "expert.worker-lost"),
        tried=(*node.tried, node.expert) if counts else node.tried,
    )
    state = _with(replace(state, spent=spent), id, node)
    if state.cancelling:
        return state, (Drop(id),)
    return _after_failure(state, id, node, event.at)


def _after_failure(state: RunState, id: TaskId, node: Node, at: float) -> Step:
    """By the class of the error: ask a person, give up, or try once more."""
    error = node.error
    assert error is not None
    if error.code == "expert.effect-unknown":
        return state, (Ask(id, error),)
    if node.lost >= POISON:
        return state, (Fail(id, Fault.of(PoisonTask(node.lost))),)
    if not error.retryable or node.failures >= MAX_ATTEMPTS:
        return state, (Fail(id, error),)
    wait = at + error.retry_after if error.retry_after else 0.0
    return _start_or_fail(state, id, wait)


def _asked_for(state: RunState, event: ApprovalRequested) -> RunState:
    """The task is held; another request (an edit) takes the place of the one before."""
    id = TaskId(event.task)
    node = state.nodes.get(id)
    if node is None or node.settled:
        return state
    return _with(state, id, replace(node, status="held", asked=False, approval=event))


def _decided(state: RunState, event: ApprovalDecided) -> Step:
    id = TaskId(event.task)
    node = state.nodes.get(id)
    if node is None or node.approval is None or node.approval.approval != event.approval:
        return state, ()
    request = node.approval
    if event.decision == "edited":  # the request that takes its place is the next event
        return state, ()
    node = replace(node, status="ready", approval=None, decision=event)
    if event.decision == "approved":
        node = replace(
            node,
            approved=request.digest,
            given=request.arguments,
            error=None,
            decision=None,
            tried=(),
            failures=0,
        )
    state = _with(state, id, node)
    if state.cancelling:
        return state, (Drop(id),)
    return _after_decision(state, id, event)


def _after_decision(state: RunState, id: TaskId, event: ApprovalDecided) -> Step:
    match event.decision:
        case "approved" | "edited":
            return _start_or_fail(state, id)
        case "done":
            return state, (Settle(id, event.value),)
        case "denied":
            return state, (Fail(id, Fault.of(ApprovalDenied(event.by, event.note))),)
        case "expired":
            return state, (Fail(id, Fault.of(ApprovalExpired())),)
        case _:
            assert_never(event.decision)


def _after_settling(state: RunState, node: Node) -> Iterator[Command]:
    if node.parent is not None:
        yield from _parent(state, state.nodes[node.parent])
    if state.settled:
        yield Finish()


def _parent(state: RunState, parent: Node) -> Iterator[Command]:
    children = parent.children or ()
    if parent.settled or parent.left:
        return
    if state.cancelling:
        yield Drop(parent.task.id)
        return
    failed = [n for n in (state.nodes[c] for c in children) if n.status != "done"]
    if children and len(failed) == len(children):
        error = failed[0].error or Fault("expert.failed", "no item could be done", "expert")
        yield Fail(parent.task.id, error)
    else:
        yield Collect(parent.task.id, children, len(failed))


def _with(state: RunState, id: TaskId, node: Node) -> RunState:
    old = state.nodes[id]
    return replace(
        state,
        nodes=state.nodes.set(id, node),
        reserved=state.reserved + node.reserved - old.reserved,
        open_calls=state.open_calls + node.open - old.open,
        unsettled=state.unsettled + old.settled - node.settled,
        held=state.held + (node.status == "held") - (old.status == "held"),
    )


def pending(state: RunState) -> Step:
    """What is still to be done for a state that was rebuilt from the bus: for a controller that takes over.

    Tasks that are queued or running are left to their workers and leases, held ones to a person.
    """
    commands: list[Command] = []
    asked = {i: replace(n, asked=False) for i, n in state.nodes.items() if n.asked}
    state = _counted(replace(state, nodes=state.nodes.update(asked)))
    for id, node in state.nodes.items():
        if node.settled:
            continue
        if state.cancelling:
            commands.append(Drop(id))
        elif node.children is not None:
            commands.extend(_parent(state, node))
        elif node.status == "ready":
            state, again = _again(state, id, node)
            commands.extend(again)
    if state.settled:
        commands.append(Finish())
    return state, tuple(commands)


def _again(state: RunState, id: TaskId, node: Node) -> Step:
    blocked = _blocked(state, node)
    if blocked is not None:
        return state, (Skip(id, blocked),)
    if node.task.for_each is not None:
        return state, (Expand(id),)
    if node.decision is not None:
        return _after_decision(state, id, node.decision)
    if node.error is not None:
        return _after_failure(state, id, node, 0.0)
    return _start_or_fail(state, id)


def child_id(parent: TaskId, index: int) -> TaskId:
    return TaskId(f"{parent}[{index}]")
