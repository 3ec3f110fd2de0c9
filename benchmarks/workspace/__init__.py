"""The durable task step, the delays around it, and what runs cost in memory; peers beside it.

`--part` measures one of: steps (claim to commit, on the embedded server, with both policies of its
append-only file), peers (LangGraph with a Postgres saver, DBOS, if installed), delays (ready to started, and
makespan over critical path), memory (10,000 short runs, flat or not). All parts, in a short form: some
four minutes. Everything runs on uvloop, as `pointsman serve` does. On a machine that does other work the
numbers say little: look at the load that is printed.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Literal

import uvloop
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.workspace import delays, memory, peers, steps
from benchmarks.workspace.postgres import find_programs, postgres
from benchmarks.workspace.server import POLICIES, Policy, opened, server, sync_cost

Line = tuple[str, str, str]
"""What, under which policy or on which graph, how much."""
Bar = tuple[str, float, Literal["<=", ">="], float]
"""What, the value, the relation it should have to the limit, the limit."""


async def _steps(folder: Path, options: argparse.Namespace) -> dict[Policy, steps.Found]:
    """Both servers are up; the policies take turns, so that a busy moment meets both."""
    found: dict[Policy, steps.Found] = {policy: steps.Found() for policy in POLICIES}
    async with AsyncExitStack() as stack:
        places = {}
        for policy in POLICIES:
            url = await stack.enter_async_context(server(folder, policy))
            places[policy] = await stack.enter_async_context(opened(url))
        for _ in range(options.rounds):
            for policy, (workspace, client) in places.items():
                await steps.measure(
                    workspace, client, found[policy], steps=options.steps, folder=folder
                )
    return found


def measure_steps(folder: Path, options: argparse.Namespace) -> tuple[dict[str, Any], list[Line]]:
    sync = sync_cost(folder)
    found = uvloop.run(_steps(folder, options))
    lines = [("fdatasync of this disk", "", f"p50 {sync:.3f} ms")]
    for policy, measured in found.items():
        lines += steps.rows(policy, measured)
    told: dict[str, Any] = {policy: steps.summary(f) for policy, f in found.items()}
    return {"fdatasync_ms": round(sync, 3), **told}, lines


async def _on_redis(folder: Path) -> list[peers.Peer]:
    found = []
    for policy in POLICIES:
        async with server(folder / "peers", policy) as url:
            found.append(await peers.langgraph_on_redis(url, policy))
    return found


def measure_peers(folder: Path, options: argparse.Namespace) -> tuple[dict[str, Any], list[Line]]:
    found = uvloop.run(_on_redis(folder))
    programs = find_programs()
    if options.postgres:
        found += uvloop.run(peers.on_postgres(options.postgres))
    elif programs is not None:
        with postgres(programs) as url:
            found += uvloop.run(peers.on_postgres(url))
    told: dict[str, Any] = {}
    lines: list[Line] = []
    if not options.postgres and programs is None:
        lines.append(("Postgres", "", "no initdb was found: install it, or give --postgres URL"))
    for peer in found:
        value = peer.missing or f"{peer.p50_ms} ms a step, {peer.rate:,} steps/s of {peers.AT_ONCE}"
        lines.append((peer.name, peer.policy, value))
        told.setdefault(peer.name, {})[peer.policy] = peer.missing or {
            "step_p50_ms": peer.p50_ms,
            "steps_per_second": peer.rate,
        }
    return told, lines


def measure_delays(folder: Path, options: argparse.Namespace) -> tuple[dict[str, Any], list[Line]]:
    found = uvloop.run(delays.measure(folder, rounds=5, graphs=options.graphs))
    told = delays.summary(found)
    lines: list[Line] = []
    for kind, values in told["ready_to_started_ms"].items():
        lines.append(("ready to started", kind, f"p50 {values['p50']} ms, p99 {values['p99']} ms"))
    for family, values in told["makespan_over_critical_path"].items():
        shown = f"median {values['median']:.3f}, max {values['max']:.3f} of {values['runs']}"
        lines.append(("makespan over critical path", family, shown))
    return told, lines


def measure_memory(folder: Path, options: argparse.Namespace) -> tuple[dict[str, Any], list[Line]]:
    keep = memory.SHORT_KEEP if options.part == "memory" else memory.KEEP
    found = uvloop.run(memory.measure(folder / "memory", runs=options.runs, keep=keep))
    told = memory.summary(found)
    per_run = f"{told['redis_bytes_per_finished_run']:,} bytes"
    parts = ", ".join(f"{name} {size:,}" for name, size in told["redis_bytes_by_key"].items())
    lines = [
        ("Redis, a finished run", f"{told['events_per_run']} events", per_run),
        ("of it", "by key", parts),
        ("Redis, a live run", "", f"{told['redis_bytes_per_live_run']:,} bytes"),
        ("Redis, MiB", f"ended runs kept {keep} s", str(told["redis_mib"])),
        ("controller and worker, MiB", f"{told['runs']:,} runs", str(told["process_mib"])),
        ("its growth after a fifth", "", f"{told['process_growth']:.1%}"),
    ]
    return told, lines


def bars(told: dict[str, dict[str, Any]]) -> list[Bar]:
    """What this project holds itself to, as far as it was measured."""
    found: list[Bar] = []
    for policy in POLICIES if "steps" in told else ():
        step = told["steps"][policy]
        rate = step["tasks_per_second"]["claim and commit"]
        found.append((f"step p50, claimed first, {policy}", step["step_p50_ms"], "<=", 0.5))
        found.append(
            (f"step p50, quick and pure, {policy}", step["one_act_step_p50_ms"], "<=", 0.5)
        )
        found.append((f"step p50, always at work, {policy}", step["busy_step_p50_ms"], "<=", 0.5))
        found.append((f"tasks/s of {steps.WORKERS} workers, {policy}", rate, ">=", 3500))
    if "delays" in told:
        delay = told["delays"]["ready_to_started_ms"][delays.CHAIN]["p99"]
        found.append(("ready to started p99, ms", delay, "<=", delays.BAR_MS))
        for family, values in told["delays"]["makespan_over_critical_path"].items():
            if "asyncio" not in family:
                found.append((f"makespan, {family}, median", values["median"], "<=", 1.05))
    if "memory" in told:
        grown = told["memory"]["process_growth"]
        found.append(("growth of the process", grown, "<=", memory.FLAT))
    return found


def met(bar: Bar) -> bool:
    _, value, relation, limit = bar
    return value <= limit if relation == "<=" else value >= limit


PARTS: dict[str, Callable[[Path, argparse.Namespace], tuple[dict[str, Any], list[Line]]]] = {
    "steps": measure_steps,
    "peers": measure_peers,
    "delays": measure_delays,
    "memory": measure_memory,
}


def main(arguments: list[str]) -> dict[str, object]:
    parser = argparse.ArgumentParser(prog="benchmarks workspace", description=__doc__)
    parser.add_argument("--part", choices=PARTS, help="one of them alone")
    parser.add_argument("--rounds", type=int, default=3, help="of steps, each policy in turn")
    parser.add_argument("--steps", type=int, default=1000, help="in a round")
    parser.add_argument("--graphs", type=int, default=50, help="random graphs")
    parser.add_argument("--runs", type=int, help="of memory (500; alone 10,000)")
    parser.add_argument("--postgres", metavar="URL", help="for the peers, instead of a new one")
    options = parser.parse_args(arguments)
    if options.runs is None:
        options.runs = 10_000 if options.part == "memory" else 500
    loads = [os.getloadavg()[0]]
    told: dict[str, dict[str, Any]] = {}
    table = Table("what", "", "measured")
    for name in [options.part] if options.part else PARTS:
        with tempfile.TemporaryDirectory() as folder:
            told[name], lines = PARTS[name](Path(folder), options)
        for line in lines:
            table.add_row(*map(escape, line))
        table.add_section()
        loads.append(os.getloadavg()[0])
    held = bars(told)
    for bar in held:
        name, value, relation, limit = bar
        table.add_row(name, "met" if met(bar) else "NOT met", f"{value:g} {relation} {limit:g}")
    Console().print(table)
    print(f"load of the machine meanwhile: {statistics.fmean(loads):.2f} on {os.cpu_count()} cores")
    return {
        **told,
        "bars": {bar[0]: {"value": bar[1], "limit": bar[3], "met": met(bar)} for bar in held},
        "load": [round(load, 2) for load in loads],
    }
