"""Puts a Pointsman together: Redis, controller, worker and gateway, in one process or in several.

async with Runtime(settings) as runtime:
    print(runtime.address)
    await runtime.stopped()
"""

import asyncio
import contextlib
import itertools
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pointsman.router.errors import WorkspaceUnavailable
from pointsman.router.workspace import Workspace, connect
from pointsman.router.workspace.artifacts import ArtifactLedger, Artifacts
from pointsman.router.workspace.layout import check_layout, migrate
from pointsman.router.workspace.tracing import sweep_traces
from pointsman.services.embedded import EmbeddedRedis
from pointsman.services.memory import MemorySettings, memory_planner
from pointsman.services.readiness import Readiness
from pointsman.services.settings import Settings

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from pointsman.experts.models.encoder import Encoder
    from pointsman.router.planning.base import Vectors
    from pointsman.router.planning.llm.settings import RemoteSettings
    from pointsman.services.api.server import Server

log = logging.getLogger(__name__)

Role = Literal["gateway", "controller", "worker"]
ROLES: tuple[Role, ...] = ("gateway", "controller", "worker")
FIRST_WORDS = 30.0
"""Seconds that a start may take before it is given up."""


class Runtime:
    """What runs while the context is open. Everything that it started is stopped when it closes."""

    def __init__(self, settings: Settings, roles: Iterable[Role] = ROLES) -> None:
        self.settings = settings
        self.roles = frozenset(roles)
        self.address: str | None = None
        self._encoder_here: Encoder | None = None
        self._embedding = asyncio.Lock()
        self._stack = contextlib.AsyncExitStack()
        self._failed: asyncio.Future[None] = asyncio.get_event_loop().create_future()
        self.readiness = Readiness(self.roles)
        self.health_address: str | None = None
        self._drains: dict[Role, tuple[Callable[[float], None], asyncio.Task[None]]] = {}
        """What makes a role take nothing new, and the task that ends when its work has ended."""

    async def __aenter__(self) -> "Runtime":
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def stopped(self) -> None:
        """Returns never; raises when a part has failed."""
        await asyncio.shield(self._failed)

    async def drain(self, seconds: float) -> None:
        """Takes nothing new, and returns when what is under way has ended, or after `seconds`.

        Controllers before workers: their runs need those to end. What is left is given back when the
        context closes.
        """
        until = asyncio.get_running_loop().time() + seconds
        self.readiness.stopping = True
        if "gateway" in self._drains:
            self._drains["gateway"][0](seconds)
        for role in ("controller", "worker", "gateway"):
            left = until - asyncio.get_running_loop().time()
            if role in self._drains and left > 0:
                stop, task = self._drains[role]
                if role != "gateway":
                    stop(left)
                await asyncio.wait({task}, timeout=left)

    async def _start(self) -> None:
        self.settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.settings.health_port is not None:
            await self._probes(self.settings.health_port)
        url = self.settings.redis_url
        if url is None:
            url = await self._stack.enter_async_context(
                EmbeddedRedis(self.settings.redis, appendfsync=self.settings.appendfsync)
            )
        redis = connect(url)
        artifacts = ArtifactLedger(
            redis, Artifacts(self.settings.artifact_place, limit=self.settings.artifact_limit)
        )
        self.workspace = Workspace(redis, artifacts=artifacts, memory=MemorySettings().terms)
        self._stack.push_async_callback(self.workspace.close)
        await self.workspace.ping()
        await (migrate if self.settings.redis_url is None else check_layout)(redis)
        self.readiness.workspace = self.workspace
        if "controller" in self.roles:
            self._run("sweep", _sweep(artifacts, self.workspace))
        encoder = None
        if self.roles & {"controller", "worker"}:
            encoder = self._encoder_here = await self._encoder()
        if "worker" in self.roles:
            await self._worker(encoder)
        if "controller" in self.roles:
            await self._controller(url, encoder)
        if "gateway" in self.roles:
            await self._gateway()

    def _run(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A part of us, until we stop; when it fails, `stopped` raises."""
        task = asyncio.create_task(work, name=name)

        def ended(done: asyncio.Task[None]) -> None:
            error = None if done.cancelled() else done.exception()
            if error is not None and not self._failed.done():
                log.error("%s failed", name, exc_info=error)
                self._failed.set_exception(error)

        async def stop() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        task.add_done_callback(ended)
        self._stack.push_async_callback(stop)
        return task

    async def _probes(self, port: int) -> None:
        from pointsman.services.api.probes import create_probes

        server, _ = await self._listening(create_probes(self.readiness), port)
        self.health_address = server.address

    async def _encoder(self) -> "Encoder":
        # torch is imported in a thread, while Redis and the rest go on
        from pointsman.experts.models.tuned import read_tuned

        module = await asyncio.to_thread(_import_encoder)
        tuned = read_tuned(self.settings.expert_folder)
        threads = self.settings.threads or tuned.threads or None
        encoder = module(threads=threads, token_budget=tuned.token_budget)
        self._stack.callback(encoder.close)
        return encoder

    async def _embed(self, texts: "Sequence[str]") -> "Vectors":
        """A gateway without a worker beside it loads an encoder of its own, when it is first asked."""
        async with self._embedding:
            if self._encoder_here is None:
                self._encoder_here = await self._encoder()
        return await self._encoder_here.embed(texts)

    async def _worker(self, encoder: "Encoder | None") -> None:
        from pointsman.experts.builtin import all_experts
        from pointsman.experts.files import LocalFiles
        from pointsman.experts.worker import Worker

        assert encoder is not None
        experts = await asyncio.to_thread(
            all_experts,
            encoder,
            remote=remote_settings(self.settings),
            http_allow=self.settings.http_allow,
            paths=self.settings.capabilities,
            tools=self.settings.tool_folder,
            fitted=self.settings.expert_folder,
        )
        for expert in experts:
            self._stack.push_async_callback(expert.close)
        worker = Worker(self.workspace, LocalFiles(self.settings.files), experts)
        await worker.announce()
        task = self._run("worker", worker.serve())
        self._drains["worker"] = (lambda _: worker.drain(), task)
        self.readiness.worker = worker

    async def _controller(self, url: str, encoder: "Encoder | None") -> None:
        from pointsman.router.routing.predicting import Predictor
        from pointsman.services.planning import planner_for, writer_for
        from pointsman.workflows.checkpoint import RedisSaver
        from pointsman.workflows.controller import ControllerGraph
        from pointsman.workflows.policy import read_policy
        from pointsman.workflows.serving import Controller

        assert encoder is not None
        saver = RedisSaver(connect(url, decode_responses=False), prefix="pm:graph")
        self._stack.push_async_callback(saver.aclose)
        remote = remote_settings(self.settings)
        cache, own = self.settings.home / "cache", self.settings.workflow_folder
        memory = memory_planner(encoder, self.workspace.traces)
        fitted = self.settings.home / "planner"
        planner = planner_for(encoder, remote, cache, own, memory, fitted)
        graph = ControllerGraph(
            self.workspace,
            planner,
            saver,
            writer=writer_for(remote),
            library=planner.library,
            policy=read_policy(self.settings.policy_file, needed=self.settings.policy is not None),
            predictor=Predictor(self.settings.home / "router", encoder),
        )
        self._run("warming", planner.warm(await self.workspace.catalog()))
        controller = Controller(self.workspace, graph)
        await self.workspace.announcements.controller_alive(controller.name, now=time.time())
        task = self._run("controller", controller.serve())
        self._drains["controller"] = (lambda _: controller.drain(), task)
        self.readiness.controller = controller

    async def _gateway(self) -> None:
        from pointsman.experts.files import LocalFiles
        from pointsman.services.access.starting import check_open
        from pointsman.services.api.app import create_app
        from pointsman.services.api.gateway import ApiSettings

        settings = self.settings
        await check_open(self.workspace, settings.host, settings.access)
        app = create_app(
            self.workspace,
            LocalFiles(settings.files),
            ApiSettings(
                host=settings.host,
                access=settings.access,
                allowed_hosts=settings.allowed_hosts,
                max_upload_bytes=settings.upload_limit,
                alone=self.roles == {"gateway"},
            ),
            remotes=remotes_of(settings),
            embedders={"all-minilm-l6-v2": self._embed},
        )
        server, task = await self._listening(app, settings.port)
        self._drains["gateway"] = (server.leave, task)
        self.address = self.readiness.gateway = server.address
        self._announce()

    async def _listening(self, app: "Starlette", port: int) -> "tuple[Server, asyncio.Task[None]]":
        """Raises WorkspaceUnavailable when the port cannot be had."""
        from pointsman.services.api.server import Server

        host = self.settings.host
        server = Server(app, host=host, port=port, log_level=self.settings.log_level.lower())
        serving = asyncio.create_task(_serve(server), name=f"port {port}")

        async def stop() -> None:
            server.should_exit = True
            await asyncio.gather(serving, return_exceptions=True)

        self._stack.push_async_callback(stop)
        async with asyncio.timeout(FIRST_WORDS):
            while not server.started:
                if serving.done():
                    await serving
                    raise WorkspaceUnavailable(
                        f"port {port} on {host} cannot be had; choose another with --port or "
                        "--health-port"
                    )
                await asyncio.sleep(0.01)
        return server, serving

    def _announce(self) -> None:
        """Tells other programs of this user where we are; taken back when we stop."""
        assert self.address is not None
        where = self.settings.announcement
        words = {"url": self.address, "pid": os.getpid(), "started": time.time()}
        write_whole(where, json.dumps(words))
        self._stack.callback(_take_back, where, os.getpid())


async def _sweep(artifacts: ArtifactLedger, workspace: Workspace) -> None:
    """Deletes large values that nobody keeps any more, and keeps the traces of runs that a crash left without."""
    for minute in itertools.count():
        await asyncio.sleep(60)
        try:
            await artifacts.expire(time.time())
            await sweep_traces(workspace, time.time())
            if minute % 60 == 0:
                await artifacts.sweep_orphans(time.time())
        except WorkspaceUnavailable as error:
            log.warning("sweep: %s", error)


async def _serve(server: "Server") -> None:
    """uvicorn ends the process when it cannot bind; here that is an error like any other."""
    try:
        await server.serve()
    except SystemExit as error:
        raise WorkspaceUnavailable("the gateway could not start") from error


def _import_encoder() -> "type[Encoder]":
    from pointsman.experts.models.encoder import Encoder

    return Encoder


def remotes_of(settings: Settings) -> "dict[str, RemoteSettings]":
    """Models that a chat request may name to be passed straight to them."""
    remote = remote_settings(settings)
    return {} if remote is None else {remote.model: remote}


def remote_settings(settings: Settings) -> "RemoteSettings | None":
    """The remote model that the settings name, if any."""
    if not settings.has_model:
        return None
    from pointsman.router.planning.llm.settings import RemoteSettings

    given = RemoteSettings(
        model=settings.model, price_in=settings.price_in, price_out=settings.price_out
    )
    return RemoteSettings(
        model=settings.model,
        api_key=settings.openai_api_key or given.api_key,
        base_url=settings.openai_base_url or given.base_url,
        price_in=settings.price_in,
        price_out=settings.price_out,
    )


def write_whole(path: Path, text: str) -> None:
    """The old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(text)
    os.replace(file.name, path)


def _take_back(path: Path, pid: int) -> None:
    with contextlib.suppress(OSError, ValueError, KeyError):
        if json.loads(path.read_text())["pid"] == pid:
            path.unlink()
