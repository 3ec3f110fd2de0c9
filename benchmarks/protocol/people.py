"""What people do: decide, edit, let time pass; and slots that are no results."""

import time
from collections.abc import Awaitable
from typing import Literal

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from benchmarks.protocol.model import NO, OK, Asked, Rule, Told
from benchmarks.protocol.stage import LAPSED, LIVE, PICK, SELDOM, Stage, plain
from pointsman.router.plan import TaskId
from pointsman.router.workspace import Approval
from pointsman.router.workspace.approvals import request_for


class People(Stage):
    # --- people ---------------------------------------------------------------------------------

    @precondition(lambda self: self.owners and self.model.cells)
    @rule(who=PICK, pick=PICK, late=st.sampled_from([False, False, True]), unknown=st.booleans())
    def hold(self, who: int, pick: int, late: bool, unknown: bool) -> None:
        owner, task = self._owner(who), self._task(pick, "ready", loops=False)
        asked = request_for(
            TaskId(task),
            "x.y",
            {"n": self._number()},
            why="unknown-effect" if unknown else "marked",
            question="?",
            now=time.time(),
            seconds=LAPSED if late else LIVE,
        )
        known = Asked(task, asked.digest, late, unknown)
        told = self.model.hold(owner.epoch, task, asked.approval, known)
        self._act("hold", told, self.workspace.hold(owner, asked))

    @precondition(lambda self: self.model.approvals)
    @rule(
        pick=PICK,
        decision=st.sampled_from(["approved", "denied", "done"]),
        wrong=st.sampled_from([False, False, False, True]),
        many=st.sampled_from([1, 1, 2]),
        dies=st.booleans(),
    )
    def decide(
        self,
        pick: int,
        decision: Literal["approved", "denied", "done"],
        wrong: bool,
        many: int,
        dies: bool,
    ) -> None:
        approval, digest = self._asked(pick, wrong)
        told = [self.model.decide(approval, digest, decision) for _ in range(many)]
        task, workspace = self.model.approvals[approval].task, self._gateway(dies)
        if told[0].word == OK and decision == "approved":
            self.witness.cleared(task)
        acts = [
            plain(
                workspace.decide(self.run, approval, decision, digest=digest, by=f"p{n}", value=1)
            )
            for n in range(many)
        ]
        self._together("decide", told, acts)

    @precondition(lambda self: self.model.approvals)
    @rule(pick=PICK, wrong=st.sampled_from([False, False, False, True]))
    def edit(self, pick: int, wrong: bool) -> None:
        approval, digest = self._asked(pick, wrong)
        number = self._number()
        act = self.workspace.edit(self.run, approval, {"n": number}, digest=digest, by="p")
        told = self.model.edit(approval, digest, "", "")
        self._act_edit(told, act)

    def _act_edit(self, told: Told, act: Awaitable[str]) -> None:
        """The new request's id is the workspace's to choose, and its digest with it."""
        if told.word != OK:
            self._act("edit", told, act)
            return

        async def edited() -> str:
            new = await act
            found = {a.id: a for a in await self.workspace.approvals(self.run)}
            asked = self.model.approvals.pop("")
            self.model.approvals[new] = asked
            self.model.cells[asked.task].approval = new
            asked.digest = found[new].digest
            return new

        self._act("edit", told, edited())

    @precondition(lambda self: self.model.approvals)
    @rule(pick=PICK)
    def expire(self, pick: int) -> None:
        approval, digest = self._asked(pick, False)
        known = self.model.approvals[approval]
        told = self.model.decide(approval, digest, "expired")
        asked = Approval(approval, known.task, digest, "x.y", {}, "", "", 0.0, 0.0)
        if (told.rule is Rule.APPROVAL and told.word != OK) or told.rule is Rule.CANCEL:
            told = Told(NO, rule=told.rule)
        self._act("expire", told, self.workspace.expire(self.run, asked))

    def _asked(self, pick: int, wrong: bool) -> tuple[str, str]:
        open_ones = [i for i, a in self.model.approvals.items() if not a.decision]
        approval = self._pick(open_ones, list(self.model.approvals), pick)
        digest = self.model.approvals[approval].digest
        return approval, "0" * 64 if wrong else digest

    # --- slots ----------------------------------------------------------------------------------

    @rule(
        pick=PICK,
        less=st.sampled_from([0, 0, 1, -1]),
        many=st.sampled_from([1, 1, 2]),
        seldom=SELDOM,
    )
    def write(self, pick: int, less: int, many: int, seldom: bool) -> None:
        if not seldom:
            return
        names = ["notes", *list(self.model.cells)[:1]]
        slot = names[pick % len(names)]
        expected = max(0, self.model.slots.get(slot, 0) - less)
        told = [self.model.write(slot, expected) for _ in range(many)]
        acts = [self.workspace.write(self.run, slot, n, expected=expected) for n in range(many)]
        self._together("write", told, acts)
