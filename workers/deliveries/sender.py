"""
The delivery sender: claims deliveries in SQL, sends them in threads, and records the results in SQL.

A process that crashes between a request and its record leaves the delivery claimed. When the claim ends, the delivery
is sent again under the same webhook-id: at least once.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Self

import structlog
from sqlalchemy import Connection, Engine

from models.db.engine import transaction
from models.queries import delivery_rows, endpoint_rows
from models.queries.delivery_rows import DeliveryRow
from models.queries.endpoint_rows import ENABLED, EndpointRow
from settings import get_settings
from workers.connections.vault import VaultError
from workers.deliveries import http_post, webhook_message
from workers.deliveries.endpoint_services import signing_secrets
from workers.deliveries.fan_out import fan_out, visible_workspaces
from workers.deliveries.http_post import PostError, PostReply
from workers.deliveries.webhook_message import DeliveryResult
from workers.runtime import process_resources
from workers.runtime.feed_watch import FeedWatch, shared_feed_watch

log = structlog.get_logger()

# Requests at a time, in total and to one endpoint, so that a slow endpoint leaves threads to the others.
THREADS = 16
CALLS_PER_ENDPOINT = 4
# Seconds that a claim lasts: resolving a name may take 15, connecting to three addresses 15, and a request 15. It is
# also how long after a crash the requests in progress are sent again.
CLAIM_SECONDS = 60
# Seconds of one run of the task; Celery beat sends the next message meanwhile, so one run follows the other. It ends
# with the requests in progress, which is the longest that a worker takes to stop.
RUN_SECONDS = 5.0
# Seconds until due deliveries are looked for again if no change wakes the sender before.
POLL_SECONDS = 0.5
# Seconds between polls while requests are in progress: how long the next delivery of an object waits at most.
BUSY_POLL_SECONDS = 0.05

# Called with URL, body and headers; see `workers.deliveries.http_post`.
Post = Callable[[str, bytes, Mapping[str, str]], PostReply]

_NOT_CONNECTED = "The workspace is no longer connected, so its changes are not sent."


def run_once() -> None:
    """Send deliveries for RUN_SECONDS with this process's own connections."""
    deadline = time.monotonic() + RUN_SECONDS
    run_until(process_resources.engine(), process_resources.reader(), post_to_endpoint, shared_feed_watch(), deadline)


def run_until(engine: Engine, reader: Engine, post: Post, watch: FeedWatch, deadline: float) -> None:
    """
    Send deliveries until a moment of `time.monotonic`.

    1. Read the enabled endpoints.
    2. Make the next deliveries of each from the feed (`fan_out`).
    3. Claim the due deliveries of each endpoint, at most one of each object, and send them in threads.
    4. Record the results of the requests that have ended, waiting a moment for the first.
    5. Stop if the deadline has passed, or if no endpoint is enabled and no request is in progress.
    6. If the round had nothing to do, wait until the feed grows or POLL_SECONDS have passed. Then start again at 1.

    At the end it waits for the requests in progress and records their results.
    """
    with DeliverySender(engine, reader, post) as sender:
        while True:
            mark = watch.mark()
            endpoints = _enabled_endpoints(reader)
            more_changes = [fan_out(engine, reader, each, datetime.now(UTC)) for each in endpoints]
            started = [sender.send_due(each) for each in endpoints]
            recorded = sender.record_results(BUSY_POLL_SECONDS) if sender.is_busy else 0
            if time.monotonic() >= deadline or not (endpoints or sender.is_busy):
                return
            if not (any(more_changes) or any(started) or recorded or sender.is_busy):
                watch.wait(mark, min(POLL_SECONDS, max(deadline - time.monotonic(), 0)))


def post_to_endpoint(url: str, body: bytes, headers: Mapping[str, str]) -> PostReply:
    """Send a request to an endpoint; see `workers.deliveries.http_post`."""
    return http_post.post(url, body, headers, allow_private=get_settings().allow_private_targets)


def _enabled_endpoints(reader: Engine) -> list[EndpointRow]:
    with reader.connect() as connection:
        return endpoint_rows.list_enabled(connection)


class DeliveryCall(NamedTuple):
    """A claimed delivery, its endpoint, and the secrets that sign it."""

    endpoint: EndpointRow
    delivery: DeliveryRow
    secrets: list[str]


class DeliverySender:
    """
    Sends deliveries in its own threads.

    Use it as a context manager: leaving it waits for the requests in progress and records their results.
    """

    def __init__(self, engine: Engine, reader: Engine, post: Post) -> None:
        self._engine = engine
        self._reader = reader
        self._post = post
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="delivery")
        self._calls: dict[Future[DeliveryResult], DeliveryCall] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            while self._calls:
                self.record_results(None)
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)

    @property
    def is_busy(self) -> bool:
        """Whether requests are in progress."""
        return bool(self._calls)

    def send_due(self, endpoint: EndpointRow) -> int:
        """Claim the due deliveries of an endpoint, as many as may be in progress, and start to send them."""
        now = datetime.now(UTC)
        in_progress = sum(call.endpoint.id == endpoint.id for call in self._calls.values())
        limit = 1 if endpoint.failures >= webhook_message.FAILURES_BEFORE_REST else CALLS_PER_ENDPOINT
        free = min(limit - in_progress, THREADS - len(self._calls))
        if free <= 0 or (endpoint.rest_until is not None and endpoint.rest_until > now):
            return 0
        with self._reader.connect() as connection:
            # A claim locks a row, and on SQLite the whole database, so it is only made if it may find something.
            if not delivery_rows.any_due(connection, endpoint.id, now):
                return 0
        claimed = self._claim(endpoint, free, now)
        for call in claimed:
            self._calls[self._pool.submit(_send, self._post, call)] = call
        return len(claimed)

    def record_results(self, seconds: float | None) -> int:
        """
        Wait for a request to end, and record the results of all that have ended.

        Args:
            seconds: to wait at most; None: no limit.

        Returns:
            How many were recorded.
        """
        done = wait(self._calls, seconds, FIRST_COMPLETED).done
        ended = [(self._calls.pop(each), each.result()) for each in done]
        if ended:
            with transaction(self._engine) as connection:
                now = datetime.now(UTC)
                # Endpoint rows are locked in the order of their ids, so that two processes cannot deadlock.
                for call, result in sorted(ended, key=lambda each: (each[0].endpoint.id, each[0].delivery.id)):
                    _record(connection, call, result, now)
        return len(ended)

    def _claim(self, endpoint: EndpointRow, limit: int, now: datetime) -> list[DeliveryCall]:
        with transaction(self._engine) as connection:
            current = endpoint_rows.find(connection, endpoint.id, lock=True)
            if current is None or current.status != ENABLED:
                return []
            try:
                secrets = signing_secrets(current, now)
            except VaultError:
                reason = "No key in TOKEN_ENCRYPTION_KEYS decrypts its secret. Rotate the secret, then enable it."
                endpoint_rows.update_columns(connection, current.id, status=endpoint_rows.DISABLED, reason=reason)
                return []
            workspaces = visible_workspaces(connection, current)
            until = now + timedelta(seconds=CLAIM_SECONDS)
            claimed = delivery_rows.claim(connection, current.id, limit, now, until)
            allowed = [each for each in claimed if workspaces is None or each.workspace_id in (*workspaces, "")]
            for each in set(claimed) - set(allowed):
                ended = {"state": delivery_rows.FAILED, "error": _NOT_CONNECTED, "ended_at": now}
                delivery_rows.record_attempt(connection, each, **ended)
            return [DeliveryCall(current, each, secrets) for each in allowed]


def _send(post: Post, call: DeliveryCall) -> DeliveryResult:
    delivery = call.delivery
    headers = webhook_message.signed_headers(delivery, call.secrets, datetime.now(UTC))
    try:
        reply = post(call.endpoint.url, delivery.body.encode(), headers)
    except PostError as error:
        return webhook_message.retry_or_fail(delivery, None, str(error), datetime.now(UTC))
    return webhook_message.classify_response(delivery, reply.status, reply.headers, datetime.now(UTC))


def _record(connection: Connection, call: DeliveryCall, result: DeliveryResult, now: datetime) -> None:
    ended = None if result.state == delivery_rows.WAITING else now
    values = {"state": result.state, "status": result.status, "error": result.error, "ended_at": ended}
    due = {} if result.due_at is None else {"due_at": result.due_at}
    endpoint = endpoint_rows.find(connection, call.endpoint.id, lock=True)
    delivery_rows.record_attempt(connection, call.delivery, **values, **due)
    if endpoint is None:
        return
    update = webhook_message.endpoint_update(endpoint, result, now)
    if update:
        endpoint_rows.update_columns(connection, endpoint.id, **update)
    if endpoint.failures >= webhook_message.FAILURES_BEFORE_REST and not update.get("failures", 1):
        # It has recovered: what waits for it is sent now.
        delivery_rows.make_due(connection, endpoint.id, now)
    if "status" in update:
        log.warning("endpoint disabled", endpoint=endpoint.id, reason=update["reason"])
