"""The plan memory: what people say of runs, what is remembered, how it is forgotten, and past plans as lines."""

import hashlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import StreamingResponse

from pointsman.router.catalog import Catalog
from pointsman.router.errors import (
    PlanError,
    PointsmanError,
    RequestError,
    RunNotFound,
    RunNotOver,
)
from pointsman.router.events import OVER, RunId
from pointsman.router.plan import Plan, parse_plan, validate, walk
from pointsman.router.planning.memory import Remembered, generalise
from pointsman.router.values import FileProfile, FileRef
from pointsman.router.workspace.traces import Judgement, Kept, Trace
from pointsman.router.workspace.tracing import keep_trace
from pointsman.services.api.errors import NotFound, faults
from pointsman.services.api.gateway import Gateway, Here, OwnRun

router = APIRouter(tags=["memory"])

MOST_LINES = 200
SHARED = "default"
"""The tenant whose plans are remembered: they are not shared with others."""


class FeedbackIn(BaseModel):
    """Whether a run's plan was right. by: who says so, in words of their own."""

    model_config = ConfigDict(extra="forbid")

    right: bool
    note: Annotated[str, Field(max_length=2_000)] = ""
    by: Annotated[str, Field(max_length=200)] = ""


class LineIn(BaseModel):
    """A line of plans.jsonl."""

    model_config = ConfigDict(extra="forbid")

    request: Annotated[str, Field(max_length=100_000)]
    plan: dict[str, Any]
    right: bool | None = None
    run: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,80}$")] | None = None
    at: datetime | None = None


class LinesIn(BaseModel):
    """Past plans. first: the number of the first line, for messages."""

    model_config = ConfigDict(extra="forbid")

    lines: Annotated[list[Any], Field(max_length=MOST_LINES)]
    first: Annotated[int, Field(ge=1)] = 1


class BadLine(RequestError):
    code = "request.bad-line"

    def __init__(self, number: int, why: str) -> None:
        super().__init__(f"line {number}: {why}")


@router.post("/v1/runs/{id}/feedback", dependencies=[OwnRun], responses=faults(404, 409, 422))
async def feedback(id: str, body: FeedbackIn, here: Here) -> dict[str, Any]:
    """Says whether a run's plan was right. outcome: "remembered", "barred" (it was forgotten or called wrong,
    and does not come back) or "noted" (nothing of it can be remembered; `why` says for which reason).

    Said again, the last word counts. 409 while the run goes on, 404 when nothing was kept of it.
    """
    traces = here.workspace.traces
    if await traces.trace(id) is None:
        await _kept(here, id)
    judgement = Judgement(body.right, body.note, body.by, time.time())
    outcome = await traces.judge(id, judgement)
    trace = await traces.trace(id)
    if outcome is None or trace is None:
        raise NotFound(f"nothing is kept of run {id!r}: it was a trial, forgotten, or too long ago")
    return {**_said(trace), "outcome": outcome, "why": _why(trace, outcome)}


async def _kept(here: Gateway, id: str) -> None:
    """Keeps the trace of a run that has ended a moment ago. Raises RunNotFound, RunNotOver."""
    record = await here.workspace.run(RunId(id))
    if record.status not in OVER:
        raise RunNotOver(id)
    if here.workspace.traces.terms.mode != "off":
        await keep_trace(here.workspace, id)


@router.get("/v1/runs/{id}/feedback", dependencies=[OwnRun], responses=faults(404))
async def said(id: str, here: Here) -> dict[str, Any]:
    """What was said of a run's plan last; `right` is null when nothing was."""
    trace = await here.workspace.traces.trace(id)
    if trace is None:
        await here.workspace.run(RunId(id))
        return {"run": id, "right": None, "note": "", "by": "", "at": None}
    return _said(trace)


def _said(trace: Trace) -> dict[str, Any]:
    one = trace.judgement
    nothing = {"right": None, "note": "", "by": "", "at": None}
    return {"run": trace.run, **(one.to_json() if one else nothing)}


def _why(trace: Trace, outcome: str) -> str:
    if outcome != "noted":
        return ""
    return trace.why or (f"it ended {trace.outcome}" if trace.outcome != "whole" else "")


@router.get("/v1/memory")
async def listing(here: Here, limit: Annotated[int, Query(ge=1, le=1_000)] = 100) -> dict[str, Any]:
    """Remembered plans, those used last first; `size` counts all that is kept. Times are seconds since the
    epoch.
    """
    traces = here.workspace.traces
    shared = here.caller.tenant == SHARED
    found = await traces.kept(limit=limit) if shared else []
    return {
        "mode": traces.terms.mode,
        "plans": [_shown(k) for k in found],
        "size": await traces.size() if shared else {},
    }


@router.get("/v1/memory/plans.jsonl")
async def lines(here: Here) -> StreamingResponse:
    """Every trace with a plan, a JSON object a line, oldest first: {"request", "plan", "right", "run", "at"}."""

    async def told() -> AsyncIterator[str]:
        async for trace in here.workspace.traces.all():
            if trace.plan is not None and trace.tenant == here.caller.tenant:
                yield json.dumps(trace.to_line(), ensure_ascii=False) + "\n"

    return StreamingResponse(told(), media_type="application/jsonl")


@router.post("/v1/memory/plans", status_code=201, responses=faults(422))
async def bring(body: LinesIn, here: Here) -> dict[str, Any]:
    """Takes past plans in: lines of plans.jsonl as objects. Those that were right are remembered; a line
    that was brought before changes nothing. All are read before the first is taken.
    """
    read = [_line(n, value) for n, value in enumerate(body.lines, body.first)]
    catalog = await here.workspace.catalog()
    remembered, notes = 0, []
    for number, (line, plan) in enumerate(read, body.first):
        outcome, why = await _brought(here, catalog, line, plan)
        remembered += outcome == "remembered"
        if why:
            notes.append({"line": number, "why": why})
    return {"imported": len(read), "remembered": remembered, "notes": notes}


def _line(number: int, value: Any) -> tuple[LineIn, Plan]:
    """Raises BadLine."""
    try:
        line = LineIn.model_validate(value)
        return line, parse_plan(line.plan)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"]) or "the line"
        raise BadLine(number, f"{where}: {first['msg']}") from error
    except PlanError as error:
        raise BadLine(number, str(error)) from error


async def _brought(
    here: Gateway, catalog: Catalog, line: LineIn, plan: Plan
) -> tuple[str | None, str]:
    """What became of a line, and why nothing is remembered of it."""
    content = json.dumps([line.request, line.plan], sort_keys=True).encode()
    run = await _run_of(here, line, content)
    at = (line.at or datetime.now(UTC)).astimezone(UTC)
    one, why = await _general(here, catalog, line.request, plan, run, at)
    traces = here.workspace.traces
    seconds = at.timestamp()
    tenant = here.caller.tenant
    trace = Trace(
        run, line.request, plan.to_json(), "whole", 0, 0.0, seconds, one, why, tenant=tenant
    )
    if not await traces.keep(trace):
        return None, "it was forgotten here"
    if line.right is None:
        return None, ""
    outcome = await traces.judge(run, Judgement(line.right, "", "import", time.time()))
    return outcome, why if line.right else ""


async def _run_of(here: Gateway, line: LineIn, content: bytes) -> str:
    """The id under which a line is kept: never that of a run of another tenant."""
    tenant = here.caller.tenant
    mark = content if tenant == SHARED else content + tenant.encode()
    made = f"imported_{hashlib.sha256(mark).hexdigest()[:24]}"
    if line.run is None:
        return made
    with suppress(RunNotFound):
        return line.run if await here.workspace.owner_of(line.run) == tenant else made
    known = await here.workspace.traces.trace(line.run)
    return line.run if (known.tenant if known else SHARED) == tenant else made


async def _general(
    here: Gateway, catalog: Catalog, request: str, plan: Plan, run: str, at: datetime
) -> tuple[Remembered | None, str]:
    if here.caller.tenant != SHARED:
        return None, "plans are not shared between tenants"
    try:
        validate(plan, catalog)
        files = await _files(here, plan)
        return generalise(
            request,
            plan,
            catalog,
            files=files,
            now=at,
            run=run,
            how="imported",
            effect_arguments=here.workspace.traces.terms.effect_arguments,
        ), ""
    except PointsmanError as error:
        return None, str(error)


async def _files(here: Gateway, plan: Plan) -> list[FileProfile]:
    """Profiles of the files in a plan. Raises RequestError when one is not here."""
    found: dict[str, FileProfile] = {}
    for task in plan.tasks:
        for value in walk(task.arguments):
            if isinstance(value, dict) and value.get("kind") == "file":
                ref = FileRef.from_json(value)
                profile = await here.profiles.of(ref)
                if profile.error is not None:
                    raise NotFound(f"its file {ref.name!r} is not here")
                found[ref.id] = profile
    return list(found.values())


@router.get("/v1/memory/{key}", responses=faults(404))
async def one(key: str, here: Here) -> dict[str, Any]:
    """A remembered plan with the constants of its request as slots."""
    found = await here.workspace.traces.plan(key) if here.caller.tenant == SHARED else None
    if found is None:
        raise NotFound(f"no plan is remembered under {key!r}")
    return _shown(found)


@router.delete("/v1/memory/{id}", responses=faults(404))
async def forget(id: str, here: Here) -> dict[str, Any]:
    """Forgets everything of a run, or of a remembered plan by its key: traces, plan, vector, what was said.
    It does not come back. A run that goes on leaves no trace when it ends. The run's own record stays.
    """
    traces = here.workspace.traces
    if not await _owns(here, id):
        raise NotFound(f"there is no run and no remembered plan {id!r}")
    return {"id": id, "forgotten": await traces.forget(id)}


async def _owns(here: Gateway, id: str) -> bool:
    """Whether an id is that of a trace, a remembered plan or a run of the caller's tenant."""
    trace = await here.workspace.traces.trace(id)
    if trace is not None:
        return trace.tenant == here.caller.tenant
    if here.caller.tenant == SHARED and await here.workspace.traces.plan(id) is not None:
        return True
    try:
        return await here.workspace.owner_of(id) == here.caller.tenant
    except RunNotFound:
        return False


def _shown(kept: Kept) -> dict[str, Any]:
    plan = kept.plan
    return {
        "key": plan.key,
        "run": plan.run,
        "request": plan.request or "",
        "how": plan.how,
        "at": plan.at,
        "used": kept.used,
        "whole": kept.whole,
        "not_whole": kept.not_whole,
        "slots": [{"kind": s.kind, "value": s.value, "fixed": s.fixed} for s in plan.slots],
        "plan": plan.plan,
    }
