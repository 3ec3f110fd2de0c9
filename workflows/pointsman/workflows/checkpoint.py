"""A LangGraph checkpoint saver on plain Redis (6.2 or later, no modules).

One script per put: the checkpoint, its channel blobs, the head and the time to live of the whole thread
change together or not at all. The head is compared and set: a writer whose parent is no longer the head
is refused, so two controllers that both believe they own a run cannot interleave. Publishable by itself:
nothing of ours is imported.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import redis.asyncio
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
    get_checkpoint_metadata,
)

KEEP_SECONDS = 7 * 24 * 3600

PUT = """
local head = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if ARGV[7] == '1' and head ~= ARGV[3] then return {'stale', head} end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[2], ARGV[1] .. '|' .. ARGV[2], ARGV[4])
redis.call('HSET', KEYS[5], ARGV[1] .. '|' .. ARGV[2], ARGV[5])
redis.call('HSET', KEYS[6], ARGV[1] .. '|' .. ARGV[2], ARGV[3])
for i = 8, #ARGV, 2 do redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1]) end
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[6]) end
return {'ok', ARGV[2]}
"""
WRITES = """
for i = 3, #ARGV, 3 do
  if ARGV[i + 2] == '1' then redis.call('HSET', KEYS[4], ARGV[i], ARGV[i + 1])
  else redis.call('HSETNX', KEYS[4], ARGV[i], ARGV[i + 1]) end
end
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[2]) end
return {'ok'}
"""


class StaleCheckpoint(RuntimeError):
    """Another writer has moved the thread on since this one read it."""

    def __init__(self, thread: str, parent: str, head: str) -> None:
        self.thread, self.parent, self.head = thread, parent, head
        super().__init__(
            f"thread {thread!r} is at checkpoint {head!r}, not {parent!r}: another writer went on"
        )


class RedisSaver(BaseCheckpointSaver[int]):
    """Asynchronous saver. `fenced`: refuse a put whose parent is not the head (no time travel then).

    `client` must not decode responses. Raises StaleCheckpoint, and what redis-py raises.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        *,
        keep_seconds: int = KEEP_SECONDS,
        fenced: bool = True,
        prefix: str = "lg",
    ) -> None:
        super().__init__()
        self._client = client
        self._keep = keep_seconds
        self._fenced = fenced
        self._prefix = prefix
        self._put: Any = client.register_script(PUT)
        self._writes: Any = client.register_script(WRITES)

    @classmethod
    def at(cls, url: str, **options: Any) -> "RedisSaver":
        """A saver with a client of its own; close it with `aclose`."""
        return cls(redis.asyncio.Redis.from_url(url), **options)

    async def aclose(self) -> None:
        await self._client.aclose()

    def _keys(self, thread: str) -> list[str]:
        parts = ("head", "checkpoints", "blobs", "writes", "metadata", "parents")
        return [f"{self._prefix}:{{{thread}}}:{part}" for part in parts]

    def _pack(self, value: Any) -> bytes:
        kind, content = self.serde.dumps_typed(value)
        return kind.encode() + b"\0" + content

    def _unpack(self, packed: bytes) -> Any:
        kind, _, content = packed.partition(b"\0")
        return self.serde.loads_typed((kind.decode(), content))

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        thread, ns = _place(config)
        parent = get_checkpoint_id(config) or ""
        kept = cast("dict[str, Any]", checkpoint.copy())
        values = kept.pop("channel_values")
        blobs: list[str | bytes] = []
        for channel, version in new_versions.items():
            blobs.append(f"{ns}|{channel}|{version}")
            blobs.append(self._pack(values[channel]) if channel in values else b"")
        found = await self._put(
            keys=self._keys(thread),
            args=[
                ns,
                checkpoint["id"],
                parent,
                self._pack(kept),
                self._pack(get_checkpoint_metadata(config, metadata)),
                self._keep,
                int(self._fenced),
                *blobs,
            ],
        )
        if found[0] == b"stale":
            raise StaleCheckpoint(thread, parent, found[1].decode())
        return _config(thread, ns, checkpoint["id"])

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        thread, ns = _place(config)
        checkpoint = get_checkpoint_id(config) or ""
        arguments: list[str | bytes | int] = [ns, self._keep]
        for position, (channel, value) in enumerate(writes):
            index = WRITES_IDX_MAP.get(channel, position)
            field = f"{ns}|{checkpoint}|{task_id}|{index}"
            arguments += [
                field,
                self._pack([task_id, channel, value, task_path]),
                int(channel in WRITES_IDX_MAP),
            ]
        await self._writes(keys=self._keys(thread), args=arguments)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        thread, ns = _place(config)
        id = get_checkpoint_id(config)
        if id is None:
            head: Any = await self._client.hget(self._keys(thread)[0], ns)
            if head is None:
                return None
            id = head.decode()
        return await self._load(thread, ns, id)

    async def _load(self, thread: str, ns: str, id: str) -> CheckpointTuple | None:
        _, checkpoints, blobs, writes, metadata, parents = self._keys(thread)
        field = f"{ns}|{id}"
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.hget(checkpoints, field)
            pipe.hget(metadata, field)
            pipe.hget(parents, field)
            pipe.hgetall(writes)
            packed, meta, parent, all_writes = await pipe.execute()
        if packed is None:
            return None
        checkpoint: Checkpoint = self._unpack(packed)
        versions = checkpoint["channel_versions"]
        values: dict[str, Any] = {}
        if versions:
            fields = [f"{ns}|{channel}|{version}" for channel, version in versions.items()]
            found: Any = await self._client.hmget(blobs, fields)
            values = {c: self._unpack(b) for c, b in zip(versions, found, strict=True) if b}
        mine = f"{field}|".encode()
        pending = [
            (_write_order(name), self._unpack(value))
            for name, value in all_writes.items()
            if name.startswith(mine)
        ]
        return CheckpointTuple(
            config=_config(thread, ns, id),
            checkpoint={**checkpoint, "channel_values": values},
            metadata=self._unpack(meta),
            parent_config=_config(thread, ns, parent.decode()) if parent else None,
            pending_writes=[(w[0], w[1], w[2]) for _, w in sorted(pending, key=lambda p: p[0])],
        )

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Newest first, of one thread. Raises ValueError without a thread."""
        if config is None:
            raise ValueError("listing needs a config with a thread_id")
        thread, ns = _place(config)
        fields: Any = await self._client.hkeys(self._keys(thread)[1])
        ids = sorted(
            (f.decode().rpartition("|")[2] for f in fields if f.decode().rpartition("|")[0] == ns),
            reverse=True,
        )
        end = get_checkpoint_id(before) if before else None
        told = 0
        for id in ids:
            if (end is not None and id >= end) or (limit is not None and told >= limit):
                continue
            found = await self._load(thread, ns, id)
            if found is None or any(found.metadata.get(k) != v for k, v in (filter or {}).items()):
                continue
            told += 1
            yield found

    async def adelete_thread(self, thread_id: str) -> None:
        await self._client.delete(*self._keys(thread_id))

    def get_next_version(self, current: int | None, channel: None) -> int:
        return 1 if current is None else current + 1


def _place(config: RunnableConfig) -> tuple[str, str]:
    configurable = config.get("configurable", {})
    return str(configurable["thread_id"]), str(configurable.get("checkpoint_ns", ""))


def _config(thread: str, ns: str, id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread, "checkpoint_ns": ns, "checkpoint_id": id}}


def _write_order(field: bytes) -> tuple[str, int]:
    _, task, index = field.decode().rsplit("|", 2)
    return task, int(index)
