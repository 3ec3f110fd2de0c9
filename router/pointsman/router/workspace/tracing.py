"""How a run that ends leaves its trace."""

import asyncio
import json
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from pointsman.router.catalog import Catalog
from pointsman.router.errors import (
    PlanError,
    PointsmanError,
    RunNotFound,
    WorkspaceUnavailable,
)
from pointsman.router.events import OVER, RunEnded
from pointsman.router.plan import Plan
from pointsman.router.planning.memory.learning import generalise
from pointsman.router.planning.memory.remembered import Remembered
from pointsman.router.workspace import keys
from pointsman.router.workspace.acts import Owner
from pointsman.router.workspace.calls import pairs
from pointsman.router.workspace.connection import redis_errors
from pointsman.router.workspace.owning import Owning
from pointsman.router.workspace.records import RunRecord
from pointsman.router.workspace.traces import MemoryTerms, Outcome, Trace
from pointsman.router.workspace.watching import Watching

log = logging.getLogger(__name__)

WITHHELD = {"$withheld": True}
SOURCE = "memory:"


class Tracing(Watching, Owning):
    """Ends runs so that a trace of each is kept, whatever dies in between.

    The run is put on a list before it ends and taken off by the act that keeps its trace; whoever sweeps
    finds those that were left on it.
    """

    async def finish(self, owner: Owner, event: RunEnded) -> None:
        """The last event, and the trace. Raises StaleOwner, RunOver."""
        keeping = self.traces.terms.mode != "off"
        if keeping:
            await self.traces.due(owner.run)
        await super().finish(owner, event)
        if keeping:
            try:
                await keep_trace(self, owner.run)
            except WorkspaceUnavailable as error:
                log.warning("the trace of run %s is kept later: %s", owner.run, error)


async def keep_trace(workspace: Watching, run: str) -> bool:
    """Keeps the trace of a run that has ended, once; False when it leaves none (yet)."""
    traces = workspace.traces
    try:
        record = await workspace.run(run)
    except RunNotFound:
        await traces.not_due(run)
        return False
    if record.status not in OVER:
        return False
    if record.dry_run or not record.spec.remember:
        await traces.not_due(run)
        return False
    with redis_errors("memory"):
        statuses = pairs(await workspace._calls("HGETALL", keys.part(run, "status")))
    trace = trace_of(record, statuses, await workspace.catalog(), traces.terms)
    source = str((record.plan or {}).get("source", ""))
    used = source.removeprefix(SOURCE) if source.startswith(SOURCE) else ""
    return await traces.keep(trace, used=used)


async def sweep_traces(workspace: Watching, now: float) -> int:
    """Keeps the traces of runs whose controller died between their end and their trace.

    now: seconds since the epoch.
    """
    kept = 0
    for run in await workspace.traces.overdue(now):
        kept += await keep_trace(workspace, run)
        await asyncio.sleep(0)
    return kept


def trace_of(
    record: RunRecord, statuses: Mapping[str, str], catalog: Catalog, terms: MemoryTerms
) -> Trace:
    """What is kept of a run: never a result or a file's content."""
    ended = record.ended or time.time()
    plan, one, why = _plan_of(record), None, "it has no plan"
    if plan is not None:
        one, why = _candidate(record, plan, catalog, terms)
    secret = plan is not None and not terms.effect_arguments and _has_effects(plan, catalog)
    told = _without(plan, catalog) if plan is not None and secret else record.plan
    request = one.line if one and one.request is None else record.request
    if secret and one is None:
        request = ""  # which of its words go into the effect is not known
    return Trace(
        record.id,
        request,
        told,
        outcome_of(record, statuses),
        record.usage.cost,
        round(ended - record.created, 3),
        ended,
        one,
        why,
        tenant=record.spec.tenant,
    )


def _plan_of(record: RunRecord) -> Plan | None:
    try:
        return record.parsed_plan if record.plan_text is not None else None
    except PlanError:
        return None


def _candidate(
    record: RunRecord, plan: Plan, catalog: Catalog, terms: MemoryTerms
) -> tuple[Remembered | None, str]:
    if record.spec.history:
        return None, "it was said in the course of a conversation"
    if record.spec.tenant != "default":
        return None, "plans are not shared between tenants"
    if plan.unserved:
        return None, "its plan leaves out a part of the request"
    here = timezone(timedelta(minutes=record.spec.timezone))
    try:
        one = generalise(
            record.request,
            plan,
            catalog,
            files=record.spec.files,
            now=datetime.fromtimestamp(record.created, UTC).astimezone(here),
            run=record.id,
            effect_arguments=terms.effect_arguments,
        )
    except PointsmanError as error:
        return None, str(error)
    return one, ""


def outcome_of(record: RunRecord, statuses: Mapping[str, str]) -> Outcome:
    """Whole: every task is done, or skipped by its own condition, and nothing was left out."""
    if record.status != "done":
        return "failed"
    settled = all(s in ("done", "skipped") for s in statuses.values())
    left_out = bool((record.plan or {}).get("unserved"))
    return "whole" if settled and not left_out else "partly"


def _has_effects(plan: Plan, catalog: Catalog) -> bool:
    return any(_is_secret(t.capability, catalog) for t in plan.tasks)


def _is_secret(name: str, catalog: Catalog) -> bool:
    """A capability that nobody serves now may have any effect."""
    capability = catalog.get(name)
    return capability is None or capability.effect in ("keyed", "once")


def _without(plan: Plan, catalog: Catalog) -> dict[str, Any]:
    """A plan's JSON form without the values that go into effects."""
    told = plan.to_json()
    tasks = [
        _without_values(t) if _is_secret(t["capability"], catalog) else t for t in told["tasks"]
    ]
    value: dict[str, Any] = json.loads(json.dumps({**told, "tasks": tasks, "assumptions": []}))
    return value


def _without_values(task: Mapping[str, Any]) -> dict[str, Any]:
    """Its title may name them."""
    loop, when = task["for_each"], task["when"]
    over = loop and loop["over"]
    return {
        **task,
        "title": "",
        "arguments": {k: _hidden(v) for k, v in task["arguments"].items()},
        "for_each": loop and {**loop, "over": [] if isinstance(over, list) else over},
        "when": when and {**when, "value": None},
    }


def _hidden(value: Any) -> Any:
    if isinstance(value, Mapping) and ("$task" in value or "$item" in value):
        return value
    if isinstance(value, Mapping):
        return {k: _hidden(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_hidden(v) for v in value]
    return value if isinstance(value, bool) or value is None else WITHHELD
