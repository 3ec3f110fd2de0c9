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
    """200 when a request would be served: the workspace answers, an expert and a controller live.

    A gateway that has its process to itself answers for itself only: it takes runs in, and gives them to
    whoever watches them, while every worker or controller is being replaced. What it sees is told all the same.
    """
    checks = await _checks(here)
    others = ("experts", "controllers") if here.settings.alone else ()
    fine = all(check == "ok" for name, check in checks.items() if name not in others)
    return JSONResponse(
        {"status": "ok" if fine else "unavailable", "checks": checks}, 200 if fine else 503
    )


async def _checks(here: Gateway) -> dict[str, Any]:
    if here.leaving.is_set():
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
