"""Files to be sent: paths, folders with all that is in them, and bytes with a name."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from pointsman.client.errors import FileUnreadable
from pointsman.client.results import File

Source: TypeAlias = "str | os.PathLike[str] | tuple[str, bytes] | File"
"""A path of a file or a folder, a name with bytes, or a file that the server holds already."""

BATCH_FILES = 100
BATCH_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Upload:
    """One file to be sent under a name; `content` is its bytes or where they are."""

    name: str
    content: bytes | Path
    size: int


def uploads(source: "str | os.PathLike[str] | tuple[str, bytes]") -> list[Upload]:
    """What a source stands for. Of a folder: its files at any depth, in order, but no hidden ones; their
    names begin with the folder's. Raises FileUnreadable.
    """
    if isinstance(source, tuple):
        name, content = source
        return [Upload(name, content, len(content))]
    path = Path(source)
    return list(_folder(path)) if path.is_dir() else [_file(path, path.name)]


def _folder(folder: Path) -> Iterator[Upload]:
    top = folder.resolve().name
    inside = sorted(p for p in folder.rglob("*") if p.is_file())
    named = [(p, p.relative_to(folder)) for p in inside]
    seen = [(p, r) for p, r in named if not any(part.startswith(".") for part in r.parts)]
    if not seen:
        raise FileUnreadable(str(folder), "the folder has no files")
    for path, relative in seen:
        yield _file(path, f"{top}/{relative.as_posix()}" if top else relative.as_posix())


def _file(path: Path, name: str) -> Upload:
    try:
        with path.open("rb"):
            return Upload(name, path, path.stat().st_size)
    except OSError as error:
        why = error.strerror or str(error)
        raise FileUnreadable(str(path), why.lower()) from error


def batches(found: Sequence[Upload]) -> Iterator[list[Upload]]:
    """In the same order, a few at a time: at most BATCH_FILES and, unless one file is larger, BATCH_BYTES."""
    batch: list[Upload] = []
    size = 0
    for upload in found:
        if batch and (len(batch) == BATCH_FILES or size + upload.size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(upload)
        size += upload.size
    if batch:
        yield batch
