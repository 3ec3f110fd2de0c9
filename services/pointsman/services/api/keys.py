"""API keys, what they have spent, and the audit log: for keys with the scope `admin`. And the page's log-in."""

import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from pointsman.router.workspace.access import Key, Limits, day_of
from pointsman.services.access.acts import listed, made, revoked, rotated
from pointsman.services.access.door import COOKIE
from pointsman.services.access.errors import KeyUnknown
from pointsman.services.access.keys import ORDINARY, read_token
from pointsman.services.api.errors import NotFound, faults
from pointsman.services.api.gateway import Here

router = APIRouter(tags=["access"])

Cap = Annotated[int, Field(ge=0, le=1 << 53)] | None
LONGEST = 10 * 366 * 86_400.0


class KeyIn(BaseModel):
    """What a key is to be. seconds: until it expires; without it, never. cost: micro-dollars a day (UTC);
    tokens and calls a day; rate: requests a minute."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=100)]
    tenant: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")] = "default"
    scopes: Annotated[list[str], Field(max_length=20)] = list(ORDINARY)
    seconds: Annotated[float, Field(gt=0, le=LONGEST)] | None = None
    cost: Cap = None
    tokens: Cap = None
    calls: Cap = None
    rate: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


class RotateIn(BaseModel):
    """overlap: seconds for which the secret before is good too."""

    model_config = ConfigDict(extra="forbid")

    overlap: Annotated[float, Field(ge=0, le=30 * 86_400)] = 86_400.0


class SessionIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    key: Annotated[str, Field(max_length=200)]


@router.get("/v1/keys")
async def listing(here: Here) -> dict[str, Any]:
    """All keys, oldest first, with what each has spent today; no secret is kept that could be shown."""
    return {"keys": await listed(here.workspace.access, day_of(time.time()))}


@router.post("/v1/keys", status_code=201, responses=faults(422))
async def add(body: KeyIn, here: Here) -> JSONResponse:
    """Makes a key; `token` is what is to be sent, and is told this once. Raises BadKey."""
    limits = Limits(body.cost, body.tokens, body.calls, body.rate)
    expires = None if body.seconds is None else time.time() + body.seconds
    key, token = await made(
        here.workspace.access,
        body.name,
        by=here.caller.name,
        tenant=body.tenant,
        scopes=body.scopes,
        expires=expires,
        limits=limits,
    )
    return JSONResponse({**key.to_json(), "token": token}, 201, {"Cache-Control": "no-store"})


@router.post("/v1/keys/{key}/rotate", responses=faults(404))
async def rotate(key: str, here: Here, body: RotateIn | None = None) -> JSONResponse:
    """Another secret under the same key; the one before is good for a while."""
    overlap = (body or RotateIn()).overlap
    token = await rotated(here.workspace.access, key, by=here.caller.name, overlap=overlap)
    if token is None:
        raise NotFound(f"there is no key {key!r}")
    return JSONResponse({"id": key, "token": token}, headers={"Cache-Control": "no-store"})


@router.delete("/v1/keys/{key}", status_code=204, responses=faults(404))
async def revoke(key: str, here: Here) -> Response:
    """From the next request on the key opens nothing."""
    if not await revoked(here.workspace.access, key, by=here.caller.name):
        raise NotFound(f"there is no key {key!r}")
    return Response(status_code=204)


@router.get("/v1/audit")
async def audit(
    here: Here,
    kind: Literal["act", "refusal"] = "act",
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> dict[str, Any]:
    """What administrators did, or what was refused, newest first; `at` is seconds since the epoch."""
    return {"entries": await here.workspace.access.notes(kind, limit=limit)}


@router.post("/v1/session", status_code=204, responses=faults(401))
async def log_in(body: SessionIn, request: Request, here: Here) -> Response:
    """Keeps a key in a cookie that scripts cannot read, for the page; it goes with the browser's session."""
    read = read_token(body.key)
    found = await here.workspace.access.key(read[0]) if read else None
    if read is None or not _opens(found, read[1]):
        raise KeyUnknown
    response = Response(status_code=204)
    forwarded = request.headers.get("x-forwarded-proto", request.url.scheme)
    response.set_cookie(
        COOKIE, body.key, httponly=True, samesite="strict", secure=forwarded == "https"
    )
    return response


def _opens(key: Key | None, digest: str) -> bool:
    return key is not None and key.digest == digest and key.live(time.time())
