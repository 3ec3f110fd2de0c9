"""What every test stands on: a real Redis, no network beyond this machine, and an event loop."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from redis_servers import address, cluster

from pointsman.router.workspace import Workspace, connect
from pointsman.services.embedded import EmbeddedRedis, find_server

settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "search")
"""A build tries the same examples each time; on a developer's machine every run looks for new ones."""

os.environ.pop("COLUMNS", None)
"""What is printed is as wide as in a pipe, whatever the terminal of whoever runs the tests is."""

LOOPBACK = ("127.", "::1", "localhost")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that reaches for the outside fails at once, and says so."""
    connect_there = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = str(address[0])
            if not host.startswith(LOOPBACK):
                raise AssertionError(f"a test reaches for the network: {address!r}")
        connect_there(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session", autouse=True)
def chosen_server(tmp_path_factory: pytest.TempPathFactory) -> None:
    """POINTSMAN_TEST_REDIS=/path/to/valkey-server: every server that a test starts is this one."""
    chosen = os.environ.get("POINTSMAN_TEST_REDIS")
    if chosen:
        folder = tmp_path_factory.mktemp("server")
        (folder / "redis-server").symlink_to(Path(chosen).absolute())
        os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture(scope="session")
def redis_url(chosen_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One real Redis for the session; with POINTSMAN_TEST_CLUSTER=1 a cluster of three."""
    folder = tmp_path_factory.mktemp("redis")
    if os.environ.get("POINTSMAN_TEST_CLUSTER"):
        with cluster(find_server(), folder) as nodes:
            yield address(nodes)
        return
    server = EmbeddedRedis(Path(folder))
    with asyncio.Runner() as runner:
        url = runner.run(server.__aenter__())
        yield url
        runner.run(server.__aexit__())


@pytest.fixture
async def workspace(redis_url: str) -> AsyncIterator[Workspace]:
    """An empty workspace."""
    redis = connect(redis_url)
    await redis.flushall()
    made = Workspace(redis)
    yield made
    await made.close()
