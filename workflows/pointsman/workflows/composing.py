"""Workflows made of workflows: a task that names a workflow stands for all tasks of its plan.

    {id: complaints, workflow: review-complaints, parameters: {reviews: {$param: feedback}, count: 5}}

The tasks get ids of their own ("complaints_read"); a reference to the task is one to the first of the inner
plan's answers, `after` waits for all of them, and `when` guards each of them. A parameter that is not given
takes its default.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pointsman.router.errors import PlanNotJson
from pointsman.router.plan import parse_plan
from pointsman.router.values import Schema

DEEPEST = 8
KNOWN = {"id", "workflow", "parameters", "when", "after", "title"}


@dataclass(frozen=True, slots=True)
class Composed:
    """What is needed of a workflow that others stand on: its plan's JSON form, and its parameters."""

    plan: Mapping[str, Any]
    parameters: Mapping[str, Schema]


def composed(
    name: str, own: Composed, known: Mapping[str, Composed], above: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The plan's JSON form with every inner workflow spelt out. Raises PlanNotJson."""
    path = (*above, name)
    if name in above or len(path) > DEEPEST:
        raise PlanNotJson(f"workflows stand on each other: {' -> '.join(path)}")
    tasks = own.plan.get("tasks")
    if not isinstance(tasks, list) or not any(
        isinstance(t, Mapping) and "workflow" in t for t in tasks
    ):
        return dict(own.plan)
    spelt: list[Any] = []
    ends: dict[str, tuple[str, ...]] = {}
    for task in tasks:
        if isinstance(task, Mapping) and "workflow" in task:
            inner, answers = _spelt(task, known, path)
            spelt += inner
            ends[str(task["id"])] = answers
        else:
            spelt.append(task)
    answer = [a for one in own.plan.get("answer", ()) for a in _ends(one, ends)]
    return {**own.plan, "tasks": [_pointed(t, ends) for t in spelt], "answer": answer}


def _spelt(
    task: Mapping[str, Any], known: Mapping[str, Composed], path: tuple[str, ...]
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """The inner tasks under ids of their own, and the ids of the inner answers."""
    id, name = task.get("id"), task["workflow"]
    unknown = set(task) - KNOWN
    if not isinstance(id, str) or not isinstance(name, str) or unknown:
        told = (
            f"does not take {', '.join(map(str, unknown))}" if unknown else "needs an id and a name"
        )
        raise PlanNotJson(f"the task of workflow {name!r} {told}")
    if name not in known:
        raise PlanNotJson(f"task {id!r}: there is no workflow {name!r} in the library")
    inner = known[name]
    values = task.get("parameters") or {}
    if not isinstance(values, Mapping):
        raise PlanNotJson(f"task {id!r}: its parameters must be a mapping of name to value")
    given = _given(id, name, inner, values)
    plan = composed(name, inner, known, path)
    ends = [str(a) for a in plan.get("answer") or parse_plan(plan).answer]
    tasks = [_renamed(id, t, given) for t in plan["tasks"]]
    for one in tasks:
        _guarded(one, task)
    return tasks, tuple(f"{id}_{a}" for a in ends)


def _given(id: str, name: str, inner: Composed, given: Mapping[str, Any]) -> dict[str, Any]:
    unknown = set(given) - set(inner.parameters)
    if unknown:
        names = ", ".join(sorted(unknown))
        raise PlanNotJson(f"task {id!r}: workflow {name!r} has no parameter {names}")
    defaults = {n: s["default"] for n, s in inner.parameters.items() if "default" in s}
    whole = {**defaults, **given}
    missing = set(inner.parameters) - set(whole)
    if missing:
        names = ", ".join(sorted(missing))
        raise PlanNotJson(f"task {id!r}: workflow {name!r} needs {names} under 'parameters'")
    return whole


def _guarded(task: dict[str, Any], outer: Mapping[str, Any]) -> None:
    """Under the conditions of the task that it is a part of."""
    task["after"] = [*task.get("after", ()), *outer.get("after", ())]
    if outer.get("when") is None:
        return
    if task.get("when") is not None:
        raise PlanNotJson(f"task {task['id']!r} has a 'when' of its own and cannot have another")
    task["when"] = outer["when"]


def _renamed(id: str, task: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    made = _inside(dict(task), id, given)
    made["id"] = f"{id}_{task['id']}"
    made["after"] = [f"{id}_{a}" for a in task.get("after", ())]
    return dict(made)


def _inside(form: Any, id: str, given: Mapping[str, Any]) -> Any:
    """With parameters filled, and references to the tasks' new ids."""
    if isinstance(form, Mapping):
        if set(form) == {"$param"}:
            return given[str(form["$param"])]
        if "$task" in form:
            return {**form, "$task": f"{id}_{form['$task']}"}
        return {k: _inside(v, id, given) for k, v in form.items()}
    if isinstance(form, list):
        return [_inside(v, id, given) for v in form]
    return form


def _pointed(form: Any, ends: Mapping[str, tuple[str, ...]]) -> Any:
    """References to a task that stands for a workflow lead to that workflow's answer."""
    if isinstance(form, Mapping):
        made = {k: _pointed(v, ends) for k, v in form.items()}
        target = form.get("$task")
        if isinstance(target, str) and target in ends:
            made["$task"] = ends[target][0]
        if isinstance(form.get("after"), list):
            made["after"] = [e for a in form["after"] for e in _ends(a, ends)]
        return made
    if isinstance(form, list):
        return [_pointed(v, ends) for v in form]
    return form


def _ends(id: Any, ends: Mapping[str, tuple[str, ...]]) -> tuple[Any, ...]:
    """What a task's id stands for: the answers of a workflow, else the task."""
    return ends.get(id, (id,)) if isinstance(id, str) else (id,)
