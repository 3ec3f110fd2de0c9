"""The workspace: what gateways, controllers and workers do with a run.

Gateways create, watch and cancel. The controller that owns a run writes its plan, opens attempts and
settles. Workers claim, renew, commit. Each side is fenced: an owner by its epoch, a worker by its attempt.
"""

import json
import secrets
import time
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pointsman.router.catalog import Catalog
from pointsman.router.errors import (
    RunNotFound,
    RunOver,
    SlotConflict,
    StaleAttempt,
    StaleOwner,
    WorkspaceError,
)
from pointsman.router.events import (
    CancelRequested,
    Event,
    EventId,
    Posted,
    RunCreated,
    RunEnded,
    RunId,
    TaskExpanded,
    TaskFailed,
    TaskProgressed,
    TaskRouted,
    TaskStarted,
    TaskStatus,
    decode,
    encode,
)
from pointsman.router.plan import Plan, TaskId
from pointsman.router.values import Json
from pointsman.router.workspace import keys
from pointsman.router.workspace.announcements import Announcements, LiveExpert
from pointsman.router.workspace.connection import Redis, redis_errors
from pointsman.router.workspace.queues import Queue
from pointsman.router.workspace.records import RunRecord, RunSpec
from pointsman.router.workspace.scripts import Scripts
from pointsman.router.workspace.wakeups import Wakeups

KEEP = 7 * 24 * 3600
"""Seconds for which an ended run is kept."""
PAGE = 500
"""Events read from a bus at once."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A controller's hold on a run."""

    run: RunId
    name: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's hold on an attempt. `call`: what to do, as the dispatcher wrote it."""

    run: RunId
    task: TaskId
    attempt: int
    call: Mapping[str, Any]


class Workspace:
    def __init__(self, redis: Redis, *, keep_seconds: int = KEEP) -> None:
        self._redis = redis
        self._scripts = Scripts(redis)
        self._keep = keep_seconds
        self._queues: dict[str, Queue] = {}
        self.wakeups = Wakeups(redis)
        self.announcements = Announcements(redis)

    async def close(self) -> None:
        await self.wakeups.close()
        await self._redis.aclose()

    async def ping(self) -> None:
        """Raises WorkspaceUnavailable."""
        with redis_errors("ping"):
            await self._redis.ping()

    # --- gateways -------------------------------------------------------------------------------

    async def create_run(self, spec: RunSpec) -> RunId:
        """Keeps a run and offers it to the controllers; the id sorts by time of creation."""
        now = time.time()
        run = RunId(f"run_{int(now * 1000):011x}{secrets.token_hex(5)}")
        created = RunCreated(spec.text, now)
        await self._scripts(
            "create",
            keys.of_run(run),
            run,
            json.dumps(spec.to_json()),
            f"{now:.6f}",
            encode(created),
        )
        with redis_errors("create"):
            await self._redis.zadd(keys.RUNS, {run: now})
        await self.queue(keys.RUN_QUEUE).put({"run": run})
        return run

    async def run(self, run: RunId | str) -> RunRecord:
        """Raises RunNotFound."""
        with redis_errors("run"):
            fields: Any = await self._redis.hgetall(keys.part(run, "run"))
        if not fields:
            raise RunNotFound(run)
        return RunRecord.from_hash(fields)

    async def runs(self, *, limit: int = 50, before: str | None = None) -> list[RunRecord]:
        """Newest first; `before` is the id of the last one of the page before."""
        top = "+inf"
        if before is not None:
            with redis_errors("runs"):
                score: Any = await self._redis.zscore(keys.RUNS, before)
            top = f"({score!r}" if score is not None else "+inf"
        with redis_errors("runs"):
            oldest = time.time() - 4 * self._keep
            await self._redis.zremrangebyscore(keys.RUNS, 0, oldest)
            ids: Any = await self._redis.zrevrangebyscore(keys.RUNS, top, 0, start=0, num=limit)
            async with self._redis.pipeline(transaction=False) as pipe:
                for id in ids:
                    pipe.hgetall(keys.part(id, "run"))
                found = await pipe.execute()
        return [RunRecord.from_hash(fields) for fields in found if fields]

    async def cancel(self, run: RunId | str, reason: str) -> None:
        """From here on no attempt starts and no result is committed. Raises RunNotFound, RunOver."""
        event = CancelRequested(reason, time.time())
        self._check(run, await self._scripts("cancel", keys.of_run(run), reason, encode(event)))

    async def events(
        self, run: RunId | str, *, after: str | None = None
    ) -> AsyncGenerator[Posted, None]:
        """Everything on the run's bus after an event id, then what follows; ends after RunEnded.

        Raises RunNotFound.
        """
        last = after or "0-0"
        with self.wakeups.on(run) as grown:
            await self.wakeups.ready()
            quiet = False
            while True:
                grown.clear()
                page = await self.history(run, after=last)
                for posted in page:
                    last = posted.id
                    yield posted
                    if isinstance(posted.event, RunEnded):
                        return
                if page:
                    continue
                if not quiet:  # once: what follows comes with a wake-up
                    await self._check_there(run)
                    if await self._has_ended(run, last):
                        return
                    quiet = True
                await grown.wait()

    async def history(self, run: RunId | str, *, after: str = "0-0") -> list[Posted]:
        """Up to PAGE events after an event id, without waiting. Raises WorkspaceError on a bad id."""
        with redis_errors("events"):
            entries: Any = await self._redis.xrange(
                keys.part(run, "bus"), min=f"({after}", count=PAGE
            )
        return [Posted(EventId(id), decode(fields["e"])) for id, fields in entries]

    async def slot(self, run: RunId | str, task: str) -> Json:
        """The whole result of a task. Raises RunNotFound, WorkspaceError when there is none yet."""
        values = await self.slots(run, [task])
        if task not in values:
            raise WorkspaceError(f"task {task!r} of run {run!r} has no result")
        return values[task]

    async def slots(self, run: RunId | str, tasks: Sequence[str]) -> dict[str, Json]:
        """A consistent snapshot of some results; tasks without one are left out. Raises RunNotFound."""
        if not tasks:
            return {}
        with redis_errors("slots"):
            texts: Any = await self._redis.hmget(keys.part(run, "slots"), list(tasks))
        if not any(texts):
            await self._check_there(run)
        return {t: json.loads(x) for t, x in zip(tasks, texts, strict=True) if x is not None}

    async def experts(self) -> list[LiveExpert]:
        return await self.announcements.experts(now=time.time())

    async def catalog(self) -> Catalog:
        return await self.announcements.catalog(now=time.time())

    async def controllers(self) -> list[str]:
        return await self.announcements.controllers(now=time.time())

    # --- the owner of a run ---------------------------------------------------------------------

    async def own(self, run: RunId | str, name: str, *, lease: float) -> Owner | None:
        """Takes a run for `lease` seconds; None when another live owner holds it. Raises RunOver."""
        now = time.time()
        found = await self._scripts(
            "own", keys.of_run(run), name, "", f"{now:.3f}", f"{now + lease:.3f}"
        )
        if found[0] == "held":
            return None
        self._check(run, found)
        await self._mark_active(run, now + lease)
        return Owner(RunId(run), name, int(found[1]))

    async def ownerless(self) -> list[RunId]:
        """Runs whose owner's lease is over: it died. Ended ones among them are `own`'s to refuse."""
        with redis_errors("ownerless"):
            found: Any = await self._redis.zrangebyscore(keys.ACTIVE, 0, time.time())
        return [RunId(r) for r in found]

    async def not_active(self, run: RunId | str) -> None:
        """The run needs no owner any more."""
        with redis_errors("not active"):
            await self._redis.zrem(keys.ACTIVE, run)

    async def _mark_active(self, run: RunId | str, until: float) -> None:
        with redis_errors("own"):
            await self._redis.zadd(keys.ACTIVE, {run: until})

    async def keep(self, owner: Owner, *, lease: float) -> None:
        """Renews the lease. Raises StaleOwner, RunOver."""
        now = time.time()
        found = await self._scripts(
            "own",
            keys.of_run(owner.run),
            owner.name,
            owner.epoch,
            f"{now:.3f}",
            f"{now + lease:.3f}",
        )
        self._check(owner, found)
        await self._mark_active(owner.run, now + lease)

    async def post(self, owner: Owner, event: Event, **fields: Json) -> None:
        """A fact, and fields of the run's hash with it. Raises StaleOwner, RunOver."""
        flat: list[str] = []
        for name, value in fields.items():
            flat += [name, json.dumps(value)]
        found = await self._scripts(
            "post", keys.of_run(owner.run), owner.epoch, encode(event), *flat
        )
        self._check(owner, found)

    async def write_plan(self, owner: Owner, plan: Plan, event: Event, version: int) -> None:
        """A plan in one act: tasks without inputs are ready at once. Raises StaleOwner, RunOver."""
        tasks = [[t.id, list(t.inputs())] for t in plan.tasks]
        found = await self._scripts(
            "plan",
            keys.of_run(owner.run),
            owner.epoch,
            encode(event),
            json.dumps(plan.to_json()),
            version,
            f"{time.time():.6f}",
            json.dumps(tasks),
        )
        self._check(owner, found)

    async def expand(self, owner: Owner, task: TaskId, children: Iterable[TaskId]) -> bool:
        """Makes the children of a `for_each` task; False when it is not ready any more."""
        ids = list(children)
        now = time.time()
        found = await self._scripts(
            "expand",
            keys.of_run(owner.run),
            owner.epoch,
            task,
            encode(TaskExpanded(task, [str(i) for i in ids], now)),
            f"{now:.6f}",
            json.dumps(ids),
        )
        return self._check(owner, found)

    async def route(self, owner: Owner, event: TaskRouted, call: Mapping[str, Any]) -> bool:
        """Opens an attempt and offers it to its expert; False when the task is not ready any more.

        The offer follows the script: should we die between, the next owner offers it again.
        """
        found = await self._scripts(
            "route",
            keys.of_run(owner.run),
            owner.epoch,
            event.task,
            event.attempt,
            encode(event),
            json.dumps(call),
        )
        if not self._check(owner, found):
            return False
        await self.offer(owner.run, event.task, event.attempt, str(event.route["expert"]))
        return True

    async def offer(self, run: RunId, task: str, attempt: int, expert: str) -> None:
        await self.queue(keys.queue(expert)).put(
            {"run": run, "task": task, "attempt": str(attempt)}
        )

    async def settle(
        self, owner: Owner, task: TaskId, status: TaskStatus, event: Event, value: Json = None
    ) -> bool:
        """Settles a task without an attempt; False when it is settled already."""
        found = await self._scripts(
            "settle",
            keys.of_run(owner.run),
            owner.epoch,
            task,
            status,
            encode(event),
            f"{time.time():.6f}",
            json.dumps(value) if status in ("done", "skipped") else "",
        )
        return self._check(owner, found)

    async def finish(self, owner: Owner, event: RunEnded) -> None:
        """The last event; from here the run expires as one unit. Raises StaleOwner, RunOver."""
        error = (
            json.dumps(
                {
                    "code": event.error.code,
                    "message": event.error.message,
                    "fault": event.error.fault,
                    "retryable": event.error.retryable,
                }
            )
            if event.error
            else ""
        )
        found = await self._scripts(
            "finish",
            keys.of_run(owner.run),
            owner.epoch,
            event.status,
            encode(event),
            f"{event.at:.6f}",
            json.dumps(event.usage),
            error,
            self._keep,
        )
        self._check(owner, found)
        await self.not_active(owner.run)

    async def leases(self, run: RunId) -> dict[str, float]:
        """Running tasks and until when their workers hold them (seconds since the epoch)."""
        with redis_errors("leases"):
            found: Any = await self._redis.zrange(keys.part(run, "leases"), 0, -1, withscores=True)
        return {str(task): float(until) for task, until in found}

    async def lose(self, run: RunId, event: TaskFailed) -> bool:
        """An attempt has failed, the task is ready for another; False when it is out of date."""
        found = await self._scripts(
            "lose", keys.of_run(run), event.task, event.attempt, encode(event)
        )
        return bool(found[0] == "ok")

    # --- workers --------------------------------------------------------------------------------

    async def claim(
        self, run: RunId, task: TaskId, attempt: int, *, worker: str, lease: float
    ) -> Claim:
        """Takes an attempt. Raises StaleAttempt, RunOver, RunNotFound: then the offer is void."""
        now = time.time()
        found = await self._scripts(
            "claim",
            keys.of_run(run),
            task,
            attempt,
            f"{now + lease:.3f}",
            encode(TaskStarted(task, attempt, worker, now)),
        )
        self._check_attempt(run, task, attempt, found)
        return Claim(run, task, attempt, json.loads(found[1]))

    async def renew(
        self, claim: Claim, *, lease: float, progress: TaskProgressed | None = None
    ) -> None:
        """A heartbeat. Raises StaleAttempt when the attempt has been superseded or cancelled."""
        found = await self._scripts(
            "renew",
            keys.of_run(claim.run),
            claim.task,
            claim.attempt,
            f"{time.time() + lease:.3f}",
            encode(progress) if progress else "",
        )
        self._check_attempt(claim.run, claim.task, claim.attempt, found)

    async def commit(self, claim: Claim, value: Json, event: Event) -> None:
        """The one effective result. Raises StaleAttempt when it comes too late: it is then void."""
        found = await self._scripts(
            "commit",
            keys.of_run(claim.run),
            claim.task,
            claim.attempt,
            json.dumps(value, allow_nan=False),
            encode(event),
            f"{time.time():.6f}",
        )
        self._check_attempt(claim.run, claim.task, claim.attempt, found)

    # --- slots that are not results -------------------------------------------------------------

    async def write(self, run: RunId, slot: str, value: Json, *, expected: int) -> int:
        """Compare-and-set: writes when the slot is at version `expected` (0: never written).

        Returns the new version. Raises SlotConflict, RunOver, RunNotFound.
        """
        found = await self._scripts(
            "write", keys.of_run(run), slot, expected, json.dumps(value, allow_nan=False)
        )
        if found[0] == "conflict":
            raise SlotConflict(slot, expected, int(found[1]))
        self._check(run, found)
        return int(found[1])

    # --- inside ---------------------------------------------------------------------------------

    def queue(self, key: str) -> Queue:
        if key not in self._queues:
            self._queues[key] = Queue(self._redis, key)
        return self._queues[key]

    def _check(self, who: Owner | RunId | str, found: Sequence[Any]) -> bool:
        """True for ok, False for refused; raises for the rest."""
        run = who.run if isinstance(who, Owner) else who
        match found[0]:
            case "ok":
                return True
            case "over" if found[1] == "missing":
                raise RunNotFound(run)
            case "over":
                raise RunOver(run, str(found[1]))
            case "stale":
                raise StaleOwner(run, who.epoch if isinstance(who, Owner) else 0)
            case _:
                return False

    def _check_attempt(self, run: RunId, task: TaskId, attempt: int, found: Sequence[Any]) -> None:
        match found[0]:
            case "ok":
                return
            case "over" if found[1] == "missing":
                raise RunNotFound(run)
            case "over":
                raise RunOver(run, str(found[1]))
            case "cancelled":
                raise StaleAttempt(task, attempt, "cancelled")
            case _:
                raise StaleAttempt(task, attempt, str(found[1]))

    async def _check_there(self, run: RunId | str) -> None:
        with redis_errors("run"):
            there = await self._redis.exists(keys.part(run, "run"))
        if not there:
            raise RunNotFound(run)

    async def _has_ended(self, run: RunId | str, last: str) -> bool:
        """Whether nothing follows `last`: somebody resumes at, or after, the last event."""
        with redis_errors("events"):
            newest: Any = await self._redis.xrevrange(keys.part(run, "bus"), count=1)
        if not newest or _order(newest[0][0]) > _order(last):
            return False
        return isinstance(decode(newest[0][1]["e"]), RunEnded)


def _order(id: str) -> tuple[int, int]:
    milliseconds, _, sequence = id.partition("-")
    return int(milliseconds), int(sequence or 0)
