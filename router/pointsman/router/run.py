"""How a run goes on: a pure reducer, (state, event) -> (state, commands).

No clock, no loop, no Redis: the controller folds the events of the run's bus through `step` and carries
out the commands. The same fold over the same bus gives the same state, which is how another controller
takes over a run.

What it promises (tests/test_run.py holds it with random plans, orders of events, failures, cancels):
a task starts only when its inputs are settled; a task has at most one effective result; what is spent
and reserved never exceeds the budget; every run ends.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias, assert_never

from pointsman.router.errors import BudgetExceeded
from pointsman.router.events import (
    SETTLED,
    AnswerGrew,
    AnswerReady,
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


@dataclass(frozen=True, slots=True)
class Node:
    """One task of a run, or one child of a `for_each` task. `asked`: commanded to start, not yet routed."""

    task: Task
    status: TaskStatus = "waiting"
    attempt: int = 0
    tried: tuple[str, ...] = ()
    error: Fault | None = None
    asked: bool = False
    reserved: int = 0
    parent: TaskId | None = None
    index: int | None = None
    children: tuple[TaskId, ...] | None = None

    @property
    def settled(self) -> bool:
        return self.status in SETTLED


@dataclass(frozen=True, slots=True)
class RunState:
    """`spent`: what finished attempts used. reserved cost of open ones stands in their nodes."""

    budget: Budget = field(default_factory=Budget)
    plan: Plan | None = None
    version: int = 0
    nodes: Mapping[TaskId, Node] = field(default_factory=dict)
    spent: Usage = field(default_factory=Usage)
    cancelling: bool = False
    ended: bool = False

    @property
    def reserved(self) -> int:
        """Micro-dollars that open attempts may still cost."""
        return sum(n.reserved for n in self.nodes.values())

    @property
    def open_calls(self) -> int:
        return sum(
            n.asked or (n.status in ("queued", "running") and n.children is None)
            for n in self.nodes.values()
        )

    @property
    def settled(self) -> bool:
        return self.plan is not None and all(n.settled for n in self.nodes.values())

    @property
    def cost_left(self) -> int | None:
        """Micro-dollars that a new attempt may cost; None is no cap."""
        if self.budget.cost is None:
            return None
        return max(0, self.budget.cost - self.spent.cost - self.reserved)


@dataclass(frozen=True, slots=True)
class Start:
    """Check `when`, resolve the arguments, choose a route that avoids `exclude`, put it on the queue."""

    task: TaskId
    attempt: int
    exclude: tuple[str, ...] = ()


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


Command: TypeAlias = Start | Expand | Collect | Skip | Fail | Drop | Finish
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
        case TaskDone() | TaskFailed() | TaskSkipped() | TaskCancelled():
            return _came_back(state, event)
        case RunCreated() | PhaseEntered() | TaskProgressed() | AnswerGrew() | AnswerReady():
            return state, ()
        case _:
            assert_never(event)


def _planned(state: RunState, event: PlanProposed) -> Step:
    """A plan, or a later version of it: what is done stays done."""
    plan = parse_plan(event.plan)
    kept = {id: n for id, n in state.nodes.items() if n.status == "done"}
    children = {c for n in kept.values() for c in n.children or ()}
    nodes: dict[TaskId, Node] = {t.id: kept.get(t.id, Node(t)) for t in plan.tasks}
    nodes |= {id: n for id, n in state.nodes.items() if id in children}
    return replace(state, plan=plan, version=event.version, nodes=nodes), ()


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


def _start_or_fail(state: RunState, id: TaskId) -> Step:
    node = state.nodes[id]
    over = _over_budget(state)
    if over is not None:
        return state, (Fail(id, Fault.of(over)),)
    start = Start(id, node.attempt + 1, node.tried)
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
    nodes = dict(state.nodes)
    nodes[id] = replace(node, status="running", children=children)
    inner = replace(node.task, for_each=None, when=None)
    for index, child in enumerate(children):
        nodes[child] = Node(replace(inner, id=child), parent=id, index=index)
    state = replace(state, nodes=nodes)
    if state.cancelling:
        return state, tuple(Drop(c) for c in (*children, id))
    return state, () if children else (Collect(id, (), 0),)


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
            tried=(*node.tried, expert),
            reserved=int(event.route.get("cost", 0)),
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
    state = _with(state, id, node)
    return state, tuple(_after_settling(state, node))


def _attempt_failed(state: RunState, id: TaskId, node: Node, event: TaskFailed) -> Step:
    """Another expert may serve it: the router falls back to the runner-up."""
    if event.attempt != node.attempt:
        return state, ()
    spent = state.spent + Usage(calls=1)
    state = replace(state, spent=spent)
    state = _with(state, id, replace(node, status="ready", reserved=0, error=event.error))
    if state.cancelling:
        return state, (Drop(id),)
    if not event.error.retryable or event.attempt >= MAX_ATTEMPTS:
        return state, (Fail(id, event.error),)
    return _start_or_fail(state, id)


def _after_settling(state: RunState, node: Node) -> Iterator[Command]:
    if node.parent is not None:
        yield from _parent(state, state.nodes[node.parent])
    if state.settled:
        yield Finish()


def _parent(state: RunState, parent: Node) -> Iterator[Command]:
    children = parent.children or ()
    if parent.settled or not all(state.nodes[c].settled for c in children):
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
    return replace(state, nodes={**state.nodes, id: node})


def pending(state: RunState) -> Step:
    """What is still to be done for a state that was rebuilt from the bus: for a controller that takes over.

    Tasks that are queued or running are left to their workers and leases.
    """
    commands: list[Command] = []
    state = replace(state, nodes={i: replace(n, asked=False) for i, n in state.nodes.items()})
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
    if node.error is not None and (not node.error.retryable or node.attempt >= MAX_ATTEMPTS):
        return state, (Fail(id, node.error),)
    return _start_or_fail(state, id)


def child_id(parent: TaskId, index: int) -> TaskId:
    return TaskId(f"{parent}[{index}]")
