"""The encoder that all small-model experts share: texts to vectors, on the expert host.

    encoder = Encoder()
    vectors = await encoder.embed(["a text", "another"])      # [2, 384] float32, unit length
    states = await encoder.tokens(["a text"])                 # one TokenStates per text
    encoder.close()

Requests of many coroutines are merged into batches (see host.py), also with those of experts that have
adapters. Loading starts at once, so making an Encoder costs nothing; the first call waits for it.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pointsman.experts.models.batching import Piece, Ticket
from pointsman.experts.models.host import CHARACTERS, Host, off_loop
from pointsman.experts.models.readings import LAYERS, STATES, Reading
from pointsman.experts.models.tuned import TOKEN_BUDGET

Vectors: TypeAlias = NDArray[np.float32]
Progress: TypeAlias = Callable[[float], None]

DIM = 384
WINDOW = 254
"""Tokens of a text that go through the model at once when token states are asked for."""
OVERLAP = 64
CACHE_BYTES = 64 << 20
_ENTRY_BYTES = DIM * 4 + 200


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
    """What was asked for so far. texts: asked for; cached: answered without the model."""

    texts: int = 0
    cached: int = 0


class Encoder:
    """Vectors and states of texts. `host`: the one to read on; without it one of its own, which `threads`
    (cores that one forward pass uses; default: all) and `token_budget` are for.
    """

    dim: int = DIM

    def __init__(
        self,
        *,
        threads: int | None = None,
        token_budget: int = TOKEN_BUDGET,
        cache_bytes: int = CACHE_BYTES,
        host: Host | None = None,
    ) -> None:
        self.counts = EncoderCounts()
        self.host = host if host is not None else Host(threads=threads, token_budget=token_budget)
        self._cache_limit = cache_bytes // _ENTRY_BYTES
        self._cache: OrderedDict[bytes, Vectors] = OrderedDict()
        self._cache_lock = threading.Lock()

    async def ready(self) -> None:
        """Returns when the model is loaded. Raises ExpertFailed when it cannot be."""
        await self.host.ready()

    async def embed(
        self,
        texts: Sequence[str],
        *,
        deadline: float | None = None,
        progress: Progress | None = None,
    ) -> Vectors:
        """Unit vectors of the texts: [len(texts), 384] float32; texts are cut to 256 tokens.

        deadline: seconds since the epoch; ExpertTimeout when it passes, ExpertOverloaded when it would.
        progress: told the share done (0..1), from another thread.
        """
        await self.host.ready()
        self.counts.texts += len(texts)
        keys = [_key(t) for t in texts]
        known = self._recall(keys)
        missing = {k: t for k, t in zip(keys, texts, strict=True) if k not in known}
        if missing:
            made = await self.host.read(
                list(missing.values()), deadline=deadline, progress=progress
            )
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
        model = await self.host.model()
        if not texts:
            return []
        self.counts.texts += len(texts)

        def cut(texts: list[str]) -> "list[_Windowed]":
            return [_windowed(t.ids, t.offsets) for t in model.tokenize(texts, cut=False)]

        self.host.admit(sum(len(t) // CHARACTERS + 2 for t in texts), deadline, "normal")
        windowed = await off_loop(len(texts), cut, list(texts))
        runs = [run for w in windowed for run in w.runs]
        pieces = [Piece(ids, place) for place, ids in enumerate(runs)]
        reading = STATES if layers == (LAYERS,) else Reading("states", layers=layers)
        states = await self.host.through(Ticket(pieces, time.time(), deadline, reading, progress))
        at = iter(states)
        width = DIM * len(layers)
        return [w.joined([next(at) for _ in w.runs], width) for w in windowed]

    def close(self) -> None:
        """Ends the host; what still waits gets ExpertFailed. May be called twice."""
        self.host.close()

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


def _key(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
