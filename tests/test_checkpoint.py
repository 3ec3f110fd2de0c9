"""The checkpoint saver, on a real Redis: LangGraph's conformance suite, and what the suite does not ask."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypedDict

import pytest
import redis.asyncio
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from pointsman.workflows.checkpoint import RedisSaver, StaleCheckpoint

pytestmark = pytest.mark.anyio

CAPABILITIES = {
    "put",
    "put_writes",
    "get_tuple",
    "list",
    "delete_thread",
    "delete_for_runs",
    "copy_thread",
    "prune",
}


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """An empty server."""
    made = redis.asyncio.Redis.from_url(redis_url)
    await made.flushall()
    yield made
    await made.aclose()


@pytest.fixture
async def saver(client: redis.asyncio.Redis, redis_url: str) -> AsyncIterator[RedisSaver]:
    made = RedisSaver.at(redis_url)
    yield made
    await made.aclose()


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


@pytest.mark.parametrize("kind", [RedisSaver, Synchronous])
@pytest.mark.parametrize("fenced", [True, False])
async def test_the_published_conformance_suite_passes_whole(
    client: redis.asyncio.Redis, redis_url: str, kind: type[RedisSaver], fenced: bool
) -> None:
    @checkpointer_test(name=f"{kind.__name__}, fenced={fenced}")
    async def made() -> AsyncIterator[RedisSaver]:
        saver = kind.at(redis_url, fenced=fenced)
        yield saver
        await saver.aclose()

    report = await validate(made)
    failures = {name: result.failures for name, result in report.results.items()}
    assert failures == {name: [] for name in CAPABILITIES}
    assert all(result.detected and result.passed for result in report.results.values())
    assert report.conformance_level() == "FULL"
    assert sum(result.tests_passed for result in report.results.values()) == 81


# --- two writers --------------------------------------------------------------------------------


class Count(TypedDict, total=False):
    count: int


def counter(saver: RedisSaver) -> CompiledStateGraph[Any, Any, Any, Any]:
    graph = StateGraph(Count)
    graph.add_node("add", lambda state: {"count": state.get("count", 0) + 1})
    graph.add_edge(START, "add")
    graph.add_edge("add", END)
    return graph.compile(checkpointer=saver)


def at(thread: str, **more: Any) -> Any:
    return {"configurable": {"thread_id": thread, **more}}


async def increment(graph: CompiledStateGraph[Any, Any, Any, Any], thread: str) -> int:
    """Reads, adds one, writes; again when another writer was first. How often it was refused."""
    refused = 0
    while True:
        before = await graph.aget_state(at(thread))
        await asyncio.sleep(0)
        try:
            count = before.values.get("count", 0) + 1
            await graph.aupdate_state(before.config, {"count": count}, as_node="add")
        except StaleCheckpoint:
            refused += 1
        else:
            return refused


async def test_two_writers_lose_no_update_in_twenty_trials(
    client: redis.asyncio.Redis, redis_url: str
) -> None:
    savers = [RedisSaver.at(redis_url) for _ in range(2)]
    graphs = [counter(saver) for saver in savers]
    refused = 0

    async def many(graph: CompiledStateGraph[Any, Any, Any, Any], thread: str) -> int:
        return sum([await increment(graph, thread) for _ in range(25)])

    for trial in range(20):
        thread = f"trial {trial}"
        await graphs[0].aupdate_state(at(thread), {"count": 0}, as_node="add")
        refused += sum(await asyncio.gather(*(many(graph, thread) for graph in graphs)))
        assert (await graphs[0].aget_state(at(thread))).values == {"count": 50}
    assert refused > 20, "the writers did not meet; the test shows nothing"
    for saver in savers:
        await saver.aclose()


@pytest.mark.parametrize(("fenced", "total"), [(True, 2), (False, 1)])
async def test_it_is_the_fence_that_keeps_the_update(
    client: redis.asyncio.Redis, redis_url: str, fenced: bool, total: int
) -> None:
    """Both read, then both write: one is refused and does it again, or, unfenced, one update is lost."""
    savers = [RedisSaver.at(redis_url, fenced=fenced) for _ in range(2)]
    a, b = (counter(saver) for saver in savers)
    await a.aupdate_state(at("t"), {"count": 0}, as_node="add")
    reads = [await graph.aget_state(at("t")) for graph in (a, b)]
    await a.aupdate_state(reads[0].config, {"count": 1}, as_node="add")
    if fenced:
        with pytest.raises(StaleCheckpoint):
            await b.aupdate_state(reads[1].config, {"count": 1}, as_node="add")
        await increment(b, "t")
    else:
        await b.aupdate_state(reads[1].config, {"count": 1}, as_node="add")
    assert (await a.aget_state(at("t"))).values == {"count": total}
    for saver in savers:
        await saver.aclose()
