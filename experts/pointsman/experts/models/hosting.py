"""What the expert host counts and measures of itself."""

from dataclasses import dataclass

from pointsman.experts.models.batching import SPEED

SHARE = 0.1
"""What a batch of FULL tokens or more counts in the pace."""
FULL = 512


@dataclass(slots=True)
class HostCounts:
    """Since the start. requests: taken; refused: not taken, overloaded; late: not done by their deadline.

    pieces, batches, tokens: through the model; padded: tokens with those that only fill up; mixed: batches
    for several experts; busy: seconds in the model.
    """

    requests: int = 0
    refused: int = 0
    late: int = 0
    cancelled: int = 0
    failed: int = 0
    pieces: int = 0
    batches: int = 0
    tokens: int = 0
    padded: int = 0
    mixed: int = 0
    busy: float = 0.0

    def ran(self, pieces: int, tokens: int, padded: int, seconds: float, experts: int) -> None:
        self.pieces += pieces
        self.batches += 1
        self.tokens += tokens
        self.padded += padded
        self.mixed += experts > 1
        self.busy += seconds


@dataclass(frozen=True, slots=True)
class Load:
    """The queue at one moment. oldest: seconds that the first has waited. tokens_per_second: of late."""

    requests: int
    texts: int
    tokens: int
    oldest: float
    tokens_per_second: float


class Pace:
    """Tokens a second of late, a mean in which what is older counts less, by tokens."""

    def __init__(self) -> None:
        self.tokens_per_second = SPEED
        self._tokens = SPEED / 10
        self._seconds = 0.1

    def saw(self, tokens: int, seconds: float) -> None:
        keep = 1 - SHARE * min(1.0, tokens / FULL)
        self._tokens = keep * self._tokens + tokens
        self._seconds = keep * self._seconds + seconds
        self.tokens_per_second = self._tokens / max(self._seconds, 1e-6)
