"""Planning again what failed, and only that: tasks whose results stand are kept.

The planner is asked anew without the capabilities that failed. A task of its plan that does what a done
task did, with the same arguments, is that task; the others get ids of their own, so that no attempt, effect
or late commit of the former plan can be taken for one of the new.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pointsman.router.catalog import Catalog
from pointsman.router.plan import Argument, Condition, Loop, Plan, Ref, Task, TaskId, order
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
        task = _renamed(new.task(id), ids)
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


def _same(done: Task, task: Task) -> bool:
    return replace(done, id=task.id, title="") == replace(task, title="")


def _renamed(task: Task, ids: Mapping[TaskId, TaskId]) -> Task:
    """With references to the ids that its inputs have now."""
    loop, when = task.for_each, task.when
    return replace(
        task,
        arguments=_in(task.arguments, ids),
        after=tuple(ids[a] for a in task.after),
        for_each=Loop(_in(loop.over, ids), loop.limit) if loop is not None else None,
        when=Condition(_in(when.ref, ids), when.op, when.value) if when is not None else None,
    )


def _in(value: Argument, ids: Mapping[TaskId, TaskId]) -> Any:
    if isinstance(value, Ref):
        return Ref(ids[value.task], value.path)
    if isinstance(value, Mapping):
        return {k: _in(v, ids) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_in(v, ids) for v in value)
    return value
