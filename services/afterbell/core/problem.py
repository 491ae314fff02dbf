"""The shape of an error over HTTP (RFC 9457), for whoever answers: the API, and the server before it."""

from http import HTTPStatus
from typing import Any, Final

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"


def problem_details(status: int, code: str, detail: str, request_id: str, **more: Any) -> dict[str, Any]:
    """The members of one problem; ``code`` is stable, ``more`` are the problem's own."""
    return {
        "type": f"urn:afterbell:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "success": False,
        "requestId": request_id,
        **more,
    }
