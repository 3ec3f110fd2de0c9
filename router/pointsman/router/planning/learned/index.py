"""A catalog made searchable: several vectors a capability, compared by soft late interaction, and its words.

A capability is known by its name, its description, its parameters, its examples and its composition hints;
each is a vector of its own, so that one good line is enough and many fair ones help (a soft maximum over the
lines, after the late interaction of Khattab and Zaharia 2020, arXiv 2004.12832).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointsman.router.catalog import Capability
from pointsman.router.planning.base import Vectors
from pointsman.router.planning.learned.lexical import Lexicon, content
from pointsman.router.planning.retrieval import masked

Floats = NDArray[np.float32]
NAME, DESCRIPTION, PARAMETERS, EXAMPLE, COMPOSITION = range(5)
SOFTNESS = 0.05
"""Cosine at which a line counts e times less than the best one."""
MOST_PARAMETERS = 12
MOST_EXAMPLES = 32


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
    """How near a request is to every capability; each [capabilities] float32.

    name, description, example: cosine of that line (the best example; the best line where it has none).
    best: of all lines. soft: the soft maximum over the lines. words: cosine of the weighted words.
    """

    name: Floats
    description: Floats
    example: Floats
    best: Floats
    soft: Floats
    words: Floats


class CapabilityIndex:
    """Lines of capabilities with their vectors. `vectors`: [lines, dim] float32 in the order of `lines`."""

    def __init__(self, capabilities: Sequence[Capability], vectors: Vectors) -> None:
        self.capabilities = tuple(capabilities)
        self.places = {c.name: i for i, c in enumerate(self.capabilities)}
        told = [lines(c) for c in self.capabilities]
        kinds = np.array([k for one in told for k, _ in one])
        counts = np.array([len(one) for one in told])
        self._vectors = vectors
        self._starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
        self._counts = counts.astype(np.float32)
        examples = kinds == EXAMPLE
        self._not_example = np.where(examples, np.float32(0), np.float32(-9))
        self._has_example = np.add.reduceat(examples.astype(np.int64), self._starts) > 0
        self._lexicon = Lexicon([" ".join(t for _, t in one) for one in told], content)
        self._rows = self._lexicon.rows

    def described(self, places: Sequence[int]) -> Vectors:
        """Vectors of the descriptions of some capabilities, [places, dim] float32."""
        return self._vectors[self._starts[list(places)] + 1]

    def near(self, text: str, vector: NDArray[np.float32]) -> Nearness:
        """vector: [dim] float32, of the masked text."""
        cosines = self._vectors @ vector
        best = np.maximum.reduceat(cosines, self._starts)
        shares = np.exp((cosines - np.repeat(best, self._counts.astype(np.int64))) / SOFTNESS)
        soft = best + SOFTNESS * np.log(np.add.reduceat(shares, self._starts) / self._counts)
        example = np.maximum.reduceat(cosines + self._not_example, self._starts)
        words = (self._rows @ self._lexicon.row(text).T).toarray()[:, 0]
        return Nearness(
            name=cosines[self._starts],
            description=cosines[self._starts + 1],
            example=np.where(self._has_example, example, best),
            best=best,
            soft=soft.astype(np.float32),
            words=words,
        )
