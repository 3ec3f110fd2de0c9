"""What the saver raises beside ValueError (a call that makes no sense) and the errors of redis-py."""

from redis.exceptions import (
    ClusterError,
    ConnectionError,
    ReadOnlyError,
    RedisClusterException,
    TimeoutError,
    TryAgainError,
)

UNAVAILABLE: tuple[type[Exception], ...] = (
    ConnectionError,
    TimeoutError,
    ReadOnlyError,
    ClusterError,
    RedisClusterException,
    TryAgainError,
)
"""What every method raises when Redis, or a part of a cluster, does not answer: the call may be made again."""


class StaleCheckpoint(RuntimeError):
    """Another writer has moved the thread on, or owns it: what this one writes is refused.

    `parent` is the checkpoint this writer stood on and `head` the one the thread is at ("" for none). When a
    fence refused it, `fence` is the writer's own and `highest` the highest that the thread has seen.
    """

    def __init__(
        self,
        thread: str,
        parent: str,
        head: str,
        *,
        fence: int | None = None,
        highest: int | None = None,
    ) -> None:
        self.thread, self.parent, self.head = thread, parent, head
        self.fence, self.highest = fence, highest
        super().__init__(self._told())

    def _told(self) -> str:
        if self.highest is not None:
            return (
                f"thread {self.thread!r} is owned under fence {self.highest}, this writer holds "
                f"{self.fence}: another owner took over; stop"
            )
        if self.head == self.parent:
            return (
                f"another writer has written to checkpoint {self.head!r} of thread {self.thread!r} "
                "since this one read it; read it again"
            )
        where = f"at checkpoint {self.head!r}" if self.head else "empty, deleted or expired"
        return (
            f"thread {self.thread!r} is {where}, this writer went on from {self.parent or 'nothing'!r}: "
            "another writer was first; read the thread again"
        )


class CorruptCheckpoint(RuntimeError):
    """A stored checkpoint lacks a part of it, or a part cannot be read."""

    def __init__(self, thread: str, checkpoint: str, part: str, why: str) -> None:
        self.thread, self.checkpoint, self.part, self.why = thread, checkpoint, part, why
        super().__init__(
            f"checkpoint {checkpoint!r} of thread {thread!r}: {part} {why}; go on from an older one "
            "or delete the thread"
        )


class ThreadExists(RuntimeError):
    """A thread is copied only to a thread without checkpoints."""

    def __init__(self, thread: str) -> None:
        self.thread = thread
        super().__init__(f"thread {thread!r} has checkpoints; delete it first or copy to another")
