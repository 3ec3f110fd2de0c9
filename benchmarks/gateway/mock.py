"""A model server that answers at once with the same bytes, so that what is measured stands before it.

python -m benchmarks.gateway.mock: prints its port and serves until its standard input ends.
"""

import asyncio
import json
import sys

TOKENS = 20
"""Pieces of a stream."""


def _whole() -> bytes:
    message = {"role": "assistant", "content": "word " * TOKENS}
    body = json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": "mock",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {
                "prompt_tokens": 10,
                "completion_tokens": TOKENS,
                "total_tokens": 10 + TOKENS,
            },
        }
    ).encode()
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _chunk(delta: dict[str, str], finish: str | None) -> bytes:
    value = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "mock",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def _framed(piece: bytes) -> bytes:
    return f"{len(piece):x}\r\n".encode() + piece + b"\r\n"


WHOLE = _whole()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
PIECES = [
    HEAD,
    *(_framed(_chunk({"content": "word "}, None)) for _ in range(TOKENS)),
    _framed(_chunk({}, "stop")),
    _framed(b"data: [DONE]\n\n") + b"0\r\n\r\n",
]


class Model(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._read = b""

    def data_received(self, data: bytes) -> None:
        self._read += data
        while True:
            head, mark, rest = self._read.partition(b"\r\n\r\n")
            if not mark:
                return
            size = 0
            for line in head.split(b"\r\n"):
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    size = int(value)
            if len(rest) < size:
                return
            body, self._read = rest[:size], rest[size:]
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        streamed = b'"stream": true' in body or b'"stream":true' in body
        for piece in PIECES if streamed else (WHOLE,):
            self._transport.write(piece)  # type: ignore[attr-defined]


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Model, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve())
