"""Task tokens: a plan as plain text, for models that answer without JSON.

A model may write prose; what counts are tokens. A task token names a capability of the live catalog, so a new
expert is a new token and needs no training; a grounding token is a typed reference into the workspace. After
UnifiedMLLM (arXiv 2408.02503, section 3: task tokens and grounding tokens, told apart from text and handed to
a task router), with the catalog in the place of a fixed vocabulary.

    answer    = { text | token } ;
    token     = task | "<answer" { ws id } ">" | "<assume" ws string ">" | "<unserved" ws string ">"
              | "<ask" ws string ">" ;
    task      = "<task:" capability { ws attribute } ws? "/"? ">" ;
    attribute = "id=" id | "title=" string | "after=" id { "," id } | "each=" ( ground | list ) [ ":" limit ]
              | "when=" ground [ ":" op [ ":" value ] ] | parameter "=" value ;
    value     = JSON in which a ground may stand for any value ;
    ground    = "<ref" ws id [ ws pointer ] ">"                (a result, or a part of it: JSON Pointer)
              | "<ref:row" ws id ws number ">"                 (row of a table, counted from 0)
              | "<ref:cell" ws id ws number ws number ">"      (row, column)
              | "<ref:span" ws id ws number "-" number ">"     (characters of a text, end not included)
              | "<ref:region" ws id ws x "," y "," w "," h ">" (box in a picture, shares of 1)
              | "<ref:artifact" ws string ">"                  (a file at hand, by its name)
              | "<item" [ ws pointer ] ">" ;                   (the item of the task's own each)

A parameter called like an attribute (id, title, after, each, when) is written with "arg:" before it. A span
or region becomes the argument {"kind": "span", "of": reference, "start": n, "end": n} or {"kind": "region",
"of": reference, "box": [x, y, w, h]}, for parameters that take such. The reader also takes values without
quotation marks ("by=price"), single quotation marks, and a closing token ("</task>"), as models write them.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from pointsman.router.catalog import Catalog
from pointsman.router.plan import Condition, Item, Loop, Plan, Ref, Task, pointer

RESERVED: Final = ("id", "title", "after", "each", "when")
ATTRIBUTE = re.compile(r"\s*(arg:)?([^\s\"'<>\[\]{},=/]+)\s*=\s*")


class TokenFault(ValueError):
    """A token breaks the grammar; the message says which and where."""


def task_tokens(catalog: Catalog) -> tuple[str, ...]:
    """The task tokens that a model may write now, in the order of the catalog."""
    return tuple(f"<task:{c.name}" for c in catalog)


def write_tokens(plan: Plan) -> str:
    """A plan as task tokens, one a line. Its source and confidence are not part of it."""
    lines = [_task_line(t) for t in plan.tasks]
    if plan.answer:
        lines.append(f"<answer {' '.join(plan.answer)}>")
    lines += [f"<assume {_json(a)}>" for a in plan.assumptions]
    lines += [f"<unserved {_json(u)}>" for u in plan.unserved]
    return "\n".join(lines) + "\n"


def _task_line(task: Task) -> str:
    said = [f"<task:{task.capability}", f"id={task.id}"]
    if task.title:
        said.append(f"title={_json(task.title)}")
    for name, value in task.arguments.items():
        said.append(f"{_name(name)}={_value(value)}")
    if task.after:
        said.append(f"after={','.join(task.after)}")
    if task.for_each is not None:
        said.append(f"each={_loop(task.for_each)}")
    if task.when is not None:
        said.append(f"when={_condition(task.when)}")
    return " ".join(said) + ">"


def _name(name: str) -> str:
    if ATTRIBUTE.fullmatch(f"{name}=") is None:
        raise TokenFault(f"the parameter {name!r} cannot be written as a token's attribute")
    return f"arg:{name}" if name in RESERVED else name


def _loop(loop: Loop) -> str:
    over = _ground(loop.over) if isinstance(loop.over, Ref) else _value(list(loop.over))
    return f"{over}:{loop.limit}"


def _condition(when: Condition) -> str:
    said = f"{_ground(when.ref)}:{when.op}"
    return said if when.value is None else f"{said}:{_value(when.value)}"


def _value(value: Any) -> str:
    if isinstance(value, Ref | Item):
        return _ground(value)
    if isinstance(value, Mapping):
        return _grounded(value) or (
            "{" + ",".join(f"{_json(str(k))}:{_value(v)}" for k, v in value.items()) + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ",".join(_value(v) for v in value) + "]"
    return _json(value)


def _grounded(value: Mapping[str, Any]) -> str | None:
    """A span or a region of a whole result as its token."""
    of, kind = value.get("of"), value.get("kind")
    if not isinstance(of, Ref) or of.path:
        return None
    if kind == "span" and set(value) == {"kind", "of", "start", "end"}:
        ends = [value["start"], value["end"]]
        whole = all(type(n) is int and n >= 0 for n in ends)
        return f"<ref:span {of.task} {ends[0]}-{ends[1]}>" if whole else None
    if kind == "region" and set(value) == {"kind", "of", "box"} and isinstance(value["box"], list):
        box = value["box"]
        shares = len(box) == 4 and all(type(n) in (int, float) and n >= 0 for n in box)
        return f"<ref:region {of.task} {','.join(_json(n) for n in box)}>" if shares else None
    return None


def _ground(ref: Ref | Item) -> str:
    path = f" {_json(pointer(ref.path))}" if ref.path else ""
    return f"<item{path}>" if isinstance(ref, Item) else f"<ref {ref.task}{path}>"


def _json(value: Any) -> str:
    """JSON in which no "<" or ">" stands, so that a token ends where it seems to."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e")


__all__ = ["ATTRIBUTE", "RESERVED", "TokenFault", "task_tokens", "write_tokens"]
