"""Experts in memory: the least recently used make room, and a new version is seen at the next request."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

from pointsman.experts.models.registry.folder import ExpertFolder, Registered

ROOM = 64


@dataclass(slots=True)
class ShelfCounts:
    """hits: found in memory; misses: read from the disk; dropped: to make room, or because they had changed."""

    hits: int = 0
    misses: int = 0
    dropped: int = 0


class Shelf:
    """For one event loop. An expert that is being read while it is dropped is finished with as it was.

    room: experts in memory at most (those still being read come on top).
    """

    def __init__(self, folder: ExpertFolder, *, room: int = ROOM) -> None:
        self.counts = ShelfCounts()
        self._folder = folder
        self._room = room
        self._held: OrderedDict[str, tuple[tuple[int, int], Registered]] = OrderedDict()
        self._loading: dict[tuple[str, tuple[int, int]], asyncio.Task[Registered]] = {}

    def __len__(self) -> int:
        return len(self._held)

    async def get(self, name: str) -> Registered:
        """The version that serves now. Raises BadExpert when there is none of the name, or it is not sound."""
        mark = self._folder.mark(name)
        found = self._held.get(name)
        if found is not None and found[0] == mark:
            self._held.move_to_end(name)
            self.counts.hits += 1
            return found[1]
        self.counts.misses += 1
        loading = self._loading.get((name, mark))
        if loading is None:
            loading = asyncio.create_task(self._load(name, mark))
            self._loading[name, mark] = loading
            loading.add_done_callback(lambda _: self._loading.pop((name, mark), None))
        return await asyncio.shield(loading)

    def drop(self, name: str) -> None:
        """Out of memory, whether it is there or not."""
        if self._held.pop(name, None) is not None:
            self.counts.dropped += 1

    async def _load(self, name: str, mark: tuple[int, int]) -> Registered:
        """What changes while it is read has a newer mark, and is read again at the next request."""
        try:
            made = await asyncio.to_thread(self._folder.open, name)
        except BaseException:
            self.drop(name)
            raise
        self._held[name] = (mark, made)
        self._held.move_to_end(name)
        while len(self._held) > self._room:
            self._held.popitem(last=False)
            self.counts.dropped += 1
        return made
