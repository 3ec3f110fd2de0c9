"""Who is there: workers announce the experts they host, controllers that they live."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pointsman.router.cards import CARD, ExpertCard
from pointsman.router.catalog import Capability, Catalog, parse_capability
from pointsman.router.workspace.connection import Redis, redis_errors
from pointsman.router.workspace.keys import CARDS, CONTROLLERS, WORKERS

ALIVE = 15.0
"""Seconds after its last sign of life for which a worker or controller counts as alive."""
FORGET = 3600.0
"""Seconds after which a dead worker's entry is removed."""


@dataclass(frozen=True, slots=True)
class LiveExpert:
    """An expert with its health: how many workers host it, and when one was last seen."""

    card: ExpertCard
    capabilities: tuple[Capability, ...]
    workers: int
    seen: float
    digest: str = ""


class Announcements:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._known: dict[str, tuple[ExpertCard, tuple[Capability, ...]]] = {}
        self._catalog: tuple[frozenset[str], Catalog] = (frozenset(), Catalog())

    async def announce(
        self, worker: str, card: ExpertCard, capabilities: Sequence[Capability], *, now: float
    ) -> None:
        """To be repeated while the worker lives, well within ALIVE seconds."""
        text = json.dumps(
            {
                "card": CARD.dump_python(card, mode="json"),
                "capabilities": [c.to_json() for c in capabilities],
            },
            sort_keys=True,
        )
        digest = hashlib.sha256(text.encode()).hexdigest()[:24]
        with redis_errors("announce"):
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.hset(CARDS, digest, text)
                pipe.hset(WORKERS, f"{card.name}|{worker}", f"{digest}|{now:.3f}")
                await pipe.execute()

    async def withdraw(self, worker: str, cards: Sequence[ExpertCard]) -> None:
        fields = [f"{card.name}|{worker}" for card in cards]
        with redis_errors("withdraw"):
            await self._redis.hdel(WORKERS, *fields)

    async def experts(self, *, now: float) -> list[LiveExpert]:
        """Experts that at least one live worker hosts. Where versions differ, the newest sign of life wins."""
        with redis_errors("experts"):
            entries: Any = await self._redis.hgetall(WORKERS)
        found: dict[str, tuple[str, float, int]] = {}
        for field, value in entries.items():
            name = field.split("|", 1)[0]
            digest, _, seen_text = value.partition("|")
            seen = float(seen_text)
            if now - seen > FORGET:
                with redis_errors("experts"):
                    await self._redis.hdel(WORKERS, field)
            elif now - seen <= ALIVE:
                known = found.get(name)
                newest = known is None or seen > known[1]
                found[name] = (
                    digest if newest or known is None else known[0],
                    seen if newest or known is None else known[1],
                    (known[2] if known else 0) + 1,
                )
        await self._learn({digest for digest, _, _ in found.values()})
        return [
            LiveExpert(*self._known[digest], workers, seen, digest)
            for _, (digest, seen, workers) in sorted(found.items())
            if digest in self._known
        ]

    async def hosted(self, worker: str, experts: Sequence[str], *, now: float) -> frozenset[str]:
        """Those of `experts` that this very worker has announced and that count as alive."""
        if not experts:
            return frozenset()
        with redis_errors("experts"):
            found: Any = await self._redis.hmget(WORKERS, [f"{e}|{worker}" for e in experts])
        seen = [float(value.partition("|")[2]) if value else 0.0 for value in found]
        return frozenset(e for e, at in zip(experts, seen, strict=True) if now - at <= ALIVE)

    async def catalog(self, *, now: float) -> Catalog:
        """The union of what live experts serve; the same object as long as nothing changed."""
        experts = await self.experts(now=now)
        names = frozenset(e.digest for e in experts)
        if names != self._catalog[0]:
            catalog = Catalog()
            for expert in experts:
                for capability in expert.capabilities:
                    if capability.name not in catalog:
                        catalog.add(capability)
            self._catalog = (names, catalog)
        return self._catalog[1]

    async def _learn(self, digests: set[str]) -> None:
        missing = sorted(digests - self._known.keys())
        if not missing:
            return
        with redis_errors("experts"):
            texts: Any = await self._redis.hmget(CARDS, missing)
        for digest, text in zip(missing, texts, strict=True):
            if text:
                value: dict[str, Any] = json.loads(text)
                self._known[digest] = (
                    CARD.validate_python(value["card"]),
                    tuple(parse_capability(c) for c in value["capabilities"]),
                )

    async def controller_alive(self, controller: str, *, now: float) -> None:
        with redis_errors("controller"):
            await self._redis.hset(CONTROLLERS, controller, f"{now:.3f}")

    async def controller_gone(self, controller: str) -> None:
        with redis_errors("controller"):
            await self._redis.hdel(CONTROLLERS, controller)

    async def controllers(self, *, now: float) -> list[str]:
        with redis_errors("controllers"):
            entries: Any = await self._redis.hgetall(CONTROLLERS)
        return sorted(name for name, seen in entries.items() if now - float(seen) <= ALIVE)
