"""Runs: create, list, look at, watch, cancel, and what their tasks gave."""

import hashlib
import json
import logging
import re
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, ConfigDict, Field
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import JSONResponse, PlainTextResponse, Response

from pointsman.router.errors import (
    EmptyRequest,
    NoExpert,
    PointsmanError,
    RequestError,
    RequestTooLong,
    WorkspaceUnavailable,
)
from pointsman.router.events import EVENT, OVER, Posted, RunEnded, RunId, RunStatus
from pointsman.router.plan import MAX_GIVEN_TASKS, Plan, parse_plan, to_mermaid, validate
from pointsman.router.planning.base import Prefer, Turn
from pointsman.router.usage import Budget
from pointsman.router.values import FileProfile, Json, kind_of
from pointsman.router.workspace import RunRecord, RunSpec
from pointsman.router.workspace.records import Approve
from pointsman.services.access.spending import held, let_go
from pointsman.services.api.downloads import Format, download_of
from pointsman.services.api.errors import NotFound, faults
from pointsman.services.api.gateway import Gateway, Here, OwnRun
from pointsman.services.streams import until

log = logging.getLogger(__name__)
router = APIRouter(tags=["runs"])

EVENT_ID = re.compile(r"\d{1,20}-\d{1,20}")
HISTORY_TURNS = 6
HISTORY_SEARCHED = 100
MAX_DEADLINE = 86_400.0
GIVEN_PLAN = "Run the given plan"


class BudgetIn(BaseModel):
    """Caps. cost: micro-dollars. seconds: from the start of the run."""

    model_config = ConfigDict(extra="forbid")

    cost: Annotated[int, Field(ge=0)] | None = None
    calls: Annotated[int, Field(ge=0)] | None = None
    tokens: Annotated[int, Field(ge=0)] | None = None
    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    def budget(self) -> Budget:
        return Budget(self.cost, self.calls, self.tokens, self.seconds)


class RunIn(BaseModel):
    """What is to be done. `files` are ids of stored files; `plan` runs as it is, without planning."""

    model_config = ConfigDict(extra="forbid")

    request: str = ""
    files: Annotated[list[str], Field(max_length=1_000)] = Field(default_factory=list)
    thread: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None
    budget: BudgetIn = Field(default_factory=BudgetIn)
    deadline_seconds: Annotated[float, Field(gt=0, le=MAX_DEADLINE)] | None = None
    prefer: Prefer = "balanced"
    dry_run: bool = False
    plan: dict[str, Any] | None = None
    approve: Approve = "marked"
    """Which tasks wait for a person: marked ones, also every effect that is not idempotent, or none."""
    timezone: Annotated[int, Field(ge=-840, le=840)] = 0
    """Minutes east of UTC of the person who asks, for "today" and "next Friday"."""
    remember: bool = True
    """Whether a trace of the run may be kept, and its plan used again."""


class CancelIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(max_length=500)] = "stopped by the user"


class RerunIn(BaseModel):
    """from_task: the task to begin with; without it, what failed or was never reached."""

    model_config = ConfigDict(extra="forbid")

    from_task: Annotated[str, Field(max_length=100)] | None = None


class BadEventId(RequestError):
    code = "request.bad-event-id"

    def __init__(self, id: str) -> None:
        super().__init__(f"{id!r} is no event id; they look like '1733-0'")


@router.post("/v1/runs", status_code=201)
async def create(
    body: RunIn, here: Here, idempotency_key: Annotated[str | None, Header(max_length=200)] = None
) -> JSONResponse:
    """Creates a run and answers at once; the run goes on whether or not anyone watches it.

    Asked again with the same `Idempotency-Key`, it answers with the run that was made the first time.
    """
    plan = await _given_plan(here, body.plan)
    text = checked_request(here, body.request or (GIVEN_PLAN if plan is not None else ""))
    history = await history_of(here, body.thread) if body.thread is not None else ()
    id = await start(
        here,
        RunSpec(
            text=text,
            files=await profiles_of(here, body.files),
            thread=body.thread,
            budget=body.budget.budget(),
            deadline=deadline_of(body.deadline_seconds),
            prefer=body.prefer,
            plan=plan,
            dry_run=body.dry_run,
            history=history,
            timezone=body.timezone,
            approve=body.approve,
            remember=body.remember,
        ),
        key=idempotency_key,
    )
    return JSONResponse({"id": id, "thread": body.thread}, 201, {"Location": f"/v1/runs/{id}"})


def checked_request(here: Gateway, text: str) -> str:
    """Raises EmptyRequest and RequestTooLong."""
    if not text.strip():
        raise EmptyRequest
    if len(text) > here.settings.max_request_characters:
        raise RequestTooLong(len(text), here.settings.max_request_characters)
    return text.strip()


async def profiles_of(here: Gateway, ids: list[str]) -> tuple[FileProfile, ...]:
    """Profiles of stored files, each once. Raises UnknownFile."""
    refs = [here.files.ref(id) for id in dict.fromkeys(ids)]
    return tuple([await here.profiles.of(ref) for ref in refs])


def deadline_of(seconds: float | None) -> float | None:
    return None if seconds is None else time.time() + seconds


async def start(here: Gateway, spec: RunSpec, *, key: str | None = None) -> RunId:
    """The caller's run. key: the caller's idempotency key; the same one makes one run. Raises BudgetSpent."""
    id = here.workspace.new_run()
    budget = await held(here.workspace, here.caller, id, spec.budget)
    mine = replace(spec, budget=budget, **paid_by(here))
    made = await here.workspace.create_run(mine, key=key, id=id)
    if made != id:
        await let_go(here.workspace, here.caller, id)
    here.telemetry.created(made)
    return made


def paid_by(here: Gateway) -> dict[str, Any]:
    """Fields of a RunSpec: whose it is, and whose key pays."""
    key = here.caller.key
    return {"tenant": here.caller.tenant, "key": key.id if key is not None else ""}


async def _given_plan(here: Gateway, value: dict[str, Any] | None) -> Plan | None:
    """Raises PlanError: a plan that comes with the request is proved valid before a run exists."""
    if value is None:
        return None
    plan = parse_plan(value)
    catalog = await here.workspace.catalog()
    if not len(catalog):
        raise NoExpert("the plan", "no worker has announced itself; ask again in a moment")
    validate(plan, catalog, max_tasks=MAX_GIVEN_TASKS)
    return plan


async def history_of(here: Gateway, thread: str) -> tuple[Turn, ...]:
    """Earlier exchanges of a thread, oldest first; only those that came to an answer."""
    recent = await here.workspace.runs(limit=HISTORY_SEARCHED, tenant=here.caller.tenant)
    told = [r for r in recent if r.thread == thread and r.answer is not None]
    return tuple(
        Turn(r.request, str((r.answer or {}).get("text", "")))
        for r in reversed(told[:HISTORY_TURNS])
    )


@router.get("/v1/runs")
async def listing(
    here: Here,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: str | None = None,
    thread: str | None = None,
    status: Annotated[list[RunStatus] | None, Query()] = None,
) -> dict[str, Any]:
    """Runs, newest first, without plan and answer; `before` is the id of the last one of a page.

    thread, status: only those; a page is then of what is left of `limit` runs, and `next` goes on.
    """
    records = await here.workspace.runs(limit=limit, before=before, tenant=here.caller.tenant)
    shown = [
        r
        for r in records
        if (thread is None or r.thread == thread) and (not status or r.status in status)
    ]
    return {
        "runs": [record_json(r, whole=False) for r in shown],
        "next": records[-1].id if len(records) == limit else None,
    }


@router.get("/v1/runs/{id}", dependencies=[OwnRun])
async def one(
    id: str, here: Here, if_none_match: Annotated[str | None, Header()] = None
) -> Response:
    """A run as it stands. 304 when it stands as the `ETag` that is sent back in `If-None-Match` says."""
    record = await here.workspace.run(RunId(id))
    here.telemetry.seen(record)
    body = json.dumps(record_json(record), ensure_ascii=False).encode()
    tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if tag in {t.strip().removeprefix("W/") for t in (if_none_match or "").split(",")}:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def record_json(record: RunRecord, *, whole: bool = True) -> dict[str, Any]:
    """A run on the wire; times are seconds since the epoch."""
    value: dict[str, Any] = {
        "id": record.id,
        "status": record.status,
        "request": record.request,
        "thread": record.thread,
        "created": record.created,
        "ended": record.ended,
        "dry_run": record.dry_run,
        "files": [f.ref.to_json() for f in record.spec.files],
        "usage": record.usage.to_json(),
        "error": None if record.error is None else record.error.to_json(),
    }
    return {**value, "plan": record.plan, "answer": record.answer} if whole else value


@router.post("/v1/runs/{id}/cancel", dependencies=[OwnRun], status_code=202)
async def cancel(id: str, here: Here, body: CancelIn | None = None) -> dict[str, Any]:
    """Asks a run to stop. 409 when it is over."""
    await here.workspace.cancel(RunId(id), (body or CancelIn()).reason)
    return {"id": id, "status": "cancelling"}


@router.post(
    "/v1/runs/{id}/rerun", dependencies=[OwnRun], status_code=201, responses=faults(404, 409, 422)
)
async def rerun(
    id: str,
    here: Here,
    body: RerunIn | None = None,
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
) -> JSONResponse:
    """Runs the plan of a run that has ended once more, as a new run that takes over what was done.

    What depends on the task to begin with is done anew; an item of a loop begins with the whole loop.
    409 while the run goes on, 422 when it has nothing to run again.
    """
    wanted = (body or RerunIn()).from_task
    begin = wanted.partition("[")[0] if wanted is not None else None
    spec = (await here.workspace.run(id)).spec
    new = here.workspace.new_run()
    budget = await held(here.workspace, here.caller, new, spec.budget)
    terms = {"budget": budget, **paid_by(here)}
    try:
        made = await here.workspace.rerun(
            RunId(id), from_task=begin, key=idempotency_key, terms=terms, id=new
        )
    except PointsmanError:
        await let_go(here.workspace, here.caller, new)
        raise
    if made != new:
        await let_go(here.workspace, here.caller, new)
    here.telemetry.created(made)
    thread = (await here.workspace.run(made)).thread
    place = {"Location": f"/v1/runs/{made}"}
    return JSONResponse({"id": made, "thread": thread, "rerun_of": id}, 201, place)


@router.get("/v1/runs/{id}/events", dependencies=[OwnRun], response_class=EventSourceResponse)
async def events(
    id: str,
    here: Here,
    after: str | None = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """The events of a run as server-sent events, from the start or after an id, then live.

    The stream ends after `run.ended`. 204, which stops a browser's reconnecting, when the run is over
    and nothing is left to send.
    """
    position = last_event_id or after
    if position is not None and not EVENT_ID.fullmatch(position):
        raise BadEventId(position)
    record = await here.workspace.run(RunId(id))
    here.telemetry.seen(record)
    over = record.status in OVER and position is not None
    if over and not await here.workspace.history(record.id, after=position or "0-0"):
        return Response(status_code=204)
    posted = here.workspace.events(record.id, after=position)
    return EventSourceResponse(_messages(here, posted), ping=here.settings.heartbeat, sep="\n")


async def _messages(here: Gateway, events: AsyncIterator[Posted]) -> AsyncIterator[ServerSentEvent]:
    here.telemetry.stream_opened()
    try:
        yield ServerSentEvent(retry=1_000, sep="\n")
        async with aclosing(until(here.leaving, events)) as watched:
            async for posted in watched:
                text = EVENT.dump_json(posted.event).decode()
                yield ServerSentEvent(text, event=posted.event.type, id=posted.id, sep="\n")
                if isinstance(posted.event, RunEnded):
                    return
    except WorkspaceUnavailable as error:  # the client resumes from its last event
        log.warning("a stream ends early: %s", error)
    finally:
        here.telemetry.stream_closed()


@router.get("/v1/runs/{id}/plan.mmd", dependencies=[OwnRun], response_class=PlainTextResponse)
async def mermaid(id: str, here: Here) -> PlainTextResponse:
    """The plan as a Mermaid flowchart."""
    record = await here.workspace.run(RunId(id))
    if record.plan_text is None:
        raise NotFound(f"run {id!r} has no plan (yet)")
    return PlainTextResponse(to_mermaid(record.parsed_plan))


@router.get("/v1/runs/{id}/tasks/{task}", dependencies=[OwnRun])
async def slot(id: str, task: str, here: Here) -> dict[str, Any]:
    """The whole value that a task gave."""
    value = await _slot(here, id, task)
    return {"run": id, "task": task, "kind": kind_of(value), "value": value}


@router.get("/v1/runs/{id}/tasks/{task}/download", dependencies=[OwnRun])
async def download(
    id: str, task: str, here: Here, format: Annotated[Format | None, Query()] = None
) -> Response:
    """What a task gave, as a file: a table as csv, xlsx or json, a text as txt, anything as json."""
    value = await _slot(here, id, task)
    return await download_of(value, task, format, here.files)


async def _slot(here: Gateway, id: str, task: str) -> Json:
    """Raises RunNotFound, NotFound."""
    values = await here.workspace.slots(RunId(id), [task])
    if task not in values:
        raise NotFound(f"task {task!r} of run {id!r} has no result (yet)")
    return values[task]
