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
from pointsman.router.search.vectors import Floats, Slots, coded, greatest, unit
from pointsman.router.search.words import rarity, terms
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
        return max(state.recent.size, state.gone) >= RECENT_MOST

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
        state = self._live.state
        one = _Search(state, vector, text, where, max(DEPTH, k))
        places = np.union1d(one.by_meaning(), one.by_words())
        meaning, words = one.scores(places)
        fit = fused(meaning, words, state.count)
        return [
            Found(one.name(place), float(fit[i]), float(meaning[i]), float(words[i]))
            for i, place in ((int(i), int(places[i])) for i in greatest(fit, k))
        ]


class _Search:
    """Places: slots of the frozen part, then those of the recent one."""

    def __init__(
        self, state: State, vector: Vectors | None, text: str, where: Filter, depth: int
    ) -> None:
        self._depth = depth
        self._frozen, self._recent = state.frozen, state.recent
        self._in_frozen, self._in_recent = state.allowed(where)
        self._query = None if vector is None else unit(vector)
        rare = {term: rarity(state.having(term), state.count) for term in terms(text)}
        numbers = ((self._frozen.words.number(term), rare[term]) for term in rare)
        self._rare = {number: each for number, each in numbers if number is not None}
        self._recent_words = self._recent.words(rare)

    def by_meaning(self) -> Slots:
        """The nearest."""
        query = self._query
        if query is None:
            return np.zeros(0, np.int64)
        code = coded(query[None])[0]
        return self._first(
            self._frozen.nearest(code, self._depth, self._in_frozen),
            self._recent.nearest(code, self._depth, self._in_recent),
        )

    def by_words(self) -> Slots:
        """Those whose words score most, of those that have one."""
        if not self._rare and not self._recent_words.any():
            return np.zeros(0, np.int64)
        score = np.where(self._in_recent.of(np.arange(self._recent.size)), self._recent_words, 0)
        some = greatest(score, min(self._depth, int(np.count_nonzero(score))))
        frozen = self._frozen.words.best(self._rare, self._depth, self._in_frozen)
        return self._first(frozen, (some, score[some]))

    def scores(self, places: Slots) -> tuple[Floats, Floats]:
        """Cosines and BM25 scores of some ascending places."""
        size = self._frozen.size
        cut = int(np.searchsorted(places, size))
        frozen, recent = places[:cut], places[cut:] - size
        words = [self._frozen.words.scores(self._rare, frozen), self._recent_words[recent]]
        if self._query is None:
            return np.zeros(len(places), np.float32), np.concatenate(words)
        meaning = [
            self._frozen.meaning(self._query, frozen),
            self._recent.meaning(self._query, recent),
        ]
        return np.concatenate(meaning), np.concatenate(words)

    def name(self, place: int) -> str:
        size = self._frozen.size
        return self._frozen.name(place) if place < size else self._recent.name(place - size)

    def _first(self, frozen: tuple[Slots, Floats], recent: tuple[Slots, Floats]) -> Slots:
        """The best of both parts."""
        places = np.concatenate([frozen[0], recent[0] + self._frozen.size])
        return places[greatest(np.concatenate([frozen[1], recent[1]]), self._depth)]
