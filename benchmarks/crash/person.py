"""The person who is asked: looks at what really happened, and says so through the gateways that die."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LOOK = 0.5
"""Seconds between two looks at what is asked."""


class Person:
    """allowed: (run, task) -> how often the person let an effect be repeated."""

    def __init__(
        self,
        gateways: Sequence[str],
        outside: str,
        under_way: Callable[[], Iterable[str]],
        rng: random.Random,
    ) -> None:
        self._gateways = gateways
        self._under_way = under_way
        self._rng = rng
        self._client = httpx.AsyncClient(timeout=10)
        self._outside = outside
        self.allowed: Counter[tuple[str, str]] = Counter()
        self.decisions: Counter[str] = Counter()

    @asynccontextmanager
    async def deciding(self) -> "AsyncIterator[None]":
        task = asyncio.create_task(self._decide_all())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await self._client.aclose()

    async def _decide_all(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            for run in self._under_way():
                with suppress(
                    httpx.TransportError, httpx.HTTPStatusError
                ):  # the next look asks again
                    await self._decide_in(run)

    async def _decide_in(self, run: str) -> None:
        for asked in (await self._get(f"/v1/runs/{run}/approvals"))["approvals"]:
            if asked["pending"]:
                await self._decide(asked)

    async def _decide(self, asked: dict[str, Any]) -> None:
        run, task = asked["run"], asked["task"]
        truth = await self._client.post(f"{self._outside}/look", json={"run": run, "task": task})
        happened = truth.json()
        decision = "done" if happened["applied"] else "approved"
        if decision == "approved":  # counted before, for the answer to it may be lost
            self.allowed[run, task] += 1
        told = {
            "decision": decision,
            "digest": asked["digest"],
            "by": "the person",
            "value": happened["value"],
        }
        path = f"/v1/runs/{run}/approvals/{asked['id']}"
        reply = await self._client.post(f"{self._rng.choice(self._gateways)}{path}", json=told)
        self.decisions[
            decision if reply.status_code == 200 else f"refused with {reply.status_code}"
        ] += 1

    async def _get(self, path: str) -> Any:
        """Raises TransportError, HTTPStatusError."""
        reply = await self._client.get(f"{self._rng.choice(self._gateways)}{path}")
        return reply.raise_for_status().json()
