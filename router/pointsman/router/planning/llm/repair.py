"""Mending a model's plan by rule, so that a second call is made only for what no rule can settle.

Each repair is certain by the rule that makes it, and is told to the user as an assumption of the plan. Where
two readings are possible nothing is changed: the fault stands, and the model is asked.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pointsman.router.catalog import Capability, Catalog
from pointsman.router.errors import DuplicateTask
from pointsman.router.plan import Argument, Condition, Loop, Ref, Task, TaskId
from pointsman.router.planning.llm.forms import (
    MISSING,
    coerced,
    nearest,
    plain,
    reference,
    sound_id,
    unwrapped,
)
from pointsman.router.planning.llm.provenance import LASTING
from pointsman.router.values import Schema, kinds_of

LONGEST_NOTE = 60
"""Characters of a value that a note shows."""
READ_AS = {"for_each": "over", "when": "ref"}
"""What a bare reference in these places stands for."""


@dataclass(slots=True)
class Mender:
    """Mends the tasks of one answer, in their order.

    catalog: what may be called. files: names of the files at hand. notes: what was changed, a sentence each.
    """

    catalog: Catalog
    files: Sequence[str] = ()
    notes: list[str] = field(default_factory=list)
    _forms: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _ambiguous: set[str] = field(default_factory=set)

    def task(self, form: Any) -> Any:
        """The form of the next task, mended; None when it says again what a task before it said."""
        if not isinstance(form, Mapping):
            return form
        mended, dropped = unwrapped(form)
        id = self._id(mended)
        mended["id"] = id
        if id in self._forms and self._forms[id] == form:
            self._note(id, "was written twice; once counts")
            return None
        id = mended["id"] = self._single(id)
        self._forms[id] = form
        for key in dropped:
            self._note(id, f"had a field {key!r}, which plans do not have; it was left out")
        self._name(mended)
        self._arguments(mended)
        for key, inner in READ_AS.items():
            self._wrapped(mended, key, inner)
        return mended

    def _note(self, id: str, what: str) -> None:
        self.notes.append(f"repaired: task {id} {what}")

    def _id(self, mended: Mapping[str, Any]) -> str:
        id = mended.get("id")
        if isinstance(id, str) and sound_id(id):
            return sound_id(id)
        made = sound_id(plain(str(mended.get("capability", "task")))) or "task"
        return made if made not in self._forms else f"{made}_{len(self._forms) + 1}"

    def _single(self, id: str) -> str:
        """Another id for a second, different task of the same id. Who reads either is then not certain."""
        if id not in self._forms:
            return id
        self._ambiguous.add(id)
        number = 2
        while f"{id[:60]}_{number}" in self._forms:
            number += 1
        self._note(id, f"stood there twice; the later one is {id[:60]}_{number}")
        return f"{id[:60]}_{number}"

    def check(self, task: Task) -> None:
        """Raises DuplicateTask when a task reads an id that two different tasks before it had."""
        for id in task.inputs():
            if id in self._ambiguous:
                raise DuplicateTask(id)

    def _name(self, mended: dict[str, Any]) -> None:
        name = mended.get("capability")
        if not isinstance(name, str) or name in self.catalog:
            return
        bare = name.removeprefix("functions.").removeprefix("tools.").strip()
        if bare in self.catalog:
            mended["capability"] = bare
            return
        meant = nearest(bare, [c.name for c in self.catalog])
        # A name that is only like another never becomes a call with a lasting effect.
        if meant is None or (self.catalog[meant].effect in LASTING and plain(meant) != plain(bare)):
            return
        mended["capability"] = meant
        self._note(str(mended["id"]), f"asked for {name!r}, which was read as {meant}")

    # --- arguments ------------------------------------------------------------------------------

    def _arguments(self, mended: dict[str, Any]) -> None:
        capability = self.catalog.get(str(mended.get("capability")))
        arguments = mended.get("arguments", {})
        if capability is None or not isinstance(arguments, Mapping):
            return
        id = str(mended["id"])
        named = self._named(id, capability, arguments)
        mended["arguments"] = {
            name: self._value(id, name, value, capability.properties.get(name, {}))
            for name, value in named.items()
            if value is not None or _takes_null(capability, name)
        }
        self._missing(id, capability, mended["arguments"])

    def _named(
        self, id: str, capability: Capability, arguments: Mapping[str, Any]
    ) -> dict[str, Any]:
        if capability.parameters.get("additionalProperties", False) is not False:
            return dict(arguments)
        named = {n: v for n, v in arguments.items() if n in capability.properties}
        for name, value in arguments.items():
            if name in capability.properties:
                continue
            free = [p for p in capability.properties if p not in named]
            meant = nearest(name, free)
            if meant is not None:
                named[meant] = value
                self._note(id, f"gave {name!r}, which was read as {meant!r}")
            else:
                self._note(id, f"gave {name!r}, which {capability.name} does not take; left out")
        return named

    def _value(self, id: str, name: str, value: Any, schema: Schema) -> Any:
        kinds = kinds_of(schema)
        ref = reference(value, self._forms.keys() - {id}, bare=not kinds & {"text", "any"})
        if ref is not MISSING:
            if ref != value:
                self._note(
                    id, f"wrote {_short(value)} for {name!r}; the result of {ref['$task']!r}"
                )
            return ref
        if "file" in kinds or not schema:
            return value
        better = coerced(value, schema)
        if better is MISSING:
            return value
        self._note(id, f"gave {name!r} as {_short(value)}; it was read as {_short(better)}")
        return better

    def _missing(self, id: str, capability: Capability, arguments: dict[str, Any]) -> None:
        for name in capability.required:
            if name in arguments:
                continue
            schema = capability.properties.get(name, {})
            if "default" in schema:
                arguments[name] = schema["default"]
                self._note(
                    id, f"left out {name!r}; its default {_short(schema['default'])} is used"
                )
            elif "file" in kinds_of(schema) and len(self.files) == 1:
                arguments[name] = {"$file": self.files[0]}
                self._note(id, f"left out {name!r}; the only file, {self.files[0]!r}, is used")

    def _wrapped(self, mended: dict[str, Any], key: str, inner: str) -> None:
        """A reference where an object with a reference belongs; and templates inside such an object."""
        value = mended.get(key)
        if value is None:
            return
        known = self._forms.keys() - {str(mended["id"])}
        if isinstance(value, list) and key == "for_each":
            mended[key] = {"over": value}
            return
        ref = reference(value, known, bare=True)
        if ref is not MISSING:
            mended[key] = {inner: ref}
        elif isinstance(value, Mapping) and inner in value:
            within = reference(value[inner], known, bare=True)
            if within is not MISSING:
                mended[key] = {**value, inner: within}

    # --- the whole plan -------------------------------------------------------------------------

    def whole(self, tasks: Sequence[Task], fixed: Iterable[TaskId] = ()) -> list[Task]:
        """References to ids that no task has, and cycles, where only one repair is possible.

        fixed: tasks that were given already and stay as they are.
        """
        kept = set(fixed)
        ids = [t.id for t in tasks]
        mended = [t if t.id in kept else self._with_known_ids(t, tasks, ids) for t in tasks]
        return self._without_cycles(mended)

    def _with_known_ids(self, task: Task, tasks: Sequence[Task], ids: Sequence[TaskId]) -> Task:
        changed: dict[TaskId, TaskId] = {}
        for id in task.inputs():
            if id in ids:
                continue
            others = [t for t in tasks if t.id != task.id]
            does = [t.id for t in others if t.capability == id]
            meant = does[0] if len(does) == 1 else nearest(id, [t.id for t in others])
            if meant is not None:
                changed[id] = TaskId(meant)
                self._note(task.id, f"read {id!r}, which no task writes; {meant!r} was taken")
        return renamed(task, changed) if changed else task

    def _without_cycles(self, tasks: list[Task]) -> list[Task]:
        """A cycle is cut where just one of its links carries nothing and only says what comes after what."""
        while (found := _cycle(tasks)) is not None:
            by_id = {t.id: t for t in tasks}
            idle = [
                (one, other)
                for one, other in found
                if other in by_id[one].after and all(r.task != other for r in by_id[one].refs())
            ]
            if len(idle) != 1:
                return tasks
            one, other = idle[0]
            after = tuple(a for a in by_id[one].after if a != other)
            tasks = [replace(t, after=after) if t.id == one else t for t in tasks]
            self._note(one, f"was to wait for {other!r}, which waits for it; it does not wait")
        return tasks

    def answer(self, wanted: Iterable[Any], ids: Sequence[TaskId]) -> list[str]:
        """The ids of the answer, without those that no task has."""
        found: list[str] = []
        for id in wanted:
            meant = id if id in ids else nearest(str(id), ids)
            if meant is None:
                self.notes.append(
                    f"repaired: the answer named {str(id)[:64]!r}; there is no such task"
                )
            elif meant not in found:
                found.append(meant)
        return found


def renamed(task: Task, ids: Mapping[TaskId, TaskId]) -> Task:
    """A task with its references to other ids."""
    loop, when = task.for_each, task.when
    return replace(
        task,
        arguments=_in(task.arguments, ids),
        after=tuple(dict.fromkeys(ids.get(a, a) for a in task.after)),
        for_each=Loop(_in(loop.over, ids), loop.limit) if loop is not None else None,
        when=Condition(_in(when.ref, ids), when.op, when.value) if when is not None else None,
    )


def _in(value: Argument, ids: Mapping[TaskId, TaskId]) -> Any:
    if isinstance(value, Ref):
        return Ref(ids.get(value.task, value.task), value.path)
    if isinstance(value, Mapping):
        return {k: _in(v, ids) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_in(v, ids) for v in value)
    return value


def _cycle(tasks: Sequence[Task]) -> list[tuple[TaskId, TaskId]] | None:
    """The links (task, input) of one cycle, if there is one."""
    inputs = {t.id: t.inputs() for t in tasks}
    state: dict[TaskId, int] = {}
    for start in inputs:
        path: list[TaskId] = []
        found = _walked(start, inputs, state, path)
        if found is not None:
            circle = path[path.index(found) :]
            return list(zip(circle, [*circle[1:], found], strict=True))
    return None


def _walked(
    id: TaskId,
    inputs: Mapping[TaskId, tuple[TaskId, ...]],
    state: dict[TaskId, int],
    path: list[TaskId],
) -> TaskId | None:
    """Depth first; the task at which the path closes, left on `path`. At most as deep as a plan is long."""
    if state.get(id) == 2 or id not in inputs:
        return None
    if state.get(id) == 1:
        return id
    state[id] = 1
    path.append(id)
    for other in inputs[id]:
        if (found := _walked(other, inputs, state, path)) is not None:
            return found
    path.pop()
    state[id] = 2
    return None


def _takes_null(capability: Capability, name: str) -> bool:
    declared = capability.properties.get(name, {}).get("type")
    return declared == "null" or (isinstance(declared, list) and "null" in declared)


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= LONGEST_NOTE else shown[: LONGEST_NOTE - 1] + "…"


__all__ = ["Mender", "renamed"]
