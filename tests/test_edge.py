"""Two gateways behind nginx and behind HAProxy, with the configuration that is deployed."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from edges import edge
from redis_servers import free_port, server
from serving import RefusingPlanner, serving
from stage import in_thread

from pointsman.experts.tools.functions import ToolExpert, capability
from pointsman.router.catalog import Catalog
from pointsman.router.planning.base import Proposal, Request
from pointsman.router.workspace import Workspace, connect
from pointsman.services.embedded import find_server

PATIENCE = 40.0
KINDS = ("nginx", "haproxy")


@capability("t.nap")
async def nap(seconds: float) -> float:
    """Takes its time."""
    await asyncio.sleep(seconds)
    return seconds


class SlowPlanner(RefusingPlanner):
    async def plan(self, request: Request, catalog: Catalog) -> Proposal:
        await asyncio.sleep(float(request.text))
        return await super().plan(request, catalog)


@contextlib.asynccontextmanager
async def behind(redis: str, folder: Path) -> AsyncIterator[str]:
    workspace = Workspace(connect(redis))
    experts = [ToolExpert("sleeper", "sleeps", [nap], concurrency=32)]
    async with serving(workspace, redis, folder, experts, SlowPlanner()):
        yield redis
    await workspace.close()


@dataclass
class Gateway:
    """A process that can be killed and started again on its port."""

    redis: str
    home: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = ["serve", "--role", "gateway", "--redis-url", self.redis]
        command += ["--home", str(self.home), "--port", str(self.port)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pointsman.cli", *command],
            stderr=subprocess.DEVNULL,
            env={**os.environ, "POINTSMAN_UPLOAD_LIMIT": str(64 << 20)},
        )
        until(lambda: answers(self.address))

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def until(met: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not met():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.03)


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Gateway]]:
    folder = tmp_path_factory.mktemp("behind")
    with (
        server(find_server(), folder / "redis") as redis,
        in_thread(behind(redis.url, folder)),
    ):
        made = [Gateway(redis.url, folder / "home") for _ in range(2)]
        with ThreadPoolExecutor() as pool:
            list(pool.map(Gateway.start, made))
        try:
            yield made
        finally:
            for one in made:
                one.end(signal.SIGTERM)


@pytest.fixture(scope="module", params=KINDS)
def address(
    request: pytest.FixtureRequest,
    gateways: list[Gateway],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    ports = [gateway.port for gateway in gateways]
    with edge(request.param, tmp_path_factory.mktemp(request.param), ports) as made:
        until(lambda: answers(made))
        yield made


@pytest.fixture
def http(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=20) as client:
        yield client


def plan(*seconds: float) -> dict[str, Any]:
    """Naps, one after the other."""
    tasks: list[dict[str, Any]] = []
    for number, one in enumerate(seconds):
        task = {"id": f"n{number}", "capability": "t.nap", "arguments": {"seconds": one}}
        tasks.append(task | ({"after": [f"n{number - 1}"]} if number else {}))
    return {"plan": {"tasks": tasks}}


def start(http: httpx.Client, body: dict[str, Any], key: str = "") -> str:
    reply = http.post("/v1/runs", json=body, headers={"Idempotency-Key": key} if key else {})
    assert reply.status_code == 201, reply.text
    return str(reply.json()["id"])


def events(http: httpx.Client, run: str, after: str = "") -> Iterator[tuple[str, str]]:
    """(id, type) of each event as it comes; ends without a word when the connection is cut."""
    headers = {"Last-Event-ID": after} if after else {}
    entry: dict[str, str] = {}
    with (
        contextlib.suppress(httpx.RemoteProtocolError, httpx.ReadError),
        http.stream("GET", f"/v1/runs/{run}/events", headers=headers) as response,
    ):
        assert response.status_code == 200
        for line in response.iter_lines():
            name, _, value = line.partition(": ")
            if name:
                entry[name] = value
            elif "data" in entry:
                yield entry["id"], entry["event"]
                entry = {}


def status(http: httpx.Client, run: str) -> str:
    return str(http.get(f"/v1/runs/{run}").json()["status"])


def test_events_pass_when_they_happen(http: httpx.Client) -> None:
    run = start(http, plan(1.0))
    seen = []
    for _, kind in events(http, run):
        seen.append(kind)
        if kind == "task.started":
            assert status(http, run) == "running", "it was told only when all was over"
    assert seen[-1] == "run.ended"
    assert "task.started" in seen


def test_a_stream_goes_on_behind_the_other_gateway_when_its_own_is_killed(
    http: httpx.Client, gateways: list[Gateway]
) -> None:
    run = start(http, plan(0.2, 2.5, 0.2))
    seen: list[tuple[str, str]] = []
    killed: Gateway | None = None
    for one in events(http, run):
        seen.append(one)
        if one[1] == "task.done" and killed is None:
            [killed] = [g for g in gateways if "open_streams 1.0" in metrics(g)]
            killed.end(signal.SIGKILL)
    assert killed is not None
    assert seen[-1][1] != "run.ended", "the stream was to break"
    try:
        for _ in range(6):  # with one gateway gone, requests find the other
            start(http, plan(0.0))
            start(http, plan(0.0), key=os.urandom(8).hex())
        while seen[-1][1] != "run.ended":
            seen.extend(events(http, run, after=seen[-1][0]))
        assert seen == list(events(http, run)), "an event was lost, or came twice"
    finally:
        killed.start()


def metrics(gateway: Gateway) -> str:
    return httpx.get(f"{gateway.address}/metrics").text


def test_no_request_fails_while_gateways_are_restarted_one_by_one(
    http: httpx.Client, gateways: list[Gateway]
) -> None:
    stop = threading.Event()

    def submit(number: int) -> list[str]:
        made = []
        while not stop.is_set():
            made.append(start(http, plan(0.0), key=f"{number}-{len(made)}-{os.urandom(4).hex()}"))
            assert http.get(f"/v1/runs/{made[-1]}").status_code == 200
            stop.wait(0.2)  # no more than one controller can do
        return made

    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(submit, number) for number in range(4)]
        try:
            for gateway in gateways:
                assert gateway.end(signal.SIGTERM) == 0
                gateway.start()
                until(lambda: answers(str(http.base_url)))
        finally:
            stop.set()
        made = [run for client in clients for run in client.result()]
    assert len(made) == len(set(made)) > 8, "a repeated POST made one run twice"
    until(lambda: all(status(http, run) == "done" for run in made[-8:]))


def test_large_files_pass_and_large_requests_do_not(
    http: httpx.Client, gateways: list[Gateway]
) -> None:
    body = (b"so it goes, " * 5_000 + b"\n") * 140
    assert len(body) > 8 << 20
    sent = http.post("/v1/files", files={"file": ("big.txt", body, "text/plain")})
    assert sent.status_code == 201, sent.text
    [file] = sent.json()["files"]
    assert file["size"] == len(body)
    for gateway in gateways:
        assert httpx.get(f"{gateway.address}/v1/files/{file['id']}/content").content == body
    refused = http.post("/v1/runs", content=b'{"request": "' + b"x" * (2 << 20) + b'"}')
    assert refused.status_code == 413


def test_a_client_that_leaves_is_noticed(http: httpx.Client) -> None:
    question = {"model": "pointsman", "messages": [{"role": "user", "content": "3"}]}
    before = {r["id"] for r in http.get("/v1/runs").json()["runs"]}

    def mine() -> list[str]:
        return [r["id"] for r in http.get("/v1/runs").json()["runs"] if r["id"] not in before]

    with httpx.Client(base_url=http.base_url) as leaving, pytest.raises(httpx.ReadTimeout):
        leaving.post("/v1/chat/completions", json=question, timeout=0.5)
    [run] = mine()
    kinds = [kind for _, kind in events(http, run)]
    assert "run.cancelling" in kinds
    assert kinds[-1] == "run.ended"


class Echo(BaseHTTPRequestHandler):
    """Answers with the headers that it got."""

    def do_GET(self) -> None:
        body = json.dumps([[name.lower(), value] for name, value in self.headers.items()]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def echo() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made.server_port
        made.shutdown()
        thread.join()


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_client_says_about_itself_is_not_believed(
    kind: str, echo: int, tmp_path: Path
) -> None:
    lies = {
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Proto": "gopher",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Port": "666",
        "X-Forwarded-Prefix": "/evil",
        "X-Real-IP": "6.6.6.6",
        "X-Request-ID": "mine",
        "Forwarded": "for=6.6.6.6;host=evil.example",
    }
    with edge(kind, tmp_path / "edge", [echo, echo]) as address:
        until(lambda: answers(address))
        reply = httpx.get(f"{address}/", headers=lies)
        got: list[list[str]] = reply.json()
        assert httpx.get(f"{address}/metrics").status_code == 404
    assert not [pair for pair in got for lie in lies.values() if lie in pair[1]]
    names = [name for name, _ in got]
    assert len(names) == len(set(names)), "a header came twice"
    told = dict(got)
    assert (told["x-forwarded-for"], told["x-forwarded-proto"]) == ("127.0.0.1", "http")
    assert told["x-forwarded-host"] == told["host"] == address.removeprefix("http://")
    assert len(told["x-request-id"]) >= 32
    assert reply.headers["x-request-id"] == told["x-request-id"]
