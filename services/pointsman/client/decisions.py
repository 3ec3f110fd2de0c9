"""What people decide on, and what is kept of tasks that went wrong, as frozen values. Moments are seconds
since the epoch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Decision = Literal["approved", "denied", "done"]
"""done: an effect whose outcome was unknown has happened."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why something was not done. fault: whose it is, "caller", "plan", "expert" or "us"."""

    code: str
    message: str
    fault: str = "us"
    retryable: bool = False

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Fault":
        return cls(
            str(value["code"]),
            str(value["message"]),
            str(value.get("fault", "us")),
            bool(value.get("retryable", False)),
        )


@dataclass(frozen=True, slots=True)
class Approval:
    """A task that waits, or waited, for a person: may `capability` be called with exactly `arguments`?

    why: "marked" (it asks for it), "unknown-effect" (it may have happened already) or "edited" (`edits`
    is the request whose arguments were changed). decision: None, "approved", "denied", "edited", "done" or
    "expired". pending: it can be decided.
    """

    id: str
    run: str
    task: str
    capability: str
    arguments: Mapping[str, Json]
    digest: str
    why: str
    question: str
    created: float
    expires: float
    pending: bool
    edits: str | None = None
    decision: str | None = None
    at: float | None = None
    by: str = ""
    note: str = ""

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Approval":
        return cls(
            str(value["id"]),
            str(value["run"]),
            str(value["task"]),
            str(value["capability"]),
            value["arguments"],
            str(value["digest"]),
            str(value["why"]),
            str(value["question"]),
            float(value["created"]),
            float(value["expires"]),
            bool(value["pending"]),
            value.get("edits"),
            value.get("decision"),
            value.get("at") if value.get("decision") else None,
            str(value.get("by", "")),
            str(value.get("note", "")),
        )


@dataclass(frozen=True, slots=True)
class Effect:
    """A line of a run's ledger: an effect outside that was begun. `effect` is its class, "keyed" or "once".

    state: "under way", "done", "unknown" (nobody knows whether it happened) or "cleared" (it did not, or a
    person allowed it once more). key: the idempotency key that the tool was given.
    """

    task: str
    index: int
    state: str
    effect: str
    capability: str
    key: str
    attempt: int
    began: float
    ended: float | None = None
    note: str = ""

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Effect":
        return cls(
            str(value["task"]),
            int(value["index"]),
            str(value["state"]),
            str(value["effect"]),
            str(value["capability"]),
            str(value["key"]),
            int(value["attempt"]),
            float(value["began"]),
            value.get("ended"),
            str(value.get("note", "")),
        )


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A task that no expert could do; `rerun(run, from_task=task)` tries it once more."""

    run: str
    task: str
    capability: str
    error: Fault
    attempts: int
    request: str
    at: float

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "DeadLetter":
        return cls(
            str(value["run"]),
            str(value["task"]),
            str(value["capability"]),
            Fault.of(value["error"]),
            int(value["attempts"]),
            str(value["request"]),
            float(value["at"]),
        )
