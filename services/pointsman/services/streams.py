"""Watching a run: its events until it ends, until its watcher leaves, or until the server stops."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TypeVar

from pointsman.router.events import (
    OVER,
    AnswerGrew,
    ApprovalDecided,
    ApprovalRequested,
    Event,
    PhaseEntered,
    PlanProposed,
    RunEnded,
    RunId,
    TaskDone,
    TaskFailed,
    TaskProgressed,
    TaskRouted,
    TaskSkipped,
    TaskStarted,
)
from pointsman.router.workspace import RunRecord, Workspace

T = TypeVar("T")


class Closing(Exception):
    """The server is stopping; what was asked for is not finished."""


async def until(closing: asyncio.Event, items: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    """Hands `items` on, and ends as soon as `closing` is set; `items` is then cancelled and closed."""
    stop = asyncio.ensure_future(closing.wait())
    following: asyncio.Future[T] | None = None
    try:
        while not closing.is_set():
            following = asyncio.ensure_future(anext(items))
            await asyncio.wait({following, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                return
            try:
                item = following.result()
            except StopAsyncIteration:
                return
            following = None
            yield item
    finally:
        stop.cancel()
        if following is not None and not following.done():
            following.cancel()
            await asyncio.wait({following})
        close = getattr(items, "aclose", None)
        if close is not None:
            await close()


async def outcome(workspace: Workspace, id: RunId, closing: asyncio.Event) -> RunRecord:
    """The record of a run once it is over. Raises Closing when the server stops first."""
    async with aclosing(until(closing, workspace.events(id))) as events:
        async for posted in events:
            if isinstance(posted.event, RunEnded):
                break
    record = await workspace.run(id)
    if record.status not in OVER:
        raise Closing
    return record


def progress_line(event: Event) -> str | None:
    """One short line that says what just happened, for clients without a picture of the plan."""
    match event:
        case PhaseEntered():
            return {"plan": "planning", "replan": "planning again", "respond": "writing"}.get(
                event.phase
            )
        case PlanProposed():
            count = len(event.plan.get("tasks", ()))
            return f"plan with {count} task{'' if count == 1 else 's'}"
        case _:
            return _task_line(event)


def _task_line(event: Event) -> str | None:
    match event:
        case TaskRouted():
            return f"{event.task}: given to {event.route.get('expert', 'an expert')}"
        case TaskStarted():
            return f"{event.task}: started"
        case TaskProgressed():
            return f"{event.task}: {event.share:.0%} {event.note}".rstrip()
        case TaskDone():
            return f"{event.task}: {event.note or 'done'}"
        case TaskFailed():
            return f"{event.task}: {event.error.message}"
        case TaskSkipped():
            return f"{event.task}: skipped, {event.reason}"
        case ApprovalRequested():
            return f"{event.task}: waits for approval {event.approval}"
        case ApprovalDecided():
            return f"{event.task}: {event.decision} by {event.by}"
        case _:
            return None


class AnswerText:
    """What of the answer's text is still to be sent, when pieces of it went out before the whole."""

    def __init__(self) -> None:
        self.sent = ""

    def grow(self, event: AnswerGrew) -> str:
        self.sent += event.text
        return event.text

    def rest(self, whole: str) -> str:
        """The part of `whole` that was not sent; all of it, after a blank line, when it differs."""
        if whole.startswith(self.sent):
            piece = whole[len(self.sent) :]
        elif self.sent.strip() == whole.strip():
            piece = ""
        else:
            piece = f"\n\n{whole}"
        self.sent += piece
        return piece
