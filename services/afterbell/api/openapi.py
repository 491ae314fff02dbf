"""The OpenAPI document as clients are promised it: what FastAPI derives, with our tokens, problems and request ids."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from afterbell.core.problem import PROBLEM_MEDIA_TYPE

_ERRORS_FROM: Final = 400
_METHODS: Final = ("get", "put", "post", "patch", "delete")
# Ours are problem details; FastAPI documents its own shape for them where it is not told.
_UNUSED: Final = ("HTTPValidationError", "ValidationError")
_TOKEN: Final = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "HS256; claims sub, tenant, role (student, tutor, parent, staff, admin), exp, "
    "and students (a parent's children)",
}
_HEADERS: Final[dict[str, dict[str, Any]]] = {
    "X-Request-Id": {"description": "The request's id: the client's own, or a new one", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}},
    "WWW-Authenticate": {"description": "Bearer", "schema": {"type": "string"}},
}
_OF_STATUS: Final = {"401": ("WWW-Authenticate",), "503": ("Retry-After",)}


def describe(app: FastAPI) -> None:
    """Let ``app`` answer this document."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way to change it


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = document["components"]
    components["securitySchemes"] = {"token": _TOKEN}
    components["headers"] = _HEADERS
    for name in _UNUSED:
        components["schemas"].pop(name, None)
    document["security"] = [{"token": []}]
    for path in document["paths"].values():
        for method in _METHODS:
            for status, response in path.get(method, {}).get("responses", {}).items():
                _finish(status, response)
    return document


def _finish(status: str, response: dict[str, Any]) -> None:
    names = ("X-Request-Id", *_OF_STATUS.get(status, ()))
    response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    content = response.get("content", {})
    if int(status) >= _ERRORS_FROM and "application/json" in content:
        content[PROBLEM_MEDIA_TYPE] = content.pop("application/json")
