"""The workspace: what gateways, controllers, workers and people do with a run.

Gateways create, watch and cancel (watching.py). The controller that owns a run writes its plan, opens
attempts and settles (owning.py). Workers claim, renew, commit, and keep the ledger of effects (attempts.py).
People decide (approvals.py). Each side is fenced: an owner by its epoch, a worker by its attempt, a person
by the digest of what was asked.
"""

from pointsman.router.workspace.approvals import Approvals
from pointsman.router.workspace.attempts import Attempts
from pointsman.router.workspace.growing import Growing
from pointsman.router.workspace.owning import Owning
from pointsman.router.workspace.tracing import Tracing


class Workspace(Approvals, Tracing, Owning, Growing, Attempts):
    """All sides in one. artifacts: where large values go; without it they stay in their slots.
    memory: what `traces` keeps of runs that have ended."""
