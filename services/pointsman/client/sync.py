"""The client for programs without an event loop: AsyncClient, run in a thread of its own."""

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncGenerator, Coroutine, Generator, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, wait
from types import TracebackType
from typing import Any, TypeVar

from pointsman.client.aio import IDLE_SECONDS, AsyncClient, OnEvent
from pointsman.client.decisions import Approval, DeadLetter, Decision, Effect, Json
from pointsman.client.errors import BadReply, ClientClosed
from pointsman.client.memory import Feedback, Memory
from pointsman.client.results import (
    Answer,
    Approve,
    Budget,
    Capability,
    Event,
    Expert,
    File,
    Format,
    Plan,
    Prefer,
    Run,
)
from pointsman.client.sources import Source

T = TypeVar("T")

SETTLE_SECONDS = 10.0
"""How long an interrupted call is given to clean up: to cancel its run, to stop its server."""


class Loop:
    """An event loop in a thread; what is called from outside waits for it, and is cancelled in it when
    the caller is interrupted.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._left: asyncio.Task[None] | None = None
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="pointsman-client", daemon=True
        )
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Raises what `work` raises."""
        tasks: list[asyncio.Task[T]] = []

        def begin() -> None:
            task = self._loop.create_task(work)
            tasks.append(task)
            task.add_done_callback(lambda done: settle(done, future))

        future: Future[T] = Future()
        self._loop.call_soon_threadsafe(begin)
        try:
            return future.result()
        except BaseException:
            if not future.done():
                self._loop.call_soon_threadsafe(lambda: tasks[0].cancel())
                wait([future], SETTLE_SECONDS)
            raise

    def iterate(self, items: AsyncGenerator[T, None]) -> Generator[T, None, None]:
        """The items, one by one; `items` is closed when the caller leaves."""
        try:
            while True:
                found = self.call(following(items))
                if not found:
                    return
                yield found[0]
        finally:
            self._leave(items)

    def _leave(self, items: AsyncGenerator[T, None]) -> None:
        """Closes `items`, also when the garbage collector finds them, whenever and wherever that is."""
        if self._loop.is_closed():
            return
        if threading.current_thread() is self._thread:
            self._left = self._loop.create_task(items.aclose())
        else:
            self.call(items.aclose())

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


async def following(items: AsyncGenerator[T, None]) -> list[T]:
    """The next item, or nothing at the end: StopAsyncIteration does not pass between threads."""
    try:
        return [await anext(items)]
    except StopAsyncIteration:
        return []


def settle(done: "asyncio.Task[T]", future: "Future[T]") -> None:
    """Hands the outcome of a task to whoever waits in another thread."""
    if done.cancelled():
        future.set_exception(CancelledError())
        return
    error = done.exception()
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(done.result())


class Client:
    """Asks a Pointsman server, and waits for what it says; each method is AsyncClient's of that name.

    with Client() as client:
        print(client.run("How many days are there from 3 March to 24 December 2026?").text)
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        start: bool = True,
        home: str | os.PathLike[str] | None = None,
        idle_timeout: float = IDLE_SECONDS,
        api_key: str | None = None,
    ) -> None:
        self._client = AsyncClient(
            url, start=start, home=home, idle_timeout=idle_timeout, api_key=api_key
        )
        self._started: Loop | None = None
        self._closed = False
        self.memory = Memory(self, self._client.memory)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def _loop(self) -> Loop:
        if self._closed:
            raise ClientClosed
        if self._started is None:
            self._started = Loop()
        return self._started

    def close(self) -> None:
        """Ends the connections, and the server if this client started it."""
        loop, self._started, self._closed = self._started, None, True
        if loop is not None:
            try:
                loop.call(self._client.close())
            finally:
                loop.close()

    def address(self) -> str:
        """The server's address; finds or starts the server."""
        return self._loop.call(self._client.address())

    def run(
        self,
        request: str,
        *,
        files: Sequence[Source] = (),
        budget: Budget | None = None,
        deadline: float | None = None,
        prefer: Prefer = "balanced",
        thread: str | None = None,
        approve: Approve = "marked",
        on_event: OnEvent | None = None,
    ) -> Answer:
        """Does what is asked and waits for the answer; it is cancelled if the caller is interrupted."""
        steps = self.running(
            request,
            files=files,
            budget=budget,
            deadline=deadline,
            prefer=prefer,
            thread=thread,
            approve=approve,
        )
        with contextlib.closing(steps):
            for step in steps:
                if isinstance(step, Answer):
                    return step
                if on_event is not None:
                    on_event(step)
        raise BadReply(self.address(), "a run ended without an end")

    def running(
        self,
        request: str,
        *,
        files: Sequence[Source] = (),
        budget: Budget | None = None,
        deadline: float | None = None,
        prefer: Prefer = "balanced",
        thread: str | None = None,
        approve: Approve = "marked",
    ) -> Generator[Event | Answer, None, None]:
        """`run` as a stream: each event as it happens and, at last, the Answer."""
        return self._loop.iterate(
            self._client.running(
                request,
                files=files,
                budget=budget,
                deadline=deadline,
                prefer=prefer,
                thread=thread,
                approve=approve,
            )
        )

    def plan(
        self,
        request: str,
        *,
        files: Sequence[Source] = (),
        prefer: Prefer = "balanced",
        thread: str | None = None,
    ) -> Plan:
        """The plan for a request, which is not run."""
        return self._loop.call(
            self._client.plan(request, files=files, prefer=prefer, thread=thread)
        )

    def start(
        self,
        request: str,
        *,
        files: Sequence[Source] = (),
        budget: Budget | None = None,
        deadline: float | None = None,
        prefer: Prefer = "balanced",
        thread: str | None = None,
        approve: Approve = "marked",
    ) -> Run:
        """Starts a run and returns at once; it goes on whether or not anyone watches it."""
        return self._loop.call(
            self._client.start(
                request,
                files=files,
                budget=budget,
                deadline=deadline,
                prefer=prefer,
                thread=thread,
                approve=approve,
            )
        )

    def wait(self, run: Run | str) -> Answer:
        """The answer of a run that was started, once it is over."""
        return self._loop.call(self._client.wait(run))

    def events(self, run: Run | str, *, after: str | None = None) -> Iterator[Event]:
        """The events of a run until it ends; a broken stream is taken up where it broke."""
        return self._loop.iterate(self._client.events(run, after=after))

    def get(self, run: Run | str) -> Run:
        """A run as it stands; with its answer once it is over."""
        return self._loop.call(self._client.get(run))

    def mermaid(self, run: Run | str) -> str:
        """The plan of a run as a Mermaid flowchart."""
        return self._loop.call(self._client.mermaid(run))

    def runs(
        self, *, limit: int = 50, before: Run | str | None = None, thread: str | None = None
    ) -> tuple[Run, ...]:
        """Runs, newest first, without their answers."""
        return self._loop.call(self._client.runs(limit=limit, before=before, thread=thread))

    def cancel(self, run: Run | str, *, reason: str = "stopped by the user") -> None:
        """Asks a run to stop; its events tell when it has."""
        self._loop.call(self._client.cancel(run, reason=reason))

    def rerun(self, run: Run | str, *, from_task: str | None = None) -> Run:
        """The plan of a run that has ended once more, as a new run: from a task on, else from what failed."""
        return self._loop.call(self._client.rerun(run, from_task=from_task))

    def feedback(self, run: Run | str, *, right: bool, note: str = "") -> Feedback:
        """Says whether a run's plan was right: a right one is remembered, a wrong one not used again."""
        return self._loop.call(self._client.feedback(run, right=right, note=note))

    def approvals(self, run: Run | str) -> tuple[Approval, ...]:
        """All that was asked of people in a run, what is pending first."""
        return self._loop.call(self._client.approvals(run))

    def decide(
        self,
        approval: Approval,
        decision: Decision,
        *,
        by: str = "",
        note: str = "",
        value: Json = None,
    ) -> Approval:
        """A person's decision on exactly what `approval` shows. value: with "done", the task's result."""
        return self._loop.call(
            self._client.decide(approval, decision, by=by, note=note, value=value)
        )

    def edit(
        self, approval: Approval, arguments: Mapping[str, Json], *, by: str = "", note: str = ""
    ) -> Approval:
        """Other arguments in place of those that were asked about: gives the new request, to be decided."""
        return self._loop.call(self._client.edit(approval, arguments, by=by, note=note))

    def effects(self, run: Run | str) -> tuple[Effect, ...]:
        """The ledger of a run: every effect outside that was begun, and whether its outcome is known."""
        return self._loop.call(self._client.effects(run))

    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """Tasks that no expert could do, of all runs, newest first."""
        return self._loop.call(self._client.dead_letters())

    def forget(self, letter: DeadLetter) -> None:
        """Drops a dead letter from the list."""
        self._loop.call(self._client.forget(letter))

    def upload(self, *sources: Source) -> tuple[File, ...]:
        """Sends files: a path, a folder with all its files, a name with bytes."""
        return self._loop.call(self._client.upload(*sources))

    def content(self, file: File | str) -> bytes:
        """The bytes of a file that the server holds."""
        return self._loop.call(self._client.content(file))

    def download(self, run: Run | str, task: str, format: Format | None = None) -> bytes:
        """What a task gave, as a file: all rows of a table as csv, xlsx or json, a text as txt."""
        return self._loop.call(self._client.download(run, task, format))

    def capabilities(self) -> tuple[Capability, ...]:
        """What can be asked for, by name."""
        return self._loop.call(self._client.capabilities())

    def experts(self) -> tuple[Expert, ...]:
        """Who serves it now."""
        return self._loop.call(self._client.experts())
