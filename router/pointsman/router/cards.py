"""What an expert tells the router about itself, and the route that the router decides on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import TypeAdapter

from pointsman.router.catalog import Prior

ExpertKind = Literal["model", "remote", "tool"]


@dataclass(frozen=True, slots=True)
class ExpertCard:
    """What a worker announces. `serves`: capability name -> prior of this expert for it.

    name: unique ("minilm-sentiment"); also the name of its queue. description: one line for people.
    concurrency: how many calls one worker runs at once.
    """

    name: str
    kind: ExpertKind
    description: str
    serves: Mapping[str, Prior] = field(default_factory=dict)
    concurrency: int = 4
    version: str = "1"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An expert that was considered for a task. score: higher is better; `why` names the terms."""

    expert: str
    score: float
    quality: float
    cost: int
    latency: float
    healthy: bool
    why: str


@dataclass(frozen=True, slots=True)
class Route:
    """The expert chosen for a task, the runners-up, the reason and the estimate.

    cost: micro-dollars that are expected. most: what a call may cost, reserved in the run's budget until it ends.
    patience: seconds after which another expert is asked, where the call may be repeated; None: it is let finish.
    """

    expert: str
    reason: str
    candidates: tuple[Candidate, ...]
    cost: int
    latency: float
    most: int = 0
    patience: float | None = None

    def to_json(self) -> dict[str, Any]:
        value: dict[str, Any] = ROUTE.dump_python(self, mode="json")
        return value


CARD: TypeAdapter[ExpertCard] = TypeAdapter(ExpertCard)
ROUTE: TypeAdapter[Route] = TypeAdapter(Route)
