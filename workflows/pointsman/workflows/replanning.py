"""Planning again what failed, and only that: tasks whose results stand are kept.

The planner is asked anew without the capabilities that an expert failed at, and is told what failed and why
(`RequestAgain`), for planners that can read it. A task of its plan that does what a done
task did, with the same arguments, is that task; the others get ids of their own, so that no attempt, effect
or late commit of the former plan can be taken for one of the new.
"""

from dataclasses import replace

from pointsman.router.catalog import Catalog
from pointsman.router.plan import Plan, Task, TaskId, order
from pointsman.router.planning.base import Request
from pointsman.router.planning.llm.reading import arguments_text
from pointsman.router.planning.llm.repair import renamed
from pointsman.router.planning.streaming import Failed, RequestAgain
from pointsman.router.run import Node, RunState

MAX_VERSIONS = 3
"""Plans that one run may have."""
LONGEST_ID = 64


def failed_for_another_way(state: RunState) -> tuple[Node, ...]:
    """Tasks that an expert or the plan failed; none when the answer's tasks are done all the same."""
    plan = state.plan
    if plan is None or all(state.nodes[id].status == "done" for id in plan.answer):
        return ()
    return tuple(
        n
        for n in state.nodes.values()
        if n.status == "failed" and n.error is not None and n.error.fault in ("expert", "plan")
    )


def without(catalog: Catalog, failed: tuple[Node, ...]) -> Catalog:
    """The catalog without the capabilities that failed."""
    names = {n.task.capability for n in failed}
    rest = Catalog()
    for capability in catalog:
        if capability.name not in names:
            rest.add(capability)
    return rest


def again(request: Request, failed: tuple[Node, ...], catalog: Catalog) -> RequestAgain:
    """The request with what failed; what failed by its arguments only may be called in another way."""
    told = tuple(
        Failed(n.task.capability, n.task.title, n.error.message, arguments_text(n.task))
        for n in failed
        if n.error is not None
    )
    plans = {n.task.capability for n in failed if n.error is not None and n.error.fault == "plan"}
    experts = {n.task.capability for n in failed} - plans
    return RequestAgain(
        request.text,
        request.now,
        request.files,
        request.history,
        request.prefer,
        told,
        tuple(catalog[name] for name in sorted(plans - experts) if name in catalog),
    )


def merged(old: RunState, new: Plan, version: int) -> Plan | None:
    """The new plan over what is done already; None when it leaves more undone than the old one did.

    version: of the new plan, part of its tasks' ids.
    """
    before = old.plan
    if before is None or len(new.unserved) > len(before.unserved):
        return None
    done = {n.task.id: n.task for n in old.nodes.values() if n.status == "done" and not n.parent}
    ids: dict[TaskId, TaskId] = {}
    tasks: dict[TaskId, Task] = {}
    for id in order(new):
        task = renamed(new.task(id), ids)
        same = next((d.id for d in done.values() if _same(d, task)), None)
        ids[id] = same or TaskId(f"{id[: LONGEST_ID - 4]}_v{version}")
        tasks[id] = done[same] if same else replace(task, id=ids[id])
    reasons = [
        f"{n.task.title or n.task.capability} failed ({n.error.message}); another way was taken"
        for n in failed_for_another_way(old)
        if n.error is not None
    ]
    return replace(
        new,
        tasks=tuple(tasks[t.id] for t in new.tasks),
        answer=tuple(ids[a] for a in new.answer),
        assumptions=(*new.assumptions, *reasons),
    )


def done_before(state: RunState, plan: Plan) -> list[str]:
    """Capabilities of tasks that were done and are no part of a later plan, in order."""
    kept = {t.id for t in plan.tasks}
    return [
        n.task.capability
        for n in state.nodes.values()
        if n.status == "done" and not n.parent and n.task.id not in kept
    ]


def _same(done: Task, task: Task) -> bool:
    return replace(done, id=task.id, title="") == replace(task, title="")
