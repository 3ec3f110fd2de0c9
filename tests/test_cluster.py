"""The workspace's promises on a Redis Cluster of three nodes, also while a node dies or a slot moves."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import SSLConnection
from redis.crc import key_slot
from redis_servers import RedisServer, address, cluster, free_port
from serving import serving
from test_controller import *  # noqa: F403 - whole runs
from test_controller import TOOLS as TOOLS_OF_RUNS
from test_effects import *  # noqa: F403 - effects and people
from test_replan import *  # noqa: F403 - failures
from test_workspace import *  # noqa: F403 - every promise holds on a cluster too

from pointsman.router.errors import WorkspaceUnavailable
from pointsman.router.events import PhaseEntered, Posted, RunEnded, TaskDone, TaskStarted, encode
from pointsman.router.plan import Plan, Ref, Task, TaskId
from pointsman.router.workspace import Offer, RunRecord, RunSpec, Workspace, connect
from pointsman.router.workspace.connection import ANSWER_SECONDS
from pointsman.router.workspace.keys import part
from pointsman.router.workspace.keys import queue as queue_of
from pointsman.router.workspace.wakeups import CLUSTER_BEAT
from pointsman.services.embedded import find_server

pytestmark = pytest.mark.anyio

STEPS = tuple(TaskId(f"s{i}") for i in range(8))


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RedisServer]]:
    with cluster(find_server(), tmp_path_factory.mktemp("cluster")) as made:
        yield made


@pytest.fixture(scope="module")
def redis_url(nodes: list[RedisServer]) -> str:
    """In place of the single server that other tests stand on."""
    return address(nodes)


def slow() -> Plan:
    """A chain that takes a second and a half when nothing is in its way."""
    tasks = [
        Task(id, "test.sleep", {"seconds": 0.2}, after=STEPS[max(0, i - 1) : i])
        for i, id in enumerate(STEPS)
    ]
    last = Task(TaskId("last"), "test.add", {"x": Ref(STEPS[-1]), "y": 1})
    return Plan((*tasks, last), answer=(last.id,))


def home(nodes: list[RedisServer], key: str) -> RedisServer:
    """The node that holds a key."""
    slot = key_slot(key.encode())
    for first, last, master, *_ in nodes[0].ask("CLUSTER SLOTS"):
        if first <= slot <= last:
            return next(n for n in nodes if n.port == master[1])
    raise AssertionError(f"no node holds slot {slot}")


async def watched(workspace: Workspace, run: str) -> list[Posted]:
    """Every event of a run until it ends; a watcher goes on where it was when Redis was away."""
    seen: list[Posted] = []
    while not (seen and isinstance(seen[-1].event, RunEnded)):
        with contextlib.suppress(WorkspaceUnavailable):
            async for posted in workspace.events(run, after=seen[-1].id if seen else None):
                seen.append(posted)
        await asyncio.sleep(0.1)
    return seen


async def underway(workspace: Workspace, run: str) -> None:
    """Returns when the first task of a run has started."""
    async for posted in workspace.events(run):
        if isinstance(posted.event, TaskStarted):
            return


def move(nodes: list[RedisServer], slot: int, source: RedisServer, target: RedisServer) -> None:
    """Moves a slot and what is in it, as redis-cli does it."""
    ids = {node.port: str(node.ask("CLUSTER MYID")) for node in (source, target)}
    target.ask("CLUSTER SETSLOT", slot, "IMPORTING", ids[source.port])
    source.ask("CLUSTER SETSLOT", slot, "MIGRATING", ids[target.port])
    while found := source.ask("CLUSTER GETKEYSINSLOT", slot, 100):
        source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *found)
    for node in (target, source, *nodes):
        node.ask("CLUSTER SETSLOT", slot, "NODE", ids[target.port])


def check(events: list[Posted], record: RunRecord) -> None:
    """A chain's run that came through: every event once, one effective result for every task."""
    assert record.status == "done"
    assert record.answer is not None
    assert record.answer["parts"][0]["value"] == 1.2
    assert len({posted.id for posted in events}) == len(events)
    done = [p.event.task for p in events if isinstance(p.event, TaskDone)]
    assert done == [*STEPS, "last"]


async def test_runs_come_through_when_every_node_is_killed_once(
    workspace: Workspace, redis_url: str, nodes: list[RedisServer], tmp_path: Path
) -> None:
    async with serving(workspace, redis_url, tmp_path, [TOOLS_OF_RUNS]):
        runs = [await workspace.create_run(RunSpec("x", plan=slow())) for _ in range(6)]
        watching = [asyncio.create_task(watched(workspace, run)) for run in runs]
        await asyncio.gather(*(underway(workspace, run) for run in runs))
        for node in nodes:
            node.kill()
            await asyncio.sleep(0.5)
            await asyncio.to_thread(node.start)
            for each in nodes:
                await asyncio.to_thread(each.until_healthy, len(nodes))
        async with asyncio.timeout(90):
            seen = await asyncio.gather(*watching)
        for run, events in zip(runs, seen, strict=True):
            check(events, await workspace.run(run))


async def test_a_run_goes_on_while_its_keys_move_to_another_node(
    workspace: Workspace, redis_url: str, nodes: list[RedisServer], tmp_path: Path
) -> None:
    async with serving(workspace, redis_url, tmp_path, [TOOLS_OF_RUNS]):
        run = await workspace.create_run(RunSpec("x", plan=slow()))
        watching = asyncio.create_task(watched(workspace, run))
        await underway(workspace, run)
        source = home(nodes, part(run, "run"))
        target = next(node for node in nodes if node is not source)
        slot = key_slot(part(run, "run").encode())
        await asyncio.to_thread(move, nodes, slot, source, target)
        async with asyncio.timeout(60):
            events = await watching
        assert home(nodes, part(run, "run")) is target
        check(events, await workspace.run(run))
        await asyncio.to_thread(move, nodes, slot, target, source)


async def test_a_queue_that_moves_gives_what_comes_after(
    workspace: Workspace, nodes: list[RedisServer]
) -> None:
    queue = workspace.queue(queue_of("mover"))

    async def take() -> list[Offer]:
        while True:  # Redis 7 ends a read with an error when its stream has moved away
            with contextlib.suppress(WorkspaceUnavailable):
                if offers := await queue.take("w", 1):
                    return offers

    waiting = asyncio.create_task(take())
    await asyncio.sleep(0.3)
    source = home(nodes, queue.key)
    target = next(node for node in nodes if node is not source)
    slot = key_slot(queue.key.encode())
    await asyncio.to_thread(move, nodes, slot, source, target)
    await queue.put({"n": "1"})
    async with asyncio.timeout(20):
        assert [offer.fields for offer in await waiting] == [{"n": "1"}]
    await asyncio.to_thread(move, nodes, slot, target, source)


async def test_what_no_wake_up_tells_of_is_seen_at_the_next_beat(
    workspace: Workspace, redis_url: str, nodes: list[RedisServer]
) -> None:
    """A wake-up can be lost between two nodes, where nobody notices; a lost subscription is noticed."""
    run = await workspace.create_run(RunSpec("x"))
    coming = workspace.events(run)
    assert (await anext(coming)).event.type == "run.created"
    silent = connect(redis_url)
    for node in (None, *nodes):
        if node is not None:
            node.ask("CLIENT KILL", "TYPE", "pubsub")
        waiting = asyncio.ensure_future(anext(coming))
        await asyncio.sleep(0.1)
        await silent.xadd(part(run, "bus"), {"e": encode(PhaseEntered("plan", 1.0))})
        async with asyncio.timeout(3 * CLUSTER_BEAT):
            assert (await waiting).event.type == "phase.entered"
    await silent.aclose()
    await coming.aclose()


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("redis+cluster://10.0.0.1:7000,10.0.0.2:7001", ["10.0.0.1:7000", "10.0.0.2:7001"]),
        (
            "redis+cluster://me:p%40ss@a.example:7000,b.example",
            ["a.example:7000", "b.example:6379"],
        ),
        ("rediss+cluster://[::1]:7000,[::2]:7001/0", ["::1:7000", "::2:7001"]),
        ("redis://a.example:7000/?cluster=true", ["a.example:7000"]),
        ("rediss://a.example:7000?socket_timeout=3&cluster=yes", ["a.example:7000"]),
    ],
)
async def test_addresses_of_a_cluster(url: str, hosts: list[str]) -> None:
    client = connect(url)
    assert isinstance(client, RedisCluster)
    assert sorted(node.name for node in client.startup_nodes) == hosts
    options = client.connection_kwargs
    assert (options["connection_class"] is SSLConnection) == url.startswith("rediss")
    assert options["password"] == ("p@ss" if "p%40ss" in url else None)
    assert options["socket_timeout"] == (3 if "socket_timeout" in url else ANSWER_SECONDS)
    await client.aclose()


@pytest.mark.parametrize(
    "url",
    [
        "redis+cluster://",
        "redis+cluster://a.example/3",
        "redis+sentinel://a.example",
        "unix:///tmp/redis.sock?cluster=true",
        "http://a.example",
    ],
)
def test_addresses_that_cannot_be_read(url: str) -> None:
    with pytest.raises(ValueError, match=r"Redis|scheme"):
        connect(url)


async def test_a_cluster_that_is_away_is_unavailable(tmp_path: Path) -> None:
    workspace = Workspace(connect(f"redis+cluster://127.0.0.1:{free_port()}"))
    with pytest.raises(WorkspaceUnavailable, match="does not answer"):
        await workspace.ping()
    with pytest.raises(WorkspaceUnavailable, match="does not answer"):
        await workspace.create_run(RunSpec("x"))
    await workspace.close()
