"""The OpenAI protocol: /v1/responses, streamed and whole. A response is a run: its id is "resp_" and the run's.

`previous_response_id` goes on with the conversation that led to that response.
"""

import json
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from itertools import count
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import JSONResponse, Response
from starlette.types import Message as AsgiMessage

from pointsman.router.errors import RunNotFound
from pointsman.router.events import AnswerGrew, AnswerReady, Fault, Posted, RunEnded, RunId
from pointsman.router.planning.base import Prefer, Turn
from pointsman.router.usage import USAGE, Usage
from pointsman.router.workspace import RunRecord, RunSpec
from pointsman.services.api.chat import (
    MODELS,
    Message,
    ModelNotFound,
    Unsupported,
    abandon,
    cancelled,
    stopping,
    turns_of,
    waited,
)
from pointsman.services.api.errors import NotFound, error_response, faults
from pointsman.services.api.gateway import Gateway, Here
from pointsman.services.api.runs import checked_request, profiles_of, start
from pointsman.services.streams import AnswerText, until

router = APIRouter(tags=["openai"])

PATH = "/v1/responses"
PREFIX = "resp_"


class ResponseIn(BaseModel):
    """The fields that are read; `files` are ids of stored files, beside the protocol's own."""

    model_config = ConfigDict(extra="allow")

    model: str
    input: str | Annotated[list[Message], Field(min_length=1, max_length=1_000)]
    stream: bool = False
    previous_response_id: Annotated[str, Field(max_length=100)] | None = None
    tools: list[Any] | None = None
    files: list[str] = Field(default_factory=list)
    prefer: Prefer = "balanced"


@router.post(PATH)
async def create(body: ResponseIn, request: Request, here: Here) -> Response:
    """One answer to the last message of the user."""
    if body.model not in MODELS:
        return error_response(PATH, Fault.of(ModelNotFound(body.model)), 404, param="model")
    if body.tools:
        why = "tools: calls are decided here; register an expert instead"
        return error_response(PATH, Fault(Unsupported.code, why, "caller"), 400, param="tools")
    try:
        spec = await _spec(here, body)
    except Unsupported as error:
        return error_response(PATH, Fault.of(error), 400, param="input")
    id = await start(here, spec)
    shape = Shape(id, body.model, int(time.time()), body.previous_response_id)
    if not body.stream:
        record = await waited(here, request, id)
        if isinstance(record, Response):
            return record
        return JSONResponse(shape.done(_text(record), record.usage))

    async def left(_message: AsgiMessage) -> None:
        await abandon(here, id)

    return EventSourceResponse(
        _events(here, shape),
        ping=here.settings.heartbeat,
        sep="\n",
        client_close_handler_callable=left,
    )


@router.get(PATH + "/{response}", responses=faults(404))
async def one(response: str, here: Here) -> dict[str, Any]:
    """A response as it stands."""
    record = await _record(here, response)
    shape = Shape(record.id, "auto", int(record.created), None)
    if record.answer is not None and record.status in ("done", "refused"):
        return shape.done(_text(record), record.usage)
    if record.ended is not None:
        return shape.failed(record.error or cancelled())
    return shape.whole("in_progress", [])


async def _record(here: Gateway, response: str) -> RunRecord:
    """Raises NotFound: also when it is another tenant's."""
    run = RunId(response.removeprefix(PREFIX))
    try:
        if response.startswith(PREFIX) and await here.workspace.owner_of(run) == here.caller.tenant:
            return await here.workspace.run(run)
    except RunNotFound:
        pass
    raise NotFound(f"there is no response {response!r}")


def _text(record: RunRecord) -> str:
    return str((record.answer or {}).get("text", ""))


async def _spec(here: Gateway, body: ResponseIn) -> RunSpec:
    """Raises Unsupported, NotFound."""
    given = body.input
    messages = [Message(role="user", content=given)] if isinstance(given, str) else given
    texts = [(m.role, m.text(place)) for place, m in enumerate(messages)]
    last = max((i for i, (role, _) in enumerate(texts) if role == "user"), default=None)
    if last is None:
        raise Unsupported("input: there is no message with the role 'user'")
    history = turns_of(texts[:last])
    if body.previous_response_id is not None:
        before = await _record(here, body.previous_response_id)
        history = (*before.spec.history, Turn(before.request, _text(before)), *history)
    return RunSpec(
        text=checked_request(here, texts[last][1]),
        files=await profiles_of(here, body.files),
        prefer=MODELS[body.model] or body.prefer,
        history=history,
    )


@dataclass(frozen=True, slots=True)
class Shape:
    """Makes the protocol's objects of one run."""

    run: RunId
    model: str
    created: int
    previous: str | None

    def whole(
        self, status: str, output: list[dict[str, Any]], usage: Usage | None = None
    ) -> dict[str, Any]:
        return {
            "id": f"{PREFIX}{self.run}",
            "object": "response",
            "created_at": self.created,
            "status": status,
            "model": self.model,
            "output": output,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {"run": self.run},
            "parallel_tool_calls": False,
            "previous_response_id": self.previous,
            "temperature": None,
            "tool_choice": "none",
            "tools": [],
            "top_p": None,
            "usage": None if usage is None else usage_json(usage),
        }

    def done(self, text: str, usage: Usage) -> dict[str, Any]:
        return self.whole("completed", [self.item("completed", [part(text)])], usage)

    def failed(self, fault: Fault) -> dict[str, Any]:
        error = {"code": fault.code, "message": fault.message}
        return {**self.whole("failed", []), "error": error}

    @property
    def message(self) -> str:
        return f"msg_{self.run}"

    def item(self, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        told = {"id": self.message, "type": "message", "role": "assistant"}
        return {**told, "status": status, "content": content}


def part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": []}


def usage_json(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.tokens,
    }


async def _events(here: Gateway, shape: Shape) -> AsyncIterator[ServerSentEvent]:
    here.telemetry.stream_opened()
    numbers = count()

    def sent(type: str, **fields: Any) -> ServerSentEvent:
        value = {"type": type, "sequence_number": next(numbers), **fields}
        return ServerSentEvent(json.dumps(value, ensure_ascii=False), event=type, sep="\n")

    place = {"item_id": shape.message, "output_index": 0, "content_index": 0}
    text, ended = AnswerText(), None
    try:
        for type in ("response.created", "response.in_progress"):
            yield sent(type, response=shape.whole("in_progress", []))
        item = shape.item("in_progress", [])
        yield sent("response.output_item.added", output_index=0, item=item)
        yield sent("response.content_part.added", part=part(""), **place)
        async with aclosing(until(here.closing, here.workspace.events(shape.run))) as events:
            async for posted in events:
                piece = _piece(posted, text)
                if piece:
                    yield sent("response.output_text.delta", delta=piece, logprobs=[], **place)
                if isinstance(posted.event, RunEnded):
                    ended = posted.event
                    break
        fault = _fault(ended)
        if ended is None or fault is not None:
            yield sent("response.failed", response=shape.failed(fault or stopping()))
            return
        yield sent("response.output_text.done", text=text.sent, logprobs=[], **place)
        yield sent("response.content_part.done", part=part(text.sent), **place)
        item = shape.item("completed", [part(text.sent)])
        yield sent("response.output_item.done", output_index=0, item=item)
        usage = USAGE.validate_python(ended.usage)
        yield sent("response.completed", response=shape.done(text.sent, usage))
    finally:
        here.telemetry.stream_closed()


def _piece(posted: Posted, text: AnswerText) -> str:
    match posted.event:
        case AnswerGrew() as grew:
            return text.grow(grew)
        case AnswerReady() as ready:
            return text.rest(str(ready.answer.get("text", "")))
        case _:
            return ""


def _fault(ended: RunEnded | None) -> Fault | None:
    """Why there is no answer."""
    if ended is None:
        return stopping()
    return (ended.error or cancelled()) if ended.status in ("failed", "cancelled") else None
