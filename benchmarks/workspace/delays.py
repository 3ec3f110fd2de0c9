"""From `task.ready` on the bus to `task.started`, with the real controller and worker; and makespans.

`at` of a `task.ready` is taken by the worker before it commits the input that made the task ready, `at` of a
`task.started` before the claim: the commit, the wake-up, the choice of an expert, the offer and its
delivery lie between them.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.dag import (
    SEED,
    asyncio_once,
    makespan,
    path_of,
    random_plan,
    run_once,
    served,
    skewed,
)
from benchmarks.workspace.steps import percentile
from pointsman.router.events import Event, PlanProposed, TaskReady, TaskStarted
from pointsman.router.plan import Plan, Task, TaskId

LINKS = 30
CHAINS = 10
BAR_MS = 5.0
FIRST = "first tasks of a run"
CHAIN = "in a chain"


def chain(links: int = LINKS, seconds: float = 0.005) -> Plan:
    tasks = [
        Task(
            TaskId(f"t{n}"),
            "bench.sleep",
            {"seconds": seconds},
            after=(TaskId(f"t{n - 1}"),) if n else (),
        )
        for n in range(links)
    ]
    return Plan(tuple(tasks), answer=(tasks[-1].id,))


def delays(events: Sequence[Event]) -> tuple[list[float], list[float]]:
    """Milliseconds from ready to started: (of tasks that the plan made ready, of all others)."""
    planned = next(e.at for e in events if isinstance(e, PlanProposed))
    first_started = min(e.at for e in events if isinstance(e, TaskStarted))
    ready = {e.task: e.at for e in events if isinstance(e, TaskReady)}
    first: list[float] = []
    later: list[float] = []
    for event in events:
        if isinstance(event, TaskStarted) and event.attempt == 1:
            at = ready[event.task]
            with_plan = planned <= at < first_started
            (first if with_plan else later).append((event.at - at) * 1e3)
    return first, later


@dataclass(slots=True)
class Found:
    """delay: milliseconds, by kind of task. ratios: makespan over critical path, by graph and who ran it."""

    delay: dict[str, list[float]] = field(default_factory=dict)
    ratios: dict[str, list[float]] = field(default_factory=dict)

    def note(self, kind: str, events: Sequence[Event]) -> None:
        first, later = delays(events)
        self.delay.setdefault(FIRST, []).extend(first)
        self.delay.setdefault(kind, []).extend(later)


async def measure(folder: Path, *, rounds: int, graphs: int) -> Found:
    found = Found()
    async with served(folder) as workspace:
        for _ in range(CHAINS):
            events, _whole = await run_once(workspace, chain())
            found.note(CHAIN, events)
        families = {
            "skewed 4x4": [skewed()] * rounds,
            "random graphs": [random_plan(SEED + number) for number in range(graphs)],
        }
        for family, plans in families.items():
            for plan in plans:
                path = path_of(plan)
                events, _whole = await run_once(workspace, plan)
                found.note(f"in {family}", events)
                found.ratios.setdefault(family, []).append(makespan(events) / path)
                floor = await asyncio_once(plan) / path
                found.ratios.setdefault(f"{family}, asyncio", []).append(floor)
    return found


def summary(found: Found) -> dict[str, Any]:
    return {
        "ready_to_started_ms": {
            kind: {
                "p50": round(statistics.median(values), 2),
                "p99": round(percentile(values, 0.99), 2),
                "tasks": len(values),
            }
            for kind, values in found.delay.items()
        },
        "makespan_over_critical_path": {
            family: {
                "median": round(statistics.median(values), 4),
                "mean": round(statistics.fmean(values), 4),
                "max": round(max(values), 4),
                "runs": len(values),
            }
            for family, values in found.ratios.items()
        },
    }
