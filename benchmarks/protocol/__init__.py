"""The protocol of the workspace under random acts of owners, workers and people: violations by promise.

A state machine (hypothesis) acts on a real Redis, with current and with stale holds; a sequential model and
a witness say what must hold after every step. `--without-fence` takes the fence of the attempt out of the
commit script first, to see that the machine finds it missing; `--guards` does so with every guard of the
scripts in turn, up to so many steps each. The command ends with 1 when a promise was broken, or when a
guard could be missed.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from rich.console import Console
from rich.table import Table

from benchmarks.protocol.guards import FENCE, GUARDS, unguarded
from benchmarks.protocol.machine import Protocol
from benchmarks.protocol.model import Rule
from benchmarks.protocol.stage import Bench, Dying
from pointsman.router.workspace import Workspace, connect
from pointsman.services.embedded import EmbeddedRedis

STEPS = 40
"""Acts of one example."""


def search(bench: Bench, *, examples: int, number: int | None, shrink: bool) -> None:
    """Runs the machine. number: of the choices; None takes new ones. Raises Violation unless it tallies."""

    class Bound(Protocol):
        def __init__(self) -> None:
            super().__init__(bench)

    if number is not None:
        seed(number)(Bound)
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]
    run_state_machine_as_test(
        Bound,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize=False,
            phases=phases,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


@contextmanager
def bench_at(url: str, *, without: str | None = None, tally: bool = False) -> Iterator[Bench]:
    """without: a guard that is taken out of the scripts."""
    with asyncio.Runner() as runner:
        workspace, dying = Workspace(connect(url)), Dying(connect(url))
        if without is not None:
            unguarded(workspace, without)
        yield Bench(runner, workspace, dying, tally=tally)
        runner.run(workspace.close())
        runner.run(dying.close())


def measure(url: str, *, steps: int, number: int, without: str | None = None) -> Bench:
    """So many steps at least; violations are counted."""
    with bench_at(url, without=without, tally=True) as bench:
        while bench.steps < steps:
            examples = max(2, (steps - bench.steps) // STEPS)
            search(bench, examples=examples, number=number, shrink=False)
            number += 1
    return bench


def missed(url: str, *, steps: int, number: int) -> dict[str, str]:
    """Each guard in turn is taken out: the first promise that was seen broken, or "" for none."""
    found = {}
    for name in GUARDS:
        with bench_at(url, without=name, tally=True) as bench:
            seeds = count(number)
            while bench.steps < steps and not bench.violations:
                search(bench, examples=5, number=next(seeds), shrink=False)
            found[name] = next((f"{rule} ({bench.steps} steps)" for rule in bench.violations), "")
    return found


@contextmanager
def server(url: str | None) -> Iterator[str]:
    """The one that was named, or one of our own."""
    if url is not None:
        yield url
        return
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        own = EmbeddedRedis(Path(folder))
        address = runner.run(own.__aenter__())
        try:
            yield address
        finally:
            runner.run(own.__aexit__())


def main(arguments: list[str]) -> dict[str, Any]:
    """Raises SystemExit(1), after its table, when a promise was broken or a guard could be missed."""
    parser = argparse.ArgumentParser(prog="benchmarks protocol", description=__doc__)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--without-fence", action="store_true")
    parser.add_argument("--guards", action="store_true")
    parser.add_argument("--redis", help="URL of a server to use instead of one of its own")
    options = parser.parse_args(arguments)
    number = options.seed if options.seed is not None else random.randrange(10**9)
    began = time.perf_counter()
    with server(options.redis) as url:
        if options.guards:
            return guards(missed(url, steps=options.steps, number=number), number)
        without = FENCE if options.without_fence else None
        bench = measure(url, steps=options.steps, number=number, without=without)
    seconds = time.perf_counter() - began
    show(bench, seconds, number)
    if bench.violations:
        sys.exit(1)
    return {
        "steps": bench.steps,
        "refused": bench.refused,
        "seconds": round(seconds, 1),
        "seed": number,
        "violations": {rule.name.lower(): bench.violations[rule] for rule in Rule},
    }


def guards(found: dict[str, str], number: int) -> dict[str, Any]:
    table = Table(title=f"each guard taken out of its script, seed {number}")
    table.add_column("guard")
    table.add_column("what was broken without it")
    for name, broken in found.items():
        table.add_row(name, broken or "nothing: it could be missed")
    Console().print(table)
    if not all(found.values()):
        sys.exit(1)
    return {"guards": len(found), "found": sum(map(bool, found.values())), "seed": number}


def show(bench: Bench, seconds: float, number: int) -> None:
    table = Table(title=f"{bench.steps:,} steps in {seconds:.0f} s, seed {number}")
    table.add_column("promise")
    table.add_column("violations", justify="right")
    for rule in Rule:
        table.add_row(str(rule), str(bench.violations[rule]))
    console = Console()
    console.print(table)
    acts = ", ".join(f"{name} {count:,}" for name, count in bench.acts.most_common())
    console.print(f"acts: {acts}; {bench.refused:,} of them were to be refused")
    for what, times in bench.found.most_common():
        console.print(f"  {times} x {what}", markup=False, highlight=False)
