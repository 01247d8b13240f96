"""The message about a change, and what the endpoint's response means. Pure, except for the signature library."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
from standardwebhooks import Webhook

from models.queries.change_feed import FeedChange
from models.queries.delivery_rows import DELIVERED, FAILED, WAITING, DeliveryRow
from models.queries.endpoint_rows import DISABLED, EndpointRow

# Seconds between attempts of a delivery: short at first, because most receivers are unavailable for a deployment; the
# last one repeats.
RETRY_DELAYS = (5, 30, 120, 600, 1800, 3600, 7200, 14400)
# How long a delivery is attempted, and how long an endpoint may fail before it is disabled.
RETRY_PERIOD = timedelta(days=1)
# Consecutive failures, of any deliveries, after which an endpoint gets one request at a time, with rests between them.
FAILURES_BEFORE_REST = 3
# Seconds of the longest rest: how late the recovery of an endpoint is noticed.
MAX_REST_SECONDS = 300
# Consecutive failures that an endpoint needs, besides the day, to be disabled: a day may contain a single message.
FAILURES_BEFORE_DISABLE = 5
# Seconds of the longest Retry-After that is followed.
MAX_RETRY_AFTER_SECONDS = 3600
# Digits of a Retry-After header that are parsed.
_MAX_RETRY_AFTER_DIGITS = 9

USER_AGENT = "intercom-mirror"

# Type of the message to an endpoint that was behind for longer than the feed is kept.
RESYNC = "feed.resync"


class DeliveryResult(NamedTuple):
    """
    The result of one attempt.

    `state`, `status`, `error` and `due_at` are those of the row. `disable`: why the endpoint is to be disabled, if so.
    """

    state: str
    status: int | None
    error: str | None
    due_at: datetime | None = None
    disable: str | None = None


def passes_filters(endpoint: EndpointRow, change: FeedChange) -> bool:
    """Return whether an endpoint wants a change; an empty filter lets everything pass."""
    checks = ((endpoint.types, change.object_type), (endpoint.ops, change.op), (endpoint.sources, change.source))
    return all(not wanted or given in wanted for wanted, given in checks)


def change_message(change: FeedChange) -> str:
    """Return the message about a change: ids and names of fields only, so that personal data stays in the tables."""
    data = {**change._asdict(), "at": change.at.isoformat()}
    return _message(f"{change.object_type}.{change.op}", change.at, data)


def resync_message(pruned_through: int, now: datetime) -> str:
    """Return the message that changes up to this seq were deleted: the receiver must read the tables again."""
    return _message(RESYNC, now, {"seq": pruned_through})


def _message(kind: str, at: datetime, data: dict[str, Any]) -> str:
    return msgspec.json.encode({"type": kind, "timestamp": at.isoformat(), "data": data}).decode()


def signed_headers(delivery: DeliveryRow, secrets: Sequence[str], now: datetime) -> dict[str, str]:
    """
    Return the request headers, with a signature for each secret.

    The webhook-id is the same for each attempt; the timestamp is that of this attempt.
    """
    webhook_id = f"msg_{delivery.endpoint_id}_{delivery.change_seq}"
    signatures = [Webhook(secret).sign(webhook_id, now.astimezone(UTC), delivery.body) for secret in secrets]
    return {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def classify_response(delivery: DeliveryRow, status: int, headers: Mapping[str, str], now: datetime) -> DeliveryResult:
    """Return the result of an attempt that had a response: delivered on 2xx, the end on 410, else a retry."""
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return DeliveryResult(DELIVERED, status, None)
    if status == HTTPStatus.GONE:
        gone = "The endpoint responded with status 410: it no longer wants messages."
        return DeliveryResult(FAILED, status, gone, disable=gone)
    hint = " Redirects are not followed." if status < HTTPStatus.BAD_REQUEST else ""
    error = f"The endpoint responded with status {status}.{hint}"
    return retry_or_fail(delivery, status, error, now, _retry_after(headers))


def retry_or_fail(
    delivery: DeliveryRow, status: int | None, error: str, now: datetime, at_least: int = 0
) -> DeliveryResult:
    """
    Return the result of an attempt that failed: a retry, or the end after RETRY_PERIOD.

    Args:
        delivery: the row, whose `attempts` include this one.
        status: of the response, if there was one.
        error: a sentence for the row.
        now: the time.
        at_least: seconds in the Retry-After header of the response; 0 if there is none.
    """
    delay = max(RETRY_DELAYS[min(delivery.attempts, len(RETRY_DELAYS)) - 1], at_least)
    due_at = now + timedelta(seconds=delay)
    if due_at > (delivery.first_tried_at or now) + RETRY_PERIOD:
        return DeliveryResult(FAILED, status, error)
    return DeliveryResult(WAITING, status, error, due_at)


def _retry_after(headers: Mapping[str, str]) -> int:
    value = headers.get("retry-after", "")
    if not (value.isascii() and value.isdigit() and len(value) <= _MAX_RETRY_AFTER_DIGITS):
        return 0
    return min(int(value), MAX_RETRY_AFTER_SECONDS)


def endpoint_update(endpoint: EndpointRow, result: DeliveryResult, now: datetime) -> dict[str, Any]:
    """Return the columns of the endpoint's row that the result of an attempt changes."""
    if result.state == DELIVERED:
        return {"failures": 0, "failing_since": None, "rest_until": None} if endpoint.failures else {}
    failures, since = endpoint.failures + 1, endpoint.failing_since or now
    values: dict[str, Any] = {"failures": failures, "failing_since": since}
    if failures >= FAILURES_BEFORE_REST:
        rest = min(RETRY_DELAYS[min(failures - FAILURES_BEFORE_REST, len(RETRY_DELAYS) - 1)], MAX_REST_SECONDS)
        values["rest_until"] = now + timedelta(seconds=rest)
    reason = result.disable
    if reason is None and failures >= FAILURES_BEFORE_DISABLE and now - since >= RETRY_PERIOD:
        reason = f"It failed {failures} times in a row over a day. Last error: {result.error}"
    return values | ({"status": DISABLED, "reason": reason} if reason else {})
