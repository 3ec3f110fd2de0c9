"""One trial, from the first process to the last check."""

import asyncio
import random
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.crash.chaos import Chaos, Toll
from benchmarks.crash.load import Followed, Load
from benchmarks.crash.part import Place
from benchmarks.crash.person import Person
from benchmarks.crash.processes import Forked, Launcher, Server, free_port
from benchmarks.crash.verify import (
    Facts,
    Violation,
    check,
    check_effects,
    check_stream,
    given_up,
    unknown_effects,
)
from benchmarks.crash.witness import Witness
from pointsman.router.events import OVER, Posted
from pointsman.router.plan import parse_plan
from pointsman.router.workspace import Workspace, connect
from pointsman.router.workspace.connection import Redis
from pointsman.router.workspace.fsck import fsck
from pointsman.router.workspace.keys import part

GATEWAYS, CONTROLLERS, WORKERS = 2, 2, 3
AFTERWARDS = 150.0
"""Seconds after the last kill in which every run must have ended: leases, retries and the work itself."""
START_SECONDS = 30.0
LOGGED = {
    "late commits refused": "late commit refused",
    "offers found void": "offer is void",
    "attempts stopped": "stopping: ",
    "runs left to another": "left to another controller",
}
"""What the log of a part says of each refusal."""
DEFECT = re.compile(r"^(?:ERROR|CRITICAL).*", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Conditions:
    """kills: SIGKILLs in all. gap: mean seconds between two. at_once: runs under way at a time.

    keep: leave the logs and Redis' files where they are, even when nothing is wrong.
    """

    kills: int
    seed: int | None = None
    appendfsync: str = "always"
    gap: float = 1.0
    at_once: int = 16
    keep: bool = False


@dataclass(slots=True)
class Found:
    """What came out. seconds: of the kills; settling: from then on, until the last run had ended.

    lasted: seconds of each run from its first event to its last.
    """

    seed: int
    toll: Toll = field(default_factory=Toll)
    seconds: float = 0.0
    settling: float = 0.0
    runs: Counter[str] = field(default_factory=Counter)
    tasks: Counter[str] = field(default_factory=Counter)
    lasted: list[float] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)


def conduct(conditions: Conditions) -> Found:
    """Raises TimeoutError when the parts do not start."""
    folder = Path(tempfile.mkdtemp(prefix="crash-"))
    try:
        found = asyncio.run(_Trial(conditions, folder).run())
    except BaseException:
        print(f"logs are kept in {folder}")
        raise
    if found.violations or conditions.keep:
        print(f"logs are kept in {folder}")
    else:
        shutil.rmtree(folder)
    return found


class _Trial:
    def __init__(self, conditions: Conditions, folder: Path) -> None:
        self._conditions = conditions
        self._folder = folder
        self._seed = conditions.seed if conditions.seed is not None else random.randrange(10**9)
        self._found = Found(self._seed)

    async def run(self) -> Found:
        async with Launcher() as launcher:
            self._server = Server(launcher, self._folder / "redis", self._conditions.appendfsync)
            recorder, parts = self._parts(launcher)
            gateways = [p.address for p in parts if p.kind == "gateway"]
            chaos = Chaos([self._server, *parts], random.Random(self._seed))
            self._found.toll = chaos.toll
            await recorder.start()
            async with chaos.watching():
                await self._server.answers()
                await _serving(gateways)
                load = Load(gateways, random.Random(self._seed + 1))
                witness = Witness(self._server.url, load.under_way)
                rng = random.Random(self._seed + 2)
                person = Person(gateways, recorder.outside, load.under_way, rng)
                async with witness.watching(), person.deciding():
                    await self._load_and_rage(load, chaos)
                    await until_over(self._server.url, AFTERWARDS - self._found.settling)
                self._found.violations += witness.violations
                self._found.counts["looks of the witness"] = witness.looks
                books = await self._books(recorder)
                await self._verify(load.runs, books, person)
            recorder.kill()
            await recorder.gone()
        self._read_logs()
        self._found.counts += load.counts
        return self._found

    def _parts(self, launcher: Launcher) -> tuple[Forked, list[Forked]]:
        logs = self._folder / "logs"
        logs.mkdir()
        outside = free_port()

        def made(name: str, port: int = 0) -> Forked:
            files = str(self._folder / "files")
            place = Place(self._server.url, outside, files, self._seed, port)
            return Forked(name, launcher, place, logs / f"{name}.log")

        parts = [made(f"gateway-{i}", free_port()) for i in range(GATEWAYS)]
        parts += [made(f"controller-{i}") for i in range(CONTROLLERS)]
        parts += [made(f"worker-{i}") for i in range(WORKERS)]
        return made("recorder"), parts

    async def _load_and_rage(self, load: Load, chaos: Chaos) -> None:
        started = time.monotonic()
        clients = asyncio.create_task(load.keep(self._conditions.at_once))
        rage = asyncio.create_task(chaos.rage(self._conditions.kills, self._conditions.gap))
        try:
            await asyncio.wait({clients, rage}, return_when=asyncio.FIRST_COMPLETED)
            if rage.done():
                rage.result()
            self._found.seconds = time.monotonic() - started
            load.stop.set()
            await asyncio.wait({clients}, timeout=AFTERWARDS)
            if clients.done():
                clients.result()
            else:
                waiting = f"{len(load.under_way())} runs, or requests for runs, are not answered"
                self._found.violations.append(Violation("end", "-", waiting))
            self._found.settling = time.monotonic() - started - self._found.seconds
        finally:
            for task in (clients, rage):
                task.cancel()
            await asyncio.gather(clients, rage, return_exceptions=True)

    async def _books(self, recorder: Forked) -> dict[str, Any]:
        async with httpx.AsyncClient(base_url=recorder.outside, timeout=30) as client:
            books: dict[str, Any] = (await client.get("/books")).json()
        return books

    async def _verify(
        self, followed: Sequence[Followed], books: Mapping[str, Any], person: Person
    ) -> None:
        found = self._found
        facts = await read_all(self._server.url)
        found.violations += [Violation("log", "-", death) for death in found.toll.deaths]
        for one in facts.values():
            found.violations += check(one)
            found.runs[one.status] += 1
            found.tasks.update(one.statuses.values())
            found.counts.update(f"given up: {code}" for code in given_up(one))
            found.lasted.append(seconds_between(one.events[0].id, one.events[-1].id))
            found.counts["takeovers"] += max(0, one.epoch - 1)
        for client in followed:
            if client.run not in facts:
                found.violations.append(Violation("end", client.run, "an accepted run is lost"))
            else:
                found.violations += check_stream(facts[client.run], client.seen, client.faults)
        found.violations += await wrong_by_fsck(self._server.url)
        found.violations += check_effects(facts, books["applied"], person.allowed)
        found.counts["unknown effects listed"] = sum(
            len(unknown_effects(f)) for f in facts.values()
        )
        for decision, count in person.decisions.items():
            found.counts[f"asked a person: {decision}"] = count
        unasked = facts.keys() - {client.run for client in followed}
        found.violations += [Violation("end", run, "a run nobody asked for") for run in unasked]
        found.counts["calls answered with silence"] = books["unanswered"]
        found.counts["effects that took place"] = len(books["applied"])

    def _read_logs(self) -> None:
        for log in sorted((self._folder / "logs").iterdir()):
            text = log.read_text("utf-8", "replace")
            for name, words in LOGGED.items():
                self._found.counts[name] += text.count(words)
            for match in DEFECT.finditer(text):
                self._found.violations.append(Violation("log", log.stem, match.group()))


async def wrong_by_fsck(url: str) -> list[Violation]:
    """What the workspace's own check calls an error; dead parts are a warning, and there are many here."""
    workspace = Workspace(connect(url))
    try:
        found = await fsck(workspace)
    finally:
        await workspace.close()
    wrong = [f for f in found if f.severity == "error"]
    return [Violation("fsck", f.run, f"{f.rule}: {f.task} {f.what}") for f in wrong]


async def _serving(gateways: Sequence[str]) -> None:
    """Returns when a worker has announced itself and every gateway knows. Raises TimeoutError."""
    async with httpx.AsyncClient() as client, asyncio.timeout(START_SECONDS):
        for gateway in gateways:
            while True:
                try:
                    if (await client.get(f"{gateway}/readyz")).status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)


def seconds_between(first: str, last: str) -> float:
    """Between two ids of a bus, which begin with milliseconds since the epoch."""
    begun, ended = (int(id.partition("-")[0]) for id in (first, last))
    return (ended - begun) / 1000


async def until_over(url: str, patience: float) -> None:
    """Returns when every run has ended, listed or not, or after `patience` seconds."""
    raw = connect(url)
    until = time.monotonic() + patience
    try:
        while time.monotonic() < until:
            statuses = [await raw.hget(part(run, "run"), "status") for run in await _runs(raw)]
            if all(status in OVER for status in statuses):
                return
            await asyncio.sleep(1)
    finally:
        await raw.aclose()


async def read_all(url: str) -> dict[str, Facts]:
    """The facts of every run that is there, listed or not."""
    raw = connect(url)
    workspace = Workspace(raw)
    try:
        return {run: await read(workspace, raw, run) for run in await _runs(raw)}
    finally:
        await workspace.close()


async def _runs(raw: Redis) -> list[str]:
    keys = [key async for key in raw.scan_iter("pm:{run_*}:run", count=1000)]
    return [key[len("pm:{") : -len("}:run")] for key in keys]


async def read(workspace: Workspace, raw: Redis, run: str) -> Facts:
    record = await workspace.run(run)
    assert record.spec.plan is not None
    events: list[Posted] = []
    while page := await workspace.history(run, after=events[-1].id if events else "0-0"):
        events += page
    hashes: list[Any] = []
    for name in ("run", "status", "versions"):
        hashes.append(await raw.hgetall(part(run, name)))
    fields, statuses, versions = hashes
    ledger = await workspace.effects(run)
    return Facts(
        run=run,
        status=record.status,
        epoch=int(fields["epoch"]),
        plan=parse_plan(record.plan) if record.plan else record.spec.plan,
        events=events,
        statuses=statuses,
        slots=await workspace.slots(run, list(versions)),
        versions={task: int(version) for task, version in versions.items()},
        effects={f"{e.task}/{e.index}": e.state for e in ledger},
    )
