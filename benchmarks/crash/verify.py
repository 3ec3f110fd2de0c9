"""What must hold after the kills. Pure: a run's facts and the recorder's books in, broken promises out.

end       every run has ended, and run.ended is the last thing on its bus, once
settled   every task of an ended run is settled, once
lost      no task is given up before its attempts are used up
commit    at most one effective result per task, by the newest attempt; attempts count up by one
order     nothing starts before its inputs are settled; nothing starts or is committed after a cancel
value     a result is what the tool gives for its arguments; what was skipped was rightly skipped
stays     a result that was there stays as it is; epochs and attempts only rise
stream    a client saw every event of the bus, once, in order, across gateways
keyed     an effect under a key took place once
once      an effect that cannot be taken back took place once, unless a person had it repeated
fsck      the workspace's own check of a live server finds no error
log       no part ends by itself or logs an error
unknown   every effect that took place stands in the ledger, and as what it is: done, or not known
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.crash.plans import worth
from benchmarks.crash.recorder import KEYED, ONCE
from pointsman.router.errors import PoisonTask, WorkerLost
from pointsman.router.events import (
    OVER,
    SETTLED,
    CancelRequested,
    Event,
    Posted,
    RunEnded,
    TaskCancelled,
    TaskDone,
    TaskExpanded,
    TaskFailed,
    TaskRouted,
    TaskSkipped,
    TaskStarted,
)
from pointsman.router.plan import Plan, Task, TaskId, at, holds, resolve
from pointsman.router.run import AGAIN, MAX_ATTEMPTS, NOT_COUNTED, POISON
from pointsman.router.values import Json


@dataclass(frozen=True, slots=True)
class Facts:
    """A run as it stands in the workspace.

    epoch: how often it was taken by a controller. effects: the ledger, "task/0" -> state.
    """

    run: str
    status: str
    epoch: int
    plan: Plan
    events: Sequence[Posted]
    statuses: Mapping[str, str] = field(default_factory=dict)
    slots: Mapping[str, Json] = field(default_factory=dict)
    versions: Mapping[str, int] = field(default_factory=dict)
    effects: Mapping[str, str] = field(default_factory=dict)

    def tasks(self) -> Mapping[str, Task]:
        """Every task, and the children of those that loop."""
        found: dict[str, Task] = {t.id: t for t in self.plan.tasks}
        for posted in self.events:
            if isinstance(posted.event, TaskExpanded):
                found |= dict.fromkeys(posted.event.children, found[posted.event.task])
        return found


@dataclass(frozen=True, slots=True)
class Violation:
    promise: str
    run: str
    what: str


def check(facts: Facts) -> list[Violation]:
    """What a single run shows."""
    checks: tuple[Callable[[Facts], Iterator[str]], ...] = (
        end,
        settled,
        lost,
        commit,
        order,
        value,
    )
    return [Violation(c.__name__, facts.run, what) for c in checks for what in c(facts)]


def end(facts: Facts) -> Iterator[str]:
    ends = [p.event for p in facts.events if isinstance(p.event, RunEnded)]
    if facts.status not in OVER:
        yield f"it is still {facts.status}"
    elif len(ends) != 1 or facts.events[-1].event is not ends[0]:
        yield f"run.ended is on the bus {len(ends)} times, or not at its end"
    answers = sum(p.event.type == "answer.ready" for p in facts.events)
    if answers > 1:
        yield f"it was answered {answers} times"
    for ended in ends:
        if ended.error is not None and ended.error.fault == "us":
            yield f"it ended with an error of ours: {ended.error.code}: {ended.error.message}"


def settled(facts: Facts) -> Iterator[str]:
    if facts.status not in OVER:
        return
    seen = Counter(_settled_by(p.event) for p in facts.events)
    for id in facts.tasks():
        status = facts.statuses.get(id, "unknown")
        if status not in SETTLED or seen[id] != 1:
            yield f"{id} is {status} and was settled {seen[id]} times"


def _settled_by(event: Event) -> str | None:
    """The task that an event settles, if it settles one."""
    match event:
        case TaskFailed(final=False):
            return None
        case TaskDone(task=task) | TaskSkipped(task=task) | TaskCancelled(task=task):
            return task
        case TaskFailed(task=task):
            return task
        case _:
            return None


def lost(facts: Facts) -> Iterator[str]:
    failures: Counter[str] = Counter()
    workers: Counter[str] = Counter()
    for posted in facts.events:
        match posted.event:
            case TaskFailed(task=task, final=False, error=error):
                failures[task] += error.code not in NOT_COUNTED
                workers[task] += error.code == WorkerLost.code
            case TaskFailed(task=task, final=True, attempt=attempt, error=error) if attempt:
                few = failures[task] < MAX_ATTEMPTS and workers[task] < POISON
                if few and error.code in AGAIN | {PoisonTask.code}:
                    yield f"{task} was given up after {failures[task]} failures: {error.message}"
            case _:
                pass


def given_up(facts: Facts) -> list[str]:
    """Why tasks failed for good, one code each."""
    events = [p.event for p in facts.events]
    return [e.error.code for e in events if isinstance(e, TaskFailed) and e.final]


def commit(facts: Facts) -> Iterator[str]:
    attempts: Counter[str] = Counter()
    started: set[tuple[str, int]] = set()
    for posted in facts.events:
        match posted.event:
            case TaskRouted(task=task, attempt=attempt):
                if attempt != attempts[task] + 1:
                    yield f"{task} was opened as attempt {attempt} after {attempts[task]}"
                attempts[task] = attempt
            case TaskStarted(task=task, attempt=attempt):
                if attempt != attempts[task] or (task, attempt) in started:
                    yield f"attempt {attempt} of {task} was started twice, or is not the newest"
                started.add((task, attempt))
            case TaskDone(task=task, attempt=attempt) if attempt != 0:
                if attempt != attempts[task] or (task, attempt) not in started:
                    yield f"{task} was committed by attempt {attempt}, the newest is {attempts[task]}"
            case _:
                pass
    for id in facts.tasks():
        status, version = facts.statuses.get(id), facts.versions.get(id, 0)
        expected = 1 if status in ("done", "skipped") else 0
        if version != expected or (id in facts.slots) != bool(expected):
            yield f"{id} is {status} and its slot was written {version} times"


def order(facts: Facts) -> Iterator[str]:
    tasks, done, cancelled = facts.tasks(), set[str](), False
    for posted in facts.events:
        event = posted.event
        if isinstance(event, CancelRequested):
            cancelled = True
        elif isinstance(event, TaskStarted):
            if cancelled:
                yield f"{event.task} was started after the cancel"
            early = [i for i in tasks[event.task].inputs() if i not in done]
            if early:
                yield f"{event.task} was started before {early}"
        elif isinstance(event, TaskDone) and cancelled:
            yield f"{event.task} was committed after the cancel"
        over = _settled_by(event)
        if over is not None:
            done.add(over)


def value(facts: Facts) -> Iterator[str]:
    for task in facts.plan.tasks:
        status = facts.statuses.get(task.id)
        if status == "skipped" and not _rightly_skipped(facts, task):
            yield f"{task.id} was skipped for no reason"
        if status != "done" or task.id not in facts.slots:
            continue
        if task.for_each is None:
            yield from _wrong(facts, task, task.id, None)
        else:
            yield from _wrong_loop(facts, task)


def _results(facts: Facts, task: Task) -> dict[TaskId, Any]:
    return {r.task: facts.slots.get(r.task) for r in task.refs()}


def _wrong(facts: Facts, task: Task, id: str, item: Json) -> Iterator[str]:
    arguments = resolve(task.arguments, _results(facts, task), item)
    expected = worth(task.capability, arguments["number"], arguments["inputs"])
    if facts.slots.get(id) != expected:
        yield f"{id} is {facts.slots.get(id)!r}, its tool gives {expected!r}"


def _wrong_loop(facts: Facts, task: Task) -> Iterator[str]:
    loop = task.for_each
    assert loop is not None
    items = (
        list(loop.over)
        if isinstance(loop.over, tuple)
        else at(facts.slots.get(loop.over.task), loop.over.path, of=loop.over.task)
    )
    children = [f"{task.id}[{i}]" for i in range(len(items))]
    for child, item in zip(children, items, strict=True):
        if facts.statuses.get(child) == "done":
            yield from _wrong(facts, task, child, item)
    if facts.slots[task.id] != [facts.slots.get(c) for c in children]:
        yield f"{task.id} is {facts.slots[task.id]!r}, which is not what its items gave"


def _rightly_skipped(facts: Facts, task: Task) -> bool:
    if any(facts.statuses.get(i) in ("failed", "cancelled", "skipped") for i in task.inputs()):
        return True
    return task.when is not None and not holds(task.when, _results(facts, task))


def check_stream(facts: Facts, seen: Sequence[str], faults: Sequence[str]) -> list[Violation]:
    """What a client saw, beside the bus."""
    found = list(faults)
    bus = [str(p.id) for p in facts.events]
    if list(seen) != bus:
        doubled = [i for i, n in Counter(seen).items() if n > 1]
        lost = [i for i in bus if i not in set(seen)]
        strange = [i for i in seen if i not in set(bus)]
        found.append(f"lost {lost}, doubled {doubled}, not on the bus {strange}")
    return [Violation("stream", facts.run, what) for what in found]


def check_effects(
    runs: Mapping[str, Facts],
    applied: Sequence[Mapping[str, Any]],
    allowed: Mapping[tuple[str, str], int],
) -> list[Violation]:
    """The recorder's books beside the ledgers. `allowed`: repeats that a person asked for."""
    found: list[Violation] = []
    times = Counter((a["capability"], a["run"], a["task"]) for a in applied)
    for (capability, run, task), count in times.items():
        may = 1 + (allowed.get((run, task), 0) if capability in ONCE else 0)
        if count > may:
            promise = "keyed" if capability in KEYED else "once"
            found.append(Violation(promise, run, f"{task} took place {count} times, not {may}"))
        if run not in runs:
            found.append(Violation("end", run, f"{task} took place in a run that is not there"))
        elif f"{task}/0" not in runs[run].effects:
            found.append(Violation("unknown", run, f"{task} took place and is not in the ledger"))
    took_place = {(run, task) for _, run, task in times}
    for run, facts in runs.items():
        for entry, state in facts.effects.items():
            task = entry.rpartition("/")[0]
            wrong = _wrong_entry(facts, task, state, (run, task) in took_place)
            if wrong is not None and not allowed.get((run, task)):
                found.append(Violation("unknown", run, wrong))
    return found


def unknown_effects(facts: Facts) -> list[str]:
    """Tasks whose effect the ledger lists as unknown: begun, and how it ended is not known."""
    return [e for e, state in facts.effects.items() if state in ("intent", "unknown")]


def _wrong_entry(facts: Facts, task: str, state: str, took_place: bool) -> str | None:
    """What a line of the ledger says that is not so; an unknown one may be either."""
    status = facts.statuses.get(task)
    if status == "done" and state != "done":
        return f"{task} is done, its effect is {state} in the ledger"
    if state == "done" and not took_place:
        return f"{task} did not take place, its effect is done in the ledger"
    if state == "cleared" and took_place:
        return f"{task} took place, its effect is cleared in the ledger"
    return None
