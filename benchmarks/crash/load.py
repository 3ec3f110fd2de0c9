"""Clients: they submit random plans over HTTP and follow their streams, through gateways that die."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from benchmarks.crash.plans import random_plan

RETRY_SECONDS = (0.05, 0.5)
SILENCE = 25.0
"""Seconds without a byte after which a stream is opened anew; a heartbeat comes every 10."""
CANCELLED = 0.04
"""Share of the runs that are stopped by their caller."""


@dataclass(slots=True)
class Followed:
    """A run as its client saw it: the ids of its events, in the order in which they came."""

    run: str
    seen: list[str] = field(default_factory=list)
    ended: bool = False
    faults: list[str] = field(default_factory=list)


class Load:
    """`at_once` clients, each with one run under way, until `stop` is set."""

    def __init__(self, gateways: Sequence[str], rng: random.Random) -> None:
        self._gateways = gateways
        self._rng = rng
        self._client = httpx.AsyncClient(timeout=httpx.Timeout(10, read=SILENCE))
        self.runs: list[Followed] = []
        self.counts: Counter[str] = Counter()
        self.stop = asyncio.Event()

    async def keep(self, at_once: int) -> None:
        """Returns when `stop` is set and every run that was accepted has ended."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(at_once):
                    group.create_task(self._one_after_the_other())
        finally:
            await self._client.aclose()

    def under_way(self) -> list[str]:
        return [f.run for f in self.runs if not f.ended]

    async def _one_after_the_other(self) -> None:
        while not self.stop.is_set():
            followed = Followed(await self._submit())
            self.runs.append(followed)
            cancel = self._rng.random() < CANCELLED
            await self._follow(followed, self._rng.randint(2, 30) if cancel else None)

    def _gateway(self) -> str:
        return self._rng.choice(self._gateways)

    async def _pause(self) -> None:
        await asyncio.sleep(self._rng.uniform(*RETRY_SECONDS))

    async def _submit(self) -> str:
        """The id of a run that was accepted. However often it has to be asked for, it is one run."""
        body = {"request": "crash", "plan": random_plan(self._rng)}
        headers = {"Idempotency-Key": f"crash-{self._rng.getrandbits(64):016x}"}
        while True:
            url = f"{self._gateway()}/v1/runs"
            try:
                reply = await self._client.post(url, json=body, headers=headers)
            except httpx.ConnectError:
                self.counts["gateway away"] += 1
            except httpx.TransportError:
                self.counts["reply lost"] += 1
            else:
                if reply.status_code == 201:
                    return str(reply.json()["id"])
                self.counts[f"submit refused with {reply.status_code}"] += 1
            await self._pause()

    async def _follow(self, followed: Followed, cancel_after: int | None) -> None:
        """Every event once, in order, across as many connections as it takes."""
        while not followed.ended:
            try:
                await self._watch(followed, cancel_after)
            except httpx.TransportError:
                self.counts["stream broken"] += 1
            if cancel_after is not None and len(followed.seen) >= cancel_after:
                cancel_after = None if await self._cancel(followed.run) else cancel_after
            if not followed.ended:
                await self._pause()

    async def _watch(self, followed: Followed, stop_after: int | None) -> None:
        """One connection. `stop_after`: leaves it at that many events."""
        headers = {"Last-Event-ID": followed.seen[-1]} if followed.seen else {}
        url = f"{self._gateway()}/v1/runs/{followed.run}/events"
        async with self._client.stream("GET", url, headers=headers) as reply:
            if reply.status_code == 204:
                followed.faults.append("the stream said it was over, run.ended had not been seen")
                followed.ended = True
            elif reply.status_code == 404:
                followed.faults.append("an accepted run is not there any more")
                followed.ended = True
            elif reply.status_code != 200:
                self.counts[f"stream refused with {reply.status_code}"] += 1
            else:
                async for id, event in _events(reply):
                    followed.seen.append(id)
                    if event["type"] == "run.ended":
                        followed.ended = True
                    if stop_after is not None and len(followed.seen) >= stop_after:
                        return

    async def _cancel(self, run: str) -> bool:
        """Whether it was taken; a run that has ended already cannot be cancelled."""
        try:
            reply = await self._client.post(f"{self._gateway()}/v1/runs/{run}/cancel", json={})
        except httpx.TransportError:
            return False
        if reply.status_code == 202:
            self.counts["cancelled"] += 1
        return reply.status_code in (202, 409)


async def _events(reply: httpx.Response) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """(id, event) of each server-sent event."""
    id, text = "", ""
    async for line in reply.aiter_lines():
        name, _, value = line.partition(": ")
        if name == "id":
            id = value
        elif name == "data":
            text = value
        elif not line and text:
            yield id, json.loads(text)
            id, text = "", ""
