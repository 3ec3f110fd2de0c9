"""A Pointsman of three processes, as `pointsman serve --role ...` starts them: probes, metrics and SIGTERM."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis_servers import RedisServer, server

from pointsman.services.embedded import find_server

PATIENCE = 60.0
TOOLS = '''
import asyncio

from pointsman.experts.tools.functions import capability


@capability("t.nap")
async def nap(seconds: float) -> float:
    """Takes its time."""
    await asyncio.sleep(seconds)
    return seconds
'''


class Process:
    """`pointsman serve --role ROLE`. probes: the address of its health port."""

    def __init__(self, role: str, redis: str, home: Path, *more: str) -> None:
        home.mkdir(exist_ok=True)
        self.announced = home / f"{role}.json"
        tools = home / "naps.py"
        tools.write_text(TOOLS)
        command = ["serve", "--role", role, "--redis-url", redis, "--home", str(home)]
        command += ["--port", "0", "--health-port", "0", "--announce", str(self.announced), *more]
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "pointsman.cli", *command],
            env={**os.environ, "POINTSMAN_CAPABILITIES": str(tools)},
            stderr=subprocess.PIPE,
            text=True,
        )

    def told(self) -> dict[str, Any]:
        """What it announces, once it is up."""
        until = time.monotonic() + PATIENCE
        while not self.announced.exists():
            assert self.popen.poll() is None, self.popen.stderr and self.popen.stderr.read()
            assert time.monotonic() < until
            time.sleep(0.05)
        return dict(json.loads(self.announced.read_text()))

    def end(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.communicate()


@contextmanager
def processes(*made: Process) -> Iterator[None]:
    try:
        yield
    finally:
        for one in made:
            one.end()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with server(find_server(), tmp_path / "redis") as made:
        yield made


def ready(address: str) -> tuple[int, dict[str, str]]:
    reply = httpx.get(f"{address}/readyz")
    return reply.status_code, reply.json()["checks"]


def nap(seconds: float) -> dict[str, Any]:
    task = {"id": "a", "capability": "t.nap", "arguments": {"seconds": seconds}}
    return {"plan": {"tasks": [task]}}


def test_roles_are_ready_when_they_serve_and_end_their_work_at_sigterm(
    redis: RedisServer, tmp_path: Path
) -> None:
    home, until = tmp_path / "home", time.monotonic() + PATIENCE

    def passes() -> bool:
        assert time.monotonic() < until
        return True

    gateway, controller = (Process(r, redis.url, home) for r in ("gateway", "controller"))
    worker = Process("worker", redis.url, home, "--grace", "300")
    with processes(gateway, controller, worker):
        page, probes = gateway.told()["url"], worker.told()["health"]
        steps = controller.told()["health"]
        assert ready(probes) == (200, {"workspace": "ok", "worker": "ok"})
        assert ready(steps) == (200, {"workspace": "ok", "controller": "ok"})
        assert ready(page) == (200, {"workspace": "ok", "experts": "ok", "controllers": "ok"})
        assert httpx.get(f"{probes}/livez").status_code == 200
        with httpx.Client(base_url=page, timeout=20) as http:
            short, long = (http.post("/v1/runs", json=nap(s)).json()["id"] for s in (1.5, 200))
            busy = "pointsman_attempts_under_way 2.0"
            while busy not in httpx.get(f"{probes}/metrics").text and passes():
                time.sleep(0.02)
            assert "pointsman_runs_under_way 2.0" in httpx.get(f"{steps}/metrics").text

            worker.popen.send_signal(signal.SIGTERM)
            while (told := ready(probes))[0] == 200 and passes():
                pass
            assert told == (503, {"server": "stopping"})
            while (ended := http.get(f"/v1/runs/{short}").json())["status"] == "running":
                assert passes()
            assert ended["status"] == "done", "what was under way was to be ended"

            assert worker.popen.poll() is None, "it did not wait for the longer call"
            worker.popen.send_signal(signal.SIGTERM)
            assert worker.popen.wait(PATIENCE) == 0, "a second signal ends the grace"
            assert http.get(f"/v1/runs/{long}").json()["status"] == "running", "it was given back"
        # a gateway by itself goes on without the others, and says that they are away
        assert ready(page) == (
            200,
            {"workspace": "ok", "experts": "no expert is live", "controllers": "ok"},
        )
        redis.stop()
        assert ready(steps)[0] == 503
        assert ready(page)[0] == 503
        assert httpx.get(f"{steps}/livez").status_code == 200
        assert httpx.get(f"{steps}/metrics").status_code == 200
