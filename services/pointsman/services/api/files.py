"""Stored files: upload, list, look at, download, delete."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.datastructures import UploadFile
from starlette.responses import FileResponse, JSONResponse, Response

from pointsman.router.errors import RequestError
from pointsman.router.values import FileRef
from pointsman.services.api.gateway import Gateway, Here
from pointsman.services.api.profiles import profile_json

router = APIRouter(tags=["files"])

SHOWN_INLINE = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""Media types a browser may show in place; anything else is only ever downloaded."""
CHUNK = 1 << 20


class NoFiles(RequestError):
    code = "request.no-files"

    def __init__(self) -> None:
        super().__init__("the form has no file; send one or more parts with a file name")


async def file_json(gateway: Gateway, ref: FileRef) -> dict[str, Any]:
    known = await gateway.profiles.of(ref)
    return {**ref.to_json(), "profile": profile_json(known)}


@router.post(
    "/v1/files",
    status_code=201,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "file": {
                                "type": "array",
                                "items": {"type": "string", "format": "binary"},
                            }
                        },
                    }
                }
            },
        }
    },
)
async def upload(request: Request, here: Here) -> JSONResponse:
    """Stores the files of a multipart form, of any field name. A file name may carry its folders
    ("notes/may.txt"). Answers with each file's id and profile, in the order they came in.
    """
    limit = here.settings.max_upload_files
    async with request.form(max_files=limit, max_fields=limit) as form:
        parts = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if not parts:
            raise NoFiles
        refs = [await _store(here, part) for part in parts]
    files = [await file_json(here, ref) for ref in refs]
    return JSONResponse({"files": files}, 201, {"Location": f"/v1/files/{refs[0].id}"})


async def _store(here: Gateway, part: UploadFile) -> FileRef:
    async def chunks() -> AsyncIterator[bytes]:
        while piece := await part.read(CHUNK):
            yield piece

    limit = here.settings.max_upload_bytes
    return await here.files.save_stream(part.filename or "file", chunks(), limit)


@router.get("/v1/files")
async def listing(here: Here) -> dict[str, Any]:
    """All stored files, newest first, and the limits of an upload."""
    refs = await asyncio.to_thread(here.files.list)
    return {
        "files": [ref.to_json() for ref in reversed(refs)],
        "limits": {
            "bytes": here.settings.max_upload_bytes,
            "files": here.settings.max_upload_files,
        },
    }


@router.get("/v1/files/{id}")
async def one(id: str, here: Here) -> dict[str, Any]:
    return await file_json(here, here.files.ref(id))


@router.get("/v1/files/{id}/content", response_class=FileResponse)
async def content(id: str, here: Here) -> Response:
    """The file itself. Its bytes are somebody else's: never run, shown in place only when a picture."""
    ref = here.files.ref(id)
    inline = ref.media_type in SHOWN_INLINE
    return FileResponse(
        here.files.path(ref),
        media_type=ref.media_type if inline else "application/octet-stream",
        headers={
            "Content-Disposition": disposition(ref.name, inline=inline),
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "Cache-Control": "private, max-age=3600, immutable",
        },
    )


@router.delete("/v1/files/{id}", status_code=204)
async def delete(id: str, here: Here) -> Response:
    ref = here.files.ref(id)
    here.profiles.forget(ref)
    await asyncio.to_thread(here.files.delete, id)
    return Response(status_code=204)


def disposition(name: str, *, inline: bool = False) -> str:
    """Content-Disposition (RFC 6266) for a file name of any characters; only its last part is told."""
    last = name.replace("\\", "/").rpartition("/")[2] or "file"
    plain = "".join(c if c.isascii() and (c.isalnum() or c in " ._-()") else "_" for c in last)
    kind = "inline" if inline else "attachment"
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(last, safe='')}"
