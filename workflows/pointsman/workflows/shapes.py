"""The shape of a plan: its graph without ids, titles and constants, in a canonical order of tasks.

Tasks are told apart by colour refinement (Weisfeiler and Leman 1968): a task's colour is its capability with
where references stand in its arguments; then, again and again, that of its neighbours with how they are linked.
Tasks of one colour after that are interchangeable in the plans that occur, and keep the order of the plan.
"""

import re
from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from pointsman.router.plan import Item, Plan, Ref, Task, TaskId, order, pointer
from pointsman.router.planning.retrieval import STOP, masked

WORD = re.compile(r"[a-z]{3,}")


def shape_of(plan: Plan) -> str:
    """Equal for plans that differ in ids, titles, constants and the order in which tasks are written only."""
    colours = _colours(plan)
    answers = sorted(colours[a] for a in plan.answer)
    return _digest("|".join([*sorted(colours.values()), "answer", *answers]))


def canonical(plan: Plan) -> list[Task]:
    """The tasks in an order that is the same for all plans of a shape; inputs come before what reads them."""
    colours = _colours(plan)
    depth: dict[TaskId, int] = {}
    for id in order(plan):
        depth[id] = 1 + max((depth[i] for i in plan.task(id).inputs()), default=-1)
    return sorted(plan.tasks, key=lambda t: (depth[t.id], colours[t.id]))


def leaves(value: Any, path: str = "") -> list[tuple[str, Any]]:
    """Constants of an argument with their places, in a fixed order; references are no constants.

    A stored file is one constant, and so is a list that holds no reference.
    """
    if isinstance(value, Ref | Item):
        return []
    if isinstance(value, dict) and value.get("kind") != "file":
        return [x for k in sorted(value) for x in leaves(value[k], f"{path}/{k}")]
    if isinstance(value, list | tuple) and (_refers(value) or _is_nested(value)):
        return [x for i, v in enumerate(value) for x in leaves(v, f"{path}/{i}")]
    return [(path, value)]


def signatures(requests: Sequence[str]) -> list[str]:
    """Content words that more than half of the requests have, in the order of the first request that has them."""
    said = [list(dict.fromkeys(_content(r))) for r in requests]
    counts = Counter(w for words in said for w in words)
    often = list(dict.fromkeys(w for words in said for w in words))
    return [w for w in often if counts[w] * 2 > len(requests)]


def _content(request: str) -> list[str]:
    masks = {"file", "phrase", "page"}
    words = WORD.findall(masked(request).lower())
    return [w for w in words if w not in STOP and w not in masks]


def _refers(value: Any) -> bool:
    if isinstance(value, Ref | Item):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return isinstance(value, dict | list | tuple) and any(_refers(v) for v in inner)


def _is_nested(value: Sequence[Any]) -> bool:
    return any(isinstance(v, dict) and v.get("kind") != "file" for v in value)


def _colours(plan: Plan) -> dict[TaskId, str]:
    colours = {t.id: _digest(_own(t)) for t in plan.tasks}
    links = {t.id: _links(t) for t in plan.tasks}
    for _ in plan.tasks:
        gone_in: dict[TaskId, list[str]] = {t.id: [] for t in plan.tasks}
        for id, found in links.items():
            for how, source in found:
                gone_in[source].append(f"{how}>{colours[id]}")
        colours = {
            id: _digest(
                "|".join(
                    [
                        colours[id],
                        *sorted(f"{how}<{colours[source]}" for how, source in links[id]),
                        *sorted(gone_in[id]),
                    ]
                )
            )
            for id in colours
        }
    return colours


def _own(task: Task) -> str:
    """A task without its neighbours: what it asks for, and the places of its constants."""
    places = [p for p, _ in leaves(dict(task.arguments))]
    loop = "" if task.for_each is None else "loop"
    when = "" if task.when is None else f"when {task.when.op} {task.when.value!r}"
    return "|".join([task.capability, *places, loop, when])


def _links(task: Task) -> list[tuple[str, TaskId]]:
    """How a task hangs on others: by which argument, path, loop, condition or order."""
    found = [(f"{p}{pointer(r.path)}", r.task) for p, r in _references(dict(task.arguments), "")]
    if task.for_each is not None and isinstance(task.for_each.over, Ref):
        found.append((f"loop{pointer(task.for_each.over.path)}", task.for_each.over.task))
    if task.when is not None:
        found.append((f"when{pointer(task.when.ref.path)}", task.when.ref.task))
    return [*found, *(("after", a) for a in task.after)]


def _references(value: Any, path: str) -> list[tuple[str, Ref]]:
    if isinstance(value, Ref):
        return [(path, value)]
    if isinstance(value, dict):
        return [x for k in sorted(value) for x in _references(value[k], f"{path}/{k}")]
    if isinstance(value, list | tuple):
        return [x for i, v in enumerate(value) for x in _references(v, f"{path}/{i}")]
    return []


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=12).hexdigest()
