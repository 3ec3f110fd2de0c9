"""Owners, workers and people at one run on a real Redis, at random; a model and a witness beside them.

Each rule of the state machine is an act of somebody, with a current or a stale hold on the run. After each
one the answer, the events and the whole state are compared with the model's, and the witness looks at what
must hold anyway.
"""

from collections.abc import Callable, Iterator
from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from benchmarks.protocol.owners import Owners
from benchmarks.protocol.people import People
from benchmarks.protocol.stage import MANY
from benchmarks.protocol.workers import Workers
from pointsman.router.workspace import Claim

Choice = tuple[int, Callable[[], None]]
"""How often it is taken, and what it does."""
DICE = st.integers(0, 2**32)


class Protocol(Owners, Workers, People):
    """The machine. Rules alone seldom lead far; the two here do what comes next in a run, or nearly so."""

    @precondition(lambda self: not self.model.over)
    @rule(dice=DICE)
    def go_on(self, dice: int) -> None:
        """One act that makes sense as the run stands, now and then with a stale hold."""
        throw = Random(dice)
        choices = list(self._choices(throw))
        throw.choices([act for _, act in choices], [weight for weight, _ in choices])[0]()

    @precondition(lambda self: not self.model.over)
    @rule(dice=DICE, acts=st.integers(1, 60))
    def go_further(self, dice: int, acts: int) -> None:
        for n in range(acts):
            if not self.model.over:
                self.go_on(dice + n)

    def _choices(self, throw: Random) -> Iterator[Choice]:
        model, pick = self.model, throw.randrange(64)
        if not any(o.epoch == model.epoch for o in self.owners):
            yield 20, lambda: self.own("one", live=throw.random() < 0.7)
            if self.owners:
                yield 1, lambda: self.keep(pick, True)
        elif not model.version:
            yield 8, lambda: self._first_plan(throw)
            yield 2, lambda: self.cancel(True, dies=False)
        elif not self._unsettled():
            yield 4, lambda: self._next_plan(throw)
            yield 2, lambda: self.finish(pick, True, "done")
        elif model.cancelled:
            yield 3, lambda: self.settle(pick, pick, throw.choice(["cancelled", "done"]))
            yield 1, lambda: self.finish(pick, True, "cancelled")
        if self.owners and model.cells:
            yield from self._of_tasks(throw)
        if self.claims:
            yield from self._of_claims(throw)
        if model.approvals:
            yield from self._of_people(throw)

    def _first_plan(self, throw: Random) -> None:
        kept = MANY if throw.random() < 0.25 else 0
        self.write_plan(1, self._shape(throw), kept, 1)

    def _next_plan(self, throw: Random) -> None:
        self.write_plan(throw.randrange(64), self._shape(throw), 0, throw.choice([1, 1, 1, 0]))

    def _shape(self, throw: Random) -> list[int]:
        loop = [64, *[0] * 4]
        return [throw.randrange(64) | throw.choice(loop) for _ in range(throw.randint(1, 5))]

    def _of_tasks(self, throw: Random) -> Iterator[Choice]:
        model, who, pick = self.model, throw.randrange(64), throw.randrange(64)
        if model.tasks("ready"):
            yield 12, lambda: self.route(who, pick, 1, throw.randrange(30))
            unknown, late = throw.random() < 0.5, throw.random() < 0.2
            yield 4, lambda: self.hold(who, pick, late, unknown)
            yield 2, lambda: self.settle(who, pick, throw.choice(["skipped", "done"]))
        begun = [n for n, t in enumerate(self._startable()) if t in model.effects]
        if begun:
            yield 6, lambda: self.hold(1, 8 * throw.choice(begun) + 1, False, True)
        if model.tasks("queued"):
            yield 12, lambda: self.claim(pick, 0, throw.choice([1, 1, 2]))
            yield 5, lambda: self.perform(pick, throw.choice([0, 0, 0, 1]), throw.choice([1, 2]))
        if model.tasks("queued", "running"):
            yield 4, lambda: self.lose(pick, throw.choice([0, 0, 0, 1]))
        if model.tasks("waiting"):
            yield 2, lambda: self.settle(who, pick, throw.choice(["skipped", "failed"]))
        if self.loops & set(model.tasks("ready")):
            yield 6, lambda: self.expand(who, pick, throw.choice([0, 2, MANY]))
        lost = [n for n, c in enumerate(model.cells.values()) if c.attempt and c.status == "ready"]
        yield 2, lambda: self.lose(8 * throw.choice(lost or range(8)), 0)
        yield 1, lambda: self.write(throw.randrange(2), 0, 1, True)

    def _startable(self) -> list[str]:
        return [t for t in self.model.tasks("ready") if t not in self.loops]

    def _of_claims(self, throw: Random) -> Iterator[Choice]:
        pick = throw.randrange(64)
        if self.model.tasks("running"):
            yield 8, lambda: self.commit(pick, 0, throw.choice([1, 1, 2]))
            yield 8, lambda: self.intend(pick)
            yield 1, lambda: self.renew(pick, True)
        yield 3, lambda: self.commit(8 * throw.randrange(8), 0, 1)
        overtaken = [n for n, c in enumerate(self.claims) if self._overtaken(c)]
        if overtaken:
            yield 6, lambda: self.commit(8 * throw.choice(overtaken), 0, 1)
        if self.model.effects:
            state = throw.choice(["done", "unknown", "cleared"])
            yield 4, lambda: self.note(pick, throw.randrange(2), state)

    def _overtaken(self, claim: Claim) -> bool:
        """Its task was settled at its attempt, and not by its commit."""
        cell = self.model.cells[claim.task]
        same = cell.status == "done" and cell.attempt == claim.attempt
        return same and cell.committed is None

    def _of_people(self, throw: Random) -> Iterator[Choice]:
        pick, wrong = throw.randrange(64), throw.random() < 0.2
        decision, dies = throw.choice(["approved", "denied", "done"]), throw.random() < 0.3
        held = bool(self.model.tasks("held"))
        yield 6 if held else 1, lambda: self.decide(pick, decision, wrong, 1, dies)
        yield 2 if held else 1, lambda: self.decide(pick, decision, False, 2, False)
        yield 1, lambda: self.edit(pick, wrong)
        yield 1, lambda: self.expire(pick)
        if held and self.owners:
            yield 3, lambda: self.park(1, True)
            yield 2, lambda: self.settle(1, 8 * throw.randrange(8), "cancelled")
