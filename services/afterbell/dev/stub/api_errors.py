"""Errors in OpenAI's own envelope."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)  # not frozen: raising one sets its traceback
class ApiError(Exception):
    """An answer with a status of 400 or more."""

    status: int
    message: str
    type: str = "invalid_request_error"
    code: str | None = None
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def envelope(self) -> dict[str, Any]:
        """The body: ``{"error": {message, type, param, code}}``."""
        parts = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return {"error": parts}


def missing(parameter: str) -> ApiError:
    """The error for a required parameter that is not there."""
    text = f"Missing required parameter: '{parameter}'."
    return ApiError(400, text, code="missing_required_parameter", param=parameter)


def invalid(parameter: str, message: str, code: str = "invalid_value") -> ApiError:
    """The error for a parameter that has a value it cannot have."""
    return ApiError(400, message, code=code, param=parameter)
