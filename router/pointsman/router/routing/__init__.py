"""Which expert gets a task: candidates, what is expected of each, the choice and its reason."""

from pointsman.router.routing.choice import choose, duration, expect, money
from pointsman.router.routing.observations import (
    Beat,
    Observations,
    Observed,
    heartbeat,
    observe,
    tried,
)

__all__ = [
    "Beat",
    "Observations",
    "Observed",
    "choose",
    "duration",
    "expect",
    "heartbeat",
    "money",
    "observe",
    "tried",
]
