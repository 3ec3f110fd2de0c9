"""Values of string parameters as spans of a request, by a small trained head over the encoder's token states.

    reader = SpanReader(encoder, encoder)
    found = await reader.read("a table for two under the name of Okafor", capability.properties)
    found["last_name"].text                                          # "Okafor"

A parameter is known by its name, description and example values only, so that catalogs never seen in training
are read. The shipped weights were trained on the train parts of RESTAURANTS-8K (Coope et al. 2020, arXiv
2005.08866; github.com/PolyAI-LDN/task-specific-datasets) and of the NLU evaluation data of Liu et al. (2019,
arXiv 1903.05566; github.com/xliuhw/NLU-Evaluation-Data), both under CC BY 4.0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pointsman.router.planning.arguments.span_head import LAYERS, QUERY, SpanHead, best_tags
from pointsman.router.planning.arguments.span_shapes import shapes
from pointsman.router.planning.base import Embedder
from pointsman.router.planning.tables.words import split_name
from pointsman.router.values import Schema

__all__ = [
    "Slot",
    "Span",
    "SpanReader",
    "TokenEmbedder",
    "TokenVectors",
    "queries_of",
    "shipped_head",
    "slots_of",
]

Floats: TypeAlias = NDArray[np.float32]

VALUES = 12
"""Example values of a slot that are looked at."""
FLOOR = 0.5
"""Least mean probability of a span's tags."""


class TokenVectors(Protocol):
    """Token states of one text: [n, width] float32, and (start, end) in characters of each token."""

    @property
    def vectors(self) -> Floats: ...
    @property
    def offsets(self) -> list[tuple[int, int]]: ...


class TokenEmbedder(Protocol):
    """Texts to token states, those of several layers side by side. Served by the encoder that experts share."""

    async def tokens(
        self, texts: Sequence[str], *, layers: tuple[int, ...]
    ) -> Sequence[TokenVectors]: ...


@dataclass(frozen=True, slots=True)
class Slot:
    """What can be asked of a text. values: a few of its values, as people would say them."""

    name: str
    description: str = ""
    values: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        named = " ".join(split_name(self.name))
        return f"{named}: {self.description}" if self.description else named


@dataclass(frozen=True, slots=True)
class Span:
    """Where a slot's value stands in the text. score: 0..1, mean probability of its tags."""

    slot: str
    start: int
    end: int
    text: str
    score: float


class SpanReader:
    """Reads spans. `head`: the shipped one when not given. May be shared: it keeps nothing but slot queries."""

    def __init__(
        self, tokens: TokenEmbedder, embedder: Embedder, head: SpanHead | None = None
    ) -> None:
        self._tokens, self._embedder = tokens, embedder
        self._head = head or shipped_head()
        self._queries: dict[Slot, Floats] = {}

    async def read(
        self,
        text: str,
        parameters: Mapping[str, Schema],
        *,
        requested: str | None = None,
        examples: Mapping[str, Sequence[str]] | None = None,
        floor: float = FLOOR,
    ) -> dict[str, Span]:
        """The surest span of each parameter that the text says, by the parameter's name.

        parameters: JSON Schemas of those to be read; leave out what patterns read better (numbers, e-mail).
        requested: the parameter that the user was asked for. examples: known values of parameters, beside the
        schemas' own `examples`. floor: least score of a span.
        """
        slots = slots_of(parameters, examples)
        found = (await self.spans([text], slots, requested=[{requested} if requested else set()]))[
            0
        ]
        best: dict[str, Span] = {}
        for span in found:
            if span.score >= floor and (
                span.slot not in best or span.score > best[span.slot].score
            ):
                best[span.slot] = span
        return best

    async def spans(
        self,
        texts: Sequence[str],
        slots: Sequence[Slot],
        *,
        requested: Sequence[set[str]] | None = None,
    ) -> list[list[Span]]:
        """All spans of each text, in order, without overlap. requested: names of slots asked for, one set a text."""
        if not slots or not texts:
            return [[] for _ in texts]
        queries = await self._known(slots)
        states = await self._tokens.tokens(texts, layers=LAYERS)
        wanted = requested or [set() for _ in texts]
        return [
            self._of_one(text, state, slots, queries, asked)
            for text, state, asked in zip(texts, states, wanted, strict=True)
        ]

    async def _known(self, slots: Sequence[Slot]) -> Floats:
        new = [s for s in dict.fromkeys(slots) if s not in self._queries]
        if new:
            made = await queries_of(self._embedder, new)
            self._queries |= dict(zip(new, made, strict=True))
        return np.stack([self._queries[s] for s in slots])

    def _of_one(
        self,
        text: str,
        state: TokenVectors,
        slots: Sequence[Slot],
        queries: Floats,
        asked: set[str],
    ) -> list[Span]:
        if not state.offsets:
            return []
        context = self._head.context(state.vectors, shapes(text, state.offsets))
        flags = np.array([s.name in asked for s in slots], np.float32)
        chances = self._head.log_chances(context, queries, flags)
        tags = best_tags(chances)
        found: list[Span] = []
        for first, last in _runs(tags):
            start, end = state.offsets[first][0], state.offsets[last][1]
            score = float(
                np.exp(chances[np.arange(first, last + 1), tags[first : last + 1]]).mean()
            )
            name = slots[(int(tags[first]) - 1) // 2].name
            found.append(Span(name, start, end, text[start:end], score))
        return found


def _runs(tags: NDArray[np.int64]) -> list[tuple[int, int]]:
    """First and last token of each span: a begin tag and the inside tags after it."""
    runs: list[tuple[int, int]] = []
    for at, tag in enumerate(tags.tolist()):
        if tag % 2 == 1:
            runs.append((at, at))
        elif tag and runs:
            runs[-1] = (runs[-1][0], at)
    return runs


def slots_of(
    parameters: Mapping[str, Schema], examples: Mapping[str, Sequence[str]] | None = None
) -> list[Slot]:
    """A slot for each parameter: its name, its description, and the strings of its examples and its enum."""
    made: list[Slot] = []
    for name, schema in parameters.items():
        given = [
            *(examples or {}).get(name, ()),
            *schema.get("examples", ()),
            *schema.get("enum", ()),
        ]
        values = tuple(dict.fromkeys(v for v in given if isinstance(v, str) and v))
        made.append(Slot(name, str(schema.get("description") or ""), values[:VALUES]))
    return made


async def queries_of(embedder: Embedder, slots: Sequence[Slot]) -> Floats:
    """[len(slots), QUERY] float32: the vector of each slot's words, and the mean of its values' vectors or zeros."""
    texts = [s.words for s in slots] + [v for s in slots for v in s.values[:VALUES]]
    vectors = await embedder.embed(texts)
    made = np.zeros((len(slots), QUERY), np.float32)
    at = len(slots)
    for row, slot in enumerate(slots):
        made[row, : QUERY // 2] = vectors[row]
        count = len(slot.values[:VALUES])
        if count:
            made[row, QUERY // 2 :] = mean_vector(vectors[at : at + count])
        at += count
    return made


def mean_vector(vectors: Floats) -> Floats:
    """The mean of [n, dim] vectors, n at least one, at unit length: [dim] float32."""
    mean = vectors.mean(0)
    made: Floats = mean / max(float(np.linalg.norm(mean)), 1e-6)
    return made


@cache
def shipped_head() -> SpanHead:
    folder = files("pointsman.router.planning.learned") / "weights"
    return SpanHead.load(Path(str(folder / "spans.safetensors")))
