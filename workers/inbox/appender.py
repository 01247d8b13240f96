"""
The appender writes notifications to the inbox: one per web process, in its event loop.

Notifications that arrive at the same time share one round trip to Redis and one fsync. The algorithm:

1.  `append()` puts the notification on the waiting list and returns a future. If no flush is running, it starts one.
2.  A flush takes a batch from the waiting list. It leaves out, and refuses, each notification whose deadline is too
    close for a whole round trip.
3.  It sends the batch as one script call: add the entries to the stream, set the doorbell key, add the counters.
4.  If the doorbell key was not set before, it has the doorbell message sent.
5.  It resolves each future with the id of its entry. It goes on with step 2 until the waiting list is empty.
6.  If the call fails or takes longer than FLUSH_SECONDS, every waiting notification is refused. From then on
    `append()` refuses at once, without waiting for Redis.
7.  A monitor probes Redis regularly. After a failure it first closes the connections. The first write or ping that
    succeeds ends the refusals.

Only one flush runs at a time. While Redis writes one batch to disk the next one collects, so batches grow with the load
by themselves, and a single notification never waits for others to come.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from settings import get_settings
from settings.units import MS_PER_SECOND
from workers.celery import app
from workers.inbox import doorbell
from workers.inbox.doorbell import DOORBELL_MILLISECONDS
from workers.runtime.counters import APPENDED, PROBES, PendingCounts, count
from workers.runtime.redis_clients import loop_client
from workers.runtime.redis_keys import COUNTERS, DOORBELL, INBOX

log = structlog.get_logger()

# Seconds for one script call, connecting included. A healthy disk needs milliseconds. After a second without a reply,
# Redis hangs or the connection is broken, and Intercom, which waits 5 s, must get its 503 in time.
FLUSH_SECONDS = 1.0

# Seconds from the arrival of a request to the response, whatever happens. Intercom waits 5; the network takes some.
RESPONSE_SECONDS = 3.0

# Seconds, sent as Retry-After. Intercom itself retries after a minute; other senders may be quicker.
RETRY_AFTER_SECONDS = 5

# Limits of one batch, so that Redis writes it well within FLUSH_SECONDS.
MAX_BATCH_ENTRIES = 1_000
MAX_BATCH_BYTES = 8 * 1024 * 1024

# Bytes that may wait in this process. The next notification is refused, so that a slow disk cannot use up the memory.
MAX_WAITING_BYTES = 64 * 1024 * 1024

# Seconds between probes of Redis. While Redis works: often enough to find a broken connection before a notification
# does. After a failure: often enough to accept notifications again soon.
PROBE_SECONDS = 1.0
PROBE_SECONDS_AFTER_FAILURE = 0.25

# Appends a batch. One script is one command and one reply, and one write to the append-only file. Compared with a
# pipeline of XADDs (16 connections), the web process spends 0.04 ms less on each notification.
# ARGV: the doorbell's expiry in milliseconds; the number of counters; the counters (field, amount); the entries (t, b).
_APPEND_SCRIPT = """
local inbox, doorbell, counters = KEYS[1], KEYS[2], KEYS[3]
local first_entry = 3 + 2 * tonumber(ARGV[2])
local ids = {}
for i = first_entry, #ARGV, 2 do
    ids[#ids + 1] = redis.call('XADD', inbox, '*', 't', ARGV[i], 'b', ARGV[i + 1])
end
local doorbell_set = #ids > 0 and redis.call('SET', doorbell, '1', 'NX', 'PX', ARGV[1])
for i = 3, first_entry - 1, 2 do
    redis.call('HINCRBY', counters, ARGV[i], ARGV[i + 1])
end
return {doorbell_set and 1 or 0, ids}
"""
_SCRIPT_KEYS = [INBOX, DOORBELL, COUNTERS]


class InboxRefusedError(Exception):
    """Redis did not accept the notification, or may not have. Respond 503; sending it again is harmless."""

    def __init__(self, reason: str, retry_after_seconds: int = RETRY_AFTER_SECONDS) -> None:
        super().__init__(f"The inbox does not accept notifications: {reason}.")
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


class PendingAppend(NamedTuple):
    """
    A notification on the waiting list.

    Args:
        body: as received.
        received_ms: time of arrival, in milliseconds since 1970.
        deadline: when its sender must have a response, in the event loop's time.
        done: gets the id of the stream entry, or InboxRefusedError.
    """

    body: bytes
    received_ms: int
    deadline: float
    done: asyncio.Future[str]


class Appender:
    """
    Writes notifications to the inbox; see the module's docstring for the algorithm.

    Create it inside the running loop, after any fork.

    Args:
        redis: a client that does not retry, and that connects well within FLUSH_SECONDS.
        send_doorbell: called in the loop when the doorbell message must be sent; must not block.
    """

    def __init__(self, redis: "Redis", send_doorbell: Callable[[], None]) -> None:
        self.pending_counts = PendingCounts()
        self._redis = redis
        self._script: _Script = redis.register_script(_APPEND_SCRIPT)
        self._send_doorbell = send_doorbell
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[PendingAppend] = deque()
        self._waiting_bytes = 0
        # Why notifications are refused at the moment; None while Redis works.
        self._refusal: str | None = None
        # Ids of entries that the next summary in the log covers.
        self._unlogged: list[str] = []
        self._flush_task: asyncio.Task[None] | None = None
        self._monitor_task = self._loop.create_task(self._monitor())

    def append(self, body: bytes, received_at: float, deadline: float) -> asyncio.Future[str]:
        """
        Append a notification to the inbox; never blocks.

        Args:
            body: the request body exactly as received.
            received_at: time of arrival, in seconds since 1970.
            deadline: when its sender must have a response, in the event loop's time.

        Returns:
            A future with the id of the stream entry. It is set once the entry is as durable as Redis's settings make
            it, or raises InboxRefusedError.

        Raises:
            InboxRefusedError: Redis failed and does not work again yet, or too much is waiting for it.
        """
        if self._refusal is not None:
            raise InboxRefusedError(self._refusal)
        if self._waiting_bytes + len(body) > MAX_WAITING_BYTES:
            raise InboxRefusedError("too much is waiting for Redis")
        pending = PendingAppend(body, int(received_at * MS_PER_SECOND), deadline, self._loop.create_future())
        self._waiting.append(pending)
        self._waiting_bytes += len(body)
        if self._flush_task is None:
            self._flush_task = self._loop.create_task(self._flush())
        return pending.done

    async def close(self) -> None:
        """Append what waits, write the last counters, and close the connections."""
        self._monitor_task.cancel()
        if self._flush_task is not None:
            await asyncio.wait([self._flush_task])
        if self.pending_counts and self._refusal is None:
            await self._send([])
        await self._redis.aclose()

    async def _flush(self, *, probe: bool = False) -> None:
        try:
            if probe:
                await self._probe()
            while self._waiting:
                if batch := self._next_batch():
                    await self._send(batch)
        finally:
            self._flush_task = None

    def _next_batch(self) -> list[PendingAppend]:
        earliest_deadline = self._loop.time() + FLUSH_SECONDS
        batch: list[PendingAppend] = []
        size = 0
        while self._waiting and len(batch) < MAX_BATCH_ENTRIES and size < MAX_BATCH_BYTES:
            pending = self._waiting.popleft()
            size += len(pending.body)
            if pending.deadline >= earliest_deadline:
                batch.append(pending)
            else:
                _refuse(pending, "Redis is slow")
        self._waiting_bytes -= size
        return batch

    async def _send(self, batch: list[PendingAppend]) -> None:
        """Append a batch together with the pending counters; an empty batch writes the counters alone."""
        counts = self.pending_counts.take()
        all_counts = [*counts, (APPENDED, len(batch))] if batch else counts
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                doorbell_set, ids = await _append_batch(self._script, batch, all_counts)
        except (Exception, asyncio.CancelledError) as error:
            # Whatever the error is, every waiting request gets a response. Redis may have added the counters all the
            # same; counting some twice is better than losing them.
            self.pending_counts.restore(counts)
            self._refuse_all(batch, error)
            if isinstance(error, asyncio.CancelledError):
                raise
        else:
            if doorbell_set:
                self._send_doorbell()
            self._accept(batch, ids)

    def _accept(self, batch: list[PendingAppend], ids: list[str]) -> None:
        previous_refusal, self._refusal = self._refusal, None
        for pending, entry_id in zip(batch, ids, strict=True):
            if not pending.done.done():
                pending.done.set_result(entry_id)
        self._unlogged += ids
        if previous_refusal is not None:
            log.warning("inbox accepts notifications again")
        if log.is_enabled_for(logging.DEBUG):
            for entry_id in ids:
                log.debug("notification appended", entry=entry_id)

    def _refuse_all(self, batch: list[PendingAppend], error: BaseException) -> None:
        previous_refusal, self._refusal = self._refusal, _describe(error)
        for pending in (*batch, *self._waiting):
            _refuse(pending, self._refusal)
        self._waiting.clear()
        self._waiting_bytes = 0
        if self._refusal != previous_refusal:
            # One line for each kind of failure, not for each probe that meets it.
            log.error("inbox refuses notifications", reason=self._refusal)

    async def _monitor(self) -> None:
        while True:
            if self._flush_task is None:
                self._flush_task = self._loop.create_task(self._flush(probe=True))
            self._log_appended()
            await asyncio.sleep(PROBE_SECONDS if self._refusal is None else PROBE_SECONDS_AFTER_FAILURE)

    async def _probe(self) -> None:
        if self._refusal is not None:
            # This counter makes the probe a write: a Redis that only serves reads must not count as working.
            count(self.pending_counts, PROBES)
            await self._disconnect()
        if self.pending_counts:
            await self._send([])
            return
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._redis.ping()
        except Exception as error:  # noqa: BLE001 -- whatever the error is, this Redis does not work
            self._refuse_all([], error)

    async def _disconnect(self) -> None:
        # The host name in the URL may resolve to another server by now. After a failover, the old server would reply
        # READONLY for as long as the connection is kept.
        with suppress(Exception):
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._redis.connection_pool.disconnect()

    def _log_appended(self) -> None:
        # One line a second instead of one per notification; the id of each entry lies between the first and the last.
        ids, self._unlogged = self._unlogged, []
        if ids:
            log.info("notifications appended", count=len(ids), first_entry=ids[0], last_entry=ids[-1])


async def open_appender() -> Appender:
    """Return a new appender for the running loop, with the Redis and the broker of the settings."""
    sender = doorbell.DoorbellSender(lambda: doorbell.publish(app))
    return Appender(loop_client(get_settings().redis_url), sender.request)


class _Script(Protocol):
    """A script bound to one Redis, as redis-py's `register_script` returns it."""

    def __call__(self, keys: Any, args: Any) -> Awaitable[Any]:
        """Run the script."""


async def _append_batch(
    script: _Script, batch: Sequence[PendingAppend], counts: Iterable[tuple[str, int]]
) -> tuple[bool, list[str]]:
    """
    Append entries in their order, and add to counters.

    Returns:
        Whether this call set the doorbell key, so that the caller must send the message; the ids of the entries.

    Raises:
        ValueError: the reply was garbled on its way. As with the errors of redis-py, the entries may have been
            appended all the same.
    """
    count_args = [argument for field_and_amount in counts for argument in field_and_amount]
    args: list[Any] = [DOORBELL_MILLISECONDS, len(count_args) // 2, *count_args]
    for pending in batch:
        args += (pending.received_ms, pending.body)
    doorbell_set, ids = await script(_SCRIPT_KEYS, args)
    if len(ids) != len(batch):
        raise ValueError(f"Redis returned {len(ids)} ids for {len(batch)} entries.")
    return bool(doorbell_set), [entry_id.decode() for entry_id in ids]


def _refuse(pending: PendingAppend, reason: str) -> None:
    if not pending.done.done():
        pending.done.set_exception(InboxRefusedError(reason))


def _describe(error: BaseException) -> str:
    if isinstance(error, ResponseError):
        # The reply may quote the request, so only its first word is kept, which is the error code.
        return f"Redis responded {str(error).partition(' ')[0]}"
    if isinstance(error, TimeoutError):
        return "Redis did not respond in time"
    if isinstance(error, RedisError | OSError):
        return f"Redis is unreachable: {error}"
    return f"internal error in the appender ({type(error).__name__})"
