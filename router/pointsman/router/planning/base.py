"""The planner's seam: a request with its files goes in, a plan or a truthful refusal comes out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pointsman.router.catalog import Catalog
from pointsman.router.plan import Plan
from pointsman.router.values import FileProfile, Json

Prefer = Literal["balanced", "quality", "cost", "latency"]
Vectors: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier exchange of the same thread: what was asked and the text that was answered."""

    request: str
    answer: str


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be planned. `now` is the caller's time (aware); relative dates are read against it."""

    text: str
    now: datetime
    files: tuple[FileProfile, ...] = ()
    history: tuple[Turn, ...] = ()
    prefer: Prefer = "balanced"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no plan was made. `could_do`: titles of what the catalog could do that is nearest.

    `question` is set when an answer of the user would make it possible ("Which column holds the price?").
    """

    why: str
    could_do: tuple[str, ...] = ()
    question: str | None = None


@dataclass(frozen=True, slots=True)
class Considered:
    """One thing the planner looked at, for the explanation: a workflow or a capability, and its score."""

    name: str
    score: float
    detail: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A planner's outcome. confidence: 0..1, what the cascade compares with its threshold."""

    outcome: Plan | Refusal
    confidence: float
    considered: tuple[Considered, ...] = ()


class Planner(Protocol):
    """Makes a plan that `pointsman.router.plan.validate` accepts, or says why not.

    Bad requests raise RequestError; a planner never raises because a request cannot be served.
    """

    name: str

    async def plan(self, request: Request, catalog: Catalog) -> Proposal: ...


class Embedder(Protocol):
    """Texts to unit vectors, [len(texts), dim] float32. Served by the encoder that experts share."""

    dim: int

    async def embed(self, texts: Sequence[str]) -> Vectors: ...
