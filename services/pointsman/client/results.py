"""What comes back, as frozen values. Money is micro-dollars, times are seconds, moments are seconds since
the epoch.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from pointsman.client.decisions import Approval, Fault, Json
from pointsman.client.errors import IncompleteTable

Status = Literal["queued", "running", "done", "failed", "refused", "cancelled"]
Prefer = Literal["balanced", "quality", "cost", "latency"]
Format = Literal["csv", "xlsx", "json", "txt"]
Approve = Literal["marked", "effects", "never"]
"""Which tasks wait for a person: those of marked capabilities, also every `keyed` and `once` effect, or none."""

OVER: frozenset[str] = frozenset({"done", "failed", "refused", "cancelled"})
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Budget:
    """Caps of a run; None is no cap. seconds: from the start of the run."""

    cost: int | None = None
    calls: int | None = None
    tokens: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What was spent; `seconds` is the experts' own time."""

    cost: int = 0
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Usage":
        return cls(
            int(value.get("cost", 0)),
            int(value.get("calls", 0)),
            int(value.get("input_tokens", 0)),
            int(value.get("output_tokens", 0)),
            float(value.get("seconds", 0.0)),
        )


@dataclass(frozen=True, slots=True)
class File:
    """A file that the server holds. size: bytes."""

    id: str
    name: str
    media_type: str
    size: int

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "File":
        return cls(
            str(value["id"]), str(value["name"]), str(value["media_type"]), int(value["size"])
        )


@dataclass(frozen=True, slots=True)
class Part:
    """One result that is part of the answer. `value` is its JSON form: the table, the number, the text."""

    task: str
    title: str
    kind: str
    value: Json
    note: str = ""

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Part":
        return cls(
            str(value["task"]),
            str(value.get("title", "")),
            str(value["kind"]),
            value.get("value"),
            str(value.get("note", "")),
        )

    @property
    def _table(self) -> Mapping[str, Any]:
        return self.value if self.kind == "table" and isinstance(self.value, dict) else NOTHING

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of a table's columns; nothing when the result is no table."""
        return tuple(str(c["name"]) for c in self._table.get("columns", ()))

    @property
    def rows(self) -> tuple[tuple[Json, ...], ...]:
        """Rows of a table, in the order of `columns`: all, or the first ones when it is not `complete`."""
        return tuple(tuple(r) for r in self._table.get("rows", ()))

    @property
    def row_count(self) -> int:
        """How many rows the table has, here or not."""
        return int(self._table.get("row_count", len(self.rows)))

    @property
    def complete(self) -> bool:
        """Whether all rows are here; `download` gives those of a longer table."""
        return len(self.rows) == self.row_count

    @property
    def records(self) -> tuple[dict[str, Json], ...]:
        """Rows of a table as objects."""
        return tuple(dict(zip(self.columns, row, strict=True)) for row in self.rows)

    def to_csv(self) -> str:
        """The table as CSV (RFC 4180). Raises IncompleteTable when not all rows are here."""
        if not self.complete:
            raise IncompleteTable(self.task, len(self.rows), self.row_count)
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return out.getvalue()


@dataclass(frozen=True, slots=True)
class Step:
    """How one task went: which expert did it and why it was chosen."""

    task: str
    title: str
    capability: str
    status: str
    expert: str | None
    reason: str
    seconds: float
    cost: int
    note: str = ""
    error: str | None = None
    attempts: int = 0

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Step":
        return cls(
            str(value["task"]),
            str(value.get("title", "")),
            str(value.get("capability", "")),
            str(value.get("status", "waiting")),
            value.get("expert"),
            str(value.get("reason", "")),
            float(value.get("seconds", 0.0)),
            int(value.get("cost", 0)),
            str(value.get("note", "")),
            value.get("error"),
            int(value.get("attempts", 0)),
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What a run came to. text: Markdown. Look at `status`: a run that was refused or failed says why."""

    run: str
    status: Status
    text: str
    parts: tuple[Part, ...] = ()
    steps: tuple[Step, ...] = ()
    assumptions: tuple[str, ...] = ()
    unserved: tuple[str, ...] = ()
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    error: Fault | None = None

    @property
    def ok(self) -> bool:
        return self.status == "done"

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Answer":
        """From a run's record; where it has no answer, the text is the error's message."""
        value: Mapping[str, Any] = record.get("answer") or NOTHING
        error = _error_of(record)
        ended = record.get("ended") or record["created"]
        return cls(
            str(record["id"]),
            record["status"],
            str(value.get("text") or (error.message if error else "")),
            tuple(Part.of(p) for p in value.get("parts", ())),
            tuple(Step.of(s) for s in value.get("steps", ())),
            tuple(value.get("assumptions", ())),
            tuple(value.get("unserved", ())),
            Usage.of(record.get("usage") or value.get("usage") or NOTHING),
            float(value.get("seconds") or ended - record["created"]),
            error,
        )


def _error_of(record: Mapping[str, Any]) -> Fault | None:
    return Fault.of(record["error"]) if record.get("error") else None


@dataclass(frozen=True, slots=True)
class PlanTask:
    """One node of a plan. `inputs` are the tasks that it waits for."""

    id: str
    title: str
    capability: str
    arguments: Mapping[str, Json]
    inputs: tuple[str, ...] = ()
    repeated: bool = False
    conditional: bool = False

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "PlanTask":
        read = references([value.get("arguments"), value.get("for_each"), value.get("when")])
        return cls(
            str(value["id"]),
            str(value.get("title") or value["id"]),
            str(value["capability"]),
            value.get("arguments", {}),
            tuple(dict.fromkeys([*read, *value.get("after", ())])),
            value.get("for_each") is not None,
            value.get("when") is not None,
        )


def references(value: Any) -> list[str]:
    """Ids of the tasks that a JSON value refers to, at any depth."""
    if isinstance(value, Mapping):
        if isinstance(value.get("$task"), str):
            return [value["$task"]]
        return [id for v in value.values() for id in references(v)]
    if isinstance(value, list):
        return [id for v in value for id in references(v)]
    return []


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan, not run. `refusal` says why there is none; `seconds` and `cost` are its estimate.

    considered: what the planner weighed, each with its name and score.
    """

    run: str
    tasks: tuple[PlanTask, ...] = ()
    answer: tuple[str, ...] = ()
    source: str = ""
    confidence: float = 0.0
    assumptions: tuple[str, ...] = ()
    unserved: tuple[str, ...] = ()
    seconds: float = 0.0
    cost: int = 0
    considered: tuple[Mapping[str, Json], ...] = ()
    refusal: str | None = None

    @classmethod
    def of(cls, run: str, event: Mapping[str, Any]) -> "Plan":
        """From the fields of a `plan.proposed` event."""
        plan, estimate = event["plan"], event.get("estimate", NOTHING)
        return cls(
            run,
            tuple(PlanTask.of(t) for t in plan["tasks"]),
            tuple(plan.get("answer", ())),
            str(plan.get("source", "")),
            float(plan.get("confidence", 0.0)),
            tuple(plan.get("assumptions", ())),
            tuple(plan.get("unserved", ())),
            float(estimate.get("seconds", 0.0)),
            int(estimate.get("cost", 0)),
            tuple(event.get("considered", ())),
        )


@dataclass(frozen=True, slots=True)
class Event:
    """A fact that happened in a run; `id` is its place, after which a stream can be taken up again."""

    id: str
    type: str
    at: float
    fields: Mapping[str, Any]
    run: str = ""

    @property
    def task(self) -> str | None:
        task = self.fields.get("task")
        return task if isinstance(task, str) else None

    @property
    def approval(self) -> Approval | None:
        """What is asked, when the event is `approval.requested`."""
        if self.type != "approval.requested":
            return None
        known = {"id": self.fields["approval"], "run": self.run, "created": self.at}
        return Approval.of({**self.fields, **known, "pending": True})


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it stands. `answer` is set once it is over."""

    id: str
    status: Status
    request: str = ""
    thread: str | None = None
    created: float = 0.0
    ended: float | None = None
    dry_run: bool = False
    files: tuple[File, ...] = ()
    usage: Usage = field(default_factory=Usage)
    error: Fault | None = None
    answer: Answer | None = None

    @property
    def over(self) -> bool:
        return self.status in OVER

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Run":
        over = record["status"] in OVER and "answer" in record
        return cls(
            str(record["id"]),
            record["status"],
            str(record["request"]),
            record.get("thread"),
            float(record["created"]),
            record.get("ended"),
            bool(record.get("dry_run", False)),
            tuple(File.of(f) for f in record.get("files", ())),
            Usage.of(record.get("usage", NOTHING)),
            _error_of(record),
            Answer.of(record) if over else None,
        )


@dataclass(frozen=True, slots=True)
class Capability:
    """Something that can be asked for, and the names of the experts that serve it now."""

    name: str
    title: str
    description: str
    parameters: Mapping[str, Any]
    output: Mapping[str, Any]
    examples: tuple[str, ...]
    effect: str
    experts: tuple[str, ...]

    @property
    def group(self) -> str:
        return self.name.partition(".")[0]

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Capability":
        return cls(
            str(value["name"]),
            str(value["title"]),
            str(value["description"]),
            value["parameters"],
            value["output"],
            tuple(value["examples"]),
            str(value["effect"]),
            tuple(value["experts"]),
        )


@dataclass(frozen=True, slots=True)
class Expert:
    """A model or a tool that announced itself lately; `serves` are names of capabilities.

    priors: capability -> "quality" (0..1), "cost" (micro-dollars) and "latency" (seconds) that it promises.
    """

    name: str
    kind: str
    description: str
    serves: tuple[str, ...]
    workers: int
    seen: float
    priors: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    concurrency: int = 1

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Expert":
        workers = value.get("workers", 0)
        count = len(workers) if isinstance(workers, Sequence | Mapping) else int(workers)
        return cls(
            str(value["name"]),
            str(value["kind"]),
            str(value.get("description", "")),
            tuple(value.get("serves", ())),
            count,
            float(value.get("seen", 0.0)),
            dict(value.get("serves", {})),
            int(value.get("concurrency", 1)),
        )
