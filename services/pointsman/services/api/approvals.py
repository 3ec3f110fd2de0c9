"""What waits for a person in a run, the person's decision, and the ledger of the run's effects."""

import json
import time
from collections.abc import Collection
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from pointsman.router.errors import ApprovalNotFound, RequestError
from pointsman.router.events import OVER, RunId
from pointsman.router.plan import first_fault
from pointsman.router.workspace import Approval, EffectRecord, RunRecord, Snapshot
from pointsman.services.api.errors import faults
from pointsman.services.api.gateway import Gateway, Here, OwnRun

router = APIRouter(tags=["approvals"])


class BadEdit(RequestError):
    code = "request.bad-edit"

    def __init__(self, capability: str, why: str) -> None:
        super().__init__(f"{capability} does not take these arguments: {why}")


def _finite(value: Any) -> Any:
    """JSON has no word for infinity and for what is not a number, though Python's parser takes them."""
    json.dumps(value, allow_nan=False)
    return value


Value = Annotated[JsonValue, AfterValidator(_finite)]


class DecisionIn(BaseModel):
    """A person's decision on exactly what was asked: `digest` is that of the request that was seen.

    approved: it may be called. denied: it may not, and its task fails. done (only where `why` is
    `unknown-effect`): it has happened, and `value` is its task's result. edited: `arguments` take the
    place of those that were asked about, in a request of their own that is decided next.
    """

    model_config = ConfigDict(extra="forbid")

    decision: Literal["approved", "denied", "done", "edited"]
    digest: Annotated[str, Field(max_length=128)]
    by: Annotated[str, Field(max_length=200)] = ""
    note: Annotated[str, Field(max_length=2_000)] = ""
    value: Value = None
    arguments: Annotated[dict[str, JsonValue], AfterValidator(_finite)] | None = None


@router.get("/v1/runs/{id}/approvals", dependencies=[OwnRun], responses=faults(404))
async def listing(id: str, here: Here) -> dict[str, Any]:
    """All that was asked of people in a run: what is pending first, then what was decided, oldest first.

    `decision` is null until somebody decides. `pending` is false then, and also when the run was stopped,
    or the time for a decision has passed.
    """
    record = await here.workspace.run(RunId(id))
    shown = [approval_json(a, record) for a in await here.workspace.approvals(record.id)]
    return {"run": record.id, "approvals": sorted(shown, key=lambda a: not a["pending"])}


@router.post(
    "/v1/runs/{id}/approvals/{approval}", dependencies=[OwnRun], responses=faults(404, 409, 422)
)
async def decide(id: str, approval: str, body: DecisionIn, here: Here) -> dict[str, Any]:
    """Decides, and answers with the request as it stands then; after an edit, with the new request.

    409 when it was decided before, has expired, asks for other arguments than those that were seen, or
    the run was stopped.
    """
    run = RunId(id)
    by = body.by or (here.caller.name if here.caller.key else "a person")
    how = {"digest": body.digest, "by": by, "note": body.note}
    shown = approval
    if body.decision == "edited":
        asked = _found(await here.workspace.approvals(run), id, approval)
        await _check_arguments(here, asked, body.arguments)
        shown = await here.workspace.edit(run, approval, body.arguments or {}, **how)
    else:
        await here.workspace.decide(run, approval, body.decision, value=body.value, **how)
    found = await here.workspace.approvals(run)
    return approval_json(_found(found, id, shown), await here.workspace.run(run))


@router.get("/v1/runs/{id}/effects", dependencies=[OwnRun], responses=faults(404))
async def effects(id: str, here: Here) -> dict[str, Any]:
    """The ledger: every effect of class `keyed` or `once` that was begun in a run, oldest first.

    state: `under way`; `done`; `unknown`, begun by an attempt that is over and told no outcome;
    `cleared`, known not to have happened, or allowed once more by a person. key: the idempotency key
    that the tool was given.
    """
    run = RunId(id)
    ledger = await here.workspace.effects(run)
    under_way: Collection[EffectRecord] = ()
    if any(e.state == "intent" for e in ledger):
        found = await here.workspace.snapshot(run)
        ledger, under_way = list(found.effects), [e for e in found.effects if _runs(e, found)]
    return {"run": id, "effects": [effect_json(e, under_way) for e in ledger]}


def _runs(effect: EffectRecord, found: Snapshot) -> bool:
    """Whether the attempt that wrote the intent still runs."""
    task = effect.task
    return (
        effect.state == "intent"
        and found.status.get(task) == "running"
        and found.attempts.get(task) == effect.attempt
    )


def effect_json(effect: EffectRecord, under_way: Collection[EffectRecord]) -> dict[str, Any]:
    state = effect.state
    if state == "intent":
        state = "under way" if effect in under_way else "unknown"
    return {
        "task": effect.task,
        "index": effect.index,
        "state": state,
        "effect": effect.effect,
        "capability": effect.capability,
        "key": effect.key,
        "attempt": effect.attempt,
        "worker": effect.worker,
        "began": effect.began,
        "ended": effect.ended,
        "note": effect.note,
    }


def approval_json(asked: Approval, record: RunRecord) -> dict[str, Any]:
    """A request on the wire; times are seconds since the epoch."""
    closed = record.status in OVER or record.cancel is not None or asked.expires <= time.time()
    return {
        "id": asked.id,
        "run": record.id,
        "task": asked.task,
        "pending": asked.pending and not closed,
        "capability": asked.capability,
        "arguments": asked.arguments,
        "digest": asked.digest,
        "why": asked.why,
        "question": asked.question,
        "created": asked.created,
        "expires": asked.expires,
        "edits": asked.edits,
        "decision": asked.decision,
        "at": asked.at,
        "by": asked.by,
        "note": asked.note,
    }


def _found(approvals: Collection[Approval], run: str, id: str) -> Approval:
    """Raises ApprovalNotFound."""
    for one in approvals:
        if one.id == id:
            return one
    raise ApprovalNotFound(run, id)


async def _check_arguments(
    here: Gateway, asked: Approval, arguments: dict[str, Any] | None
) -> None:
    """Raises BadEdit: what the capability would refuse is told before anything is decided."""
    if arguments is None:
        raise BadEdit(asked.capability, "`arguments` is missing")
    described = (await here.workspace.catalog()).get(asked.capability)
    if described is None:
        return
    why = first_fault(arguments, described.parameters)
    if why is not None:
        raise BadEdit(asked.capability, why)
