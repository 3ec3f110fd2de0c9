"""The phases of a run: what the graph carries between them, what is asked, and how an outcome is told."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal, TypedDict

from pointsman.router.errors import CannotPlan, PointsmanError, RequestError
from pointsman.router.events import Fault, Phase, RunStatus
from pointsman.router.planning.base import Refusal, Request
from pointsman.router.workspace import RunRecord


class Phases(TypedDict, total=False):
    """What the graph carries: ids and outcomes; everything else is in the workspace."""

    run: str
    phase: Phase
    outcome: Literal["planned", "refused", "failed", "done", "cancelled"]
    error: dict[str, Any] | None
    refusal: dict[str, Any] | None
    again: bool


def request_of(record: RunRecord) -> Request:
    """What the planner is asked."""
    spec = record.spec
    here = timezone(timedelta(minutes=spec.timezone))
    created = datetime.fromtimestamp(record.created, UTC).astimezone(here)
    return Request(spec.text, created, spec.files, spec.history, spec.prefer)


async def another_way(state: Phases) -> str:  # asynchronous: langgraph runs others in threads
    return "replan" if state.get("again") else "respond"


def on_outcome(following: str) -> Any:
    """On to the next phase, or straight to the answer when the run is decided."""

    async def choose(state: Phases) -> str:
        decided = state.get("outcome") in ("refused", "failed", "cancelled", "done")
        return "respond" if decided else following

    return choose


def failed(phase: Phase, error: PointsmanError, outcome: Literal["refused", "failed"]) -> Phases:
    return {"phase": phase, "outcome": outcome, "error": Fault.of(error).to_json()}


def unplanned(error: PointsmanError) -> Phases:
    """Whose fault it is decides whether the run is refused or failed."""
    if isinstance(error, CannotPlan):
        return refused(Refusal(error.why, error.could_do))
    return failed("plan", error, "refused" if isinstance(error, RequestError) else "failed")


def refused(refusal: Refusal) -> Phases:
    fault = Fault("request.cannot-plan", refusal.why, "caller")
    return {
        "phase": "plan",
        "outcome": "refused",
        "error": fault.to_json(),
        "refusal": {"could_do": list(refusal.could_do), "question": refusal.question},
    }


def status_of(state: Phases) -> RunStatus:
    outcome = state.get("outcome", "failed")
    return "failed" if outcome == "planned" else outcome
