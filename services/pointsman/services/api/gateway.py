"""What every route needs: the workspace, the files, the settings and the books."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import Depends, Request

from pointsman.experts.files import LocalFiles
from pointsman.router.errors import RunNotFound
from pointsman.router.planning.base import Vectors
from pointsman.router.workspace import Workspace
from pointsman.services.access.caller import ANONYMOUS, Caller
from pointsman.services.access.door import Door
from pointsman.services.api.profiles import Profiles
from pointsman.services.telemetry import Telemetry

if TYPE_CHECKING:
    from pointsman.services.api.remotes import Remotes

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
CALLER = "pointsman.caller"
"""Where in an ASGI scope the door leaves who asks."""


Embedding = Callable[[Sequence[str]], Awaitable[Vectors]]
"""Texts to vectors, [texts, dim] float32, of length one."""
AccessMode = Literal["auto", "keys", "open"]


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """host: the address the server is bound to; on loopback only loopback names and `allowed_hosts`
    are answered. Sizes are bytes, times are seconds.

    alone: no other role runs in this process, so its readiness does not depend on theirs.
    allowed_hosts: host names, without port, under which the server may be reached; empty on another
    address than loopback means any. access: "auto" answers without an API key on loopback only, "keys"
    nowhere, "open" everywhere.
    """

    host: str = "127.0.0.1"
    allowed_hosts: tuple[str, ...] = ()
    access: AccessMode = "auto"
    max_json_bytes: int = 1 << 20
    max_upload_bytes: int = 256 << 20
    max_upload_files: int = 1_000
    max_request_characters: int = 100_000
    heartbeat: float = 10.0
    alone: bool = False

    @property
    def loopback(self) -> bool:
        """Whether only programs on this machine reach the server."""
        return self.host in LOOPBACK_NAMES or self.host.startswith("127.")

    @property
    def anonymous(self) -> bool:
        """Whether requests without an API key are answered."""
        return self.access == "open" or (self.access == "auto" and self.loopback)

    @property
    def hosts(self) -> frozenset[str] | None:
        """Names that a Host header may carry; None when any will do."""
        if self.loopback:
            return frozenset({*LOOPBACK_NAMES, self.host, *self.allowed_hosts})
        return frozenset({self.host, *self.allowed_hosts}) if self.allowed_hosts else None


@dataclass(frozen=True, slots=True)
class Gateway:
    """`leaving` is set when the server begins to stop: streams that can be resumed then end at once, for
    their clients to go on elsewhere. `closing` is set when what else waits is to end, too.

    caller: who asks; `files` and `profiles` are then those of the caller's tenant, while `workspace` holds
    everybody's runs.
    """

    workspace: Workspace
    files: LocalFiles
    settings: ApiSettings
    profiles: Profiles
    door: Door
    remotes: "Remotes"
    embedders: Mapping[str, Embedding]
    telemetry: Telemetry = field(default_factory=Telemetry)
    leaving: asyncio.Event = field(default_factory=asyncio.Event)
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    caller: Caller = ANONYMOUS

    def of(self, caller: Caller) -> "Gateway":
        """The same for one caller."""
        if caller.tenant == "default":
            return replace(self, caller=caller)
        files = self.files.of(caller.tenant)
        return replace(self, caller=caller, files=files, profiles=self.profiles.on(files))


def gateway_of(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    caller: Caller = request.scope.get(CALLER, ANONYMOUS)
    return gateway if caller is ANONYMOUS else gateway.of(caller)


Here = Annotated[Gateway, Depends(gateway_of)]


async def own_run(request: Request, here: Here) -> None:
    """For every route under a run: another tenant's is not there. Raises RunNotFound."""
    run = request.path_params["id"]
    if await here.workspace.owner_of(run) != here.caller.tenant:
        key = here.caller.key.id if here.caller.key else ""
        where = request.client.host if request.client else ""
        path = request.url.path
        await here.door.note_refusal("access.not-theirs", request.method, path, where, key=key)
        raise RunNotFound(run)


OwnRun = Depends(own_run)
