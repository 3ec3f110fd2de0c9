"""The shared state of runs, on Redis: slots, bus, readiness, attempts, effects, queues, leases.

Every act that matters is one Lua script over keys that share the run's hash tag, so it is atomic and
works on a Redis Cluster. Needs Redis 6.2 or later without modules.
"""

from pointsman.router.workspace.acts import Owner
from pointsman.router.workspace.announcements import LiveExpert
from pointsman.router.workspace.attempts import Before, Claim
from pointsman.router.workspace.connection import connect
from pointsman.router.workspace.queues import Offer
from pointsman.router.workspace.records import (
    Approval,
    DeadLetter,
    EffectRecord,
    RunRecord,
    RunSpec,
    Snapshot,
)
from pointsman.router.workspace.workspace import Workspace

__all__ = [
    "Approval",
    "Before",
    "Claim",
    "DeadLetter",
    "EffectRecord",
    "LiveExpert",
    "Offer",
    "Owner",
    "RunRecord",
    "RunSpec",
    "Snapshot",
    "Workspace",
    "connect",
]
