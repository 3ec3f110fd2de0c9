"""Owners, workers and people at one run on a real Redis, at random; a model and a witness beside them.

Each rule of the state machine is an act of somebody, with a current or a stale hold on the run. After each
one the answer, the events and the whole state are compared with the model's, and the witness looks at what
must hold anyway.
"""

from collections.abc import Callable

from hypothesis.stateful import precondition, rule

from benchmarks.protocol.owners import Owners
from benchmarks.protocol.people import People
from benchmarks.protocol.stage import PICK, SHAPES
from benchmarks.protocol.workers import Workers
from pointsman.router.events import TaskStatus


class Protocol(Owners, Workers, People):
    """The machine."""

    # --- what goes on ---------------------------------------------------------------------------

    @precondition(lambda self: not self.model.over)
    @rule(who=PICK, pick=PICK, shape=SHAPES)
    def go_on(self, who: int, pick: int, shape: list[int]) -> None:
        """The next sensible act of a run, so that it comes further than chance would take it."""
        model = self.model
        if model.parked and model.tasks("held"):
            self.decide(pick | 1, "approved", False, 1, pick % 4 > 1)
        elif not any(o.epoch == model.epoch for o in self.owners):
            self.own("one", live=True)
        elif model.cancelled and pick % 4 == 0:
            self.finish(who, True, "cancelled")
        elif not self._unsettled():
            self.write_plan(who, shape, 0, 1)
        else:
            steps = [(s, step) for s, step in self._sensible(who, pick).items() if model.tasks(s)]
            for _, step in steps[pick % len(steps) :][:1]:
                step()

    @precondition(lambda self: not self.model.over)
    @rule(who=PICK, pick=PICK, shape=SHAPES)
    def go_further(self, who: int, pick: int, shape: list[int]) -> None:
        for n in range(3):
            self.go_on(who, pick + n, shape)

    def _sensible(self, who: int, pick: int) -> dict[TaskStatus, Callable[[], None]]:
        """For tasks of a status, what would be done with one of them."""
        return {
            "ready": lambda: self.route(who, pick | 1, 1, pick % 16),
            "queued": lambda: self.claim(pick | 1, 0, 1),
            "running": lambda: self.commit(pick | 1, 0, 1) if self.claims else None,
            "held": lambda: (
                self.park(who | 1, True)
                if pick % 3
                else self.decide(pick | 1, "approved", False, 1, False)
            ),
            "waiting": lambda: self.expand(who, pick | 1, 2) if self.loops else None,
        }
