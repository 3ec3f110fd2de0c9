"""The expert host: the one thread that owns the backbone, and the queue before it.

    host = Host()
    (scores,) = await host.read(["a text"], reading)      # what the expert's head says, [outputs] float32
    await host.drain(10.0)                                # takes nothing new, finishes what waits, ends

Requests of many coroutines, for many experts, are merged into batches (batching.py) that go through the
backbone once (readings.py). Work that would not be done by its deadline because of what waits before it is
refused at once, with the time after which it is worth coming back; so is what the queue has no room for.
Loading starts at once and in the thread, so making a Host costs nothing; the first call waits for it.
"""

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from pointsman.experts.models.batching import Piece, Priority, Ticket, due, next_batch
from pointsman.experts.models.hosting import HostCounts, Load, Pace
from pointsman.experts.models.readings import EMBEDDING, Floats, Reading, read
from pointsman.experts.models.tuned import TOKEN_BUDGET
from pointsman.router.errors import (
    ExpertFailed,
    ExpertOverloaded,
    ExpertTimeout,
    ExpertUnavailable,
)

if TYPE_CHECKING:
    from pointsman.experts.models.minilm import MiniLm
    from pointsman.experts.models.mixing import Mixer

log = logging.getLogger(__name__)

T = TypeVar("T")
Progress: TypeAlias = Callable[[float], None]

NAME = "minilm"
ROOM = 2_000_000
"""Tokens that may wait: about 70 MB. What finds the queue empty is taken whatever its size."""
CHARACTERS = 4
"""Of a token, about: what admission goes by, before anything is tokenised."""
MARGIN = 0.8
"""Share of the time to a deadline by which work must be expected to be done to be taken."""
_INLINE = 16
"""Up to this many texts are tokenised on the caller's thread: less work than the switch."""


class Host:
    """Owner of the model's thread. `threads`: cores that one forward pass uses (default: all)."""

    def __init__(
        self, *, threads: int | None = None, token_budget: int = TOKEN_BUDGET, room: int = ROOM
    ) -> None:
        self.counts = HostCounts()
        self._threads = threads or os.cpu_count() or 1
        self._token_budget = token_budget
        self._room = room
        self._pace = Pace()
        self._wake = threading.Condition()
        self._tickets: list[Ticket[Floats]] = []
        self._running = 0
        self._draining = False
        self._closed = False
        self._model: Future[MiniLm] = Future()
        self._thread = threading.Thread(target=self._serve, name="expert host", daemon=True)
        self._thread.start()

    async def ready(self) -> None:
        """Returns when the model is loaded and has read a first text. Raises ExpertFailed when it cannot."""
        await self.model()

    async def model(self) -> "MiniLm":
        """The backbone, for its tokeniser. Raises ExpertFailed."""
        if self._closed:
            raise ExpertFailed("the expert host is closed")
        if self._model.done():
            return self._model.result()
        return await asyncio.shield(asyncio.wrap_future(self._model))

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def load(self) -> Load:
        """How full the queue is now."""
        now = time.time()
        with self._wake:
            oldest = min((t.arrived for t in self._tickets), default=now)
            return Load(
                requests=len(self._tickets),
                texts=sum(len(t.pieces) for t in self._tickets),
                tokens=sum(t.left for t in self._tickets) + self._running,
                oldest=max(0.0, now - oldest),
                tokens_per_second=self._pace.tokens_per_second,
            )

    async def read(
        self,
        texts: Sequence[str],
        reading: Reading = EMBEDDING,
        *,
        deadline: float | None = None,
        priority: Priority = "normal",
        progress: Progress | None = None,
    ) -> list[Floats]:
        """What an expert reads in each text; texts are cut to 256 tokens.

        deadline: seconds since the epoch. progress: told the share done (0..1), from another thread. Raises
        ExpertOverloaded when it is not taken, ExpertTimeout when the deadline passes, ExpertFailed.
        """
        model = await self.model()
        self.admit(sum(len(t) // CHARACTERS + 2 for t in texts), deadline, priority)
        tokens = await off_loop(len(texts), model.tokenize, list(texts))
        pieces = [Piece(t.ids, place) for place, t in enumerate(tokens)]
        return await self.through(
            Ticket(pieces, time.time(), deadline, reading, progress, priority)
        )

    def admit(self, tokens: int, deadline: float | None, priority: Priority) -> None:
        """Raises ExpertOverloaded when so many more tokens would not be done in time, or find no room."""
        now = time.time()
        with self._wake:
            if not self._tickets:
                return
            mine = due(now, tokens, priority, deadline)
            ahead = self._running + sum(t.left for t in self._tickets if t.due <= mine)
            waiting = sum(t.left for t in self._tickets)
            speed = self._pace.tokens_per_second
        late = 0.0
        if deadline is not None:
            late = (ahead + tokens) / speed - MARGIN * (deadline - now)
        if waiting + tokens > self._room:
            late = max(late, (waiting + tokens - self._room) / speed)
        if late > 0:
            self.counts.refused += 1
            raise ExpertOverloaded(NAME, max(0.1, late))

    async def through(self, ticket: Ticket[Floats]) -> list[Floats]:
        """Queues a ticket and waits for it. Cancelling the waiter takes its work out of the queue."""
        if not ticket.pieces:
            return []
        with self._wake:
            if self._closed:
                raise ExpertFailed("the expert host is closed")
            if self._draining:
                raise ExpertUnavailable("the expert host is being stopped; ask another")
            self._tickets.append(ticket)
            self.counts.requests += 1
            self._wake.notify()
        try:
            return await asyncio.wrap_future(ticket.future)
        except asyncio.CancelledError:
            self.counts.cancelled += 1
            self._forget(ticket)
            raise

    async def drain(self, seconds: float) -> bool:
        """Takes nothing new, lets what waits be finished for so long, and ends. Whether all was finished."""
        with self._wake:
            self._draining = True
        ends = time.time() + seconds
        while self.alive and time.time() < ends:
            with self._wake:
                if not self._tickets:
                    break
            await asyncio.sleep(0.01)
        with self._wake:
            done = not self._tickets
        await asyncio.to_thread(self.close)
        return done

    def close(self) -> None:
        """Ends the thread; what still waits gets ExpertFailed. May be called twice."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=30)

    def _forget(self, ticket: Ticket[Floats]) -> None:
        with self._wake:
            if ticket in self._tickets:
                self._tickets.remove(ticket)
            ticket.pieces.clear()

    # The thread.

    def _serve(self) -> None:
        loaded = self._load()
        while loaded is not None:
            with self._wake:
                self._wake.wait_for(lambda: self._tickets or self._closed)
                if self._closed:
                    break
                overdue = self._take_overdue(time.time())
                batch = next_batch(self._tickets, token_budget=self._token_budget)
                self._running = sum(len(p.ids) + 2 for _, p in batch)
            for ticket in overdue:
                self.counts.late += 1
                _fail(ticket, ExpertTimeout(NAME, time.time() - ticket.arrived))
            if batch:
                self._run(*loaded, batch)
        with self._wake:
            self._closed = True
            left, self._tickets = self._tickets, []
        for ticket in left:
            _fail(ticket, ExpertFailed("the expert host was closed before it came to this"))

    def _load(self) -> "tuple[MiniLm, Mixer] | None":
        # Every failure to load reaches those who wait for it: a border, as in the worker.
        try:
            import torch

            from pointsman.experts.models.minilm import MiniLm
            from pointsman.experts.models.mixing import Mixer

            torch.set_num_threads(self._threads)
            model, mixer = MiniLm(), Mixer()
            model.embed([[1012]])
        except Exception as error:
            log.exception("the backbone cannot be loaded")
            self._model.set_exception(ExpertFailed(f"the backbone cannot be loaded: {error}"))
            return None
        self._model.set_result(model)
        return model, mixer

    def _take_overdue(self, now: float) -> list[Ticket[Floats]]:
        overdue = [t for t in self._tickets if t.deadline is not None and t.deadline <= now]
        gone = {id(t) for t in overdue}
        self._tickets = [t for t in self._tickets if id(t) not in gone and not t.future.cancelled()]
        return overdue

    def _run(
        self, model: "MiniLm", mixer: "Mixer", batch: list[tuple[Ticket[Floats], Piece]]
    ) -> None:
        begun = time.perf_counter()
        tickets = {id(t): t for t, _ in batch}.values()
        try:
            made = read(model, mixer, [(p.ids, t.reading) for t, p in batch])
        except (RuntimeError, MemoryError) as error:
            self.counts.failed += len(tickets)
            for ticket in tickets:
                self._forget(ticket)
                _fail(ticket, ExpertFailed(f"the backbone failed on a batch: {error}"))
            return
        finally:
            self._running = 0
        took = time.perf_counter() - begun
        tokens = [len(p.ids) + 2 for _, p in batch]
        experts = len({id(t.reading) for t in tickets})
        self.counts.ran(len(batch), sum(tokens), max(tokens) * len(batch), took, experts)
        self._pace.saw(sum(tokens), took)
        for (ticket, piece), output in zip(batch, made, strict=True):
            ticket.results[piece.place] = output
        for ticket in tickets:
            self._settle(ticket)

    def _settle(self, ticket: Ticket[Floats]) -> None:
        if ticket.progress is not None:
            ticket.progress(len(ticket.results) / ticket.total)
        if ticket.complete:
            self._forget(ticket)
            if ticket.future.set_running_or_notify_cancel():
                ticket.future.set_result(ticket.ordered())


async def off_loop(count: int, work: Callable[[list[str]], list[T]], texts: list[str]) -> list[T]:
    """Work on texts: at once where it is less than the switch to a thread, else in one."""
    if count <= _INLINE and sum(map(len, texts)) < 20_000:
        return work(texts)
    return await asyncio.to_thread(work, texts)


@contextlib.asynccontextmanager
async def hosting(**settings: int) -> AsyncIterator[Host]:
    """A host that is closed at the end."""
    host = Host(**settings)
    try:
        yield host
    finally:
        await asyncio.to_thread(host.close)


def _fail(ticket: Ticket[Floats], error: ExpertFailed | ExpertTimeout) -> None:
    if ticket.future.set_running_or_notify_cancel():
        ticket.future.set_exception(error)
