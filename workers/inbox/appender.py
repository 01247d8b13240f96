"""
The way into the inbox: notifications that arrive at the same time share one round trip to Redis, and one fsync.

    append() ──> waiting ──> one script call ──> ids of the entries ──> each request that waits is told
                 (fills while the last
                 batch is away)

One batch is away at a time. While Redis writes it to disk the next one collects, so batches grow by themselves
under load, and a lone notification waits for nobody. After one failure everybody is refused at once, until a small
write succeeds.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from workers.inbox.script import SCRIPT, Script, append_batch
from workers.runtime.counters import APPENDED, PROBES, PendingCounts, count

log = structlog.get_logger()

# Seconds that one batch may take, connecting included. A healthy disk needs milliseconds; after a second of
# silence Redis hangs or the connection is dead, and Intercom, which waits 5 s, must hear a 503 in time.
FLUSH_SECONDS = 1.0

# Seconds from the arrival of a request to our answer, whatever happens: Intercom waits 5, the network takes some.
ANSWER_SECONDS = 3.0

# What we ask the sender to wait. Intercom's own retry comes after a minute; others may be quicker.
RETRY_AFTER_SECONDS = 5

# One batch stays below these, so that Redis writes it well within FLUSH_SECONDS.
MAX_BATCH_ENTRIES = 1_000
MAX_BATCH_BYTES = 8 * 1024 * 1024

# What may wait in this process: beyond it the next one is refused, so that a slow disk cannot eat all memory.
MAX_WAITING_BYTES = 64 * 1024 * 1024

# Seconds between looks at Redis. While it is well, often enough to find a dead connection before a notification
# does; while it is not, often enough to be back soon.
WELL_SECONDS = 1.0
UNWELL_SECONDS = 0.25


class InboxRefusedError(Exception):
    """Redis did not take the notification, or may not have. Answer 503; sending it again is harmless."""

    def __init__(self, reason: str, retry_after_seconds: int = RETRY_AFTER_SECONDS) -> None:
        super().__init__(f"The inbox takes no notifications: {reason}.")
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


class PendingAppend(NamedTuple):
    """One notification that waits: `deadline` is in the loop's time, `done` gets the id of its stream entry."""

    body: bytes
    received_ms: int
    deadline: float
    done: asyncio.Future[str]


class Appender:
    """
    The inbox's entrance, for one event loop in one process; made inside the running loop, after any fork.

    Args:
        redis: a client that does not retry and connects well within FLUSH_SECONDS.
        ring: called in the loop when nobody has rung the doorbell yet; must not block.
    """

    def __init__(self, redis: "Redis", ring: Callable[[], None]) -> None:
        self.pending_counts = PendingCounts()
        self._redis = redis
        self._script: Script = redis.register_script(SCRIPT)
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[PendingAppend] = deque()
        self._waiting_bytes = 0
        self._trouble: str | None = None
        self._unreported: list[str] = []
        self._working: asyncio.Task[None] | None = None
        self._looking = self._loop.create_task(self._look_forever())

    def append(self, body: bytes, received_at: float, deadline: float) -> asyncio.Future[str]:
        """
        Put a notification into the inbox; never blocks.

        Args:
            body: the raw body.
            received_at: when it arrived, seconds since 1970.
            deadline: when its sender must have an answer, in the event loop's time.

        Returns:
            Becomes the id of the stream entry once that is as safe as Redis's settings make it, or raises
            InboxRefusedError.

        Raises:
            InboxRefusedError: Redis failed and is not back yet, or too much is waiting for it.
        """
        if self._trouble is not None:
            raise InboxRefusedError(self._trouble)
        if self._waiting_bytes + len(body) > MAX_WAITING_BYTES:
            raise InboxRefusedError("too much is waiting for Redis")
        entry = PendingAppend(body, int(received_at * 1000), deadline, self._loop.create_future())
        self._waiting.append(entry)
        self._waiting_bytes += len(body)
        if self._working is None:
            self._working = self._loop.create_task(self._work())
        return entry.done

    async def close(self) -> None:
        """Finish what waits, hand in the last numbers, and leave Redis."""
        self._looking.cancel()
        if self._working is not None:
            await asyncio.wait([self._working])
        if self.pending_counts and self._trouble is None:
            await self._send([])
        await self._redis.aclose()

    async def _work(self, *, probe: bool = False) -> None:
        # Only one of these tasks exists at a time, so one batch is away at a time.
        try:
            if probe:
                await self._probe()
            while self._waiting:
                if batch := self._next_batch():
                    await self._send(batch)
        finally:
            self._working = None

    def _next_batch(self) -> list[PendingAppend]:
        # An entry is sent only if a whole FLUSH_SECONDS fits before its deadline, so no answer comes too late.
        earliest_deadline = self._loop.time() + FLUSH_SECONDS
        batch: list[PendingAppend] = []
        size = 0
        while self._waiting and len(batch) < MAX_BATCH_ENTRIES and size < MAX_BATCH_BYTES:
            entry = self._waiting.popleft()
            size += len(entry.body)
            if entry.deadline >= earliest_deadline:
                batch.append(entry)
            else:
                _refuse(entry, "Redis is slow")
        self._waiting_bytes -= size
        return batch

    async def _send(self, batch: list[PendingAppend]) -> None:
        taken = self.pending_counts.take()
        numbers = [*taken, (APPENDED, len(batch))] if batch else taken
        entries = [(entry.received_ms, entry.body) for entry in batch]
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                rang, ids = await append_batch(self._script, entries, numbers)
        except (Exception, asyncio.CancelledError) as error:
            # Whatever it was, every request that waits gets an answer. Redis may have added the numbers all the
            # same; adding some twice is better than never.
            self.pending_counts.give_back(taken)
            self._refuse_all(batch, error)
            if isinstance(error, asyncio.CancelledError):
                raise
        else:
            if rang:
                self._ring()
            self._accept(batch, ids)

    def _accept(self, batch: list[PendingAppend], ids: list[str]) -> None:
        before, self._trouble = self._trouble, None
        for entry, entry_id in zip(batch, ids, strict=True):
            if not entry.done.done():
                entry.done.set_result(entry_id)
        self._unreported += ids
        if before is not None:
            log.warning("inbox is back")
        if log.is_enabled_for(logging.DEBUG):
            for entry_id in ids:
                log.debug("notification appended", entry=entry_id)

    def _refuse_all(self, batch: list[PendingAppend], error: BaseException) -> None:
        before, self._trouble = self._trouble, _sentence(error)
        for entry in (*batch, *self._waiting):
            _refuse(entry, self._trouble)
        self._waiting.clear()
        self._waiting_bytes = 0
        if self._trouble != before:
            # Once for each kind of trouble, not for each probe that meets it.
            log.error("inbox refuses", reason=self._trouble)

    async def _look_forever(self) -> None:
        while True:
            if self._working is None:
                self._working = self._loop.create_task(self._work(probe=True))
            self._report()
            await asyncio.sleep(WELL_SECONDS if self._trouble is None else UNWELL_SECONDS)

    async def _probe(self) -> None:
        if self._trouble is not None:
            count(self.pending_counts, PROBES)
            await self._hang_up()
        if self.pending_counts:
            await self._send([])
            return
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._redis.ping()
        except Exception as error:  # noqa: BLE001 -- whatever it is, this Redis is not well
            self._refuse_all([], error)

    async def _hang_up(self) -> None:
        # The name in the URL may mean another server by now: after a failover the old one would say READONLY for ever.
        with suppress(Exception):
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._redis.connection_pool.disconnect()

    def _report(self) -> None:
        # One line a second instead of one per notification: an entry's id lies between the first and the last.
        ids, self._unreported = self._unreported, []
        if ids:
            log.info("notifications appended", count=len(ids), first_entry=ids[0], last_entry=ids[-1])


def _refuse(entry: PendingAppend, reason: str) -> None:
    if not entry.done.done():
        entry.done.set_exception(InboxRefusedError(reason))


def _sentence(error: BaseException) -> str:
    # An error reply may quote what we sent, so only its first word, which is its code, is kept.
    if isinstance(error, ResponseError):
        return f"Redis says {str(error).partition(' ')[0]}"
    if isinstance(error, TimeoutError):
        return "Redis does not answer in time"
    if isinstance(error, RedisError | OSError):
        return f"Redis is out of reach: {error}"
    return f"a mistake in the appender ({type(error).__name__})"
