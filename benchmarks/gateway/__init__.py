"""The gateway before a model server: pass-through beside a raw aiohttp proxy and LiteLLM's, and a planned run.

python -m benchmarks gateway [--seconds S] [--litellm PATH_OF_ITS_PYTHON] [--part passing|planned] [--json]

Every proxy is one process; the model answers the same bytes at once. Requests a second come over 16 connections,
the added latency at 100 requests a second is the proxy's median less that of the model asked directly.
`--litellm` names the python of an environment in which `litellm[proxy]` is installed.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks.gateway.load import Told, flood, paced, post

PATH = "/v1/chat/completions"
CONNECTIONS = 16
RATE = 100.0
ROUNDS = 3
Turn = Callable[[], dict[str, float]]


def main(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="python -m benchmarks gateway")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--litellm", type=Path, default=None)
    parser.add_argument("--part", choices=("passing", "planned"), default=None)
    given = parser.parse_args(arguments)
    found: dict[str, Any] = {}
    if given.part in (None, "passing"):
        found["passing"] = _passing(given.seconds, given.litellm)
    if given.part in (None, "planned"):
        found["planned"] = _planned(given.seconds)
    return found


def _passing(seconds: float, litellm: Path | None) -> dict[str, Any]:
    import uvloop

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gw")))
        model = stack.enter_context(_started(["-m", "benchmarks.gateway.mock"]))
        ports = {
            "model itself": model,
            "raw aiohttp": stack.enter_context(
                _started(["-m", "benchmarks.gateway.raw", str(model)])
            ),
            "Pointsman": stack.enter_context(
                _started(["-m", "benchmarks.gateway.ours", str(model), str(folder)])
            ),
        }
        if litellm is None:
            print("LiteLLM: absent; name the python of its environment with --litellm")
        else:
            ports["LiteLLM"] = stack.enter_context(_litellm(litellm, model, folder))
        return uvloop.run(_measured(ports, seconds))


async def _measured(ports: dict[str, int], seconds: float) -> dict[str, Any]:
    """Each in turn, several rounds; the median round counts."""
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in ports}
    for port in ports.values():
        await flood(port, _asked(port, stream=False), connections=4, seconds=0.5)
    for _ in range(ROUNDS):
        for name, port in ports.items():
            rounds[name].append(await _round(port, seconds))
    middle = {n: {k: _median([r[k] for r in rs]) for k in rs[0]} for n, rs in rounds.items()}
    direct = middle["model itself"]["p50"]
    print(
        f"{'':14} {'whole/s':>9} {'streams/s':>10} {'p50 ms at 100/s':>16} {'added':>7} {'errors':>7}"
    )
    for name, one in middle.items():
        one["added"] = one["p50"] - direct
        print(
            f"{name:14} {one['whole']:9,.0f} {one['streams']:10,.0f} {one['p50']:16.2f} "
            f"{one['added']:7.2f} {one['errors']:7.0f}"
        )
    ours, raw = middle["Pointsman"], middle["raw aiohttp"]
    told = f"of raw aiohttp: {ours['whole'] / raw['whole']:.2f} whole, {ours['streams'] / raw['streams']:.2f} streamed"
    if "LiteLLM" in middle:
        other = middle["LiteLLM"]
        told += (
            f"; times LiteLLM: {ours['whole'] / other['whole']:.1f} whole, "
            f"{ours['streams'] / other['streams']:.1f} streamed"
        )
    print(told)
    return middle


async def _round(port: int, seconds: float) -> dict[str, float]:
    whole = await flood(port, _asked(port, stream=False), connections=CONNECTIONS, seconds=seconds)
    streams = await flood(port, _asked(port, stream=True), connections=CONNECTIONS, seconds=seconds)
    slow = await paced(port, _asked(port, stream=False), rate=RATE, seconds=seconds)
    errors = whole.errors + streams.errors + slow.errors
    return {
        "whole": whole.rate,
        "streams": streams.rate,
        "p50": slow.quantile(0.5),
        "p99": slow.quantile(0.99),
        "errors": errors,
    }


def _asked(port: int, *, stream: bool) -> bytes:
    body: dict[str, Any] = {"model": "mock", "messages": [{"role": "user", "content": "hello"}]}
    return post(port, PATH, json.dumps(body | ({"stream": True} if stream else {})).encode())


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


PLAN = {
    "tasks": [
        {"id": "a", "capability": "echo.value", "arguments": {"value": {"n": 1}}},
        {"id": "b", "capability": "echo.value", "arguments": {"value": {"n": 2}}},
        {
            "id": "c",
            "capability": "echo.value",
            "arguments": {"value": {"a": {"$task": "a"}, "b": {"$task": "b"}}},
        },
    ],
    "answer": ["c"],
}


def _planned(seconds: float) -> dict[str, float]:
    """A run of three tasks that comes with its plan, from its creation to its last event."""
    import uvloop

    with tempfile.TemporaryDirectory(prefix="gw") as folder:
        command = ["-m", "benchmarks.gateway.ours", "0", folder, "planned"]
        with _started(command) as port:
            return uvloop.run(_runs(port, seconds))


async def _runs(port: int, seconds: float) -> dict[str, float]:
    alone = await _run_for(port, seconds, side_by_side=1)
    many = await _run_for(port, seconds, side_by_side=16)
    told = {"p50": alone.quantile(0.5), "p99": alone.quantile(0.99), "rate": many.rate}
    told["errors"] = alone.errors + many.errors
    print(
        f"planned run of 3 tasks: p50 {told['p50']:.1f} ms, p99 {told['p99']:.1f} ms one at a time; "
        f"{told['rate']:.0f} runs/s 16 at a time; {told['errors']:.0f} errors"
    )
    return told


async def _run_for(port: int, seconds: float, *, side_by_side: int) -> Told:
    told = Told()
    until = time.perf_counter() + seconds

    async def one(http: httpx.AsyncClient) -> None:
        while (began := time.perf_counter()) < until:
            made = await http.post("/v1/runs", json={"plan": PLAN})
            if made.status_code != 201:
                raise SystemExit(f"a run was refused: {made.text}")
            ended = ""
            async with http.stream("GET", f"/v1/runs/{made.json()['id']}/events") as stream:
                async for line in stream.aiter_lines():
                    ended = line if line.startswith("data: ") else ended
            told.seconds.append(time.perf_counter() - began)
            told.errors += '"done"' not in ended

    began = time.perf_counter()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
        await asyncio.gather(*(one(http) for _ in range(side_by_side)))
    told.took = time.perf_counter() - began
    return told


@contextmanager
def _started(command: list[str], python: Path | None = None) -> Iterator[int]:
    """A part in a process of its own, which says its port; it ends with its standard input."""
    process = subprocess.Popen(
        [str(python or sys.executable), *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        line = process.stdout.readline().strip()
        if not line:
            raise SystemExit(f"{' '.join(command)} did not start")
        yield int(line)
    finally:
        process.stdin.close()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@contextmanager
def _litellm(python: Path, model: int, folder: Path) -> Iterator[int]:
    """LiteLLM's proxy with one model, one worker, and nothing else switched on."""
    config = folder / "litellm.yaml"
    terms = {"model": "openai/mock", "api_base": f"http://127.0.0.1:{model}/v1", "api_key": "none"}
    config.write_text(json.dumps({"model_list": [{"model_name": "mock", "litellm_params": terms}]}))
    port = 18_000 + os.getpid() % 10_000
    command = [str(python.parent / "litellm"), "--config", str(config), "--port", str(port)]
    command += ["--host", "127.0.0.1", "--num_workers", "1"]
    quiet = {**os.environ, "LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    quiet.pop("PYTHONPATH", None)
    process = subprocess.Popen(
        command, env=quiet, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 180
        while time.monotonic() < until and process.poll() is None:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/health/liveliness").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.5)
        else:
            raise SystemExit("LiteLLM did not start")
        yield port
    finally:
        process.terminate()
        process.wait(20)
