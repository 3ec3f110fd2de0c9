"""Real Redis servers on loopback for tests: one that can be killed and started again, and a cluster of three.

with cluster(find_server(), folder) as nodes:
    redis = connect(address(nodes))
"""

import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import redis
from redis.exceptions import RedisError

SLOTS = 16384
START_SECONDS = 20.0
BUS = 10_000
"""A cluster's nodes talk to each other on their port and this."""


class RedisServer:
    """One redis-server on a port of loopback, its state in a folder: a restart finds what was there."""

    def __init__(self, binary: Path, folder: Path, *, cluster: bool = False) -> None:
        self.binary, self.folder, self.cluster = binary, folder, cluster
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when the server answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self.folder),
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "loglevel": "notice",
            "logfile": "redis.log",
        }
        if self.cluster:
            settings |= {"cluster-enabled": "yes", "cluster-node-timeout": "2000"}
        arguments = [a for name, value in settings.items() for a in (f"--{name}", value)]
        self._process = subprocess.Popen(
            [str(self.binary), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._until(lambda: self.ask("PING") is True)

    def kill(self) -> None:
        """SIGKILL: what is not on the disk is gone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """SIGTERM; does nothing when the server does not run."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()

    def ask(self, *command: str | int) -> Any:
        """One command to this very server. Raises RedisError."""
        client = redis.Redis(port=self.port, decode_responses=True, socket_timeout=10)
        with client:
            return client.execute_command(*command)

    def until_healthy(self, nodes: int) -> None:
        """Returns when the server is part of a whole cluster."""

        def whole() -> bool:
            info = self.ask("CLUSTER INFO")
            return (info["cluster_state"], info["cluster_known_nodes"]) == ("ok", str(nodes))

        self._until(whole)

    def _until(self, met: Callable[[], bool]) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            assert self._process is not None
            if self._process.poll() is not None:
                break
            with suppress(RedisError, OSError):
                if met():
                    return
            time.sleep(0.02)
        log = self.folder / "redis.log"
        told = log.read_text("utf-8", "replace")[-2000:] if log.exists() else "it wrote no log"
        raise RuntimeError(f"{self.binary} is not ready: {told}")


@contextmanager
def server(binary: Path, folder: Path) -> Iterator[RedisServer]:
    """A server that stands alone."""
    made = RedisServer(binary, folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()


@contextmanager
def cluster(binary: Path, folder: Path, *, nodes: int = 3) -> Iterator[list[RedisServer]]:
    """A Redis Cluster of masters without replicas, its slots shared out evenly."""
    made = [RedisServer(binary, folder / str(i), cluster=True) for i in range(nodes)]
    try:
        for number, node in enumerate(made):
            node.start()
            # each by itself: Redis 6.2 has no ADDSLOTSRANGE
            ends = (number * SLOTS // nodes, (number + 1) * SLOTS // nodes)
            node.ask("CLUSTER ADDSLOTS", *range(*ends))
            node.ask("CLUSTER SET-CONFIG-EPOCH", number + 1)
        for node in made[1:]:
            node.ask("CLUSTER MEET", "127.0.0.1", made[0].port)
        for node in made:
            node.until_healthy(nodes)
        yield made
    finally:
        for node in made:
            node.stop()


def address(nodes: Sequence[RedisServer]) -> str:
    """The URL of a cluster."""
    return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)


def free_port() -> int:
    """A port of loopback that is free, as is the one that a cluster's node needs besides.

    Below the ports that systems give to clients, so that no connection takes it between two starts.
    """
    while True:
        port = random.randrange(20_000, 22_000)
        with socket.socket() as first, socket.socket() as second, suppress(OSError):
            first.bind(("127.0.0.1", port))
            second.bind(("127.0.0.1", port + BUS))
            return port
