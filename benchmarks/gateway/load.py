"""Requests on kept connections, in as little Python as can be, so that the one that asks is not what is measured."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Told:
    """Seconds of each request, and how long all took."""

    seconds: list[float] = field(default_factory=list)
    errors: int = 0
    took: float = 0.0

    @property
    def rate(self) -> float:
        return len(self.seconds) / self.took if self.took else 0.0

    def quantile(self, share: float) -> float:
        """Milliseconds."""
        found = sorted(self.seconds)
        return found[min(len(found) - 1, int(share * len(found)))] * 1e3 if found else float("nan")


class Asker(asyncio.Protocol):
    """One connection; `ask` answers with the status when the whole answer is there."""

    def __init__(self) -> None:
        self._read = bytearray()
        self._waiting: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def ask(self, request: bytes) -> "asyncio.Future[int]":
        self._read.clear()
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)  # type: ignore[attr-defined]
        return self._waiting

    def data_received(self, data: bytes) -> None:
        self._read += data
        if self._waiting is not None and not self._waiting.done() and self._whole():
            self._waiting.set_result(int(self._read[9:12]))

    def _whole(self) -> bool:
        end = self._read.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self._read[:end]).lower()
        if b"transfer-encoding: chunked" in head:
            return self._read.endswith(b"0\r\n\r\n")
        at = head.find(b"content-length:")
        size = int(head[at + 15 :].split(b"\r\n")[0]) if at >= 0 else 0
        return len(self._read) >= end + 4 + size

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionError("the connection was closed"))


def post(port: int, path: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer none\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def flood(port: int, request: bytes, *, connections: int, seconds: float) -> Told:
    """As many as come through."""
    told, askers = Told(), await _connected(port, connections)
    until = time.perf_counter() + seconds

    async def one(asker: Asker) -> None:
        while (began := time.perf_counter()) < until:
            status = await asker.ask(request)
            told.seconds.append(time.perf_counter() - began)
            told.errors += status != 200

    began = time.perf_counter()
    await asyncio.gather(*(one(a) for a in askers))
    told.took = time.perf_counter() - began
    return told


async def paced(port: int, request: bytes, *, rate: float, seconds: float) -> Told:
    """So many a second, each sent when it is due, whatever became of those before."""
    told, free = Told(), await _connected(port, 32)
    tasks: list[asyncio.Task[None]] = []

    async def one(asker: Asker, due: float) -> None:
        status = await asker.ask(request)
        told.seconds.append(time.perf_counter() - due)
        told.errors += status != 200
        free.append(asker)

    began = time.perf_counter()
    for number in range(int(rate * seconds)):
        due = began + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        if free:
            tasks.append(asyncio.create_task(one(free.pop(), time.perf_counter())))
        else:
            told.errors += 1
    await asyncio.gather(*tasks)
    told.took = time.perf_counter() - began
    return told


async def _connected(port: int, count: int) -> list[Asker]:
    loop = asyncio.get_running_loop()
    made: Sequence[tuple[asyncio.BaseTransport, Asker]] = [
        await loop.create_connection(Asker, "127.0.0.1", port) for _ in range(count)
    ]
    return [asker for _, asker in made]
