"""Errors on the wire, in one shape: {"error": {"code", "message", "fault", "retryable"}}.

Paths of the OpenAI protocol answer in that protocol's shape instead.
"""

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from pointsman.router.errors import (
    ApprovalConflict,
    ApprovalError,
    ApprovalNotFound,
    BudgetExceeded,
    CatalogError,
    ExpertError,
    ExpertOverloaded,
    ExpertTimeout,
    NoExpert,
    NothingToRerun,
    PlanError,
    PointsmanError,
    RequestError,
    RequestTooLong,
    RunNotFound,
    RunNotOver,
    RunOver,
    SlotConflict,
    UnknownFile,
    WorkspaceUnavailable,
)
from pointsman.router.events import Fault
from pointsman.services.access.door import refusal_headers
from pointsman.services.access.errors import AccessRefused

log = logging.getLogger(__name__)

OPENAI_PATHS = ("/v1/chat/", "/v1/models", "/v1/responses", "/v1/embeddings")

STATUS: tuple[tuple[type[PointsmanError], int], ...] = (
    (UnknownFile, 404),
    (RunNotFound, 404),
    (ApprovalNotFound, 404),
    (RunOver, 409),
    (RunNotOver, 409),
    (ApprovalConflict, 409),
    (SlotConflict, 409),
    (RequestTooLong, 413),
    (RequestError, 422),
    (PlanError, 422),
    (CatalogError, 422),
    (NothingToRerun, 422),
    (ApprovalError, 422),
    (BudgetExceeded, 422),
    (NoExpert, 503),
    (ExpertOverloaded, 503),
    (WorkspaceUnavailable, 503),
    (ExpertTimeout, 504),
)


ABOUT = {
    401: "The API key is not valid.",
    404: "It is not there.",
    409: "It is not in a state in which this can be done.",
    422: "What was sent cannot be taken.",
}


def faults(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For the description of a route: the errors that it answers with."""
    example = {"code": "", "message": "", "fault": "caller", "retryable": False}
    shape = {"application/json": {"example": {"error": example}}}
    return {s: {"description": ABOUT[s], "content": shape} for s in statuses}


class NotFound(RequestError):
    """A thing named by the path that is not there."""

    code = "request.not-found"


class TooLarge(RequestError):
    code = "request.too-large"


class HostRefused(RequestError):
    code = "request.host-refused"


def status_of(error: PointsmanError) -> int:
    """The HTTP status of an error: the first class in STATUS that it is an instance of."""
    if isinstance(error, NotFound):
        return 404
    if isinstance(error, TooLarge):
        return 413
    if isinstance(error, HostRefused):
        return 403
    if isinstance(error, AccessRefused):
        return error.status
    for cls, status in STATUS:
        if isinstance(error, cls):
            return status
    if isinstance(error, ExpertError):
        return 422 if error.fault == "caller" else 502
    return 500


def error_body(path: str, fault: Fault, status: int, param: str | None = None) -> dict[str, Any]:
    """The JSON of an error, in the shape of the protocol that the path belongs to."""
    if path.startswith(OPENAI_PATHS):
        kind = "invalid_request_error" if 400 <= status < 500 else "server_error"
        return {
            "error": {"message": fault.message, "type": kind, "param": param, "code": fault.code}
        }
    return {
        "error": {
            "code": fault.code,
            "message": fault.message,
            "fault": fault.fault,
            "retryable": fault.retryable,
        }
    }


def error_response(
    path: str,
    fault: Fault,
    status: int,
    *,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    return JSONResponse(
        error_body(path, fault, status, param), status, headers=dict(headers or {}) or None
    )


def install(app: FastAPI) -> None:
    """Sets the conversion of every error that leaves a route."""

    @app.exception_handler(PointsmanError)
    async def ours(request: Request, error: PointsmanError) -> Response:
        status = status_of(error)
        if status >= 500:
            log.warning("%s %s: %s", request.method, request.url.path, error)
        headers = {"Retry-After": "1"} if status == 503 else {}
        if isinstance(error, AccessRefused):
            headers = refusal_headers(error)
        path = request.url.path
        return error_response(path, Fault.of(error), status, headers=headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        fault, param = _fault_of(error)
        status = 400 if request.url.path.startswith(OPENAI_PATHS) else 422
        return error_response(request.url.path, fault, status, param=param)

    @app.exception_handler(HTTPException)
    async def framework(request: Request, error: HTTPException) -> Response:
        path = request.url.path
        words = {
            404: f"there is nothing at {path!r}",
            405: f"{request.method} is not a method of {path!r}",
        }
        message = words.get(error.status_code, str(error.detail))
        code = TooLarge.code if error.status_code == 413 else f"http.{error.status_code}"
        fault = Fault(code, message, "caller")
        return error_response(path, fault, error.status_code, headers=error.headers)

    # The border of the API: whatever else a route raises becomes a 500 that tells nothing of the inside.
    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        fault = Fault("internal", "something went wrong here; it was logged", "us", True)
        return error_response(request.url.path, fault, 500)


def _fault_of(error: RequestValidationError) -> tuple[Fault, str | None]:
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        why = first.get("ctx", {}).get("error", "")
        return Fault(
            "request.not-json", f"the body is not JSON: {why}".rstrip(": "), "caller"
        ), None
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    message = f"{where}: {first['msg']}" if where else str(first["msg"])
    return Fault("request.invalid", message, "caller"), where or None
