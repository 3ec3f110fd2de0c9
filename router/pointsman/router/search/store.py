"""The folder of an index: whole generations, a log of what came since, and which of them counts.

CURRENT names a generation and the sum of its manifest; gen-N/ holds its files, manifest.json their sizes and sums;
gen-N.log is the log. A generation is written into gen-N.new, synced, renamed; then its log is written; then CURRENT
is replaced by a rename. Whatever moment a crash picks, CURRENT names a whole generation and its log, or none was
ever made. What is left over is removed when the folder is opened.
"""

import fcntl
import json
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from struct import Struct
from typing import Any

from pointsman.router.errors import IndexDamaged, IndexInUse

HEAD = Struct("<II")
"""Length and CRC-32 of a record of the log."""
MANIFEST = "manifest.json"
FORMAT = 1
PIECE = 1 << 22


class Log:
    """Records that are whole or, where a crash tore off the last one, gone. durable: synced before it returns."""

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        self._file = path.open("ab", buffering=0)
        self._durable = durable

    def append(self, records: Iterable[bytes]) -> None:
        framed = b"".join(HEAD.pack(len(r), zlib.crc32(r)) + r for r in records)
        while framed:
            framed = framed[self._file.write(framed) :]
        if self._durable:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def read_log(path: Path) -> Iterator[bytes]:
    """Records in order. A torn last one is cut off the file; raises IndexDamaged for one that is wrong elsewhere."""
    held = path.read_bytes()
    at = 0
    while at < len(held):
        end = at + HEAD.size
        if end > len(held):
            break
        length, total = HEAD.unpack_from(held, at)
        record = held[end : end + length]
        if len(record) < length:
            break
        if zlib.crc32(record) != total:
            if end + length < len(held):
                raise IndexDamaged(str(path.parent), f"{path.name} at byte {at}")
            break
        yield record
        at = end + length
    if at < len(held):
        os.truncate(path, at)


class Folder:
    """Held by one process at a time. Raises IndexInUse."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self._lock = (path / "LOCK").open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise IndexInUse(str(path)) from None

    def close(self) -> None:
        self._lock.close()

    def current(self, *, verify: bool = True) -> Path | None:
        """The generation that counts; None where there is none. verify: every byte is checked, else sizes only.

        Raises IndexDamaged.
        """
        pointer = self.path / "CURRENT"
        if not pointer.exists():
            return None
        try:
            name, total = pointer.read_text(encoding="ascii").split()
            folder = self.path / name
            manifest = (folder / MANIFEST).read_bytes()
            if zlib.crc32(manifest) != int(total):
                raise IndexDamaged(str(self.path), f"{name}/{MANIFEST}")
            self._check(folder, json.loads(manifest), verify=verify)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise IndexDamaged(str(self.path), str(error)) from error
        if not self.log_of(folder).exists():
            raise IndexDamaged(str(self.path), f"{name} has no log")
        self._clear(name)
        return folder

    def _check(self, folder: Path, manifest: dict[str, Any], *, verify: bool) -> None:
        if manifest["format"] != FORMAT:
            raise IndexDamaged(str(self.path), f"format {manifest['format']}, not {FORMAT}")
        for name, (size, total) in manifest["files"].items():
            path = folder / name
            if path.stat().st_size != size or (verify and _sum(path) != total):
                raise IndexDamaged(str(self.path), f"{folder.name}/{name}")

    def begin(self) -> Path:
        """An empty folder for a generation to come."""
        taken = [int(p.name[4:10]) for p in self.path.glob("gen-??????*")]
        made = self.path / f"gen-{max(taken, default=0) + 1:06}.new"
        made.mkdir()
        return made

    def commit(self, new: Path, records: Iterable[bytes]) -> Path:
        """Makes a generation that `begin` gave the one that counts, with what its log begins with."""
        made = seal(new)
        log = Log(self.log_of(made))
        log.append(records)
        log.close()
        _sync(self.path)
        pointer = self.path / "CURRENT.new"
        with pointer.open("w", encoding="ascii") as file:
            file.write(f"{made.name} {zlib.crc32((made / MANIFEST).read_bytes())}\n")
            file.flush()
            os.fsync(file.fileno())
        pointer.rename(self.path / "CURRENT")
        _sync(self.path)
        self._clear(made.name)
        return made

    def log_of(self, generation: Path) -> Path:
        return self.path / f"{generation.name}.log"

    def _clear(self, kept: str) -> None:
        """Removes generations and logs other than the one that counts."""
        for path in self.path.glob("gen-*"):
            if path.name in (kept, f"{kept}.log"):
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def seal(new: Path) -> Path:
    """Syncs every file, writes the manifest, and gives the folder its name. The new path."""
    files: dict[str, tuple[int, int]] = {}
    for path in sorted(new.iterdir()):
        with path.open("rb") as file:
            os.fsync(file.fileno())
        files[path.name] = (path.stat().st_size, _sum(path))
    with (new / MANIFEST).open("w", encoding="utf-8") as file:
        json.dump({"format": FORMAT, "files": files}, file)
        file.flush()
        os.fsync(file.fileno())
    _sync(new)
    made = new.with_suffix("")
    new.rename(made)
    _sync(made.parent)
    return made


def _sum(path: Path) -> int:
    total = 0
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            total = zlib.crc32(piece, total)
    return total


def _sync(folder: Path) -> None:
    held = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(held)
    finally:
        os.close(held)
