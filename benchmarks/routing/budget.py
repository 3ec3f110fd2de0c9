"""Budgets: random runs with tasks side by side never spend more than their cap; the knob trades without waste.

The real reducer (`router/run.py`) and the real choice, with the workspace as an in-memory list of events: attempts
end in any order, fail, are routed again. Each call costs a random amount up to what its expert's card says.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from benchmarks.routing import Options
from pointsman.router.cards import ExpertCard
from pointsman.router.catalog import Prior
from pointsman.router.errors import NoExpert
from pointsman.router.events import (
    Event,
    Fault,
    PlanProposed,
    TaskCancelled,
    TaskDone,
    TaskFailed,
    TaskReady,
    TaskRouted,
    TaskSkipped,
    TaskStarted,
)
from pointsman.router.plan import Plan, Ref, Task, TaskId
from pointsman.router.routing import Observations, choose, heartbeat, observe
from pointsman.router.run import Command, Drop, Fail, RunState, Skip, Start, step
from pointsman.router.usage import Budget, Usage

RUNS = 10_000
NOW = 1_800_000_000.0
WHAT = "test.echo"
BROKE = Fault("expert.failed", "it broke", "expert", retryable=True)
KNOBS = [k / 20 for k in range(21)]


@dataclass
class Trial:
    """One run. by_mean: reserve what a call is expected to cost instead of what it may, for comparison."""

    rng: np.random.Generator
    plan: Plan
    cards: list[ExpertCard]
    seen: Observations
    cap: int
    by_mean: bool
    bus: list[Event] = field(default_factory=list)
    open: dict[TaskId, tuple[int, str]] = field(default_factory=dict)
    settled: set[TaskId] = field(default_factory=set)
    spent: int = 0
    most_open: int = 0

    def run(self) -> None:
        state, at = RunState(budget=Budget(cost=self.cap)), 0
        self.bus.append(PlanProposed(self.plan.to_json(), 1, NOW))
        self.bus += [TaskReady(t.id, NOW) for t in self.plan.tasks if not t.inputs()]
        while at < len(self.bus) or self.open:
            asked: dict[TaskId, int] = {}
            while at < len(self.bus):
                # as the dispatcher: what it asked for and is not yet on the bus is kept apart
                if isinstance(event := self.bus[at], TaskRouted):
                    asked.pop(TaskId(event.task), None)
                state, commands = step(state, event)
                at += 1
                for command in commands:
                    self.carry_out(command, state, asked)
            self.most_open = max(self.most_open, len(self.open))
            if self.open:
                self.end_one()

    def carry_out(self, command: Command, state: RunState, asked: dict[TaskId, int]) -> None:
        match command:
            case Start(task=task, attempt=attempt, exclude=exclude):
                left = max(0, (state.cost_left or 0) - sum(asked.values()))
                try:
                    route = choose(
                        WHAT, self.cards, self.seen, exclude=exclude, budget_left=left, now=NOW
                    )
                except NoExpert as error:
                    self.settle(task, TaskFailed(task, attempt, Fault.of(error), True, NOW))
                    return
                told = route.to_json()
                if self.by_mean:
                    told["most"] = route.cost
                asked[task] = int(told["most"])
                self.open[task] = (attempt, route.expert)
                self.bus.append(TaskRouted(task, attempt, told, NOW))
            case Fail(task=task, error=error):
                self.settle(task, TaskFailed(task, 0, error, True, NOW))
            case Skip(task=task, reason=reason):
                self.settle(task, TaskSkipped(task, reason, NOW))
            case Drop(task=task):
                if task not in self.settled:
                    self.settle(task, TaskCancelled(task, NOW))
            case _:
                pass

    def end_one(self) -> None:
        names = sorted(self.open)
        task = names[int(self.rng.integers(len(names)))]
        attempt, expert = self.open.pop(task)
        self.bus.append(TaskStarted(task, attempt, "w", NOW))
        if self.rng.random() < 0.15:
            self.seen = observe(self.seen, expert, WHAT, 0.1, False, NOW)
            self.bus.append(TaskFailed(task, attempt, BROKE, False, NOW))
            return
        dearest = next(c for c in self.cards if c.name == expert).serves[WHAT].cost
        cost = int(dearest * self.rng.uniform(0.2, 1)) if self.rng.random() < 0.7 else dearest
        self.spent += cost
        self.seen = observe(self.seen, expert, WHAT, 0.1, True, NOW, cost=cost)
        usage = Usage(cost=cost, calls=1).to_json()
        self.settle(task, TaskDone(task, attempt, "number", "", "", usage, 0.1, NOW))

    def settle(self, task: TaskId, event: Event) -> None:
        self.settled.add(task)
        self.bus.append(event)
        for other in self.plan.tasks:
            inputs = set(other.inputs())
            if task in inputs and inputs <= self.settled and other.id not in self.settled:
                self.bus.append(TaskReady(other.id, NOW))


def run(options: Options) -> dict[str, object]:
    figures: dict[str, object] = {}
    for label, by_mean in (("what a call may cost", False), ("what it costs on average", True)):
        counts: Counter[str] = Counter()
        for seed in range(RUNS):
            trial = _trial(seed, by_mean)
            trial.run()
            counts["over"] += trial.spent > trial.cap
            counts["side by side"] += trial.most_open > 1
            counts["spent"] += trial.spent
            counts["cap"] += trial.cap
        print(
            f"  reserving {label}: {counts['over']:,} of {RUNS:,} runs spent more than their cap "
            f"({counts['side by side']:,} with tasks side by side; "
            f"{counts['spent'] / counts['cap']:.0%} of the caps spent)"
        )
        figures[label] = dict(counts)
    figures["knob"] = _knob()
    return figures


def _trial(seed: int, by_mean: bool) -> Trial:
    rng = np.random.default_rng(seed)
    tasks: list[Task] = []
    for index in range(int(rng.integers(1, 13))):
        known = [t.id for t in tasks]
        reads = [r for r in known if rng.random() < 0.15]
        tasks.append(Task(TaskId(f"t{index}"), WHAT, {f"a{r}": Ref(r) for r in reads}))
    cards, seen = _experts(rng, 5)
    cap = int(rng.integers(1, 20_000))
    return Trial(rng, Plan(tuple(tasks)), cards, seen, cap, by_mean)


def _experts(rng: np.random.Generator, count: int) -> tuple[list[ExpertCard], Observations]:
    cards: list[ExpertCard] = []
    seen = Observations()
    for at in range(count):
        prior = Prior(
            float(rng.uniform(0.7, 1)), int(rng.integers(0, 5_000)), float(rng.uniform(0.01, 2))
        )
        cards.append(ExpertCard(f"e{at}", "model", "one", {WHAT: prior}))
        seen = heartbeat(seen, f"e{at}", NOW)
    return cards, seen


def _knob() -> dict[str, object]:
    """Mean quality, cost and latency of what is chosen, over 1,000 random sets of 20 experts."""
    rows = np.zeros((1_000, len(KNOBS), 3))
    for seed in range(len(rows)):
        cards, seen = _experts(np.random.default_rng(seed), 20)
        for at, knob in enumerate(KNOBS):
            best = choose(WHAT, cards, seen, prefer=knob, now=NOW).candidates[0]
            rows[seed, at] = best.quality, best.cost, best.latency
    steps = np.diff(rows, axis=1)
    middle = len(KNOBS) // 2
    wrong = int((steps[:, :middle, :2] > 1e-9).sum())
    wrong += int((steps[:, middle:, 2] > 1e-9).sum() + (steps[:, middle:, 1] < -1e-9).sum())
    means = rows.mean(0)
    for at in range(0, len(KNOBS), 5):
        quality, cost, latency = means[at]
        print(
            f"  knob {KNOBS[at]:.2f}: quality {quality:.3f}, {cost:7.0f} micro-dollars, {latency:.3f} s"
        )
    print(f"  steps against the knob's direction: {wrong} of {steps[..., 0].size * 2:,}")
    return {"against": wrong, "means": np.round(means, 4).tolist()}
