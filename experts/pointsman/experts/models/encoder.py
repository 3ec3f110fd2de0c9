"""The encoder that all small-model experts share: texts to vectors, in a thread of its own.

    encoder = Encoder()
    vectors = await encoder.embed(["a text", "another"])      # [2, 384] float32, unit length
    states = await encoder.tokens(["a text"])                 # one TokenStates per text
    encoder.close()

Requests of many coroutines are merged into batches (see batching.py). Loading starts at once and in the
thread, so making an Encoder costs nothing; the first call waits for it.
"""

import asyncio
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from pointsman.experts.models.batching import Piece, Ticket, next_batch
from pointsman.router.errors import ExpertFailed, ExpertTimeout

if TYPE_CHECKING:
    from pointsman.experts.models.minilm import MiniLm

log = logging.getLogger(__name__)

T = TypeVar("T")
Vectors: TypeAlias = NDArray[np.float32]
Progress: TypeAlias = Callable[[float], None]

DIM = 384
LAYERS = 6
WINDOW = 254
"""Tokens of a text that go through the model at once when token states are asked for."""
OVERLAP = 64
TOKEN_BUDGET = 2_048
CACHE_BYTES = 64 << 20
_ENTRY_BYTES = DIM * 4 + 200
_INLINE = 16
"""Up to this many texts are tokenised on the caller's thread: less work than the switch."""


@dataclass(frozen=True, slots=True)
class TokenStates:
    """vectors: [n_tokens, 384] float32, last hidden states without [CLS] and [SEP]; 384 for each of the layers
    where layers were asked for.

    offsets: (start, end) in characters of the text, one per token.
    """

    vectors: Vectors
    offsets: list[tuple[int, int]]


@dataclass(slots=True)
class EncoderCounts:
    """What went through so far. texts: asked for; cached: answered without the model."""

    texts: int = 0
    cached: int = 0
    pieces: int = 0
    batches: int = 0


class Encoder:
    """Owner of the model's thread. `threads`: cores that one forward pass uses (default: all)."""

    dim: int = DIM

    def __init__(
        self,
        *,
        threads: int | None = None,
        token_budget: int = TOKEN_BUDGET,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.counts = EncoderCounts()
        self._threads = threads or os.cpu_count() or 1
        self._token_budget = token_budget
        self._cache_limit = cache_bytes // _ENTRY_BYTES
        self._cache: OrderedDict[bytes, Vectors] = OrderedDict()
        self._cache_lock = threading.Lock()
        self._wake = threading.Condition()
        self._tickets: list[Ticket[Vectors]] = []
        self._closed = False
        self._model: Future[MiniLm] = Future()
        self._thread = threading.Thread(target=self._serve, name="encoder", daemon=True)
        self._thread.start()

    async def ready(self) -> None:
        """Returns when the model is loaded. Raises ExpertFailed when it cannot be."""
        await self._loaded()

    async def embed(
        self,
        texts: Sequence[str],
        *,
        deadline: float | None = None,
        progress: Progress | None = None,
    ) -> Vectors:
        """Unit vectors of the texts: [len(texts), 384] float32; texts are cut to 256 tokens.

        deadline: seconds since the epoch; ExpertTimeout when it passes. progress: told the share done
        (0..1), from another thread.
        """
        model = await self._loaded()
        self.counts.texts += len(texts)
        keys = [_key(t) for t in texts]
        known = self._recall(keys)
        missing = {k: t for k, t in zip(keys, texts, strict=True) if k not in known}
        if missing:
            tokens = await _off_loop(len(missing), model.tokenize, list(missing.values()))
            pieces = [Piece(t.ids, place) for place, t in enumerate(tokens)]
            made = await self._through(Ticket(pieces, time.time(), deadline, True, (), progress))
            fresh = dict(zip(missing, made, strict=True))
            self._remember(fresh)
            known |= fresh
        if not texts:
            return np.zeros((0, DIM), np.float32)
        return np.stack([known[k] for k in keys])

    async def tokens(
        self,
        texts: Sequence[str],
        *,
        layers: tuple[int, ...] = (LAYERS,),
        deadline: float | None = None,
        progress: Progress | None = None,
    ) -> list[TokenStates]:
        """Last hidden state of every token of the texts, or those of `layers` side by side. Not cached.

        layers: ascending, 1..6 from the first to the last, 0 for the embeddings. What a word is stands more
        plainly in the lower ones, what it means there in the upper ones.

        A text of more than WINDOW tokens is read in windows that overlap by OVERLAP tokens; each token
        has its state from the window where it stands farther from an edge. A token's state takes 1.5 kB:
        hand in some hundred texts at a time.
        """
        model = await self._loaded()
        if not texts:
            return []
        self.counts.texts += len(texts)

        def cut(texts: list[str]) -> "list[_Windowed]":
            return [_windowed(t.ids, t.offsets) for t in model.tokenize(texts, cut=False)]

        windowed = await _off_loop(len(texts), cut, list(texts))
        runs = [run for w in windowed for run in w.runs]
        pieces = [Piece(ids, place) for place, ids in enumerate(runs)]
        states = await self._through(Ticket(pieces, time.time(), deadline, False, layers, progress))
        at = iter(states)
        width = DIM * len(layers)
        return [w.joined([next(at) for _ in w.runs], width) for w in windowed]

    def close(self) -> None:
        """Ends the thread; what still waits gets ExpertFailed. May be called twice."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=30)

    async def _loaded(self) -> "MiniLm":
        if self._closed:
            raise ExpertFailed("the encoder is closed")
        if self._model.done():
            return self._model.result()
        return await asyncio.shield(asyncio.wrap_future(self._model))

    async def _through(self, ticket: Ticket[Vectors]) -> list[Vectors]:
        """Queues a ticket and waits for it. Cancelling the waiter takes its work out of the queue."""
        if not ticket.pieces:
            return []
        with self._wake:
            if self._closed:
                raise ExpertFailed("the encoder is closed")
            self._tickets.append(ticket)
            self._wake.notify()
        try:
            return await asyncio.wrap_future(ticket.future)
        except asyncio.CancelledError:
            self._forget(ticket)
            raise

    def _forget(self, ticket: Ticket[Vectors]) -> None:
        with self._wake:
            if ticket in self._tickets:
                self._tickets.remove(ticket)
            ticket.pieces.clear()

    # The thread.

    def _serve(self) -> None:
        model = self._load()
        while model is not None:
            with self._wake:
                self._wake.wait_for(lambda: self._tickets or self._closed)
                if self._closed:
                    break
                overdue = self._take_overdue(time.time())
                batch = next_batch(self._tickets, token_budget=self._token_budget)
            for ticket in overdue:
                _fail(ticket, ExpertTimeout("encoder", time.time() - ticket.arrived))
            if batch:
                self._run(model, batch)
        with self._wake:
            self._closed = True
            left, self._tickets = self._tickets, []
        for ticket in left:
            _fail(ticket, ExpertFailed("the encoder was closed before it came to this"))

    def _load(self) -> "MiniLm | None":
        # Every failure to load reaches those who wait for it: a border, as in the worker.
        try:
            import torch

            from pointsman.experts.models.minilm import MiniLm

            torch.set_num_threads(self._threads)
            model = MiniLm()
            model.embed([[1012]])
        except Exception as error:
            log.exception("the encoder cannot be loaded")
            self._model.set_exception(ExpertFailed(f"the encoder cannot be loaded: {error}"))
            return None
        self._model.set_result(model)
        return model

    def _take_overdue(self, now: float) -> list[Ticket[Vectors]]:
        overdue = [t for t in self._tickets if t.deadline is not None and t.deadline <= now]
        self._tickets = [t for t in self._tickets if t not in overdue and not t.future.cancelled()]
        return overdue

    def _run(self, model: "MiniLm", batch: list[tuple[Ticket[Vectors], Piece]]) -> None:
        rows = [piece.ids for _, piece in batch]
        try:
            if batch[0][0].pooled:
                made = list(model.embed(rows))
            else:
                states = model.states(rows, batch[0][0].layers)[0].numpy()
                made = [s[1 : len(r) + 1].copy() for s, r in zip(states, rows, strict=True)]
        except (RuntimeError, MemoryError) as error:
            for ticket in {id(t): t for t, _ in batch}.values():
                self._forget(ticket)
                _fail(ticket, ExpertFailed(f"the encoder failed on a batch: {error}"))
            return
        self.counts.batches += 1
        self.counts.pieces += len(batch)
        for (ticket, piece), vectors in zip(batch, made, strict=True):
            ticket.results[piece.place] = vectors
        for ticket in {id(t): t for t, _ in batch}.values():
            self._settle(ticket)

    def _settle(self, ticket: Ticket[Vectors]) -> None:
        if ticket.progress is not None:
            ticket.progress(len(ticket.results) / ticket.total)
        if ticket.complete:
            self._forget(ticket)
            if ticket.future.set_running_or_notify_cancel():
                ticket.future.set_result(ticket.ordered())

    # The cache: least recently used vectors go first.

    def _recall(self, keys: Sequence[bytes]) -> dict[bytes, Vectors]:
        known: dict[bytes, Vectors] = {}
        with self._cache_lock:
            for key in keys:
                vector = self._cache.get(key)
                if vector is not None:
                    self._cache.move_to_end(key)
                    known[key] = vector
        self.counts.cached += len(known)
        return known

    def _remember(self, fresh: dict[bytes, Vectors]) -> None:
        with self._cache_lock:
            self._cache.update(fresh)
            while len(self._cache) > self._cache_limit:
                self._cache.popitem(last=False)


@dataclass(frozen=True, slots=True)
class _Windowed:
    """A text's tokens, cut into overlapping runs. starts[i]: index of the first token of runs[i]."""

    runs: list[list[int]]
    starts: list[int]
    offsets: list[tuple[int, int]]

    def joined(self, states: list[Vectors], width: int) -> TokenStates:
        if not states:
            return TokenStates(np.zeros((0, width), np.float32), [])
        parts: list[Vectors] = []
        done = 0
        for n, (start, state) in enumerate(zip(self.starts, states, strict=True)):
            last = n == len(states) - 1
            end = start + len(state) if last else self.starts[n + 1] + OVERLAP // 2
            parts.append(state[done - start : end - start])
            done = end
        return TokenStates(np.concatenate(parts), self.offsets)


def _windowed(ids: list[int], offsets: list[tuple[int, int]]) -> _Windowed:
    step = WINDOW - OVERLAP
    starts = list(range(0, max(1, len(ids) - OVERLAP), step)) if ids else []
    return _Windowed([ids[s : s + WINDOW] for s in starts], starts, offsets)


async def _off_loop(
    count: int, work: "Callable[[list[str]], list[T]]", texts: list[str]
) -> "list[T]":
    if count <= _INLINE and sum(map(len, texts)) < 20_000:
        return work(texts)
    return await asyncio.to_thread(work, texts)


def _fail(ticket: Ticket[Vectors], error: ExpertFailed | ExpertTimeout) -> None:
    if ticket.future.set_running_or_notify_cancel():
        ticket.future.set_exception(error)


def _key(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
