"""A whole run as it stands in Redis, of one moment, with its bus up to that moment: what fsck looks at."""

import asyncio
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pointsman.router.events import OVER, SETTLED, PlanProposed, Posted
from pointsman.router.plan import TaskId, parse_plan
from pointsman.router.run import RunState, step
from pointsman.router.workspace import keys
from pointsman.router.workspace.connection import redis_errors
from pointsman.router.workspace.records import Approval, EffectRecord
from pointsman.router.workspace.watching import PAGE
from pointsman.router.workspace.workspace import Workspace

_LOOK = """
local names = {}
for i, key in ipairs(KEYS) do names[string.match(key, '([^:]+)$')] = key end
if redis.call('EXISTS', names.run) == 0 then return false end
local newest = redis.call('XREVRANGE', names.bus, '+', '-', 'COUNT', 1)
local slots = {}
local found = redis.call('HGETALL', names.slots)
for i = 1, #found, 2 do
  slots[i] = found[i]
  slots[i + 1] = string.sub(found[i + 1], 1, 9) == 'artifact:' and found[i + 1] or ''
end
local ttls = {}
for i, key in ipairs(KEYS) do ttls[i] = redis.call('PTTL', key) end
return { newest[1] and newest[1][1] or '0-0',
  redis.call('HMGET', names.run, 'status', 'owner', 'lease', 'version', 'cancel', 'created'),
  redis.call('HGETALL', names.status), redis.call('HGETALL', names.attempt),
  redis.call('HGETALL', names.pending), slots, redis.call('HGETALL', names.versions),
  redis.call('HKEYS', names.calls), redis.call('ZRANGE', names.leases, 0, -1, 'WITHSCORES'),
  redis.call('HGETALL', names.effects), redis.call('HGETALL', names.approvals),
  redis.call('ZRANGE', names.focus, 0, -1), redis.call('HGETALL', names.budget), ttls }
"""
"""KEYS: all of a run. Of a slot only the reference to an artifact is given, '' for a value."""
LOOK = (hashlib.sha1(_LOOK.encode(), usedforsecurity=False).hexdigest(), _LOOK)
NO_KEY = -2
"""What PTTL says of a key that is not there."""


@dataclass(frozen=True, slots=True)
class View:
    """Times are seconds since the epoch. state, events: the bus up to the moment of the look, folded.

    slots: "" for a value, else the reference of an artifact. calls: tasks whose attempt is open. ttls:
    milliseconds to live by part of the run, -1 for ever. inputs: of the plan that is written. watched: when
    the run is looked for at the latest; None when it is not on the watch list. waits: for a controller.
    """

    run: str
    now: float
    run_status: str
    owner: str
    lease: float
    version: int
    cancelled: bool
    created: float
    status: Mapping[str, str]
    attempts: Mapping[str, int]
    pending: Mapping[str, int]
    slots: Mapping[str, str]
    versions: Mapping[str, int]
    calls: frozenset[str]
    leases: Mapping[str, float]
    effects: tuple[EffectRecord, ...]
    approvals: tuple[Approval, ...]
    focus: tuple[str, ...]
    budget: Mapping[str, int]
    ttls: Mapping[str, int]
    events: tuple[Posted, ...]
    state: RunState
    inputs: Mapping[str, tuple[TaskId, ...]]
    watched: float | None = None
    waits: bool = False

    @property
    def over(self) -> bool:
        return self.run_status in OVER

    def settled(self, task: str) -> bool:
        return self.status.get(task) in SETTLED


async def view_of(workspace: Workspace, run: str) -> View | None:
    """None when the run is not there, or expired meanwhile. Raises UnreadableEvent, WorkspaceUnavailable."""
    calls, now = workspace._calls, time.time()
    with redis_errors("fsck"):
        found: Any = await calls.script(*LOOK, keys.of_run(run), [])
        watched: Any = await calls("ZSCORE", keys.ACTIVE, run)
        waits: Any = await calls("ZSCORE", keys.ADMISSION, run)
    if not found:
        return None
    events = await _events(workspace, run, str(found[0]))
    if events is None:
        return None
    state = RunState()
    inputs: dict[str, tuple[TaskId, ...]] = {}
    status, owner, lease, version, cancel, created = found[1]
    for number, posted in enumerate(events):
        state, _ = step(state, posted.event)
        if isinstance(posted.event, PlanProposed) and posted.event.version == int(version or 0):
            inputs = {t.id: t.inputs() for t in parse_plan(posted.event.plan).tasks}
        if number % PAGE == 0:
            await asyncio.sleep(0)  # a long bus keeps nobody waiting
    effects = (EffectRecord.from_entry(f, text) for f, text in _pairs(found[9]).items())
    approvals = (Approval.from_entry(id, text) for id, text in _pairs(found[10]).items())
    return View(
        run=run,
        now=now,
        run_status=str(status),
        owner=str(owner or ""),
        lease=float(lease or 0),
        version=int(version or 0),
        cancelled=cancel is not None,
        created=float(created or 0),
        status=_pairs(found[2]),
        attempts=_numbers(found[3]),
        pending=_numbers(found[4]),
        slots=_pairs(found[5]),
        versions=_numbers(found[6]),
        calls=frozenset(found[7]),
        leases={task: float(until) for task, until in _pairs(found[8]).items()},
        effects=tuple(effects),
        approvals=tuple(approvals),
        focus=tuple(found[11]),
        budget=_numbers(found[12]),
        ttls={p: int(t) for p, t in zip(keys.RUN_PARTS, found[13], strict=True) if t != NO_KEY},
        events=events,
        state=state,
        inputs=inputs,
        watched=None if watched is None else float(watched),
        waits=waits is not None,
    )


async def _events(workspace: Workspace, run: str, newest: str) -> tuple[Posted, ...] | None:
    """The bus up to an event id; None when it has expired on the way."""
    found: list[Posted] = []
    while not found or found[-1].id != newest:
        page = await workspace.history(run, after=found[-1].id if found else "0-0")
        if not page:
            return () if newest == "0-0" else None
        for posted in page:
            found.append(posted)
            if posted.id == newest:
                break
    return tuple(found)


def _pairs(flat: Sequence[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _numbers(flat: Sequence[str]) -> dict[str, int]:
    return {name: int(value) for name, value in _pairs(flat).items()}
