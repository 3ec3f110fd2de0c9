"""What a saver does, without input and output: each operation is a generator of calls (see scripts.Steps).

The synchronous and the asynchronous methods of the saver drive the same generators.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    PendingWrite,
    get_checkpoint_metadata,
    writes_sort_key,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from .errors import CorruptCheckpoint, StaleCheckpoint, ThreadExists
from .places import Keys, Place, Seen, name, place_of
from .scripts import Steps, call

THREADS_AT_ONCE = 500
UNREADABLE = (ValueError, TypeError, LookupError, EOFError, NotImplementedError)
"""What a serializer raises at bytes that it did not write."""


class Operations(BaseCheckpointSaver[str]):
    """Everything but the clients. Versions of a channel are unique also between branches of a thread."""

    def __init__(
        self,
        *,
        keep_seconds: int | None,
        fenced: bool,
        prefix: str,
        serde: SerializerProtocol | None,
    ) -> None:
        super().__init__(serde=serde)
        if keep_seconds is not None and keep_seconds < 1:
            raise ValueError(
                f"keep_seconds must be 1 or more, or None for ever, not {keep_seconds}"
            )
        self._keep = keep_seconds or 0
        self._fenced = fenced
        self._keys = Keys(prefix)

    def get_next_version(self, current: str | int | None, channel: None) -> str:
        """The number before the dot counts; what follows it keeps two branches from sharing a version."""
        count = 0 if current is None else int(str(current).partition(".")[0])
        return f"{count + 1:010}.{secrets.token_urlsafe(4)}"

    # --- values ---------------------------------------------------------------------------------

    def _pack(self, value: Any) -> bytes:
        kind, content = self.serde.dumps_typed(value)
        return kind.encode() + b"\0" + content

    def _unpack(self, packed: bytes | None, place: Place, part: str) -> Any:
        if packed is None:
            raise CorruptCheckpoint(place.thread, place.id, part, "is missing")
        kind, _, content = packed.partition(b"\0")
        try:
            return self.serde.loads_typed((kind.decode(), content))
        except UNREADABLE as error:
            raise CorruptCheckpoint(
                place.thread, place.id, part, f"cannot be read ({error})"
            ) from error

    def _header(self, place: Place, **more: Any) -> dict[str, Any]:
        return {
            "thread": place.thread,
            "ns": place.ns,
            "id": place.id,
            "fence": "" if place.fence is None else str(place.fence),
            "keep": self._keep,
            **more,
        }

    def _writer(self, place: Place) -> dict[str, Any]:
        head, writes, reader = place.seen
        return {"fenced": self._fenced, "seen": head, "seen_writes": writes, "reader": reader}

    # --- put ------------------------------------------------------------------------------------

    def _put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Steps[RunnableConfig]:
        parent = place_of(config)
        place = parent.to(name(checkpoint["id"], "the checkpoint's id"))
        kept = cast("dict[str, Any]", checkpoint.copy())
        values: dict[str, Any] = kept.pop("channel_values")
        versions = checkpoint["channel_versions"]
        told = get_checkpoint_metadata(config, metadata)
        run = told.get("run_id")
        header = self._header(
            place,
            parent=parent.id,
            run=name(run, "run_id") if isinstance(run, str) else "",
            versions=[[name(c, "a channel"), str(v)] for c, v in versions.items()],
            valued=[c for c in values if c in versions],
            open=_open_channels(told, versions, values),
            **self._writer(place),
        )
        keys = self._keys.thread(place.thread)
        bodies = (self._pack(kept), self._pack(told))
        brought = {c: v for c, v in new_versions.items() if c in values}
        while True:
            reply = yield call("put", keys, header, *bodies, *self._brought(brought, values))
            if reply[0] != b"missing":
                break
            brought |= {c.decode(): versions[c.decode()] for c in reply[1]}
        self._accepted(parent, reply)
        return place.to(place.id, Seen(place.id, reply[1], place.seen.reader)).config()

    def _brought(
        self, versions: ChannelVersions, values: Mapping[str, Any]
    ) -> Iterable[str | bytes]:
        for channel, version in versions.items():
            yield from (channel, str(version), self._pack(values[channel]))

    def _accepted(self, place: Place, reply: Sequence[Any]) -> None:
        """Raises StaleCheckpoint when the script refused."""
        word = reply[0]
        if word == b"fence":
            raise StaleCheckpoint(
                place.thread, place.id, "", fence=place.fence, highest=int(reply[1])
            )
        if word in (b"stale", b"writes"):
            raise StaleCheckpoint(place.thread, place.id, reply[1].decode())

    def _put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str,
    ) -> Steps[None]:
        place = place_of(config)
        if not place.id:
            raise ValueError("writes belong to a checkpoint; the config has no checkpoint_id")
        header = self._header(
            place,
            task=name(task_id, "task_id"),
            path=name(task_path, "task_path"),
            writes=[
                [WRITES_IDX_MAP.get(channel, index), name(channel, "a channel")]
                for index, (channel, _) in enumerate(writes)
            ],
            **self._writer(place),
        )
        packed = [self._pack(value) for _, value in writes]
        reply = yield call("write", self._keys.thread(place.thread), header, *packed)
        self._accepted(place, reply)

    # --- get ------------------------------------------------------------------------------------

    def _get_tuple(self, config: RunnableConfig) -> Steps[CheckpointTuple | None]:
        return (yield from self._load(place_of(config)))

    def _load(self, place: Place) -> Steps[CheckpointTuple | None]:
        reply = yield call("load", self._keys.thread(place.thread), self._header(place))
        if reply[0] == b"none":
            return None
        if reply[0] == b"broken":
            raise CorruptCheckpoint(place.thread, _text(reply[1]), "its row", "cannot be read")
        id, head, count, body, metadata, parent, values, writes = reply[1:]
        seen = place.seen
        if not place.id or seen.head != place.id:
            seen = Seen.now(
                head.decode(), count
            )  # else the caller read it as the head, and says so
        here = place.to(id.decode(), seen)
        loaded: Checkpoint = self._unpack(body, here, "the checkpoint itself")
        return CheckpointTuple(
            config=here.config(),
            checkpoint={**loaded, "channel_values": self._values(here, values)},
            metadata=self._unpack(metadata, here, "its metadata"),
            parent_config=here.to(parent.decode()).config() if parent else None,
            pending_writes=self._writes(here, writes),
        )

    def _values(self, place: Place, stored: Sequence[tuple[bytes, bytes | None]]) -> dict[str, Any]:
        return {
            _text(channel): self._unpack(value, place, f"the value of channel {_text(channel)!r}")
            for channel, value in stored
        }

    def _writes(self, place: Place, stored: Sequence[Sequence[Any]]) -> list[PendingWrite]:
        """In the order in which LangGraph applies them."""
        found: list[tuple[tuple[str, str, int], PendingWrite]] = []
        for task, *write in stored:
            part = f"a write of task {_text(task)!r}"
            if not write:
                raise CorruptCheckpoint(place.thread, place.id, part, "cannot be read")
            index, channel, path, packed = write
            value = self._unpack(packed, place, part)
            order = writes_sort_key(_text(path), _text(task), index)
            found.append((order, (_text(task), _text(channel), value)))
        return [write for _, write in sorted(found, key=lambda pair: pair[0])]

    # --- list -----------------------------------------------------------------------------------

    def _places(
        self, config: RunnableConfig | None, before: RunnableConfig | None, limit: int | None
    ) -> Steps[list[Place]]:
        """Newest first; of every thread when the config is None. More than `limit` may come."""
        end = ((before or {}).get("configurable") or {}).get("checkpoint_id") or ""
        if config is not None:
            only = place_of(config)
            ns = config.get("configurable", {}).get("checkpoint_ns")
            found = yield from self._places_in(only, ns, end, -1 if limit is None else limit)
            found = [place for place in found if only.id in ("", place.id)]
        else:
            found = []
            for threads in self._keys.lists():
                for thread in (yield from self._threads(threads)):
                    found += yield from self._places_in(Place(thread), None, end, -1)
        return sorted(found, key=lambda place: place.id, reverse=True)

    def _places_in(
        self, thread: Place, ns: str | None, before: str, limit: int
    ) -> Steps[list[Place]]:
        """In all namespaces, or in order in one; only there the server heeds the limit."""
        if thread.id:
            limit = -1
        header: dict[str, Any] = {"before": before, "limit": limit}
        if ns is not None:
            header["ns"] = ns
        found = yield call("places", self._keys.thread(thread.thread), header)
        places = (_text(at).partition("\0") for at in found)
        return [
            Place(thread.thread, space, id, thread.fence)
            for space, _, id in places
            if not before or id < before
        ]

    def _threads(self, threads: str) -> Steps[list[str]]:
        """Those in one of the lists."""
        return [_text(thread) for thread in (yield call("threads", [threads], {}))]

    def _matching(
        self, place: Place, filter: Mapping[str, Any] | None
    ) -> Steps[CheckpointTuple | None]:
        """The checkpoint, unless it is gone meanwhile or its metadata differs from the filter."""
        if filter:
            header = {"ns": place.ns, "id": place.id}
            packed = yield call("metadata", self._keys.thread(place.thread), header)
            if packed is None:
                return None
            metadata = self._unpack(packed, place, "its metadata")
            if any(metadata.get(key) != value for key, value in filter.items()):
                return None
        return (yield from self._load(place))

    def _history(
        self, config: RunnableConfig, channels: Sequence[str]
    ) -> Steps[Mapping[str, DeltaChannelHistory]]:
        """One call, whatever the number of ancestors."""
        place = place_of(config)
        wanted = list(dict.fromkeys(channels))
        found: dict[str, DeltaChannelHistory] = {channel: {"writes": []} for channel in wanted}
        if not wanted:
            return found
        header = self._header(place, channels=wanted)
        ancestors = yield call("history", self._keys.thread(place.thread), header)
        for values, writes in reversed(ancestors):
            for channel, value in self._values(place, values).items():
                found[channel]["seed"] = value
            for write in self._writes(place, writes):
                found[write[1]]["writes"].append(write)
        return found

    # --- delete, prune, copy --------------------------------------------------------------------

    def _delete_thread(self, thread: str) -> Steps[None]:
        place = Place(_thread(thread))
        yield call("delete", self._keys.thread(place.thread), {"thread": place.thread})

    def _delete_for_runs(self, run_ids: Sequence[str]) -> Steps[None]:
        """Asks every list of threads, then its threads in one call, then those that have such a run."""
        header = {"runs": [name(run, "a run id") for run in dict.fromkeys(run_ids)]}
        for threads in self._keys.lists() if run_ids else ():
            listed = yield from self._threads(threads)
            for start in range(0, len(listed), THREADS_AT_ONCE):
                some = [self._keys.thread(t) for t in listed[start : start + THREADS_AT_ONCE]]
                for index in (yield call("with_runs", [rows for rows, _, _ in some], header)):
                    thread = listed[start + index]
                    yield call("forget", some[index], {"thread": thread, **header})

    def _prune(self, thread_ids: Sequence[str], strategy: str) -> Steps[None]:
        script = {"keep_latest": "prune", "delete": "delete"}.get(strategy)
        if script is None:
            raise ValueError(f'a strategy is "keep_latest" or "delete", not {strategy!r}')
        for thread in [_thread(id) for id in thread_ids]:
            yield call(script, self._keys.thread(thread), {"thread": thread})

    def _copy_thread(self, source: str, target: str) -> Steps[None]:
        """Two calls, since the threads may live on two nodes: a snapshot, then all of it at once."""
        source, target = _thread(source), _thread(target)
        rows, order = yield call("copy_out", self._keys.thread(source), {})
        if rows is None or order is None:
            return
        header = self._header(Place(target))
        copied = yield call("copy_in", self._keys.thread(target), header, rows, order)
        if copied[0] == b"exists":
            raise ThreadExists(target)


def _open_channels(
    metadata: CheckpointMetadata, versions: ChannelVersions, values: Mapping[str, Any]
) -> list[str]:
    """Delta channels without a value here: what they hold is rebuilt from the ancestors' writes."""
    counted = metadata.get("counters_since_delta_snapshot") or {}
    return [channel for channel in counted if channel in versions and channel not in values]


def _thread(thread: object) -> str:
    if thread is None or thread == "":
        raise ValueError("a thread's id must not be empty")
    return name(str(thread), "thread_id")


def _text(raw: bytes) -> str:
    return raw.decode()
