"""The index of capabilities: searched by meaning and by words, changed while it is searched, kept on disk.

A frozen part on disk (frozen.py) and a recent one in memory (recent.py). A change is written to the log, then to the
recent part, then a new state is published (live.py); a search takes the state that is there when it begins, so it
sees every change wholly or not at all and never waits. When the recent part is long, `fold` writes both as a new
generation beside the searches (store.py says why a crash does no harm).
"""

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from pointsman.router.search.entries import Entry, Filter, Found, Vectors
from pointsman.router.search.fusion import DEPTH, fused
from pointsman.router.search.live import (
    Live,
    State,
    drop_record,
    item_of,
    mark_record,
    put_record,
)
from pointsman.router.search.store import Folder, Log, read_log
from pointsman.router.search.vectors import Floats, Slots, coded, greatest
from pointsman.router.search.words import Asked, best, rarity, scores, terms
from pointsman.router.search.writing import Writing

RECENT_MOST = 8_192
"""Capabilities in the recent part, or gone from the frozen one, at which a fold is due."""
OPEN_TO_ALL = Filter()


class CapabilityIndex:
    """One for a folder. Searches come from any thread; changes too, one at a time."""

    def __init__(self, folder: Folder, generation: Path, *, durable: bool) -> None:
        """By `build` or `open`."""
        self._folder, self._durable = folder, durable
        self._changing = threading.Lock()
        self._folding = threading.Lock()
        self._since: list[bytes] | None = None
        self._live = Live(generation, read_log(folder.log_of(generation)))
        self._log = Log(folder.log_of(generation), durable=durable)

    @classmethod
    def build(
        cls,
        path: Path,
        dim: int,
        blocks: Iterable[Sequence[Entry]] = (),
        *,
        durable: bool = True,
        threads: int = 0,
    ) -> "CapabilityIndex":
        """A new index in place of whatever is in the folder. Names must differ. threads: 0 takes every core.

        Raises BadEntry, IndexInUse.
        """
        folder = Folder(path)
        try:
            new = folder.begin()
            writing = Writing(new, dim)
            for block in blocks:
                writing.add([item_of(entry, dim) for entry in block])
            writing.finish(threads=threads)
            return cls(folder, folder.commit(new, ()), durable=durable)
        except BaseException:
            folder.close()
            raise

    @classmethod
    def open(
        cls, path: Path, *, durable: bool = True, verify: bool = True
    ) -> "CapabilityIndex | None":
        """The index of a folder as it was left; None where none was built. Raises IndexDamaged, IndexInUse.

        durable: a change is on the disk when its call returns; else a crash of the machine, not of the program, may
        lose the last ones. verify: the sums of all files are checked, which takes about a second a gigabyte.
        """
        folder = Folder(path)
        try:
            generation = folder.current(verify=verify)
            if generation is not None:
                return cls(folder, generation, durable=durable)
        except BaseException:
            folder.close()
            raise
        folder.close()
        return None

    def close(self) -> None:
        """After a fold that is under way. Searches may go on."""
        with self._folding, self._changing:
            self._log.close()
            self._folder.close()

    def __len__(self) -> int:
        return self._live.state.count

    def __contains__(self, name: str) -> bool:
        with self._changing:
            return name in self._live

    def put(self, entries: Iterable[Entry]) -> None:
        """Adds, or replaces what has the name and takes any mark off it. Searches that begin afterwards see all.

        Raises BadEntry, before anything is changed.
        """
        dim = self._live.state.frozen.dim
        self._change([put_record(item_of(e, dim)) for e in entries])

    def remove(self, names: Iterable[str]) -> None:
        """Names that are not there are passed over."""
        self._change([drop_record(name) for name in names])

    def mark(self, names: Iterable[str], *, healthy: bool) -> None:
        """Whether searches that ask for healthy ones find them. Names that are not there are passed over."""
        self._change([mark_record(name, healthy=healthy) for name in names])

    def _change(self, records: Sequence[bytes]) -> None:
        with self._changing:
            self._log.append(records)
            if self._since is not None:
                self._since += records
            self._live.apply(records)

    @property
    def due(self) -> bool:
        """Whether so much has changed that `fold` makes searches faster."""
        state = self._live.state
        return max(state.recent.size, len(state.gone)) >= RECENT_MOST

    def fold(self, *, threads: int = 0) -> None:
        """Writes what is there as a new generation. Searches and changes go on meanwhile."""
        with self._folding:
            with self._changing:
                state, self._since = self._live.state, []
            try:
                new = self._folder.begin()
                writing = Writing(new, state.frozen.dim, state.frozen, state.frozen_present)
                items = zip(state.recent.items(), state.recent_present.tolist(), strict=True)
                writing.add([item for item, present in items if present])
                writing.finish(threads=threads)
                self._switch(new, [mark_record(n, healthy=False) for n in state.unwell()])
            finally:
                with self._changing:
                    self._since = None

    def _switch(self, new: Path, marks: list[bytes]) -> None:
        """marks: of what was unhealthy when the fold began."""
        with self._changing:
            records = marks + (self._since or [])
            generation = self._folder.commit(new, records)
            log = Log(self._folder.log_of(generation), durable=self._durable)
            self._log.close()
            self._log, self._live = log, Live(generation, records)

    def search(
        self, vector: Vectors | None, text: str, k: int, where: Filter = OPEN_TO_ALL
    ) -> list[Found]:
        """The k best, best first. vector: [dim] float32 of the request, not 0; None: by words alone.

        text: the request's words; "": by meaning alone.
        """
        one = _Search(self._live.state, vector, text, where, max(DEPTH, k))
        places = np.union1d(one.by_meaning(), one.by_words())
        meaning, words = one.scores(places)
        fit = fused(meaning, words, one.texts)
        return [
            Found(one.name(place), float(fit[i]), float(meaning[i]), float(words[i]))
            for i, place in ((int(i), int(places[i])) for i in greatest(fit, k))
        ]


class _Search:
    """Places: slots of the frozen part, then those of the recent one."""

    def __init__(
        self, state: State, vector: Vectors | None, text: str, where: Filter, depth: int
    ) -> None:
        self._state, self._depth = state, depth
        self.texts = state.count
        self._query = None if vector is None else coded(vector[None].astype(np.float32))[0]
        self._allowed = [
            (part, part.admitted(where, usable))
            for part, usable in state.parts(healthy=where.healthy)
        ]
        self._asked: list[list[Asked]] = [[] for _ in self._allowed]
        for term in terms(text):
            self._ask(term)

    def by_meaning(self) -> Slots:
        """The nearest, best first."""
        query = self._query
        if query is None:
            return np.zeros(0, np.int64)
        return self._merged([p.nearest(query, self._depth, a) for p, a in self._allowed])

    def by_words(self) -> Slots:
        """Those that have the words, best first."""
        return self._merged(
            [
                best(asked, self._depth, allowed.of)
                for (_, allowed), asked in zip(self._allowed, self._asked, strict=True)
            ]
        )

    def scores(self, places: Slots) -> tuple[Floats, Floats]:
        """Cosines and BM25 scores of some ascending places."""
        size = self._state.frozen.size
        cut = int(np.searchsorted(places, size))
        halves = places[:cut], places[cut:] - size
        meaning = [
            np.zeros(len(slots), np.float32)
            if self._query is None
            else part.meaning(self._query, slots)
            for (part, _), slots in zip(self._allowed, halves, strict=True)
        ]
        words = [scores(asked, slots) for asked, slots in zip(self._asked, halves, strict=True)]
        return np.concatenate(meaning), np.concatenate(words)

    def name(self, place: int) -> str:
        frozen, recent = self._state.frozen, self._state.recent
        return frozen.name(place) if place < frozen.size else recent.name(place - frozen.size)

    def _ask(self, term: str) -> None:
        """A word is as rare as it is in both parts together."""
        found = [part.postings(term) for part, _ in self._allowed]
        having = sum(
            self._state.having(part, docs)
            for (part, _), (docs, _, _) in zip(self._allowed, found, strict=True)
        )
        rare = rarity(having, self.texts)
        for asked, (docs, each, most) in zip(self._asked, found, strict=True):
            asked.append(Asked(rare, docs, each, most))

    def _merged(self, halves: Sequence[tuple[Slots, Floats]]) -> Slots:
        """The best of both parts."""
        (frozen, one), (recent, other) = halves
        places = np.concatenate([frozen, recent + self._state.frozen.size])
        return places[greatest(np.concatenate([one, other]), self._depth)]
