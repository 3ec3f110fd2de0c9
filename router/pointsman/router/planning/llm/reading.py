"""A model's plan made one of ours: files by name become references, what it may not say is refused."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from pointsman.router.catalog import Catalog
from pointsman.router.errors import PlanError, PlanNotJson, UnknownRef
from pointsman.router.plan import Plan, Task, parse_plan, validate, walk
from pointsman.router.planning.base import Request
from pointsman.router.planning.llm.prompt import takes_file
from pointsman.router.planning.llm.stream import TaskScanner, extract_json
from pointsman.router.values import FileProfile, kind_of

PLAN_KEYS = ("tasks", "answer", "assumptions", "unserved")


class ForeignValue(PlanError):
    """The plan names a file that was not sent along, or an address that only a file's text names."""

    code = "plan.foreign-value"

    def __init__(self, task: str, why: str) -> None:
        self.task = task
        super().__init__(f"task {task!r}: {why}")


@dataclass(slots=True)
class Reading:
    """What one answer of the model must agree with."""

    request: Request
    files: Mapping[str, FileProfile]
    catalog: Catalog
    source: str
    confidence: float
    scanner: TaskScanner = field(default_factory=TaskScanner)
    given: list[Task] = field(default_factory=list)
    waiting: list[Task] = field(default_factory=list)

    def feed(self, piece: str) -> Iterator[Task]:
        """Tasks that this piece completes and whose inputs are all given. Raises PlanError."""
        for form in self.scanner.feed(piece):
            task = parse_plan({"tasks": [self.resolved(form)]}).tasks[0]
            self._check_alone(task)
            self.waiting.append(task)
            yield from self._free()

    def finish(self, text: str) -> Plan | tuple[str, str | None]:
        """The whole plan, valid, or why there is none and a question. Raises PlanError."""
        try:
            value = extract_json(text, key="tasks")
        except ValueError as error:
            raise PlanNotJson(str(error)) from error
        if not isinstance(value, dict) or not isinstance(value.get("tasks"), list):
            raise PlanNotJson('the answer must be one JSON object with a list "tasks"')
        if not value["tasks"] and not self.given:
            return _why_not(value)
        form = {k: value[k] for k in PLAN_KEYS if value.get(k) is not None}
        form["tasks"] = [self.resolved(t) for t in value["tasks"]]
        plan = parse_plan({**form, "source": self.source, "confidence": self.confidence})
        for task in plan.tasks:
            self._check_provenance(task)
        validate(plan, self.catalog)
        if any(t not in plan.tasks for t in self.given):
            raise PlanNotJson('the key "tasks" stands twice in the answer')
        return plan

    def resolved(self, form: Any) -> Any:
        """A task's form with its files as references and without nulls that stand for defaults."""
        if not isinstance(form, Mapping):
            return form
        kept = {k: v for k, v in form.items() if v is not None}
        arguments = kept.get("arguments")
        if isinstance(arguments, Mapping):
            id, capability = str(kept.get("id", "?")), self.catalog.get(str(kept.get("capability")))
            properties = capability.properties if capability is not None else {}
            kept["arguments"] = {
                name: self._with_files(id, value, takes_file(properties.get(name, {})))
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

    def _check_alone(self, task: Task) -> None:
        """Faults that need no other task, so that a hopeless answer is not read to its end."""
        self._check_provenance(task)
        try:
            validate(Plan((task,), ()), self.catalog)
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

    def _check_provenance(self, task: Task) -> None:
        """An address that a task would call must not come from a file's text alone: it may be planted."""
        capability = self.catalog.get(task.capability)
        if capability is None or capability.effect == "pure":
            return
        asked = " ".join([self.request.text, *(t.request for t in self.request.history)]).casefold()
        read = file_text(list(self.files.values())).casefold()
        for value in walk(task.arguments):
            host = _host(value) if isinstance(value, str) else ""
            if host and host in read and host not in asked:
                raise ForeignValue(
                    task.id, f"the address {host!r} stands in a file, not in the request"
                )


def file_text(files: Sequence[FileProfile]) -> str:
    """All text of files that a model is shown."""
    shown: list[str] = []
    for profile in files:
        shown += [profile.ref.name, profile.opening or "", *(c.name for c in profile.columns)]
        for values in (profile.samples or {}).values():
            shown += [str(v) for v in values]
    return "\n".join(shown)


def _host(text: str) -> str:
    if "://" not in text:
        return ""
    try:
        return (urlsplit(text.strip()).hostname or "").casefold()
    except ValueError:
        return ""


def _why_not(value: Mapping[str, Any]) -> tuple[str, str | None]:
    unserved = value.get("unserved")
    said = [str(u) for u in unserved] if isinstance(unserved, list) else []
    question = value.get("question")
    asked = question if isinstance(question, str) and question.strip() else None
    return "; ".join(said) or asked or "the model found no capability for this", asked


__all__ = ["ForeignValue", "Reading", "file_text"]
