"""What an endpoint is told, and what its answer means. Pure, but for the signature's library."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
from standardwebhooks import Webhook

from models.queries.change_feed import FeedChange
from models.queries.delivery_rows import DeliveryRow
from models.queries.endpoint_rows import EndpointRow

# Seconds from one try of a delivery to the next: soon at first, as most receivers are away for a deployment; then each
# of the last again and again.
PAUSES = (5, 30, 120, 600, 1800, 3600, 7200, 14400)
# How long a delivery is tried, and an endpoint that answers nothing is believed in.
TRIED_FOR = timedelta(days=1)
# Failures in a row, of whatever deliveries, from which on an endpoint is asked with one at a time, and rests between.
RESTS_FROM = 3
# Seconds that it rests at most: how late it is noticed that it is back.
LONGEST_REST = 300
# Failures in a row that an endpoint must have before it is disabled; a day alone may hold one message.
DISABLED_FROM = 5
# Seconds that an answer's Retry-After is believed.
LONGEST_RETRY_AFTER = 3600

USER_AGENT = "intercom-mirror"

# What an endpoint is told that was away for longer than the feed is kept.
RESYNC = "feed.resync"


class Verdict(NamedTuple):
    """What becomes of a delivery: `state` as in its row; `disable`: why its endpoint is to be told nothing more."""

    state: str
    status: int | None
    error: str | None
    due_at: datetime | None = None
    disable: str | None = None


def wants(endpoint: EndpointRow, change: FeedChange) -> bool:
    """Tell whether a line passes an endpoint's filters; an empty one lets everything pass."""
    checks = ((endpoint.types, change.object_type), (endpoint.ops, change.op), (endpoint.sources, change.source))
    return all(not wanted or given in wanted for wanted, given in checks)


def body_of(change: FeedChange) -> str:
    """Write a line as a message: ids and names of fields, so that what is personal stays in the tables."""
    data = {**change._asdict(), "at": change.at.isoformat()}
    return _message(f"{change.object_type}.{change.op}", change.at, data)


def resync_body(pruned: int, now: datetime) -> str:
    """Write that lines up to a number are gone: the tables are to be read anew."""
    return _message(RESYNC, now, {"seq": pruned})


def _message(kind: str, at: datetime, data: dict[str, Any]) -> str:
    return msgspec.json.encode({"type": kind, "timestamp": at.isoformat(), "data": data}).decode()


def headers_of(delivery: DeliveryRow, secrets: Sequence[str], now: datetime) -> dict[str, str]:
    """Sign with each secret; the id is the same for every try, the time is that of this one."""
    identity = f"msg_{delivery.endpoint_id}_{delivery.change_seq}"
    signatures = [Webhook(secret).sign(identity, now.astimezone(UTC), delivery.body) for secret in secrets]
    return {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "webhook-id": identity,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def judge(delivery: DeliveryRow, status: int, headers: Mapping[str, str], now: datetime) -> Verdict:
    """Say what an answer means."""
    if HTTPStatus(200) <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Verdict("delivered", status, None)
    if status == HTTPStatus.GONE:
        gone = "The endpoint answered 410: it wants no more."
        return Verdict("failed", status, gone, disable=gone)
    hint = " Redirects are not followed." if status < HTTPStatus.BAD_REQUEST else ""
    return failure(delivery, status, f"The endpoint answered {status}.{hint}", now, _retry_after(headers))


def failure(delivery: DeliveryRow, status: int | None, error: str, now: datetime, at_least: int = 0) -> Verdict:
    """Say when a delivery is tried again, or that its time is over."""
    pause = max(PAUSES[min(delivery.attempts, len(PAUSES)) - 1], at_least)
    due_at = now + timedelta(seconds=pause)
    if due_at > (delivery.first_tried_at or now) + TRIED_FOR:
        return Verdict("failed", status, error)
    return Verdict("waiting", status, error, due_at)


def _retry_after(headers: Mapping[str, str]) -> int:
    given = headers.get("retry-after", "")
    return min(int(given), LONGEST_RETRY_AFTER) if given.isascii() and given.isdigit() and len(given) < 10 else 0  # noqa: PLR2004 -- digits


def state_after(endpoint: EndpointRow, verdict: Verdict, now: datetime) -> dict[str, Any]:
    """Return what changes in an endpoint's row by how a delivery went."""
    if verdict.state == "delivered":
        return {"failures": 0, "failing_since": None, "rest_until": None} if endpoint.failures else {}
    failures, since = endpoint.failures + 1, endpoint.failing_since or now
    values: dict[str, Any] = {"failures": failures, "failing_since": since}
    if failures >= RESTS_FROM:
        rest = min(PAUSES[min(failures - RESTS_FROM, len(PAUSES) - 1)], LONGEST_REST)
        values["rest_until"] = now + timedelta(seconds=rest)
    reason = verdict.disable
    if reason is None and failures >= DISABLED_FROM and now - since >= TRIED_FOR:
        reason = f"It failed {failures} times in a row, for a day. The last time: {verdict.error}"
    return values | ({"status": "disabled", "reason": reason} if reason else {})
