"""What the tests of the checkpoint saver share: graphs, configs and checkpoints."""

import operator
from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias, TypedDict

from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver, Checkpoint, empty_checkpoint
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from pointsman.workflows.checkpoint import RedisSaver

Graph: TypeAlias = "CompiledStateGraph[Any, Any, Any, Any]"


def at(thread: str, **more: Any) -> Any:
    """A config."""
    return {"configurable": {"thread_id": thread, "checkpoint_ns": "", **more}}


def checkpoint(values: dict[str, Any], versions: dict[str, Any] | None = None) -> Checkpoint:
    """A new one, whose channels are all at version 1 unless told otherwise."""
    made = empty_checkpoint()
    made["channel_values"] = values
    made["channel_versions"] = versions if versions is not None else dict.fromkeys(values, "1")
    return made


def plain(config: Any) -> Any:
    """What every saver's config has."""
    names = ("thread_id", "checkpoint_ns", "checkpoint_id")
    return {"configurable": {name: config["configurable"][name] for name in names}}


async def chain(saver: RedisSaver, thread: str, *runs: str) -> list[Any]:
    """A checkpoint of each run: x is new in each, y only in the first. Their configs."""
    config, made = at(thread), []
    for index, run in enumerate(runs):
        versions = {"x": str(index), "y": "0"}
        new = versions if index == 0 else {"x": versions["x"]}
        values = {"x": f"x{index}", "y": "y0"}
        metadata: Any = {"step": index, "run_id": run}
        config = await saver.aput(config, checkpoint(values, versions), metadata, new)
        await saver.aput_writes(config, [("x", f"x{index + 1}")], f"task {index}", "path")
        made.append(config)
    return made


def id_of(config: Any) -> str:
    return str(config["configurable"].get("checkpoint_id", ""))


async def ids(saver: RedisSaver, config: Any, **options: Any) -> list[str]:
    return [found.checkpoint["id"] async for found in saver.alist(config, **options)]


async def values_at(saver: RedisSaver, config: Any) -> dict[str, Any]:
    found = await saver.aget_tuple(config)
    assert found is not None
    return found.checkpoint["channel_values"]


class Count(TypedDict, total=False):
    count: int


def counter(saver: BaseCheckpointSaver[Any]) -> Graph:
    """A graph of one node, which adds one."""
    graph = StateGraph(Count)
    graph.add_node("add", lambda state: {"count": state.get("count", 0) + 1})
    graph.add_edge(START, "add")
    graph.add_edge("add", END)
    return graph.compile(checkpointer=saver)


class Steps(TypedDict, total=False):
    names: Annotated[list[str], operator.add]


def three_steps(saver: BaseCheckpointSaver[Any]) -> Graph:
    """Nodes a, b and c in a row, each of which adds its name."""
    graph = StateGraph(Steps)
    graph.add_node("a", lambda _: {"names": ["a"]})
    graph.add_node("b", lambda _: {"names": ["b"]})
    graph.add_node("c", lambda _: {"names": ["c"]})
    for one, next in ((START, "a"), ("a", "b"), ("b", "c"), ("c", END)):
        graph.add_edge(one, next)
    return graph.compile(checkpointer=saver)


def folded(state: list[str], writes: Sequence[list[str]]) -> list[str]:
    return [*state, *(item for write in writes for item in write)]


class Items(TypedDict, total=False):
    items: Annotated[list[str], DeltaChannel(folded, snapshot_frequency=7)]


def collector(saver: BaseCheckpointSaver[Any]) -> Graph:
    """One node that adds an item to a delta channel: its checkpoints hold what was written, not the list."""
    graph = StateGraph(Items)
    graph.add_node("add", lambda state: {"items": [f"item {len(state.get('items', []))}"]})
    graph.add_edge(START, "add")
    graph.add_edge("add", END)
    return graph.compile(checkpointer=saver)
