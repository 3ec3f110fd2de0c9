"""Who waits for a run is woken, also after a restart of Redis and when the subscription is lost."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis_servers import RedisServer, free_port, server

from pointsman.router.errors import WorkspaceUnavailable
from pointsman.router.events import PhaseEntered, RunEnded
from pointsman.router.workspace import Owner, RunSpec, Workspace, connect
from pointsman.router.workspace.wakeups import Wakeups
from pointsman.services.embedded import find_server

pytestmark = pytest.mark.anyio


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    with server(find_server(), tmp_path) as made:
        yield made


@pytest.fixture
async def workspace(redis_server: RedisServer) -> AsyncIterator[Workspace]:
    made = Workspace(connect(redis_server.url))
    yield made
    await made.close()


async def watching(workspace: Workspace) -> tuple[Owner, asyncio.Task[list[str]]]:
    """A run, and a watcher that has seen all there is of it and waits for more."""
    run = await workspace.create_run(RunSpec("x"))
    owner = await workspace.own(run, "me", lease=60)
    assert owner is not None
    started = asyncio.Event()

    async def watch() -> list[str]:
        seen = []
        async for posted in workspace.events(run):
            seen.append(posted.event.type)
            started.set()
        return seen

    task = asyncio.create_task(watch())
    await started.wait()
    await asyncio.sleep(0.1)
    return owner, task


async def end(workspace: Workspace, owner: Owner) -> None:
    await workspace.post(owner, PhaseEntered("respond", 1.0))
    await workspace.finish(owner, RunEnded("done", {}, 0.0, 2.0))


ALL = ["run.created", "phase.entered", "run.ended"]


async def test_a_watcher_outlives_a_restart_of_redis(
    workspace: Workspace, redis_server: RedisServer
) -> None:
    owner, watcher = await watching(workspace)
    redis_server.kill()
    await asyncio.to_thread(redis_server.start)
    await end(workspace, owner)
    async with asyncio.timeout(10):
        assert await watcher == ALL


async def test_a_watcher_outlives_the_loss_of_the_subscription(
    workspace: Workspace, redis_server: RedisServer
) -> None:
    owner, watcher = await watching(workspace)
    for _ in range(3):
        assert redis_server.ask("CLIENT KILL", "TYPE", "pubsub") >= 0
        await asyncio.sleep(0.05)
    await end(workspace, owner)
    async with asyncio.timeout(10):
        assert await watcher == ALL


async def test_what_grew_while_nobody_listened_is_seen(
    workspace: Workspace, redis_server: RedisServer
) -> None:
    """The events come while the subscription is away, and no tap follows them."""
    owner, watcher = await watching(workspace)
    other = Workspace(connect(redis_server.url))
    redis_server.ask("CLIENT PAUSE", 300, "WRITE")
    redis_server.ask("CLIENT KILL", "TYPE", "pubsub")
    await end(other, owner)
    await other.close()
    async with asyncio.timeout(10):
        assert await watcher == ALL


async def test_waiting_for_a_redis_that_is_away_ends() -> None:
    redis = connect(f"redis://127.0.0.1:{free_port()}")
    wakeups = Wakeups(redis)
    with pytest.raises(WorkspaceUnavailable, match="does not answer"):
        await wakeups.ready(within=0.2)
    await wakeups.close()
    await redis.aclose()


async def test_closing_under_traffic_ends(workspace: Workspace, redis_server: RedisServer) -> None:
    """redis-py loses a cancellation that comes while it reads; the listener must not live on."""
    owner, watcher = await watching(workspace)
    speaker = connect(redis_server.url)

    enough = asyncio.Event()

    async def speak() -> None:
        while not enough.is_set():
            await speaker.publish("pm:wake", "nobody")

    speaking = asyncio.create_task(speak())
    for _ in range(100):
        redis = connect(redis_server.url)
        wakeups = Wakeups(redis)
        await wakeups.ready()
        async with asyncio.timeout(5):
            await wakeups.close()
        await redis.aclose()
    enough.set()
    await speaking
    await speaker.aclose()
    await end(workspace, owner)
    async with asyncio.timeout(10):
        assert await watcher == ALL
