"""Which pieces go through the model together."""

from concurrent.futures import Future

from hypothesis import given
from hypothesis import strategies as st

from pointsman.experts.models.batching import Piece, Ticket, next_batch
from pointsman.experts.models.readings import STATES, Reading

lengths = st.lists(st.integers(0, 254), min_size=1, max_size=30)


def ticket(sizes: list[int], arrived: float = 0.0, **more: object) -> Ticket[int]:
    pieces = [Piece([7] * size, place) for place, size in enumerate(sizes)]
    return Ticket(pieces, arrived, future=Future(), **more)  # type: ignore[arg-type]


@given(st.lists(lengths, min_size=1, max_size=5), st.integers(64, 4096))
def test_every_piece_is_served_once_within_the_budget(sizes: list[list[int]], budget: int) -> None:
    tickets = [ticket(s, float(n)) for n, s in enumerate(sizes)]
    seen: list[tuple[int, int]] = []
    while batch := next_batch(tickets, token_budget=budget):
        width = max(len(p.ids) + 2 for _, p in batch)
        assert len(batch) == 1 or width * len(batch) <= budget
        seen += [(id(t), p.place) for t, p in batch]
    assert len(seen) == len(set(seen)) == sum(map(len, sizes))


def test_short_work_overtakes_long_work() -> None:
    long, short = ticket([200] * 500, 0.0), ticket([10], 1.0)
    assert next_batch([long, short], token_budget=2048)[0][0] is short


def test_long_work_is_not_starved() -> None:
    long, short = ticket([200] * 500, 0.0), ticket([10], 60.0)
    assert next_batch([long, short], token_budget=2048)[0][0] is long


def test_a_near_deadline_goes_first() -> None:
    urgent = ticket([200] * 500, 0.0, deadline=1.0)
    assert next_batch([ticket([10], 2.0), urgent], token_budget=2048)[0][0] is urgent


def test_what_is_urgent_overtakes_what_came_a_little_earlier() -> None:
    urgent = ticket([10], 1.0, priority="urgent")
    assert next_batch([ticket([10], 0.95), urgent], token_budget=12)[0][0] is urgent
    assert next_batch([ticket([10], 0.5), urgent], token_budget=12)[0][0] is not urgent


def test_readings_of_one_layer_are_mixed_and_others_are_not() -> None:
    batch = next_batch([ticket([10]), ticket([10], reading=STATES)], token_budget=2048)
    assert len(batch) == 2
    low = Reading("states", layers=(2,))
    batch = next_batch([ticket([10]), ticket([10], reading=low)], token_budget=2048)
    assert len(batch) == 1
