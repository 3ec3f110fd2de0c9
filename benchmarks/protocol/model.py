"""What the workspace promises, as a sequential model: each act, what it answers, and what it posts.

The model knows nothing of Redis and its scripts. An answer is a word: "ok", "no" (refused without an
error), or the code of the error that is raised. Everything that must hold has a name, a Rule, under which a
violation is counted.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from pointsman.router.events import SETTLED, RunStatus, TaskStatus
from pointsman.router.values import Json

OK, NO, OVER = "ok", "no", "workspace.run-over"
STALE_OWNER, STALE_ATTEMPT = "workspace.stale-owner", "workspace.stale-attempt"
CONFLICT, BUDGET = "approval.conflict", "budget.exceeded"
SLOT_CONFLICT = "workspace.slot-conflict"
NO_VALUE = object()


class Rule(StrEnum):
    ONE_COMMIT = "a task has at most one effective commit"
    VALUE = "a result stays as it was committed"
    READY = "a task is ready once, when its last input settles"
    ORDER = "what an act causes is posted in that act, after its cause"
    OWNER = "a stale owner is refused"
    ATTEMPT = "a stale attempt is refused"
    REPEAT = "a repeated commit is told again and changes nothing"
    CANCEL = "nothing starts and nothing commits after a cancel"
    BUDGET = "spent and held never exceed the caps"
    APPROVAL = "an approval is decided once, on what was asked, in time"
    ONCE = "a once effect is granted once without a clearing"
    FOCUS = "the focus is bounded and holds the most salient results"
    VERSIONS = "versions only grow, by compare-and-set"
    BUS = "the bus only grows"
    OVER = "a run that is over takes nothing more"
    EXPIRY = "a run that is over expires as one, and no other does"
    FOUND = "a run that has something to do and no owner is found soon"
    STATE = "the state is what the acts made it"


Posts = tuple[tuple[str, str], ...]
"""(type of event, its task or "")"""


@dataclass(frozen=True, slots=True)
class Told:
    """What an act is to answer and to post, and under which rule a deviation counts."""

    word: str
    posts: Posts = ()
    rule: Rule = Rule.STATE


@dataclass(slots=True)
class Cell:
    """A task. waits: inputs that are not settled. reserved: micro-dollars that its open attempt holds."""

    status: TaskStatus
    attempt: int = 0
    waits: set[str] = field(default_factory=set)
    value: object = NO_VALUE
    version: int = 0
    salience: float | None = None
    reserved: int | None = None
    leased: bool = False
    approval: str = ""
    committed: int | None = None


@dataclass(slots=True)
class Asked:
    """A request for a decision. late: its time is over."""

    task: str
    digest: str
    late: bool
    unknown: bool
    decision: str = ""


@dataclass(slots=True)
class Entry:
    """A line of the ledger. again: an attempt before this one may have had the effect."""

    state: str
    attempt: int
    again: bool = False


class Model:
    """One run.

    live: its owner's lease stands. parked: it was let go of, and nothing has happened since.
    """

    def __init__(self, caps: Mapping[str, int], focus: int) -> None:
        self.caps = dict(caps)
        self.spent = {"cost": 0, "calls": 0}
        self.held = {"cost": 0, "calls": 0}
        self.status: RunStatus = "queued"
        self.cancelled = False
        self.epoch = 0
        self.owner = ""
        self.live = False
        self.parked = False
        self.version = 0
        self.cells: dict[str, Cell] = {}
        self.effects: dict[str, Entry] = {}
        self.approvals: dict[str, Asked] = {}
        self.slots: dict[str, int] = {}
        self._focus = focus

    # --- what is asked of it --------------------------------------------------------------------

    @property
    def over(self) -> bool:
        return self.status not in ("queued", "running")

    def tasks(self, *statuses: TaskStatus) -> list[str]:
        return [t for t, c in self.cells.items() if c.status in statuses]

    def focus(self) -> list[str]:
        """The most salient first; of two alike the one with the greater name."""
        seen = [(c.salience, t) for t, c in self.cells.items() if c.salience is not None]
        return [t for _, t in sorted(seen, reverse=True)[: self._focus]]

    # --- fences ---------------------------------------------------------------------------------

    def _owner(self, epoch: int) -> Told | None:
        if self.over:
            return Told(OVER, rule=Rule.OVER)
        if epoch != self.epoch:
            return Told(STALE_OWNER, rule=Rule.OWNER)
        return None

    def _stopped(self, word: str) -> Told | None:
        if self.over:
            return Told(OVER, rule=Rule.OVER)
        return Told(word, rule=Rule.CANCEL) if self.cancelled else None

    def _attempt(self, task: str, attempt: int, wanted: TaskStatus) -> Told | None:
        no = self._stopped(STALE_ATTEMPT)
        if no is not None:
            return no
        cell = self.cells.get(task)
        if cell is None or cell.status != wanted or cell.attempt != attempt:
            return Told(STALE_ATTEMPT, rule=Rule.ATTEMPT)
        return None

    # --- owners ---------------------------------------------------------------------------------

    def own(self, name: str, live: bool) -> Told:
        if self.over:
            return Told(OVER, rule=Rule.OVER)
        if self.owner not in ("", name) and self.live:
            return Told(NO, rule=Rule.OWNER)
        self.epoch, self.owner, self.live, self.status = self.epoch + 1, name, live, "running"
        self.parked = False
        return Told(OK, rule=Rule.OWNER)

    def keep(self, epoch: int, live: bool) -> Told:
        no = self._owner(epoch)
        if no is not None:
            return no
        self.live = live
        return Told(OK, rule=Rule.OWNER)

    def propose(self, epoch: int) -> Told:
        return self._owner(epoch) or Told(OK, (("plan.proposed", ""),), Rule.OWNER)

    def park(self, epoch: int, seen_all: bool) -> Told:
        no = self._owner(epoch)
        if no is not None:
            return no
        if not seen_all:
            return Told(NO, rule=Rule.OWNER)
        self.owner, self.live, self.epoch, self.parked = "", False, self.epoch + 1, True
        return Told(OK, rule=Rule.OWNER)

    def finish(self, epoch: int, status: RunStatus) -> Told:
        no = self._owner(epoch)
        if no is not None:
            return no
        self.status = status
        for cell in self.cells.values():
            cell.leased = False
        return Told(OK, (("run.ended", ""),), Rule.OVER)

    def cancel(self) -> Told:
        if self.over:
            return Told(OVER, rule=Rule.OVER)
        posts: Posts = () if self.cancelled else (("run.cancelling", ""),)
        self.cancelled, self.parked = True, False
        return Told(OK, posts, Rule.CANCEL)

    # --- plans ----------------------------------------------------------------------------------

    def write_plan(
        self, epoch: int, version: int, plan: Mapping[str, Sequence[str]], kept: Mapping[str, Json]
    ) -> Told:
        """A later version has the done tasks it builds on, and for the rest tasks of its own."""
        no = self._owner(epoch)
        if no is not None:
            return no
        if version <= self.version:
            return Told(NO, rule=Rule.READY)
        self.version = version
        posts: list[tuple[str, str]] = []
        for task, value in () if self.cancelled else kept.items():
            self.cells[task] = Cell("done", value=value, version=1, salience=0.0)
            posts.append(("task.done", task))
        fresh = [t for t in plan if t not in self.cells]
        for task in fresh:
            waits = {i for i in plan[task] if i in fresh or self._status(i) != "done"}
            self.cells[task] = Cell("waiting", waits=waits)
        for task in fresh:
            if not self.cells[task].waits:
                self.cells[task].status = "ready"
                posts.append(("task.ready", task))
        return Told(OK, tuple(posts), Rule.READY)

    def _status(self, task: str) -> str:
        return self.cells[task].status if task in self.cells else ""

    def expand(self, epoch: int, task: str, children: Iterable[str]) -> Told:
        no = self._owner(epoch)
        if no is not None:
            return no
        if self._status(task) != "ready":
            return Told(NO, rule=Rule.READY)
        self.cells[task].status = "running"
        for child in children:
            self.cells[child] = Cell("ready")
        return Told(OK, (("task.expanded", task),), Rule.READY)

    # --- attempts -------------------------------------------------------------------------------

    def route(self, epoch: int, task: str, attempt: int, cost: int) -> Told:
        no = self._owner(epoch) or self._stopped(NO)
        if no is not None:
            return no
        cell = self.cells.get(task)
        if cell is None or cell.status != "ready" or attempt != cell.attempt + 1:
            return Told(NO, rule=Rule.ATTEMPT)
        for what, more in (("cost", cost), ("calls", 1)):
            cap = self.caps.get(what)
            if cap is not None and self.spent[what] + self.held[what] + more > cap:
                return Told(BUDGET, rule=Rule.BUDGET)
        cell.status, cell.attempt, cell.reserved = "queued", attempt, cost
        self.held["cost"] += cost
        self.held["calls"] += 1
        return Told(OK, (("task.routed", task),), Rule.ATTEMPT)

    def _release(self, cell: Cell) -> None:
        if cell.reserved is not None:
            self.held["cost"] -= cell.reserved
            self.held["calls"] -= 1
            cell.reserved = None

    def claim(self, task: str, attempt: int) -> Told:
        no = self._attempt(task, attempt, "queued")
        if no is not None:
            return no
        self.cells[task].status, self.cells[task].leased = "running", True
        return Told(OK, (("task.started", task),), Rule.ATTEMPT)

    def renew(self, task: str, attempt: int, progress: bool) -> Told:
        no = self._attempt(task, attempt, "running")
        if no is not None:
            return no
        posts: Posts = (("task.progressed", task),) if progress else ()
        return Told(OK, posts, Rule.ATTEMPT)

    def commit(self, task: str, attempt: int, value: Json, cost: int, salience: float) -> Told:
        no = self._attempt(task, attempt, "running")
        if no is not None:
            return self._told_again(task, attempt, no)
        if task in self.effects:
            self.effects[task].state = "done"
        return Told(OK, self._effective(task, attempt, value, cost, salience), Rule.ORDER)

    def perform(self, task: str, attempt: int, value: Json, cost: int, salience: float) -> Told:
        """Of a task without an entry in the ledger."""
        no = self._attempt(task, attempt, "queued")
        if no is not None:
            return self._told_again(task, attempt, no)
        posts = self._effective(task, attempt, value, cost, salience)
        return Told(OK, (("task.started", task), *posts), Rule.ORDER)

    def _told_again(self, task: str, attempt: int, no: Told) -> Told:
        cell = self.cells.get(task)
        again = cell is not None and cell.status == "done" and cell.committed == attempt
        return Told(OK, rule=Rule.REPEAT) if again and no.rule is Rule.ATTEMPT else no

    def _effective(self, task: str, attempt: int, value: Json, cost: int, salience: float) -> Posts:
        cell = self.cells[task]
        cell.value, cell.version, cell.salience = value, cell.version + 1, salience
        cell.committed = attempt
        self._release(cell)
        self.spent["cost"] += cost
        self.spent["calls"] += 1
        return self._settle(task, "done", "task.done")

    def lose(self, task: str, attempt: int) -> Told:
        cell = self.cells.get(task)
        if self.over or cell is None or cell.reserved is None or cell.attempt != attempt:
            return Told(NO, rule=Rule.ATTEMPT)
        cell.status, cell.leased = "ready", False
        self._release(cell)
        self.spent["calls"] += 1
        return Told(OK, (("task.failed", task),), Rule.ATTEMPT)

    def settle(
        self, epoch: int, task: str, status: TaskStatus, value: Json, salience: float
    ) -> Told:
        no = self._owner(epoch)
        if no is None and status == "done":
            no = self._stopped(NO)
        if no is not None:
            return no
        cell = self.cells.get(task)
        if cell is None or cell.status in SETTLED:
            return Told(NO, rule=Rule.ONE_COMMIT)
        if status in ("done", "skipped"):
            cell.value, cell.version = value, cell.version + 1
        if status == "done":
            cell.salience = salience
        self._release(cell)
        return Told(OK, self._settle(task, status, f"task.{status}"), Rule.ORDER)

    def _settle(self, task: str, status: TaskStatus, event: str) -> Posts:
        cell = self.cells[task]
        cell.status, cell.leased, cell.approval = status, False, ""
        posts = [(event, task)]
        for name, other in self.cells.items():
            if task in other.waits:
                other.waits.remove(task)
                if not other.waits and other.status == "waiting":
                    other.status = "ready"
                    posts.append(("task.ready", name))
        return tuple(posts)

    # --- effects --------------------------------------------------------------------------------

    def intend(self, task: str, attempt: int, effect: str) -> Told:
        """Answers "ok", "done" or "unknown"."""
        no = self._attempt(task, attempt, "running")
        if no is not None:
            return no
        state = self.effects[task].state if task in self.effects else "cleared"
        if state == "done" or (effect == "once" and state != "cleared"):
            return Told("done" if state == "done" else "unknown", rule=Rule.ONCE)
        self.effects[task] = Entry("intent", attempt, state != "cleared")
        return Told(OK, rule=Rule.ONCE)

    def note(self, task: str, attempt: int, state: str) -> Told:
        known = self.effects.get(task)
        if known is None or known.state == "done" or known.attempt != attempt:
            return Told(NO, rule=Rule.ONCE)
        known.state = "unknown" if state == "cleared" and known.again else state
        return Told(OK, rule=Rule.ONCE)

    # --- people ---------------------------------------------------------------------------------

    def hold(self, epoch: int, task: str, approval: str, asked: Asked) -> Told:
        no = self._owner(epoch) or self._stopped(NO)
        if no is not None:
            return no
        if self._status(task) != "ready":
            return Told(NO, rule=Rule.APPROVAL)
        self.cells[task].status, self.cells[task].approval = "held", approval
        self.approvals[approval] = asked
        return Told(OK, (("approval.requested", task),), Rule.APPROVAL)

    def decide(self, approval: str, digest: str, decision: str) -> Told:
        no = self._undecidable(approval, digest, decision)
        if no is not None:
            return no
        asked = self.approvals[approval]
        asked.decision = decision
        self.parked = False
        cell = self.cells[asked.task]
        cell.status, cell.approval = "ready", ""
        known = self.effects.get(asked.task)
        if known is not None and decision in ("approved", "done") and known.state != "done":
            known.state = "cleared" if decision == "approved" else "done"
        return Told(OK, (("approval.decided", asked.task),), Rule.APPROVAL)

    def edit(self, approval: str, digest: str, new: str, new_digest: str) -> Told:
        no = self._undecidable(approval, digest, "edited")
        if no is not None:
            return no
        asked = self.approvals[approval]
        asked.decision = "edited"
        self.cells[asked.task].approval = new
        self.approvals[new] = Asked(asked.task, new_digest, asked.late, unknown=False)
        posts = (("approval.decided", asked.task), ("approval.requested", asked.task))
        return Told(OK, posts, Rule.APPROVAL)

    def _undecidable(self, approval: str, digest: str, decision: str) -> Told | None:
        asked = self.approvals[approval]
        if decision == "done" and not asked.unknown:
            return Told(CONFLICT, rule=Rule.APPROVAL)
        no = self._stopped(CONFLICT)
        if no is not None:
            return no
        late = asked.late and decision != "expired"
        cell = self.cells[asked.task]
        current = cell.status == "held" and cell.approval == approval
        if asked.decision or asked.digest != digest or late or not current:
            return Told(CONFLICT, rule=Rule.APPROVAL)
        return None

    # --- slots that are no results --------------------------------------------------------------

    def write(self, slot: str, expected: int) -> Told:
        no = self._stopped(OVER)
        if no is not None:
            return no
        if slot in self.cells or self.slots.get(slot, 0) != expected:
            return Told(SLOT_CONFLICT, rule=Rule.VERSIONS)
        self.slots[slot] = expected + 1
        return Told(OK, rule=Rule.VERSIONS)
