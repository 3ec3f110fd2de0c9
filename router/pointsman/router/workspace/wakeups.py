"""Who waits for a run's bus is woken the moment it grows: one subscription for a whole process.

The bus is the truth, the channel only a tap on the shoulder: whoever wakes reads the bus from where it
stood. When the subscription breaks, everybody is woken once it stands again, so nothing is missed.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis.exceptions import RedisError

from pointsman.router.workspace.connection import Redis
from pointsman.router.workspace.keys import CANCEL, WAKE

log = logging.getLogger(__name__)

RECONNECT = 0.5
"""Seconds between attempts to subscribe again."""
QUIET = 20.0
"""Seconds without a message after which the connection is read anew."""


class Wakeups:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waiting: dict[tuple[str, str], set[asyncio.Event]] = defaultdict(set)
        self._subscribed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

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

    async def ready(self) -> None:
        """Returns when the subscription stands: from then on no growth is missed."""
        self._start()
        await self._subscribed.wait()

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._listen(), name="wakeups")

    async def _listen(self) -> None:
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=False) as pubsub:
                    await pubsub.subscribe(WAKE, CANCEL)
                    while True:
                        self._heard(await pubsub.get_message(timeout=QUIET))
            except RedisError as error:
                self._subscribed.clear()
                log.warning("wakeups: lost the subscription (%s); subscribing again", error)
                await asyncio.sleep(RECONNECT)

    def _heard(self, message: dict[str, Any] | None) -> None:
        if message is None:
            return
        if message["type"] == "subscribe":
            self._wake_all()
            self._subscribed.set()
        elif message["type"] == "message":
            for event in self._waiting.get((message["channel"], message["data"]), ()):
                event.set()

    def _wake_all(self) -> None:
        for waiting in self._waiting.values():
            for event in waiting:
                event.set()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
