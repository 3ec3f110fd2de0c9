"""What every route needs: the workspace, the files, the settings and the books."""

import asyncio
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from pointsman.experts.files import LocalFiles
from pointsman.router.workspace import Workspace
from pointsman.services.api.profiles import Profiles
from pointsman.services.telemetry import Telemetry

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """host: the address the server is bound to; on loopback only loopback names and `allowed_hosts`
    are answered. Sizes are bytes, times are seconds.

    alone: no other role runs in this process, so its readiness does not depend on theirs.
    allowed_hosts: host names, without port, under which the server may be reached; empty on another
    address than loopback means any.
    """

    host: str = "127.0.0.1"
    allowed_hosts: tuple[str, ...] = ()
    max_json_bytes: int = 1 << 20
    max_upload_bytes: int = 256 << 20
    max_upload_files: int = 1_000
    max_request_characters: int = 100_000
    heartbeat: float = 10.0
    alone: bool = False

    @property
    def hosts(self) -> frozenset[str] | None:
        """Names that a Host header may carry; None when any will do."""
        if self.host in LOOPBACK_NAMES or self.host.startswith("127."):
            return frozenset({*LOOPBACK_NAMES, self.host, *self.allowed_hosts})
        return frozenset({self.host, *self.allowed_hosts}) if self.allowed_hosts else None


@dataclass(frozen=True, slots=True)
class Gateway:
    """`leaving` is set when the server begins to stop: streams that can be resumed then end at once, for
    their clients to go on elsewhere. `closing` is set when what else waits is to end, too.
    """

    workspace: Workspace
    files: LocalFiles
    settings: ApiSettings
    profiles: Profiles
    telemetry: Telemetry = field(default_factory=Telemetry)
    leaving: asyncio.Event = field(default_factory=asyncio.Event)
    closing: asyncio.Event = field(default_factory=asyncio.Event)


def gateway_of(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


Here = Annotated[Gateway, Depends(gateway_of)]
