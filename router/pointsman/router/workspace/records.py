"""A run as it is asked for, and as it is kept."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter

from pointsman.router.events import Fault, RunId, RunStatus
from pointsman.router.plan import Plan, parse_plan
from pointsman.router.planning.base import Prefer, Turn
from pointsman.router.usage import BUDGET, USAGE, Budget, Usage
from pointsman.router.values import FileProfile

TURNS: TypeAdapter[tuple[Turn, ...]] = TypeAdapter(tuple[Turn, ...])
STATUS: TypeAdapter[RunStatus] = TypeAdapter(RunStatus)
FAULT: TypeAdapter[Fault] = TypeAdapter(Fault)


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What is asked for.

    deadline: seconds since the epoch. plan: run this one instead of planning. dry_run: stop after the plan.
    timezone: minutes east of UTC of the person who asks, for "today" and "next Friday".
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
        )


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as it stands. Times are seconds since the epoch; `answer` is set before the run ends."""

    id: RunId
    status: RunStatus
    spec: RunSpec
    created: float
    ended: float | None
    plan: dict[str, Any] | None
    version: int
    answer: dict[str, Any] | None
    usage: Usage
    error: Fault | None
    cancel: str | None

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
            spec=RunSpec.from_json(json.loads(fields["spec"])),
            created=float(fields["created"]),
            ended=float(fields["ended"]) if fields.get("ended") else None,
            plan=json.loads(fields["plan"]) if fields.get("plan") else None,
            version=int(fields.get("version", 0)),
            answer=json.loads(fields["answer"]) if fields.get("answer") else None,
            usage=USAGE.validate_json(fields["usage"]) if fields.get("usage") else Usage(),
            error=FAULT.validate_json(fields["error"]) if fields.get("error") else None,
            cancel=fields.get("cancel"),
        )
