"""What gateways do with runs: create, watch, read, cancel."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter

from pointsman.router.catalog import Catalog
from pointsman.router.errors import (
    NothingToRerun,
    RunNotFound,
    RunNotOver,
    RunOver,
    SlotConflict,
    WorkspaceError,
)
from pointsman.router.events import (
    CancelRequested,
    EventId,
    Posted,
    RunCreated,
    RunEnded,
    RunId,
    TaskStatus,
    decode,
    encode,
)
from pointsman.router.plan import TaskId, cone
from pointsman.router.values import Json
from pointsman.router.workspace import keys
from pointsman.router.workspace.acts import KEEP, Acts
from pointsman.router.workspace.announcements import Announcements, LiveExpert
from pointsman.router.workspace.artifacts import ArtifactLedger
from pointsman.router.workspace.calls import entries, pairs
from pointsman.router.workspace.connection import Redis, redis_errors
from pointsman.router.workspace.records import (
    Approval,
    DeadLetter,
    EffectRecord,
    Reuse,
    RunRecord,
    RunSpec,
    Snapshot,
)
from pointsman.router.workspace.traces import MemoryTerms
from pointsman.router.workspace.wakeups import Wakeups

PAGE = 500
"""Events read from a bus at once."""
UNSEEN = 10.0
"""Seconds after which a run that nobody took is looked for: whoever made or took it died at once."""
SAFETY = 5.0
"""Seconds after which a bus is read again although nothing called: a cluster may lose a call."""
REMEMBERED = 24 * 3600
"""Seconds for which an idempotency key stands for the run that it made."""
MAX_DEAD = 10_000
TASK_STATUSES: TypeAdapter[dict[str, TaskStatus]] = TypeAdapter(dict[str, TaskStatus])


class Watching(Acts):
    def __init__(
        self,
        redis: Redis,
        *,
        artifacts: ArtifactLedger | None = None,
        keep_seconds: int = KEEP,
        memory: MemoryTerms | None = None,
    ) -> None:
        super().__init__(redis, artifacts=artifacts, keep_seconds=keep_seconds, memory=memory)
        self.wakeups = Wakeups(redis)
        self.announcements = Announcements(redis)

    async def close(self) -> None:
        await self.wakeups.close()
        for queue in self._queues.values():
            await queue.close()
        await self._calls.close()
        await self._redis.aclose()

    async def ping(self) -> None:
        """Raises WorkspaceUnavailable."""
        with redis_errors("ping"):
            await self._calls("PING")

    # --- gateways -------------------------------------------------------------------------------

    def new_run(self) -> RunId:
        """An id that no run has yet; ids sort by time of creation."""
        return RunId(f"run_{int(time.time() * 1000):011x}{secrets.token_hex(5)}")

    async def create_run(
        self, spec: RunSpec, *, key: str | None = None, id: RunId | None = None
    ) -> RunId:
        """Keeps a run and lets it wait for a controller; the id sorts by time of creation.

        key: the same key makes the same run, however often it is asked for (within a day). id: one of
        `new_run`, for a run that is new. Whoever dies
        in here leaves nothing behind that is not found: the run is on the lists before it is made.
        """
        now = time.time()
        run = id or self.new_run()
        with redis_errors("create"):
            if key is not None:
                name = keys.once(key, spec.tenant)
                made = await self._calls("SET", name, run, "NX", "EX", REMEMBERED)
                run = run if made else RunId(await self._calls("GET", name) or run)
            await asyncio.gather(
                self._calls("ZADD", keys.ACTIVE, now + UNSEEN, run),
                self._calls("ZADD", keys.RUNS, "NX", now, run),
                self._calls("ZADD", keys.runs_of(spec.tenant), "NX", now, run),
                self._calls("ZREMRANGEBYSCORE", keys.runs_of(spec.tenant), 0, now - 4 * self._keep),
            )
        caps = {k: v for k, v in spec.budget.to_json().items() if v is not None and k != "seconds"}
        found = await self._scripts(
            "create",
            keys.of_run(run),
            run,
            json.dumps(spec.to_json()),
            f"{now:.6f}",
            encode(RunCreated(spec.text, now)),
            json.dumps(caps),
            spec.tenant,
            spec.key,
        )
        if found[0] == "ok":
            await self.admission.put(run, spec.tenant, spec.weight)
        return run

    async def rerun(
        self,
        run: RunId | str,
        *,
        from_task: str | None = None,
        key: str | None = None,
        terms: Mapping[str, Any] | None = None,
        id: RunId | None = None,
    ) -> RunId:
        """The same plan once more, as a new run: from a task on, else from what failed.

        Results of tasks that do not depend on those are taken over. terms: fields of its RunSpec that differ.
        Raises RunNotFound, RunNotOver, NothingToRerun.
        """
        found = await self.snapshot(run)
        record = found.record
        if record.ended is None:
            raise RunNotOver(run)
        if record.plan_text is None or record.dry_run:
            raise NothingToRerun(run, "it has no plan that ran")
        plan = record.parsed_plan
        begins = {t.id for t in plan.tasks if found.status.get(t.id) != "done"}
        if from_task is not None:
            from_task = from_task.partition("[")[0]  # an item of a loop: the whole loop
            if from_task not in {t.id for t in plan.tasks}:
                raise NothingToRerun(run, f"its plan has no task {from_task!r}")
            begins.add(TaskId(from_task))
        if not begins:
            raise NothingToRerun(run, "all of its tasks are done; name the task to begin with")
        again = cone(plan, begins)
        kept = tuple(t.id for t in plan.tasks if t.id not in again)
        again_as = {
            "plan": plan,
            "deadline": None,
            "reuse": Reuse(record.id, kept),
            **(terms or {}),
        }
        spec = replace(record.spec, **again_as)
        return await self.create_run(spec, key=key, id=id)

    async def run(self, run: RunId | str) -> RunRecord:
        """Raises RunNotFound."""
        with redis_errors("run"):
            fields = pairs(await self._calls("HGETALL", keys.part(run, "run")))
        if not fields:
            raise RunNotFound(run)
        return RunRecord.from_hash(fields)

    async def owner_of(self, run: RunId | str) -> str:
        """The tenant whose run it is. Raises RunNotFound."""
        with redis_errors("run"):
            found = await self._calls("HMGET", keys.part(run, "run"), "id", "tenant")
        if not found[0]:
            raise RunNotFound(run)
        return str(found[1] or "default")

    async def runs(
        self, *, limit: int = 50, before: str | None = None, tenant: str | None = None
    ) -> list[RunRecord]:
        """Newest first; `before` is the id of the last one of the page before. tenant: only its runs."""
        index = keys.RUNS if tenant is None else keys.runs_of(tenant)
        top = "+inf"
        if before is not None:
            with redis_errors("runs"):
                score: Any = await self._redis.zscore(index, before)
            top = f"({score!r}" if score is not None else "+inf"
        with redis_errors("runs"):
            ids: Any = await self._redis.zrevrangebyscore(index, top, 0, start=0, num=limit)
            async with self._redis.pipeline(transaction=False) as pipe:
                for id in ids:
                    pipe.hgetall(keys.part(id, "run"))
                found = await pipe.execute()
        return [RunRecord.from_hash(fields) for fields in found if fields]

    async def cancel(self, run: RunId | str, reason: str) -> None:
        """From here on no attempt starts and no result is committed. Raises RunNotFound, RunOver."""
        event = CancelRequested(reason, time.time())
        await self._watch_over(run)
        self._check(run, await self._scripts("cancel", keys.of_run(run), reason, encode(event)))
        await self._call_back(run)

    async def events(
        self, run: RunId | str, *, after: str | None = None
    ) -> AsyncGenerator[Posted, None]:
        """Everything on the run's bus after an event id, then what follows; ends after RunEnded.

        Raises RunNotFound.
        """
        last = after or "0-0"
        with self.wakeups.on(run) as grown:
            await self.wakeups.ready()
            while True:
                grown.clear()  # before the read: what comes while it is under way wakes us again
                page = await self.history(run, after=last)
                for posted in page:
                    last = posted.id
                    yield posted
                    if isinstance(posted.event, RunEnded):
                        return
                if len(page) == PAGE:
                    continue
                if not page:
                    await self._check_there(run)
                    if await self._has_ended(run, last):
                        return
                with suppress(TimeoutError):
                    async with asyncio.timeout(SAFETY):
                        await grown.wait()

    async def history(self, run: RunId | str, *, after: str = "0-0") -> list[Posted]:
        """Up to PAGE events after an event id, without waiting. Raises WorkspaceError on a bad id."""
        with redis_errors("events"):
            bus = keys.part(run, "bus")
            found = entries(await self._calls("XRANGE", bus, f"({after}", "+", "COUNT", PAGE))
        return [Posted(EventId(id), decode(fields["e"])) for id, fields in found]

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
            texts: Any = await self._calls("HMGET", keys.part(run, "slots"), *tasks)
        if not any(texts):
            await self._check_there(run)
        return {t: await self._value(x) for t, x in zip(tasks, texts, strict=True) if x is not None}

    async def focus(self, run: RunId | str) -> dict[str, Json]:
        """The results in the broadcast focus, the most salient first: what planners and answerers read."""
        with redis_errors("focus"):
            names: Any = await self._calls("ZREVRANGE", keys.part(run, "focus"), 0, -1)
        return await self.slots(run, list(names))

    async def snapshot(self, run: RunId | str) -> Snapshot:
        """All of a run at one moment. Raises RunNotFound."""
        found = await self._scripts("snapshot", keys.of_run(run))
        self._check(run, found)
        newest, fields, status, attempts, slots, versions, focus, effects, approvals = found[1:10]
        budget, leases = found[10:]
        return Snapshot(
            record=RunRecord.from_hash(_pairs(fields)),
            newest=EventId(newest),
            status=TASK_STATUSES.validate_python(_pairs(status)),
            attempts={k: int(v) for k, v in _pairs(attempts).items()},
            results={k: await self._value(v) for k, v in _pairs(slots).items()},
            versions={k: int(v) for k, v in _pairs(versions).items()},
            focus=tuple(focus),
            effects=_effects(_pairs(effects)),
            approvals=_approvals(_pairs(approvals)),
            budget={k: int(v) for k, v in _pairs(budget).items()},
            leases={k: float(v) for k, v in _pairs(leases).items()},
        )

    async def effects(self, run: RunId | str) -> list[EffectRecord]:
        """The ledger of a run: every effect of class `keyed` or `once` that was begun."""
        with redis_errors("effects"):
            found = pairs(await self._calls("HGETALL", keys.part(run, "effects")))
        if not found:
            await self._check_there(run)
        return list(_effects(found))

    async def approvals(self, run: RunId | str) -> list[Approval]:
        """All that was asked of people in a run, oldest first. Raises RunNotFound."""
        with redis_errors("approvals"):
            found = pairs(await self._calls("HGETALL", keys.part(run, "approvals")))
        if not found:
            await self._check_there(run)
        return list(_approvals(found))

    async def dead_letters(self) -> list[DeadLetter]:
        """Tasks that were given up, newest first; those of runs that have expired are dropped."""
        with redis_errors("dead letters"):
            found = pairs(await self._calls("HGETALL", keys.DEAD))
            letters = {f: DeadLetter.from_json(json.loads(text)) for f, text in found.items()}
            newest = sorted(letters.items(), key=lambda e: -e[1].at)
            oldest = time.time() - self._keep
            gone = [f for n, (f, e) in enumerate(newest) if e.at < oldest or n >= MAX_DEAD]
            if gone:
                await self._calls("HDEL", keys.DEAD, *gone)
        return [e for f, e in newest if f not in gone]

    async def forget_dead_letter(self, run: str, task: str) -> bool:
        """False when there is none."""
        with redis_errors("dead letters"):
            return bool(await self._calls("HDEL", keys.DEAD, f"{run}|{task}"))

    async def experts(self) -> list[LiveExpert]:
        return await self.announcements.experts(now=time.time())

    async def catalog(self) -> Catalog:
        return await self.announcements.catalog(now=time.time())

    async def controllers(self) -> list[str]:
        return await self.announcements.controllers(now=time.time())

    # --- slots that are not results -------------------------------------------------------------

    async def write(self, run: RunId, slot: str, value: Json, *, expected: int) -> int:
        """Compare-and-set: writes when the slot is at version `expected` (0: never written).

        Returns the new version. Raises SlotConflict (found -1: it is a task's), RunOver, RunNotFound.
        """
        found = await self._scripts(
            "write", keys.of_run(run), slot, expected, await self._text(value)
        )
        if found[0] == "conflict":
            raise SlotConflict(slot, expected, int(found[1]))
        if found[0] == "cancelled":
            raise RunOver(run, "cancelled")
        self._check(run, found)
        return int(found[1])

    async def _watch_over(self, run: RunId | str) -> None:
        """Somebody looks at a parked run soon, should we die before it is called back. Not sooner than
        its owner's lease says, where it has one that lives."""
        with redis_errors("watch"):
            await self._calls("ZADD", keys.ACTIVE, "XX", "LT", time.time() + UNSEEN, run)

    async def _call_back(self, run: RunId | str) -> None:
        """A parked run has no owner who would see what happened: it waits for a controller again.

        An owner that is about to park is refused, for the bus has grown.
        """
        with redis_errors("call back"):
            owner: Any = await self._calls("HGET", keys.part(run, "run"), "owner")
        if not owner:
            record = await self.run(run)
            await self.admission.put(record.id, record.spec.tenant, record.spec.weight)

    async def _has_ended(self, run: RunId | str, last: str) -> bool:
        """Whether nothing follows `last`: somebody resumes at, or after, the last event."""
        with redis_errors("events"):
            bus = keys.part(run, "bus")
            newest = entries(await self._calls("XREVRANGE", bus, "+", "-", "COUNT", 1))
        if not newest or _order(newest[0][0]) > _order(last):
            return False
        return isinstance(decode(newest[0][1]["e"]), RunEnded)


def _order(id: str) -> tuple[int, int]:
    milliseconds, _, sequence = id.partition("-")
    return int(milliseconds), int(sequence or 0)


def _pairs(flat: Sequence[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _effects(found: Mapping[str, str]) -> tuple[EffectRecord, ...]:
    records = [EffectRecord.from_entry(field, text) for field, text in found.items()]
    return tuple(sorted(records, key=lambda r: r.began))


def _approvals(found: Mapping[str, str]) -> tuple[Approval, ...]:
    asked = [Approval.from_entry(id, text) for id, text in found.items()]
    return tuple(sorted(asked, key=lambda a: (a.created, a.id)))
