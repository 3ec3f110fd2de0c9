"""What workers do: claim, renew, commit, lose, and keep the ledger of effects."""

import time
from typing import Literal

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from benchmarks.protocol.model import OK
from benchmarks.protocol.stage import LIVE, PICK, Stage, done_event, plain
from pointsman.router.events import Fault, TaskFailed, TaskProgressed, TaskRouted, TaskStarted
from pointsman.router.plan import TaskId
from pointsman.router.workspace import Claim


class Workers(Stage):
    # --- attempts -------------------------------------------------------------------------------

    @precondition(lambda self: self.owners and self.model.cells)
    @rule(who=PICK, pick=PICK, more=st.sampled_from([1, 1, 1, 0, 2]), cost=st.integers(0, 30))
    def route(self, who: int, pick: int, more: int, cost: int) -> None:
        owner, task = self._owner(who), self._task(pick, "ready", loops=False)
        attempt = self._attempt_of(task) + more
        told = self.model.route(owner.epoch, task, attempt, cost)
        if told.word == OK:
            self.costs[task, attempt] = cost
        route = {"expert": "e", "reason": "", "cost": cost}
        event = TaskRouted(task, attempt, route, time.time())
        call = {"capability": "x.y", "salience": float(pick % 5)}
        self._act("route", told, self.workspace.route(owner, event, call))

    @precondition(lambda self: self.model.cells)
    @rule(pick=PICK, less=st.sampled_from([0, 0, 0, 1]), many=st.sampled_from([1, 1, 3]))
    def claim(self, pick: int, less: int, many: int) -> None:
        task = self._task(pick, "queued")
        attempt = self._attempt_of(task) - less
        told = [self.model.claim(task, attempt) for _ in range(many)]
        acts = [
            self.workspace.claim(self.run, TaskId(task), attempt, worker=f"w{n}", lease=LIVE)
            for n in range(many)
        ]
        found = self._together("claim", told, acts)
        self.claims.extend(c for c in found if c is not None)

    @precondition(lambda self: self.claims)
    @rule(pick=PICK, progress=st.booleans())
    def renew(self, pick: int, progress: bool) -> None:
        claim = self._claim(pick)
        told = self.model.renew(claim.task, claim.attempt, progress)
        event = TaskProgressed(claim.task, claim.attempt, 0.5, "", time.time())
        act = self.workspace.renew(claim, lease=LIVE, progress=event if progress else None)
        self._act("renew", told, plain(act))

    @precondition(lambda self: self.claims)
    @rule(pick=PICK, less=st.integers(0, 5), many=st.sampled_from([1, 1, 2]))
    def commit(self, pick: int, less: int, many: int) -> None:
        """Once, or twice because its first answer was lost."""
        claim = self._claim(pick)
        value, cost = self._value(claim), self._cost(claim, less)
        salience = float(claim.call["salience"])
        told = [
            self.model.commit(claim.task, claim.attempt, value, cost, salience) for _ in range(many)
        ]
        event = done_event(claim.task, claim.attempt, cost)
        acts = [plain(self.workspace.commit(claim, value, event)) for _ in range(many)]
        self._together("commit", told, acts)

    @precondition(lambda self: self.model.cells)
    @rule(pick=PICK, less=st.sampled_from([0, 0, 0, 1]), many=st.sampled_from([1, 1, 2]))
    def perform(self, pick: int, less: int, many: int) -> None:
        """Done before it was claimed: once, or twice because its first answer was lost."""
        task = self._task(pick, "queued")
        if task in self.model.effects:
            return
        attempt = self._attempt_of(task) - less
        call = {"capability": "x.y", "salience": float(pick % 5)}
        claim = Claim(self.run, TaskId(task), attempt, call)
        value, cost, salience = self._value(claim), self._cost(claim, 0), float(pick % 5)
        told = [self.model.perform(task, attempt, value, cost, salience) for _ in range(many)]
        start = TaskStarted(claim.task, attempt, "w", time.time())
        event = done_event(claim.task, attempt, cost)
        acts = [plain(self.workspace.perform(claim, value, start, event)) for _ in range(many)]
        self._together("perform", told, acts)

    @precondition(lambda self: len(self.model.tasks("running")) > 1)
    @rule()
    def commit_all_at_once(self) -> None:
        current = {
            c.task: c
            for c in self.claims
            if self.model.cells[c.task].status == "running"
            and self.model.cells[c.task].attempt == c.attempt
        }
        if not current:
            return
        told, acts = [], []
        for claim in current.values():
            value, cost = self._value(claim), self._cost(claim, 0)
            salience = float(claim.call["salience"])
            told.append(self.model.commit(claim.task, claim.attempt, value, cost, salience))
            event = done_event(claim.task, claim.attempt, cost)
            acts.append(plain(self.workspace.commit(claim, value, event)))
        self._together("commit all", told, acts)

    def _value(self, claim: Claim) -> int:
        """An attempt has one result, however often it is committed, and no two results are alike."""
        return self.values.setdefault((claim.task, claim.attempt), len(self.values) + 1000)

    def _cost(self, claim: Claim, less: int) -> int:
        """What an attempt used: at most what was set aside for it."""
        return max(0, self.costs.get((claim.task, claim.attempt), 0) - less)

    @precondition(lambda self: self.model.cells)
    @rule(pick=PICK, less=st.sampled_from([0, 0, 0, 1]))
    def lose(self, pick: int, less: int) -> None:
        task = self._task(pick, "queued", "running")
        attempt = self._attempt_of(task) - less
        told = self.model.lose(task, attempt)
        fault = Fault("expert.worker-lost", "gone", "expert", True)
        event = TaskFailed(task, attempt, fault, False, time.time())
        self._act("lose", told, self.workspace.lose(self.run, event))

    # --- effects --------------------------------------------------------------------------------

    @precondition(lambda self: self.claims)
    @rule(pick=PICK)
    def intend(self, pick: int) -> None:
        claim = self._claim(pick)
        effect: Literal["once", "keyed"] = "keyed" if ord(claim.task[1]) % 3 == 0 else "once"
        told = self.model.intend(claim.task, claim.attempt, effect)
        before = self._act("intend", told, self.workspace.intend(claim, effect, "w"))
        if before is not None and before.answer == "go" and effect == "once":
            self._checked(lambda: self.witness.granted(claim.task))

    @precondition(lambda self: self.model.effects)
    @rule(pick=PICK, less=st.integers(0, 1), state=st.sampled_from(["done", "unknown", "cleared"]))
    def note(self, pick: int, less: int, state: Literal["done", "unknown", "cleared"]) -> None:
        good = [c for c in self.claims if c.task in self.model.effects]
        claim = self._pick(good, self.claims, pick)
        entry = self.model.effects.get(claim.task)
        attempt = (entry.attempt if entry else claim.attempt) - (less and pick % 2)
        told = self.model.note(claim.task, attempt, state)
        if told.word == OK and state == "cleared":
            self.witness.cleared(claim.task)
        self._act("note", told, self.workspace.note_effect(claim, attempt, state, "n", 1))
