"""
How an action ended.

Outcomes are stored in `action_keys.outcome`, so the names of the fields are part of the stored data.
"""

from http import HTTPStatus
from typing import Any, Literal

import msgspec

from intercom_api.errors import (
    IntercomError,
    MergedError,
    NotAuthorizedError,
    NotFoundError,
    RejectedError,
    TransientError,
)


class ActionFailure(msgspec.Struct, frozen=True):
    """
    Why an action was not performed.

    `code`: one lower-case word with hyphens. `detail`: a sentence with what to do next, without personal data.
    `status`: the HTTP status of the error. `retry_after_seconds`: set if the same call may succeed later.
    `more`: data for programs, such as `contact_id`.
    """

    code: str
    detail: str
    status: int
    retry_after_seconds: float | None = None
    more: dict[str, Any] = {}


class ActionOutcome(msgspec.Struct, frozen=True):
    """
    The result of an action.

    `status`: "done"; "failed", which means that nothing was changed; "unknown", which means that Intercom may or may
    not have performed it. `output`: see each action; empty unless done.
    """

    status: Literal["done", "failed", "unknown"]
    output: dict[str, Any] = {}
    error: ActionFailure | None = None


def done(output: dict[str, Any]) -> ActionOutcome:
    """Return a success."""
    return ActionOutcome("done", output)


def failed(code: str, detail: str, status: int, retry_after_seconds: float | None = None, **more: Any) -> ActionOutcome:
    """Return a failure; see `ActionFailure`."""
    return ActionOutcome("failed", {}, ActionFailure(code, detail, status, retry_after_seconds, more))


def unknown(detail: str) -> ActionOutcome:
    """Return an unknown outcome: the request was sent, and there was no response."""
    return ActionOutcome("unknown", {}, ActionFailure("unknown", detail, HTTPStatus.GATEWAY_TIMEOUT))


def from_error(error: IntercomError) -> ActionOutcome:
    """Return the failure for an error of the Intercom client. Call it only if nothing was changed in Intercom."""
    request_id = getattr(error, "request_id", None)
    more = {"request_id": request_id} if request_id else {}
    if isinstance(error, TransientError):
        status = HTTPStatus.TOO_MANY_REQUESTS if error.not_processed else HTTPStatus.BAD_GATEWAY
        return failed("try-again", f"{error} Try again later.", status, error.retry_after_seconds, **more)
    if isinstance(error, NotAuthorizedError):
        return failed("disconnected", str(error), HTTPStatus.CONFLICT, **more)
    if isinstance(error, MergedError):
        return failed("merged", str(error), HTTPStatus.GONE, contact_id=error.into, **more)
    if isinstance(error, NotFoundError):
        return failed("not-found", str(error), HTTPStatus.NOT_FOUND, **more)
    if isinstance(error, RejectedError):
        details: dict[str, Any] = {"intercom_status": error.status, "intercom_code": error.code, **more}
        return failed("rejected", str(error), HTTPStatus.UNPROCESSABLE_ENTITY, **details)
    return failed("rejected", str(error), HTTPStatus.BAD_GATEWAY, **more)
