"""Starts one task: its condition, its arguments, a person's yes where one is needed, its route."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pointsman.router.cards import Route
from pointsman.router.catalog import Capability, Effect
from pointsman.router.errors import (
    BudgetExceeded,
    ExpertError,
    IllTypedArgument,
    LoopTooLong,
    NoExpert,
    PlanError,
)
from pointsman.router.events import Fault, TaskDone, TaskFailed, TaskRouted, TaskSkipped
from pointsman.router.plan import Loop, Ref, TaskId, at, holds, resolve
from pointsman.router.planning.base import Prefer
from pointsman.router.preview import preview
from pointsman.router.run import Ask, Collect, Node, RunState, Settle, Start, child_id
from pointsman.router.usage import Usage
from pointsman.router.values import kind_of
from pointsman.router.workspace import DeadLetter, Owner, RunRecord, Workspace
from pointsman.router.workspace.approvals import request_for
from pointsman.router.workspace.artifacts import ArtifactDamaged, ArtifactMissing
from pointsman.router.workspace.records import Approve, digest_of
from pointsman.workflows.choosing import Router
from pointsman.workflows.estimates import deadline_of
from pointsman.workflows.policy import OPEN, Policy, PolicyRefused, Verdict
from pointsman.workflows.respond import CONDITION

CALL_SECONDS = 120.0
"""The longest that one attempt may take, within the run's deadline."""
FAULTS = (PlanError, ExpertError, BudgetExceeded, ArtifactMissing, ArtifactDamaged)
"""What ends a task and not its run."""
ANSWER, STEP, ITEM = 1.0, 0.5, 0.1
"""Salience of a result of the answer, of one on the way to it, and of one item of a loop."""
RECENCY = 1e-10
"""Salience for each second since the epoch: of two alike, the newer one stays in focus."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which a run is dispatched. deadline: seconds since the epoch; fixed: the caller set it.

    weight: the run's share of the experts. approve: which tasks wait for a person. ask: tasks outside of the
    run's workflow, which wait for a person in any case, with the reason. policy: what is allowed to `tenant`,
    whose run it is.
    """

    prefer: Prefer
    deadline: float
    fixed: bool = True
    weight: float = 1.0
    approve: Approve = "marked"
    request: str = ""
    ask: Mapping[TaskId, str] = field(default_factory=dict)
    policy: Policy = OPEN
    tenant: str = "default"


def terms_of(
    record: RunRecord, ask: Mapping[TaskId, str] | None = None, *, policy: Policy = OPEN
) -> Terms:
    """ask: tasks that its workflow does not foresee."""
    spec = record.spec
    return Terms(
        prefer=spec.prefer,
        deadline=deadline_of(record),
        fixed=spec.deadline is not None or spec.budget.seconds is not None,
        weight=spec.weight,
        approve=spec.approve,
        request=record.request,
        ask=ask or {},
        policy=policy,
        tenant=spec.tenant,
    )


class Starter:
    """What is done with the tasks of one run, each by one fenced act."""

    def __init__(self, workspace: Workspace, router: Router, owner: Owner, terms: Terms) -> None:
        self._workspace = workspace
        self._router = router
        self._owner = owner
        self._terms = terms
        self._asked: dict[TaskId, int] = {}
        self._lists: dict[TaskId, list[Any]] = {}

    async def start(self, state: RunState, command: Start, *, deadline: float) -> NoExpert | None:
        """Opens an attempt, or skips, holds or fails the task. Returns why nobody can serve it now.

        deadline: the run's, seconds since the epoch.
        """
        node = state.nodes[command.task]
        results = await self._results(node)
        condition = node.task.when
        if condition is not None and not holds(condition, results):
            await self.skip(command.task, CONDITION)
            return None
        name = node.task.capability
        try:
            arguments = await self._arguments(state, node, results)
            described = self._router.capability(name)
            effect = None if described is None else described.effect
            verdict = self._terms.policy.judge(self._terms.tenant, name, effect, arguments)
            if verdict.decision == "refuse":
                raise PolicyRefused(name, verdict.why)
            if self._needs_yes(node, described, arguments, verdict):
                why = self._outside(node) or self._question(name, verdict)
                await self._hold(node, arguments, "marked", why)
                return None
            predicted = await self._router.predicted(name, arguments)
            route = self._router.route(
                name,
                prefer=self._terms.prefer,
                exclude=command.exclude,
                budget_left=self._cost_left(state),
                predicted=predicted,
            )
            self._asked[command.task] = route.most
            call = {
                "capability": name,
                "arguments": arguments,
                "deadline": min(deadline, time.time() + _seconds_for(route, effect)),
                "salience": self._salience(state, node),
                "tenant": self._terms.tenant,
            }
            event = TaskRouted(command.task, command.attempt, route.to_json(), time.time())
            await self._workspace.route(self._owner, event, call)
        except NoExpert as error:
            return error
        except FAULTS as error:
            await self.fail(state, command.task, Fault.of(error))
        return None

    def routed(self, task: TaskId) -> None:
        """What the attempt may cost is on the bus now."""
        self._asked.pop(task, None)

    async def ask(self, state: RunState, command: Ask) -> None:
        """An effect may or may not have happened: only a person knows."""
        node = state.nodes[command.task]
        try:
            arguments = await self._arguments(state, node, await self._results(node))
        except FAULTS as error:
            await self.fail(state, command.task, Fault.of(error))
            return
        question = f"{command.error.message}. Did it happen? May it be called again?"
        await self._hold(node, arguments, "unknown-effect", question)

    async def _hold(
        self, node: Node, arguments: Mapping[str, Any], why: Any, question: str
    ) -> None:
        request = request_for(
            node.task.id,
            node.task.capability,
            arguments,
            why=why,
            question=question,
            now=time.time(),
        )
        await self._workspace.hold(self._owner, request)

    def _question(self, name: str, verdict: Verdict) -> str:
        why = f" ({verdict.why})" if verdict.decision == "ask" else ""
        return f"May {name} be called with this?{why}"

    def _needs_yes(
        self,
        node: Node,
        capability: Capability | None,
        arguments: Mapping[str, Any],
        verdict: Verdict,
    ) -> bool:
        outside = self._outside(node) is not None or verdict.decision == "ask"
        if capability is None or (self._terms.approve == "never" and not outside):
            return False
        wanted = (
            outside
            or capability.approval
            or (self._terms.approve == "effects" and capability.effect in ("keyed", "once"))
        )
        return wanted and node.approved != digest_of(capability.name, arguments)

    def _outside(self, node: Node) -> str | None:
        """Why a task is not one that the run's workflow foresees; None when it is."""
        return self._terms.ask.get(node.parent or node.task.id)

    async def settle(self, state: RunState, command: Settle) -> None:
        """A result that a person gave."""
        node = state.nodes[command.task]
        by = node.decision.by if node.decision else "a person"
        event = _done(command.task, command.value, preview(command.value), f"given by {by}")
        await self._workspace.settle(
            self._owner,
            command.task,
            "done",
            event,
            command.value,
            salience=self._salience(state, node),
        )

    async def expand(self, state: RunState, id: TaskId) -> None:
        node = state.nodes[id]
        loop = node.task.for_each
        assert loop is not None
        if node.task.when is not None and not holds(node.task.when, await self._results(node)):
            await self.skip(id, CONDITION)
            return
        try:
            items = await self._items(id, loop)
        except FAULTS as error:
            await self.fail(state, id, Fault.of(error))
            return
        children = [child_id(id, index) for index in range(len(items))]
        await self._workspace.expand(self._owner, id, children)

    async def collect(self, state: RunState, command: Collect) -> None:
        found = await self._workspace.slots(self._owner.run, command.children)
        value = [found.get(c) for c in command.children]
        note = f"{command.failed} of {len(value)} items failed" if command.failed else ""
        event = _done(command.task, value, f"{len(value)} items", note)
        self._lists.pop(command.task, None)
        salience = self._salience(state, state.nodes[command.task])
        await self._workspace.settle(
            self._owner, command.task, "done", event, value, salience=salience
        )

    async def skip(self, task: TaskId, reason: str) -> None:
        event = TaskSkipped(task, reason, time.time())
        await self._workspace.settle(self._owner, task, "skipped", event)

    async def fail(self, state: RunState, task: TaskId, error: Fault) -> None:
        """For good. What an expert could not do is kept as a dead letter first."""
        node, now = state.nodes[task], time.time()
        if error.fault == "expert":
            letter = DeadLetter(
                self._owner.run,
                task,
                node.task.capability,
                error,
                node.attempt,
                self._terms.request[:500],
                now,
                self._terms.tenant,
            )
            await self._workspace.bury(letter)
        event = TaskFailed(task, node.attempt, error, True, now)
        await self._workspace.settle(self._owner, task, "failed", event)

    # --- what a task reads ----------------------------------------------------------------------

    def _cost_left(self, state: RunState) -> int | None:
        """Without what was asked for and is not yet on the bus: tasks are started side by side."""
        left = state.cost_left
        return None if left is None else max(0, left - sum(self._asked.values()))

    async def _arguments(
        self, state: RunState, node: Node, results: Mapping[TaskId, Any]
    ) -> Mapping[str, Any]:
        """Those that a person said yes to, else the plan's with every reference resolved."""
        if node.given is not None:
            return node.given
        resolved: dict[str, Any] = resolve(
            node.task.arguments, results, await self._item(state, node)
        )
        return resolved

    async def _results(self, node: Node) -> dict[TaskId, Any]:
        """What the task reads; null for what was skipped."""
        wanted = list(dict.fromkeys(r.task for r in node.task.refs()))
        if not wanted:
            return {}
        found = await self._workspace.slots(self._owner.run, wanted)
        return {id: found.get(id) for id in wanted}

    async def _item(self, state: RunState, node: Node) -> Any:
        if node.parent is None or node.index is None:
            return None
        if node.parent not in self._lists:
            loop = state.nodes[node.parent].task.for_each
            assert loop is not None
            self._lists[node.parent] = await self._items(node.parent, loop)
        return self._lists[node.parent][node.index]

    async def _items(self, task: TaskId, loop: Loop) -> list[Any]:
        """The list that a `for_each` goes over; a table's rows count as objects. Raises PlanError."""
        if not isinstance(loop.over, Ref):
            return list(loop.over)
        found = await self._workspace.slots(self._owner.run, [loop.over.task])
        value = at(found.get(loop.over.task), loop.over.path, of=loop.over.task)
        if kind_of(value) == "table":
            names = [c["name"] for c in value["columns"]]
            if value.get("file"):
                raise LoopTooLong(task, int(value["row_count"]), loop.limit)
            value = [dict(zip(names, row, strict=True)) for row in value["rows"]]
        if not isinstance(value, list):
            raise IllTypedArgument(
                task, "for_each", f"needs a list or a table, got {kind_of(value)}"
            )
        if len(value) > loop.limit:
            raise LoopTooLong(task, len(value), loop.limit)
        return value

    def _salience(self, state: RunState, node: Node) -> float:
        recency = RECENCY * time.time()
        if node.parent is not None:
            return ITEM + recency
        wanted = state.plan is not None and node.task.id in state.plan.answer
        return (ANSWER if wanted else STEP) + recency


def _seconds_for(route: Route, effect: Effect | None) -> float:
    """How long a call may take: the router's patience counts where a call may be made twice."""
    if route.patience is None or effect not in ("pure", "idempotent"):
        return CALL_SECONDS
    return min(CALL_SECONDS, route.patience)


def _done(task: TaskId, value: Any, shown: str, note: str) -> TaskDone:
    return TaskDone(
        task=task,
        attempt=0,
        kind=kind_of(value),
        preview=shown,
        note=note,
        usage=Usage().to_json(),
        seconds=0.0,
        at=time.time(),
    )
