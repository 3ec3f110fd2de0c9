"""Names of keys in Redis. All keys of one run share the hash tag {run id}."""

from pointsman.router.events import RunId

RUN_PARTS = (
    "run",
    "bus",
    "status",
    "attempt",
    "pending",
    "dependants",
    "slots",
    "versions",
    "calls",
    "leases",
    "effects",
    "approvals",
    "focus",
    "budget",
)
RUNS = "pm:runs"
"""Sorted set: run id by time of creation."""
ACTIVE = "pm:active"
"""Sorted set: owned run by the end of its lease; what stands here past its time has lost its owner."""
ADMISSION = "pm:{admission}:queue"
"""Sorted set: waiting run by its virtual finish time."""
MARKS = "pm:{admission}:marks"
"""Hash: the virtual time ("now") and each tenant's last virtual finish time."""
DEAD = "pm:dead"
"""Hash: "run|task" -> a dead letter, as JSON."""
WORKERS = "pm:workers"
"""Hash: "expert|worker" -> "digest|seen"."""
CARDS = "pm:cards"
"""Hash: digest -> card and capabilities, as JSON."""
LAYOUT_KEY = "pm:layout"
"""The number of the layout that these keys have (layout.py)."""
MIGRATING = "pm:layout:migrating"
"""The step that a migration is at."""
CONTROLLERS = "pm:controllers"
"""Hash: controller -> time it was last seen."""
WAKE = "pm:wake"
CANCEL = "pm:cancel"
"""Channels: a run's bus has grown; a run is being cancelled. The payload is the run's id."""


def of_run(run: RunId | str) -> list[str]:
    return [f"pm:{{{run}}}:{part}" for part in RUN_PARTS]


def part(run: RunId | str, name: str) -> str:
    return f"pm:{{{run}}}:{name}"


def once(key: str, tenant: str = "default") -> str:
    """The run that a caller's idempotency key made."""
    return f"pm:once:{key}" if tenant == "default" else f"pm:once-of:{tenant}:{key}"


def runs_of(tenant: str) -> str:
    """Sorted set: a tenant's run ids by time of creation."""
    return f"pm:runs-of:{tenant}"


def queue(expert: str) -> str:
    return f"pm:queue:{expert}"
