"""Secure by default: what is asked of keys before a server opens its port."""

import time

from pointsman.router.workspace import Workspace
from pointsman.services.access.errors import NotOpen
from pointsman.services.settings import AccessMode


async def check_open(workspace: Workspace, host: str, access: AccessMode) -> None:
    """Raises NotOpen when the server could be reached from elsewhere, and no key stands before it."""
    near = host in ("localhost", "::1") or host.startswith("127.")
    if access == "open" or (near and access == "auto"):
        return
    now = time.time()
    if not any(key.live(now) for key in await workspace.access.keys()):
        raise NotOpen(host)
