"""API keys, what each may spend and how often it may ask, and the record of acts and refusals.

All that belongs to one key shares a hash tag, so every decision on it is one Lua script, on a cluster too. A
key's secret is never kept: only its SHA-256, which needs no salt and no stretching, as the secret is 192 random
bits.
"""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Literal

from pointsman.router.workspace.calls import Calls, entries, lua, pairs
from pointsman.router.workspace.connection import redis_errors

KEYS = "pm:access:keys"
"""Sorted set: id of a key by time of creation."""
STREAMS = {"act": "pm:access:acts", "refusal": "pm:access:refusals"}
"""Streams: what administrators did; what was refused. Apart, so that a flood of one leaves the other."""
MOST_ENTRIES = 10_000
DAY_KEPT = 40 * 24 * 3600
"""Seconds for which a day's counts of a key are kept."""
SHARE = 10
"""Work that names no cap of its own holds at most this part of a key's budget of the day."""
NAMES = ("admit", "hold", "settle")

Why = Literal["unknown", "revoked", "expired", "rate", "spent"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps of a key; None is no cap. cost (micro-dollars), tokens, calls: a day in UTC. calls: requests for
    work. rate: requests a minute, of any kind."""

    cost: int | None = None
    tokens: int | None = None
    calls: int | None = None
    rate: int | None = None

    def to_json(self) -> dict[str, int | None]:
        return {"cost": self.cost, "tokens": self.tokens, "calls": self.calls, "rate": self.rate}

    @property
    def money(self) -> bool:
        """Whether work of the key sets something aside before it begins."""
        return self.cost is not None or self.tokens is not None


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret. Times are seconds since the epoch. old: the digest before the last rotation,
    good until `old_until`."""

    id: str
    name: str
    tenant: str
    scopes: frozenset[str]
    digest: str
    created: float
    expires: float | None = None
    revoked: float | None = None
    old_until: float | None = None
    limits: Limits = field(default_factory=Limits)

    def live(self, now: float) -> bool:
        return self.revoked is None and (self.expires is None or now < self.expires)

    def to_json(self) -> dict[str, Any]:
        """What administrators are shown; no digest."""
        return {
            "id": self.id,
            "name": self.name,
            "tenant": self.tenant,
            "scopes": sorted(self.scopes),
            "created": self.created,
            "expires": self.expires,
            "revoked": self.revoked,
            "old_until": self.old_until,
            "limits": self.limits.to_json(),
        }

    def to_hash(self) -> dict[str, str]:
        numbers = {"expires": self.expires, "revoked": self.revoked, **self.limits.to_json()}
        return {
            "name": self.name,
            "tenant": self.tenant,
            "scopes": " ".join(sorted(self.scopes)),
            "digest": self.digest,
            "created": f"{self.created:.6f}",
            **{name: str(value) for name, value in numbers.items() if value is not None},
        }

    @classmethod
    def from_hash(cls, id: str, told: Mapping[str, str]) -> "Key":
        def moment(name: str) -> float | None:
            return float(told[name]) if name in told else None

        def cap(name: str) -> int | None:
            return int(told[name]) if name in told else None

        return cls(
            id=id,
            name=told["name"],
            tenant=told["tenant"],
            scopes=frozenset(told["scopes"].split()),
            digest=told["digest"],
            created=float(told["created"]),
            expires=moment("expires"),
            revoked=moment("revoked"),
            old_until=moment("old_until"),
            limits=Limits(cap("cost"), cap("tokens"), cap("calls"), cap("rate")),
        )


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request was let in. rate: requests a minute, 0 for any number; left: how many more at once.
    full: seconds until as many as at first may come."""

    key: Key
    rate: int
    left: int
    full: float


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """Why a request was not let in. what: the budget that is spent. retry: seconds."""

    why: Why
    what: str = ""
    rate: int = 0
    retry: float = 0.0


@dataclass(frozen=True, slots=True)
class Held:
    """What a piece of work may cost at most; None where the key has no cap."""

    cost: int | None
    tokens: int | None


def part(id: str, name: str) -> str:
    return f"pm:{{key:{id}}}:{name}"


def day_of(now: float) -> str:
    """The day, in UTC, that a moment belongs to: "2026-11-25"."""
    return datetime.fromtimestamp(now, UTC).date().isoformat()


class Access:
    """Keys and what is counted for them. Everything raises WorkspaceUnavailable."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        folder = files("pointsman.router.workspace") / "lua" / "access"
        self._scripts = {n: lua((folder / f"{n}.lua").read_text("utf-8")) for n in NAMES}

    async def _ask(self, *command: str | int | float) -> Any:
        with redis_errors("access"):
            return await self._calls(*command)

    async def _run(self, name: str, keys: Sequence[str], *args: str | int | float) -> list[Any]:
        with redis_errors(f"access: {name}"):
            return list(await self._calls.script(*self._scripts[name], keys, args))

    # --- keys -----------------------------------------------------------------------------------

    async def add(self, key: Key) -> None:
        fields = [x for pair in key.to_hash().items() for x in pair]
        await self._ask("HSET", part(key.id, "record"), *fields)
        await self._ask("ZADD", KEYS, key.created, key.id)

    async def key(self, id: str) -> Key | None:
        told = pairs(await self._ask("HGETALL", part(id, "record")))
        return Key.from_hash(id, told) if told else None

    async def keys(self) -> list[Key]:
        """All of them, oldest first; those that were revoked too."""
        ids = await self._ask("ZRANGE", KEYS, 0, -1)
        found = await asyncio.gather(*(self.key(id) for id in ids))
        return [key for key in found if key is not None]

    async def revoke(self, id: str, now: float) -> bool:
        """From here on the key opens nothing. False when there is no such key."""
        if await self.key(id) is None:
            return False
        await self._ask("HSET", part(id, "record"), "revoked", f"{now:.6f}")
        return True

    async def rotate(self, id: str, digest: str, *, until: float) -> bool:
        """Another secret; the one before is good until then. False when there is no such key."""
        found = await self.key(id)
        if found is None:
            return False
        fields = ("digest", digest, "old", found.digest, "old_until", f"{until:.6f}")
        await self._ask("HSET", part(id, "record"), *fields)
        return True

    # --- each request ---------------------------------------------------------------------------

    async def admit(self, id: str, digest: str, *, work: bool, now: float) -> Admitted | TurnedAway:
        """Looks at the key, the rate and, for a request for work, at what is left of the day's budget, and
        counts the request, in one act. digest: of the secret that came with it."""
        day = day_of(now)
        found = await self._run(
            "admit",
            [part(id, "record"), part(id, "rate"), part(id, f"day:{day}")],
            digest,
            int(work),
            DAY_KEPT,
            day,
        )
        match found[0]:
            case "ok":
                key = Key.from_hash(id, pairs(found[4]))
                return Admitted(key, int(found[1]), int(found[2]), float(found[3]))
            case "rate":
                return TurnedAway("rate", rate=int(found[2]), retry=float(found[1]))
            case "spent":
                return TurnedAway("spent", what=str(found[1]), retry=86_400 - now % 86_400)
            case why:
                return TurnedAway(why)

    async def hold(
        self, key: str, work: str, *, cost: int | None, tokens: int | None, now: float
    ) -> Held | TurnedAway:
        """Sets aside what a piece of work may cost; cost, tokens: its own caps. The same work holds once."""
        day = day_of(now)
        found = await self._run(
            "hold",
            [part(key, "record"), part(key, "holds"), part(key, f"day:{day}")],
            work,
            day,
            -1 if cost is None else cost,
            -1 if tokens is None else tokens,
            DAY_KEPT,
            SHARE,
        )
        if found[0] == "spent":
            return TurnedAway("spent", what=str(found[1]), retry=86_400 - now % 86_400)
        caps = [int(x) if int(x) >= 0 else None for x in found[1:3]]
        return Held(caps[0], caps[1])

    async def settle(self, key: str, work: str, *, cost: int, tokens: int, day: str) -> bool:
        """Counts what a piece of work has cost, and lets go of what was set aside. Once: False after that."""
        found = await self._run(
            "settle",
            [part(key, "holds"), part(key, f"settled:{work}"), part(key, f"day:{day}")],
            work,
            cost,
            tokens,
            DAY_KEPT,
        )
        return str(found[0]) == "ok"

    async def holds(self, key: str) -> dict[str, str]:
        """Work that something is set aside for, with the day on which it was let in."""
        found = pairs(await self._ask("HGETALL", part(key, "holds")))
        return {work: text.partition("|")[0] for work, text in found.items()}

    async def spent(self, key: str, day: str) -> dict[str, int]:
        """cost, tokens, calls of a day, and what is set aside: held_cost, held_tokens."""
        found = pairs(await self._ask("HGETALL", part(key, f"day:{day}")))
        names = ("cost", "tokens", "calls", "held:cost", "held:tokens")
        return {name.replace(":", "_"): int(found.get(name, 0)) for name in names}

    # --- the record of acts and refusals -------------------------------------------------------

    async def note(self, kind: Literal["act", "refusal"], entry: Mapping[str, Any]) -> None:
        text = json.dumps({"at": round(time.time(), 3), **entry}, ensure_ascii=False)
        await self._ask("XADD", STREAMS[kind], "MAXLEN", "~", MOST_ENTRIES, "*", "e", text)

    async def notes(
        self, kind: Literal["act", "refusal"], *, limit: int = 100
    ) -> list[dict[str, Any]]:
        """Newest first."""
        found = entries(await self._ask("XREVRANGE", STREAMS[kind], "+", "-", "COUNT", limit))
        return [json.loads(fields["e"]) for _, fields in found]
