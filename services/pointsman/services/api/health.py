"""Whether the gateway lives, whether the whole can serve, and its metrics."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from pointsman.router.errors import WorkspaceUnavailable
from pointsman.services.api.gateway import Gateway, Here

router = APIRouter(tags=["health"])


@router.get("/livez")
async def live() -> dict[str, str]:
    """This server answers; nothing else is looked at."""
    return {"status": "ok"}


@router.get("/readyz")
async def ready(here: Here) -> JSONResponse:
    """200 when a request would be served: the workspace answers, an expert and a controller live."""
    checks = await _checks(here)
    fine = all(check == "ok" for check in checks.values())
    return JSONResponse(
        {"status": "ok" if fine else "unavailable", "checks": checks}, 200 if fine else 503
    )


async def _checks(here: Gateway) -> dict[str, Any]:
    if here.closing.is_set():
        return {"server": "stopping"}
    try:
        await here.workspace.ping()
        experts = await here.workspace.experts()
        controllers = await here.workspace.controllers()
    except WorkspaceUnavailable as error:
        return {"workspace": error.message}
    return {
        "workspace": "ok",
        "experts": "ok" if experts else "no expert is live",
        "controllers": "ok" if controllers else "no controller is live",
    }


@router.get("/metrics", response_class=Response)
async def metrics(here: Here) -> Response:
    """Prometheus' text format."""
    body = await here.telemetry.text(here.workspace)
    return Response(body, media_type=here.telemetry.content_type)
