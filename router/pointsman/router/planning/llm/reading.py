"""A model's plan made one of ours: mended by rule, files by name become references, what it may not say is
refused."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from pointsman.router.catalog import Catalog
from pointsman.router.errors import PlanError, PlanNotJson, TooManyTasks, UnknownRef
from pointsman.router.plan import (
    MAX_TASKS,
    Plan,
    Task,
    TaskId,
    encode_argument,
    parse_plan,
    sinks,
    validate,
)
from pointsman.router.planning.llm.prompt import takes_file
from pointsman.router.planning.llm.provenance import ForeignValue, Sources
from pointsman.router.planning.llm.repair import Mender
from pointsman.router.planning.llm.stream import TaskScanner, extract_json
from pointsman.router.planning.llm.token_reader import TokenScanner
from pointsman.router.planning.llm.tokens import TokenFault
from pointsman.router.planning.streaming import Failed
from pointsman.router.values import FileProfile, kind_of, kinds_of

Format: TypeAlias = Literal["json", "task_tokens"]
MENDED: float = 0.9
"""Of the confidence, when a plan had to be repaired."""
WHOLE = ("plan", "action_plan", "result")
"""Keys under which a model may hide the object that was asked for."""
LISTS = ("tasks", "steps", "actions", "tool_calls")


@dataclass(slots=True)
class Reading:
    """One answer of a model, and what it must agree with.

    catalog: what may be called: the capabilities that the model was offered. failed: calls that failed
    before; one of them again is no plan.
    """

    catalog: Catalog
    files: Mapping[str, FileProfile]
    sources: Sources
    source: str
    confidence: float
    format: Format = "json"
    failed: Sequence[Failed] = ()
    given: list[Task] = field(default_factory=list)
    waiting: list[Task] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    mender: Mender = field(init=False)
    _scanner: TaskScanner | TokenScanner = field(init=False)
    _seen: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.mender = Mender(self.catalog, tuple(self.files))
        self._scanner = TaskScanner() if self.format == "json" else TokenScanner()

    def feed(self, piece: str) -> Iterator[Task]:
        """Tasks that this piece completes and whose inputs are all given. Raises PlanError."""
        try:
            forms = self._scanner.feed(piece)
        except TokenFault as error:
            raise PlanNotJson(str(error)) from error
        for form in forms:
            self._seen.append(form)
            self._take(form)
            yield from self._free()

    def _take(self, form: Any) -> None:
        """The next task of the answer. Raises PlanError."""
        mended = self.mender.task(form)
        if mended is None:
            return
        task = parse_plan({"tasks": [self.resolved(mended)]}).tasks[0]
        self._check_alone(task)
        self.tasks.append(task)
        self.waiting.append(task)
        if len(self.tasks) > MAX_TASKS:
            raise TooManyTasks(len(self.tasks), MAX_TASKS)

    def finish(self, text: str) -> Plan | tuple[str, str | None]:
        """The whole plan, valid, or why there is none and a question. Raises PlanError."""
        value = self._whole(text)
        forms = value.get("tasks") or []
        if self._seen != forms[: len(self._seen)]:
            raise PlanNotJson("the tasks stand twice in the answer, and not alike")
        for form in forms[len(self._seen) :]:
            self._take(form)
        if not self.tasks:
            return _why_not(value)
        tasks = self.mender.whole(self.tasks, [t.id for t in self.given])
        ids = [t.id for t in tasks]
        answer = self.mender.answer(_listed(value, "answer"), ids)
        notes = [n[:1].upper() + n[1:] for n in self.mender.notes]
        plan = Plan(
            tuple(tasks),
            tuple(TaskId(a) for a in answer) or sinks(tasks),
            self.source,
            self.confidence * (MENDED if notes else 1.0),
            (*(str(a) for a in _listed(value, "assumptions")), *notes),
            tuple(str(u) for u in _listed(value, "unserved")),
        )
        validate(plan, self.catalog)
        return plan

    def _whole(self, text: str) -> dict[str, Any]:
        """The answer's parts: an object with "tasks", whatever stood around it. Raises PlanNotJson."""
        if isinstance(self._scanner, TokenScanner):
            return self._token_parts(self._scanner, text)
        try:
            value = extract_json(text, key="tasks")
        except ValueError as error:
            raise PlanNotJson(str(error)) from error
        if isinstance(value, dict):
            value = next((value[k] for k in WHOLE if isinstance(value.get(k), dict)), value)
        if isinstance(value, list):
            value = {"tasks": value}
        if isinstance(value, dict):
            named = next((k for k in LISTS if isinstance(value.get(k), list)), None)
            if named is not None:
                return {**value, "tasks": value[named]}
        raise PlanNotJson('the answer must be one JSON object with a list "tasks"')

    def _token_parts(self, scanner: TokenScanner, text: str) -> dict[str, Any]:
        """A model that was asked for tokens and wrote JSON has made a plan all the same."""
        try:
            parts = scanner.rest()
        except TokenFault as error:
            raise PlanNotJson(str(error)) from error
        if not scanner.tasks and not any(parts.values()):
            try:
                value = extract_json(text, key="tasks")
            except ValueError:
                value = None
            if isinstance(value, dict) and isinstance(value.get("tasks"), list):
                return value
            raise PlanNotJson("the answer holds no task token")
        return {**parts, "tasks": list(self._seen)}

    # --- one task -------------------------------------------------------------------------------

    def resolved(self, form: Any) -> Any:
        """A task's form with its files as references."""
        if not isinstance(form, Mapping):
            return form
        kept = {k: v for k, v in form.items() if v is not None}
        arguments = kept.get("arguments")
        if isinstance(arguments, Mapping):
            id, capability = str(kept.get("id", "?")), self.catalog.get(str(kept.get("capability")))
            properties = capability.properties if capability is not None else {}
            kept["arguments"] = {
                name: self._grounded(
                    self._with_files(id, value, takes_file(properties.get(name, {}))),
                    kinds_of(properties.get(name, {})),
                    f"{id}: {name}",
                )
                for name, value in arguments.items()
            }
        return kept

    def _with_files(self, task: str, value: Any, wants_file: bool) -> Any:
        if isinstance(value, str):
            return self._file(task, value) if wants_file else value
        if isinstance(value, list):
            return [self._with_files(task, v, wants_file) for v in value]
        if not isinstance(value, Mapping):
            return value
        if set(value) == {"$file"}:
            return self._file(task, str(value["$file"]))
        kind = kind_of(value)
        if kind == "file":
            return self._file(task, str(value.get("name", value.get("id", ""))))
        if kind == "picture" or (kind == "table" and value.get("file") is not None):
            raise ForeignValue(task, f"a stored {kind} comes only as the result of another task")
        return {k: self._with_files(task, v, False) for k, v in value.items()}

    def _file(self, task: str, name: str) -> Any:
        folded = {n.casefold(): p for n, p in self.files.items()}
        profile = self.files.get(name) or folded.get(name.strip().casefold())
        if profile is None:
            have = ", ".join(repr(n) for n in list(self.files)[:20]) or "none"
            raise ForeignValue(task, f"there is no file {name!r}; files at hand: {have}")
        return profile.ref.to_json()

    def _grounded(self, value: Any, takes: frozenset[str], where: str) -> Any:
        """A span or region for a parameter that takes none: the whole that it lies in."""
        if not isinstance(value, Mapping) or value.get("kind") not in ("span", "region"):
            return value
        kind, of = value["kind"], value.get("of")
        if not isinstance(of, Mapping) or takes & {kind, "any", "object"}:
            return value
        self.mender.notes.append(f"repaired: {where} takes no {kind}; the whole result is taken")
        return of

    # --- checks ---------------------------------------------------------------------------------

    def _check_alone(self, task: Task) -> None:
        """Faults that need no other task, so that a hopeless answer is not read to its end."""
        self.mender.check(task)
        capability = self.catalog.get(task.capability)
        if capability is not None:
            self.sources.check(task, capability)
        for failed in self.failed:
            if failed.capability == task.capability and failed.arguments == arguments_text(task):
                raise PlanError(f"task {task.id!r} is the call that failed before: {failed.why}")
        try:
            validate(Plan((_without_after(task),), ()), self.catalog)
        except UnknownRef:
            return

    def _free(self) -> Iterator[Task]:
        progress = True
        while progress:
            progress = False
            ids = {t.id for t in self.given}
            for task in list(self.waiting):
                if set(task.inputs()) <= ids:
                    validate(Plan((*self.given, task), ()), self.catalog)
                    self.waiting.remove(task)
                    self.given.append(task)
                    progress = True
                    yield task


def arguments_text(task: Task) -> str:
    """What a task calls its capability with, as one text to compare."""
    return repr(sorted((k, repr(encode_argument(v))) for k, v in task.arguments.items()))


def _without_after(task: Task) -> Task:
    """A task that waits for itself is mended with the whole plan."""
    return replace(task, after=tuple(a for a in task.after if a != task.id))


def _listed(value: Mapping[str, Any], key: str) -> list[Any]:
    found = value.get(key)
    if isinstance(found, str):
        return [found]
    return [f for f in found if f is not None] if isinstance(found, list) else []


def _why_not(value: Mapping[str, Any]) -> tuple[str, str | None]:
    said = [str(u) for u in _listed(value, "unserved")]
    question = value.get("question")
    asked = question if isinstance(question, str) and question.strip() else None
    return "; ".join(said) or asked or "the model found no capability for this", asked


__all__ = ["Format", "Reading", "arguments_text"]
