"""Errors as RFC 9457 problem details, with a stable ``code`` and the request's id."""

from http import HTTPStatus
from typing import Any, Final

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from afterbell.api.auth import Unauthenticated
from afterbell.core.errors import (
    AfterbellError,
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    PayloadTooLarge,
    StoreUnavailable,
)

log = structlog.get_logger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = 5

_STATUS: Final[tuple[tuple[type[AfterbellError], HTTPStatus], ...]] = (
    (PayloadTooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (InvalidInput, HTTPStatus.UNPROCESSABLE_ENTITY),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Forbidden, HTTPStatus.FORBIDDEN),
    (Conflict, HTTPStatus.CONFLICT),
    (Unauthenticated, HTTPStatus.UNAUTHORIZED),
    (StoreUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
)


def problem(
    status: int, code: str, detail: str, *, request_id: str = "", headers: dict[str, str] | None = None, **more: Any
) -> Response:
    """One problem-details answer."""
    body = {
        "type": f"urn:afterbell:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "success": False,
        "requestId": request_id,
        **more,
    }
    return Response(orjson.dumps(body), status_code=status, media_type=MEDIA_TYPE, headers=headers)


def install(app: FastAPI) -> None:
    """Map every error the API raises."""
    app.add_exception_handler(AfterbellError, _ours)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


def _request_id(request: Request) -> str:
    return str(request.scope.get("request_id", ""))


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, AfterbellError)  # noqa: S101  # registered for this class only
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
    headers = {}
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_S)
        log.warning("store_unavailable", error=str(error))
    detail = str(error) if status < HTTPStatus.INTERNAL_SERVER_ERROR else _for_outside(error)
    more = {"field": error.field} if isinstance(error, InvalidInput) and error.field else {}
    return problem(status, error.code, detail, request_id=_request_id(request), headers=headers, **more)


def _for_outside(error: AfterbellError) -> str:
    if isinstance(error, StoreUnavailable):
        return f"{error.store} does not answer; nothing was changed. Try again in {RETRY_AFTER_S} seconds."
    return "something failed on our side; the log has it under this request id"


async def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # registered for this class only
    found = [
        {"field": ".".join(str(part) for part in one["loc"] if part != "body"), "message": _message(one)}
        for one in error.errors()[:20]
    ]
    detail = "; ".join(f"{one['field'] or 'body'}: {one['message']}" for one in found[:3])
    return problem(422, "invalid_input", detail, request_id=_request_id(request), errors=found)


def _message(one: dict[str, Any]) -> str:
    return str(one["msg"]).removeprefix("Value error, ")


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for this class only
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    headers = dict(error.headers or {})
    return problem(error.status_code, code, str(error.detail), request_id=_request_id(request), headers=headers)


async def _unexpected(request: Request, error: Exception) -> Response:
    log.error("request_failed", path=request.url.path, request_id=_request_id(request), exc_info=error)
    return problem(500, "internal", "something failed on our side; the log has it under this request id",
                   request_id=_request_id(request))  # fmt: skip
