"""Early start: the tasks of a plan run while the planner still writes it.

A task whose effect is `pure` or `idempotent` begins as soon as the planner has given it; others wait until the
plan is whole and reviewed, for it may yet be withdrawn. What was begun for an answer that was withdrawn, or by a
controller that died, is not done twice: a later task that asks for the very same takes it over. What no task of
the whole plan takes is dropped, and what it cost stays counted.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from typing import Final

from pointsman.router.catalog import Catalog
from pointsman.router.events import Event, TaskCancelled
from pointsman.router.plan import Plan, Task, TaskId, order
from pointsman.router.planning.base import Proposal
from pointsman.router.planning.llm.repair import renamed
from pointsman.router.run import Command, RunState, step
from pointsman.router.usage import Budget, Usage
from pointsman.router.workspace import Owner, RunRecord, Workspace
from pointsman.router.workspace.growing import GROWING
from pointsman.workflows.choosing import Router
from pointsman.workflows.dispatcher import Dispatcher
from pointsman.workflows.estimates import estimate, over_budget
from pointsman.workflows.starting import Terms

MAY_BEGIN: Final = ("pure", "idempotent")
LOST: Final = ("failed", "cancelled", "skipped")
MOST: Final = 64
"""Tasks that are begun before a plan is whole."""
LONGEST_ID: Final = 64


class Growing(Dispatcher):
    """Dispatches a plan that is not whole: there is always more to come. Runs until it is cancelled."""

    async def _carry_out(self, state: RunState, commands: Iterable[Command]) -> bool:
        await super()._carry_out(state, commands)
        return False


class EarlyStart:
    """The tasks of one run that are begun before its plan is whole."""

    def __init__(
        self,
        workspace: Workspace,
        router: Router,
        owner: Owner,
        record: RunRecord,
        catalog: Catalog,
        terms: Terms,
    ) -> None:
        self._workspace = workspace
        self._router = router
        self._owner = owner
        self._record = record
        self._catalog = catalog
        self._terms = terms
        self._open = not record.dry_run
        self._ids: dict[TaskId, TaskId] = {}
        self._given: dict[TaskId, Task] = {}
        self._begun: dict[TaskId, Task] = {}
        self._left: dict[TaskId, Task] = {}
        """Begun, and of no task of the answer that is being written."""
        self._used: set[TaskId] = set()
        self._dispatching: asyncio.Task[RunState] | None = None

    async def recover(self) -> None:
        """What another controller had begun is there to be taken over. Raises StaleOwner, RunOver."""
        state = await folded(self._workspace, self._owner.run)
        self._begun = {id: n.task for id, n in state.nodes.items() if n.parent is None}
        self._used |= self._begun.keys()
        await self.withdraw()

    async def take(self, task: Task) -> bool:
        """The next task of the plan: begins it, if it may. False when the run is being cancelled.

        Raises StaleOwner, RunOver.
        """
        self._look_at_the_dispatcher()
        self._given[task.id] = task
        here = self._placed(task)
        if here.id in self._begun or not self._may_begin(here):
            return True
        if self._dispatching is None:
            self._dispatching = asyncio.create_task(
                Growing(self._workspace, self._router, self._owner, self._terms).run(
                    RunState(budget=self._record.spec.budget)
                ),
                name=f"early start of {self._owner.run}",
            )
        self._begun[here.id] = here
        so_far = Plan(tuple(self._begun.values()))
        return await self._workspace.grow(self._owner, so_far, [here])

    async def withdraw(self) -> None:
        """The answer so far is void. What has an expert goes on: the next answer may ask for it again."""
        self._ids.clear()
        self._given.clear()
        if not self._begun:
            return
        nodes = (await folded(self._workspace, self._owner.run)).nodes
        self._left = {
            id: t for id, t in self._begun.items() if id in nodes and nodes[id].status not in LOST
        }
        await self._drop(dict(self._left), idle=True)

    async def whole(self, proposal: Proposal) -> Proposal:
        """The proposal with the ids under which its tasks were begun; what it does not use is dropped."""
        self._look_at_the_dispatcher()
        await self.stop()
        if not self._begun:
            return proposal
        plan = self._settled(proposal.outcome) if isinstance(proposal.outcome, Plan) else None
        kept = {t.id for t in plan.tasks} if plan is not None else set()
        unused = {id: t for id, t in self._begun.items() if id not in kept}
        await self._drop(unused, idle=False)
        if plan is None:
            return proposal
        notes = [
            f"Begun before the plan was whole, and not used: {t.title or t.capability}"
            for t in unused.values()
        ]
        plan = replace(plan, assumptions=(*plan.assumptions, *notes))
        return replace(proposal, outcome=plan)

    async def abandon(self) -> None:
        """There is no plan: everything that was begun is dropped. Raises StaleOwner, RunOver."""
        await self.stop()
        await self._drop(dict(self._begun), idle=False)

    async def stop(self) -> None:
        """Nothing more is started; what has an expert goes on."""
        task, self._dispatching = self._dispatching, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _look_at_the_dispatcher(self) -> None:
        if self._dispatching is not None and self._dispatching.done():
            self._dispatching.result()

    # --- which task is which --------------------------------------------------------------------

    def _placed(self, task: Task) -> Task:
        """The task as it stands in the workspace: one that is there already, or with an id of its own."""
        here = renamed(task, self._ids)
        same = next((t for t in self._left.values() if _same(t, here)), None)
        if same is not None:
            del self._left[same.id]
        placed = same if same is not None else replace(here, id=self._free_id(task.id))
        self._used.add(placed.id)
        self._ids[task.id] = placed.id
        return placed

    def _free_id(self, id: TaskId) -> TaskId:
        number, free = 2, id
        while free in self._used:
            free = TaskId(f"{id[: LONGEST_ID - 6]}_r{number}")
            number += 1
        return free

    def _may_begin(self, task: Task) -> bool:
        capability = self._catalog.get(task.capability)
        if not self._open or capability is None:
            return False
        if capability.effect not in MAY_BEGIN or capability.approval:
            return False
        if len(self._begun) >= MOST or not all(id in self._begun for id in task.inputs()):
            return False
        budget = self._record.spec.budget
        if budget.cost is None and budget.calls is None:
            return True
        tasks = (*self._begun.values(), task)
        cost = int(estimate(Plan(tasks), self._catalog)["cost"])
        return over_budget(budget, len(tasks), cost) is None

    def _settled(self, plan: Plan) -> Plan:
        """The whole plan, its tasks in the places where they were begun."""
        placed: dict[TaskId, Task] = {}
        for id in order(plan):
            task = plan.task(id)
            if id in self._ids and self._given.get(id) == task:
                own = self._ids[id]
                placed[id] = self._begun.get(own, replace(renamed(task, self._ids), id=own))
            else:
                self._ids.pop(id, None)
                placed[id] = self._placed(task)
        return replace(
            plan,
            tasks=tuple(placed[t.id] for t in plan.tasks),
            answer=tuple(self._ids[a] for a in plan.answer),
        )

    async def _drop(self, tasks: dict[TaskId, Task], *, idle: bool) -> None:
        if not tasks:
            return
        ids = [id for id in reversed(order(Plan(tuple(tasks.values())))) if id in tasks]
        if idle:
            gone = await self._workspace.drop(self._owner, ids, idle=True)
        else:
            state = await folded(self._workspace, self._owner.run)
            children = [
                c for id in ids if id in state.nodes for c in state.nodes[id].children or ()
            ]
            gone = await self._workspace.drop(self._owner, [*children, *ids], idle=False)
        for id in gone:
            self._begun.pop(id, None)
            self._left.pop(id, None)


async def past(workspace: Workspace, run: str) -> AsyncIterator[Event]:
    """The events of a run's bus up to now."""
    last = "0-0"
    while page := await workspace.history(run, after=last):
        last = page[-1].id
        for posted in page:
            yield posted.event
        await asyncio.sleep(0)  # a long bus must not keep the leases of other runs waiting


async def folded(workspace: Workspace, run: str, budget: Budget | None = None) -> RunState:
    """The state of a run by the events of its bus."""
    state = RunState(budget=budget or Budget())
    async for event in past(workspace, run):
        state, _ = step(state, event)
    return state


def in_vain(events: Sequence[Event]) -> Usage:
    """What calls cost that were under way when the plan turned out not to need them, as far as is known."""
    state, lost = RunState(), Usage()
    for event in events:
        if isinstance(event, TaskCancelled) and state.version == GROWING and not state.cancelling:
            node = state.nodes.get(TaskId(event.task))
            if node is not None and node.status == "running" and node.children is None:
                lost += Usage(calls=1, cost=node.reserved)
        state, _ = step(state, event)
    return lost


def _same(one: Task, other: Task) -> bool:
    return replace(one, id=other.id, title="") == replace(other, title="")


__all__ = ["EarlyStart", "folded", "in_vain", "past"]
