"""
The errors of the API: each is an error list with one entry.

Source:
    Intercom's OpenAPI description 2.16, schema `error`.
"""

from collections.abc import Mapping
from typing import Any

BAD_REQUEST = 400
UNAUTHORIZED = 401
NOT_FOUND = 404
CONFLICT = 409
GONE = 410
UNPROCESSABLE = 422
TOO_MANY = 429
SERVER_ERROR = 500


class ApiError(Exception):
    """
    An error response.

    Attributes:
        status: the HTTP status.
        code: the code of the entry.
        message: the message of the entry. It imitates Intercom's and may contain ids.
        headers: headers that the response has in addition.
    """

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


def error_list(code: str, message: str, request_id: str | None) -> dict[str, Any]:
    """Return the body of an error response."""
    return {"type": "error.list", "request_id": request_id, "errors": [{"code": code, "message": message}]}


def bad_request(message: str, code: str = "bad_request") -> ApiError:
    """Make a 400."""
    return ApiError(BAD_REQUEST, code, message)


def parameter_invalid(message: str) -> ApiError:
    """Make the 400 for an impossible value."""
    return bad_request(message, "parameter_invalid")


def not_found(message: str = "Resource Not Found", code: str = "not_found") -> ApiError:
    """Make a 404."""
    return ApiError(NOT_FOUND, code, message)


def contact_not_found() -> ApiError:
    """Make the 404 of a contact."""
    return not_found("User Not Found")


def company_not_found() -> ApiError:
    """Make the 404 of a company."""
    return not_found("Company Not Found", "company_not_found")


def unauthorized(message: str = "Access Token Invalid", code: str = "unauthorized") -> ApiError:
    """Make a 401."""
    return ApiError(UNAUTHORIZED, code, message)
