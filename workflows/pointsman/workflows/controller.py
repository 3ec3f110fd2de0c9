"""The controller graph: understand -> plan -> review -> dispatch -> assess -> (replan) -> respond.

LangGraph holds the phases and their checkpoints; the plan's own graph runs in the workspace, through the
dispatcher. A node may be run twice (a controller died after it, before its checkpoint), so each one looks
at what the workspace already has before it acts.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from pointsman.router.catalog import Catalog
from pointsman.router.errors import (
    EmptyRequest,
    ExpertError,
    PointsmanError,
    RunOver,
    StaleOwner,
    WorkspaceError,
)
from pointsman.router.events import (
    AnswerGrew,
    AnswerReady,
    Fault,
    Phase,
    PhaseEntered,
    PlanProposed,
    RunEnded,
    TaskDone,
)
from pointsman.router.plan import (
    MAX_GIVEN_TASKS,
    MAX_TASKS,
    Plan,
    Task,
    TaskId,
    validate,
)
from pointsman.router.planning.base import Planner, Proposal, Refusal
from pointsman.router.planning.streaming import Withdrawn, planned
from pointsman.router.planning.workflow_match import Workflow
from pointsman.router.preview import preview
from pointsman.router.routing.predicting import Predictor
from pointsman.router.run import RunState
from pointsman.router.usage import Usage
from pointsman.router.values import kind_of
from pointsman.router.workspace import Owner, RunRecord, Workspace
from pointsman.workflows.choosing import Router
from pointsman.workflows.dispatcher import Dispatcher
from pointsman.workflows.early import EarlyStart, folded, in_vain, past
from pointsman.workflows.enforcing import Enforcer
from pointsman.workflows.estimates import deadline_of, estimate, over_budget
from pointsman.workflows.phases import (
    Phases,
    another_way,
    failed,
    on_outcome,
    refused,
    request_of,
    status_of,
    unplanned,
)
from pointsman.workflows.policy import OPEN, Policy
from pointsman.workflows.replanning import (
    MAX_VERSIONS,
    again,
    done_before,
    failed_for_another_way,
    merged,
    without,
)
from pointsman.workflows.respond import Answer, compose, refuse, steps_taken
from pointsman.workflows.starting import terms_of

if TYPE_CHECKING:
    from pointsman.router.planning.llm.answer import Writer  # openai takes a second to import

MISSING: Any = object()
ALL_MISSING, SOME_MISSING = 20.0, 6.0
"""Seconds that experts are awaited before a run is planned without them; workers tell of themselves every 5."""
PREVIEW = 4_000
"""Characters of a result that a language model sees when it writes the answer."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What one step of the graph works with."""

    owner: Owner
    record: RunRecord


class ControllerGraph:
    """Steps one run through its phases. Raises StaleOwner when another controller took it over."""

    def __init__(
        self,
        workspace: Workspace,
        planner: Planner,
        saver: BaseCheckpointSaver[Any],
        *,
        writer: "Writer | None" = None,
        library: Sequence[Workflow] = (),
        policy: Policy = OPEN,
        predictor: Predictor | None = None,
    ) -> None:
        """library: workflows whose action plans bind the runs that follow them. policy: what may be called.

        predictor: how well experts do on the input of a task, where that was learned.
        """
        self._workspace = workspace
        self._planner = planner
        self._writer = writer
        self._router = Router(workspace, predictor)
        self._enforcer = Enforcer(library)
        self._policy = policy
        self._owners: dict[str, Owner] = {}
        self._states: dict[str, RunState] = {}
        self._saver = saver
        self._graph = self._compiled(saver)

    def _compiled(self, saver: BaseCheckpointSaver[Any]) -> CompiledStateGraph[Any, Any, Any, Any]:
        graph = StateGraph(Phases)
        for name in ("understand", "plan", "review", "dispatch", "assess", "replan", "respond"):
            graph.add_node(name, getattr(self, f"_{name}"))
        graph.add_edge(START, "understand")
        graph.add_conditional_edges("understand", on_outcome("plan"), ["plan", "respond"])
        graph.add_conditional_edges("plan", on_outcome("review"), ["review", "respond"])
        graph.add_conditional_edges("review", on_outcome("dispatch"), ["dispatch", "respond"])
        graph.add_edge("dispatch", "assess")
        graph.add_conditional_edges("assess", another_way, ["replan", "respond"])
        graph.add_conditional_edges("replan", on_outcome("review"), ["review", "respond"])
        graph.add_edge("respond", END)
        return graph.compile(checkpointer=saver)

    async def step(self, owner: Owner) -> None:
        """The whole run, from wherever its checkpoint stands, to its end."""
        place = {"thread_id": owner.run, "checkpoint_ns": "", "fence": owner.epoch}
        config: Any = {"configurable": place}
        self._owners[owner.run] = owner
        try:
            begun = (await self._graph.aget_state(config)).values
            start: Phases | None = None if begun else {"run": owner.run}
            await self._graph.ainvoke(start, config, durability="sync")
            await self._saver.adelete_thread(owner.run)  # the run has ended: nobody resumes it
        finally:
            del self._owners[owner.run]
            self._states.pop(owner.run, None)

    async def _enter(self, state: Phases, phase: Phase) -> Stage:
        owner = self._owners[state.get("run", "")]
        await self._workspace.post(owner, PhaseEntered(phase, time.time()))
        return Stage(owner, await self._workspace.run(owner.run))

    # --- phases ---------------------------------------------------------------------------------

    async def _understand(self, state: Phases) -> Phases:
        stage = await self._enter(state, "understand")
        if stage.record.cancel is not None:
            return {"phase": "understand", "outcome": "cancelled"}
        if stage.record.spec.plan is None and not stage.record.request.strip():
            return failed("understand", EmptyRequest(), "refused")
        return {"phase": "understand"}

    async def _plan(self, state: Phases) -> Phases:
        stage = await self._enter(state, "plan")
        record = stage.record
        if record.plan_text is not None:  # written before a controller died
            return {"phase": "plan", "outcome": "planned"}
        catalog = await self._catalog(record.spec.plan)
        early = EarlyStart(
            self._workspace,
            self._router,
            stage.owner,
            record,
            catalog,
            terms_of(record, policy=self._policy),
        )
        try:
            proposal = await self._begun(stage, catalog, early)
            if proposal is None:
                return {"phase": "plan", "outcome": "cancelled"}
            outcome = proposal.outcome
            if isinstance(outcome, Refusal):
                return refused(outcome)
            limit = MAX_TASKS if record.spec.plan is None else MAX_GIVEN_TASKS
            validate(outcome, catalog, max_tasks=limit)
            outcome = self._enforcer.review(outcome).plan
        except WorkspaceError:
            raise
        except PointsmanError as error:
            await early.abandon()
            return unplanned(error)
        finally:
            await early.stop()
        event = PlanProposed(
            outcome.to_json(),
            record.proposed + 1,
            time.time(),
            [{"name": c.name, "score": c.score, **c.detail} for c in proposal.considered],
            estimate(outcome, catalog),
        )
        await self._workspace.propose(stage.owner, event)
        return {"phase": "plan", "outcome": "done" if record.dry_run else "planned"}

    async def _begun(self, stage: Stage, catalog: Catalog, early: EarlyStart) -> Proposal | None:
        """The planner's outcome, its first tasks begun meanwhile; None when the run is cancelled."""
        record = stage.record
        if record.spec.plan is not None:
            return Proposal(record.spec.plan, 1.0)
        if stage.owner.epoch > 1:
            await early.recover()
        ends = deadline_of(record) if terms_of(record).fixed else None
        async with aclosing(
            planned(self._planner, request_of(record), catalog, deadline=ends)
        ) as items:
            async for item in items:
                match item:
                    case Task():
                        if not await early.take(item):
                            break
                    case Withdrawn():
                        await early.withdraw()
                    case Proposal():
                        return await early.whole(item)
        await early.abandon()
        return None

    async def _catalog(self, given: Plan | None) -> Catalog:
        """After Redis was away the experts are not there for a moment: that must not fail a run."""
        wanted = {t.capability for t in given.tasks} if given is not None else set()
        began = time.monotonic()
        while True:
            catalog = await self._workspace.catalog()
            waited = time.monotonic() - began
            if len(catalog) and all(name in catalog for name in wanted):
                return catalog
            if waited > (SOME_MISSING if len(catalog) else ALL_MISSING):
                return catalog
            await asyncio.sleep(0.5)

    async def _review(self, state: Phases) -> Phases:
        """Before anything runs: what it is expected to cost fits the budget."""
        stage = await self._enter(state, "review")
        plan = stage.record.parsed_plan
        budget = stage.record.spec.budget
        if budget.cost is None and budget.calls is None:
            return {"phase": "review"}
        expected = estimate(plan, await self._workspace.catalog())
        over = over_budget(budget, len(plan.tasks), int(expected["cost"]))
        if over is not None:
            return failed("review", over, "refused")
        return {"phase": "review"}

    async def _dispatch(self, state: Phases) -> Phases:
        stage = await self._enter(state, "dispatch")
        record, spec = stage.record, stage.record.spec
        if record.version < record.proposed:
            plan = record.parsed_plan
            kept = await self._kept(record, plan) if record.proposed == 1 else {}
            await self._workspace.write_plan(stage.owner, plan, record.proposed, kept)
        terms = terms_of(record, self._enforcer.review(record.parsed_plan).ask, policy=self._policy)
        dispatcher = Dispatcher(self._workspace, self._router, stage.owner, terms)
        self._states[record.id] = await dispatcher.run(RunState(budget=spec.budget))
        return {"phase": "dispatch"}

    async def _kept(self, record: RunRecord, plan: Plan) -> dict[TaskId, tuple[Any, TaskDone]]:
        """Results that this run takes over from the one that it repeats."""
        reuse = record.spec.reuse
        if reuse is None:
            return {}
        found = await self._workspace.slots(reuse.run, list(reuse.tasks))
        note, now, nothing = f"kept from {reuse.run}", time.time(), Usage().to_json()
        return {
            t.id: (v, TaskDone(t.id, 0, kind_of(v), preview(v), note, nothing, 0.0, now))
            for t in plan.tasks
            if (v := found.get(t.id, MISSING)) is not MISSING
        }

    async def _assess(self, state: Phases) -> Phases:
        """Done when at least one of the answer's tasks is done; else the run is what stopped it."""
        stage = await self._enter(state, "assess")
        record = stage.record
        plan = record.parsed_plan
        final = await self._final(record)
        again = (
            record.spec.plan is None
            and record.cancel is None
            and record.version < MAX_VERSIONS
            and bool(failed_for_another_way(final))
        )
        if any(final.nodes[id].status == "done" for id in plan.answer):
            return {"phase": "assess", "outcome": "done", "again": again, "error": None}
        if record.cancel is not None:
            return {"phase": "assess", "outcome": "cancelled", "again": False}
        errors = [n.error for n in final.nodes.values() if n.status == "failed" and n.error]
        if not errors and any(n.status == "done" for n in final.nodes.values()):
            # every condition was looked at, and none of the answer's held
            return {"phase": "assess", "outcome": "done", "again": False, "error": None}
        first = errors[0] if errors else Fault("plan.nothing", "no task of the plan ran", "plan")
        return {"phase": "assess", "outcome": "failed", "again": again, "error": first.to_json()}

    async def _replan(self, state: Phases) -> Phases:
        """Only what failed is planned again; where no other way is found, the outcome stays."""
        stage = await self._enter(state, "replan")
        record = stage.record
        if record.proposed > record.version:  # proposed before a controller died
            return {"phase": "replan", "outcome": "planned"}
        final = await self._final(record)
        catalog = await self._workspace.catalog()
        try:
            lost = failed_for_another_way(final)
            request = again(request_of(record), lost, catalog)
            proposal = await self._planner.plan(request, without(catalog, lost))
            if isinstance(proposal.outcome, Refusal):
                return {"phase": "replan"}
            plan = merged(final, proposal.outcome, record.version + 1)
            if plan is None:
                return {"phase": "replan"}
            follows, done = record.parsed_plan.source, done_before(final, plan)
            plan = self._enforcer.review(plan, follows=follows, done=done).plan
            validate(plan, catalog)
        except PointsmanError as error:
            if error.fault == "us":
                raise
            return {"phase": "replan"}
        event = PlanProposed(
            plan.to_json(), record.version + 1, time.time(), [], estimate(plan, catalog)
        )
        await self._workspace.propose(stage.owner, event)
        return {"phase": "replan", "outcome": "planned"}

    async def _respond(self, state: Phases) -> Phases:
        stage = await self._enter(state, "respond")
        record = stage.record
        told = state.get("error")
        error = Fault(**told) if told else None
        answer = await self._answer(stage, state, error)
        if answer is not None and record.answer is None:
            shown = answer.to_json()
            event = AnswerReady(shown, time.time())
            await self._workspace.post(stage.owner, event, answer=shown)
        ended = RunEnded(
            status=status_of(state),
            usage=answer.usage.to_json() if answer else Usage().to_json(),
            seconds=time.time() - record.created,
            at=time.time(),
            error=error,
        )
        await self._workspace.finish(stage.owner, ended)
        return {"phase": "respond"}

    # --- the answer -----------------------------------------------------------------------------

    async def _answer(self, stage: Stage, state: Phases, error: Fault | None) -> Answer | None:
        record, outcome = stage.record, state.get("outcome")
        if record.plan_text is None or (outcome == "refused" and error is not None):
            if error is None:
                return None
            more = state.get("refusal") or {}
            could_do = tuple(more.get("could_do", ()))
            said = refuse(Refusal(error.message, could_do, more.get("question")))
            lost = in_vain([e async for e in past(self._workspace, record.id)])
            return replace(said, usage=(await self._final(record)).spent + lost)
        if record.dry_run:
            return None
        plan = record.parsed_plan
        events = [e async for e in past(self._workspace, record.id)]
        spent: Usage = (await self._final(record)).spent + in_vain(events)
        results = await self._workspace.slots(record.id, list(plan.answer))
        written = None
        if self._writer is not None and results and outcome == "done":
            written, writing = await self._write(stage, plan, results)
            spent = spent + writing
        return compose(
            plan,
            results,
            steps_taken(plan, events),
            usage=spent,
            seconds=time.time() - record.created,
            written=written,
            failure=record.cancel if record.cancel and outcome != "done" else None,
        )

    async def _write(
        self, stage: Stage, plan: Plan, results: Mapping[str, Any]
    ) -> tuple[str | None, Usage]:
        """By the language model, streamed; ours is taken when it fails."""
        assert self._writer is not None
        focus = await self._workspace.focus(stage.record.id)
        known: dict[str, str] = {t.id: t.title or t.id for t in plan.tasks}
        parts = [
            (known[id], preview(value, PREVIEW))
            for id, value in {**results, **focus}.items()
            if id in known
        ]
        used: list[Usage] = []
        pieces: list[str] = []
        writing = self._writer.write_answer(
            stage.record.request, parts, deadline=deadline_of(stage.record), on_usage=used.append
        )
        try:
            async for piece in writing:
                pieces.append(piece)
                await self._workspace.post(stage.owner, AnswerGrew(piece, time.time()))
        except ExpertError:
            return None, sum(used, Usage())
        return "".join(pieces) or None, sum(used, Usage())

    async def _final(self, record: RunRecord) -> RunState:
        """As the dispatcher left it; folded from the bus where another controller dispatched."""
        if record.id not in self._states:
            state = await folded(self._workspace, record.id, record.spec.budget)
            self._states[record.id] = state
        return self._states[record.id]

    async def abandon(self, owner: Owner, error: PointsmanError) -> None:
        """A defect of ours stopped the run: it ends, and says so."""
        event = RunEnded("failed", Usage().to_json(), 0.0, time.time(), Fault.of(error))
        with suppress(StaleOwner, RunOver):
            await self._workspace.finish(owner, event)
