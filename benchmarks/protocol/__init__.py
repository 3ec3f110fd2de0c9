"""The protocol of the workspace under random acts of owners, workers and people: violations by promise.

A state machine (hypothesis) acts on a real Redis, with current and with stale holds; a sequential model and
a witness say what must hold after every step. `--without-fence` takes the fence of the attempt out of the
commit script first, to see that the machine finds it missing. The command ends with 1 when a promise was
broken.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from rich.console import Console
from rich.table import Table

from benchmarks.protocol.fence import unfenced
from benchmarks.protocol.machine import Protocol
from benchmarks.protocol.model import Rule
from benchmarks.protocol.stage import Bench, Dying
from pointsman.router.workspace import Workspace, connect
from pointsman.services.embedded import EmbeddedRedis

STEPS = 50
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


def measure(url: str, *, steps: int, number: int, without_fence: bool) -> Bench:
    with asyncio.Runner() as runner:
        workspace = Workspace(connect(url))
        if without_fence:
            unfenced(workspace)
        bench = Bench(runner, workspace, Dying(connect(url)), tally=True)
        while bench.steps < steps:
            search(
                bench, examples=max(2, (steps - bench.steps) // STEPS), number=number, shrink=False
            )
            number += 1
        runner.run(workspace.close())
        runner.run(bench.dying.close())
    return bench


def main(arguments: list[str]) -> dict[str, Any]:
    """Raises SystemExit(1), after its table, when a promise was broken."""
    parser = argparse.ArgumentParser(prog="benchmarks protocol", description=__doc__)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--without-fence", action="store_true")
    parser.add_argument("--redis", help="URL of a server to use instead of one of its own")
    options = parser.parse_args(arguments)
    number = options.seed if options.seed is not None else random.randrange(10**9)
    began = time.perf_counter()
    terms: dict[str, Any] = {"steps": options.steps, "number": number}
    terms["without_fence"] = options.without_fence
    if options.redis:
        bench = measure(options.redis, **terms)
    else:
        with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
            server = EmbeddedRedis(Path(folder))
            url = runner.run(server.__aenter__())
            try:
                bench = measure(url, **terms)
            finally:
                runner.run(server.__aexit__())
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
    for what, count in bench.found.most_common():
        console.print(f"  {count} x {what}", markup=False, highlight=False)
