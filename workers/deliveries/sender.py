"""
Sending what waits: claimed in SQL, called in threads, settled in SQL.

A process that dies between a call and its settling leaves the delivery claimed; when the claim has run out it is sent
again, under the same webhook-id: at least once.
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
from workers.deliveries.endpoint_services import secrets_of
from workers.deliveries.fan_out import fan_out, theirs
from workers.deliveries.http_post import PostError, PostReply
from workers.deliveries.webhook_message import Verdict
from workers.runtime import process
from workers.runtime.feed_watch import FeedWatch, shared_feed_watch

log = structlog.get_logger()

# Calls under way at the same time, in all and to one endpoint: a slow one leaves room for the others.
THREADS = 16
AT_ONCE = 4
# Seconds that a claim lasts: a name may take 15 to resolve, three addresses 15 to connect, and a call 15. It is also
# how late after a crash what was under way is sent again.
CLAIM_SECONDS = 60

# Called with address, body and headers; see `workers.deliveries.http_post`.
Post = Callable[[str, bytes, Mapping[str, str]], PostReply]

_NOT_THEIRS = "The workspace is not connected any more, so nothing of it is told."


class Call(NamedTuple):
    """A delivery that was claimed, with what it is sent with."""

    endpoint: EndpointRow
    delivery: DeliveryRow
    secrets: list[str]


class DeliverySender:
    """Sends in threads of its own; use it as a context, whose end waits for the calls under way and settles them."""

    def __init__(self, engine: Engine, reader: Engine, post: Post) -> None:
        self._engine = engine
        self._reader = reader
        self._post = post
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="delivery")
        self._calls: dict[Future[Verdict], Call] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            while self._calls:
                self.settle(None)
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)

    @property
    def busy(self) -> bool:
        """Whether calls are under way."""
        return bool(self._calls)

    def begin(self, endpoint: EndpointRow) -> int:
        """Begin what is due of an endpoint, as far as there is room; returns how many calls."""
        now = datetime.now(UTC)
        under_way = sum(call.endpoint.id == endpoint.id for call in self._calls.values())
        most = 1 if endpoint.failures >= webhook_message.RESTS_FROM else AT_ONCE
        room = min(most - under_way, THREADS - len(self._calls))
        if room <= 0 or (endpoint.rest_until is not None and endpoint.rest_until > now):
            return 0
        with self._reader.connect() as connection:
            # A claim holds a row, or on SQLite everybody up, so it is not made in vain all the time.
            if not delivery_rows.any_due(connection, endpoint.id, now):
                return 0
        claimed = self._claim(endpoint, room, now)
        for call in claimed:
            self._calls[self._pool.submit(_call, self._post, call)] = call
        return len(claimed)

    def settle(self, seconds: float | None) -> int:
        """Wait for a call to end, that long at most, and write down all that ended; returns how many."""
        done = wait(self._calls, seconds, FIRST_COMPLETED).done
        ended = [(self._calls.pop(each), each.result()) for each in done]
        if ended:
            with transaction(self._engine) as connection:
                now = datetime.now(UTC)
                for call, verdict in sorted(ended, key=lambda each: (each[0].endpoint.id, each[0].delivery.id)):
                    _settle(connection, call, verdict, now)
        return len(ended)

    def _claim(self, endpoint: EndpointRow, room: int, now: datetime) -> list[Call]:
        with transaction(self._engine) as connection:
            found = endpoint_rows.find(connection, endpoint.id, lock=True)
            if found is None or found.status != ENABLED:
                return []
            try:
                secrets = secrets_of(found, now)
            except VaultError:
                reason = "No key in TOKEN_ENCRYPTION_KEYS opens its secret. Rotate it, then enable it."
                endpoint_rows.update_columns(connection, found.id, status=endpoint_rows.DISABLED, reason=reason)
                return []
            allowed = theirs(connection, found)
            until = now + timedelta(seconds=CLAIM_SECONDS)
            claimed = delivery_rows.claim(connection, found.id, room, now, until)
            open_ = [each for each in claimed if allowed is None or each.workspace_id in (*allowed, "")]
            for each in set(claimed) - set(open_):
                ended = {"state": delivery_rows.FAILED, "error": _NOT_THEIRS, "ended_at": now}
                delivery_rows.record_attempt(connection, each, **ended)
            return [Call(found, each, secrets) for each in open_]


def _call(post: Post, call: Call) -> Verdict:
    delivery = call.delivery
    headers = webhook_message.headers_of(delivery, call.secrets, datetime.now(UTC))
    try:
        answer = post(call.endpoint.url, delivery.body.encode(), headers)
    except PostError as error:
        return webhook_message.failure(delivery, None, str(error), datetime.now(UTC))
    return webhook_message.judge(delivery, answer.status, answer.headers, datetime.now(UTC))


def _settle(connection: Connection, call: Call, verdict: Verdict, now: datetime) -> None:
    ended = None if verdict.state == delivery_rows.WAITING else now
    values = {"state": verdict.state, "status": verdict.status, "error": verdict.error, "ended_at": ended}
    due = {} if verdict.due_at is None else {"due_at": verdict.due_at}
    endpoint = endpoint_rows.find(connection, call.endpoint.id, lock=True)
    delivery_rows.record_attempt(connection, call.delivery, **values, **due)
    if endpoint is None:
        return
    after = webhook_message.state_after(endpoint, verdict, now)
    if after:
        endpoint_rows.update_columns(connection, endpoint.id, **after)
    if endpoint.failures >= webhook_message.RESTS_FROM and not after.get("failures", 1):
        delivery_rows.make_due(connection, endpoint.id, now)
    if "status" in after:
        log.warning("an endpoint is disabled", endpoint=endpoint.id, reason=after["reason"])


# Seconds that a turn takes; the beat rings meanwhile, so one turn follows the other. It ends with the calls under way,
# which is what a worker that is asked to stop waits for at most.
TURN_SECONDS = 5.0
# Seconds until what is due is looked for again where no change wakes us before.
LOOK_SECONDS = 0.5
# Seconds between looks while calls are under way: how long the next delivery of an object waits at most.
BUSY_SECONDS = 0.05


def run_once() -> None:
    """Work for a turn with this process's own tools."""
    work(process.engine(), process.reader(), post, shared_feed_watch(), time.monotonic() + TURN_SECONDS)


def work(engine: Engine, reader: Engine, post: Post, watch: FeedWatch, until: float) -> None:
    """Tell the endpoints what they want to hear, until that moment of the monotonic clock."""
    with DeliverySender(engine, reader, post) as sender:
        while True:
            mark = watch.mark()
            found = _enabled(reader)
            more = [fan_out(engine, reader, each, datetime.now(UTC)) for each in found]
            begun = [sender.begin(each) for each in found]
            settled = sender.settle(BUSY_SECONDS) if sender.busy else 0
            if time.monotonic() >= until or not (found or sender.busy):
                return
            if not (any(more) or any(begun) or settled or sender.busy):
                watch.wait(mark, min(LOOK_SECONDS, max(until - time.monotonic(), 0)))


def post(url: str, body: bytes, headers: Mapping[str, str]) -> PostReply:
    """Call an endpoint; see `workers.deliveries.http_post`."""
    return http_post.post(url, body, headers, allow_private=get_settings().allow_private_targets)


def _enabled(reader: Engine) -> list[EndpointRow]:
    with reader.connect() as connection:
        return endpoint_rows.list_enabled(connection)
