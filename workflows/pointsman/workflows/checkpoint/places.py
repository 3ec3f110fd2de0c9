"""Where a checkpoint is: read from a config, and written into one."""

import secrets
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig

SEEN = "__seen"
"""In a config's `configurable`: namespace -> what its reader saw there. LangGraph carries it to the put."""
FENCE = "fence"
"""In a config's `configurable`: the epoch of the writer's ownership of the thread, an integer."""
FENCE_LIMIT = 2**53
TAGS = 256


class Seen(NamedTuple):
    """What a thread looked like when it was read: the head, how many writes it had, and by whom it was read."""

    head: str = ""
    writes: int = 0
    reader: str = ""

    @classmethod
    def now(cls, head: str, writes: int) -> "Seen":
        return cls(head, writes, secrets.token_hex(6))


UNSEEN = Seen()


@dataclass(frozen=True, slots=True)
class Place:
    """A checkpoint's address, with what its writer knows. `id` is "" where the config names none."""

    thread: str
    ns: str = ""
    id: str = ""
    fence: int | None = None
    seen: Seen = UNSEEN

    def to(self, id: str, seen: Seen | None = None) -> "Place":
        return replace(self, id=id, seen=self.seen if seen is None else seen)

    def config(self) -> RunnableConfig:
        """With the same fence, so that what follows from a read is held to it."""
        place: dict[str, Any] = {
            "thread_id": self.thread,
            "checkpoint_ns": self.ns,
            "checkpoint_id": self.id,
        }
        if self.seen.head:
            place[SEEN] = {self.ns: list(self.seen)}
        if self.fence is not None:
            place[FENCE] = self.fence
        return {"configurable": place}


def place_of(config: RunnableConfig | None) -> Place:
    """Raises ValueError when the config names no thread, or names it in a way that cannot be stored."""
    configurable = (config or {}).get("configurable") or {}
    thread = configurable.get("thread_id")
    if thread is None or thread == "":
        raise ValueError('the config names no thread; pass {"configurable": {"thread_id": "..."}}')
    ns = name(configurable.get("checkpoint_ns") or "", "checkpoint_ns")
    return Place(
        name(str(thread), "thread_id"),
        ns,
        name(configurable.get("checkpoint_id") or "", "checkpoint_id"),
        _fence(configurable.get(FENCE)),
        _seen(configurable.get(SEEN), ns),
    )


def name(text: object, what: str) -> str:
    """Raises ValueError for what cannot be part of a key: NUL separates the parts."""
    if not isinstance(text, str) or "\0" in text:
        raise ValueError(f"{what} must be text without NUL, not {text!r}")
    return text


def _fence(fence: object) -> int | None:
    if fence is None:
        return None
    if not isinstance(fence, int) or isinstance(fence, bool) or not 0 <= fence < FENCE_LIMIT:
        raise ValueError(f"{FENCE} must be an integer from 0 to 2**53 - 1, not {fence!r}")
    return fence


def _seen(seen: object, ns: str) -> Seen:
    """Of this namespace only: a subgraph's config inherits that of its parent."""
    if not isinstance(seen, Mapping) or ns not in seen:
        return UNSEEN
    head, writes, reader = seen[ns]
    return Seen(str(head), int(writes), str(reader))


class Keys:
    """Names of keys. What belongs to a thread shares a hash tag with the list of threads that it is in, so
    that a script may change both on a Redis Cluster. There are 256 tags; they spread over its nodes."""

    def __init__(self, prefix: str) -> None:
        if not prefix or "{" in prefix or "\0" in prefix:
            raise ValueError(f"a prefix is text without a brace or NUL, not {prefix!r}")
        self._prefix = prefix

    def thread(self, thread: str) -> list[str]:
        tagged = self._tagged(zlib.crc32(thread.encode()) % TAGS)
        return [f"{tagged}:{thread}:rows", f"{tagged}:{thread}:order", f"{tagged}/threads"]

    def lists(self) -> Iterator[str]:
        """Of threads, one of each tag."""
        return (f"{self._tagged(tag)}/threads" for tag in range(TAGS))

    def _tagged(self, tag: int) -> str:
        return f"{self._prefix}:{{{tag:02x}}}"
