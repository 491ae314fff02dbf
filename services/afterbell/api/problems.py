"""Errors as RFC 9457 problem details, with a stable ``code`` and the request's id."""

from http import HTTPStatus
from typing import Any, Final

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from afterbell.api.auth.bearer import Unauthenticated
from afterbell.core.errors import (
    AfterbellError,
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    PayloadTooLarge,
    StoreUnavailable,
)
from afterbell.core.problem import PROBLEM_MEDIA_TYPE, problem_details

log = structlog.get_logger(__name__)

RETRY_AFTER_S: Final = 5
_OUR_FAULT: Final = "internal error: the server log has the details under this request id"
_SHOWN_CHARS_MAX: Final = 120
_PLACES: Final = ("body", "path", "query")
ERRORS_MAX: Final = 20

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
    body = orjson.dumps(problem_details(status, code, detail, request_id, **more))
    return Response(body, status_code=status, media_type=PROBLEM_MEDIA_TYPE, headers=headers)


def install(app: FastAPI) -> None:
    """Map every error the API raises."""
    app.add_exception_handler(AfterbellError, _ours)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)


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
    elif status is HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("request_failed", code=error.code, exc_info=error)
    detail = str(error) if status < HTTPStatus.INTERNAL_SERVER_ERROR else _for_outside(error)
    more = {"field": error.field} if isinstance(error, InvalidInput) and error.field else {}
    return problem(status, error.code, detail, request_id=_request_id(request), headers=headers, **more)


def _for_outside(error: AfterbellError) -> str:
    if isinstance(error, StoreUnavailable):
        return f"{error.store} does not answer; nothing was changed. Try again in {RETRY_AFTER_S} seconds."
    return _OUR_FAULT


async def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # registered for this class only
    errors = [{"field": _field(entry), "message": _message(entry)} for entry in error.errors()[:ERRORS_MAX]]
    detail = "; ".join(f"{entry['field']}: {entry['message']}" for entry in errors[:3])
    return problem(
        422, "invalid_input", detail, request_id=_request_id(request), field=errors[0]["field"], errors=errors
    )


def _field(entry: dict[str, Any]) -> str:
    """Where it is wrong. A rule over several fields names its own."""
    if "field" in entry.get("ctx", {}):
        return str(entry["ctx"]["field"])
    parts = [] if entry["type"] == "json_invalid" else [str(part) for part in entry["loc"] if part not in _PLACES]
    # A field nobody knows has the name its sender gave it, however long.
    return ".".join(parts)[:_SHOWN_CHARS_MAX] or "body"


def _message(entry: dict[str, Any]) -> str:
    if entry["type"] == "json_invalid":
        return f"invalid JSON: {entry['ctx']['error']} at character {entry['loc'][1] + 1}"
    if entry["type"] == "model_attributes_type":
        return "expected a JSON object, sent with Content-Type: application/json"
    return str(entry["msg"])


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for this class only
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    headers = dict(error.headers or {})
    return problem(error.status_code, code, str(error.detail), request_id=_request_id(request), headers=headers)


def unexpected(request_id: str) -> Response:
    """The answer where the fault is ours."""
    return problem(500, "internal", _OUR_FAULT, request_id=request_id)
