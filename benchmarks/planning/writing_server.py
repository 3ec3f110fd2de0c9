"""An OpenAI-compatible server that writes one scripted answer at a given pace, in a thread of its own.

It notes when the piece with a certain character of the answer left (seconds of time.monotonic).
"""

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
PIECE = 4
"""Characters of one piece: about a token."""


@dataclass(slots=True)
class Writer:
    """text: the answer, written in `seconds` from its first piece to its last. mark: the character that is noted."""

    text: str = ""
    mark: int = 0
    seconds: float = 2.0
    url: str = ""
    sent: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request: whatever is asked, the answer is written."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = next(
            int(line.partition(":")[2])
            for line in head.split("\r\n")
            if line.startswith("content-length")
        )
        await reader.readexactly(length)
        try:
            await self._write(writer)
        except ConnectionError:
            return
        finally:
            writer.close()

    async def _write(self, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        starts = range(0, len(self.text), PIECE)
        pause = self.seconds / max(1, len(starts) - 1)
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number, start in enumerate(starts):
            await asyncio.sleep(max(0.0, began + number * pause - loop.time()))
            piece = self.text[start : start + PIECE]
            writer.write(_event({"content": piece}, None))
            await writer.drain()
            if start <= self.mark < start + PIECE:
                self.sent.append(loop.time())
        self.ended.append(loop.time())
        writer.write(_event({}, "stop") + b"data: [DONE]\n\n")
        await writer.drain()


def _event(delta: dict[str, str], finish: str | None) -> bytes:
    chunk = {
        "id": "chat",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "scripted",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


@contextlib.contextmanager
def writing() -> Iterator[Writer]:
    """The server, on a port of its own."""
    started, stop = threading.Event(), asyncio.Event()
    made = Writer()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
        made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        started.set()
        await stop.wait()
        server.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    if not started.wait(10):
        raise RuntimeError("the server did not start")
    try:
        yield made
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join(10)
