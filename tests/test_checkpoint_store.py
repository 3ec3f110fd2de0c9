"""What the checkpoint saver keeps in Redis: for how long, and how it is read."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from checkpoint_parts import at, chain, checkpoint, id_of, ids, plain, three_steps, values_at
from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

import pointsman.workflows.checkpoint
from pointsman.workflows.checkpoint import CorruptCheckpoint, RedisSaver, StaleCheckpoint
from pointsman.workflows.checkpoint.places import Keys

pytestmark = pytest.mark.anyio

WEEK = 7 * 24 * 3600


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


async def gone(client: redis.asyncio.Redis, keys: str) -> None:
    while True:
        if not await client.keys(keys):
            return
        await asyncio.sleep(0.05)


# --- expiry -------------------------------------------------------------------------------------


async def test_a_thread_expires_as_one(client: redis.asyncio.Redis, saver: RedisSaver) -> None:
    first, second = await chain(saver, "t", "one", "two")
    for write in (
        saver.aput(second, checkpoint({"x": 9}, {"x": "9"}), {"step": 2}, {"x": "9"}),
        saver.aput_writes(first, [("x", 1)], "late task"),
        saver.aput(at("t", checkpoint_ns="sub"), checkpoint({"z": 1}), {"step": 0}, {"z": "1"}),
        saver.aput_writes(at("t", checkpoint_id="not put yet"), [("x", 1)], "early task"),
    ):
        keys = await client.keys("*:t:*")
        assert len(keys) == 2
        for key in keys:
            assert await client.expire(key, 5)
        await write
        assert {WEEK - await client.ttl(key) for key in keys} <= {0, 1}


async def test_an_expired_thread_is_gone_everywhere(
    client: redis.asyncio.Redis, saver: RedisSaver, redis_url: str
) -> None:
    async with aclosing(RedisSaver.at(redis_url, keep_seconds=1)) as brief:
        (config,) = await chain(brief, "t", "one")
    await chain(saver, "other", "one")
    await gone(client, "*:t:*")
    assert await saver.aget_tuple(config) is None
    assert await ids(saver, at("t")) == []
    assert len(await ids(saver, None)) == 1
    await saver.adelete_for_runs(["one"])
    assert await ids(saver, None) == []
    with pytest.raises(StaleCheckpoint, match="empty, deleted or expired"):
        await saver.aput(config, checkpoint({"x": 9}, {"x": "9"}), {"step": 2}, {"x": "9"})


async def test_expired_threads_leave_the_list_of_threads(
    client: redis.asyncio.Redis, redis_url: str
) -> None:
    """With the next write to a thread of the same tag."""
    tagged = [name for name in map(str, range(10_000)) if Keys("lg").thread(name)[2][4:6] == "00"]
    async with aclosing(RedisSaver.at(redis_url, keep_seconds=1)) as brief:
        for name in tagged[:9]:
            await chain(brief, name, "one")
    assert await client.zcard("lg:{00}/threads") == 9
    await gone(client, "*:rows")
    async with aclosing(RedisSaver.at(redis_url)) as saver:
        (config,) = await chain(saver, tagged[9], "one")
        async with asyncio.timeout(20):
            while await client.zcard("lg:{00}/threads") > 1:  # it is up to a second behind
                await saver.aput_writes(config, [("x", 1)], "task")
    assert await client.zrange("lg:{00}/threads", 0, -1) == [tagged[9].encode()]


async def test_a_thread_may_be_kept_for_ever(
    client: redis.asyncio.Redis, saver: RedisSaver, redis_url: str
) -> None:
    (config,) = await chain(saver, "t", "one")
    async with aclosing(RedisSaver.at(redis_url, keep_seconds=None)) as lasting:
        await lasting.aput(config, checkpoint({"x": 9}, {"x": "9"}), {"step": 2}, {"x": "9"})
    assert {await client.ttl(key) for key in await client.keys("*:t:*")} == {-1}
    assert len(await ids(saver, None)) == 2


# --- reading ------------------------------------------------------------------------------------


async def test_a_read_costs_as_much_as_its_checkpoint(
    client: redis.asyncio.Redis, saver: RedisSaver
) -> None:
    """Bytes that leave the server: the thread holds 2 MB, the checkpoint that is read next to nothing."""
    config = at("t")
    for index in range(20):
        made = checkpoint({"x": "v" * 50_000}, {"x": str(index)})
        config = await saver.aput(config, made, {"step": index}, {"x": str(index)})
        await saver.aput_writes(config, [("x", "w" * 50_000)], "task")
    config = await saver.aput(config, checkpoint({"x": 1}, {"x": "20"}), {"step": 20}, {"x": "20"})
    before = (await client.info("stats"))["total_net_output_bytes"]
    assert await values_at(saver, at("t")) == {"x": 1}
    told = (await client.info("stats"))["total_net_output_bytes"] - before
    assert told < 20_000, told


async def test_a_listing_with_a_limit_does_not_fetch_the_rest(
    client: redis.asyncio.Redis, saver: RedisSaver
) -> None:
    made = await chain(saver, "t", *["run"] * 200)
    before = (await client.info("stats"))["total_net_output_bytes"]
    assert await ids(saver, at("t"), before=made[100], limit=1) == [id_of(made[99])]
    told = (await client.info("stats"))["total_net_output_bytes"] - before
    assert told < 3_000, told


async def test_all_threads_are_listed_newest_first(saver: RedisSaver) -> None:
    made = [c for thread in ("a", "b", "c") for c in await chain(saver, thread, "one", "two")]
    child = at("a", checkpoint_ns="sub:1|leaf:2")
    made.append(await saver.aput(child, checkpoint({"z": 1}), {"step": 0}, {"z": "1"}))
    newest = [id_of(config) for config in reversed(made)]
    assert await ids(saver, None) == newest
    assert await ids(saver, None, limit=3) == newest[:3]
    assert await ids(saver, None, limit=0) == []
    assert await ids(saver, None, before=made[2], limit=9) == newest[-2:]
    assert await ids(saver, None, filter={"run_id": "two"}) == newest[1::2]
    assert await ids(saver, {"configurable": {"thread_id": "a"}}) == [newest[0], *newest[-2:]]
    assert await ids(saver, child) == newest[:1]
    assert await ids(saver, made[3]) == [newest[3]]
    assert [found.checkpoint["id"] for found in saver.list(None)] == newest


async def test_the_value_of_a_version_stays_what_it_was(saver: RedisSaver) -> None:
    """A second value under the same version would change the checkpoints that have the first."""
    first = await saver.aput(at("t"), checkpoint({"x": 1}), {"step": 0}, {"x": "1"})
    second = await saver.aput(first, checkpoint({"x": 2}), {"step": 1}, {"x": "1"})
    assert await values_at(saver, first) == {"x": 1}
    assert await values_at(saver, second) == {"x": 1}


async def test_writes_come_in_the_order_in_which_they_are_applied(saver: RedisSaver) -> None:
    """By path, task and index; an index counts as a number, and a task's first write of it stays."""
    (config,) = await chain(saver, "t", "")
    await saver.aput_writes(config, [(f"c{i}", i) for i in range(12)], "zulu", "a path")
    await saver.aput_writes(config, [("c", "ours")], "alpha", "a path")
    await saver.aput_writes(config, [("c", "too late")], "alpha", "a path")
    await saver.aput_writes(config, [("__error__", "first")], "alpha", "a path")
    await saver.aput_writes(config, [("__error__", "again")], "alpha", "a path")
    found = await saver.aget_tuple(config)
    assert found is not None
    assert found.pending_writes == [
        ("alpha", "__error__", "again"),
        ("alpha", "c", "ours"),
        *(("zulu", f"c{i}", i) for i in range(12)),
        ("task 0", "x", "x1"),
    ]


@pytest.mark.parametrize("thread", ["a}b", "{a}", "}", "a:rows", "ä ☃ 🙂", "a|b", "7", "x" * 2000])
async def test_a_thread_may_have_any_name(saver: RedisSaver, thread: str) -> None:
    odd = {"b|c:d": 1, "": 2, "☃": 3, '"]': 4, "__start__": None}
    config = at(thread, checkpoint_ns="sub:1|leaf:2")
    config = await saver.aput(config, checkpoint(odd), {"step": 0}, dict.fromkeys(odd, "1"))
    await saver.aput_writes(config, [("b|c:d", 1)], "task|1:2", "~ path|")
    found = await saver.aget_tuple(at(thread, checkpoint_ns="sub:1|leaf:2"))
    assert found is not None
    assert found.config["configurable"]["thread_id"] == thread
    assert found.checkpoint["channel_values"] == odd
    assert found.pending_writes == [("task|1:2", "b|c:d", 1)]
    assert len(await ids(saver, None)) == 1
    await saver.adelete_thread(thread)
    assert await ids(saver, None) == []


Act = tuple[str, str, int, dict[str, int]]
news = st.dictionaries(st.sampled_from("xyz"), st.integers(-5, 5), max_size=3)
acts = st.tuples(
    st.sampled_from(["put", "clear", "write"]),
    st.sampled_from(["", "", "", "sub"]),
    st.sampled_from([0, 0, 0, 1, 2, 3]),
    news,
)


async def grown(saver: RedisSaver, memory: InMemorySaver, told: list[Act]) -> list[Any]:
    """A tree of checkpoints in two namespaces, each put on an earlier one, mostly the last, and writes to any of them."""
    roots = {"": at("t"), "sub": at("t", checkpoint_ns="sub")}
    made = {ns: [root] for ns, root in roots.items()}
    for number, (act, ns, choice, fresh) in enumerate(told):
        on = made[ns][-1 - choice % len(made[ns])]
        before = memory.get_tuple(on) if on is not roots[ns] else None
        if act != "write":
            old = before.checkpoint if before else checkpoint({})
            versions: Any = dict.fromkeys(fresh, str(number))
            values = {**old["channel_values"], **fresh}
            if act == "clear":  # as a delta channel: a new version, and no value
                values = {c: v for c, v in values.items() if c not in fresh}
            put = checkpoint(values, {**old["channel_versions"], **versions})
            metadata: Any = {"step": number, "source": "loop"}
            memory.put(on, put, metadata, versions)
            made[ns].append(plain(await saver.aput(on, put, metadata, versions)))
        elif before is not None:
            asked: Any = (on, list(fresh.items()), f"task {number % 3}", f"path {number % 2}")
            memory.put_writes(*asked)
            await saver.aput_writes(*asked)
    return [config for configs in made.values() for config in configs]


@given(st.lists(acts, min_size=1, max_size=20))
@settings(max_examples=60)
async def test_it_answers_as_the_saver_in_memory_does(redis_url: str, told: list[Act]) -> None:
    async with aclosing(RedisSaver.at(redis_url, fenced=False, prefix="model")) as saver:
        await saver.adelete_thread("t")
        memory = InMemorySaver()
        for config in await grown(saver, memory, told):
            if id_of(config):
                assert same(await saver.aget_tuple(config)) == same(memory.get_tuple(config))
                asked: Any = {"config": config, "channels": ["x", "y", "z"]}
                history = await saver.aget_delta_channel_history(**asked)
                assert history == memory.get_delta_channel_history(**asked)
                assert history == await BaseCheckpointSaver.aget_delta_channel_history(
                    saver, **asked
                )
            else:
                listed = [same(found) async for found in saver.alist(config)]
                assert listed == [same(found) for found in memory.list(config)]
            latest = at("t", checkpoint_ns=config["configurable"]["checkpoint_ns"])
            assert same(await saver.aget_tuple(latest)) == same(memory.get_tuple(latest))


def same(found: CheckpointTuple | None) -> Any:
    if found is None:
        return None
    config, made, metadata, parent, writes = found
    return plain(config), made, metadata, plain(parent) if parent else None, writes


# --- what cannot be read ------------------------------------------------------------------------


async def test_a_missing_or_garbled_part_is_named(
    client: redis.asyncio.Redis, saver: RedisSaver
) -> None:
    (config,) = await chain(saver, "t", "")
    (key,) = await client.keys("*:t:rows")
    at_ = f"\0{id_of(config)}"
    for name, part in (
        (f"c\0{at_}", "its row"),
        ("b\0\0x\x000", "the value of channel 'x'"),
        (f"w\0{at_}\0task 0", "a write of task 'task 0'"),
    ):
        stored = await client.hget(key, name)
        assert stored is not None, name
        for garbled in (b"", b"\xc1\xc1", b"msgpack\0\xc1"):
            await client.hset(key, name, garbled)
            with pytest.raises(CorruptCheckpoint, match=rf"{part} cannot be read"):
                await saver.aget_tuple(config)
        await client.hset(key, name, stored)
    await client.hdel(key, "b\0\0x\x000")
    with pytest.raises(CorruptCheckpoint, match=r"the value of channel 'x' is missing"):
        await saver.aget_tuple(config)


class Mirrored:
    """A serializer of one's own: the usual bytes, in reverse."""

    usual = JsonPlusSerializer()

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        kind, content = self.usual.dumps_typed(obj)
        return f"mirrored-{kind}", content[::-1]

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        return self.usual.loads_typed((data[0].removeprefix("mirrored-"), data[1][::-1]))


async def test_a_serializer_of_ones_own_is_used_and_needed(
    saver: RedisSaver, redis_url: str
) -> None:
    async with aclosing(RedisSaver.at(redis_url, serde=Mirrored())) as other:
        (config,) = await chain(other, "t", "one")
        found = await other.aget_tuple(config)
        assert found is not None
        assert found.checkpoint["channel_values"] == {"x": "x0", "y": "y0"}
        assert found.pending_writes == [("task 0", "x", "x1")]
    with pytest.raises(CorruptCheckpoint, match="the checkpoint itself cannot be read"):
        await saver.aget_tuple(config)
    with pytest.raises(CorruptCheckpoint, match="its metadata cannot be read"):
        await ids(saver, at("t"), filter={"step": 0})


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (None, "names no thread"),
        ({}, "names no thread"),
        ({"configurable": {}}, "names no thread"),
        ({"configurable": {"thread_id": ""}}, "names no thread"),
        ({"configurable": {"thread_id": "a\0b"}}, "thread_id must be text without NUL"),
        ({"configurable": {"thread_id": "t", "checkpoint_ns": 7}}, "checkpoint_ns must be text"),
        ({"configurable": {"thread_id": "t", "checkpoint_id": 7}}, "checkpoint_id must be text"),
    ],
)
async def test_a_config_that_makes_no_sense_is_refused(
    saver: RedisSaver, config: Any, why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        await saver.aget_tuple(config)
    with pytest.raises(ValueError, match=why):
        await saver.aput(config, checkpoint({}), {}, {})
    with pytest.raises(ValueError, match=why):
        saver.put_writes(config, [], "task")
    if config is not None:
        with pytest.raises(ValueError, match=why):
            await ids(saver, config)


async def test_calls_that_make_no_sense_are_refused(saver: RedisSaver, redis_url: str) -> None:
    with pytest.raises(ValueError, match="no checkpoint_id"):
        await saver.aput_writes(at("t"), [("x", 1)], "task")
    with pytest.raises(ValueError, match="a channel must be text without NUL"):
        await saver.aput(at("t"), checkpoint({"x\0": 1}), {}, {})
    with pytest.raises(ValueError, match="keep_latest"):
        await saver.aprune(["t"], strategy="keep_all")
    with pytest.raises(ValueError, match="must not be empty"):
        await saver.adelete_thread("")
    for options in ({"prefix": "a{b"}, {"prefix": ""}, {"keep_seconds": 0}):
        with pytest.raises(ValueError, match=r"prefix|keep_seconds"):
            RedisSaver.at(redis_url, **options)
    decoding = redis.asyncio.Redis.from_url(redis_url, decode_responses=True)
    with pytest.raises(ValueError, match="decode_responses=False"):
        RedisSaver(decoding)
    await decoding.aclose()


# --- clients ------------------------------------------------------------------------------------


async def test_a_synchronous_graph_runs_on_it(saver: RedisSaver) -> None:
    graph = three_steps(saver)
    whole = await asyncio.to_thread(graph.invoke, {"names": []}, at("t"))
    assert whole == {"names": ["a", "b", "c"]}
    assert (await graph.aget_state(at("t"))).values == whole
    assert len(list(graph.get_state_history(at("t")))) == 5
    saver.copy_thread("t", "copy")
    saver.prune(["t"])
    assert len(list(saver.list(at("t")))) == 1
    assert len(list(saver.list(at("copy")))) == 5
    saver.delete_thread("copy")
    assert saver.get_tuple(at("copy")) is None


async def test_a_method_without_its_client_says_so(
    client: redis.asyncio.Redis, redis_url: str
) -> None:
    with pytest.raises(ValueError, match="the method that begins with 'a'"):
        RedisSaver(client).get_tuple(at("t"))
    plain_client = redis.Redis.from_url(redis_url)
    only = RedisSaver(sync_client=plain_client)
    assert only.get_tuple(at("t")) is None
    with pytest.raises(ValueError, match="no client for asynchronous methods"):
        await only.aget_tuple(at("t"))
    only.close()


async def test_a_server_that_forgot_the_scripts_is_told_again(
    client: redis.asyncio.Redis, saver: RedisSaver
) -> None:
    await chain(saver, "t", "one")
    await client.script_flush()
    assert await values_at(saver, at("t")) == {"x": "x0", "y": "y0"}
    await client.script_flush()
    assert saver.get_tuple(at("t")) is not None


async def test_two_prefixes_do_not_meet(saver: RedisSaver, redis_url: str) -> None:
    await chain(saver, "t", "one")
    async with aclosing(RedisSaver.at(redis_url, prefix="another")) as other:
        assert await other.aget_tuple(at("t")) is None
        assert await ids(other, None) == []
        await other.adelete_for_runs(["one"])
    assert len(await ids(saver, None)) == 1


def test_it_needs_nothing_of_the_rest_of_pointsman(redis_url: str, tmp_path: Path) -> None:
    """Copied out under another name, it runs, and imports nothing of ours."""
    shutil.copytree(Path(pointsman.workflows.checkpoint.__file__).parent, tmp_path / "apart")
    code = """
import sys
sys.path.insert(0, sys.argv[1])
from apart import RedisSaver
from langgraph.checkpoint.base import empty_checkpoint
saver = RedisSaver.at(sys.argv[2])
config = saver.put({"configurable": {"thread_id": "apart"}}, empty_checkpoint(), {}, {})
assert saver.get_tuple(config) is not None
saver.close()
print(*(name for name in sys.modules if name.partition(".")[0] == "pointsman"))
"""
    given = [sys.executable, "-c", code, str(tmp_path), redis_url]
    done = subprocess.run(given, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
