"""Facts that happened in a run, in the order of its bus, and their wire form.

Each event is a JSON object with a `type`; on the bus it has an id ("1733-0", growing), which is also its
SSE id. `at` is seconds since the epoch.
"""

from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal, NewType, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError

from pointsman.router.errors import PointsmanError, WorkspaceError

RunId = NewType("RunId", str)
EventId = NewType("EventId", str)

Phase = Literal["understand", "plan", "review", "dispatch", "assess", "replan", "respond"]
RunStatus = Literal["queued", "running", "done", "failed", "refused", "cancelled"]
TaskStatus = Literal[
    "waiting", "ready", "held", "queued", "running", "done", "failed", "skipped", "cancelled"
]
"""held: waits for a person's decision."""
Decision = Literal["approved", "denied", "edited", "done", "expired"]
"""done: a person says that an effect whose outcome was unknown has happened."""
OVER: frozenset[str] = frozenset({"done", "failed", "refused", "cancelled"})
SETTLED: frozenset[str] = frozenset({"done", "failed", "skipped", "cancelled"})


@dataclass(frozen=True, slots=True)
class Fault:
    """An error on the wire. retry_after: seconds to wait before another attempt."""

    code: str
    message: str
    fault: Literal["caller", "plan", "expert", "us"] = "us"
    retryable: bool = False
    retry_after: float = 0.0

    @classmethod
    def of(cls, error: PointsmanError) -> "Fault":
        return cls(error.code, error.message, error.fault, error.retryable, error.retry_after)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class RunCreated:
    request: str
    at: float
    type: Literal["run.created"] = "run.created"


@dataclass(frozen=True, slots=True)
class PhaseEntered:
    phase: Phase
    at: float
    type: Literal["phase.entered"] = "phase.entered"


@dataclass(frozen=True, slots=True)
class PlanProposed:
    """A plan was accepted for the run. `plan` is its JSON form; `considered` what the planner weighed."""

    plan: dict[str, Any]
    version: int
    at: float
    considered: list[dict[str, Any]] = field(default_factory=list)
    estimate: dict[str, Any] = field(default_factory=dict)
    type: Literal["plan.proposed"] = "plan.proposed"


@dataclass(frozen=True, slots=True)
class TaskReady:
    """All inputs are settled: posted in the same act as the last input's result."""

    task: str
    at: float
    type: Literal["task.ready"] = "task.ready"


@dataclass(frozen=True, slots=True)
class TaskRouted:
    """An expert was chosen; `route` is the Route's JSON form with runners-up and reason."""

    task: str
    attempt: int
    route: dict[str, Any]
    at: float
    type: Literal["task.routed"] = "task.routed"


@dataclass(frozen=True, slots=True)
class TaskStarted:
    task: str
    attempt: int
    worker: str
    at: float
    type: Literal["task.started"] = "task.started"


@dataclass(frozen=True, slots=True)
class TaskProgressed:
    task: str
    attempt: int
    share: float
    note: str
    at: float
    type: Literal["task.progressed"] = "task.progressed"


@dataclass(frozen=True, slots=True)
class TaskExpanded:
    """A `for_each` task became its children "id[0]", "id[1]", ..., which are ready with it."""

    task: str
    children: list[str]
    at: float
    type: Literal["task.expanded"] = "task.expanded"


@dataclass(frozen=True, slots=True)
class TaskDone:
    """The one effective result. `preview` is a short text of the value; the value is in the slot."""

    task: str
    attempt: int
    kind: str
    preview: str
    note: str
    usage: dict[str, Any]
    seconds: float
    at: float
    confidence: float | None = None
    type: Literal["task.done"] = "task.done"


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """One attempt failed; `final` when no other attempt will be made."""

    task: str
    attempt: int
    error: Fault
    final: bool
    at: float
    type: Literal["task.failed"] = "task.failed"


@dataclass(frozen=True, slots=True)
class TaskSkipped:
    """The task will not run: its `when` does not hold, or something it needs failed."""

    task: str
    reason: str
    at: float
    type: Literal["task.skipped"] = "task.skipped"


@dataclass(frozen=True, slots=True)
class TaskCancelled:
    task: str
    at: float
    type: Literal["task.cancelled"] = "task.cancelled"


@dataclass(frozen=True, slots=True)
class ApprovalRequested:
    """A task is held for a person. digest: of the capability and these exact arguments.

    why: "marked" (the capability, or the run, asks for it), "unknown-effect" (it may have happened
    already) or "edited" (`edits` names the request that was changed). expires: seconds since the epoch.
    """

    task: str
    approval: str
    digest: str
    capability: str
    arguments: dict[str, Any]
    why: Literal["marked", "unknown-effect", "edited"]
    question: str
    expires: float
    at: float
    edits: str | None = None
    type: Literal["approval.requested"] = "approval.requested"


@dataclass(frozen=True, slots=True)
class ApprovalDecided:
    """value: for "done", the result that the person gives the task."""

    task: str
    approval: str
    decision: Decision
    by: str
    at: float
    note: str = ""
    value: Any = None
    type: Literal["approval.decided"] = "approval.decided"


@dataclass(frozen=True, slots=True)
class CancelRequested:
    reason: str
    at: float
    type: Literal["run.cancelling"] = "run.cancelling"


@dataclass(frozen=True, slots=True)
class AnswerGrew:
    """A piece of the answer's text, as an LLM writes it."""

    text: str
    at: float
    type: Literal["answer.delta"] = "answer.delta"


@dataclass(frozen=True, slots=True)
class AnswerReady:
    """The whole answer; `answer` is the JSON form of respond.Answer."""

    answer: dict[str, Any]
    at: float
    type: Literal["answer.ready"] = "answer.ready"


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The last event of a run."""

    status: RunStatus
    usage: dict[str, Any]
    seconds: float
    at: float
    error: Fault | None = None
    type: Literal["run.ended"] = "run.ended"


Event: TypeAlias = (
    RunCreated
    | PhaseEntered
    | PlanProposed
    | TaskReady
    | TaskRouted
    | TaskStarted
    | TaskProgressed
    | TaskExpanded
    | TaskDone
    | TaskFailed
    | TaskSkipped
    | TaskCancelled
    | ApprovalRequested
    | ApprovalDecided
    | CancelRequested
    | AnswerGrew
    | AnswerReady
    | RunEnded
)

EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="type")])


@dataclass(frozen=True, slots=True)
class Posted:
    """An event with its place on the bus."""

    id: EventId
    event: Event

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, **EVENT.dump_python(self.event, mode="json")}


class UnreadableEvent(WorkspaceError):
    code = "workspace.unreadable-event"


def encode(event: Event) -> str:
    return EVENT.dump_json(event).decode()


def decode(text: str | bytes) -> Event:
    """Raises UnreadableEvent: another version wrote it, or the bus is damaged."""
    try:
        return EVENT.validate_json(text)
    except ValidationError as error:
        raise UnreadableEvent(f"an event cannot be read: {error.errors()[0]['msg']}") from error
