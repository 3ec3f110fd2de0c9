"""The OpenAI protocol: /v1/models and /v1/chat/completions, streamed and whole.

The last message of the user is the request, what came before it is history. `files` (ids of stored
files) and `thread` may be given beside the protocol's own fields. Beside them stands `pointsman` in what
comes back: the run's id, and in streamed chunks what the run is doing, so that `content` holds the
answer and nothing else. A client that goes away cancels the run it started.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import JSONResponse, Response
from starlette.types import Message as AsgiMessage

from pointsman.router.errors import RequestError, RunNotFound, RunOver
from pointsman.router.events import AnswerGrew, AnswerReady, Fault, Posted, RunEnded, RunId
from pointsman.router.planning.base import Prefer, Turn
from pointsman.router.usage import USAGE, Budget, Usage
from pointsman.router.workspace import RunRecord, RunSpec
from pointsman.services.api.errors import error_body, error_response, faults
from pointsman.services.api.gateway import Gateway, Here
from pointsman.services.api.runs import checked_request, history_of, profiles_of, start
from pointsman.services.streams import AnswerText, Closing, outcome, progress_line, until

router = APIRouter(tags=["openai"])

MODELS: Mapping[str, Prefer | None] = {
    "pointsman": None,
    "auto": None,
    "auto:cheap": "cost",
    "auto:fast": "latency",
    "auto:best": "quality",
}
"""Names under which a request is planned, and what then counts when experts are chosen; None: as it says."""
PATH = "/v1/chat/completions"
STATUS_OF_FAULT = {"caller": 422, "plan": 422, "expert": 502, "us": 500}
GONE = "the client went away"


class Part(BaseModel):
    model_config = ConfigDict(extra="allow")

    type: str
    text: str | None = None


class Message(BaseModel):
    model_config = ConfigDict(extra="allow")

    role: str
    content: str | list[Part] | None = None

    def text(self, place: int) -> str:
        """Raises Unsupported when a part is not text."""
        if self.content is None or isinstance(self.content, str):
            return self.content or ""
        for part in self.content:
            if part.type not in ("text", "input_text") or part.text is None:
                raise Unsupported(
                    f"messages.{place}.content: parts of type {part.type!r} are not read here; "
                    "upload the file to /v1/files and give its id in `files`"
                )
        return "\n".join(part.text or "" for part in self.content)


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="allow")

    include_usage: bool = False


class ChatIn(BaseModel):
    """The fields that are read. Sampling settings of the protocol are taken and have no effect."""

    model_config = ConfigDict(extra="allow")

    model: str
    messages: Annotated[list[Message], Field(min_length=1, max_length=1_000)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: int | None = 1
    tools: list[Any] | None = None
    response_format: dict[str, Any] | None = None
    files: list[str] = Field(default_factory=list)
    thread: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None
    prefer: Prefer = "balanced"


class Unsupported(RequestError):
    code = "unsupported_value"


class ModelNotFound(RequestError):
    code = "model_not_found"

    def __init__(self, model: str, names: Sequence[str] = tuple(MODELS)) -> None:
        super().__init__(f"the model {model!r} does not exist; there are {', '.join(names)}")


@router.get("/v1/models")
async def models(here: Here) -> dict[str, Any]:
    """`auto` and its like plan a request; the remote experts are called as they are."""
    return {"object": "list", "data": [_model(name) for name in _names(here)]}


@router.get("/v1/models/{name:path}", responses=faults(404))
async def model(name: str, here: Here) -> Response:
    if name not in _names(here):
        return error_response("/v1/models", Fault.of(ModelNotFound(name)), 404, param="model")
    return JSONResponse(_model(name))


def _names(here: Gateway) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*MODELS, *here.remotes.settings, *here.embedders)))


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "pointsman"}


@router.post(PATH)
async def completions(body: ChatIn, request: Request, here: Here) -> Response:
    """One answer to the last message of the user."""
    if body.model not in MODELS:
        error = ModelNotFound(body.model, _names(here))
        return error_response(PATH, Fault.of(error), 404, param="model")
    for param, why in _refusals(body):
        return error_response(PATH, Fault(Unsupported.code, why, "caller"), 400, param=param)
    try:
        spec = await _spec(here, body)
    except Unsupported as error:
        return error_response(PATH, Fault.of(error), 400, param="messages")
    id = await start(here, spec)
    completion = Completion(id, body.model, int(time.time()))
    if body.stream:
        usage = body.stream_options is not None and body.stream_options.include_usage

        async def left(_message: AsgiMessage) -> None:
            await abandon(here, id)

        return EventSourceResponse(
            _chunks(here, completion, include_usage=usage),
            ping=here.settings.heartbeat,
            sep="\n",
            client_close_handler_callable=left,
        )
    return await _whole(here, request, completion)


def _refusals(body: ChatIn) -> Sequence[tuple[str, str]]:
    """What of the protocol is asked for and cannot be had: saying so beats ignoring it."""
    found: list[tuple[str, str]] = []
    if body.n not in (None, 1):
        found.append(("n", "n: one answer is given to a request; set n to 1"))
    if body.tools:
        found.append(("tools", "tools: calls are decided here; register an expert instead"))
    if body.response_format is not None and body.response_format.get("type") != "text":
        found.append(("response_format", "response_format: only text is answered"))
    return found


async def _spec(here: Gateway, body: ChatIn) -> RunSpec:
    texts = [(m.role, m.text(place)) for place, m in enumerate(body.messages)]
    last = max((i for i, (role, _) in enumerate(texts) if role == "user"), default=None)
    if last is None:
        raise Unsupported("messages: there is no message with the role 'user'")
    history = turns_of(texts[:last])
    if not history and body.thread is not None:
        history = await history_of(here, body.thread)
    return RunSpec(
        text=checked_request(here, texts[last][1]),
        files=await profiles_of(here, body.files),
        thread=body.thread,
        budget=Budget(),
        deadline=None,
        prefer=MODELS[body.model] or body.prefer,
        plan=None,
        dry_run=False,
        history=history,
    )


def turns_of(texts: Sequence[tuple[str, str]]) -> tuple[Turn, ...]:
    """Earlier messages as exchanges: each of the user's with the assistant's that follow it."""
    turns: list[Turn] = []
    for role, text in texts:
        if role == "user":
            turns.append(Turn(text, ""))
        elif role == "assistant" and turns:
            asked = turns[-1]
            turns[-1] = Turn(asked.request, f"{asked.answer}\n{text}".strip())
    return tuple(turns)


@dataclass(frozen=True, slots=True)
class Completion:
    """Makes the protocol's objects of one run."""

    run: RunId
    model: str
    created: int

    @property
    def id(self) -> str:
        return f"chatcmpl-{self.run}"

    def whole(self, text: str, record: RunRecord) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text, "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": usage_json(record.usage),
            "pointsman": {"run": self.run, "status": record.status},
        }

    def chunk(
        self, delta: dict[str, Any], told: dict[str, Any], finish: str | None = None
    ) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._frame([choice], told)

    def usage_chunk(self, usage: Usage) -> dict[str, Any]:
        return {**self._frame([], {}), "usage": usage_json(usage)}

    def _frame(self, choices: list[dict[str, Any]], told: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": choices,
            "pointsman": {"run": self.run, **told},
        }


def usage_json(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.tokens,
    }


async def _whole(here: Gateway, request: Request, completion: Completion) -> Response:
    record = await waited(here, request, completion.run)
    if isinstance(record, Response):
        return record
    return JSONResponse(completion.whole(str((record.answer or {}).get("text", "")), record))


async def waited(here: Gateway, request: Request, run: RunId) -> RunRecord | Response:
    """Waits for the end of the run, of the client or of the server, whichever comes first. A response: there
    is no answer, and it says why."""
    path = request.url.path
    ended = asyncio.ensure_future(outcome(here.workspace, run, here.closing))
    left = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({ended, left}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            await abandon(here, run)
            return Response(status_code=499)
        record = ended.result()
    except Closing:
        return error_response(path, stopping(), 503)
    finally:
        ended.cancel()
        left.cancel()
    here.telemetry.seen(record)
    if record.answer is None or record.status in ("failed", "cancelled"):
        fault = record.error or cancelled()
        return error_response(path, fault, STATUS_OF_FAULT[fault.fault])
    return record


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue


async def abandon(here: Gateway, id: RunId) -> None:
    with contextlib.suppress(RunOver, RunNotFound):
        await here.workspace.cancel(id, GONE)


def stopping() -> Fault:
    return Fault("server.stopping", "the server is stopping; ask again", "us", retryable=True)


def cancelled() -> Fault:
    return Fault("run.cancelled", "the run was cancelled before it came to an answer", "caller")


async def _chunks(
    here: Gateway, completion: Completion, *, include_usage: bool
) -> AsyncIterator[ServerSentEvent]:
    here.telemetry.stream_opened()
    text = AnswerText()
    ended: RunEnded | None = None
    try:
        yield _sent(
            completion.chunk({"role": "assistant", "content": ""}, {"event": "run.created"})
        )
        events = until(here.closing, here.workspace.events(completion.run))
        async with aclosing(events):
            async for posted in events:
                yield _sent(_chunk_of(completion, posted, text))
                if isinstance(posted.event, RunEnded):
                    ended = posted.event
                    break
        for last in _ending(completion, ended, include_usage=include_usage):
            yield _sent(last)
        yield ServerSentEvent("[DONE]", sep="\n")
    finally:
        here.telemetry.stream_closed()


def _chunk_of(completion: Completion, posted: Posted, text: AnswerText) -> dict[str, Any]:
    event = posted.event
    told: dict[str, Any] = {"event": event.type, "id": posted.id}
    line = progress_line(event)
    if line is not None:
        told["progress"] = line
    match event:
        case AnswerGrew():
            return completion.chunk({"content": text.grow(event)}, told)
        case AnswerReady():
            rest = text.rest(str(event.answer.get("text", "")))
            return completion.chunk({"content": rest} if rest else {}, told)
        case _:
            return completion.chunk({}, told)


def _ending(
    completion: Completion, ended: RunEnded | None, *, include_usage: bool
) -> list[dict[str, Any]]:
    """The last chunks: why it stopped, or the error in the protocol's shape."""
    if ended is None:
        return [error_body(PATH, stopping(), 503)]
    if ended.status in ("failed", "cancelled"):
        fault = ended.error or cancelled()
        return [error_body(PATH, fault, STATUS_OF_FAULT[fault.fault])]
    chunks = [completion.chunk({}, {"status": ended.status}, "stop")]
    if include_usage:
        chunks.append(completion.usage_chunk(USAGE.validate_python(ended.usage)))
    return chunks


def _sent(value: dict[str, Any]) -> ServerSentEvent:
    return ServerSentEvent(json.dumps(value, ensure_ascii=False), sep="\n")
