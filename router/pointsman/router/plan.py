"""The action plan: a dependency graph of tasks that is proved valid before it runs.

JSON form (the published schema is `plan_schema()`):

    {"tasks": [{"id": "read", "capability": "table.read", "arguments": {"file": {...}}},
               {"id": "top", "capability": "table.sort",
                "arguments": {"table": {"$task": "read"}, "by": "count"},
                "after": [], "for_each": null, "when": null}],
     "answer": ["top"]}

An argument, at any depth, may be a reference: `{"$task": "id", "path": "/rows/0"}` is the result of
another task at a JSON Pointer (RFC 6901); `{"$item": "/name"}` is the current item of the task's own
`for_each`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Literal, NewType

import jsonschema
import jsonschema.exceptions
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pointsman.router.catalog import Capability, Catalog
from pointsman.router.errors import (
    BadRefPath,
    BadTaskId,
    CyclicPlan,
    DuplicateTask,
    EmptyPlan,
    IllTypedArgument,
    ItemOutsideLoop,
    LoopTooLong,
    MissingArgument,
    PlanNotJson,
    TooManyTasks,
    UnexpectedArgument,
    UnknownAnswer,
    UnknownCapability,
    UnknownRef,
)
from pointsman.router.values import Json

TaskId = NewType("TaskId", str)

MAX_TASKS = 200
"""Of a plan that a planner makes."""
MAX_GIVEN_TASKS = 20_000
"""Of a plan that comes with the request."""
MAX_ITEMS = 20_000
TASK_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

Op = Literal["exists", "missing", "empty", "not_empty", "eq", "ne", "lt", "le", "gt", "ge"]


@dataclass(frozen=True, slots=True)
class Ref:
    """The result of a task, at a path (JSON Pointer parts)."""

    task: TaskId
    path: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"$task": self.task, **({"path": pointer(self.path)} if self.path else {})}


@dataclass(frozen=True, slots=True)
class Item:
    """The current item of the task's `for_each`, at a path."""

    path: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"$item": pointer(self.path)}


Argument = Any
"""Json in which a Ref or an Item may stand at any depth."""


@dataclass(frozen=True, slots=True)
class Condition:
    """`when`: the task runs only if it holds; otherwise the task is skipped and its result is null."""

    ref: Ref
    op: Op = "not_empty"
    value: Json = None


@dataclass(frozen=True, slots=True)
class Loop:
    """`for_each`: the task runs once per item of a list; its result is the list of results, in order."""

    over: Ref | tuple[Json, ...]
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Task:
    """One node. `title` is what a person reads ("keep the negative ones")."""

    id: TaskId
    capability: str
    arguments: Mapping[str, Argument] = field(default_factory=dict)
    after: tuple[TaskId, ...] = ()
    for_each: Loop | None = None
    when: Condition | None = None
    title: str = ""

    def refs(self) -> Iterator[Ref]:
        """Every reference to another task: in arguments, in `for_each` and in `when`."""
        for value in walk(self.arguments):
            if isinstance(value, Ref):
                yield value
        if self.for_each is not None and isinstance(self.for_each.over, Ref):
            yield self.for_each.over
        if self.when is not None:
            yield self.when.ref

    def inputs(self) -> tuple[TaskId, ...]:
        """Ids of the tasks that must be settled before this one starts, each once, in order."""
        return tuple(dict.fromkeys([*(r.task for r in self.refs()), *self.after]))


@dataclass(frozen=True, slots=True)
class Plan:
    """`answer`: the tasks whose results are the answer, in the order in which they are told.

    source: "workflow:NAME", "embedded", "llm:MODEL", "given". confidence: 0..1, calibrated where the
    planner can. assumptions: what the planner took for granted, told to the user. unserved: parts of the
    request that no task serves, with the reason, told to the user.
    """

    tasks: tuple[Task, ...]
    answer: tuple[TaskId, ...] = ()
    source: str = "given"
    confidence: float = 1.0
    assumptions: tuple[str, ...] = ()
    unserved: tuple[str, ...] = ()

    def task(self, id: TaskId) -> Task:
        for task in self.tasks:
            if task.id == id:
                return task
        raise KeyError(id)

    def to_json(self) -> dict[str, Any]:
        return {
            "tasks": [_task_json(t) for t in self.tasks],
            "answer": list(self.answer),
            "source": self.source,
            "confidence": self.confidence,
            "assumptions": list(self.assumptions),
            "unserved": list(self.unserved),
        }


# --- JSON form -------------------------------------------------------------------------------------


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RefIn(_Strict):
    task: str = Field(alias="$task")
    path: str = ""


class ConditionIn(_Strict):
    ref: RefIn
    op: Op = "not_empty"
    value: Any = None


class LoopIn(_Strict):
    over: RefIn | list[Any]
    limit: Annotated[int, Field(ge=1, le=MAX_ITEMS)] = 100


class TaskIn(_Strict):
    id: str
    capability: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    after: list[str] = Field(default_factory=list)
    for_each: LoopIn | None = None
    when: ConditionIn | None = None
    title: str = ""


class PlanIn(_Strict):
    tasks: list[TaskIn]
    answer: list[str] = Field(default_factory=list)
    source: str = "given"
    confidence: Annotated[float, Field(ge=0, le=1)] = 1.0
    assumptions: list[str] = Field(default_factory=list)
    unserved: list[str] = Field(default_factory=list)


def plan_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a plan's JSON form."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Pointsman action plan",
        **PlanIn.model_json_schema(by_alias=True),
    }


def parse_plan(value: Any) -> Plan:
    """A plan from its JSON form (a str or bytes of JSON, or the parsed object).

    Checks the form only: `validate` checks the rest. Raises PlanNotJson.
    """
    try:
        form = (
            PlanIn.model_validate_json(value)
            if isinstance(value, str | bytes)
            else PlanIn.model_validate(value)
        )
        tasks = tuple(parse_task(t) for t in form.tasks)
    except ValidationError as error:
        first = error.errors()[0]
        where = "/".join(str(p) for p in first["loc"]) or "the top"
        raise PlanNotJson(f"at {where}: {first['msg']}") from error
    answer = tuple(TaskId(a) for a in form.answer) or sinks(tasks)
    return Plan(
        tasks,
        answer,
        form.source,
        form.confidence,
        tuple(form.assumptions),
        tuple(form.unserved),
    )


def parse_task(form: TaskIn) -> Task:
    """Raises PlanNotJson when a reference in it is malformed."""
    loop = None
    if form.for_each is not None:
        over = form.for_each.over
        loop = Loop(_ref(over) if isinstance(over, RefIn) else tuple(over), form.for_each.limit)
    when = None
    if form.when is not None:
        when = Condition(_ref(form.when.ref), form.when.op, form.when.value)
    return Task(
        TaskId(form.id),
        form.capability,
        {k: decode_argument(v) for k, v in form.arguments.items()},
        tuple(TaskId(a) for a in form.after),
        loop,
        when,
        form.title,
    )


def decode_argument(value: Any) -> Argument:
    """References out of their JSON form, at any depth. Raises PlanNotJson."""
    if isinstance(value, Mapping):
        if "$task" in value:
            try:
                return _ref(RefIn.model_validate(value))
            except ValidationError as error:
                raise PlanNotJson(f"malformed reference {value!r}") from error
        if "$item" in value:
            if set(value) != {"$item"} or not isinstance(value["$item"], str):
                raise PlanNotJson(f"malformed reference {value!r}")
            return Item(parts(value["$item"]))
        return {str(k): decode_argument(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [decode_argument(v) for v in value]
    return value


def encode_argument(value: Argument) -> Any:
    if isinstance(value, Ref | Item):
        return value.to_json()
    if isinstance(value, Mapping):
        return {k: encode_argument(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [encode_argument(v) for v in value]
    return value


def _ref(form: RefIn) -> Ref:
    return Ref(TaskId(form.task), parts(form.path))


def _task_json(task: Task) -> dict[str, Any]:
    loop = task.for_each
    return {
        "id": task.id,
        "title": task.title,
        "capability": task.capability,
        "arguments": encode_argument(task.arguments),
        "after": list(task.after),
        "for_each": None
        if loop is None
        else {"over": encode_argument(loop.over), "limit": loop.limit},
        "when": None
        if task.when is None
        else {"ref": task.when.ref.to_json(), "op": task.when.op, "value": task.when.value},
    }


# --- JSON Pointer ----------------------------------------------------------------------------------


def parts(pointer_text: str) -> tuple[str, ...]:
    """RFC 6901. Raises PlanNotJson when the text is neither empty nor starts with '/'."""
    if not pointer_text:
        return ()
    if not pointer_text.startswith("/"):
        raise PlanNotJson(f"path {pointer_text!r} must be empty or start with '/'")
    return tuple(p.replace("~1", "/").replace("~0", "~") for p in pointer_text[1:].split("/"))


def pointer(path: Sequence[str]) -> str:
    return "".join("/" + p.replace("~", "~0").replace("/", "~1") for p in path)


def at(value: Any, path: Sequence[str], *, of: str) -> Any:
    """The part of `value` at a path. Raises BadRefPath, naming `of`, when it leads nowhere."""
    here = value
    for step in path:
        if isinstance(here, Mapping) and step in here:
            here = here[step]
        elif isinstance(here, list | tuple) and step.isdigit() and int(step) < len(here):
            here = here[int(step)]
        else:
            have = (
                f"it has {sorted(here)[:8]}"
                if isinstance(here, Mapping)
                else f"it is {_shape(here)}"
            )
            raise BadRefPath(of, pointer(path), f"no {step!r}; {have}")
    return here


def resolve(arguments: Argument, results: Mapping[TaskId, Any], item: Any = None) -> Any:
    """Arguments with every Ref and Item replaced by what it points to. Raises BadRefPath."""
    if isinstance(arguments, Ref):
        return at(results[arguments.task], arguments.path, of=arguments.task)
    if isinstance(arguments, Item):
        return at(item, arguments.path, of="$item")
    if isinstance(arguments, Mapping):
        return {k: resolve(v, results, item) for k, v in arguments.items()}
    if isinstance(arguments, list | tuple):
        return [resolve(v, results, item) for v in arguments]
    return arguments


def holds(condition: Condition, results: Mapping[TaskId, Any]) -> bool:
    """Whether a task's `when` holds. A path that leads nowhere counts as missing."""
    try:
        value = at(results.get(condition.ref.task), condition.ref.path, of=condition.ref.task)
    except BadRefPath:
        return condition.op == "missing"
    return _compare(condition.op, value, condition.value)


def _compare(op: Op, value: Any, other: Any) -> bool:
    match op:
        case "exists":
            return value is not None
        case "missing":
            return value is None
        case "empty":
            return _is_empty(value)
        case "not_empty":
            return not _is_empty(value)
        case "eq":
            return bool(value == other)
        case "ne":
            return bool(value != other)
        case _:
            return _ordered(op, value, other)


def _ordered(op: Op, value: Any, other: Any) -> bool:
    try:
        match op:
            case "lt":
                return bool(value < other)
            case "le":
                return bool(value <= other)
            case "gt":
                return bool(value > other)
            case _:
                return bool(value >= other)
    except TypeError:
        return False


def _is_empty(value: Any) -> bool:
    if isinstance(value, Mapping) and value.get("kind") == "table":
        return not value.get("row_count", len(value.get("rows", ())))
    return value is None or value is False or value in ("", [], {})


def _shape(value: Any) -> str:
    return f"a list of {len(value)}" if isinstance(value, list | tuple) else type(value).__name__


def walk(value: Argument) -> Iterator[Argument]:
    """Every node of a nested argument, depth first."""
    yield value
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from walk(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from walk(inner)


# --- validation ------------------------------------------------------------------------------------


def validate(plan: Plan, catalog: Catalog, *, max_tasks: int = MAX_TASKS) -> None:
    """Proves that a plan can run. Raises the PlanError of the first fault; returns nothing otherwise."""
    _check_ids(plan, max_tasks)
    ids = {t.id for t in plan.tasks}
    for task in plan.tasks:
        capability = catalog.get(task.capability)
        if capability is None:
            raise UnknownCapability(task.id, task.capability, catalog.nearest(task.capability))
        for needed in task.inputs():
            if needed not in ids:
                raise UnknownRef(task.id, needed)
        _check_loop(task)
    order(plan)
    for task in plan.tasks:
        _check_arguments(plan, task, catalog[task.capability], catalog)
    for answer in plan.answer:
        if answer not in ids:
            raise UnknownAnswer(answer)


def _check_ids(plan: Plan, max_tasks: int) -> None:
    if not plan.tasks:
        raise EmptyPlan
    if len(plan.tasks) > max_tasks:
        raise TooManyTasks(len(plan.tasks), max_tasks)
    seen: set[str] = set()
    for task in plan.tasks:
        if not TASK_ID.fullmatch(task.id):
            raise BadTaskId(task.id)
        if task.id in seen:
            raise DuplicateTask(task.id)
        seen.add(task.id)


def _check_loop(task: Task) -> None:
    loop = task.for_each
    if loop is None:
        if any(isinstance(v, Item) for v in walk(task.arguments)):
            raise ItemOutsideLoop(task.id)
    elif not isinstance(loop.over, Ref) and len(loop.over) > loop.limit:
        raise LoopTooLong(task.id, len(loop.over), loop.limit)


def _check_arguments(plan: Plan, task: Task, capability: Capability, catalog: Catalog) -> None:
    extra_allowed = capability.parameters.get("additionalProperties", False) is not False
    for name in task.arguments:
        if name not in capability.properties and not extra_allowed:
            raise UnexpectedArgument(task.id, capability.name, name)
    for name in capability.required:
        if name not in task.arguments:
            raise MissingArgument(task.id, capability.name, name)
    for name, value in task.arguments.items():
        schema = capability.properties.get(name)
        if schema is None:
            continue
        if isinstance(value, Ref):
            _check_link(plan, task, name, value, capability, catalog)
        elif not any(isinstance(v, Ref | Item) for v in walk(value)):
            why = first_fault(value, schema)
            if why is not None:
                raise IllTypedArgument(task.id, name, why)


def _check_link(
    plan: Plan, task: Task, name: str, ref: Ref, capability: Capability, catalog: Catalog
) -> None:
    """A whole result handed on must be of a kind that the parameter takes, where both are known."""
    source = plan.task(ref.task)
    gives = catalog[source.capability].gives
    takes = capability.takes(name)
    if ref.path or source.for_each is not None or "any" in gives or "any" in takes:
        return
    if not gives & widen(takes):
        raise IllTypedArgument(
            task.id,
            name,
            f"takes {' or '.join(sorted(takes))}, but {ref.task!r} gives {' or '.join(sorted(gives))}",
        )


def widen(kinds: frozenset[str]) -> frozenset[str]:
    """Kinds that are accepted where `kinds` are asked for: a number is a quantity and the reverse."""
    return kinds | ({"number", "quantity"} if kinds & {"number", "quantity"} else frozenset())


def first_fault(value: Any, schema: Mapping[str, Any]) -> str | None:
    """Why a value breaks its JSON Schema, in one line; None when it does not."""
    error = jsonschema.exceptions.best_match(
        jsonschema.Draft202012Validator(dict(schema)).iter_errors(value)
    )
    if error is None:
        return None
    where = "/".join(str(p) for p in error.absolute_path)
    text = error.message if len(error.message) <= 200 else error.message[:197] + "..."
    return f"at {where}: {text}" if where else text


def order(plan: Plan) -> tuple[TaskId, ...]:
    """Ids such that every task comes after its inputs. Raises CyclicPlan."""
    inputs = {t.id: set(t.inputs()) for t in plan.tasks}
    try:
        return tuple(i for i in TopologicalSorter(inputs).static_order() if i in inputs)
    except CycleError as error:
        found: list[TaskId] = error.args[1]
        raise CyclicPlan(tuple(reversed(found))) from None


def sinks(tasks: Sequence[Task]) -> tuple[TaskId, ...]:
    """Tasks that no other task reads: the answer, when a plan names none."""
    read = {i for t in tasks for i in t.inputs()}
    return tuple(t.id for t in tasks if t.id not in read)


def cone(plan: Plan, begins: Iterable[TaskId]) -> frozenset[TaskId]:
    """The tasks named and all that depend on them, directly or not."""
    inside = set(begins)
    inputs = {t.id: t.inputs() for t in plan.tasks}
    for id in order(plan):
        if inside.intersection(inputs[id]):
            inside.add(id)
    return frozenset(inside)


def critical_path(plan: Plan, seconds: Mapping[TaskId, float]) -> float:
    """The longest chain of durations: the least time the plan can take with unlimited experts."""
    finish: dict[TaskId, float] = {}
    inputs = {t.id: t.inputs() for t in plan.tasks}
    for id in order(plan):
        start = max((finish[i] for i in inputs[id]), default=0.0)
        finish[id] = start + seconds.get(id, 0.0)
    return max(finish.values(), default=0.0)


def to_mermaid(plan: Plan) -> str:
    """The plan as a Mermaid flowchart."""
    lines = ["flowchart TD"]
    for task in plan.tasks:
        label = _mermaid_text(f"{task.title or task.id}\n{task.capability}")
        shape = f'[["{label}"]]' if task.for_each else f'["{label}"]'
        lines.append(f"  {_mermaid_id(task.id)}{shape}")
    for task in plan.tasks:
        data = dict.fromkeys(r.task for r in task.refs())
        lines += [f"  {_mermaid_id(i)} --> {_mermaid_id(task.id)}" for i in data]
        lines += [
            f"  {_mermaid_id(i)} -.-> {_mermaid_id(task.id)}" for i in task.after if i not in data
        ]
    return "\n".join(lines) + "\n"


def _mermaid_id(id: str) -> str:
    return "t_" + id.replace("-", "__")


def _mermaid_text(text: str) -> str:
    """Entity codes as Mermaid reads them (#34; is a quotation mark)."""
    escaped = "".join(c if c.isalnum() or c in " ._-,\n" else f"#{ord(c)};" for c in text)
    return escaped.replace("\n", "<br/>")
