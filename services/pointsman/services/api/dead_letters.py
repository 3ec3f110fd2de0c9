"""Tasks that were given up: what is kept of them, and how one is forgotten.

To run one again is to run its run again from it: POST /v1/runs/{run}/rerun with `from_task`.
"""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from pointsman.services.api.errors import NotFound, faults
from pointsman.services.api.gateway import Here

router = APIRouter(tags=["dead letters"])


@router.get("/v1/dead-letters")
async def listing(here: Here) -> dict[str, Any]:
    """Tasks that no expert could do, newest first; `at` is seconds since the epoch."""
    found = await here.workspace.dead_letters()
    return {"dead_letters": [x.to_json() for x in found if x.tenant == here.caller.tenant]}


@router.delete("/v1/dead-letters/{run}/{task}", status_code=204, responses=faults(404))
async def forget(run: str, task: str, here: Here) -> Response:
    """Drops one from the list; its run stays as it is."""
    found = await here.workspace.dead_letters()
    own = any(x.run == run and x.task == task and x.tenant == here.caller.tenant for x in found)
    if not own or not await here.workspace.forget_dead_letter(run, task):
        raise NotFound(f"there is no dead letter of task {task!r} of run {run!r}")
    return Response(status_code=204)
