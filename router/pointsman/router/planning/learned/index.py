"""A catalog made searchable: several vectors a capability, compared by soft late interaction, and its words.

A capability is known by its name, its description, its parameters, its examples and its composition hints;
each is a vector of its own, so that one good line is enough and many fair ones help (a soft maximum over the
lines, after the late interaction of Khattab and Zaharia 2020, arXiv 2004.12832).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointsman.router.catalog import Capability
from pointsman.router.planning.base import Vectors
from pointsman.router.planning.learned.lexical import Lexicon, content
from pointsman.router.planning.nearest import Nearest
from pointsman.router.planning.retrieval import masked

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
NAME, DESCRIPTION, PARAMETERS, EXAMPLE, COMPOSITION = range(5)
SOFTNESS = 0.05
"""Cosine at which a line counts e times less than the best one."""
MOST_PARAMETERS = 12
MOST_EXAMPLES = 32
SMALL = 1_000
"""Catalogs of up to this many capabilities are compared whole, larger ones by what is near."""
NEAR_LINES, NEAR_WORDS = 96, 32
"""Of a larger catalog: lines by meaning and capabilities by words that are looked at."""


def words_of(name: str) -> str:
    return name.replace(".", " ").replace("_", " ")


def lines(capability: Capability) -> list[tuple[int, str]]:
    """What a capability is known by: (kind, text)."""
    name = words_of(capability.name)
    made = [
        (NAME, capability.title or name),
        (DESCRIPTION, f"{name}: {capability.description}"),
    ]
    if capability.properties:
        made.append((PARAMETERS, f"{name} {parameters_of(capability.properties)}"))
    made += [(EXAMPLE, masked(e)) for e in capability.examples[:MOST_EXAMPLES]]
    return made + [(COMPOSITION, hint) for hint in capability.composition[:MOST_EXAMPLES]]


def parameters_of(properties: Mapping[str, Mapping[str, object]]) -> str:
    """Names and descriptions of parameters in one line."""
    told = (
        f"{words_of(name)} {str(schema.get('description', ''))[:60]}".strip()
        for name, schema in list(properties.items())[:MOST_PARAMETERS]
    )
    return ", ".join(told)


@dataclass(frozen=True, slots=True)
class Nearness:
    """How near a request is to the capabilities that are looked at.

    places: their rows in the catalog, ascending, [looked]. The others are [looked] float32 each. name,
    description, example: cosine of that line (the best example; the best line where it has none). best: of all
    lines. soft: the soft maximum over the lines. words: cosine of the weighted words. bridged: of the moved
    request (bridge.py) with name and description.
    """

    places: Rows
    name: Floats
    description: Floats
    example: Floats
    best: Floats
    soft: Floats
    words: Floats
    bridged: Floats


class CapabilityIndex:
    """Lines of capabilities with their vectors. `vectors`: [lines, dim] float32 in the order of `lines`."""

    def __init__(self, capabilities: Sequence[Capability], vectors: Vectors) -> None:
        self.capabilities = tuple(capabilities)
        self.places = {c.name: i for i, c in enumerate(self.capabilities)}
        told = [lines(c) for c in self.capabilities]
        self._counts = np.array([len(one) for one in told], np.int64)
        self._vectors = vectors
        self._starts = (np.cumsum(self._counts) - self._counts).astype(np.int64)
        self._owners = np.repeat(np.arange(len(told)), self._counts)
        self._is_example = np.array([k == EXAMPLE for one in told for k, _ in one])
        self._lexicon = Lexicon([" ".join(t for _, t in one) for one in told], content)
        self._nearest = Nearest(vectors)
        self._all = np.arange(len(told))

    def without(self, names: Collection[str]) -> "CapabilityIndex":
        """The index of the capabilities that are not named."""
        kept = [i for i, c in enumerate(self.capabilities) if c.name not in names]
        return CapabilityIndex(
            [self.capabilities[i] for i in kept], self._vectors[self._lines_of(np.array(kept))]
        )

    def named(self, places: Sequence[int] | Rows) -> Vectors:
        """Vectors of the names of some capabilities, [places, dim] float32."""
        return self._vectors[self._starts[np.asarray(places, np.int64)]]

    def described(self, places: Sequence[int] | Rows) -> Vectors:
        """Vectors of the descriptions of some capabilities, [places, dim] float32."""
        return self._vectors[self._starts[np.asarray(places, np.int64)] + 1]

    def near(
        self, text: str, vector: Floats, bridged: Floats, also: Sequence[int] | Rows = ()
    ) -> Nearness:
        """vector: [dim] float32, of the masked text. bridged: the same, moved. also: rows to look at anyway."""
        words = self._lexicon.cosines(text)
        places = self._looked_at(words, vector, bridged, also)
        counts = self._counts[places]
        starts = np.cumsum(counts) - counts
        rows = slice(None) if places is self._all else self._lines_of(places)
        held = self._vectors[rows]
        cosines = held @ vector
        best = np.maximum.reduceat(cosines, starts)
        shares = np.exp((cosines - np.repeat(best, counts)) / SOFTNESS)
        soft = best + SOFTNESS * np.log(np.add.reduceat(shares, starts) / counts)
        shown = self._is_example[rows]
        example = np.maximum.reduceat(np.where(shown, cosines, np.float32(-9)), starts)
        moved = held[np.stack([starts, starts + 1])] @ bridged
        return Nearness(
            places=places,
            name=cosines[starts],
            description=cosines[starts + 1],
            example=np.where(example > -9, example, best),
            best=best,
            soft=soft.astype(np.float32),
            words=words[places],
            bridged=moved.mean(0),
        )

    def _looked_at(
        self, words: Floats, vector: Floats, bridged: Floats, also: Sequence[int] | Rows
    ) -> Rows:
        if len(self.capabilities) <= SMALL:
            return self._all
        by_words = np.argpartition(-words, NEAR_WORDS)[:NEAR_WORDS]
        by_meaning = self._nearest.rows(np.stack([vector, bridged]), NEAR_LINES).ravel()
        return np.unique(
            np.concatenate([self._owners[by_meaning], by_words, np.asarray(also, np.int64)])
        )

    def _lines_of(self, places: Rows) -> Rows:
        """Rows of every line of some capabilities, one capability after another."""
        counts = self._counts[places]
        first = np.repeat(self._starts[places] - (np.cumsum(counts) - counts), counts)
        made: Rows = first + np.arange(int(counts.sum()))
        return made
