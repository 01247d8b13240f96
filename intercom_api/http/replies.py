"""What an HTTP answer of Intercom's means. Nothing here asks for anything: an answer in, a Reply or an error out."""

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
from intercom_api.wire.json_body import decode
from settings.units import MS_PER_SECOND

# Seconds. Intercom counts in windows of ten; any of them has ended by then.
WINDOW_SECONDS = 10.0
# Seconds to leave a server alone that failed without saying for how long; a random failure is over sooner.
RETRY_PAUSE_SECONDS = 1.0
# Seconds; a server that names a longer pause is asked again all the same, as it may be wrong.
LONGEST_PAUSE_SECONDS = 300.0

SCROLL_REQUIRED = "Pages reach 10,000 companies only. Scroll to reach the others."

# What is safe to repeat in an error's text: Intercom's codes and request ids, and nothing that a person wrote.
_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
# Only the text of a conflict tells which object it is with.
_EXISTING = re.compile(r"\bid=([A-Za-z0-9_-]{1,255})")
_CONTACT = re.compile(r"/contacts/([A-Za-z0-9_-]{1,255})/?(?:$|[?#])")

# For the codes that a person can do something about: what.
_ADVICE = {
    "api_plan_restricted": "The workspace's plan does not include this. Its owner can change the plan.",
    "action_forbidden": "The app lacks a permission for this. Grant it in the Developer Hub, then connect again.",
    "forbidden": "The app lacks a permission for this. Grant it in the Developer Hub, then connect again.",
    "token_unauthorized": "The app lacks a permission for this. Grant it in the Developer Hub, then connect again.",
    "intercom_version_invalid": "INTERCOM_VERSION names a version that Intercom does not know.",
    "conflict": "Another object has these details already.",
}
_ADVICE_OF_STATUS: dict[int, str] = {
    HTTPStatus.NOT_FOUND: "That was not Intercom's own answer. Look at INTERCOM_API_URL, and at proxies in between.",
    HTTPStatus.PAYMENT_REQUIRED: _ADVICE["api_plan_restricted"],
    HTTPStatus.FORBIDDEN: "The app lacks a permission, or the workspace does not let this address in.",
}


class Reply(msgspec.Struct, frozen=True):
    """
    A good answer.

    `as_of_ms`: unix milliseconds at which what it tells was still true: Intercom's time less the request's duration.
    `json`: its body; an empty object where Intercom answers with none on purpose (202, 204).
    """

    status: int
    headers: CaseInsensitiveDict[str]
    json: dict[str, Any]
    as_of_ms: int
    request_id: str | None


def read(response: requests.Response, duration: float) -> Reply:
    """
    Read an answer that arrived whole.

    Args:
        response: as requests returned it.
        duration: seconds from the request's first byte to the answer's last.

    Raises:
        TransientError: 5xx, 429, or a body that is none.
        PermanentError: every other refusal, by its class in `intercom_api.errors`.
    """
    body = _object(response.content)
    as_of_ms = _as_of_ms(response.headers.get("Date"), duration)
    if not response.ok or response.status_code >= HTTPStatus.MULTIPLE_CHOICES:
        raise _error(response, body or {}, as_of_ms)
    if body is None:
        if response.status_code == HTTPStatus.OK or response.content:
            raise TransientError("Intercom answered without a readable body.", RETRY_PAUSE_SECONDS)
        body = {}
    return Reply(response.status_code, response.headers, body, as_of_ms, _request_id(response, body))


def successful_reply(status: int, headers: CaseInsensitiveDict[str], content: bytes, duration: float) -> Reply | None:
    """Return a good answer whose body is an object; None for any other one. `duration` as for `read`."""
    body = _object(content)
    if body is None or not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return None
    return Reply(status, headers, body, _as_of_ms(headers.get("Date"), duration), _safe_id(headers, body))


def error_code(content: bytes) -> str:
    """Return Intercom's code in the body of a refusal, "unknown" if there is none."""
    return _code(_object(content) or {})


def _object(content: bytes) -> dict[str, Any] | None:
    """Return the object that an answer's body is, None if it is none."""
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


# The two of the 4xx that say "not now".
_LATER = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT})


def _error(response: requests.Response, body: dict[str, Any], as_of_ms: int) -> TransientError | PermanentError:
    status, request_id, code = response.status_code, _request_id(response, body), _code(body)
    if status in _LATER or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _later(response, request_id)
    if status == HTTPStatus.UNAUTHORIZED:
        return NotAuthorizedError(code, request_id)
    if status == HTTPStatus.GONE and (into := _survivor(response)):
        return MergedError(into, request_id, as_of_ms=as_of_ms)
    # Without Intercom's own words, a 404 more likely tells of a wrong address than of an object.
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE) and "errors" in body:
        return NotFoundError("Intercom has no such object.", request_id, as_of_ms=as_of_ms, code=code)
    return _rejected(status, code, request_id, str(_first_error(body).get("message")))


def _later(response: requests.Response, request_id: str | None) -> TransientError:
    if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        pause = _retry_after(response, WINDOW_SECONDS)
        return TransientError("Intercom's rate limit is reached.", pause, request_id=request_id, not_processed=True)
    pause = _retry_after(response, RETRY_PAUSE_SECONDS)
    return TransientError(f"Intercom failed ({response.status_code}).", pause, request_id=request_id)


def _rejected(status: int, code: str, request_id: str | None, text: str) -> RejectedError:
    if code == "bad_request" and "scroll api" in text.lower():
        return ScrollRequiredError(SCROLL_REQUIRED, status, code, request_id)
    if status == HTTPStatus.CONFLICT:
        found = _EXISTING.search(text)
        archived = text.lower().startswith("an archived")
        return ConflictError(code, request_id, found[1] if found else None, archived=archived)
    advice = _ADVICE.get(code) or _ADVICE_OF_STATUS.get(status, "Look the code up in Intercom's documentation.")
    return RejectedError(f"Intercom refuses ({status}, {code}). {advice}", status, code, request_id)


def _first_error(body: dict[str, Any]) -> dict[str, Any]:
    errors = body.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else body
    return first if isinstance(first, dict) else {}


def _code(body: dict[str, Any]) -> str:
    # Some answers of Intercom's call the code "type".
    error = _first_error(body)
    code = error.get("code") or error.get("type")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else "unknown"


def _request_id(response: requests.Response, body: dict[str, Any]) -> str | None:
    return _safe_id(response.headers, body)


def _safe_id(headers: CaseInsensitiveDict[str], body: dict[str, Any]) -> str | None:
    value = body.get("request_id") or headers.get("X-Request-Id")
    return value if isinstance(value, str) and _REQUEST_ID.fullmatch(value) else None


def _retry_after(response: requests.Response, otherwise: float) -> float:
    value = response.headers.get("Retry-After", "")
    return min(float(value), LONGEST_PAUSE_SECONDS) if value.isascii() and value.isdigit() else otherwise


def _survivor(response: requests.Response) -> str | None:
    found = _CONTACT.search(response.links.get("canonical", {}).get("url", ""))
    return found[1] if found else None
