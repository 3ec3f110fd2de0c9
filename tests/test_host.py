"""The expert host: every expert answers in a shared pass as it would alone, and load never breaks it."""

import asyncio
import random
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hosted import reading
from hypothesis import given, settings
from hypothesis import strategies as st
from retrieval_calls import texts

from pointsman.experts.models.batching import Piece, Ticket
from pointsman.experts.models.host import Host, hosting
from pointsman.experts.models.minilm import MiniLm
from pointsman.experts.models.mixing import Mixer
from pointsman.experts.models.readings import EMBEDDING, STATES, Reading, read
from pointsman.router.errors import (
    ExpertFailed,
    ExpertOverloaded,
    ExpertTimeout,
    ExpertUnavailable,
)

pytestmark = pytest.mark.anyio

MODEL = MiniLm()
EXPERTS = [
    EMBEDDING,
    STATES,
    reading("embedding", 1, rank=4),
    reading("sequence", 2),
    reading("sequence", 3, rank=2, outputs=7),
    reading("sequence", 4, rank=9),
    reading("token", 5, rank=4, outputs=5),
    reading("token", 6),
]
LONG = "a long text that takes its time " * 30


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    made = Host(threads=1)
    yield made
    made.close()


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from(EXPERTS)), min_size=1, max_size=12))
def test_in_a_shared_pass_each_reads_as_it_would_alone(rows: list[tuple[int, Reading]]) -> None:
    given_rows = [([2000 + n] * length, expert) for n, (length, expert) in enumerate(rows)]
    together = read(MODEL, Mixer(), given_rows)
    for row, output in zip(given_rows, together, strict=True):
        (alone,) = read(MODEL, Mixer(), [row])
        assert output.shape == alone.shape
        np.testing.assert_allclose(output, alone, atol=1e-4)


def test_a_head_belongs_to_sequence_and_token() -> None:
    with pytest.raises(ValueError, match="sequence: a head"):
        Reading("sequence")


async def test_requests_for_many_experts_at_once_are_answered_right(host: Host) -> None:
    some = texts(60)
    alone = {
        (i, e): read(MODEL, Mixer(), [(MODEL.tokenize([some[i]])[0].ids, EXPERTS[e])])[0]
        for i in range(0, 60, 3)
        for e in range(len(EXPERTS))
    }
    before = host.counts.batches
    asked = list(alone)
    random.Random(1).shuffle(asked)
    made = await asyncio.gather(*(host.read([some[i]], EXPERTS[e]) for i, e in asked))
    for key, (output,) in zip(asked, made, strict=True):
        np.testing.assert_allclose(output, alone[key], atol=1e-4)
    assert host.counts.batches - before < len(asked) / 3
    assert host.counts.mixed > 0


async def test_what_cannot_be_done_in_time_is_refused_at_once_and_says_when_to_come_back() -> None:
    async with hosting(threads=1) as host:
        await host.read(["first"])
        bulk = asyncio.create_task(host.read([LONG] * 3_000, priority="bulk"))
        await _until(lambda: host.load().texts > 1_000)
        begun = time.time()
        with pytest.raises(ExpertOverloaded) as refused:
            await host.read([LONG] * 2_000, deadline=begun + 2, priority="bulk")
        assert time.time() - begun < 2
        assert refused.value.retry_after > 0.2
        assert host.counts.refused == 1
        assert len(await host.read(["short and urgent"], priority="urgent")) == 1
        assert not bulk.done()
        bulk.cancel()


async def test_a_full_queue_refuses_but_an_empty_one_takes_anything() -> None:
    async with hosting(threads=1, room=3_000) as host:
        await host.ready()
        first = asyncio.create_task(host.read([LONG] * 100))
        await _until(lambda: host.load().texts > 0)
        with pytest.raises(ExpertOverloaded):
            await host.read([LONG] * 40)
        first.cancel()


async def test_a_cancelled_request_leaves_the_queue() -> None:
    async with hosting(threads=1) as host:
        await host.ready()
        waiting = [asyncio.create_task(host.read([LONG] * 200, e)) for e in EXPERTS[2:6]]
        await _until(lambda: host.load().requests == 4)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert host.load().requests == 0
        assert len(await host.read(["the next one is served"])) == 1
        assert host.counts.cancelled == 4
        assert host.counts.pieces < 800


async def test_a_deadline_that_passes_in_the_queue_is_an_error() -> None:
    async with hosting(threads=1) as host:
        await host.ready()
        bulk = asyncio.create_task(host.read([LONG] * 500))
        await _until(lambda: host.counts.batches > 1)
        late = Ticket([Piece([2003] * 250, n) for n in range(400)], time.time(), time.time() + 0.3)
        with pytest.raises(ExpertTimeout):
            await host.through(late)
        assert host.counts.late == 1
        bulk.cancel()


async def test_draining_finishes_what_waits_and_takes_nothing_new() -> None:
    host = Host(threads=1)
    await host.ready()
    waiting = asyncio.create_task(host.read([LONG] * 20))
    await _until(lambda: host.load().requests > 0)
    drained = asyncio.create_task(host.drain(30))
    await asyncio.sleep(0.01)
    if host.alive:
        with pytest.raises((ExpertUnavailable, ExpertFailed)):
            await host.read(["too late"])
    assert await drained
    assert len(await waiting) == 20
    assert not host.alive


async def test_what_draining_has_no_time_for_is_told_so() -> None:
    host = Host(threads=1)
    await host.ready()
    waiting = asyncio.create_task(host.read([LONG] * 3_000))
    await _until(lambda: host.load().requests > 0)
    assert not await host.drain(0.05)
    with pytest.raises(ExpertFailed, match="closed"):
        await waiting


async def test_the_load_and_what_was_done_are_counted() -> None:
    async with hosting(threads=1) as host:
        await host.read(["one two three", "four"])
        found = host.counts
        assert (found.requests, found.pieces, found.batches) == (1, 2, 1)
        assert found.tokens == 5 + 3
        assert found.padded == 2 * 5
        assert found.busy > 0
        load = host.load()
        assert (load.requests, load.texts, load.tokens) == (0, 0, 0)
        assert load.tokens_per_second > 0


async def _until(true: object) -> None:
    assert callable(true)
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - another thread makes it true
            await asyncio.sleep(0.001)
