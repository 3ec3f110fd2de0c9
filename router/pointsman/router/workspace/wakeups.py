"""Who waits for a run's bus is woken the moment it grows: one subscription for a whole process.

The bus is the truth, the channel only a tap on the shoulder: whoever wakes reads the bus from where it
stood. When the subscription breaks, everybody is woken once it stands again, so nothing is missed. And who
waits for a bus is woken at every beat besides, because a tap can be lost where nobody notices: between two
nodes of a cluster, or on a connection whose other end is gone without a word.
"""

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import redis.asyncio
from redis.asyncio.client import PubSub
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import ConnectionError

from pointsman.router.errors import WorkspaceUnavailable
from pointsman.router.workspace.address import Address
from pointsman.router.workspace.connection import (
    ANSWER_SECONDS,
    FAILURES,
    Redis,
    cancellations,
    heed,
)
from pointsman.router.workspace.keys import CANCEL, WAKE
from pointsman.router.workspace.tap import Tap

log = logging.getLogger(__name__)

RECONNECT = 0.5
"""Seconds between attempts to subscribe again."""
BEAT = 20.0
CLUSTER_BEAT = 2.0
"""Seconds between two beats: the server is asked for a sign of life, and who waits for a bus is woken."""
SILENT = 45.0
"""Seconds without a sign of life after which another connection is made."""


class Wakeups:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waiting: dict[tuple[str, str], set[asyncio.Event]] = defaultdict(set)
        self._subscribed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._turn = random.randrange(1 << 16)

    @contextmanager
    def on(self, run: str, channel: str = WAKE) -> Iterator[asyncio.Event]:
        """An event that is set whenever the run's bus grows (or, on CANCEL, when it is cancelled)."""
        self._start()
        event = asyncio.Event()
        self._waiting[channel, run].add(event)
        try:
            yield event
        finally:
            waiting = self._waiting[channel, run]
            waiting.discard(event)
            if not waiting:
                del self._waiting[channel, run]

    async def ready(self, *, within: float = ANSWER_SECONDS) -> None:
        """Returns when the subscription stands: from then on no growth is missed.

        Raises WorkspaceUnavailable when it does not stand `within` so many seconds.
        """
        self._start()
        try:
            async with asyncio.timeout(within):
                await self._subscribed.wait()
        except TimeoutError:
            raise WorkspaceUnavailable("wakeups: Redis does not answer") from None

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._listen(), name="wakeups")

    async def _listen(self) -> None:
        before = cancellations()
        while True:
            try:
                await self._follow(before)
            except FAILURES as error:
                heed(before)
                level = logging.WARNING if self._subscribed.is_set() else logging.DEBUG
                log.log(level, "wakeups: lost the subscription (%s); subscribing again", error)
                self._subscribed.clear()
                await asyncio.sleep(RECONNECT)

    async def _follow(self, before: int) -> None:
        """One subscription, until it breaks. `before`: cancellations that are not meant for it."""
        if isinstance(self._redis, redis.asyncio.Redis):
            with suppress(ValueError):  # it finds its server in a way of its own
                await self._tapped(Address.of(self._redis.connection_pool))
        clock = asyncio.get_running_loop().time
        beat = CLUSTER_BEAT if isinstance(self._redis, RedisCluster) else BEAT
        async with await self._pubsub() as pubsub:
            await pubsub.subscribe(WAKE, CANCEL)
            alive, due = clock(), clock() + beat
            while True:
                message = await pubsub.get_message(timeout=max(0.01, due - clock()))
                heed(before)  # redis-py loses a cancellation that comes while it reads
                if message is not None:
                    alive = clock()
                    self._heard(message)
                if clock() >= due:
                    due = clock() + beat
                    if clock() - alive > SILENT:
                        raise ConnectionError(f"no sign of life for {clock() - alive:.0f} s")
                    await pubsub.ping()
                    self._wake(WAKE)

    async def _tapped(self, address: Address) -> None:
        """On one server. Raises ConnectionError when it breaks."""
        tap = await Tap.on(address, (WAKE, CANCEL), self._pushed)
        try:
            silent = False
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(BEAT):
                        await tap.lost()
                    raise ConnectionError("it was closed")
                if silent and tap.silence() > SILENT:
                    raise ConnectionError(f"no sign of life for {tap.silence():.0f} s")
                silent = True
                tap.say("PING")
                self._wake(WAKE)
        finally:
            tap.drop("it was given up")

    def _pushed(self, kind: str, channel: str, text: str) -> None:
        self._heard({"type": kind, "channel": channel, "data": text})

    async def _pubsub(self) -> PubSub:
        """On the server, or on a node of the cluster: a different one each time, as one may be away."""
        if not isinstance(self._redis, RedisCluster):
            return self._redis.pubsub()
        await self._redis.initialize()
        nodes = self._redis.get_primaries()
        self._turn += 1
        return self._redis.pubsub(node=nodes[self._turn % len(nodes)])

    def _heard(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":
            self._wake(WAKE)
            self._wake(CANCEL)
            self._subscribed.set()
        elif message["type"] == "message":
            for event in self._waiting.get((message["channel"], message["data"]), ()):
                event.set()

    def _wake(self, channel: str) -> None:
        """Everybody who waits on a channel, whatever for."""
        for (waited, _), waiting in self._waiting.items():
            if waited == channel:
                for event in waiting:
                    event.set()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
