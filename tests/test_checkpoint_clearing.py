"""What the checkpoint saver takes out of Redis, and what it leaves: runs, prunes, copies, delta channels."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
import redis.asyncio
from checkpoint_parts import at, chain, checkpoint, collector, id_of, ids, plain, values_at
from langgraph.checkpoint.memory import InMemorySaver

from pointsman.workflows.checkpoint import RedisSaver, ThreadExists

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """To an empty server."""
    made = redis.asyncio.Redis.from_url(redis_url)
    await made.flushall()
    yield made
    await made.aclose()


@pytest.fixture
async def saver(client: redis.asyncio.Redis, redis_url: str) -> AsyncIterator[RedisSaver]:
    async with aclosing(RedisSaver.at(redis_url)) as made:
        yield made


async def rows(client: redis.asyncio.Redis, kind: str) -> list[list[bytes]]:
    """What is stored of a kind, in parts: "b" for values, "w" for writes, "c" for checkpoints."""
    found: list[list[bytes]] = []
    async for key in client.scan_iter("lg:*:rows"):
        names: Any = await client.hkeys(key)
        found += [n.split(b"\0")[1:] for n in names if n.startswith(kind.encode() + b"\0")]
    return sorted(found)


async def test_forgetting_runs_leaves_the_others_whole(
    client: redis.asyncio.Redis, saver: RedisSaver
) -> None:
    first, second, third = await chain(saver, "t", "one", "two", "two")
    other = await chain(saver, "other", "three", "one")
    await saver.adelete_for_runs(["one", "unheard of"])
    assert await saver.aget_tuple(first) is None
    assert await values_at(saver, second) == {"x": "x1", "y": "y0"}  # y came with the first
    assert await ids(saver, at("other")) == [id_of(other[0])]
    assert await values_at(saver, at("other")) == {"x": "x0", "y": "y0"}  # the head steps back
    assert len(await rows(client, "w")) == 3
    await saver.adelete_for_runs(["two", "three"])
    assert await client.keys("*:rows") == []
    assert await client.keys("*") == []
    assert await saver.aget_tuple(third) is None


async def test_a_namespace_begins_anew_when_its_checkpoints_are_forgotten(
    saver: RedisSaver,
) -> None:
    await chain(saver, "t", "one")
    child = at("t", checkpoint_ns="sub")
    await saver.aput(child, checkpoint({"z": 1}), {"run_id": "two"}, {"z": "1"})
    await saver.adelete_for_runs(["two"])
    assert await saver.aget_tuple(child) is None
    await saver.aput(child, checkpoint({"z": 2}), {"run_id": "three"}, {"z": "2"})
    assert await values_at(saver, child) == {"z": 2}


async def test_pruning_keeps_the_head_also_when_something_newer_stands_beside_it(
    saver: RedisSaver,
) -> None:
    (head,) = await chain(saver, "t", "one")
    await saver.aput(at("t"), checkpoint({}), {"step": -1}, {})
    await saver.aprune(["t"])
    assert await ids(saver, at("t")) == [id_of(head)]


async def test_pruning_leaves_the_head_and_nothing_it_does_not_need(
    client: redis.asyncio.Redis, saver: RedisSaver
) -> None:
    configs = await chain(saver, "t", *["run"] * 5)
    child = at("t", checkpoint_ns="sub")
    for version in ("1", "2"):
        made = checkpoint({"z": version}, {"z": version})
        child = await saver.aput(child, made, {"step": 0}, {"z": version})
    await saver.aprune(["t"])
    assert await ids(saver, {"configurable": {"thread_id": "t"}}) == [
        id_of(child),
        id_of(configs[-1]),
    ]
    assert await values_at(saver, at("t")) == {"x": "x4", "y": "y0"}
    assert await values_at(saver, child) == {"z": "2"}
    assert await rows(client, "b") == [[b"", b"x", b"4"], [b"", b"y", b"0"], [b"sub", b"z", b"2"]]
    assert len(await rows(client, "w")) == 1
    (order,) = await client.keys("*:t:order")
    assert await client.zcard(order) == 3  # two checkpoints and the head's writes
    await saver.aput(configs[-1], checkpoint({"x": 5}, {"x": "5"}), {"step": 5}, {"x": "5"})


async def test_a_fork_of_what_is_pruned_meanwhile_keeps_its_values(saver: RedisSaver) -> None:
    """Its values are gone from the store; the writer has them, and sends them along."""
    old, _ = await chain(saver, "t", "one", "two")
    fork = await saver.aget_tuple(plain(old))
    assert fork is not None
    await saver.aprune(["t"])
    values = {**fork.checkpoint["channel_values"], "z": 1}
    made = checkpoint(values, {**fork.checkpoint["channel_versions"], "z": "1"})
    after = await saver.aput(fork.config, made, {"step": 1}, {"z": "1"})
    assert await values_at(saver, after) == {"x": "x0", "y": "y0", "z": 1}


async def test_a_copy_is_whole_and_has_its_own_fence(
    client: redis.asyncio.Redis, saver: RedisSaver
) -> None:
    await chain(saver, "t", "one", "two")
    await saver.aget_tuple(at("t", fence=5))
    await saver.acopy_thread("t", "copy")
    theirs = [found async for found in saver.alist(at("t"))]
    ours = [found async for found in saver.alist(at("copy"))]
    assert [found[1:3] + found[4:] for found in ours] == [f[1:3] + f[4:] for f in theirs]
    assert {await client.ttl(key) > 0 for key in await client.keys("*:copy:*")} == {True}
    owned = await saver.aget_tuple(at("copy", fence=1))
    assert owned is not None
    await saver.aput_writes(owned.config, [("x", 1)], "task")
    await saver.aput(owned.config, checkpoint({"x": 5}, {"x": "5"}), {"step": 5}, {"x": "5"})
    assert len(await ids(saver, at("t"))) == 2
    with pytest.raises(ThreadExists):
        await saver.acopy_thread("t", "copy")
    await saver.adelete_for_runs(["one"])
    assert len(await ids(saver, at("copy"))) == 2
    await saver.acopy_thread("no such thread", "none")
    assert await ids(saver, at("none")) == []


# --- delta channels -----------------------------------------------------------------------------


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_a_delta_channel_is_rebuilt_as_in_memory(saver: RedisSaver, durability: Any) -> None:
    ours, theirs = collector(saver), collector(InMemorySaver())
    for i in range(11):
        for graph in (ours, theirs):
            await graph.ainvoke({"items": [f"input {i}"]}, at("t"), durability=durability)
    whole = (await theirs.aget_state(at("t"))).values
    assert len(whole["items"]) == 22
    assert (await ours.aget_state(at("t"))).values == whole
    assert ours.get_state(at("t")).values == whole
    stored = len(await ids(saver, at("t")))
    await saver.aprune(["t"])
    assert len(await ids(saver, at("t"))) <= min(7, stored)
    assert (await ours.aget_state(at("t"))).values == whole
    await saver.acopy_thread("t", "copy")
    assert (await ours.aget_state(at("copy"))).values == whole
    after = await ours.ainvoke({"items": ["more"]}, at("t"), durability=durability)
    assert after == {"items": [*whole["items"], "more", "item 23"]}


async def test_a_checkpoint_that_is_its_own_parent_has_an_end(saver: RedisSaver) -> None:
    """Put again with the config that the put returned."""
    made = checkpoint({"x": 1})
    config = await saver.aput(at("t"), made, {"step": 0}, {"x": "1"})
    metadata: Any = {"step": 1, "counters_since_delta_snapshot": {"d": (1, 1)}}
    made["channel_versions"]["d"] = "1"
    await saver.aput(config, made, metadata, {"d": "1"})
    await saver.aput_writes(config, [("d", 5)], "task")
    found = await saver.aget_delta_channel_history(config=config, channels=["d"])
    assert [value for _, _, value in found["d"]["writes"]] == [5]
    await saver.aprune(["t"])
    assert len(await ids(saver, at("t"))) == 1
