"""Stored files on a local disk: uploads, results to download, and tables too long for a slot.

`<folder>/<id>/` holds the content under its own name, and `.file.json` with what a FileRef says. The
folder of a file is built aside and renamed into place, so a file is there whole or not at all.
"""

import asyncio
import json
import mimetypes
import os
import re
import secrets
import shutil
import unicodedata
from collections.abc import AsyncIterable
from pathlib import Path
from typing import Final

from pointsman.experts.profiles import profile
from pointsman.router.errors import BadFile, UnknownFile
from pointsman.router.values import FileId, FileRef

__all__ = ["UPLOAD_LIMIT", "LocalFiles", "clean_name", "media_type_of", "profile"]

UPLOAD_LIMIT: Final = 512 * 1024 * 1024
"""Bytes of one upload, unless another limit is given."""

TENANTS: Final = ".tenants"
TENANT: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
FILE_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
PART_BYTES: Final = 180
RECORD: Final = ".file.json"
MEDIA_TYPES: Final = {
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".ndjson": "application/x-ndjson",
    ".parquet": "application/vnd.apache.parquet",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".md": "text/markdown",
    ".txt": "text/plain",
}


class LocalFiles:
    """The `Files` of an installation on one disk; safe for several processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tenants: dict[str, LocalFiles] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def of(self, tenant: str) -> "LocalFiles":
        """Those of a tenant, in a folder of their own; `default`: these. Raises ValueError for what is no name
        of a tenant."""
        if tenant == "default":
            return self
        if not TENANT.fullmatch(tenant):
            raise ValueError(f"{tenant!r} is no name of a tenant")
        if tenant not in self._tenants:
            self._tenants[tenant] = LocalFiles(self.folder / TENANTS / tenant)
        return self._tenants[tenant]

    def path(self, file: FileRef | str) -> Path:
        """Local path of a stored file, by reference or id. Raises UnknownFile."""
        ref = self.ref(file.id if isinstance(file, FileRef) else file)
        return self.folder / ref.id / stored_name(ref.name)

    def ref(self, id: str) -> FileRef:
        """Raises UnknownFile."""
        if not FILE_ID.fullmatch(id):
            raise UnknownFile(id, self._names())
        try:
            record = json.loads((self.folder / id / RECORD).read_text("utf-8"))
            return FileRef.from_json(record)
        except (OSError, ValueError) as error:
            raise UnknownFile(id, self._names()) from error

    def list(self) -> tuple[FileRef, ...]:
        """All files, oldest first."""
        records = sorted(self.folder.glob(f"*/{RECORD}"), key=lambda p: (_modified(p), p))
        found: list[FileRef] = []
        for record in records:
            try:
                found.append(self.ref(record.parent.name))
            except UnknownFile:
                continue  # deleted meanwhile, or still being built
        return tuple(found)

    def delete(self, id: str) -> None:
        """Raises UnknownFile."""
        ref = self.ref(id)
        gone = self.folder / f".deleted-{secrets.token_hex(8)}"
        try:
            (self.folder / ref.id).rename(gone)
        except FileNotFoundError as error:
            raise UnknownFile(id) from error
        shutil.rmtree(gone, ignore_errors=True)

    def create(self, name: str, media_type: str, content: bytes) -> FileRef:
        """Stores content whole or not at all."""
        with _Building(self.folder, name, media_type) as building:
            building.path.write_bytes(content)
            return building.finish()

    def adopt(self, name: str, media_type: str, path: Path) -> FileRef:
        """Moves a finished local file into the store."""
        with _Building(self.folder, name, media_type) as building:
            shutil.move(path, building.path)
            return building.finish()

    async def save_stream(
        self,
        name: str,
        chunks: AsyncIterable[bytes],
        limit: int = UPLOAD_LIMIT,
        media_type: str | None = None,
    ) -> FileRef:
        """Stores an upload as it comes in. limit: bytes.

        Raises BadFile when there are more; nothing is kept then, nor when the stream breaks off.
        """
        size = 0
        with _Building(self.folder, name, media_type) as building:
            with building.path.open("wb") as out:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > limit:
                        raise BadFile(
                            building.name,
                            f"it has more than {limit / 1024**2:,.4g} MiB, the limit; split it, or "
                            "leave out what is not needed",
                        )
                    await asyncio.to_thread(out.write, chunk)
            return await asyncio.to_thread(building.finish)

    def _names(self) -> tuple[str, ...]:
        return tuple(ref.name for ref in self.list()[:10])


class _Building:
    """A file on its way into the store, in a folder of its own that is renamed when it is whole."""

    def __init__(self, folder: Path, name: str, media_type: str | None) -> None:
        self.folder = folder
        self.name = clean_name(name)
        self.media_type = media_type or media_type_of(self.name)
        self.id = FileId("f" + secrets.token_urlsafe(12))
        self.aside = folder / f".new-{self.id}"
        self.path = self.aside / stored_name(self.name)

    def __enter__(self) -> "_Building":
        self.aside.mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.aside, ignore_errors=True)

    def finish(self) -> FileRef:
        ref = FileRef(self.id, self.name, self.media_type, self.path.stat().st_size)
        record = self.aside / RECORD
        record.write_text(json.dumps(ref.to_json(), ensure_ascii=False), "utf-8")
        for path in (self.path, record, self.aside):
            _sync(path)
        self.aside.rename(self.folder / self.id)
        _sync(self.folder)
        return ref


def clean_name(name: str) -> str:
    """A relative name that is safe to show and to keep: "../../a\\x00.txt" becomes "a.txt".

    Folders of an upload are kept ("notes/a.txt"); steps up, drive letters, control characters and
    marks that reverse the direction of writing are not. Other Unicode is.
    """
    text = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode("utf-8"))
    visible = "".join(c for c in text if unicodedata.category(c)[0] != "C")
    parts = (p.strip() for p in re.split(r"[/\\]", visible))
    kept = [_short(p) for p in parts if p.strip(".") and not re.fullmatch(r"[A-Za-z]:", p)]
    return "/".join(kept[-8:]) or "file"


def stored_name(name: str) -> str:
    """Name of the content inside the folder of its file: the last part, never hidden."""
    last = name.rpartition("/")[2]
    return "_" + last[1:] if last.startswith(".") else last


def media_type_of(name: str) -> str:
    suffix = Path(name).suffix.lower()
    return MEDIA_TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"


def _short(part: str) -> str:
    if len(part.encode()) <= PART_BYTES:
        return part
    stem, dot, suffix = part.rpartition(".")
    ending = dot + suffix if dot and len(suffix.encode()) <= 12 else ""
    head = (stem if ending else part).encode()[: PART_BYTES - len(ending.encode())]
    return head.decode("utf-8", "ignore") + ending


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
