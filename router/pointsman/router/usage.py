"""Budget and usage: caps, and what was spent."""

from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter


@dataclass(frozen=True, slots=True)
class Usage:
    """What was spent. cost: micro-dollars. seconds: the experts' own time."""

    cost: int = 0
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.cost + other.cost,
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.seconds + other.seconds,
        )

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def to_json(self) -> dict[str, Any]:
        return {
            "cost": self.cost,
            "calls": self.calls,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "seconds": round(self.seconds, 6),
        }


@dataclass(frozen=True, slots=True)
class Budget:
    """Caps of a run; None is no cap. cost: micro-dollars. seconds: from the start of the run."""

    cost: int | None = None
    calls: int | None = None
    tokens: int | None = None
    seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "cost": self.cost,
            "calls": self.calls,
            "tokens": self.tokens,
            "seconds": self.seconds,
        }


USAGE: TypeAdapter[Usage] = TypeAdapter(Usage)
BUDGET: TypeAdapter[Budget] = TypeAdapter(Budget)
