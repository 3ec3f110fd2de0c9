"""The table of a trial."""

import re
import statistics
from collections import Counter
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from benchmarks.crash.trial import Found
from benchmarks.crash.verify import Violation

PROMISES = (
    "end",
    "settled",
    "lost",
    "commit",
    "order",
    "value",
    "stays",
    "stream",
    "keyed",
    "once",
    "unknown",
    "fsck",
    "log",
)
SHOWN = 5
"""Violations of each promise that are told one by one."""


def show(found: Found) -> None:
    table = Table("", "", title=f"crash, seed {found.seed}")
    kills = found.toll.kills.total()
    table.add_row("kills", f"{kills} ({_listed(found.toll.kills)})")
    table.add_row("kills a minute", f"{60 * kills / found.seconds:.0f} over {found.seconds:.0f} s")
    table.add_row("stopped past their lease", _listed(found.toll.stalls))
    table.add_row("runs", f"{found.runs.total()} ({_listed(found.runs)})")
    table.add_row("tasks", f"{found.tasks.total()} ({_listed(found.tasks)})")
    table.add_row("all ended after the last kill", f"{found.settling:.0f} s")
    longest = max(found.lasted, default=0.0)
    median = statistics.median(found.lasted or [0.0])
    table.add_row("seconds of a run", f"median {median:.1f}, longest {longest:.1f}")
    for name, count in sorted(found.counts.items()):
        table.add_row(name, str(count))
    broken = Counter(v.promise for v in found.violations)
    for promise in PROMISES:
        table.add_row(f"broken: {promise}", str(broken[promise]))
    console = Console()
    console.print(table)
    for promise in PROMISES:
        for violation in [v for v in found.violations if v.promise == promise][:SHOWN]:
            console.print(_told(violation), markup=False, highlight=False, soft_wrap=True)


def summary(found: Found) -> dict[str, object]:
    return {
        "seed": found.seed,
        "kills": dict(found.toll.kills),
        "stalls": dict(found.toll.stalls),
        "seconds": round(found.seconds, 1),
        "settling_seconds": round(found.settling, 1),
        "runs": dict(found.runs),
        "tasks": dict(found.tasks),
        "longest_run_seconds": round(max(found.lasted, default=0.0), 1),
        **{re.sub(r"\W+", "_", name): count for name, count in sorted(found.counts.items())},
        "violations": [_told(v) for v in found.violations],
    }


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"


def _told(violation: Violation) -> str:
    return f"{violation.promise}: {violation.run}: {violation.what}"
