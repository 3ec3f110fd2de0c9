"""A run as it is asked for, and as it is kept."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any, Literal

from pydantic import TypeAdapter

from pointsman.router.events import (
    ApprovalRequested,
    Decision,
    EventId,
    Fault,
    RunId,
    RunStatus,
    TaskStatus,
)
from pointsman.router.plan import Plan, parse_plan
from pointsman.router.planning.base import Prefer, Turn
from pointsman.router.usage import BUDGET, USAGE, Budget, Usage
from pointsman.router.values import FileProfile, Json

TURNS: TypeAdapter[tuple[Turn, ...]] = TypeAdapter(tuple[Turn, ...])
Approve = Literal["marked", "effects", "never"]
STATUS: TypeAdapter[RunStatus] = TypeAdapter(RunStatus)
FAULT: TypeAdapter[Fault] = TypeAdapter(Fault)


@dataclass(frozen=True, slots=True)
class Reuse:
    """Results that a run takes over from another one, which ran the same plan."""

    run: str
    tasks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What is asked for.

    deadline: seconds since the epoch. plan: run this one instead of planning. dry_run: stop after the plan.
    timezone: minutes east of UTC of the person who asks, for "today" and "next Friday". tenant, weight:
    whose it is, and its share when runs wait for controllers and experts. key: id of the API key that pays. approve: which tasks wait for a
    person: those of capabilities that are marked, also every `keyed` and `once` effect, or none. remember:
    whether a trace of it may be kept, and its plan used again.
    """

    text: str
    files: tuple[FileProfile, ...] = ()
    thread: str | None = None
    budget: Budget = field(default_factory=Budget)
    deadline: float | None = None
    prefer: Prefer = "balanced"
    plan: Plan | None = None
    dry_run: bool = False
    history: tuple[Turn, ...] = ()
    timezone: int = 0
    tenant: str = "default"
    weight: float = 1.0
    approve: Approve = "marked"
    reuse: Reuse | None = None
    remember: bool = True
    key: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "files": [f.to_json() for f in self.files],
            "thread": self.thread,
            "budget": self.budget.to_json(),
            "deadline": self.deadline,
            "prefer": self.prefer,
            "plan": self.plan.to_json() if self.plan else None,
            "dry_run": self.dry_run,
            "history": TURNS.dump_python(self.history, mode="json"),
            "timezone": self.timezone,
            "tenant": self.tenant,
            "weight": self.weight,
            "approve": self.approve,
            "reuse": [self.reuse.run, list(self.reuse.tasks)] if self.reuse else None,
            "remember": self.remember,
            "key": self.key,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "RunSpec":
        return cls(
            text=value["text"],
            files=tuple(FileProfile.from_json(f) for f in value["files"]),
            thread=value["thread"],
            budget=BUDGET.validate_python(value["budget"]),
            deadline=value["deadline"],
            prefer=value["prefer"],
            plan=parse_plan(value["plan"]) if value["plan"] else None,
            dry_run=value["dry_run"],
            history=TURNS.validate_python(value["history"]),
            timezone=value["timezone"],
            tenant=value["tenant"],
            weight=value["weight"],
            approve=value["approve"],
            reuse=Reuse(value["reuse"][0], tuple(value["reuse"][1])) if value["reuse"] else None,
            remember=value.get("remember", True),
            key=value.get("key", ""),
        )


@lru_cache(maxsize=64)
def _spec_of(text: str) -> RunSpec:
    """Each phase of a run reads it anew, and a plan that came with it may be large."""
    return RunSpec.from_json(json.loads(text))


@lru_cache(maxsize=64)
def _plan_of(text: str) -> Plan:
    return parse_plan(json.loads(text))


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as it stands. Times are seconds since the epoch; `answer` is set before the run ends.

    plan, parsed_plan: the newest one, of version `proposed`; version: the one whose tasks are written.
    """

    id: RunId
    status: RunStatus
    spec: RunSpec
    created: float
    ended: float | None
    plan_text: str | None
    version: int
    proposed: int
    answer: dict[str, Any] | None
    usage: Usage
    error: Fault | None
    cancel: str | None

    @property
    def plan(self) -> dict[str, Any] | None:
        """In its JSON form."""
        return json.loads(self.plan_text) if self.plan_text else None

    @property
    def parsed_plan(self) -> Plan:
        """Raises LookupError when there is none yet."""
        if self.plan_text is None:
            raise LookupError(f"run {self.id} has no plan")
        return _plan_of(self.plan_text)

    @property
    def request(self) -> str:
        return self.spec.text

    @property
    def thread(self) -> str | None:
        return self.spec.thread

    @property
    def dry_run(self) -> bool:
        return self.spec.dry_run

    @classmethod
    def from_hash(cls, fields: Mapping[str, str]) -> "RunRecord":
        """From the run's hash in Redis."""
        return cls(
            id=RunId(fields["id"]),
            status=STATUS.validate_python(fields["status"]),
            spec=_spec_of(fields["spec"]),
            created=float(fields["created"]),
            ended=float(fields["ended"]) if fields.get("ended") else None,
            plan_text=fields.get("plan") or None,
            version=int(fields.get("version", 0)),
            proposed=int(fields.get("proposed", 0)),
            answer=json.loads(fields["answer"]) if fields.get("answer") else None,
            usage=USAGE.validate_json(fields["usage"]) if fields.get("usage") else Usage(),
            error=FAULT.validate_json(fields["error"]) if fields.get("error") else None,
            cancel=fields.get("cancel"),
        )


@dataclass(frozen=True, slots=True)
class Approval:
    """A request for a person's decision, and what came of it. Times are seconds since the epoch.

    decision: None while it is pending. edits: the request whose arguments were changed into this one's.
    """

    id: str
    task: str
    digest: str
    capability: str
    arguments: dict[str, Any]
    why: str
    question: str
    created: float
    expires: float
    edits: str | None = None
    decision: Decision | None = None
    at: float | None = None
    by: str = ""
    note: str = ""

    @property
    def pending(self) -> bool:
        return self.decision is None

    @classmethod
    def of(cls, event: ApprovalRequested) -> "Approval":
        return cls.from_entry(event.approval, entry_of(event))

    @classmethod
    def from_entry(cls, id: str, text: str) -> "Approval":
        entry = json.loads(text)
        return cls(
            id=id,
            task=entry["task"],
            digest=entry["digest"],
            capability=entry["capability"],
            arguments=json.loads(entry["arguments"]),
            why=entry["why"],
            question=entry["question"],
            created=entry["created"],
            expires=entry["expires"],
            edits=entry.get("edits"),
            decision=entry.get("decision"),
            at=entry.get("at"),
            by=entry.get("by", ""),
            note=entry.get("note", ""),
        )


def digest_of(capability: str, arguments: Mapping[str, Any]) -> str:
    """What an approval is bound to: the capability and exactly these arguments."""
    text = json.dumps([capability, arguments], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def entry_of(event: ApprovalRequested) -> str:
    """An approval as it is kept; its arguments stay text, for the scripts do not read them."""
    entry = {
        "task": event.task,
        "digest": event.digest,
        "capability": event.capability,
        "arguments": json.dumps(event.arguments),
        "why": event.why,
        "question": event.question,
        "created": event.at,
        "expires": event.expires,
    }
    return json.dumps(entry | ({"edits": event.edits} if event.edits else {}))


@dataclass(frozen=True, slots=True)
class EffectRecord:
    """A line of the ledger. state: "intent" (begun), "done", "unknown" or "cleared" (a person allowed it again).

    An intent whose attempt is over is as unknown as one that is called so. also: an earlier attempt that
    turned out to have had the effect too.
    """

    task: str
    index: int
    state: str
    effect: str
    capability: str
    key: str
    attempt: int
    worker: str
    began: float
    ended: float | None = None
    note: str = ""
    also: int | None = None

    @classmethod
    def from_entry(cls, field: str, text: str) -> "EffectRecord":
        task, _, index = field.rpartition("/")
        entry = json.loads(text)
        return cls(
            task=task,
            index=int(index),
            state=entry["state"],
            effect=entry["effect"],
            capability=entry["capability"],
            key=entry["key"],
            attempt=int(entry["attempt"]),
            worker=entry["worker"],
            began=entry["began"],
            ended=entry.get("ended"),
            note=entry.get("note", ""),
            also=entry.get("also"),
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run at one moment: statuses, attempts, versions and results belong together. newest: its last event."""

    record: RunRecord
    newest: EventId
    status: Mapping[str, TaskStatus]
    attempts: Mapping[str, int]
    results: Mapping[str, Json]
    versions: Mapping[str, int]
    focus: tuple[str, ...]
    effects: tuple[EffectRecord, ...]
    approvals: tuple[Approval, ...]
    budget: Mapping[str, int]
    leases: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A task that was given up, with what is needed to look into it and to run it again."""

    run: str
    task: str
    capability: str
    error: Fault
    attempts: int
    request: str
    at: float
    tenant: str = "default"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "DeadLetter":
        return cls(**{**value, "error": Fault(**value["error"])})
