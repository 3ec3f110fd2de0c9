"""A plan while it is drafted: its tasks, and what is known of each value that they will give."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pointsman.router.catalog import Capability, Catalog
from pointsman.router.errors import BadFile
from pointsman.router.plan import Condition, Plan, Ref, Task, TaskId
from pointsman.router.planning.tables.context import TableContext
from pointsman.router.values import Column, FileProfile

SENTIMENTS = ("positive", "neutral", "negative")
EMOTIONS = ("anger", "joy", "sadness", "fear", "disgust", "surprise", "neutral")
KNOWN_VALUES: Mapping[str, tuple[str, ...]] = {"sentiment": SENTIMENTS, "emotion": EMOTIONS}
Part = Literal["line", "sentence", "paragraph"]
PROSE = 5
"""Words that a cell has on average in a column of prose."""


@dataclass(frozen=True, slots=True)
class Value:
    """Something that a task can be given: the result of a task, or a text or list of the request itself.

    argument: what stands in the plan. kinds: what it is. table: its columns, when it is a table and they
    are known. maker: the capability that gives it. documents: whole documents, not rows. clause: the
    number of the clause that made it. items: each row is a text, however short.
    """

    argument: Any
    kinds: frozenset[str]
    table: TableContext | None = None
    maker: str = ""
    documents: bool = False
    clause: int = -1
    label: str | None = None
    items: bool = False

    @property
    def task(self) -> TaskId | None:
        return self.argument.task if isinstance(self.argument, Ref) else None

    @property
    def prose(self) -> str | None:
        """The column that holds prose, by the samples; None when no column does."""
        if self.items or isinstance(self.argument, list):
            return "text"
        return prose_column(self.table) if self.table is not None else None

    @property
    def has_texts(self) -> bool:
        return (
            self.documents or "text" in self.kinds or "list" in self.kinds or self.prose is not None
        )


def prose_column(table: TableContext) -> str | None:
    best, longest = None, 0.0
    for column in table.columns:
        values = [str(v) for v in table.values(column.name)]
        if column.type != "text" or not values:
            continue
        words = sum(len(v.split()) for v in values) / len(values)
        if words >= PROSE and words > longest:
            best, longest = column.name, words
    return best


def context_of(file: FileProfile) -> TableContext:
    return TableContext(
        file.ref.name, file.columns, file.samples or {}, file.complete, file.row_count
    )


@dataclass(slots=True)
class Draft:
    """Collects tasks. Files are read once, however many clauses use them."""

    catalog: Catalog
    tasks: list[Task] = field(default_factory=list)
    assumptions: list[str] = field(default_factory=list)
    unserved: list[str] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    answers: list[TaskId] = field(default_factory=list)
    fallbacks: list[tuple[TaskId, TaskId]] = field(default_factory=list)
    _read: dict[tuple[Part | None, tuple[str, ...]], Value] = field(default_factory=dict)

    def can(self, name: str) -> bool:
        return name in self.catalog

    def add(
        self,
        name: str,
        arguments: Mapping[str, Any],
        title: str,
        *,
        clause: int,
        source: Value | None = None,
    ) -> Value:
        """A task and the value it gives; the same task is not added twice. `source`: what it works on."""
        capability = self.catalog[name]
        given = {k: v for k, v in arguments.items() if v is not None}
        for task, made in zip(self.tasks, self.values, strict=True):
            if task.capability == name and task.arguments == given:
                return replace(made, clause=clause)  # asked for before: done once
        id = self._id(name)
        self.tasks.append(Task(id, name, given, title=title))
        value = Value(
            Ref(id),
            capability.gives,
            _table_after(capability, given, source),
            name,
            documents=name in ("text.read",),
            clause=clause,
            label=source.label if source else None,
        )
        self.values.append(value)
        return value

    def only_when(self, value: Value, condition: Condition) -> None:
        """The task that gives `value` runs only if the condition holds; its result joins the answer."""
        self.tasks = [replace(t, when=condition) if t.id == value.task else t for t in self.tasks]
        if value.task is not None:
            self.fallbacks.append((condition.ref.task, value.task))

    def _id(self, name: str) -> TaskId:
        word = name.rpartition(".")[2].replace("_", "-")
        taken = {t.id for t in self.tasks}
        id, count = TaskId(word), 1
        while id in taken:
            count += 1
            id = TaskId(f"{word}-{count}")
        return id

    def read(self, files: Sequence[FileProfile], clause: int, by: Part | None = None) -> Value:
        """The content of files: one table, or documents, or each of their parts. Raises BadFile when one
        cannot be read."""
        key = (by, tuple(f.ref.id for f in files))
        if key in self._read:
            return self._read[key]
        for file in files:
            if file.error is not None:
                name = file.ref.name
                raise BadFile(name, file.error.removeprefix(f"file {name!r} cannot be read: "))
        if len(files) == 1 and files[0].shape == "table" and self.can("table.read"):
            value = self._read_table(files[0], clause)
        else:
            names = files[0].ref.name if len(files) == 1 else f"{len(files)} files"
            value = self._read_texts(files, names, clause, by)
        self._read[key] = value
        return value

    def _read_texts(
        self, files: Sequence[FileProfile], names: str, clause: int, by: Part | None
    ) -> Value:
        arguments = {"files": [f.ref.to_json() for f in files], "by": by}
        title = f"read {names}, {by} by {by}" if by else f"read {names}"
        made = self.add("text.read", arguments, title, clause=clause)
        text = Column("text", "text")
        file = (Column("file", "text"),)
        if by is None:
            return replace(made, table=TableContext(names, (*file, text)), documents=True)
        columns = (*(file if len(files) > 1 else ()), Column(by, "integer"), text)
        found = [v for f in files for v in (f.samples or {}).get("text", ())]
        table = TableContext(names, columns, {"text": tuple(found)})
        return replace(made, table=table, documents=False, items=True)

    def _read_table(self, file: FileProfile, clause: int) -> Value:
        name = file.ref.name
        made = self.add("table.read", {"file": file.ref.to_json()}, f"read {name}", clause=clause)
        return replace(made, table=context_of(file))

    def plan(self, confidence: float) -> Plan:
        """Answers are what was asked for; without any, whatever no task reads."""
        read = {i for t in self.tasks for i in t.inputs()}
        wanted = self.answers or [t.id for t in self.tasks if t.id not in read]
        after = dict(self.fallbacks)
        wanted = [i for id in wanted for i in ((id, after[id]) if id in after else (id,))]
        answer = tuple(dict.fromkeys(wanted))
        return Plan(
            tuple(self._needed(answer)),
            answer,
            "embedded",
            round(confidence, 3),
            tuple(dict.fromkeys(self.assumptions)),
            tuple(dict.fromkeys(self.unserved)),
        )

    def _needed(self, answer: Sequence[TaskId]) -> list[Task]:
        """Tasks that an answer stands on; a reader that turned out not to be used is left out."""
        by_id = {t.id: t for t in self.tasks}
        needed: set[TaskId] = set()
        waiting = list(answer)
        while waiting:
            id = waiting.pop()
            if id not in needed:
                needed.add(id)
                waiting.extend(by_id[id].inputs())
        return [t for t in self.tasks if t.id in needed]


def _table_after(
    capability: Capability, arguments: Mapping[str, Any], source: Value | None
) -> TableContext | None:
    """The columns of a result, as far as they are known before it is there."""
    output = capability.output
    if "table" not in capability.gives:
        return None
    before = source.table if source else None
    if "x-columns" in output:
        columns = tuple(Column(c["name"], c["type"]) for c in output["x-columns"])
        return TableContext(capability.title, columns)
    if capability.name == "table.aggregate":
        return _aggregated(before, arguments)
    if before is None:
        if "x-adds" not in output:
            return None
        before = TableContext("texts", (Column("text", "text"),))
    if capability.name == "table.select":
        kept = [c for c in before.columns if c.name in arguments.get("columns", ())]
        return replace(before, columns=tuple(kept))
    added = tuple(
        Column(c["name"], c["type"])
        for c in output.get("x-adds", ())
        if c["name"] not in {b.name for b in before.columns}
    )
    values = {c.name: KNOWN_VALUES[c.name] for c in added if c.name in KNOWN_VALUES}
    if arguments.get("labels"):
        values["label"] = tuple(arguments["labels"])
    return replace(
        before,
        columns=(*before.columns, *added),
        samples={**before.samples, **values},
        complete=(*before.complete, *values),
        row_count=before.row_count if added else None,
    )


def _aggregated(before: TableContext | None, arguments: Mapping[str, Any]) -> TableContext | None:
    columns: list[Column] = []
    for group in arguments.get("by", ()):
        grain = group.get("grain")
        name = f"{grain} of {group['column']}" if grain else group["column"]
        columns.append(Column(name, "text"))
    for measure in arguments["measures"]:
        name = measure.get("as") or measure["fn"]
        if measure.get("column") and not measure.get("as"):
            name = f"{measure['fn']} of {measure['column']}"
        columns.append(Column(name, "number"))
    return TableContext(before.name if before else "groups", tuple(columns))
