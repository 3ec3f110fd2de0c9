"""A plan that is written while its first tasks run. Everything is fenced by the owner's epoch."""

import json
import time
from collections.abc import Iterable, Sequence

from pointsman.router.events import PlanProposed, encode
from pointsman.router.plan import Plan, Task, TaskId
from pointsman.router.workspace import keys
from pointsman.router.workspace.acts import Acts, Owner

GROWING = 0
"""The version of a plan that is not whole yet."""


class Growing(Acts):
    async def grow(self, owner: Owner, plan: Plan, tasks: Sequence[Task]) -> bool:
        """Begins tasks before the plan is whole; those without inputs are ready at once.

        plan: everything that was begun so far, `tasks` with it; inputs come before what reads them. False
        when the plan is whole already, or the run is being cancelled. Raises StaleOwner, RunOver.
        """
        now = time.time()
        event = PlanProposed(plan.to_json(), GROWING, now)
        found = await self._scripts(
            "grow",
            keys.of_run(owner.run),
            owner.epoch,
            encode(event),
            f"{now:.6f}",
            json.dumps([[t.id, list(t.inputs())] for t in tasks]),
        )
        return self._check(owner, found)

    async def drop(self, owner: Owner, tasks: Iterable[TaskId], *, idle: bool) -> list[TaskId]:
        """Cancels tasks that were begun and are in no plan any more; the ids of those that were not over.

        tasks: what reads a task before it. idle: only those that no expert has. A call that is under way
        counts as one, at what it was expected to cost. Raises StaleOwner, RunOver.
        """
        found = await self._scripts(
            "drop",
            keys.of_run(owner.run),
            owner.epoch,
            "idle" if idle else "all",
            f"{time.time():.6f}",
            json.dumps(list(tasks)),
        )
        self._check(owner, found)
        return [TaskId(id) for id in found[1:]]


__all__ = ["GROWING", "Growing"]
