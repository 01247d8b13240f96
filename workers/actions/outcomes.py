"""What an action ends with."""

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
    Why an action did not do what was wanted.

    `code`: one lower-case word with hyphens. `detail`: a sentence that says what to do, without personal data.
    `status`: the HTTP status that fits. `retry_after_seconds`: set if the same again later may help.
    `more`: what a program can use, `contact_id` for one.
    """

    code: str
    detail: str
    status: int
    retry_after_seconds: float | None = None
    more: dict[str, Any] = {}


class ActionOutcome(msgspec.Struct, frozen=True):
    """
    How an action ended.

    `status`: "done"; "failed", so that nothing was done; "unknown": Intercom may have done it or not.
    `output`: what it gives, see each action; empty unless done.
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


def unknown(code: str, detail: str, **more: Any) -> ActionOutcome:
    """Return that nobody knows."""
    return ActionOutcome("unknown", {}, ActionFailure(code, detail, 504, None, more))


def of_error(error: IntercomError) -> ActionOutcome:
    """Return what an error of Intercom's means to whoever wanted the action, which certainly was not done."""
    request_id = getattr(error, "request_id", None)
    more = {"request_id": request_id} if request_id else {}
    if isinstance(error, TransientError):
        status = 429 if error.not_processed else 502
        return failed("try-again", f"{error} Try again later.", status, error.retry_after_seconds, **more)
    if isinstance(error, NotAuthorizedError):
        return failed("disconnected", str(error), 409, **more)
    if isinstance(error, MergedError):
        return failed("merged", str(error), 410, contact_id=error.into, **more)
    if isinstance(error, NotFoundError):
        return failed("not-found", str(error), 404, **more)
    if isinstance(error, RejectedError):
        return failed("rejected", str(error), 422, intercom_status=error.status, intercom_code=error.code, **more)
    return failed("rejected", str(error), 502, **more)
