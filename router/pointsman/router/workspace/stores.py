"""Where an artifact's bytes lie: a local folder, or anything that fsspec reaches.

An object has a folder and a name, both given by the caller and made of letters, digits, '-', '.' and '/'.
It appears whole or not at all. Everything here blocks, is called from threads, and raises OSError.
"""

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

TRIES = 10
"""How often a write makes its folder again that a sweep took away in between."""
TAKEN_AWAY = (FileNotFoundError, FileExistsError)
"""What is raised then; the second, when it went while it was being made."""
WHOLE_PUT = frozenset(
    {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss", "oci", "obs", "cos", "memory"}
)
"""Protocols under which a put shows whole or not at all, and folders need not be made."""
WRITTEN = ("mtime", "LastModified", "last_modified", "updated", "created")
"""What filesystems call the time of the last write, the surest first."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object in a store. written: seconds since the epoch by the store's clock; inf: not told."""

    folder: str
    name: str
    written: float


class Store(Protocol):
    def write(self, folder: str, name: str, content: bytes) -> None:
        """Whole or not at all; an object of that name is replaced. May leave "name.suffix" in a crash."""
        ...

    def read(self, folder: str, name: str) -> bytes:
        """Raises FileNotFoundError."""
        ...

    def names(self, folder: str) -> list[str]:
        """Names in a folder ("": the store's root); none when there is no such folder."""
        ...

    def remove(self, folder: str, name: str) -> None:
        """One that is not there is fine."""
        ...

    def walk(self, shard: str) -> list[Found]:
        """All objects in the folders below a shard."""
        ...


class Folder:
    """A local folder. What we make in it is for its owner alone (0700, 0600) and survives a power cut."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, folder: str, name: str, content: bytes) -> None:
        target = self._root / folder / name
        temporary = target.with_name(f"{name}.{secrets.token_hex(8)}")
        descriptor = self._create(temporary)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        for made in (target.parent, target.parent.parent, self._root):
            _sync(made)

    def _create(self, path: Path) -> int:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.parent.mkdir(mode=0o700, exist_ok=True)
        for _ in range(TRIES):
            with suppress(*TAKEN_AWAY):
                path.parent.mkdir(mode=0o700, exist_ok=True)
                return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        raise OSError(f"{path.parent} cannot be made, or is removed again and again")

    def read(self, folder: str, name: str) -> bytes:
        return (self._root / folder / name).read_bytes()

    def names(self, folder: str) -> list[str]:
        with suppress(FileNotFoundError):
            return os.listdir(self._root / folder)
        return []

    def remove(self, folder: str, name: str) -> None:
        place = self._root / folder
        (place / name).unlink(missing_ok=True)
        with suppress(OSError):  # another life of the same content is in it, or it is gone
            place.rmdir()

    def walk(self, shard: str) -> list[Found]:
        found: list[Found] = []
        for folder in self.names(shard):
            with (
                suppress(FileNotFoundError, NotADirectoryError),
                os.scandir(self._root / shard / folder) as entries,
            ):
                for entry in entries:
                    with suppress(FileNotFoundError):
                        found.append(Found(f"{shard}/{folder}", entry.name, entry.stat().st_mtime))
        return found


def _sync(folder: Path) -> None:
    """The folder's own entries reach the disk; one that a sweep took away has none."""
    with suppress(FileNotFoundError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class FileSystem(Protocol):
    """What we use of an fsspec filesystem; fsspec itself has no types."""

    protocol: str | tuple[str, ...]

    def pipe_file(self, path: str, value: bytes) -> object: ...
    def cat_file(self, path: str) -> bytes: ...
    def ls(self, path: str, detail: bool) -> list[str]: ...
    def find(self, path: str, *, detail: bool) -> Mapping[str, Mapping[str, object]]: ...
    def exists(self, path: str) -> bool: ...
    def mv(self, path1: str, path2: str) -> object: ...
    def rm_file(self, path: str) -> object: ...
    def makedirs(self, path: str, exist_ok: bool) -> object: ...
    def rmdir(self, path: str) -> object: ...


class Remote:
    """Anything fsspec has a filesystem for, such as "s3://bucket/prefix".

    It must show a finished write to every later read and listing; S3 and its like do. `options` go to the
    filesystem. Raises ImportError when its package is not installed, ValueError for an unknown protocol.
    """

    def __init__(self, url: str, options: Mapping[str, object]) -> None:
        core = import_module(
            "fsspec.core"
        )  # here, since it takes long and a folder needs none of it
        made = core.url_to_fs(url, **{"use_listings_cache": False, **options})
        self._fs, self._root = cast("tuple[FileSystem, str]", made)
        names = self._fs.protocol
        self.protocol = names if isinstance(names, str) else names[0]
        self._whole_put = self.protocol in WHOLE_PUT

    def write(self, folder: str, name: str, content: bytes) -> None:
        target = f"{self._root}/{folder}/{name}"
        with _as_os_errors():
            if self._whole_put:
                self._fs.pipe_file(target, content)
            else:
                self._write_and_move(target, content)

    def _write_and_move(self, target: str, content: bytes) -> None:
        temporary = f"{target}.{secrets.token_hex(8)}"
        for _ in range(TRIES):
            with suppress(*TAKEN_AWAY):
                self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
                self._fs.pipe_file(temporary, content)
                self._move(temporary, target)
                return
        raise OSError(
            f"{target!r} cannot be written: its folder cannot be made, or goes again and again"
        )

    def _move(self, temporary: str, target: str) -> None:
        try:
            self._fs.mv(temporary, target)
        except FileExistsError:  # some do not replace
            self._fs.rm_file(target)
            self._fs.mv(temporary, target)

    def read(self, folder: str, name: str) -> bytes:
        with _as_os_errors():
            return self._fs.cat_file(f"{self._root}/{folder}/{name}")

    def names(self, folder: str) -> list[str]:
        place = f"{self._root}/{folder}" if folder else self._root
        with _as_os_errors(), suppress(FileNotFoundError):
            return [_last(p) for p in self._fs.ls(place, detail=False)]
        return []

    def remove(self, folder: str, name: str) -> None:
        place = f"{self._root}/{folder}"
        with _as_os_errors(), suppress(FileNotFoundError):
            self._fs.rm_file(f"{place}/{name}")
        if not self._whole_put:
            with suppress(OSError), _as_os_errors():  # not empty, or gone
                self._fs.rmdir(place)

    def walk(self, shard: str) -> list[Found]:
        with _as_os_errors(), suppress(FileNotFoundError):
            files = self._fs.find(f"{self._root}/{shard}", detail=True)
            return [
                Found(f"{shard}/{_last(path.rpartition('/')[0])}", _last(path), _written(facts))
                for path, facts in files.items()
            ]
        return []


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _written(facts: Mapping[str, object]) -> float:
    for name in WRITTEN:
        match facts.get(name):
            case datetime() as when:
                return when.timestamp()
            case int() | float() as seconds:
                return float(seconds)
            case str() as text:
                with suppress(ValueError):
                    return datetime.fromisoformat(text).timestamp()
            case _:
                continue
    return float("inf")


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """Every cloud's package has error classes of its own: this is the border at which they end."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
