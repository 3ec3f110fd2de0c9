"""What controllers do: take and keep a run, plan, let go of it, end it; and what ends it for them."""

import time
from collections.abc import Mapping, Sequence

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from benchmarks.protocol.model import OK, Rule, Told
from benchmarks.protocol.stage import (
    CAPS,
    LAPSED,
    LIVE,
    MANY,
    OWNERS,
    PICK,
    SELDOM,
    SHAPES,
    Stage,
    done_event,
    plain,
)
from pointsman.router.events import (
    Event,
    Fault,
    PlanProposed,
    RunEnded,
    RunStatus,
    TaskCancelled,
    TaskFailed,
    TaskSkipped,
    TaskStatus,
)
from pointsman.router.plan import Plan, Task, TaskId
from pointsman.router.usage import Usage


class Owners(Stage):
    # --- owners ---------------------------------------------------------------------------------

    @precondition(lambda self: self.model.over)
    @rule(caps=CAPS)
    def begin(self, caps: Mapping[str, int]) -> None:
        self.teardown()
        self._begin(caps)

    @initialize(caps=CAPS)
    def begin_first(self, caps: Mapping[str, int]) -> None:
        self._begin(caps)

    @precondition(lambda self: not self.model.live)
    @rule(name=OWNERS, live=st.booleans())
    def own_what_is_free(self, name: str, live: bool) -> None:
        self.own(name, live)

    @rule(name=OWNERS, live=st.booleans(), seldom=SELDOM)
    def own_anyway(self, name: str, live: bool, seldom: bool) -> None:
        if seldom:
            self.own(name, live)

    def own(self, name: str, live: bool) -> None:
        lease = LIVE if live else LAPSED
        told = self.model.own(name, live)
        owner = self._act("own", told, self.workspace.own(self.run, name, lease=lease))
        if owner is not None:
            self.owners.append(owner)

    @precondition(lambda self: not self.model.over and not (self.model.live and self.model.owner))
    @rule()
    def own_at_once(self) -> None:
        names = ["one", "two", "three"]
        told = [self.model.own(name, live=True) for name in names]
        acts = [self.workspace.own(self.run, name, lease=LIVE) for name in names]
        for owner in self._together("own at once", told, acts):
            if owner is not None:
                self.model.owner = owner.name
                self.owners.append(owner)

    @precondition(lambda self: self.owners)
    @rule(pick=PICK, live=st.booleans())
    def keep(self, pick: int, live: bool) -> None:
        owner = self._owner(pick)
        told = self.model.keep(owner.epoch, live)
        self._act("keep", told, plain(self.workspace.keep(owner, lease=LIVE if live else LAPSED)))

    @precondition(lambda self: self.owners)
    @rule(pick=PICK, seldom=SELDOM)
    def park(self, pick: int, seldom: bool) -> None:
        seen_all = seldom
        owner = self._owner(pick)
        last = self.witness.last if seen_all else "0-0"
        told = self.model.park(owner.epoch, seen_all)
        self._act("park", told, self.workspace.park(owner, last, time.time() + LIVE))

    @precondition(lambda self: self.owners and self.model.cells)
    @rule(pick=PICK, seldom=SELDOM, status=st.sampled_from(["done", "failed"]))
    def finish(self, pick: int, seldom: bool, status: RunStatus) -> None:
        if not seldom and self._unsettled() and not self.model.cancelled:
            return
        owner = self._owner(pick)
        told = self.model.finish(owner.epoch, status)
        event = RunEnded(status, Usage().to_json(), 0.0, time.time())
        self._act("finish", told, plain(self.workspace.finish(owner, event)))

    @precondition(lambda self: not self.model.over and not self.model.live)
    @rule(seldom=SELDOM)
    def taken_by_one_who_dies(self, seldom: bool) -> None:
        """It waits no more, and nobody owns it."""
        if not seldom:
            return
        leave = self.workspace.admission.leave(self.run)
        self._act("taken", Told(OK, rule=Rule.FOUND), plain(leave))

    @rule(seldom=SELDOM, dies=st.booleans())
    def cancel(self, seldom: bool, dies: bool) -> None:
        if seldom:
            told = self.model.cancel()
            workspace = self._gateway(dies)
            self._act("cancel", told, plain(workspace.cancel(self.run, "enough")))

    # --- plans ----------------------------------------------------------------------------------

    @precondition(lambda self: self.owners)
    @rule(pick=PICK, shape=SHAPES, kept=st.sampled_from([0, 0, 1, MANY]), more=st.integers(-1, 1))
    def write_plan(self, pick: int, shape: list[int], kept: int, more: int) -> None:
        owner = self._owner(pick)
        version = self.model.version + more
        results = {f"k{n}": n for n in range(kept if version == 1 else 0)}
        whole = {k: list[str]() for k in results} | self._plan(shape, version)
        told = self.model.write_plan(owner.epoch, version, whole, results)
        if told.word == OK:
            self.witness.planned(whole)
            self.loops |= {f"t{n}_v{version}" for n, mask in enumerate(shape) if mask >> 6}
        written = Plan(
            tuple(Task(TaskId(t), "x.y", after=tuple(map(TaskId, i))) for t, i in whole.items())
        )
        keeps = {TaskId(k): (v, done_event(k, 0)) for k, v in results.items()}
        self._act("plan", told, self.workspace.write_plan(owner, written, version, keeps))

    def _plan(self, shape: Sequence[int], version: int) -> dict[str, list[str]]:
        """Tasks of their own, which read each other and what is done; with ids of their version."""
        known = self.model.tasks("done")[:2] if version > 1 else []
        ids = [f"t{n}_v{version}" for n in range(len(shape))]
        plan = {t: list[str]() for t in known}
        for n, mask in enumerate(shape):
            before = [*known, *ids[:n]]
            plan[ids[n]] = [t for i, t in enumerate(before) if mask >> i & 1]
        return plan

    @precondition(lambda self: self.owners)
    @rule(pick=PICK, seldom=SELDOM)
    def propose(self, pick: int, seldom: bool) -> None:
        if not seldom:
            return
        owner = self._owner(pick)
        event = PlanProposed({}, self.model.version + 1, time.time())
        told = self.model.propose(owner.epoch)
        self._act("propose", told, plain(self.workspace.propose(owner, event)))

    @precondition(lambda self: self.owners and self.loops)
    @rule(who=PICK, pick=PICK, count=st.sampled_from([0, 1, 2, MANY]))
    def expand(self, who: int, pick: int, count: int) -> None:
        owner, task = self._owner(who), self._task(pick, "ready", loops=True)
        children = [TaskId(f"{task}[{n}]") for n in range(count)]
        told = self.model.expand(owner.epoch, task, children)
        self._act("expand", told, self.workspace.expand(owner, TaskId(task), children))

    @precondition(lambda self: self.owners and self.model.cells)
    @rule(who=PICK, pick=PICK, how=st.sampled_from(["done", "failed", "skipped", "cancelled"]))
    def settle(self, who: int, pick: int, how: TaskStatus) -> None:
        owner, task = self._owner(who), self._task(pick, "waiting", "ready", "running")
        value, salience = self._number() if how == "done" else None, float(pick)
        told = self.model.settle(owner.epoch, task, how, value, salience)
        event = settled_event(task, how, self._attempt_of(task))
        act = self.workspace.settle(owner, TaskId(task), how, event, value, salience)
        self._act("settle", told, act)


def settled_event(task: str, how: TaskStatus, attempt: int) -> Event:
    now = time.time()
    match how:
        case "done":
            return done_event(task, 0)
        case "failed":
            return TaskFailed(task, attempt, Fault("x", "y"), True, now)
        case "skipped":
            return TaskSkipped(task, "why", now)
        case _:
            return TaskCancelled(task, now)
