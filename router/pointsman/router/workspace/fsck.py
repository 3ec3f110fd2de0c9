"""Checks every promise of the workspace on a live server, without stopping it, and says what is wrong.

A run is read in one act, with its bus up to that moment, and held against every rule (findings.py). Lists,
queues and announcements are read on their own, so they may be a moment older or newer: whatever is found is
looked at a second time, and only what still stands is told.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis.exceptions import ResponseError

from pointsman.router.errors import RunNotFound
from pointsman.router.events import UnreadableEvent
from pointsman.router.workspace import keys
from pointsman.router.workspace.announcements import ALIVE
from pointsman.router.workspace.artifacts import (
    ArtifactDamaged,
    ArtifactMissing,
    BadArtifactReference,
)
from pointsman.router.workspace.connection import redis_errors
from pointsman.router.workspace.findings import LATE, Finding, findings
from pointsman.router.workspace.queues import GROUP
from pointsman.router.workspace.view import View, view_of
from pointsman.router.workspace.workspace import Workspace

SECOND_LOOK = 1.0
"""Seconds between the two looks."""
AT_ONCE = 8
"""Runs that are read at the same time."""
PAGE = 500

Offers = frozenset[tuple[str, str, int]]
"""(run, task, attempt)"""


async def fsck(workspace: Workspace, *, run: str | None = None) -> list[Finding]:
    """What is wrong with one run, or with the whole server: errors first.

    Raises RunNotFound, WorkspaceUnavailable.
    """
    if run is not None:
        if not await _exists(workspace, run):
            raise RunNotFound(run)
        first = await _look_at_runs(workspace, [run])
    else:
        listed = await _listed(workspace)
        first = await _look_at_runs(workspace, sorted(listed.runs))
        first += await _look_around(workspace, listed)
    if not first:
        return []
    await asyncio.sleep(SECOND_LOOK)
    second = await _look_at_runs(workspace, sorted({f.run for f in first if f.run}))
    if run is None:
        second += await _look_around(workspace, await _listed(workspace))
    before = {_what(f) for f in first}
    return sorted(f for f in second if _what(f) in before)


def _what(found: Finding) -> tuple[str, str, str, str]:
    """A finding without its numbers, such as seconds that have passed."""
    words = "".join(c for c in found.what if not c.isdigit())
    return found.rule, found.run, found.task, words


async def _look_at_runs(workspace: Workspace, runs: Iterable[str]) -> list[Finding]:
    found: list[Finding] = []
    queued: list[View] = []
    places = asyncio.Semaphore(AT_ONCE)

    async def look(run: str) -> None:
        async with places:
            found.extend(await _look_at(workspace, run, queued))

    await asyncio.gather(*(look(run) for run in runs))
    if queued:
        found.extend(_without_offer(queued, await _offers(workspace)))
    return found


async def _look_around(workspace: Workspace, listed: "Listed") -> list[Finding]:
    """At what is not of one run."""
    return [
        *_orphans(listed),
        *await _queues(workspace),
        *await _announcements(workspace),
        *await _lists(workspace, listed),
    ]


# --- runs -----------------------------------------------------------------------------------------


async def _look_at(workspace: Workspace, run: str, queued: list[View]) -> list[Finding]:
    """queued: gets the views of runs that have tasks in the queues of experts."""
    try:
        view = await view_of(workspace, run)
    except UnreadableEvent as error:
        return [Finding("error", "bus", run, "", error.message)]
    if view is None:  # it has expired
        return []
    if "queued" in view.status.values() and not view.over:
        queued.append(view)
    return findings(view) + [f async for f in _artifacts(workspace, view)]


async def _artifacts(workspace: Workspace, view: View) -> AsyncIterator[Finding]:
    for slot, reference in view.slots.items():
        if not reference:
            continue
        try:
            if workspace._artifacts is None:
                raise ArtifactMissing(reference)
            await workspace._artifacts.get(reference)
        except (ArtifactMissing, ArtifactDamaged, BadArtifactReference) as error:
            yield Finding("error", "artifact", view.run, slot, error.message)


def _without_offer(views: Iterable[View], offers: Offers) -> Iterable[Finding]:
    for view in views:
        for task, status in view.status.items():
            attempt = view.attempts.get(task, 0)
            if status == "queued" and (view.run, task, attempt) not in offers:
                what = f"attempt {attempt} is queued, and in no queue"
                yield Finding("warning", "offer", view.run, task, what)


# --- what is not of one run -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Listed:
    """Runs that have a hash, and parts of runs that have none."""

    runs: frozenset[str] = frozenset()
    orphans: frozenset[tuple[str, str]] = frozenset()


async def _listed(workspace: Workspace) -> Listed:
    parts: dict[str, set[str]] = {}
    for key in await _scan(workspace, "pm:{*}:*"):
        run, _, part = key.removeprefix("pm:{").partition("}:")
        if part in keys.RUN_PARTS:
            parts.setdefault(run, set()).add(part)
    orphans = {(run, p) for run, found in parts.items() if "run" not in found for p in found}
    return Listed(frozenset(r for r, p in parts.items() if "run" in p), frozenset(orphans))


async def _scan(workspace: Workspace, pattern: str) -> list[str]:
    with redis_errors("fsck"):
        found = workspace._redis.scan_iter(match=pattern, count=PAGE)
        return sorted({str(key) async for key in found})


def _orphans(listed: Listed) -> Iterable[Finding]:
    of: dict[str, list[str]] = {}
    for run, part in sorted(listed.orphans):
        of.setdefault(run, []).append(part)
    for run, parts in of.items():
        what = f"there is no such run, and it has {', '.join(parts)}"
        yield Finding("error", "orphan", run, "", what)


async def _offers(workspace: Workspace) -> Offers:
    """All that is in the queues of the experts, taken or not."""
    found: set[tuple[str, str, int]] = set()
    for key in await _scan(workspace, keys.queue("*")):
        last = "-"
        while True:
            with redis_errors("fsck"):
                page: Any = await workspace._redis.xrange(key, min=last, count=PAGE)
            for id, fields in page:
                found.add((fields["run"], fields["task"], int(fields["attempt"])))
                last = f"({id}"
            if len(page) < PAGE:
                break
    return frozenset(found)


async def _queues(workspace: Workspace) -> list[Finding]:
    """Offers that somebody read, and neither claimed nor found void."""
    found: list[Finding] = []
    for key in await _scan(workspace, keys.queue("*")):
        with redis_errors("fsck"), suppress(ResponseError):  # nobody has read from it yet
            left: Any = await workspace._redis.xpending_range(
                key, GROUP, min="-", max="+", count=PAGE, idle=int(LATE * 1000)
            )
            if left:
                who = sorted({e["consumer"] for e in left})
                what = f"{key}: {len(left)} offers were read and left, by {', '.join(who)}"
                found.append(Finding("warning", "queue", "", "", what))
    return found


async def _announcements(workspace: Workspace) -> list[Finding]:
    now = time.time()
    with redis_errors("fsck"):
        workers: Any = await workspace._redis.hgetall(keys.WORKERS)
        controllers: Any = await workspace._redis.hgetall(keys.CONTROLLERS)
    seen = {f"worker {f}": float(v.partition("|")[2]) for f, v in workers.items()}
    seen |= {f"controller {name}": float(at) for name, at in controllers.items()}
    return [
        Finding("warning", "dead", "", "", f"{who} gave no sign of life for {now - at:.0f} s")
        for who, at in sorted(seen.items())
        if now - at > ALIVE
    ]


async def _lists(workspace: Workspace, listed: Listed) -> list[Finding]:
    """Lists and runs know of each other."""
    with redis_errors("fsck"):
        watched: Any = await workspace._redis.zrange(keys.ACTIVE, 0, -1, withscores=True)
        waiting: Any = await workspace._redis.zrange(keys.ADMISSION, 0, -1)
        known: Any = await workspace._redis.zrange(keys.RUNS, 0, -1)
    late = time.time() - LATE
    found = [
        Finding("warning", "list", run, "", "it is watched, and there is no such run")
        for run, until in watched
        if run not in listed.runs and until < late
    ]
    found += [
        Finding("warning", "list", run, "", "it waits for a controller, and there is no such run")
        for run in waiting
        if run not in listed.runs
    ]
    found += [
        Finding("warning", "list", run, "", "it is not in the list of runs")
        for run in sorted(listed.runs - set(known))
    ]
    return found


async def _exists(workspace: Workspace, run: str) -> bool:
    with redis_errors("fsck"):
        return bool(await workspace._calls("EXISTS", keys.part(run, "run")))
