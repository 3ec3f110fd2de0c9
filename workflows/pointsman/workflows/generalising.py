"""Plans of one shape made one: constants that all share stay, those that differ become parameters."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pointsman.router.plan import Item, Plan, Ref, Task, TaskId, encode_argument
from pointsman.router.values import Schema
from pointsman.workflows.shapes import canonical, leaves

TABLES = re.compile(r"\.(csv|tsv|xlsx?|xlsm|ods|jsonl?|ndjson|parquet|feather)$", re.IGNORECASE)
CHOICES = 5
"""Distinct strings up to which a parameter that takes them often is an enumeration."""
Place = tuple[TaskId, str]


def generalised(plans: Sequence[Plan]) -> tuple[dict[str, Any], dict[str, Schema]]:
    """The plan's JSON form with {"$param": name} where the plans differ, and the parameters' schemas.

    plans: all of one shape (`shape_of`), at least one. Ids and titles are those of the first.
    """
    values = _values(plans)
    first = plans[0]
    names: dict[Place, str] = {}
    parameters: dict[str, Schema] = {}
    known: dict[str, str] = {}
    for place, found in values.items():
        if not _differs(found):
            continue
        same = repr(found)  # two places that always hold the same are one parameter
        if same not in known:
            name = _named(place, parameters)
            known[same], parameters[name] = name, _schema(found)
        names[place] = known[same]
    tasks = [_task(t, names) for t in first.to_json()["tasks"]]
    return {"tasks": tasks, "answer": list(first.answer)}, parameters


def _values(plans: Sequence[Plan]) -> dict[Place, list[Any]]:
    """What stands at each place of the first plan, in every plan."""
    ordered = [canonical(p) for p in plans]
    found: dict[Place, list[Any]] = {}
    for tasks in zip(*ordered, strict=True):
        per_plan = [dict(_constants(t)) for t in tasks]
        for path in per_plan[0]:
            found[tasks[0].id, path] = [held[path] for held in per_plan]
    return found


def _constants(task: Task) -> list[tuple[str, Any]]:
    found = [(f"arguments{p}", v) for p, v in leaves(dict(task.arguments))]
    if task.for_each is not None and not isinstance(task.for_each.over, Ref):
        found.append(("for_each/over", list(task.for_each.over)))
    return found


def _differs(values: Sequence[Any]) -> bool:
    return _are_files(values) or any(v != values[0] for v in values)


def _are_files(values: Sequence[Any]) -> bool:
    """Whether all are stored files, or lists of them: never part of a workflow."""
    return all(_is_file(v) or (isinstance(v, list) and v and all(map(_is_file, v))) for v in values)


def _is_file(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("kind") == "file"


def _schema(values: Sequence[Any]) -> Schema:
    if _are_files(values):
        return _file_schema(values)
    kinds = {_kind(v) for v in values}
    kind = "number" if kinds == {"integer", "number"} else kinds.pop() if len(kinds) == 1 else None
    schema: dict[str, Any] = {} if kind is None else {"type": kind}
    counts = Counter(map(repr, values))
    most, count = counts.most_common(1)[0]
    if kind == "string" and len(counts) <= CHOICES and len(values) >= 2 * len(counts):
        schema["enum"] = sorted({str(v) for v in values})
    if count * 2 > len(values):
        schema["default"] = next(v for v in values if repr(v) == most)
    return schema


def _file_schema(values: Sequence[Any]) -> Schema:
    many = any(isinstance(v, list) for v in values)
    names = [f["name"] for v in values for f in (v if isinstance(v, list) else [v])]
    tables = [bool(TABLES.search(str(n))) for n in names]
    shape = {"x-shape": "table"} if all(tables) else {} if any(tables) else {"x-shape": "text"}
    return {"x-kind": "files" if many else "file", **shape}


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case None:
            return "null"
        case _:
            return "object"


def _named(place: Place, taken: Mapping[str, Schema]) -> str:
    """After the argument, with the task's id where another parameter has that name."""
    task, path = place
    parts = [p for p in path.split("/") if not p.isdigit()]
    base = re.sub(r"\W+", "_", parts[-1]).strip("_") or "value"
    for name in (base, f"{task}_{base}".replace("-", "_")):
        if name not in taken:
            return name
    number = 2
    while f"{base}_{number}" in taken:
        number += 1
    return f"{base}_{number}"


def _task(task: Mapping[str, Any], names: Mapping[Place, str]) -> dict[str, Any]:
    """The JSON form of a task without what is empty, its parameters named."""
    id = TaskId(str(task["id"]))
    made: dict[str, Any] = {"id": task["id"], "capability": task["capability"]}
    if task["title"]:
        made["title"] = task["title"]
    made["arguments"] = _filled(task["arguments"], id, "arguments", names)
    if task["after"]:
        made["after"] = task["after"]
    if task["for_each"] is not None:
        made["for_each"] = _filled(task["for_each"], id, "for_each", names)
    if task["when"] is not None:
        made["when"] = task["when"]
    return made


def _filled(form: Any, task: TaskId, path: str, names: Mapping[Place, str]) -> Any:
    if (task, path) in names:
        return {"$param": names[task, path]}
    if isinstance(form, Ref | Item):
        return encode_argument(form)
    if isinstance(form, Mapping):
        return {k: _filled(v, task, f"{path}/{k}", names) for k, v in form.items()}
    if isinstance(form, list):
        return [_filled(v, task, f"{path}/{i}", names) for i, v in enumerate(form)]
    return form
