"""What runs in each of the processes that are killed: real gateways, controllers and workers."""

import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.crash.recorder import Recorder
from benchmarks.crash.tools import expert
from benchmarks.dag import GivenPlans
from pointsman.experts.files import LocalFiles
from pointsman.experts.worker import Worker
from pointsman.router.workspace import Workspace, connect
from pointsman.services.api.app import create_app
from pointsman.services.api.server import Server
from pointsman.workflows.checkpoint import RedisSaver
from pointsman.workflows.controller import ControllerGraph
from pointsman.workflows.serving import Controller

LOOK = 0.5
"""Seconds between two looks at whether whoever started us still lives."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything is. Ports are on the loopback; `seed` is the recorder's."""

    redis: str
    recorder: int
    files: str
    seed: int
    port: int = 0

    @property
    def outside(self) -> str:
        return f"http://127.0.0.1:{self.recorder}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


async def gateway(place: Place) -> None:
    app = create_app(Workspace(connect(place.redis)), LocalFiles(Path(place.files)))
    await Server(app, port=place.port).serve()


async def controller(place: Place) -> None:
    workspace = Workspace(connect(place.redis))
    graph = ControllerGraph(workspace, GivenPlans(), RedisSaver.at(place.redis, prefix="pm:graph"))
    await Controller(workspace, graph).serve()


async def worker(place: Place) -> None:
    workspace = Workspace(connect(place.redis))
    await Worker(workspace, LocalFiles(Path(place.files)), [expert(place.outside)]).serve()


async def recorder(place: Place) -> None:
    await Recorder(place.seed).serve(place.recorder)


ROLES: Mapping[str, Callable[[Place], Awaitable[None]]] = {
    "gateway": gateway,
    "controller": controller,
    "worker": worker,
    "recorder": recorder,
}


def enter(role: str, place: Place) -> None:
    """Serves until killed; ends by itself when its parent has gone."""
    form = "%(levelname)s %(asctime)s %(name)s %(message)s"
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format=form)
    logging.getLogger("pointsman").setLevel(logging.INFO)
    asyncio.run(_serve(role, place, os.getppid()))


async def _serve(role: str, place: Place, parent: int) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(_follow(parent))
        group.create_task(_role(role, place))


async def _role(role: str, place: Place) -> None:
    await ROLES[role](place)


async def _follow(parent: int) -> None:
    while True:
        await asyncio.sleep(LOOK)
        if os.getppid() != parent:
            os._exit(1)
