"""Columns of an index: strings that are read from a file's pages, and arrays that grow while they are read."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)
Longs = NDArray[np.int64]
Hashes = NDArray[np.uint64]


def hashed(text: str) -> int:
    """64 bits, the same in every run."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def mapped(folder: Path, name: str) -> NDArray[Any]:  # whoever calls says of what
    """An array that is read from the pages of NAME.npy."""
    # not as a memmap: taking a slice of one takes ten times as long
    return np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r"))


class Strings:
    """Strings by number, and their numbers. Files: NAME.utf8 (one after another), NAME.ends.npy, NAME.hashes.npy
    (ascending) and NAME.order.npy (whose hash each is). Those that are no longer found have no hash.
    """

    def __init__(self, folder: Path, name: str) -> None:
        blob = folder / f"{name}.utf8"
        self._bytes: NDArray[np.uint8] = (
            np.asarray(np.memmap(blob, np.uint8, "r"))
            if blob.stat().st_size
            else np.zeros(0, np.uint8)
        )
        self._ends: Longs = mapped(folder, f"{name}.ends")
        self._hashes: Hashes = mapped(folder, f"{name}.hashes")
        self._order: Longs = mapped(folder, f"{name}.order")

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, number: int) -> str:
        first = int(self._ends[number - 1]) if number else 0
        return self._bytes[first : int(self._ends[number])].tobytes().decode()

    def number(self, text: str) -> int | None:
        sought = np.uint64(hashed(text))
        at = int(np.searchsorted(self._hashes, sought))
        while at < len(self._hashes) and self._hashes[at] == sought:
            number = int(self._order[at])
            if self[number] == text:
                return number
            at += 1
        return None

    def all(self) -> list[str]:
        """In order of their numbers."""
        blob = self._bytes.tobytes()
        ends = self._ends.tolist()
        return [blob[a:b].decode() for a, b in zip([0, *ends], ends, strict=False)]


def write_strings(
    folder: Path, name: str, texts: Sequence[str], found: NDArray[np.bool_] | None = None
) -> None:
    """found: which are found by `number`; without it all are."""
    coded = [t.encode() for t in texts]
    (folder / f"{name}.utf8").write_bytes(b"".join(coded))
    np.save(folder / f"{name}.ends.npy", np.cumsum([len(c) for c in coded], dtype=np.int64))
    numbers = np.arange(len(texts)) if found is None else np.flatnonzero(found)
    hashes = np.array([hashed(texts[i]) for i in numbers.tolist()], np.uint64)
    order = np.argsort(hashes, kind="stable")
    np.save(folder / f"{name}.hashes.npy", hashes[order])
    np.save(folder / f"{name}.order.npy", numbers[order].astype(np.int64))


class Growing(Generic[Number]):
    """An array that one thread extends while others read what was there. like: [0, ...], gives dtype and width."""

    def __init__(self, like: NDArray[Number]) -> None:
        self._held = np.zeros((16, *like.shape[1:]), like.dtype)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def extend(self, values: NDArray[Number]) -> None:
        count = self._count + len(values)
        if count > len(self._held):
            wider = np.zeros((2 * count, *self._held.shape[1:]), self._held.dtype)
            wider[: self._count] = self._held[: self._count]
            self._held = wider
        self._held[self._count : count] = values
        self._count = count

    def first(self, count: int) -> NDArray[Number]:
        """The first ones, which no later extension changes. count: at most how many are there."""
        made: NDArray[Number] = self._held[:count]
        return made

    def all(self) -> NDArray[Number]:
        # the count first: what replaces the array meanwhile has those too
        count = self._count
        return self.first(count)
