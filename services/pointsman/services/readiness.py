"""Whether this process does what it is here for: asked of Redis each time, not remembered."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pointsman.router.errors import WorkspaceUnavailable
from pointsman.router.workspace import Workspace

if TYPE_CHECKING:
    from pointsman.experts.worker import Worker
    from pointsman.workflows.serving import Controller


class Readiness:
    """Filled in while the process starts. `stopping`: nothing new is taken any more."""

    def __init__(self, roles: frozenset[str]) -> None:
        self.roles = roles
        self.workspace: Workspace | None = None
        self.controller: Controller | None = None
        self.worker: Worker | None = None
        self.gateway: str | None = None
        """Its address, once it listens."""
        self.stopping = False

    async def checks(self) -> Mapping[str, str]:
        """Says "ok" or what is wrong, for the workspace and for each role: a gateway listens, a controller has
        given a sign of life, each expert of a worker stands announced.
        """
        if self.stopping:
            return {"server": "stopping"}
        if self.workspace is None:
            return {"server": "starting"}
        try:
            await self.workspace.ping()
            found = {"workspace": "ok"}
            if "gateway" in self.roles:
                found["gateway"] = "ok" if self.gateway is not None else "starting"
            if "controller" in self.roles:
                found["controller"] = await self._controller(self.workspace)
            if "worker" in self.roles:
                found["worker"] = await self._worker(self.workspace)
        except WorkspaceUnavailable as error:
            return {"workspace": error.message}
        return found

    async def _controller(self, workspace: Workspace) -> str:
        if self.controller is None:
            return "starting"
        alive = self.controller.name in await workspace.controllers()
        return "ok" if alive else "it gives no sign of life"

    async def _worker(self, workspace: Workspace) -> str:
        if self.worker is None:
            return "starting"
        names = self.worker.experts
        hosted = await workspace.announcements.hosted(self.worker.name, names, now=time.time())
        missing = [name for name in names if name not in hosted]
        return f"not announced: {', '.join(missing)}" if missing or not names else "ok"
