"""What a durable step costs elsewhere: LangGraph with a Postgres saver, DBOS, if they are installed.

    pip install langgraph-checkpoint-postgres==3.2.0 dbos==3.4.0 "psycopg[binary]"

A step of theirs is a node or a step that does nothing, in a chain of STEPS, its outcome kept before the next
one begins. LangGraph with our saver on Redis stands beside them.
"""

import asyncio
import importlib
import importlib.util
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypedDict

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph

from benchmarks.workspace.postgres import relaxed
from benchmarks.workspace.server import Policy
from pointsman.workflows.checkpoint import RedisSaver

STEPS = 50
ROUNDS = 6
AT_ONCE = 8
LANGGRAPH, DBOS = "LangGraph, Postgres saver", "DBOS"
INSTALL = {
    LANGGRAPH: ("langgraph.checkpoint.postgres", "langgraph-checkpoint-postgres psycopg[binary]"),
    DBOS: ("dbos", "dbos psycopg[binary]"),
}

Chain = Callable[[str], Awaitable[None]]
"""Runs STEPS steps under a name that was not used before."""


class State(TypedDict, total=False):
    n: int


@dataclass(frozen=True, slots=True)
class Peer:
    """p50_ms: of a step, one chain at a time. rate: steps per second of AT_ONCE chains side by side."""

    name: str
    policy: Policy
    p50_ms: float = 0.0
    rate: float = 0.0
    missing: str = ""


def missing(name: str) -> str:
    """How to install a peer; empty when it is there."""
    module, packages = INSTALL[name]
    try:
        there = importlib.util.find_spec(module) and importlib.util.find_spec("psycopg")
    except ModuleNotFoundError:
        there = None
    return "" if there else f"not installed: pip install {packages}"


async def timed(name: str, policy: Policy, chain: Chain) -> Peer:
    await chain(f"{name}-{policy}-warm")
    taken = []
    for number in range(ROUNDS):
        started = time.perf_counter()
        await chain(f"{name}-{policy}-{number}")
        taken.append((time.perf_counter() - started) / STEPS * 1e3)
    started = time.perf_counter()
    await asyncio.gather(*(chain(f"{name}-{policy}-many-{n}") for n in range(AT_ONCE)))
    rate = AT_ONCE * STEPS / (time.perf_counter() - started)
    return Peer(name, policy, round(statistics.median(taken), 3), round(rate))


def graph_chain(saver: BaseCheckpointSaver[Any]) -> Chain:
    graph = StateGraph(State)
    for number in range(STEPS):

        async def node(state: State) -> State:
            return {"n": state.get("n", 0) + 1}

        graph.add_node(f"n{number}", node)
        graph.add_edge(f"n{number - 1}" if number else START, f"n{number}")
    graph.add_edge(f"n{STEPS - 1}", END)
    compiled = graph.compile(checkpointer=saver)

    async def chain(name: str) -> None:
        config: Any = {"configurable": {"thread_id": name}, "recursion_limit": 2 * STEPS}
        await compiled.ainvoke({"n": 0}, config, durability="sync")

    return chain


async def langgraph_on_redis(url: str, policy: Policy) -> Peer:
    saver = RedisSaver.at(url, prefix="bench")
    try:
        return await timed("LangGraph, our Redis saver", policy, graph_chain(saver))
    finally:
        await saver.aclose()


async def langgraph_on_postgres(url: str, policy: Policy) -> Peer:
    """AT_ONCE connections in a pool, as its documentation advises for concurrent use."""
    savers = importlib.import_module("langgraph.checkpoint.postgres.aio")
    pools = importlib.import_module("psycopg_pool")
    rows = importlib.import_module("psycopg.rows")
    options = {"autocommit": True, "prepare_threshold": 0, "row_factory": rows.dict_row}
    async with pools.AsyncConnectionPool(url, max_size=AT_ONCE, kwargs=options) as pool:
        saver = savers.AsyncPostgresSaver(pool)
        await saver.setup()
        return await timed(LANGGRAPH, policy, graph_chain(saver))


async def dbos_on_postgres(url: str, policy: Policy) -> Peer:
    module = importlib.import_module("dbos")
    driver = url.replace("postgresql://", "postgresql+psycopg://", 1)
    module.DBOS(
        config={
            "name": "bench",
            "system_database_url": driver,
            "run_admin_server": False,
            "log_level": "ERROR",
        }
    )

    async def step(number: int) -> int:
        return number

    kept = module.DBOS.step()(step)

    async def workflow(name: str) -> None:
        for number in range(STEPS):
            await kept(number)

    chain: Chain = module.DBOS.workflow(name=f"chain-{policy}")(workflow)
    module.DBOS.launch()
    try:
        return await timed(DBOS, policy, chain)
    finally:
        module.DBOS.destroy()


async def on_postgres(url: str) -> list[Peer]:
    """Both peers under both durabilities: `always` is Postgres as it comes."""
    found: list[Peer] = []
    ways: dict[str, Callable[[str, Policy], Awaitable[Peer]]] = {
        LANGGRAPH: langgraph_on_postgres,
        DBOS: dbos_on_postgres,
    }
    urls: dict[Policy, str] = {"everysec": relaxed(url), "always": url}
    for name, way in ways.items():
        told = missing(name)
        for policy, where in urls.items():
            found.append(Peer(name, policy, missing=told) if told else await way(where, policy))
    return found
