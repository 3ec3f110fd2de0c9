"""What is put into the index of capabilities, what is asked of it, and what comes back."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointsman.router.catalog import Effect

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Traits:
    """What searches may be narrowed by. tenant: whose it is, "" for everyone's. regions: none means everywhere."""

    tenant: str = ""
    effect: Effect = "pure"
    regions: frozenset[str] = frozenset()
    modalities: frozenset[str] = frozenset(("text",))


@dataclass(frozen=True, slots=True)
class Entry:
    """A capability as the index knows it.

    vectors: [lines, dim] float32, of any length but not 0, one a line that it is known by (its description, each
    example). text: all words that it may be found by.
    """

    name: str
    vectors: Vectors
    text: str
    traits: Traits = Traits()


@dataclass(frozen=True, slots=True)
class Filter:
    """Which capabilities may be found: those for which every part holds.

    tenant: everyone's and this one's; None: of all tenants (for operators). effects: any of these; None: all.
    region: those of this region and those of everywhere. modality: those that have it. healthy: only those that
    were not marked as unhealthy.
    """

    tenant: str | None = ""
    effects: frozenset[Effect] | None = None
    region: str | None = None
    modality: str | None = None
    healthy: bool = True

    def admits(self, traits: Traits) -> bool:
        """Whether a capability with these traits may be found, if it is healthy."""
        return (self.tenant in (None, traits.tenant) or not traits.tenant) and self._admits_use(
            traits
        )

    def _admits_use(self, traits: Traits) -> bool:
        return (
            (self.effects is None or traits.effect in self.effects)
            and (self.region is None or not traits.regions or self.region in traits.regions)
            and (self.modality is None or self.modality in traits.modalities)
        )


EVERYTHING = Filter(tenant=None, healthy=False)
"""Filters nothing out."""


@dataclass(frozen=True, slots=True)
class Found:
    """A capability that was found. score: what hits are ordered by (fusion.py). meaning: the cosine of its nearest
    line; 0 where the search had no vector. words: its BM25 score.
    """

    name: str
    score: float
    meaning: float
    words: float
