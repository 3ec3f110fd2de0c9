"""The MCP server: a run is begun, waited for, looked at and stopped through the client of the API.

What a person must decide stays with people: a program that calls `run` cannot say yes for them. Effects of class
`keyed` and `once` wait for it, whatever the request says.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import Field

from pointsman.client import Answer, AsyncClient, PointsmanClientError
from pointsman.client.results import OVER

LARGEST = 64_000
"""Characters of one result; of a longer one only the answer's text is given."""
WAIT, LONGEST = 60.0, 600.0
INSTRUCTIONS = (
    "Ask `run` in plain language; it plans the request, has each part done by the best expert and gives the answer. "
    "A run that is not over in time goes on: look at it with `status`. What stands under `waiting_for_a_person` "
    "is decided by a person on Pointsman's page, not by you."
)

Request = Annotated[str, Field(min_length=1, description="What is to be done, in plain language.")]
RunId = Annotated[str, Field(min_length=1, description="The id of a run, as `run` gives it.")]
Seconds = Annotated[float, Field(ge=0, le=LONGEST, description="How long to wait for the answer.")]
READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)


def mcp_server(opened: Callable[[], AsyncClient]) -> MCPServer[AsyncClient]:
    """A server whose tools call the API that `opened` reaches."""

    @asynccontextmanager
    async def lifespan(_: MCPServer[AsyncClient]) -> AsyncIterator[AsyncClient]:
        async with opened() as client:
            yield client

    server: MCPServer[AsyncClient] = MCPServer(
        "pointsman", instructions=INSTRUCTIONS, lifespan=lifespan, log_level="ERROR"
    )

    @server.tool(annotations=ToolAnnotations(read_only_hint=False, destructive_hint=True))
    async def run(
        request: Request, context: Context[AsyncClient, Any], wait_seconds: Seconds = WAIT
    ) -> dict[str, Any]:
        """Does what is asked. Gives the answer, or, where it takes longer, the run's id to look at."""
        client = _client(context)
        with _told():
            begun = await client.start(request, approve="effects")
            try:
                async with asyncio.timeout(wait_seconds):
                    async for event in client.events(begun):
                        if event.type == "approval.requested":
                            break
            except TimeoutError:
                pass
            return await _state(client, begun.id)

    @server.tool(annotations=READS)
    async def plan(request: Request, context: Context[AsyncClient, Any]) -> dict[str, Any]:
        """Shows how a request would be done, without doing it."""
        with _told():
            found = await _client(context).plan(request)
        if found.refusal is not None:
            return {"refusal": found.refusal}
        tasks = [
            {"id": t.id, "capability": t.capability, "arguments": dict(t.arguments), "after": list(t.inputs)}
            for t in found.tasks
        ]  # fmt: skip
        return {
            "tasks": tasks,
            "answer": list(found.answer),
            "confidence": found.confidence,
            "assumptions": list(found.assumptions),
        }

    @server.tool(annotations=READS)
    async def status(run_id: RunId, context: Context[AsyncClient, Any]) -> dict[str, Any]:
        """Tells how a run stands, its answer, and what waits for a person."""
        with _told():
            return await _state(_client(context), run_id)

    @server.tool(annotations=ToolAnnotations(idempotent_hint=True, destructive_hint=False))
    async def cancel(run_id: RunId, context: Context[AsyncClient, Any]) -> dict[str, Any]:
        """Stops a run; what was done stays done."""
        with _told():
            await _client(context).cancel(run_id, reason="stopped through MCP")
        return {"run": run_id, "status": "stopping"}

    return server


def _client(context: Context[AsyncClient, Any]) -> AsyncClient:
    return context.request_context.lifespan_context


@contextmanager
def _told() -> Iterator[None]:
    """Errors of the client as what the caller of a tool is told."""
    try:
        yield
    except PointsmanClientError as error:
        raise ToolError(str(error)) from None


async def _state(client: AsyncClient, id: str) -> dict[str, Any]:
    found = await client.get(id)
    state: dict[str, Any] = {"run": id, "status": found.status}
    if found.answer is not None and found.status in OVER:
        return {**state, **_answer(found.answer)}
    waiting = [a for a in await client.approvals(id) if a.pending]
    if waiting:
        state["waiting_for_a_person"] = [
            {"task": a.task, "capability": a.capability, "arguments": dict(a.arguments), "question": a.question}
            for a in waiting
        ]  # fmt: skip
    return state


def _answer(answer: Answer) -> dict[str, Any]:
    made: dict[str, Any] = {
        "text": answer.text[:LARGEST],
        "steps": [f"{s.capability}: {s.status}, by {s.expert or 'nobody'}" for s in answer.steps],
        "assumptions": list(answer.assumptions),
    }
    parts = [{"title": p.title, "kind": p.kind, "value": p.value} for p in answer.parts]
    if len(json.dumps(parts)) <= LARGEST:
        made["results"] = parts
    return made
