"""Vectors of eight bits a number, the nearest of them by a scan or by a graph.

A vector is scaled so that its greatest number is 127 and rounded: at 384 dimensions the cosine moves by about
0.0005, and a vector takes 384 bytes. Both ways of search compare bytes, in whole numbers; what they find is put in
order by the request's vector as it is. The graph is a hierarchical navigable small world (Malkov and Yashunin 2018, arXiv 1603.09320) by
usearch; the scan is numkong's, about 40 vectors a microsecond on one core.
"""

import threading
from pathlib import Path

import numkong
import numpy as np
from numpy.typing import NDArray
from usearch.index import Index

Codes = NDArray[np.int8]
Floats = NDArray[np.float32]
Slots = NDArray[np.int64]

LINKS = 16
"""Neighbours of a vector in the graph's upper levels, twice as many in the lowest."""
CARE = 64
"""Candidates that are looked at to link a new vector."""
LOOKED_AT = 96
"""Candidates that a search keeps at least."""


def coded(vectors: Floats) -> Codes:
    """[n, dim] float32 of any length -> [n, dim] int8. A vector of length 0 stays one."""
    most = np.abs(vectors).max(axis=1, keepdims=True, initial=np.float32(1e-30))
    made: Codes = np.rint(vectors * (np.float32(127) / most)).astype(np.int8)
    return made


def lengths(codes: Codes) -> Floats:
    """[n, dim] int8 -> [n] float32; of a vector of length 0 it is 1."""
    wide = codes.astype(np.float32)
    made: Floats = np.maximum(np.sqrt(np.einsum("ij,ij->i", wide, wide)), np.float32(1))
    return made


def cosines(query: Codes, codes: Codes, length: Floats) -> Floats:
    """Of one vector, [dim] int8, and many, [n, dim] int8 with their lengths: [n] float32."""
    if not len(codes):
        return np.zeros(0, np.float32)
    products = np.asarray(numkong.cdist(query[None], codes, "dot"))[0]
    made: Floats = (products / (length * lengths(query[None])[0])).astype(np.float32)
    return made


def unit(vector: Floats) -> Floats:
    """[dim], not 0 -> the same direction, length 1, float32."""
    made: Floats = (vector / np.linalg.norm(vector)).astype(np.float32)
    return made


def meant(query: Floats, codes: Codes, length: Floats) -> Floats:
    """As `cosines`, of a vector of length 1 that was not rounded: for the order of the few that were found."""
    made: Floats = (codes.astype(np.float32) @ query) / length
    return made


def greatest(values: Floats | NDArray[np.float64], count: int) -> Slots:
    """Places of the `count` greatest, greatest first, the earlier of equal ones first."""
    if not count:
        return np.zeros(0, np.int64)
    if count < len(values):
        least = np.partition(values, len(values) - count)[len(values) - count]
        places = np.flatnonzero(values >= least)
    else:
        places = np.arange(len(values))
    made: Slots = places[np.argsort(-values[places], kind="stable")][:count]
    return made


class Graph:
    """Rows of codes by what is near. Searches may come from any thread, one runs at a time."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._turn = threading.Lock()

    @classmethod
    def empty(cls, dim: int) -> "Graph":
        return cls(_graph(dim))

    @classmethod
    def opened(cls, path: Path, dim: int, *, mapped: bool) -> "Graph":
        """mapped: read from the file's pages and never written; else a copy in memory that can grow."""
        index = _graph(dim)
        if mapped:
            index.view(str(path))
        else:
            index.load(str(path))
        return cls(index)

    def add(self, first: int, codes: Codes, *, threads: int = 0) -> None:
        """Rows get the numbers from `first` on. threads: 0 takes every core."""
        self._index.add(
            np.arange(first, first + len(codes), dtype=np.uint64), codes, threads=threads
        )

    def rows(self, query: Codes, count: int) -> Slots:
        """Numbers of about the `count` nearest, [dim] int8 -> [<= count]."""
        with self._turn:
            matches = self._index.search(query, count, threads=1)
        return np.asarray(matches.keys).astype(np.int64)

    def save(self, path: Path) -> None:
        self._index.save(str(path))

    @property
    def bytes_in_memory(self) -> int:
        return int(self._index.memory_usage)


def _graph(dim: int) -> Index:
    return Index(
        ndim=dim,
        metric="cos",
        dtype="i8",
        connectivity=LINKS,
        expansion_add=CARE,
        expansion_search=LOOKED_AT,
    )
