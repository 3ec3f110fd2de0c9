"""The client for programs with an event loop; `Client` is the same for programs without one."""

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from pointsman.client.decisions import Approval, DeadLetter, Decision, Effect, Json
from pointsman.client.errors import (
    BadReply,
    ClientClosed,
    DeadlinePassed,
    FileUnreadable,
    PointsmanClientError,
    ServerUnreachable,
)
from pointsman.client.local import LocalServer
from pointsman.client.memory import AsyncMemory, Feedback
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
from pointsman.client.sources import Source, Upload, batches, uploads
from pointsman.client.wire import Connection, pause, words

IDLE_SECONDS = 60.0
STREAM_FAILURES = 8
"""Connections in a row that may break without bringing an event."""
GRACE = 5.0
"""Seconds past a deadline in which the server may tell by itself that it passed."""

OnEvent = Callable[[Event], object]


class AsyncClient:
    """Asks a Pointsman server: the one at `url`, else at $POINTSMAN_URL, else the one that runs on this
    machine, else one of its own, which is started at the first request and ends when the client is closed.

    home: the folder of the local server. start: whether one may be started. idle_timeout: seconds without
    a byte after which a connection counts as broken. api_key: sent with every request, by default
    $POINTSMAN_API_KEY. Everything that talks to the server may raise
    ServerUnreachable, ServerNotStarted, RequestRejected and BadReply.
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
        self._local = LocalServer(None if home is None else Path(home), start=start)
        given = url or os.environ.get("POINTSMAN_URL") or None
        key = api_key or os.environ.get("POINTSMAN_API_KEY") or None
        self._wire = Connection(given, self._local, idle=idle_timeout, key=key)
        self._closed = False
        self.memory = AsyncMemory(self)

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connections, and the server if this client started it."""
        if not self._closed:
            self._closed = True
            await self._wire.close()
            await asyncio.to_thread(self._local.stop)

    async def address(self) -> str:
        """The server's address; finds or starts the server."""
        return await self._open.address()

    @property
    def _open(self) -> Connection:
        if self._closed:
            raise ClientClosed
        return self._wire

    # --- runs -----------------------------------------------------------------------------------

    async def run(
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
        """Does what is asked and waits for the answer; it is cancelled if the caller stops waiting.

        A run that failed, was refused or cancelled gives an Answer with that status.
        deadline: seconds from now. approve: which tasks wait for a person. Raises DeadlinePassed when
        the server does not end it by itself.
        """
        steps = self.running(
            request,
            files=files,
            budget=budget,
            deadline=deadline,
            prefer=prefer,
            thread=thread,
            approve=approve,
        )
        async with aclosing(steps):
            async for step in steps:
                if isinstance(step, Answer):
                    return step
                if on_event is not None:
                    on_event(step)
        raise BadReply(await self.address(), "a run ended without an end")

    async def running(
        self,
        request: str,
        *,
        files: Sequence[Source] = (),
        budget: Budget | None = None,
        deadline: float | None = None,
        prefer: Prefer = "balanced",
        thread: str | None = None,
        approve: Approve = "marked",
    ) -> AsyncGenerator[Event | Answer, None]:
        """`run` as a stream: each event as it happens and, at last, the Answer. Leaving it early cancels
        the run.
        """
        until = None if deadline is None else time.monotonic() + deadline + GRACE
        run = await self.start(
            request,
            files=files,
            budget=budget,
            deadline=deadline,
            prefer=prefer,
            thread=thread,
            approve=approve,
        )
        over = False
        try:
            async with aclosing(self.events(run)) as events:
                while not over:
                    left = None if until is None else max(0.0, until - time.monotonic())
                    event = await asyncio.wait_for(anext(events), left)
                    over = event.type == "run.ended"
                    yield event
        except TimeoutError:
            raise DeadlinePassed(run.id, deadline or 0.0) from None
        finally:
            if not over:
                await self._abandon(run.id)
        ended = await self.get(run)
        if ended.answer is None:
            raise BadReply(await self.address(), f"run {run.id} ended and has no outcome")
        yield ended.answer

    async def _abandon(self, id: str) -> None:
        with contextlib.suppress(PointsmanClientError, TimeoutError):
            async with asyncio.timeout(GRACE):
                await self.cancel(id, reason="whoever asked has left")

    async def plan(
        self,
        request: str,
        *,
        files: Sequence[Source] = (),
        prefer: Prefer = "balanced",
        thread: str | None = None,
    ) -> Plan:
        """The plan for a request, which is not run. `Plan.refusal` says why there is none."""
        terms = {"prefer": prefer, "thread": thread, "dry_run": True}
        run = await self._create(request, files, terms)
        found: Plan | None = None
        async with aclosing(self.events(run)) as events:
            async for event in events:
                if event.type == "plan.proposed":
                    found = Plan.of(run.id, event.fields)
        if found is not None:
            return found
        answer = (await self.get(run)).answer
        return Plan(run.id, refusal=answer.text if answer else "no plan was made")

    async def start(
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
        terms = {
            "budget": asdict(budget or Budget()),
            "deadline_seconds": deadline,
            "prefer": prefer,
            "thread": thread,
            "approve": approve,
        }
        return await self._create(request, files, terms)

    async def _create(self, request: str, files: Sequence[Source], terms: Mapping[str, Any]) -> Run:
        held = await self._held(files)
        body = {
            "request": request,
            "files": [f.id for f in held],
            "timezone": minutes_east(),
            **terms,
        }
        id = await self._made("/v1/runs", body)
        dry_run = bool(terms.get("dry_run"))
        return Run(id, "queued", request, terms["thread"], time.time(), None, dry_run, held)

    async def _made(self, path: str, body: Mapping[str, Any]) -> str:
        """The id of a new run. Under its key the request may be sent again: it makes one run."""
        key = {"Idempotency-Key": secrets.token_hex(16)}
        reply = await self._open.json("POST", path, safe=True, json=body, headers=key)
        return str(reply["id"])

    async def wait(self, run: Run | str) -> Answer:
        """The answer of a run that was started, once it is over."""
        async with aclosing(self.events(run)) as events:
            async for _ in events:
                pass
        answer = (await self.get(run)).answer
        if answer is None:
            raise BadReply(await self.address(), f"the events of run {id_of(run)} ended before it")
        return answer

    async def events(
        self, run: Run | str, *, after: str | None = None
    ) -> AsyncGenerator[Event, None]:
        """The events of a run, from the start or after an id, until it ends. A broken connection is made
        again and the stream taken up where it broke. Raises ServerUnreachable when that does not help.
        """
        import httpx

        id = id_of(run)
        path = f"/v1/runs/{quote(id, safe='')}/events"
        failures, last, why = 0, after, "the stream broke off"
        while failures < STREAM_FAILURES:
            try:
                async with aclosing(self._stream(path, last)) as events:
                    async for event in events:
                        failures, last = 0, event.id
                        yield replace(event, run=id)
                        if event.type == "run.ended":
                            return
                if last is not None and (await self.get(run)).over:
                    return
            except (httpx.TransportError, ServerUnreachable) as error:
                why = words(error)
                self._wire.lost()
            failures += 1
            await asyncio.sleep(pause(failures))
        raise ServerUnreachable(await self.address(), why)

    async def _stream(self, path: str, after: str | None) -> AsyncGenerator[Event, None]:
        async for event in self._open.events(path, after):
            yield event

    async def get(self, run: Run | str) -> Run:
        """A run as it stands; with its answer once it is over."""
        return Run.of(await self._open.json("GET", f"/v1/runs/{quote(id_of(run), safe='')}"))

    async def mermaid(self, run: Run | str) -> str:
        """The plan of a run as a Mermaid flowchart."""
        path = f"/v1/runs/{quote(id_of(run), safe='')}/plan.mmd"
        return (await self._open.request("GET", path)).text

    async def runs(
        self, *, limit: int = 50, before: Run | str | None = None, thread: str | None = None
    ) -> tuple[Run, ...]:
        """Runs, newest first, without their answers; `before` is the last one of the page before."""
        wanted = {"limit": limit, "before": before and id_of(before), "thread": thread}
        query = {k: v for k, v in wanted.items() if v is not None}
        value = await self._open.json("GET", "/v1/runs", params=query)
        return tuple(Run.of(r) for r in value["runs"])

    async def cancel(self, run: Run | str, *, reason: str = "stopped by the user") -> None:
        """Asks a run to stop; its events tell when it has. Raises RequestRejected when it is over."""
        path = f"/v1/runs/{quote(id_of(run), safe='')}/cancel"
        await self._open.json("POST", path, json={"reason": reason})

    async def rerun(self, run: Run | str, *, from_task: str | None = None) -> Run:
        """The plan of a run that has ended once more, as a new run: from a task on, else from what failed.
        Results that do not depend on those are taken over. Raises RequestRejected when there is nothing
        to run again.
        """
        path = f"/v1/runs/{quote(id_of(run), safe='')}/rerun"
        return await self.get(await self._made(path, {"from_task": from_task}))

    async def feedback(self, run: Run | str, *, right: bool, note: str = "") -> Feedback:
        """Says whether a run's plan was right: a right one is remembered and reused, a wrong one is not
        used again for the like. Raises RequestRejected while the run goes on.
        """
        path = f"/v1/runs/{quote(id_of(run), safe='')}/feedback"
        body = {"right": right, "note": note}
        return Feedback.of(await self._open.json("POST", path, safe=True, json=body))

    # --- decisions, effects, dead letters ---------------------------------------------------------

    async def approvals(self, run: Run | str) -> tuple[Approval, ...]:
        """All that was asked of people in a run, what is pending first."""
        path = f"/v1/runs/{quote(id_of(run), safe='')}/approvals"
        value = await self._open.json("GET", path)
        return tuple(Approval.of(a) for a in value["approvals"])

    async def decide(
        self,
        approval: Approval,
        decision: Decision,
        *,
        by: str = "",
        note: str = "",
        value: Json = None,
    ) -> Approval:
        """A person's decision on exactly what `approval` shows. value: with "done", the task's result.

        Raises RequestRejected when it was decided before, has expired or the run was stopped.
        """
        body = {"decision": decision, "by": by, "note": note, "value": value}
        return await self._decided(approval, body)

    async def edit(
        self, approval: Approval, arguments: Mapping[str, Json], *, by: str = "", note: str = ""
    ) -> Approval:
        """Other arguments in place of those that were asked about: gives the new request, to be decided."""
        body = {"decision": "edited", "by": by, "note": note, "arguments": dict(arguments)}
        return await self._decided(approval, body)

    async def _decided(self, approval: Approval, body: Mapping[str, Any]) -> Approval:
        path = f"/v1/runs/{quote(approval.run, safe='')}/approvals/{quote(approval.id, safe='')}"
        sent = {"digest": approval.digest, **body}
        return Approval.of(await self._open.json("POST", path, json=sent))

    async def effects(self, run: Run | str) -> tuple[Effect, ...]:
        """The ledger of a run: every effect outside that was begun, and whether its outcome is known."""
        value = await self._open.json("GET", f"/v1/runs/{quote(id_of(run), safe='')}/effects")
        return tuple(Effect.of(e) for e in value["effects"])

    async def dead_letters(self) -> tuple[DeadLetter, ...]:
        """Tasks that no expert could do, of all runs, newest first."""
        value = await self._open.json("GET", "/v1/dead-letters")
        return tuple(DeadLetter.of(x) for x in value["dead_letters"])

    async def forget(self, letter: DeadLetter) -> None:
        """Drops a dead letter from the list. Raises RequestRejected when it is not there."""
        path = f"/v1/dead-letters/{quote(letter.run, safe='')}/{quote(letter.task, safe='')}"
        await self._open.request("DELETE", path)

    # --- files ----------------------------------------------------------------------------------

    async def upload(self, *sources: Source) -> tuple[File, ...]:
        """Sends files: a path, a folder with all its files, a name with bytes. Raises FileUnreadable."""
        return await self._held(sources)

    async def _held(self, sources: Sequence[Source]) -> tuple[File, ...]:
        """Files that the server holds, those sent now and those it held, in the order of the sources."""
        if isinstance(sources, str | os.PathLike):
            raise TypeError("files: a list of files is expected, not one path")
        found: list[File] = []
        for source in sources:
            if isinstance(source, File):
                found.append(source)
                continue
            for batch in batches(await asyncio.to_thread(uploads, source)):
                found += await self._send(batch)
        return tuple(found)

    async def _send(self, batch: Sequence[Upload]) -> list[File]:
        with contextlib.ExitStack() as stack:
            parts = []
            for upload in batch:
                content = upload.content
                try:
                    body = content if isinstance(content, bytes) else content.open("rb")
                except OSError as error:
                    raise FileUnreadable(upload.name, error.strerror or str(error)) from error
                if not isinstance(body, bytes):
                    stack.enter_context(body)
                parts.append(("files", (upload.name, body)))
            value = await self._open.json("POST", "/v1/files", files=parts)
        return [File.of(f) for f in value["files"]]

    async def content(self, file: File | str) -> bytes:
        """The bytes of a file that the server holds: one that was sent, a picture, an export."""
        id = file.id if isinstance(file, File) else file
        path = f"/v1/files/{quote(id, safe='')}/content"
        return (await self._open.request("GET", path)).content

    async def download(self, run: Run | str, task: str, format: Format | None = None) -> bytes:
        """What a task gave, as a file: all rows of a table as csv, xlsx or json, a text as txt."""
        path = f"/v1/runs/{quote(id_of(run), safe='')}/tasks/{quote(task, safe='')}/download"
        query = {} if format is None else {"format": format}
        return (await self._open.request("GET", path, params=query)).content

    # --- what there is ----------------------------------------------------------------------------

    async def capabilities(self) -> tuple[Capability, ...]:
        """What can be asked for, by name."""
        value = await self._open.json("GET", "/v1/capabilities")
        return tuple(Capability.of(c) for c in value["capabilities"])

    async def experts(self) -> tuple[Expert, ...]:
        """Who serves it now."""
        value = await self._open.json("GET", "/v1/experts")
        return tuple(Expert.of(e) for e in value["experts"])


def id_of(run: Run | str) -> str:
    return run.id if isinstance(run, Run) else run


def minutes_east() -> int:
    """Minutes east of UTC here and now, so that "today" is the caller's."""
    offset = datetime.now().astimezone().utcoffset()
    return int(offset.total_seconds() // 60) if offset is not None else 0
