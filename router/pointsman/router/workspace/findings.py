"""What is wrong with a run: one pure check for each rule, over a View of it."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pointsman.router.events import (
    SETTLED,
    ApprovalDecided,
    CancelRequested,
    PlanProposed,
    RunCreated,
    RunEnded,
    TaskCancelled,
    TaskDone,
    TaskFailed,
    TaskReady,
    TaskRouted,
    TaskSkipped,
    TaskStarted,
)
from pointsman.router.plan import parse_plan
from pointsman.router.workspace.acts import FOCUS
from pointsman.router.workspace.view import View

Severity: TypeAlias = Literal["error", "warning"]
TOGETHER = 5000
"""Milliseconds by which the keys of a run may expire apart."""
LATE = 60.0
"""Seconds after which something that should have been done is told."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """error: a promise is broken. warning: something that people or time should see to.

    run, task: "" where none is concerned. rule: a word for what was checked.
    """

    severity: Severity
    rule: str
    run: str
    task: str
    what: str


Found: TypeAlias = Iterator[tuple[Severity, str, str]]
"""(severity, task, what)"""


def findings(view: View) -> list[Finding]:
    """Everything that is wrong with one run."""
    return [
        Finding(severity, rule, view.run, task, what)
        for rule, check in CHECKS.items()
        for severity, task, what in check(view)
    ]


def _slots(view: View) -> Found:
    for slot in view.slots:
        status = view.status.get(slot, "done")
        if status not in ("done", "skipped"):
            yield "error", slot, f"it is {status} and has a result"
    for task, status in view.status.items():
        if status == "done" and task not in view.slots:
            yield "error", task, "it is done and its result is missing"


def _versions(view: View) -> Found:
    for slot in view.slots.keys() ^ view.versions.keys():
        where = "no version" if slot in view.slots else "a version and no value"
        yield "error", slot if slot in view.status else "", f"slot {slot!r} has {where}"
    for task, status in view.status.items():
        if status == "done" and view.versions.get(task, 1) != 1:
            yield "error", task, f"its result was written {view.versions[task]} times"


def _status(view: View) -> Found:
    """What the bus tells and what is kept are the same."""
    nodes = {str(id): node for id, node in view.state.nodes.items()}
    written = view.version == view.state.version
    for task in nodes.keys() | view.status.keys():
        node, kept = nodes.get(task), view.status.get(task)
        if node is None:
            if kept not in SETTLED:
                yield "error", task, f"it is {kept} and in no plan"
        elif kept is None:
            if written:
                yield "error", task, "it is in the plan and has no status"
        elif node.status != kept:
            yield "error", task, f"it is {kept}, and by the bus {node.status}"
        elif node.attempt != view.attempts.get(task, 0):
            told = f"its attempt is {view.attempts.get(task, 0)}, and by the bus {node.attempt}"
            yield "error", task, told


def _commits(view: View) -> Found:
    counted = Counter(p.event.task for p in view.events if isinstance(p.event, TaskDone))
    for task, count in counted.items():
        if count > 1:
            yield "error", task, f"it was committed {count} times"
        if view.status.get(task) != "done":
            yield "error", task, f"it was committed, and is {view.status.get(task, 'nowhere')}"
    for task, status in view.status.items():
        if status == "done" and not counted[task]:
            yield "error", task, "it is done, and its commit is not on the bus"


def _bus(view: View) -> Found:
    """It begins with the run's creation, ends with its end, and nothing starts or ends after a stop."""
    events = [p.event for p in view.events]
    if not events or not isinstance(events[0], RunCreated):
        yield "error", "", "the bus does not begin with the run's creation"
    ends = [n for n, event in enumerate(events) if isinstance(event, RunEnded)]
    if view.over and not ends:
        yield "error", "", f"the run is {view.run_status}, and its end is not on the bus"
    if ends and (not view.over or ends[0] != len(events) - 1):
        yield "error", "", f"the bus goes on after the run's end, or the run is {view.run_status}"
    stopped = False
    for event in events:
        stopped = stopped or isinstance(event, CancelRequested)
        if stopped and isinstance(event, TaskRouted | TaskStarted | TaskDone | ApprovalDecided):
            yield "error", event.task, f"{event.type} came after the stop"
    if view.cancelled != stopped:
        yield "error", "", "only one of the bus and the run knows of a stop"


def _readiness(view: View) -> Found:
    """A task becomes ready once in a plan, after its last input."""
    inputs: dict[str, frozenset[str]] = {}
    settled: set[str] = set()
    ready: set[str] = set()
    for posted in view.events:
        event = posted.event
        if isinstance(event, PlanProposed):
            inputs |= {t.id: frozenset(t.inputs()) for t in parse_plan(event.plan).tasks}
            ready -= inputs.keys() - settled
        elif isinstance(event, TaskReady):
            if event.task in ready:
                yield "error", event.task, "it became ready twice"
            missing = sorted(inputs.get(event.task, frozenset()) - settled)
            if missing:
                yield "error", event.task, f"it became ready before {', '.join(missing)}"
            ready.add(event.task)
        elif isinstance(event, TaskDone | TaskSkipped | TaskCancelled) or (
            isinstance(event, TaskFailed) and event.final
        ):
            settled.add(event.task)


def _pending(view: View) -> Found:
    if view.over:
        return
    for task, inputs in view.inputs.items():
        left = [i for i in inputs if not view.settled(i)]
        counted = view.pending.get(task)
        if counted is not None and counted != len(left):
            yield "error", task, f"it counts {counted} open inputs, and {len(left)} are open"
        if view.status.get(task) == "waiting":
            if counted is None:
                yield "error", task, "it waits, and its open inputs are not counted"
            if not left:
                yield "error", task, "all of its inputs are settled and it waits"


def _leases(view: View) -> Found:
    loops = {str(id) for id, node in view.state.nodes.items() if node.children is not None}
    for task, until in view.leases.items():
        status = view.status.get(task, "nowhere")
        if status != "running":
            yield "error", task, f"a worker holds it, and it is {status}"
        elif until + LATE < view.now and not view.over:
            yield "warning", task, f"its worker is silent since {view.now - until:.0f} s"
    if view.over:
        return
    for task, status in view.status.items():
        if status == "running" and task not in view.leases and task not in loops:
            yield "error", task, "it is running, and no worker holds it"
        if status in ("queued", "running") and task not in view.calls and task not in loops:
            yield "error", task, f"it is {status}, and what to do is not kept"
    for task in view.calls:
        if view.status.get(task) in SETTLED:
            yield "error", task, "it is settled, and a call of it is kept"


def _owner(view: View) -> Found:
    if view.over or (view.owner and view.lease > view.now):
        return
    if view.watched is None and not view.waits:
        yield "error", "", "nobody owns the run and it is on no list: it is lost"
    elif view.waits and view.run_status == "queued" and view.created + LATE < view.now:
        yield "warning", "", f"it waits for a controller for {view.now - view.created:.0f} s"
    elif not view.waits and view.watched is not None and view.watched + LATE < view.now:
        late = view.now - view.watched
        yield "warning", "", f"no controller has taken the run for {late:.0f} s"


def _expiry(view: View) -> Found:
    if not view.over:
        mortal = sorted(part for part, ttl in view.ttls.items() if ttl != -1)
        if mortal:
            yield "error", "", f"the run is not over and {', '.join(mortal)} will expire"
        return
    eternal = sorted(part for part, ttl in view.ttls.items() if ttl == -1)
    if eternal:
        yield "error", "", f"the run is over and {', '.join(eternal)} will never expire"
        return
    apart = max(view.ttls.values()) - min(view.ttls.values())
    if apart > TOGETHER:
        yield "error", "", f"its keys expire {apart / 1000:.0f} s apart"


def _approvals(view: View) -> Found:
    asked = Counter(a.task for a in view.approvals if a.pending)
    for task, status in view.status.items():
        if status == "held" and not asked[task] and not view.over:
            yield "error", task, "it waits for a person, and nobody is asked"
    for task, count in asked.items():
        if count > 1:
            yield "error", task, f"{count} requests for it wait for a decision"
        if view.status.get(task) != "held" and not (view.cancelled or view.over):
            yield "error", task, f"a person is asked, and it is {view.status.get(task, 'nowhere')}"
    for a in view.approvals:
        if a.pending and a.expires + LATE < view.now and not (view.cancelled or view.over):
            yield "warning", a.task, f"a request expired {view.now - a.expires:.0f} s ago"


def _effects(view: View) -> Found:
    for effect in view.effects:
        status = view.status.get(effect.task)
        about = f"{effect.capability} (key {effect.key}, attempt {effect.attempt})"
        if status == "done" and effect.state != "done":
            yield "error", effect.task, f"it is done, and by the ledger {about} is {effect.state}"
        elif effect.state in ("intent", "unknown") and (view.settled(effect.task) or view.over):
            yield "warning", effect.task, f"{about} may or may not have happened"
        if effect.also is not None:
            yield "warning", effect.task, f"{about} happened in attempt {effect.also}, too"


def _budget(view: View) -> Found:
    opened = {f[5:]: cost for f, cost in view.budget.items() if f.startswith("open:")}
    held = {"cost": sum(opened.values()), "calls": len(opened)}
    for what, wanted in held.items():
        found = view.budget.get(f"held:{what}", 0)
        if found != wanted:
            yield "error", "", f"{found} {what} are set aside, for open attempts that hold {wanted}"
    for task in opened:
        if view.status.get(task) not in ("queued", "running"):
            yield "error", task, f"it is {view.status.get(task)}, and money is set aside for it"
    for what in ("cost", "calls", "tokens"):
        cap, spent = view.budget.get(f"cap:{what}"), view.budget.get(f"spent:{what}", 0)
        if cap is not None and spent + view.budget.get(f"held:{what}", 0) > cap:
            # an attempt may cost more than was thought; calls are counted beforehand
            severity: Severity = "error" if what == "calls" else "warning"
            yield severity, "", f"{spent} {what} are spent of {cap}"


def _focus(view: View) -> Found:
    if len(view.focus) > FOCUS:
        yield "error", "", f"{len(view.focus)} results are in focus, and {FOCUS} may be"
    for task in view.focus:
        if view.status.get(task) != "done":
            yield "error", task, f"it is in focus and {view.status.get(task, 'nowhere')}"


CHECKS: dict[str, Callable[[View], Found]] = {
    "slot": _slots,
    "version": _versions,
    "status": _status,
    "commit": _commits,
    "bus": _bus,
    "ready": _readiness,
    "pending": _pending,
    "lease": _leases,
    "owner": _owner,
    "expiry": _expiry,
    "approval": _approvals,
    "effect": _effects,
    "budget": _budget,
    "focus": _focus,
}
"""By the name of the rule."""
