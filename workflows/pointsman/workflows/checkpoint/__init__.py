"""A LangGraph checkpoint saver on plain Redis: 6.2 or later, no modules, also a Redis Cluster.

Publishable by itself: nothing else of ours is imported. What it promises:

- **A put is one act.** The checkpoint, the channel values it brings, the head, the lists and the time to
  live of the whole thread change in one script, or not at all. A put repeated after a lost reply changes
  nothing.
- **No update is lost to another writer** (`fenced=True`). A put is taken when its parent is the head, or when
  its writer read the thread since the head was put: `get_tuple` and `list` note in the config what they saw
  (`configurable["__seen"]`) and LangGraph carries it to the put. So time travel and forks work, but a config
  that was the head when it was read is refused with StaleCheckpoint once it is not, and so is a second
  beginning of a thread. A put that rests on a delta channel is refused when its parent took writes in that
  channel that the writer has not seen; late writes to a checkpoint that others went on from are refused.
  Two things are the caller's: a config that names no checkpoint means whatever the head is then, so a value
  computed from an earlier read goes back through the config that the read gave; and a run that was refused
  may have put some of its checkpoints before.
- **A stalled owner is refused everywhere.** `configurable["fence"]` is the integer epoch of the writer's
  ownership. A thread takes no put and no writes with a lower fence than the highest that a put, a write or a
  read has shown it. Writers without a fence are held to the head alone.
- **A read is of one moment**, and costs as much as its checkpoint, not as the thread.
- **A thread expires as one**, `keep_seconds` after its last put or writes; None keeps it.
- **A thread is two keys** and shares a hash tag with the list of threads it is in: every script stays in one
  slot. Only copying touches two threads, with a snapshot of the one and one act on the other. Listing and
  forgetting without a thread ask 256 such lists, and need no index that could lag behind.

A checkpoint without parent and without channels carries no update. On a thread that has a head it is stored
and listed, and the head stays (the published conformance suite begins threads so, more than once).
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import redis
import redis.asyncio
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from redis.exceptions import NoScriptError

from .errors import UNAVAILABLE, CorruptCheckpoint, StaleCheckpoint, ThreadExists
from .operations import Operations
from .scripts import Call, Steps

__all__ = [
    "UNAVAILABLE",
    "CorruptCheckpoint",
    "RedisSaver",
    "StaleCheckpoint",
    "ThreadExists",
]

KEEP_SECONDS = 7 * 24 * 3600

T = TypeVar("T")
Client: TypeAlias = redis.Redis | redis.RedisCluster
AsyncClient: TypeAlias = redis.asyncio.Redis | redis.asyncio.RedisCluster


class RedisSaver(Operations):
    """Checkpoints in Redis, for synchronous and asynchronous graphs; see the module for its promises.

    `client` serves the methods that begin with "a", `sync_client` the others; a method without its client
    raises ValueError. Neither may decode responses. `prefix` begins every key. With `fenced=False` the last
    writer wins.

    Every method raises ValueError for a config that names no thread, StaleCheckpoint where a writer is
    refused, CorruptCheckpoint where a part of a checkpoint is missing or unreadable, and what redis-py raises.
    """

    def __init__(
        self,
        client: AsyncClient | None = None,
        *,
        sync_client: Client | None = None,
        keep_seconds: int | None = KEEP_SECONDS,
        fenced: bool = True,
        prefix: str = "lg",
        serde: SerializerProtocol | None = None,
    ) -> None:
        super().__init__(keep_seconds=keep_seconds, fenced=fenced, prefix=prefix, serde=serde)
        for given in (client, sync_client):
            if given is not None and given.get_encoder().decode_responses:
                raise ValueError(
                    "the client decodes responses; make one with decode_responses=False"
                )
        self._client, self._sync_client = client, sync_client

    @classmethod
    def at(cls, url: str, *, cluster: bool = False, **options: Any) -> "RedisSaver":
        """With clients of its own for both kinds of methods; close them with `aclose` or `close`.

        `options` are those of the class. A cluster's nodes are looked up here, at the address given.
        """
        if cluster:
            return cls(
                redis.asyncio.RedisCluster.from_url(url),
                sync_client=redis.RedisCluster.from_url(url),
                **options,
            )
        return cls(
            redis.asyncio.Redis.from_url(url), sync_client=redis.Redis.from_url(url), **options
        )

    def close(self) -> None:
        """Closes the synchronous client."""
        if self._sync_client is not None:
            self._sync_client.close()

    async def aclose(self) -> None:
        """Closes both clients."""
        self.close()
        if self._client is not None:
            await self._client.aclose()

    # --- driving an operation -------------------------------------------------------------------

    def _run(self, steps: Steps[T]) -> T:
        reply: Any = None
        while True:
            try:
                asked = steps.send(reply)
            except StopIteration as end:
                result: T = end.value
                return result
            reply = self._ask(asked)

    async def _arun(self, steps: Steps[T]) -> T:
        reply: Any = None
        while True:
            try:
                asked = steps.send(reply)
            except StopIteration as end:
                result: T = end.value
                return result
            reply = await self._aask(asked)

    def _ask(self, asked: Call) -> Any:
        client: Any = self._sync_client
        if client is None:
            raise ValueError("this saver has no sync_client; use the method that begins with 'a'")
        given = (len(asked.keys), *asked.keys, *asked.arguments)
        try:
            return client.evalsha(asked.script.digest, *given)
        except NoScriptError:  # a new or restarted server
            return client.eval(asked.script.source, *given)

    async def _aask(self, asked: Call) -> Any:
        client: Any = self._client
        if client is None:
            raise ValueError("this saver has no client for asynchronous methods")
        before = _cancellations()
        given = (len(asked.keys), *asked.keys, *asked.arguments)
        try:
            reply = await client.evalsha(asked.script.digest, *given)
        except NoScriptError:
            reply = await client.eval(asked.script.source, *given)
        if _cancellations() > before:  # redis-py 8 loses one that comes while an answer is read
            raise asyncio.CancelledError
        return reply

    # --- synchronous ----------------------------------------------------------------------------

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Raises StaleCheckpoint when another writer was first or owns the thread; nothing is stored then."""
        return self._run(self._put(config, checkpoint, metadata, new_versions))

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """A task's first write of an index stays; errors and interrupts are replaced. Raises StaleCheckpoint."""
        self._run(self._put_writes(config, writes, task_id, task_path))

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint named, else the head. A fence higher than the thread has seen takes it over."""
        return self._run(self._get_tuple(config))

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Newest first; all threads without a config, all namespaces without a checkpoint_ns.

        Each checkpoint is read when it is its turn. Of all that are listed the addresses are held in memory,
        about 200 bytes each.
        """
        told = 0
        for place in self._run(self._places(config, before, None if filter else limit)):
            if limit is not None and told >= limit:
                return
            found = self._run(self._matching(place, filter))
            if found is not None:
                told += 1
                yield found

    def delete_thread(self, thread_id: str) -> None:
        """Also its fence. Nothing happens when there is none."""
        self._run(self._delete_thread(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """The checkpoints whose metadata has such a `run_id`, with their writes, in every thread.

        A head that goes is followed by the newest checkpoint left in its namespace. A delta channel whose
        history was in those runs loses it.
        """
        self._run(self._delete_for_runs(run_ids))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """All of it but the fence. Raises ThreadExists when the target has checkpoints."""
        self._run(self._copy_thread(source_thread_id, target_thread_id))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Leaves each namespace its head, and the ancestors that its delta channels are rebuilt from.

        The head goes on naming its parent, which may be gone. The strategy "delete" deletes the threads.
        """
        self._run(self._prune(thread_ids, strategy))

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """In one call, whatever the number of ancestors."""
        return self._run(self._history(config, channels))

    # --- asynchronous ---------------------------------------------------------------------------

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """See `put`."""
        return await self._arun(self._put(config, checkpoint, metadata, new_versions))

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """See `put_writes`."""
        await self._arun(self._put_writes(config, writes, task_id, task_path))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """See `get_tuple`."""
        return await self._arun(self._get_tuple(config))

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """See `list`."""
        told = 0
        for place in await self._arun(self._places(config, before, None if filter else limit)):
            if limit is not None and told >= limit:
                return
            found = await self._arun(self._matching(place, filter))
            if found is not None:
                told += 1
                yield found

    async def adelete_thread(self, thread_id: str) -> None:
        """See `delete_thread`."""
        await self._arun(self._delete_thread(thread_id))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """See `delete_for_runs`."""
        await self._arun(self._delete_for_runs(run_ids))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """See `copy_thread`."""
        await self._arun(self._copy_thread(source_thread_id, target_thread_id))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """See `prune`."""
        await self._arun(self._prune(thread_ids, strategy))

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """See `get_delta_channel_history`."""
        return await self._arun(self._history(config, channels))


def _cancellations() -> int:
    """How often the running task was cancelled and has not come back from it."""
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0
