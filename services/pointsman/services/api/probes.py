"""What a process without a gateway answers: /livez, /readyz, /metrics."""

import math
from contextlib import suppress

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pointsman.router.errors import WorkspaceUnavailable
from pointsman.router.workspace import Workspace
from pointsman.router.workspace.keys import queue
from pointsman.services.readiness import Readiness


def create_probes(readiness: Readiness) -> Starlette:
    """The application. Whoever made `readiness` fills it in while the process starts."""
    meters = Meters(readiness)

    async def live(_: Request) -> Response:
        """The loop that does the work turns; nothing else is looked at."""
        return JSONResponse({"status": "ok"})

    async def ready(_: Request) -> Response:
        checks = await readiness.checks()
        fine = all(check == "ok" for check in checks.values())
        status = "ok" if fine else "unavailable"
        return JSONResponse({"status": status, "checks": dict(checks)}, 200 if fine else 503)

    async def metrics(_: Request) -> Response:
        return Response(await meters.text(), media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[Route("/livez", live), Route("/readyz", ready), Route("/metrics", metrics)]
    )


class Meters:
    """Gauges of this process, and of the queues; in Prometheus' text format.

    Queues belong to everybody, so every process tells the same of them: take the largest, not the sum.
    """

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._ready = self._gauge("pointsman_ready", "1 when /readyz says ok")
        self._runs = self._gauge("pointsman_runs_under_way", "Runs that this controller steps")
        self._attempts = self._gauge("pointsman_attempts_under_way", "Attempts of this worker")
        self._waiting = self._gauge("pointsman_waiting_runs", "Runs that wait for a controller")
        self._offers = Gauge(
            "pointsman_waiting_offers",
            "Tasks that wait for a worker, by expert",
            ("expert",),
            registry=self.registry,
        )

    def _gauge(self, name: str, about: str) -> Gauge:
        return Gauge(name, about, registry=self.registry)

    async def text(self) -> bytes:
        """Answers without Redis too: what cannot be known is not a number, or is left out."""
        here = self._readiness
        checks = await here.checks()
        self._ready.set(all(check == "ok" for check in checks.values()))
        self._runs.set(here.controller.under_way if here.controller is not None else 0)
        self._attempts.set(here.worker.under_way if here.worker is not None else 0)
        self._waiting.set(math.nan)
        self._offers.clear()
        if here.workspace is not None:
            with suppress(WorkspaceUnavailable):
                await self._queues(here.workspace)
        return generate_latest(self.registry)

    async def _queues(self, workspace: Workspace) -> None:
        self._waiting.set(await workspace.admission.length())
        for expert in await workspace.experts():
            name = expert.card.name
            self._offers.labels(name).set(await workspace.queue(queue(name)).length())
