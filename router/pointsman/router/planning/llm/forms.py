"""Mending the form of one task as a model wrote it, by rule: keys, wrappers, references, types of values.

Every function is pure: it takes JSON and gives JSON, and the notes of what it changed. What is not certain
is left as it is, for the validation to refuse.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from difflib import SequenceMatcher
from typing import Any, Final

from pointsman.router.plan import TASK_ID, first_fault
from pointsman.router.values import Schema, kinds_of

KEYS: Final = ("id", "title", "capability", "arguments", "after", "for_each", "when")
ALIASES: Final[Mapping[str, str]] = {
    "args": "arguments",
    "parameters": "arguments",
    "params": "arguments",
    "input": "arguments",
    "inputs": "arguments",
    "tool": "capability",
    "tool_name": "capability",
    "function": "capability",
    "action": "capability",
    "name": "capability",
    "task_id": "id",
    "step": "id",
    "depends_on": "after",
    "dependencies": "after",
    "description": "title",
    "each": "for_each",
    "foreach": "for_each",
    "if": "when",
    "condition": "when",
}
COMMENTS: Final = ("type", "thought", "reason", "reasoning", "comment")
"""Keys that say nothing of what is to be done."""
NEAR: Final = 0.84
"""Likeness of two names above which the one is taken for the other, when no other is nearly as like."""
APART: Final = 0.06
MISSING: Final[Any] = object()
ONE = re.compile(
    r"\s*(?:\$\{?|\{\{\s*|<|#)([A-Za-z0-9_-]{1,64})((?:[./][\w~-]+|\[\d+\])*)\s*[}>]*\s*"
)
"""A reference written as templates have it: $a, ${a.rows}, {{ a.rows[0] }}, <a>, #a."""
TRUE, FALSE = ("true", "yes", "on"), ("false", "no", "off")


def plain(name: str) -> str:
    """A name without case and marks: "Table-Filter" and "table.filter" are one."""
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def nearest(name: str, names: Collection[str]) -> str | None:
    """The one name that another must have meant, or None."""
    same = [n for n in names if plain(n) == plain(name)]
    if len(same) == 1:
        return same[0]
    likeness = sorted(((like(name, n), n) for n in names), reverse=True)[:2]
    if not likeness or likeness[0][0] < NEAR:
        return None
    if len(likeness) > 1 and likeness[0][0] - likeness[1][0] < APART:
        return None
    return likeness[0][1]


def like(one: str, other: str) -> float:
    """0..1. Source: Ratcliff and Obershelp, as difflib has it."""
    return SequenceMatcher(None, one.casefold(), other.casefold(), autojunk=False).ratio()


def unwrapped(form: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A task's form with our keys: from other names of them, and from a function call as chat models write it.

    Also the keys that were dropped.
    """
    call = form.get("function")
    if isinstance(call, Mapping):
        form = {**{k: v for k, v in form.items() if k not in ("function", "type")}, **call}
    kept: dict[str, Any] = {k: v for k, v in form.items() if k in KEYS and v is not None}
    dropped: list[str] = []
    for key, value in form.items():
        if key in KEYS or value is None:
            continue
        wanted = ALIASES.get(key.casefold())
        if wanted is not None and wanted not in kept:
            kept[wanted] = value
        elif key not in COMMENTS:
            dropped.append(key)
    return _typed(kept), dropped


def _typed(kept: dict[str, Any]) -> dict[str, Any]:
    """Fields of a task in the types that they have."""
    arguments = kept.get("arguments")
    if isinstance(arguments, str):
        kept["arguments"] = _parsed(arguments, dict, arguments)
    if isinstance(kept.get("after"), str | int):
        kept["after"] = [str(kept["after"])]
    for key in ("id", "title", "capability"):
        if isinstance(kept.get(key), int | float):
            kept[key] = str(kept[key])
    return kept


def sound_id(id: str) -> str:
    """An id as tasks have them, from one that has other characters."""
    return id if TASK_ID.fullmatch(id) else re.sub(r"[^A-Za-z0-9_-]+", "_", id).strip("_")[:64]


def reference(value: Any, known: Collection[str], *, bare: bool) -> Any:
    """The reference that a value stands for, in JSON form; MISSING when it stands for none.

    known: ids of the tasks so far. bare: a text that is just an id is a reference too.
    """
    if isinstance(value, Mapping):
        return _wrapped(value, known)
    if not isinstance(value, str):
        return MISSING
    if bare and value.strip() in known:
        return {"$task": value.strip()}
    found = ONE.fullmatch(value)
    if found is None or found.group(1) not in known:
        return MISSING
    return _with_path(found.group(1), found.group(2))


def _wrapped(value: Mapping[str, Any], known: Collection[str]) -> Any:
    for key in ("$task", "$ref", "task", "ref", "from_task", "$from"):
        id = value.get(key)
        if not isinstance(id, str) or (key != "$task" and (id not in known or len(value) > 2)):
            continue
        head, path = _split(id, known)
        more = value.get("path", path)
        if isinstance(more, list):
            more = "".join(f"/{step}" for step in more)
        return _with_path(head, more if isinstance(more, str) else "")
    return MISSING


def _split(id: str, known: Collection[str]) -> tuple[str, str]:
    """ "read.rows" names the task "read" when no task has the whole as its id."""
    id = id.strip().removeprefix("$").strip("{}<> ") if id not in known else id
    head = re.split(r"[.\[/]", id, maxsplit=1)[0]
    return (head, id[len(head) :]) if id not in known and head in known else (id, "")


def _with_path(id: str, path: str) -> dict[str, Any]:
    if path and not path.startswith("/"):
        path = "/" + path.lstrip(".")
    if path and "/" not in path[1:]:
        path = "/" + re.sub(r"\[(\d+)\]", r".\1", path[1:]).replace(".", "/").strip("/")
    for word in ("/output", "/result"):
        path = path.removeprefix(word) if path in (word, word + "/") else path
    return {"$task": id, "path": path} if path else {"$task": id}


def is_reference(value: Any) -> bool:
    return isinstance(value, Mapping) and bool({"$task", "$item", "$file"} & set(value))


def holds_reference(value: Any) -> bool:
    if is_reference(value):
        return True
    if isinstance(value, Mapping):
        return any(holds_reference(v) for v in value.values())
    return isinstance(value, list) and any(holds_reference(v) for v in value)


def coerced(value: Any, schema: Schema) -> Any:
    """A value that fits the schema and says the same; MISSING when there is none, or it fits as it is."""
    if holds_reference(value) or first_fault(value, schema) is None:
        return MISSING
    for candidate in _candidates(value, schema):
        if first_fault(candidate, schema) is None:
            return candidate
    return MISSING


def _candidates(value: Any, schema: Schema) -> Iterator[Any]:
    match value:
        case str():
            yield from _from_text(value, schema)
        case bool():
            yield str(value).lower()
        case int() | float():
            yield from _from_number(value)
        case list():
            yield from _from_list(value, schema)
        case Mapping() if len(value) == 1:
            yield next(iter(value.values()))
        case _:
            pass
    if "list" in kinds_of(schema) and not isinstance(value, list):
        yield [value]
        items = schema.get("items")
        if isinstance(items, Mapping) and (one := coerced(value, items)) is not MISSING:
            yield [one]


def _from_number(value: int | float) -> Iterator[Any]:
    if isinstance(value, float) and value.is_integer():
        yield int(value)
    yield f"{value:g}" if isinstance(value, float) else str(value)


def _from_list(value: list[Any], schema: Schema) -> Iterator[Any]:
    if len(value) == 1 and not isinstance(value[0], list):
        yield value[0]
        yield from _candidates(value[0], schema)
    items = schema.get("items")
    if isinstance(items, Mapping):
        each = [coerced(v, items) for v in value]
        yield [v if c is MISSING else c for v, c in zip(value, each, strict=True)]


def _from_text(value: str, schema: Schema) -> Iterator[Any]:
    text = value.strip()
    for read in _READERS:
        try:
            yield read(text)
        except (ValueError, OverflowError):
            continue
    folded = text.casefold()
    if folded in TRUE or folded in FALSE:
        yield folded in TRUE
    options = [o for o in schema.get("enum", ()) if isinstance(o, str)]
    if options and (meant := nearest(text, options)) is not None:
        yield meant
    if text[:1] in "[{":
        parsed = _parsed(text, (list, dict), MISSING)
        if parsed is not MISSING:
            yield parsed


_READERS: tuple[Callable[[str], Any], ...] = (int, float)


def _parsed(text: str, kind: Any, otherwise: Any) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return otherwise
    return value if isinstance(value, kind) else otherwise


__all__ = [
    "KEYS",
    "MISSING",
    "coerced",
    "holds_reference",
    "is_reference",
    "like",
    "nearest",
    "plain",
    "reference",
    "sound_id",
    "unwrapped",
]
