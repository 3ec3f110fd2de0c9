"""The outside world: a small HTTP server that does what tools ask of it, and keeps the books.

It is never killed, but it is not reliable: it is slow at times, refuses at times, and at times does what it
was asked and then drops the connection without a word, so that the caller cannot know.

POST /call         {"capability", "run", "task", "attempt", "key", "number", "inputs"} -> {"value"}
POST /look         {"run", "task"} -> {"applied", "value"}
POST /question     {"run", "task", "attempt"} -> the same; what was not applied is called off for that attempt
                   and those before it, so that the answer stays true
GET  /books        everything that was applied, and how often it was asked for
"""

import asyncio
import json
import random
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.crash.plans import worth

REFUSED, UNANSWERED, LATE, SLOW = 0.03, 0.03, 0.05, 0.08
"""Shares of the calls."""
KEYED, ONCE = ("crash.keyed",), ("crash.once", "crash.charge")

Reply = tuple[int, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Application:
    """An effect that took place."""

    run: str
    task: str
    capability: str
    attempt: int
    key: str
    value: int


@dataclass(slots=True)
class Books:
    """barred: task -> newest attempt that is refused from now on. unanswered: connections dropped."""

    applied: list[Application] = field(default_factory=list)
    by_key: dict[str, Application] = field(default_factory=dict)
    by_task: dict[tuple[str, str], Application] = field(default_factory=dict)
    arrivals: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    barred: dict[tuple[str, str], int] = field(default_factory=dict)

    def apply(self, call: dict[str, Any]) -> Reply:
        """Does what is asked; a key that is known gives what it gave."""
        capability, run, task = call["capability"], call["run"], call["task"]
        self.arrivals[capability] += 1
        value = worth(capability, call["number"], call["inputs"])
        if capability in KEYED and call["key"] in self.by_key:
            return 200, {"value": self.by_key[call["key"]].value}
        if capability in ONCE and call["attempt"] <= self.barred.get((run, task), 0):
            return 409, {"error": "this attempt was called off"}
        if capability in KEYED + ONCE:
            one = Application(run, task, capability, call["attempt"], call["key"], value)
            self.applied.append(one)
            self.by_key[one.key] = self.by_task[run, task] = one
        return 200, {"value": value}

    def look(self, asked: dict[str, Any]) -> Reply:
        found = self.by_task.get((asked["run"], asked["task"]))
        value = found.value if found is not None else None
        return 200, {"applied": found is not None, "value": value}

    def question(self, asked: dict[str, Any]) -> Reply:
        one = (asked["run"], asked["task"])
        if one not in self.by_task:
            self.barred[one] = max(asked["attempt"], self.barred.get(one, 0))
        return self.look(asked)

    def to_json(self) -> dict[str, Any]:
        return {
            "applied": [asdict(a) for a in self.applied],
            "arrivals": dict(self.arrivals),
            "unanswered": self.unanswered,
        }


class Recorder:
    def __init__(self, seed: int) -> None:
        self.books = Books()
        self._rng = random.Random(seed)

    async def serve(self, port: int) -> None:
        server = await asyncio.start_server(self._connection, "127.0.0.1", port)
        async with server:
            await server.serve_forever()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                reply = await self._answer(*await _request(reader))
                if reply is None:
                    self.books.unanswered += 1
                    return
                status, value = reply
                body = json.dumps(value).encode()
                head = f"HTTP/1.1 {status} .\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # the caller has gone, or was killed
        finally:
            writer.close()

    async def _answer(self, path: str, value: dict[str, Any]) -> Reply | None:
        """None: the connection is dropped without an answer."""
        match path:
            case "/call":
                return await self._call(value)
            case "/look":
                return self.books.look(value)
            case "/question":
                return self.books.question(value)
            case "/books":
                return 200, self.books.to_json()
            case _:
                return 404, {}

    async def _call(self, call: dict[str, Any]) -> Reply | None:
        rng = self._rng
        await asyncio.sleep(
            rng.uniform(1, 3) if rng.random() < SLOW else rng.lognormvariate(-3, 0.7)
        )
        if rng.random() < REFUSED:
            return 500, {"error": "not now"}
        reply = self.books.apply(call)
        luck = rng.random()
        if luck < UNANSWERED:
            return None
        if luck < UNANSWERED + LATE:
            await asyncio.sleep(rng.uniform(0.3, 2))
        return reply


async def _request(reader: asyncio.StreamReader) -> tuple[str, dict[str, Any]]:
    """(path, JSON of the body). Raises IncompleteReadError at the end of the connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
    body = await reader.readexactly(int(fields.get("content-length", "0")))
    return head[0].split(" ")[1], json.loads(body) if body else {}
