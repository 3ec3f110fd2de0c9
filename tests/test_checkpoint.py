"""The checkpoint saver, on a real Redis: LangGraph's conformance suite, and writers that meet."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from checkpoint_parts import Graph, at, checkpoint, collector, counter, three_steps
from langgraph.checkpoint.conformance import checkpointer_test, validate
from redis_servers import cluster

from pointsman.services.embedded import find_server
from pointsman.workflows.checkpoint import RedisSaver, StaleCheckpoint

pytestmark = pytest.mark.anyio

CAPABILITIES = (
    "put",
    "put_writes",
    "get_tuple",
    "list",
    "delete_thread",
    "delete_for_runs",
    "copy_thread",
    "prune",
)


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """To an empty server."""
    made = redis.asyncio.Redis.from_url(redis_url)
    await made.flushall()
    yield made
    await made.aclose()


@pytest.fixture
async def savers(client: redis.asyncio.Redis, redis_url: str) -> AsyncIterator[list[RedisSaver]]:
    """Two, each with connections of its own."""
    async with (
        aclosing(RedisSaver.at(redis_url)) as one,
        aclosing(RedisSaver.at(redis_url)) as other,
    ):
        yield [one, other]


# --- the published suite ------------------------------------------------------------------------


class Synchronous(RedisSaver):
    """The asynchronous names on the synchronous methods, for a suite that knows only the former."""

    async def aput(self, *given: Any) -> Any:
        return self.put(*given)

    async def aput_writes(self, *given: Any, **named: Any) -> None:
        self.put_writes(*given, **named)

    async def aget_tuple(self, *given: Any) -> Any:
        return self.get_tuple(*given)

    async def alist(self, *given: Any, **named: Any) -> Any:
        for found in self.list(*given, **named):
            yield found

    async def adelete_thread(self, *given: Any) -> None:
        self.delete_thread(*given)

    async def adelete_for_runs(self, *given: Any) -> None:
        self.delete_for_runs(*given)

    async def acopy_thread(self, *given: Any) -> None:
        self.copy_thread(*given)

    async def aprune(self, *given: Any, **named: Any) -> None:
        self.prune(*given, **named)


async def conforms(kind: type[RedisSaver], url: str, **options: Any) -> None:
    @checkpointer_test(name=f"{kind.__name__} {options}")
    async def made() -> AsyncIterator[RedisSaver]:
        async with aclosing(kind.at(url, **options)) as saver:
            yield saver

    report = await validate(made)
    failures = {name: result.failures for name, result in report.results.items()}
    assert failures == {name: [] for name in CAPABILITIES}
    assert all(result.detected and result.passed for result in report.results.values())
    assert report.conformance_level() == "FULL"
    assert sum(result.tests_passed for result in report.results.values()) == 81


@pytest.mark.parametrize("kind", [RedisSaver, Synchronous])
@pytest.mark.parametrize("fenced", [True, False])
async def test_the_conformance_suite_passes_whole(
    client: redis.asyncio.Redis, redis_url: str, kind: type[RedisSaver], fenced: bool
) -> None:
    await conforms(kind, redis_url, fenced=fenced)


async def test_the_conformance_suite_passes_whole_on_a_cluster(tmp_path: Path) -> None:
    """A key of another slot in one call would be refused by its nodes."""
    with cluster(find_server(), tmp_path) as nodes:
        await conforms(RedisSaver, nodes[0].url, cluster=True)


# --- two writers --------------------------------------------------------------------------------


async def tries(write: Any) -> int:
    """Writes until it is taken; how often it was refused."""
    refused = 0
    while True:
        try:
            await write()
        except StaleCheckpoint:
            refused += 1
        else:
            return refused


async def increment(graph: Graph, thread: str) -> None:
    """Reads, adds one, writes through the config that the read gave."""
    before = await graph.aget_state(at(thread))
    count = before.values["count"] + 1
    await graph.aupdate_state(before.config, {"count": count}, as_node="add")


async def test_two_writers_lose_no_update_in_twenty_trials(savers: list[RedisSaver]) -> None:
    graphs = [counter(saver) for saver in savers]
    refused = 0

    async def many(graph: Graph, thread: str) -> int:
        return sum([await tries(lambda: increment(graph, thread)) for _ in range(25)])

    for trial in range(20):
        thread = f"trial {trial}"
        await graphs[0].aupdate_state(at(thread), {"count": 0}, as_node="add")
        refused += sum(await asyncio.gather(*(many(graph, thread) for graph in graphs)))
        assert (await graphs[0].aget_state(at(thread))).values == {"count": 50}
    assert refused > 20, "the writers did not meet; the test shows nothing"


async def test_two_writers_to_a_delta_channel_lose_no_update_in_twenty_trials(
    savers: list[RedisSaver],
) -> None:
    """Its value is rebuilt from writes that are stored before the checkpoint that counts them."""
    graphs = {"a": collector(savers[0]), "b": collector(savers[1])}
    refused = 0

    async def many(name: str, thread: str) -> int:
        graph, total = graphs[name], 0
        for i in range(15):
            update = {"items": [f"{name}{i}"]}
            total += await tries(lambda: graph.aupdate_state(at(thread), update, as_node="add"))  # noqa: B023
        return total

    for trial in range(20):
        thread = f"trial {trial}"
        await graphs["a"].aupdate_state(at(thread), {"items": ["start"]}, as_node="add")
        refused += sum(await asyncio.gather(*(many(name, thread) for name in graphs)))
        items = (await graphs["a"].aget_state(at(thread))).values["items"]
        assert sorted(items) == sorted(["start", *(f"{n}{i}" for n in "ab" for i in range(15))])
    assert refused > 20, "the writers did not meet; the test shows nothing"


async def both_add_one(one: Graph, other: Graph) -> None:
    """Both read, then both write."""
    await one.aupdate_state(at("t"), {"count": 0}, as_node="add")
    reads = [await graph.aget_state(at("t")) for graph in (one, other)]
    for graph, read in zip((one, other), reads, strict=True):
        await graph.aupdate_state(read.config, {"count": 1}, as_node="add")


async def test_it_is_the_fence_that_keeps_the_update(
    savers: list[RedisSaver], redis_url: str
) -> None:
    fenced = [counter(saver) for saver in savers]
    with pytest.raises(StaleCheckpoint, match="another writer was first"):
        await both_add_one(*fenced)
    await increment(fenced[1], "t")
    assert (await fenced[0].aget_state(at("t"))).values == {"count": 2}
    async with aclosing(RedisSaver.at(redis_url, fenced=False, prefix="unfenced")) as saver:
        await both_add_one(counter(saver), counter(saver))
        assert (await counter(saver).aget_state(at("t"))).values == {"count": 1}, "one is lost"


async def test_a_thread_begins_once(savers: list[RedisSaver]) -> None:
    """Two graphs that both found no thread: the second beginning would hide the first."""
    a, b = savers
    await a.aput(at("t"), checkpoint({"x": 1}), {"step": -1}, {"x": "1"})
    with pytest.raises(StaleCheckpoint, match="went on from 'nothing'"):
        await b.aput(at("t"), checkpoint({"x": 2}), {"step": -1}, {"x": "1"})
    (only,) = [found async for found in a.alist(at("t"))]
    assert only.checkpoint["channel_values"] == {"x": 1}


async def test_an_empty_root_is_kept_beside_the_head(savers: list[RedisSaver]) -> None:
    saver = savers[0]
    first = await saver.aput(at("t"), checkpoint({"x": 1}), {"step": -1}, {"x": "1"})
    beside = await saver.aput(at("t"), checkpoint({}), {"step": -1}, {})
    head = await saver.aget_tuple(at("t"))
    assert head is not None
    assert head.checkpoint["id"] == first["configurable"]["checkpoint_id"]
    with pytest.raises(StaleCheckpoint):  # nothing goes on from it
        await saver.aput(beside, checkpoint({"x": 2}), {"step": 0}, {"x": "1"})
    assert len([found async for found in saver.alist(at("t"))]) == 2


async def test_late_writes_to_a_checkpoint_that_was_left_are_refused(
    savers: list[RedisSaver],
) -> None:
    """They would be replayed into the channel of those who went on."""
    a, b = savers
    await a.aput(at("t"), checkpoint({"x": 1}), {"step": -1}, {"x": "1"})
    late, swift = await a.aget_tuple(at("t")), await b.aget_tuple(at("t"))
    assert late is not None
    assert swift is not None
    await b.aput_writes(swift.config, [("x", "swift")], "task 1")
    after = await b.aput(swift.config, checkpoint({"x": 2}, {"x": "2"}), {"step": 0}, {"x": "2"})
    await b.aput_writes(swift.config, [("x", "swift, a moment later")], "task 2")
    with pytest.raises(StaleCheckpoint):
        await a.aput_writes(late.config, [("x", "late")], "task 3")
    found = await a.aget_delta_channel_history(config=after, channels=["x"])
    assert [value for _, _, value in found["x"]["writes"]] == ["swift", "swift, a moment later"]


async def test_writes_may_come_before_their_checkpoint(savers: list[RedisSaver]) -> None:
    """As they do with durability "async"."""
    saver, made = savers[0], checkpoint({"x": 1})
    await saver.aput_writes(at("t", checkpoint_id=made["id"]), [("x", 5)], "task")
    await saver.aput(at("t"), made, {"step": -1}, {"x": "1"})
    found = await saver.aget_tuple(at("t"))
    assert found is not None
    assert found.pending_writes == [("task", "x", 5)]


async def test_a_put_repeated_after_a_lost_reply_changes_nothing(savers: list[RedisSaver]) -> None:
    saver = savers[0]
    first, second = checkpoint({"x": 1}), checkpoint({"x": 2}, {"x": "2"})
    config = await saver.aput(at("t"), first, {"step": -1}, {"x": "1"})
    assert await saver.aput(at("t"), first, {"step": -1}, {"x": "1"}) == config
    await saver.aput(config, second, {"step": 0}, {"x": "2"})
    await saver.aput(at("t"), first, {"step": -1}, {"x": "1"})
    head = await saver.aget_tuple(at("t"))
    assert head is not None
    assert head.checkpoint["id"] == second["id"]


# --- time travel --------------------------------------------------------------------------------


async def test_time_travel_works_in_a_fenced_thread(savers: list[RedisSaver]) -> None:
    graph = three_steps(savers[0])
    await graph.ainvoke({"names": []}, at("t"))
    past = [state async for state in graph.aget_state_history(at("t"))]
    before_b = next(state for state in past if state.next == ("b",))
    for _ in range(2):  # of the same checkpoint twice, with what was read before the first
        assert await graph.ainvoke(None, before_b.config) == {"names": ["a", "b", "c"]}
    by_hand = at("t", checkpoint_id=before_b.config["configurable"]["checkpoint_id"])
    forked = await graph.aupdate_state(by_hand, {"names": ["new"]}, as_node="a")
    assert await graph.ainvoke(None, forked) == {"names": ["a", "new", "b", "c"]}
    assert (await graph.aget_state(at("t"))).values == {"names": ["a", "new", "b", "c"]}
    assert (await graph.aget_state(past[0].config)).values == {"names": ["a", "b", "c"]}
    copied = await graph.aupdate_state(at("t"), None, as_node="__copy__")
    assert (await graph.aget_state(copied)).values == {"names": ["a", "new", "b", "c"]}


async def test_a_fork_is_refused_when_the_thread_moves_while_it_is_made(
    savers: list[RedisSaver],
) -> None:
    a, b = savers
    first = await a.aput(at("t"), checkpoint({"x": 1}), {"step": -1}, {"x": "1"})
    head = await a.aput(first, checkpoint({"x": 2}, {"x": "2"}), {"step": 0}, {"x": "2"})
    fork = await b.aget_tuple(at("t", checkpoint_id=first["configurable"]["checkpoint_id"]))
    assert fork is not None
    await a.aput(head, checkpoint({"x": 3}, {"x": "3"}), {"step": 1}, {"x": "3"})
    with pytest.raises(StaleCheckpoint):
        await b.aput(fork.config, checkpoint({"x": 9}, {"x": "9"}), {"step": 0}, {"x": "9"})


# --- the owner's fence --------------------------------------------------------------------------


async def test_a_lower_fence_is_refused_everywhere(savers: list[RedisSaver]) -> None:
    """The new owner has only read; the old one is refused from then on, though the head has not moved."""
    old, new = savers
    mine = await old.aput(at("t", fence=1), checkpoint({"x": 1}), {"step": -1}, {"x": "1"})
    assert mine["configurable"]["fence"] == 1
    await old.aput_writes(mine, [("x", 2)], "task")
    taken = await new.aget_tuple(at("t", fence=2))
    assert taken is not None
    for refused in (
        old.aput(mine, checkpoint({"x": 2}, {"x": "2"}), {"step": 0}, {"x": "2"}),
        old.aput_writes(mine, [("x", 3)], "another task"),
        old.aput(
            at("t", fence=1, checkpoint_ns="child"), checkpoint({"x": 1}), {"step": 0}, {"x": "1"}
        ),
    ):
        with pytest.raises(StaleCheckpoint, match="owned under fence 2") as caught:
            await refused
        assert (caught.value.fence, caught.value.highest) == (1, 2)
    after = await new.aput(taken.config, checkpoint({"x": 2}, {"x": "2"}), {"step": 0}, {"x": "2"})
    head = await old.aget_tuple(at("t", fence=1))  # who may not write may read
    assert head is not None
    assert head.checkpoint["id"] == after["configurable"]["checkpoint_id"]


async def test_a_fence_holds_also_where_the_head_does_not(
    client: redis.asyncio.Redis, redis_url: str
) -> None:
    async with aclosing(RedisSaver.at(redis_url, fenced=False)) as saver:
        await saver.aput(at("t", fence=9), checkpoint({"x": 1}), {"step": -1}, {"x": "1"})
        await saver.aput(at("t", fence=10), checkpoint({"x": 2}), {"step": -1}, {"x": "1"})
        with pytest.raises(StaleCheckpoint):
            await saver.aput(at("t", fence=9), checkpoint({"x": 3}), {"step": -1}, {"x": "1"})


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_a_stalled_owner_that_wakes_up_is_refused(
    savers: list[RedisSaver], durability: Any
) -> None:
    """It stops inside a node; another owner takes the run to its end; then the first one goes on."""
    stalled, go = asyncio.Event(), asyncio.Event()
    slow, swift = three_steps(savers[0]), three_steps(savers[1])
    await swift.aupdate_state(at("t"), {"names": ["begun"]}, as_node="a")

    async def stall() -> None:
        async for _ in slow.astream(None, at("t", fence=1), durability=durability):
            stalled.set()
            await go.wait()

    sleeper = asyncio.create_task(stall())
    await stalled.wait()
    done = await swift.ainvoke(None, at("t", fence=2), durability="sync")
    go.set()
    with pytest.raises(StaleCheckpoint, match="owned under fence 2"):
        await sleeper
    assert (await swift.aget_state(at("t"))).values == done


@pytest.mark.parametrize("fence", [-1, 2**53, "1", True, 1.0])
async def test_a_fence_is_a_whole_number(savers: list[RedisSaver], fence: Any) -> None:
    with pytest.raises(ValueError, match="fence must be an integer"):
        await savers[0].aget_tuple(at("t", fence=fence))
