"""How far a clause lies outside of what the catalog says of itself.

The scope of a catalog (scope.py) is learned from its own words: examples, titles and descriptions; beside them
stand examples of what people ask for and no built-in capability was made for. A capability that somebody adds
for one of these ("translate") has words of its own that are nearer, and wins.
"""

import asyncio
import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from pointsman.router.catalog import Capability, Catalog
from pointsman.router.planning.base import Embedder, Vectors
from pointsman.router.planning.retrieval import masked
from pointsman.router.planning.scope import Scope

log = logging.getLogger(__name__)

EXAMPLES = (
    "book me a flight to Lisbon",
    "reserve a table at a restaurant for tonight",
    "order a pizza for delivery",
    "buy this product for me",
    "send an email to my boss",
    "text my wife that I am late",
    "call the support line",
    "set an alarm for 7 am",
    "remind me to take out the trash",
    "add a meeting to my calendar",
    "play some music",
    "turn off the lights",
    "what is the weather in Berlin today",
    "who won the world cup in 2018",
    "what is the capital of France",
    "who wrote Hamlet",
    "tell me a joke",
    "what is the meaning of life",
    "write a poem about the sea",
    "write me a short story",
    "write an essay on climate change",
    "write a cover letter for my job application",
    "write a Python function that sorts a list",
    "fix the bug in my code",
    "translate this to French",
    "how do you say good morning in Spanish",
    "delete all files on the server",
    "drop the database",
    "transfer 500 dollars to my savings account",
    "pay my electricity bill",
    "what is the stock price of Apple",
    "convert 100 dollars to euros",
    "recommend a good movie",
    "what should I cook for dinner",
    "give me directions to the airport",
    "generate an image of a cat",
    "draw me a picture of a house",
    "make a video from these photos",
    "transcribe this audio recording",
    "how are you today",
    "are you a robot",
    "what is your name",
    "restart the server",
    "deploy the application to production",
    "log in to my account",
    "what is my bank balance",
    "predict tomorrow's sales with a neural network",
    "forecast next year's revenue",
    "train a model on this",
    "explain quantum mechanics",
)
MOST = 800
"""Lines of a catalog that its scope is learned from, in about a second; of a larger one capabilities are drawn."""
KEPT = 8
"""Catalogs whose scope is kept."""
FORM = 1
"""Goes up when scopes are fitted otherwise, so that no old fit is taken."""
KEPT_ARRAYS = {"centre", "spread", "weights", "bias", "held_out"}


@dataclass(frozen=True, slots=True)
class Outside:
    """odds: log-odds of being in scope. nearness: cosine to the nearest example of what is not."""

    odds: float
    nearness: float


@dataclass(frozen=True, slots=True)
class _Known:
    version: int
    capabilities: tuple[Capability, ...]
    scope: Scope


class Foreign:
    """Scopes of catalogs; one instance may serve many.

    cache: a folder in which fits are kept, so that a start does not fit again; it may be deleted at any time.
    """

    def __init__(self, embedder: Embedder, cache: Path | None = None) -> None:
        self._embedder = embedder
        self._cache = cache
        self._examples: Vectors | None = None
        self._known: dict[int, _Known] = {}
        self._learning = asyncio.Lock()

    async def outside(self, text: str, catalog: Catalog) -> Outside:
        """Evidence on one clause. An empty catalog has nothing in scope."""
        if not len(catalog):
            return Outside(float("-inf"), 1.0)
        async with self._learning:  # learned once for all who wait for it
            scope = await self._scope(catalog)
        query = await self._embedder.embed([masked(text)])
        examples = await self._outside_examples()
        return Outside(float(scope.score(query)[0]), float(np.max(examples @ query[0])))

    async def _outside_examples(self) -> Vectors:
        if self._examples is None:
            self._examples = await self._embedder.embed([masked(e) for e in EXAMPLES])
        return self._examples

    async def _scope(self, catalog: Catalog) -> Scope:
        capabilities = tuple(catalog)
        held = self._known.get(id(catalog))
        if (
            held is not None
            and held.version == catalog.version
            and held.capabilities == capabilities
        ):
            return held.scope
        lines = _drawn(capabilities)
        vectors = await self._embedder.embed([line for _, line in lines])
        labels = np.array([place for place, _ in lines], np.int64)
        outside = await self._outside_examples()
        # seconds of arithmetic: in a thread, for leases and streams go on meanwhile
        scope = await asyncio.to_thread(self._fitted, vectors, labels, outside)
        if len(self._known) >= KEPT:
            self._known.clear()
        self._known[id(catalog)] = _Known(catalog.version, capabilities, scope)
        return scope

    def _fitted(self, vectors: Vectors, labels: NDArray[np.int64], outside: Vectors) -> Scope:
        """As it was kept, or fitted and kept."""
        if self._cache is None:
            return Scope.fit(vectors, labels, outside=outside)
        held = b"".join(a.tobytes() for a in (vectors, labels, outside))
        path = self._cache / f"scope-{FORM}-{hashlib.sha256(held).hexdigest()[:32]}.safetensors"
        kept = _read(path)
        if kept is not None:
            return Scope.again(kept, vectors, labels, outside=outside)
        scope = Scope.fit(vectors, labels, outside=outside)
        _keep(path, scope)
        return scope


def _read(path: Path) -> dict[str, NDArray[np.float64]] | None:
    try:
        found = dict(load_file(path))
    except (OSError, SafetensorError):
        return None
    return found if found.keys() == KEPT_ARRAYS else None


def _keep(path: Path, scope: Scope) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".new", delete=False) as file:
            file.write(save(scope.arrays()))
        os.replace(file.name, path)
    except OSError as error:
        log.warning("the scope of the catalog is not kept: %s", error)


def _lines(capability: Capability) -> Iterator[str]:
    """What a capability says of itself."""
    yield from (masked(example) for example in capability.examples)
    yield capability.title or capability.name.replace(".", " ").replace("_", " ")
    yield capability.description


def _drawn(capabilities: Sequence[Capability]) -> list[tuple[int, str]]:
    """Lines with the place of their capability: of all, or of as many as MOST lines allow."""
    order = list(range(len(capabilities)))
    if sum(len(c.examples) + 2 for c in capabilities) > MOST:
        order.sort(key=lambda place: _draw(capabilities[place].name))
    lines: list[tuple[int, str]] = []
    for place in order:
        lines += [(place, line) for line in _lines(capabilities[place])]
        if len(lines) >= MOST:
            break
    return lines


def _draw(line: str) -> bytes:
    return hashlib.sha256(line.encode()).digest()
