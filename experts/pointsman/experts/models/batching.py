"""Dynamic batching: which of the waiting pieces go through the model together next.

Pure decisions over queued work; the thread that runs them is the host's. A *ticket* is one caller's
work, cut into *pieces* of tokens. The ticket to serve next is the one with the earliest due time,
arrival + work / SPEED + what its priority may wait (so short work overtakes long work, and no work is
starved), or its deadline if that is earlier. Its longest piece leads a batch; pieces of about the same length,
its own and those of other tickets, ride along while the padded batch stays within the token budget, whichever
expert they are for.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeAlias, TypeVar

from pointsman.experts.models.readings import EMBEDDING, Reading

R = TypeVar("R")
Priority: TypeAlias = Literal["urgent", "normal", "bulk"]

SPEED = 8_000.0
"""Tokens a second that ordering assumes: how long work is made to wait for its size."""
TIGHT, LOOSE = 0.8, 0.5
"""Least share of the longest row that a row has where there are enough, and where there are few."""
ENOUGH = 256
"""Padded tokens from which a pass is as quick for each token as any: then only padding costs."""
WAITS: dict[Priority, float] = {"urgent": 0.0, "normal": 0.1, "bulk": 2.0}
"""Seconds by which what is more urgent may overtake."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of token ids of a ticket that goes through the model at once; `place` is its index there."""

    ids: list[int]
    place: int


@dataclass(eq=False, slots=True)
class Ticket(Generic[R]):
    """One caller's work. arrived, deadline: seconds on the same clock. `pieces`: shortest first.

    reading: the expert that reads the states. left: tokens that still wait.
    """

    pieces: list[Piece]
    arrived: float
    deadline: float | None = None
    reading: Reading = EMBEDDING
    progress: Callable[[float], None] | None = None
    priority: Priority = "normal"
    future: "Future[list[R]]" = field(default_factory=Future)
    results: dict[int, R] = field(default_factory=dict)
    total: int = 0
    left: int = 0

    def __post_init__(self) -> None:
        self.pieces.sort(key=_length)
        self.total = len(self.pieces)
        self.left = sum(map(_length, self.pieces))

    @property
    def due(self) -> float:
        return due(self.arrived, self.left, self.priority, self.deadline)

    @property
    def complete(self) -> bool:
        return len(self.results) == self.total

    def ordered(self) -> list[R]:
        return [self.results[place] for place in range(self.total)]

    def take(self, low: int, high: int) -> list[Piece]:
        """Takes out pieces low..high."""
        taken = self.pieces[low:high]
        del self.pieces[low:high]
        self.left -= sum(map(_length, taken))
        return taken


def due(arrived: float, tokens: int, priority: Priority, deadline: float | None) -> float:
    """When work should be served: what is earlier goes first."""
    waits_until = arrived + tokens / SPEED + WAITS[priority]
    return waits_until if deadline is None else min(waits_until, deadline)


def _length(piece: Piece) -> int:
    return len(piece.ids) + 2


def next_batch(tickets: Sequence[Ticket[R]], *, token_budget: int) -> list[tuple[Ticket[R], Piece]]:
    """Takes the next batch out of the tickets. Empty when nothing waits.

    rows * longest row <= token_budget, but for a single row that is longer than it. Tickets that want
    states of different layers are not mixed; all else is.
    """
    waiting = sorted((t for t in tickets if t.pieces), key=lambda t: t.due)
    if not waiting:
        return []
    first = waiting[0]
    width = _length(first.pieces[-1])
    room = max(1, token_budget // width)
    among = [t for t in waiting if t.reading.layers == first.reading.layers]
    batch: list[tuple[Ticket[R], Piece]] = []
    for fit in (TIGHT, LOOSE):
        for ticket in among:
            full = len(batch) * width >= ENOUGH if fit == LOOSE else False
            if full or len(batch) >= room:
                break
            batch += [(ticket, p) for p in _fitting(ticket, width, room - len(batch), fit)]
    return batch


def _fitting(ticket: Ticket[R], width: int, count: int, fit: float) -> list[Piece]:
    """The longest pieces that fit `width` and fill at least the share `fit` of it."""
    low = bisect_left(ticket.pieces, width * fit, key=_length)
    high = bisect_right(ticket.pieces, width, key=_length)
    return ticket.take(max(low, high - count), high)
