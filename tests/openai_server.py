"""A real server on loopback that speaks the chat part of the OpenAI protocol, for tests.

    async with OpenAIServer([Say("hello"), Fail(500)]) as server:
        settings = RemoteSettings("small", base_url=server.url)

Answers are given in order, the last one again and again; or a function makes one from the request's body.
`serving(...)` runs the same in a thread, for tests that are not async.
"""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Say:
    """An answer. pieces: characters in each piece of the stream. pause: seconds before each piece."""

    text: str
    pieces: int = 7
    pause: float = 0.0
    usage: tuple[int, int] | None = (100, 20)
    finish: str | None = "stop"
    cut_after: int | None = None
    """Break the connection after so many pieces."""


@dataclass(frozen=True)
class Fail:
    """An HTTP error."""

    status: int
    message: str = "it went wrong"
    headers: Mapping[str, str] = field(default_factory=dict)
    code: str | None = None


@dataclass(frozen=True)
class Raw:
    """Bytes in the place of an HTTP answer's event stream."""

    body: bytes


Answer = Say | Fail | Raw
Script = Sequence[Answer] | Callable[[dict[str, Any]], Answer]


class OpenAIServer:
    """forms: the response_format types that it takes; any other is a 400, as simple servers do."""

    def __init__(
        self,
        script: Script,
        *,
        forms: Sequence[str] = ("json_schema", "json_object"),
        key: str | None = None,
        port: int = 0,
    ) -> None:
        self.requests: list[dict[str, Any]] = []
        self.asked = asyncio.Event()
        """Set when the first request has come."""
        self.hung_up = asyncio.Event()
        """Set when a client closed the connection in the middle of an answer."""
        self._script = script
        self._forms = forms
        self._key = key
        self._port = port
        self._given = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    async def __aenter__(self) -> "OpenAIServer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        self._tasks: set[asyncio.Task[Any]] = set()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            path, headers, body = await self._request(reader)
            await self._respond(path, headers, body, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.hung_up.set()
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _request(self, reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            k.strip().lower(): v.strip() for k, _, v in (h.partition(":") for h in head[1:] if h)
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return head[0].split()[1], headers, body

    async def _respond(
        self, path: str, headers: Mapping[str, str], body: bytes, writer: asyncio.StreamWriter
    ) -> None:
        if self._key is not None and headers.get("authorization") != f"Bearer {self._key}":
            said = headers.get("authorization", "")
            await send_error(writer, Fail(401, f"Incorrect API key provided: {said}"))
            return
        if path.endswith("/models"):
            listed = {"object": "list", "data": [{"id": "small", "object": "model"}]}
            await send(writer, 200, json.dumps(listed).encode())
            return
        if not path.endswith("/chat/completions"):
            await send_error(writer, Fail(404, "no such path"))
            return
        asked = json.loads(body)
        self.requests.append(asked)
        self.asked.set()
        form = asked.get("response_format", {}).get("type")
        if form is not None and form not in self._forms:
            await send_error(writer, Fail(400, f"response_format {form} is not supported"))
            return
        await self._give(self._next(asked), asked, writer)

    def _next(self, asked: dict[str, Any]) -> Answer:
        if callable(self._script):
            return self._script(asked)
        self._given += 1
        return self._script[min(self._given, len(self._script)) - 1]

    async def _give(
        self, answer: Answer, asked: dict[str, Any], writer: asyncio.StreamWriter
    ) -> None:
        match answer:
            case Fail():
                await send_error(writer, answer)
            case Raw():
                writer.write(STREAM_HEAD + answer.body)
                await writer.drain()
            case Say() if asked.get("stream"):
                await self._stream(answer, asked, writer)
            case Say():
                await send(writer, 200, json.dumps(whole(answer)).encode())

    async def _stream(
        self, answer: Say, asked: dict[str, Any], writer: asyncio.StreamWriter
    ) -> None:
        writer.write(STREAM_HEAD)
        text, size = answer.text, answer.pieces
        pieces = [text[i : i + size] for i in range(0, len(text), size)]
        for number, piece in enumerate(pieces):
            if answer.pause:
                await asyncio.sleep(answer.pause)
            if number == answer.cut_after:
                writer.transport.abort()
                return
            if writer.transport.is_closing():
                raise ConnectionResetError
            writer.write(event({"delta": {"content": piece}, "index": 0, "finish_reason": None}))
            await writer.drain()
        writer.write(event({"delta": {}, "index": 0, "finish_reason": answer.finish}))
        if answer.usage is not None and asked.get("stream_options", {}).get("include_usage"):
            writer.write(event(None, usage_json(answer.usage)))
        writer.write(b"data: [DONE]\n\n")
        await writer.drain()


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def event(choice: dict[str, Any] | None, usage: dict[str, int] | None = None) -> bytes:
    chunk = {
        "id": "chat-1",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": "small",
        "choices": [choice] if choice else [],
        "usage": usage,
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def whole(answer: Say) -> dict[str, Any]:
    message = {"role": "assistant", "content": answer.text}
    return {
        "id": "chat-1",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": "small",
        "choices": [{"index": 0, "message": message, "finish_reason": answer.finish}],
        "usage": usage_json(answer.usage) if answer.usage else None,
    }


def usage_json(usage: tuple[int, int]) -> dict[str, int]:
    asked, written = usage
    return {
        "prompt_tokens": asked,
        "completion_tokens": written,
        "total_tokens": asked + written,
    }


async def send_error(writer: asyncio.StreamWriter, fail: Fail) -> None:
    body = {"error": {"message": fail.message, "type": "error", "code": fail.code}}
    await send(writer, fail.status, json.dumps(body).encode(), fail.headers)


async def send(
    writer: asyncio.StreamWriter, status: int, body: bytes, headers: Mapping[str, str] | None = None
) -> None:
    lines = [
        f"HTTP/1.1 {status} Answer",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *(f"{k}: {v}" for k, v in (headers or {}).items()),
    ]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    await writer.drain()


@contextlib.contextmanager
def serving(script: Script, **options: Any) -> Iterator[OpenAIServer]:
    """The server in a thread of its own."""
    started: threading.Event = threading.Event()
    held: dict[str, Any] = {}

    async def main() -> None:
        async with OpenAIServer(script, **options) as server:
            held.update(server=server, loop=asyncio.get_running_loop(), stop=asyncio.Event())
            started.set()
            await held["stop"].wait()

    thread = threading.Thread(target=asyncio.run, args=(main(),), daemon=True)
    thread.start()
    if not started.wait(10):
        raise RuntimeError("the server did not start")
    try:
        yield held["server"]
    finally:
        held["loop"].call_soon_threadsafe(held["stop"].set)
        thread.join(10)
