"""Dynamic batching: which of the waiting pieces go through the model together next.

Pure decisions over queued work; the thread that runs them is the encoder's. A *ticket* is one caller's
work, cut into *pieces* of tokens. The ticket to serve next is the one with the earliest due time,
arrival + work / SPEED (so short work overtakes long work, and long work is never starved), or its
deadline if that is earlier. Its longest pieces form a batch; pieces of other tickets of about the same
length ride along while the padded batch stays within the token budget.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

R = TypeVar("R")

SPEED = 8_000.0
"""Tokens a second that ordering assumes: how long work is made to wait for its size."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of token ids of a ticket that goes through the model at once; `place` is its index there."""

    ids: list[int]
    place: int


@dataclass(eq=False, slots=True)
class Ticket(Generic[R]):
    """One caller's work. arrived, deadline: seconds on the same clock. `pieces`: shortest first.

    layers: whose states are wanted, where these are not pooled; none for the last one's.
    """

    pieces: list[Piece]
    arrived: float
    deadline: float | None = None
    pooled: bool = True
    layers: tuple[int, ...] = ()
    progress: Callable[[float], None] | None = None
    future: "Future[list[R]]" = field(default_factory=Future)
    results: dict[int, R] = field(default_factory=dict)
    total: int = 0

    def __post_init__(self) -> None:
        self.pieces.sort(key=_length)
        self.total = len(self.pieces)

    @property
    def due(self) -> float:
        waits_until = self.arrived + sum(map(_length, self.pieces)) / SPEED
        return waits_until if self.deadline is None else min(waits_until, self.deadline)

    @property
    def complete(self) -> bool:
        return len(self.results) == self.total

    def ordered(self) -> list[R]:
        return [self.results[place] for place in range(self.total)]


def _length(piece: Piece) -> int:
    return len(piece.ids) + 2


def next_batch(tickets: Sequence[Ticket[R]], *, token_budget: int) -> list[tuple[Ticket[R], Piece]]:
    """Takes the next batch out of the tickets. Empty when nothing waits.

    rows * longest row <= token_budget, but for a single row that is longer than it. Pooled tickets
    (sentence vectors) and others (token states) are not mixed, nor are tickets of different layers.
    """
    waiting = sorted((t for t in tickets if t.pieces), key=lambda t: t.due)
    if not waiting:
        return []
    first = waiting[0]
    width = _length(first.pieces[-1])
    room = max(1, token_budget // width)
    batch = [(first, first.pieces.pop()) for _ in range(min(room, len(first.pieces)))]
    for ticket in waiting[1:]:
        if len(batch) >= room:
            break
        if (ticket.pooled, ticket.layers) == (first.pooled, first.layers):
            batch += [(ticket, p) for p in _take(ticket, width, room - len(batch))]
    return batch


def _take(ticket: Ticket[R], width: int, count: int) -> list[Piece]:
    """The longest pieces that fit `width` without padding them to more than twice their length."""
    low = bisect_left(ticket.pieces, width / 2, key=_length)
    high = bisect_right(ticket.pieces, width, key=_length)
    low = max(low, high - count)
    taken = ticket.pieces[low:high]
    del ticket.pieces[low:high]
    return taken
