"""Reads Intercom's HTTP responses: each becomes a `Reply` or an error of `intercom_api.errors`. Sends nothing."""

import re
import time
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import msgspec
import requests
from requests.structures import CaseInsensitiveDict

from intercom_api.errors import (
    ConflictError,
    MergedError,
    NotAuthorizedError,
    NotFoundError,
    PermanentError,
    RejectedError,
    ScrollRequiredError,
    TransientError,
)
from intercom_api.rate_limit.lanes import WINDOW_SECONDS
from intercom_api.wire.json_body import decode
from settings.units import MS_PER_SECOND

# Seconds before a retry where a failed response has no Retry-After; most random failures end sooner.
RETRY_PAUSE_SECONDS = 1.0
# Seconds; a longer Retry-After may be wrong, so it is cut to this.
LONGEST_PAUSE_SECONDS = 300.0

SCROLL_REQUIRED = "Pages reach only 10,000 companies. Scroll to list the others."

# What is safe to repeat in an error's message: Intercom's codes and request ids, and nothing that a person wrote.
_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
# The id of the other object in a conflict is only in the message.
_EXISTING = re.compile(r"\bid=([A-Za-z0-9_-]{1,255})")
_CONTACT = re.compile(r"/contacts/([A-Za-z0-9_-]{1,255})/?(?:$|[?#])")

# The remedy for each error code that has one.
_ADVICE = {
    "api_plan_restricted": "The workspace's plan does not include this. Its owner can change the plan.",
    "action_forbidden": "The app lacks a permission for this. Grant it in the Developer Hub, then connect again.",
    "forbidden": "The app lacks a permission for this. Grant it in the Developer Hub, then connect again.",
    "token_unauthorized": "The app lacks a permission for this. Grant it in the Developer Hub, then connect again.",
    "intercom_version_invalid": "Intercom does not know the version in INTERCOM_VERSION.",
    "conflict": "Another object already has these details.",
}
_ADVICE_OF_STATUS: dict[int, str] = {
    HTTPStatus.NOT_FOUND: "The response is not Intercom's own. Check INTERCOM_API_URL and any proxies in between.",
    HTTPStatus.PAYMENT_REQUIRED: _ADVICE["api_plan_restricted"],
    HTTPStatus.FORBIDDEN: "The app lacks a permission, or the workspace does not allow this IP address.",
}


class Reply(msgspec.Struct, frozen=True):
    """
    A successful response.

    Attributes:
        status: the HTTP status.
        headers: all of them.
        json: the body; an empty object where Intercom sends none on purpose (202, 204).
        as_of_ms: unix milliseconds at which the content was still true: Intercom's time less the request's duration.
        request_id: Intercom's id of the request; None if it gave none.
    """

    status: int
    headers: CaseInsensitiveDict[str]
    json: dict[str, Any]
    as_of_ms: int
    request_id: str | None


def parse(response: requests.Response, duration: float) -> Reply:
    """
    Parse a response that arrived completely.

    Args:
        response: as requests returned it.
        duration: seconds from the first byte of the request to the last byte of the response.

    Raises:
        TransientError: 5xx, 429, 408, or a body that is not a JSON object.
        PermanentError: every other refusal, by its class in `intercom_api.errors`.
    """
    body = _object(response.content)
    as_of_ms = _as_of_ms(response.headers.get("Date"), duration)
    if not response.ok or response.status_code >= HTTPStatus.MULTIPLE_CHOICES:
        raise _error(response, body or {}, as_of_ms)
    if body is None:
        if response.status_code == HTTPStatus.OK or response.content:
            raise TransientError("Intercom's response has no readable body.", RETRY_PAUSE_SECONDS)
        body = {}
    return Reply(response.status_code, response.headers, body, as_of_ms, _request_id(response.headers, body))


def successful_reply(status: int, headers: CaseInsensitiveDict[str], content: bytes, duration: float) -> Reply | None:
    """Return the reply for a 2xx response whose body is an object; else None. `duration` as for `parse`."""
    body = _object(content)
    if body is None or not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return None
    return Reply(status, headers, body, _as_of_ms(headers.get("Date"), duration), _request_id(headers, body))


def error_code(content: bytes) -> str:
    """Return Intercom's error code in the body of a refusal; "unknown" if there is none."""
    return _code(_object(content) or {})


def _object(content: bytes) -> dict[str, Any] | None:
    """Return the body as an object; None if it is not one."""
    try:
        body = decode(content)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _as_of_ms(date: str | None, duration: float) -> int:
    try:
        now = parsedate_to_datetime(date).timestamp() if date else time.time()
    except ValueError:
        now = time.time()
    return int((now - duration) * MS_PER_SECOND)


# The two statuses of 4xx after which a retry may succeed.
_RETRYABLE_4XX = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT})


def _error(response: requests.Response, body: dict[str, Any], as_of_ms: int) -> TransientError | PermanentError:
    status, request_id, code = response.status_code, _request_id(response.headers, body), _code(body)
    if status in _RETRYABLE_4XX or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _transient(response, request_id)
    if status == HTTPStatus.UNAUTHORIZED:
        return NotAuthorizedError(code, request_id)
    if status == HTTPStatus.GONE and (into := _survivor(response)):
        return MergedError(into, request_id, as_of_ms=as_of_ms)
    # Without Intercom's own error list, a 404 more likely means a wrong address than a missing object.
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE) and "errors" in body:
        return NotFoundError("Intercom has no such object.", request_id, as_of_ms=as_of_ms, code=code)
    return _rejected(status, code, request_id, str(_first_error(body).get("message")))


def _transient(response: requests.Response, request_id: str | None) -> TransientError:
    if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        # After this time the current window has ended.
        pause = _retry_after(response, WINDOW_SECONDS)
        return TransientError("Intercom's rate limit is reached.", pause, request_id=request_id, not_processed=True)
    pause = _retry_after(response, RETRY_PAUSE_SECONDS)
    return TransientError(f"Intercom failed ({response.status_code}).", pause, request_id=request_id)


def _rejected(status: int, code: str, request_id: str | None, text: str) -> RejectedError:
    if code == "bad_request" and "scroll api" in text.lower():
        return ScrollRequiredError(SCROLL_REQUIRED, status, code, request_id)
    if status == HTTPStatus.CONFLICT:
        match = _EXISTING.search(text)
        archived = text.lower().startswith("an archived")
        return ConflictError(code, request_id, match[1] if match else None, archived=archived)
    advice = _ADVICE.get(code) or _ADVICE_OF_STATUS.get(status, "Look up the code in Intercom's documentation.")
    return RejectedError(f"Intercom refuses the request ({status}, {code}). {advice}", status, code, request_id)


def _first_error(body: dict[str, Any]) -> dict[str, Any]:
    errors = body.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else body
    return first if isinstance(first, dict) else {}


def _code(body: dict[str, Any]) -> str:
    # Some of Intercom's responses name the code "type".
    error = _first_error(body)
    code = error.get("code") or error.get("type")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else "unknown"


def _request_id(headers: CaseInsensitiveDict[str], body: dict[str, Any]) -> str | None:
    value = body.get("request_id") or headers.get("X-Request-Id")
    return value if isinstance(value, str) and _REQUEST_ID.fullmatch(value) else None


def _retry_after(response: requests.Response, default: float) -> float:
    value = response.headers.get("Retry-After", "")
    return min(float(value), LONGEST_PAUSE_SECONDS) if value.isascii() and value.isdigit() else default


def _survivor(response: requests.Response) -> str | None:
    match = _CONTACT.search(response.links.get("canonical", {}).get("url", ""))
    return match[1] if match else None
