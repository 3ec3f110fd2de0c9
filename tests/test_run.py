"""The reducer, held against random plans, outcomes, orders of events and cancels."""

from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.router.events import (
    CancelRequested,
    Event,
    Fault,
    PlanProposed,
    TaskCancelled,
    TaskDone,
    TaskExpanded,
    TaskFailed,
    TaskReady,
    TaskRouted,
    TaskSkipped,
    TaskStarted,
)
from pointsman.router.plan import Loop, Plan, Ref, Task, TaskId
from pointsman.router.run import (
    Collect,
    Command,
    Drop,
    Expand,
    Fail,
    Finish,
    RunState,
    Skip,
    Start,
    child_id,
    pending,
    step,
)
from pointsman.router.usage import Budget, Usage

FAULTS = (
    Fault("expert.failed", "it broke", "expert", retryable=True),
    Fault("expert.bad-arguments", "they are bad", "caller", retryable=False),
)
COST = 10


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Acyclic plans of up to eight tasks: each reads, or runs after, some of those before it."""
    tasks: list[Task] = []
    for index in range(draw(st.integers(1, 8))):
        before = [t.id for t in tasks]
        reads = draw(st.lists(st.sampled_from(before), max_size=3, unique=True)) if before else []
        after = draw(st.lists(st.sampled_from(before), max_size=2, unique=True)) if before else []
        loop = Loop((1, 2, 3)) if draw(st.integers(0, 5)) == 0 else None
        arguments = {f"a{i}": Ref(r) for i, r in enumerate(reads)}
        tasks.append(Task(TaskId(f"t{index}"), "test.echo", arguments, tuple(after), loop))
    return Plan(tuple(tasks))


class World:
    """What the workspace does, as simply as can be: countdown, attempts, one effective result."""

    def __init__(self, plan: Plan, draw: st.DataObject) -> None:
        self.plan, self.draw = plan, draw
        self.waiting = {t.id: set(t.inputs()) for t in plan.tasks}
        self.status: dict[TaskId, str] = dict.fromkeys(self.waiting, "waiting")
        self.bus: list[Event] = [PlanProposed(plan.to_json(), 1, 0.0)]
        self.open: dict[TaskId, int] = {}
        self.effective: dict[TaskId, int] = {}
        self.started: list[TaskId] = []
        for id, inputs in self.waiting.items():
            if not inputs:
                self.ready(id)

    def ready(self, id: TaskId) -> None:
        self.status[id] = "ready"
        self.bus.append(TaskReady(id, 0.0))

    def settle(self, id: TaskId, status: str, event: Event) -> None:
        assert self.status[id] not in ("done", "failed", "skipped", "cancelled")
        self.status[id] = status
        self.open.pop(id, None)
        self.bus.append(event)
        for other, inputs in self.waiting.items():
            if id in inputs:
                inputs.discard(id)
                if not inputs and self.status[other] == "waiting":
                    self.ready(other)

    def carry_out(self, command: Command) -> None:
        match command:
            case Start(task=id, attempt=attempt):
                assert self.status[id] == "ready"
                self.status[id] = "queued"
                self.open[id] = attempt
                self.started.append(id)
                route = {"expert": f"e{attempt}", "cost": COST}
                self.bus.append(TaskRouted(id, attempt, route, 0.0))
            case Expand(task=id):
                children = [child_id(id, i) for i in range(3)]
                self.status[id] = "running"
                self.bus.append(TaskExpanded(id, [str(c) for c in children], 0.0))
                for child in children:
                    self.ready(child)
            case Collect(task=id):
                self.effective[id] = self.effective.get(id, 0) + 1
                self.settle(
                    id, "done", TaskDone(id, 0, "list", "", "", Usage().to_json(), 0.0, 0.0)
                )
            case Skip(task=id, reason=reason):
                self.settle(id, "skipped", TaskSkipped(id, reason, 0.0))
            case Fail(task=id, error=error):
                self.settle(id, "failed", TaskFailed(id, 0, error, True, 0.0))
            case Drop(task=id):
                if self.status[id] not in ("done", "failed", "skipped", "cancelled"):
                    self.settle(id, "cancelled", TaskCancelled(id, 0.0))
            case Finish():
                pass

    def work(self) -> bool:
        """One open attempt ends, in any order; false when there is none."""
        if not self.open:
            return False
        id = self.draw.draw(st.sampled_from(sorted(self.open)), label="which attempt ends")
        attempt = self.open.pop(id)
        self.bus.append(TaskStarted(id, attempt, "w", 0.0))
        outcome = self.draw.draw(st.sampled_from(["done", "done", "done", "broke", "bad"]))
        if outcome == "done":
            self.effective[id] = self.effective.get(id, 0) + 1
            usage = Usage(cost=COST, calls=1).to_json()
            self.settle(id, "done", TaskDone(id, attempt, "number", "", "", usage, 0.0, 0.0))
        else:
            self.status[id] = "ready"
            error = FAULTS[0] if outcome == "broke" else FAULTS[1]
            self.bus.append(TaskFailed(id, attempt, error, False, 0.0))
        return True


def drive(plan: Plan, data: st.DataObject, budget: Budget, cancel_at: int | None) -> World:
    world, state, seen, finished, turns = World(plan, data), RunState(budget=budget), 0, 0, 0
    while True:
        while seen < len(world.bus):
            if cancel_at is not None and seen == cancel_at:
                world.bus.insert(seen, CancelRequested("enough", 0.0))
                cancel_at = None
            state, commands = step(state, world.bus[seen])
            seen += 1
            if budget.cost is not None:
                assert state.spent.cost <= budget.cost + COST * len(world.open)
            for command in commands:
                finished += isinstance(command, Finish)
                world.carry_out(command)
        turns += 1
        assert turns < 500, "the run does not end"
        if not world.work():
            break
    assert state.settled, {id: n.status for id, n in state.nodes.items()}
    assert finished >= 1
    return world


@given(plans(), st.data())
@settings(max_examples=150, deadline=None)
def test_every_run_ends_with_at_most_one_effective_result_per_task(
    plan: Plan, data: st.DataObject
) -> None:
    world = drive(plan, data, Budget(), None)
    assert all(count == 1 for count in world.effective.values())


@given(plans(), st.data(), st.integers(1, 30))
@settings(max_examples=100, deadline=None)
def test_a_cancelled_run_ends_and_starts_nothing_more(
    plan: Plan, data: st.DataObject, at: int
) -> None:
    world = drive(plan, data, Budget(), at)
    cancelled = next((i for i, e in enumerate(world.bus) if isinstance(e, CancelRequested)), None)
    if cancelled is not None:
        later = [e for e in world.bus[cancelled + 8 :] if isinstance(e, TaskRouted)]
        already = {e.task for e in world.bus[: cancelled + 8] if isinstance(e, TaskReady)}
        assert all(e.task in already for e in later)


@given(plans(), st.data(), st.integers(0, 6))
@settings(max_examples=100, deadline=None)
def test_no_more_calls_are_made_than_the_budget_has(
    plan: Plan, data: st.DataObject, calls: int
) -> None:
    world = drive(plan, data, Budget(calls=calls), None)
    assert len(world.started) <= calls


@given(plans(), st.data())
@settings(max_examples=100, deadline=None)
def test_no_task_starts_before_its_inputs_are_settled(plan: Plan, data: st.DataObject) -> None:
    world = drive(plan, data, Budget(), None)
    settled: set[str] = set()
    for event in world.bus:
        if isinstance(event, TaskRouted) and "[" not in event.task:
            assert set(plan.task(TaskId(event.task)).inputs()) <= settled
        if isinstance(event, TaskDone | TaskSkipped | TaskCancelled) or (
            isinstance(event, TaskFailed) and event.final
        ):
            settled.add(event.task)


@given(plans(), st.data())
@settings(max_examples=60, deadline=None)
def test_the_same_bus_gives_the_same_state(plan: Plan, data: st.DataObject) -> None:
    world = drive(plan, data, Budget(), None)
    once, twice = RunState(), RunState()
    for event in world.bus:
        once, _ = step(once, event)
        twice, _ = step(twice, event)
        twice, _ = step(twice, event)  # delivered again: changes nothing
    assert {i: n.status for i, n in once.nodes.items()} == {
        i: n.status for i, n in twice.nodes.items()
    }
    assert pending(once)[1] == (Finish(),)


def test_a_failed_expert_is_followed_by_another() -> None:
    plan = Plan((Task(TaskId("a"), "test.echo"),))
    state, _ = step(RunState(), PlanProposed(plan.to_json(), 1, 0.0))
    state, commands = step(state, TaskReady("a", 0.0))
    assert commands == (Start(TaskId("a"), 1, ()),)
    state, _ = step(state, TaskRouted("a", 1, {"expert": "first", "cost": 0}, 0.0))
    state, commands = step(state, TaskFailed("a", 1, FAULTS[0], False, 0.0))
    assert commands == (Start(TaskId("a"), 2, ("first",)),)


def test_bad_arguments_are_not_tried_again() -> None:
    plan = Plan((Task(TaskId("a"), "test.echo"),))
    state, _ = step(RunState(), PlanProposed(plan.to_json(), 1, 0.0))
    state, _ = step(state, TaskReady("a", 0.0))
    state, _ = step(state, TaskRouted("a", 1, {"expert": "first", "cost": 0}, 0.0))
    _, commands = step(state, TaskFailed("a", 1, FAULTS[1], False, 0.0))
    assert commands == (Fail(TaskId("a"), FAULTS[1]),)


def test_what_needs_a_failed_task_is_skipped_and_says_so() -> None:
    plan = Plan(
        (
            Task(TaskId("a"), "test.echo", title="read it"),
            Task(TaskId("b"), "test.echo", {"x": Ref(TaskId("a"))}),
        )
    )
    state, _ = step(RunState(), PlanProposed(plan.to_json(), 1, 0.0))
    state, _ = step(state, TaskReady("a", 0.0))
    state, _ = step(state, TaskFailed("a", 0, FAULTS[1], True, 0.0))
    _, commands = step(state, TaskReady("b", 0.0))
    assert commands == (Skip(TaskId("b"), "it needs 'read it', which failed"),)
