"""Watches a run from outside, by its bus and its snapshots alone: what must hold whatever was done to it."""

from collections.abc import Mapping, Sequence

from benchmarks.protocol.model import Model, Rule
from pointsman.router.events import (
    SETTLED,
    ApprovalDecided,
    CancelRequested,
    Posted,
    TaskCancelled,
    TaskDone,
    TaskFailed,
    TaskReady,
    TaskRouted,
    TaskSkipped,
    TaskStarted,
)
from pointsman.router.values import Json
from pointsman.router.workspace import Snapshot
from pointsman.router.workspace.acts import FOCUS


class Violation(AssertionError):
    """A promise that was broken."""

    def __init__(self, rule: Rule, what: str) -> None:
        self.rule = rule
        super().__init__(f"{rule}: {what}")


def hold(rule: Rule, holds: bool, what: str) -> None:
    """Raises Violation."""
    if not holds:
        raise Violation(rule, what)


class Witness:
    """One run. Every method raises Violation."""

    def __init__(self) -> None:
        self.seen: list[Posted] = []
        self._plan: dict[str, Sequence[str]] = {}
        self._settled: set[str] = set()
        self._ready: set[str] = set()
        self._done: dict[str, Json] = {}
        self._routed: dict[str, int] = {}
        self._started: set[tuple[str, int]] = set()
        self._decided: set[str] = set()
        self._versions: dict[str, int] = {}
        self._granted: set[str] = set()
        self._cancelled = False

    @property
    def last(self) -> str:
        return self.seen[-1].id if self.seen else "0-0"

    def planned(self, plan: Mapping[str, Sequence[str]]) -> None:
        """A version of the plan is written."""
        self._plan.update(plan)

    # --- the bus --------------------------------------------------------------------------------

    def read(self, page: Sequence[Posted]) -> None:
        for posted in page:
            hold(Rule.BUS, _order(posted.id) > _order(self.last), f"{posted.id} after {self.last}")
            self.seen.append(posted)
            self._event(posted)

    def read_again(self, whole: Sequence[Posted]) -> None:
        """The whole bus, once more: what was on it is still there, and nothing came between."""
        hold(Rule.BUS, list(whole) == self.seen, "the bus reads differently the second time")

    def _event(self, posted: Posted) -> None:
        event = posted.event
        if isinstance(event, TaskStarted | TaskRouted | TaskDone | ApprovalDecided):
            hold(Rule.CANCEL, not self._cancelled, f"{event.type} of {event.task} after it")
        match event:
            case CancelRequested():
                hold(Rule.CANCEL, not self._cancelled, "it is on the bus twice")
                self._cancelled = True
            case TaskReady():
                self._became_ready(event.task)
            case TaskRouted():
                more = event.attempt > self._routed.get(event.task, 0)
                hold(Rule.ATTEMPT, more, f"attempt {event.attempt} of {event.task} opened again")
                self._routed[event.task] = event.attempt
            case TaskStarted():
                self._claimed(event)
            case TaskDone():
                hold(Rule.ONE_COMMIT, event.task not in self._done, f"{event.task} again")
                self._done[event.task] = None
                self._settled.add(event.task)
            case TaskSkipped() | TaskCancelled():
                self._settled.add(event.task)
            case TaskFailed() if event.final:
                self._settled.add(event.task)
            case ApprovalDecided():
                hold(Rule.APPROVAL, event.approval not in self._decided, f"{event.approval} again")
                self._decided.add(event.approval)
            case _:
                pass

    def _became_ready(self, task: str) -> None:
        hold(Rule.READY, task in self._plan, f"{task}, which is not in the plan")
        hold(Rule.READY, task not in self._ready, f"{task} twice")
        self._ready.add(task)
        missing = set(self._plan[task]) - self._settled
        hold(Rule.READY, not missing, f"{task} before {sorted(missing)}")

    def _claimed(self, event: TaskStarted) -> None:
        attempt = (event.task, event.attempt)
        opened = self._routed.get(event.task) == event.attempt
        hold(Rule.ATTEMPT, opened, f"{attempt} started, and was not opened last")
        hold(Rule.ATTEMPT, attempt not in self._started, f"{attempt} started twice")
        self._started.add(attempt)

    # --- the ledger -----------------------------------------------------------------------------

    def granted(self, task: str) -> None:
        """A `once` effect may be had now."""
        hold(Rule.ONCE, task not in self._granted, f"{task}, a second time")
        self._granted.add(task)

    def cleared(self, task: str) -> None:
        """It is known not to have happened, or a person has allowed it again."""
        self._granted.discard(task)

    # --- a snapshot -----------------------------------------------------------------------------

    def look(self, now: Snapshot) -> None:
        hold(Rule.BUS, now.newest == self.last, f"newest is {now.newest}, not {self.last}")
        for task in self._done:
            hold(Rule.ONE_COMMIT, now.status.get(task) == "done", f"{task} is done no more")
        for task, status in now.status.items():
            if status == "done":
                self._value(task, now)
        for slot, version in now.versions.items():
            before = self._versions.get(slot, 0)
            hold(Rule.VERSIONS, version >= before, f"{slot} went from {before} to {version}")
        self._versions = dict(now.versions)
        self._bounds(now)

    def _value(self, task: str, now: Snapshot) -> None:
        hold(Rule.VALUE, task in now.results, f"{task} is done and has no result")
        hold(Rule.ONE_COMMIT, task in self._done, f"{task} is done and never was on the bus")
        value = now.results[task]
        if self._done[task] is None:
            self._done[task] = [value]
        hold(Rule.VALUE, self._done[task] == [value], f"{task}: {self._done[task]}, now {value}")

    def _bounds(self, now: Snapshot) -> None:
        hold(Rule.FOCUS, len(now.focus) <= FOCUS, f"{len(now.focus)} results")
        undone = [t for t in now.focus if now.status.get(t) != "done"]
        hold(Rule.FOCUS, not undone, f"{undone} are not done")
        for what in ("cost", "calls", "tokens"):
            cap = now.budget.get(f"cap:{what}")
            used = now.budget.get(f"spent:{what}", 0) + now.budget.get(f"held:{what}", 0)
            hold(Rule.BUDGET, cap is None or used <= cap, f"{used} of {cap} {what}")


def same_state(model: Model, now: Snapshot) -> None:
    """The snapshot is what the acts made it. Raises Violation."""
    cells = model.cells
    unsettled = {t for t, c in cells.items() if c.status not in SETTLED}
    _same(Rule.STATE, "status", {t: c.status for t, c in cells.items()}, dict(now.status))
    _same(Rule.ATTEMPT, "attempts", {t: c.attempt for t, c in cells.items()}, dict(now.attempts))
    _same(Rule.STATE, "leases", {t for t, c in cells.items() if c.leased}, set(now.leases))
    versions = {t: c.version for t, c in cells.items() if c.version} | model.slots
    _same(Rule.VERSIONS, "versions", versions, dict(now.versions))
    values = {t: c.value for t, c in cells.items() if c.version}
    found = {t: v for t, v in now.results.items() if t in cells}
    _same(Rule.VALUE, "results", values, found)
    _same(Rule.FOCUS, "focus", model.focus(), list(now.focus))
    effects = {e.task: (e.state, e.attempt) for e in now.effects}
    known = {t: (e.state, e.attempt) for t, e in model.effects.items()}
    _same(Rule.ONCE, "effects", known, effects)
    decided = {a.id: a.decision or "" for a in now.approvals}
    _same(Rule.APPROVAL, "approvals", {i: a.decision for i, a in model.approvals.items()}, decided)
    if model.caps:
        spent = {w: now.budget.get(f"spent:{w}", 0) for w in ("cost", "calls")}
        held = {w: now.budget.get(f"held:{w}", 0) for w in ("cost", "calls")}
        opened = {k.removeprefix("open:") for k in now.budget if k.startswith("open:")}
        _same(Rule.BUDGET, "spent", model.spent, spent)
        _same(Rule.BUDGET, "held", model.held, held)
        hold(Rule.BUDGET, opened <= unsettled, f"settled tasks hold money: {opened - unsettled}")


def _same(rule: Rule, what: str, wanted: object, found: object) -> None:
    hold(rule, wanted == found, f"{what}: {found!r} in place of {wanted!r}")


def _order(id: str) -> tuple[int, int]:
    milliseconds, _, sequence = id.partition("-")
    return int(milliseconds), int(sequence or 0)
