"""Clients behind the edge: each has one run under way, submits it under a key, and follows it to its end."""

import asyncio
import itertools
import json
import secrets
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import httpx

PAUSE = 0.2


def plan() -> dict[str, Any]:
    """Two look-ups side by side, then an order, then something that is sent."""

    def task(id: str, name: str, argument: str, value: Any) -> dict[str, Any]:
        return {"id": id, "capability": f"rolling.{name}", "arguments": {argument: value}}

    return {
        "tasks": [
            task("a", "look", "seconds", 0.05),
            task("b", "look", "seconds", 0.15),
            task("order", "order", "after", {"$task": "a"}) | {"after": ["b"]},
            task("send", "send", "after", 0.0) | {"after": ["order"]},
        ]
    }


@dataclass(slots=True)
class Followed:
    """A run as its client saw it: from submission to the last event, in seconds on one clock."""

    run: str
    begun: float
    ended: float = 0.0
    status: str = ""
    position: str = ""


class Load:
    def __init__(self, edge: str) -> None:
        self._http = httpx.AsyncClient(base_url=edge, timeout=httpx.Timeout(20, read=30))
        self.runs: list[Followed] = []
        self.counts: Counter[str] = Counter()
        self.stop = asyncio.Event()

    async def keep(self, at_once: int) -> None:
        """Returns when `stop` is set and every run that was accepted has ended."""
        async with self._http, asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(self._one_after_the_other())

    async def _one_after_the_other(self) -> None:
        while not self.stop.is_set():
            followed = await self._submit()
            self.runs.append(followed)
            for connection in itertools.count():
                if connection:
                    self.counts["streams resumed"] += 1
                    await asyncio.sleep(PAUSE)
                try:
                    await self._follow(followed)
                except httpx.TransportError as error:
                    self.counts[f"stream broken: {type(error).__name__}"] += 1
                if followed.ended:
                    break

    async def _submit(self) -> Followed:
        key = {"Idempotency-Key": secrets.token_hex(16)}
        begun = time.monotonic()
        while True:
            try:
                reply = await self._http.post("/v1/runs", json={"plan": plan()}, headers=key)
            except httpx.TransportError as error:
                self.counts[f"request failed: {type(error).__name__}"] += 1
            else:
                if reply.status_code == 201:
                    return Followed(reply.json()["id"], begun)
                self.counts[f"request failed: {reply.status_code}"] += 1
            await asyncio.sleep(PAUSE)

    async def _follow(self, followed: Followed) -> None:
        headers = {"Last-Event-ID": followed.position} if followed.position else {}
        path = f"/v1/runs/{followed.run}/events"
        async with self._http.stream("GET", path, headers=headers) as reply:
            if reply.status_code != 200:
                self.counts[f"stream refused: {reply.status_code}"] += 1
                return
            async for line in reply.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    followed.position = value
                elif name == "data" and (event := json.loads(value))["type"] == "run.ended":
                    followed.ended, followed.status = time.monotonic(), event["status"]
                    return
