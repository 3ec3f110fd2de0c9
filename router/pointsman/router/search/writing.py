"""Writes the files of a frozen part: from nothing, or from an older one with what came since."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from pointsman.router.search.allowed import Mask
from pointsman.router.search.columns import Longs, Number, write_strings
from pointsman.router.search.frozen import Frozen
from pointsman.router.search.postings import Halves, Ints, write_postings
from pointsman.router.search.profiles import Profiles, traits_to_json
from pointsman.router.search.recent import Item
from pointsman.router.search.vectors import Codes, Graph, lengths
from pointsman.router.search.words import weights

GRAPH_FROM = 20_000
"""Vectors from which on a graph finds the nearest sooner than a scan does (benchmarks, `scale --part small`)."""
AT_ONCE = 20_000
"""Vectors that are handed to the graph in one call."""
HOLES = 0.25
"""Share of slots that are gone at which slots are numbered anew and the graph is made anew."""


class Writing:
    """Writes into `folder`, which exists and is empty. `base`: what is carried over, where `present`, its mask of
    slots, says so.
    """

    def __init__(
        self, folder: Path, dim: int, base: Frozen | None = None, present: Mask | None = None
    ) -> None:
        self._folder, self._dim = folder, dim
        self._profiles = Profiles()
        self._names: list[str] = []
        self._found: list[Mask] = []
        self._profile: list[Ints] = []
        self._counts: list[Longs] = []
        self._terms: dict[str, int] = {}
        self._postings: list[tuple[Ints, Ints, Halves]] = []
        self._codes: BinaryIO = (folder / "codes.bytes").open("wb")
        self._graph: Graph | None = None
        self._in_graph = 0
        if base is not None:
            self._carry(base, base.present if present is None else present)

    def add(self, items: Sequence[Item]) -> None:
        """Appends; a name stands for the last that has it only if `gone` was called for those before."""
        first = len(self._names)
        self._names += [item.name for item in items]
        self._found.append(np.ones(len(items), np.bool_))
        self._profile.append(np.array([self._profiles.number(i.traits) for i in items], np.int32))
        self._counts.append(np.array([len(i.codes) for i in items], np.int64))
        for item in items:
            self._codes.write(np.ascontiguousarray(item.codes).tobytes())
        numbers: list[int] = []
        docs: list[int] = []
        each: list[float] = []
        for slot, item in enumerate(items, first):
            made = weights(item.words)
            numbers += [self._terms.setdefault(t, len(self._terms)) for t in made]
            docs += [slot] * len(made)
            each += made.values()
        self._postings.append(
            (np.array(numbers, np.int32), np.array(docs, np.int32), np.array(each, np.float16))
        )

    def finish(self, *, threads: int = 0) -> None:
        """Writes what is not written yet. threads: for the graph; 0 takes every core."""
        self._codes.close()
        found = _joined(self._found, np.bool_)
        write_strings(self._folder, "names", self._names, found)
        self._write_profiles(found)
        counts = _joined(self._counts, np.int64)
        self._save("present", found)
        self._save("ends", np.cumsum(counts))
        self._save("owners", np.repeat(np.arange(len(counts), dtype=np.int32), counts))
        self._write_postings()
        self._write_vectors(int(counts.sum()), threads)

    def _carry(self, base: Frozen, present: Mask) -> None:
        """With few holes everything stays where it is, so that the graph can be kept."""
        anew = bool((~present).mean() > HOLES) if len(present) else True
        kept = np.flatnonzero(present) if anew else np.arange(base.size)
        names, counts = base.names.all(), np.diff(base.ends, prepend=0)
        for traits in base.profiles.all():
            self._profiles.number(traits)
        self._names = [names[i] for i in kept.tolist()]
        self._found.append(present[kept])
        self._profile.append(base.profile[kept])
        self._counts.append(counts[kept])
        words = base.words
        self._terms = {t: i for i, t in enumerate(words.terms.all())}
        moved = np.full(base.size, -1, np.int32)
        moved[kept] = np.arange(len(kept), dtype=np.int32)
        docs = np.repeat(np.arange(base.size), np.diff(words.doc_ends, prepend=0))
        there = present[docs]
        self._postings.append(
            (words.doc_terms[there], moved[docs[there]], words.doc_weights[there])
        )
        rows = np.isin(base.owners, kept) if anew else np.ones(len(base.owners), np.bool_)
        for at in range(0, len(rows), AT_ONCE):
            some = slice(at, at + AT_ONCE)
            self._codes.write(base.codes[some][rows[some]].tobytes())
        if not anew:
            self._graph, self._in_graph = base.grown(), len(base.owners)

    def _write_profiles(self, found: Mask) -> None:
        profile = _joined(self._profile, np.int32)
        slots = np.flatnonzero(found).astype(np.int32)
        of = profile[slots]
        order = np.argsort(of, kind="stable")
        self._save("profile", profile)
        self._save("profile_slots", slots[order])
        self._save("profile_ends", np.cumsum(np.bincount(of, minlength=len(self._profiles))))
        told = json.dumps([traits_to_json(t) for t in self._profiles.all()])
        (self._folder / "profiles.json").write_text(told, encoding="utf-8")

    def _write_postings(self) -> None:
        numbers, docs, each = zip(*self._postings, strict=True) if self._postings else ((), (), ())
        self._postings.clear()
        write_postings(
            self._folder,
            list(self._terms),
            len(self._names),
            _joined(numbers, np.int32),
            _joined(docs, np.int32),
            _joined(each, np.float16),
        )

    def _write_vectors(self, rows: int, threads: int) -> None:
        raw = self._folder / "codes.bytes"
        read: Codes = (
            np.memmap(raw, np.int8, "r", shape=(rows, self._dim))
            if rows
            else (np.zeros((0, self._dim), np.int8))
        )
        codes = open_memmap(self._folder / "codes.npy", "w+", np.int8, (rows, self._dim))
        length = np.zeros(rows, np.float32)
        graph = self._graph
        if graph is None and rows >= GRAPH_FROM:
            graph, self._in_graph = Graph.empty(self._dim), 0
        for at in range(0, rows, AT_ONCE):
            some = read[at : at + AT_ONCE]
            codes[at : at + AT_ONCE] = some
            length[at : at + AT_ONCE] = lengths(some)
            new = some[max(0, self._in_graph - at) :]
            if graph is not None and len(new):
                graph.add(at + len(some) - len(new), new, threads=threads)
        codes.flush()
        raw.unlink()
        self._save("lengths", length)
        if graph is not None:
            graph.save(self._folder / "graph.usearch")

    def _save(self, name: str, values: NDArray[np.generic]) -> None:
        np.save(self._folder / f"{name}.npy", values)


def _joined(parts: Sequence[NDArray[Number]], dtype: type[Number]) -> NDArray[Number]:
    made: NDArray[Number] = np.concatenate([np.zeros(0, dtype), *parts])
    return made
