"""The person who is asked: looks at what really happened, and says so."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Literal

import httpx

from pointsman.router.errors import ApprovalConflict, RunNotFound, RunOver, WorkspaceUnavailable
from pointsman.router.events import OVER
from pointsman.router.workspace import Approval, Workspace, connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LOOK = 0.5
"""Seconds between two looks at what is asked."""
RECENT = 100
"""Runs that are looked at, newest first."""
NAME = "the person"


class Person:
    """allowed: (run, task) -> how often the person let an effect be repeated."""

    def __init__(self, url: str, outside: str) -> None:
        self._workspace = Workspace(connect(url))
        self._outside = httpx.AsyncClient(base_url=outside, timeout=30)
        self.allowed: Counter[tuple[str, str]] = Counter()
        self.decisions: Counter[str] = Counter()

    @asynccontextmanager
    async def deciding(self) -> "AsyncIterator[None]":
        task = asyncio.create_task(self._decide_all())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await self._outside.aclose()
            await self._workspace.close()

    async def _decide_all(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            with suppress(WorkspaceUnavailable):
                for record in await self._workspace.runs(limit=RECENT):
                    if record.status not in OVER:
                        await self._decide_in(record.id)

    async def _decide_in(self, run: str) -> None:
        with suppress(RunNotFound):
            for asked in await self._workspace.approvals(run):
                if asked.pending:
                    await self._decide(run, asked)

    async def _decide(self, run: str, asked: Approval) -> None:
        told = await self._outside.post("/look", json={"run": run, "task": asked.task})
        truth = told.json()
        decision: Literal["done", "approved"] = "done" if truth["applied"] else "approved"
        if decision == "approved":  # counted before: the answer to it may be lost
            self.allowed[run, asked.task] += 1
        try:
            await self._workspace.decide(
                run, asked.id, decision, digest=asked.digest, by=NAME, value=truth["value"]
            )
        except (ApprovalConflict, RunOver):
            self.decisions["too late"] += 1
        else:
            self.decisions[decision] += 1
