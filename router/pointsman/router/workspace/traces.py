"""What is kept of runs that have ended: their traces, what people said of them, and the plans remembered.

Everything stands under keys with one hash tag, so that each act is one Lua script, on a cluster too. The
store is bounded in count and in bytes: of traces the oldest leave first, of remembered plans those not used
for the longest. A trace is kept under its run's id: to keep it twice changes nothing.
"""

import asyncio
import base64
import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Literal

import numpy as np

from pointsman.router.planning.base import Embedder
from pointsman.router.planning.memory.planner import BATCH, Recollection
from pointsman.router.planning.memory.remembered import Remembered, Tombstone, digested
from pointsman.router.planning.memory.words import classes, content
from pointsman.router.workspace.calls import Calls, lua, pairs, scored
from pointsman.router.workspace.connection import redis_errors

Outcome = Literal["whole", "partly", "failed"]
Mode = Literal["auto", "confirmed", "off"]
PARTS = (
    "traces",
    "age",
    "judged",
    "keyed",
    "plans",
    "used",
    "vectors",
    "record",
    "agreed",
    "of",
    "tombs",
    "tombs-age",
    "state",
    "due",
    "shut",
)
KEYS = [f"pm:{{memory}}:{part}" for part in PARTS]
KEY = dict(zip(PARTS, KEYS, strict=True))
NAMES = ("keep", "judge", "forget", "vector")
PAGE = 200
OVERDUE = 30.0
"""Seconds after which a run that was about to end is looked at by whoever sweeps."""


@dataclass(frozen=True, slots=True)
class MemoryTerms:
    """What may be kept, and when a plan is remembered.

    mode: "confirmed" when a person said that it was right; "auto" also after `agree` whole runs with the
    same plan for the same words, and no complaint; "off": nothing is kept. traces, plans: counts. bytes: of
    the traces, and again of the plans, as JSON. effect_arguments: whether values that go into effects of
    class `keyed` and `once` may be kept.
    """

    mode: Mode = "confirmed"
    agree: int = 3
    traces: int = 10_000
    plans: int = 10_000
    bytes: int = 64 << 20
    effect_arguments: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a person said of a run's plan. at: seconds since the epoch."""

    right: bool
    note: str
    by: str
    at: float

    def to_json(self) -> dict[str, Any]:
        return {"right": self.right, "note": self.note, "by": self.by, "at": self.at}


@dataclass(frozen=True, slots=True)
class Trace:
    """One run that has ended. cost: micro-dollars. seconds: from its creation. at: its end, since the epoch.

    plan: in its JSON form, as it was run last; None when there was none, or what it did is withheld.
    candidate: what would be remembered of it; why: for which reason nothing would be.
    """

    run: str
    request: str
    plan: Mapping[str, Any] | None
    outcome: Outcome
    cost: int
    seconds: float
    at: float
    candidate: Remembered | None = None
    why: str = ""
    judgement: Judgement | None = None
    tenant: str = "default"

    def to_json(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "request": self.request,
            "plan": self.plan,
            "outcome": self.outcome,
            "cost": self.cost,
            "seconds": self.seconds,
            "at": self.at,
            "candidate": self.candidate.to_json() if self.candidate else None,
            "why": self.why,
            "tenant": self.tenant,
        }

    @classmethod
    def from_json(cls, text: str, judged: str | None) -> "Trace":
        value = json.loads(text)
        candidate = value["candidate"]
        return cls(
            **{
                **value,
                "candidate": Remembered.from_json(candidate) if candidate else None,
                "judgement": Judgement(**json.loads(judged)) if judged else None,
            }
        )

    def to_line(self) -> dict[str, Any]:
        """One line of the format of past plans (plans.jsonl)."""
        when = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="seconds")
        right = self.judgement.right if self.judgement else None
        plan = {"request": self.request, "plan": self.plan}
        return {**plan, "right": right, "run": self.run, "at": when}


@dataclass(frozen=True, slots=True)
class Kept:
    """A remembered plan, and what came of it since. used: seconds since the epoch."""

    plan: Remembered
    used: float
    whole: int
    not_whole: int


class Traces:
    """The store. One instance may serve many. What it read of remembered plans it keeps until it reads again,
    so that a change costs only what has changed.
    """

    def __init__(self, calls: Calls, terms: MemoryTerms | None = None) -> None:
        self.terms = terms or MemoryTerms(mode="off")
        self._calls = calls
        self._known: dict[str, tuple[str, Remembered, np.ndarray]] = {}
        self._reading = asyncio.Lock()
        folder = files("pointsman.router.workspace") / "lua" / "memory"
        common = (folder / "common.lua").read_text("utf-8")
        self._scripts = {n: lua(common + (folder / f"{n}.lua").read_text("utf-8")) for n in NAMES}

    async def _run(self, name: str, *args: str | int | float) -> list[Any]:
        with redis_errors(f"memory: {name}"):
            return list(await self._calls.script(*self._scripts[name], KEYS, args))

    async def _ask(self, *command: str | int | float) -> Any:
        with redis_errors("memory"):
            return await self._calls(*command)

    # --- traces ---------------------------------------------------------------------------------

    async def due(self, run: str) -> None:
        """The run is about to end: should we die before its trace is kept, a sweep will keep it."""
        await self._ask("ZADD", KEY["due"], time.time(), run)

    async def not_due(self, run: str) -> None:
        await self._ask("ZREM", KEY["due"], run)

    async def overdue(self, now: float) -> list[str]:
        """Runs whose end was announced some time ago, and whose traces are not kept yet."""
        return list(await self._ask("ZRANGEBYSCORE", KEY["due"], "-inf", now - OVERDUE))

    async def keep(self, trace: Trace, *, used: str = "") -> bool:
        """Keeps a trace; False when its run is not to be remembered. used: the run whose plan it took over."""
        terms, one = self.terms, trace.candidate
        agreed = _as(one, "agreed")
        found = await self._run(
            "keep",
            trace.run,
            json.dumps(trace.to_json(), ensure_ascii=False),
            f"{trace.at:.3f}",
            terms.traces,
            terms.bytes,
            one.key if one else "",
            agreed,
            "1" if trace.outcome == "whole" else "",
            terms.agree if terms.mode == "auto" and one else 0,
            terms.plans,
            terms.bytes,
            used,
        )
        return str(found[0]) == "ok"

    async def trace(self, run: str) -> Trace | None:
        text = await self._ask("HGET", KEY["traces"], run)
        return Trace.from_json(text, await self._ask("HGET", KEY["judged"], run)) if text else None

    async def all(self) -> AsyncIterator[Trace]:
        """Every trace, oldest first; one that is added meanwhile may be left out."""
        runs = list(await self._ask("ZRANGE", KEY["age"], 0, -1))
        for start in range(0, len(runs), PAGE):
            page = runs[start : start + PAGE]
            texts = await self._ask("HMGET", KEY["traces"], *page)
            judged = await self._ask("HMGET", KEY["judged"], *page)
            for text, said in zip(texts, judged, strict=True):
                if text:
                    yield Trace.from_json(text, said)

    # --- what people say ------------------------------------------------------------------------

    async def judge(self, run: str, judgement: Judgement) -> str | None:
        """Takes what a person says of a run: "remembered", "barred" (it was forgotten, or called wrong) or
        "noted" (nothing can be remembered of it). None when there is no trace of the run.
        """
        trace = await self.trace(run)
        if trace is None:
            return None
        one = trace.candidate
        keep = judgement.right and trace.outcome == "whole" and self.terms.mode != "off"
        found = await self._run(
            "judge",
            run,
            json.dumps(judgement.to_json(), ensure_ascii=False),
            "1" if judgement.right else "0",
            f"{judgement.at:.3f}",
            one.key if one else "",
            _as(one, "confirmed") if keep else "",
            json.dumps((await self._tombstone(one)).to_json()) if one else "",
            self.terms.plans,
            self.terms.bytes,
            self.terms.plans,
        )
        return None if found[0] == "missing" else str(found[1])

    async def forget(self, id: str) -> int:
        """Everything of a run, or of a remembered plan by its key: traces, what was said of them, the plan,
        its vector. Returns how many things went. It does not come back; a run that has not ended yet leaves
        no trace. What stays is a tombstone without words.
        """
        trace = await self.trace(id)
        text = await self._ask("HGET", KEY["plans"], id)
        one = Remembered.from_json(json.loads(text)) if text else trace.candidate if trace else None
        runs = [] if text else [id]
        if one is not None:
            keyed = pairs(await self._ask("HGETALL", KEY["keyed"]))
            runs += [run for run, key in keyed.items() if key == one.key and run != id]
            runs += [one.run] if one.run not in runs else []
        tomb = json.dumps((await self._tombstone(one)).to_json()) if one else ""
        key = one.key if one else ""
        found = await self._run("forget", f"{time.time():.3f}", key, tomb, self.terms.plans, *runs)
        return int(found[1])

    async def _tombstone(self, one: Remembered) -> Tombstone:
        said = [*content(one.tokens), *classes(one.tokens)]
        return Tombstone(one.shape, digested(said, await self._secret()))

    async def _secret(self) -> str:
        await self._ask("HSETNX", KEY["state"], "secret", secrets.token_hex(16))
        return str(await self._ask("HGET", KEY["state"], "secret"))

    # --- remembered plans -----------------------------------------------------------------------

    async def kept(self, *, limit: int = 100) -> list[Kept]:
        """Remembered plans, those used last first."""
        used = scored(await self._ask("ZREVRANGE", KEY["used"], 0, limit - 1, "WITHSCORES"))
        if not used:
            return []
        texts = await self._ask("HMGET", KEY["plans"], *(k for k, _ in used))
        record = _record(pairs(await self._ask("HGETALL", KEY["record"])))
        return [
            Kept(Remembered.from_json(json.loads(text)), at, *record.get(key, (0, 0)))
            for (key, at), text in zip(used, texts, strict=True)
            if text
        ]

    async def plan(self, key: str) -> Kept | None:
        text = await self._ask("HGET", KEY["plans"], key)
        if not text:
            return None
        record = _record(pairs(await self._ask("HGETALL", KEY["record"])))
        used = await self._ask("ZSCORE", KEY["used"], key)
        return Kept(
            Remembered.from_json(json.loads(text)), float(used or 0), *record.get(key, (0, 0))
        )

    async def size(self) -> dict[str, int]:
        """Counts and bytes: of traces, of remembered plans, of tombstones."""
        state = pairs(await self._ask("HGETALL", KEY["state"]))
        return {
            "traces": int(await self._ask("HLEN", KEY["traces"])),
            "plans": int(await self._ask("HLEN", KEY["plans"])),
            "tombstones": int(await self._ask("HLEN", KEY["tombs"])),
            "trace_bytes": int(state.get("bytes", 0)),
            "plan_bytes": int(state.get("plan_bytes", 0)),
        }

    async def version(self) -> str:
        return str(await self._ask("HGET", KEY["state"], "version") or "0")

    async def recollect(self, embedder: Embedder) -> Recollection:
        """All remembered plans with their vectors; those that are missing are made now and kept."""
        async with self._reading:
            version = await self.version()
            plans = pairs(await self._ask("HGETALL", KEY["plans"]))
            tombs = pairs(await self._ask("HGETALL", KEY["tombs"]))
            await self._read(plans, embedder)
            record = _record(pairs(await self._ask("HGETALL", KEY["record"])))
            rows = [vector for _, _, vector in self._known.values()]
            return Recollection(
                version,
                tuple(one for _, one, _ in self._known.values()),
                np.stack(rows) if rows else np.zeros((0, embedder.dim), np.float32),
                tuple(Tombstone.from_json(json.loads(t.partition("|")[2])) for t in tombs.values()),
                record,
                await self._secret() if tombs else "",
            )

    async def _read(self, plans: Mapping[str, str], embedder: Embedder) -> None:
        """Brings what is known up to `plans`, the JSON of each by its key."""
        same = {k: v for k, v in self._known.items() if plans.get(k) == v[0]}
        new = {k: text for k, text in plans.items() if k not in same}
        mark = await _mark(embedder) if new else ""
        keys = list(new)
        for start in range(0, len(keys), BATCH):
            batch = keys[start : start + BATCH]
            found = {k: Remembered.from_json(json.loads(new[k])) for k in batch}
            kept = await self._ask("HMGET", KEY["vectors"], *batch)
            vectors = {k: _vector(text, mark) for k, text in zip(batch, kept, strict=True)}
            missing = [k for k in batch if vectors[k] is None]
            if missing:
                made = await embedder.embed([found[k].line for k in missing])
                vectors.update(zip(missing, made, strict=True))
                written = [(k, _written(v, mark)) for k, v in zip(missing, made, strict=True)]
                await self._run("vector", *(part for pair in written for part in pair))
            for key, vector in vectors.items():
                if vector is not None:
                    same[key] = (new[key], found[key], vector)
        self._known = same


def _as(one: Remembered | None, how: Literal["agreed", "confirmed"]) -> str:
    if one is None:
        return ""
    told = one.to_json()
    return json.dumps(
        {**told, "how": how if told["how"] != "imported" else "imported"}, ensure_ascii=False
    )


def _record(counts: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for name, count in counts.items():
        key, _, what = name.partition("|")
        whole, other = found.get(key, (0, 0))
        found[key] = (int(count), other) if what == "whole" else (whole, int(count))
    return found


async def _mark(embedder: Embedder) -> str:
    """Tells one encoder from another, so that vectors of an earlier one are not taken for its own."""
    probe = (await embedder.embed(["a plan that was right"]))[0]
    return f"{embedder.dim}:{':'.join(f'{x:.2f}' for x in probe[:4])}"


def _written(vector: np.ndarray, mark: str) -> str:
    """As text: half precision, which changes no cosine by more than 0.001."""
    return f"{mark}|{base64.b64encode(vector.astype(np.float16).tobytes()).decode()}"


def _vector(text: str | None, mark: str) -> np.ndarray | None:
    """A vector that was kept; None when there is none, or it is another encoder's."""
    head, _, body = (text or "").partition("|")
    if head != mark:
        return None
    return np.frombuffer(base64.b64decode(body), np.float16).astype(np.float32)
