"""Counts and durations of the gateway, in Prometheus' text format.

Every application has a registry of its own, so that two of them in one process do not add up.
"""

import math
from collections import OrderedDict
from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from pointsman.router.errors import RunNotFound, WorkspaceUnavailable
from pointsman.router.events import OVER, RunId
from pointsman.router.workspace import RunRecord, Workspace

MAX_OPEN_RUNS = 10_000
HTTP_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
RUN_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)


class Telemetry:
    """The gateway's metrics. Runs are counted once: when they are created, and when they are seen over.

    A run lives on without a watcher, so runs nobody looked at are settled when the metrics are read.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._open: OrderedDict[RunId, None] = OrderedDict()
        self._requests = Counter(
            "pointsman_http_requests",
            "HTTP requests, by route, method and status",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self._request_seconds = Histogram(
            "pointsman_http_response_start_seconds",
            "Seconds until the response started",
            ("route",),
            buckets=HTTP_SECONDS,
            registry=self.registry,
        )
        self._streams = Gauge(
            "pointsman_open_streams", "Event streams open now", registry=self.registry
        )
        self._created = Counter(
            "pointsman_runs_created", "Runs created by this gateway", registry=self.registry
        )
        self._ended = Counter(
            "pointsman_runs_ended",
            "Runs of this gateway that are over, by status",
            ("status",),
            registry=self.registry,
        )
        self._run_seconds = Histogram(
            "pointsman_run_seconds",
            "Seconds from a run's creation to its end",
            buckets=RUN_SECONDS,
            registry=self.registry,
        )
        self._waiting = Gauge(
            "pointsman_waiting_runs", "Runs that wait for a controller now", registry=self.registry
        )
        self._dead = Gauge(
            "pointsman_dead_letters", "Tasks that were given up", registry=self.registry
        )

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        self._requests.labels(route, method, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def stream_opened(self) -> None:
        self._streams.inc()

    def stream_closed(self) -> None:
        self._streams.dec()

    def created(self, id: RunId) -> None:
        self._created.inc()
        self._open[id] = None
        while len(self._open) > MAX_OPEN_RUNS:
            self._open.popitem(last=False)

    def seen(self, record: RunRecord) -> None:
        """Counts a run's end the first time it is seen over; other runs and times do nothing."""
        if record.status not in OVER or record.id not in self._open:
            return
        del self._open[record.id]
        self._ended.labels(record.status).inc()
        if record.ended is not None:
            self._run_seconds.observe(max(0.0, record.ended - record.created))

    async def text(self, workspace: Workspace) -> bytes:
        """All metrics, after the runs that are still open in our books were looked up.

        Answers without Redis too.
        """
        for id in list(self._open):
            try:
                self.seen(await workspace.run(id))
            except RunNotFound:
                self._open.pop(id, None)
            except WorkspaceUnavailable:
                break
        await self._look(workspace)
        return generate_latest(self.registry)

    async def _look(self, workspace: Workspace) -> None:
        """What others made too; not a number while it cannot be known."""
        waiting = dead = math.nan
        with suppress(WorkspaceUnavailable):
            waiting = await workspace.admission.length()
            dead = len(await workspace.dead_letters())
        self._waiting.set(waiting)
        self._dead.set(dead)
