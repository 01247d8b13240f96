"""
Reading the inbox as a consumer of the Redis stream's consumer group.

An entry is new until a consumer reads it, then pending for that consumer until it is acknowledged. For each pending
entry, Redis keeps how long ago it was delivered (its idle time) and how often (its delivery count). A process that
crashes leaves its entries pending: they are abandoned, and another consumer may claim them after a while.

The delivery count of an abandoned entry is the number of processes that crashed while they held it. Reading and
claiming add one to it; releasing an entry, because its consumer did not crash, sets it to zero.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from redis import Redis
from redis.exceptions import ConnectionError, ResponseError, TimeoutError  # noqa: A004 -- redis-py's own names

from workers.runtime.redis_keys import GROUP, INBOX

# Milliseconds after which an entry of another consumer counts as abandoned: longer than a drain may run.
CLAIM_IDLE_MS = 30_000

# The same for a consumer's own name, whose process crashed and was replaced. Not zero, because during a restart the old
# process may still be finishing when the new one of the same name starts.
OWN_IDLE_MS = 2_000

# Entries that one search for abandoned ones returns: several batches.
_MAX_ABANDONED = 2_000


class InboxEntry(NamedTuple):
    """
    An entry that this consumer holds.

    Args:
        id: of the stream entry; every log line about the notification contains it.
        body: as Intercom sent it.
        received_ms: time of arrival, in milliseconds since 1970.
        is_refetch_request: written by this product itself, see `workers.inbox.refetch_requests`.
    """

    id: str
    body: bytes
    received_ms: int
    is_refetch_request: bool = False


class AbandonedEntry(NamedTuple):
    """An entry that was pending when its process crashed, or that was released; `crashes` counts only the former."""

    id: str
    crashes: int


class InboxReader:
    """
    The inbox as one consumer sees it.

    Args:
        redis: a client with timeouts, that does not decode responses.
        consumer: a name that no other running process has.
    """

    def __init__(self, redis: Redis, consumer: str) -> None:
        self._redis = redis
        self._consumer = consumer
        # Entries that could not be released, because Redis was unavailable.
        self._unreleased: list[str] = []

    def read_new(self, limit: int, wait_ms: int | None = None) -> list[InboxEntry]:
        """Read up to `limit` entries that no consumer has read yet; wait up to `wait_ms` for the first."""
        try:
            return self._read(limit, wait_ms)
        except ResponseError as error:
            if not _is_group_missing(error):
                raise
        self._create_group()
        return self._read(limit, wait_ms)

    def list_abandoned(self) -> list[AbandonedEntry]:
        """List entries that crashed processes held or that were released, oldest first, without claiming them."""
        try:
            self.release([])
            own = self._pending(OWN_IDLE_MS, self._consumer)
            others = self._pending(CLAIM_IDLE_MS, None)
        except ResponseError as error:
            if _is_group_missing(error):
                return []
            raise
        return sorted({item.id: item for item in (*own, *others)}.values(), key=lambda item: _sort_key(item.id))

    def has_overdue_entries(self) -> bool:
        """Return whether any consumer holds an entry for longer than OWN_IDLE_MS; call it once this one holds none."""
        try:
            return bool(self._pending(OWN_IDLE_MS, None, limit=1))
        except ResponseError as error:
            if _is_group_missing(error):
                return False
            raise

    def claim(self, ids: Sequence[str]) -> list[InboxEntry]:
        """Claim abandoned entries. Those that another consumer claimed or acknowledged meanwhile are left out."""
        if not ids:
            return []
        reply: Any = self._redis.xclaim(INBOX, GROUP, self._consumer, min_idle_time=OWN_IDLE_MS, message_ids=list(ids))
        # Before Redis 7, an entry that was deleted meanwhile is returned empty.
        return [_entry(item) for item in reply if item is not None and item[1] is not None]

    def release(self, ids: Sequence[str]) -> None:
        """
        Let any consumer claim these entries at once, without counting a crash.

        If Redis is unavailable, the ids are kept and released at the next call, so that the entries do not count as
        those of a crashed process.
        """
        unreleased = [*self._unreleased, *ids]
        self._unreleased = unreleased
        if not unreleased:
            return
        try:
            self._redis.xclaim(
                INBOX,
                GROUP,
                self._consumer,
                min_idle_time=0,
                message_ids=list(unreleased),
                idle=CLAIM_IDLE_MS,
                retrycount=0,
                justid=True,
            )
        except (ConnectionError, TimeoutError):
            return
        self._unreleased = []

    def acknowledge(self, pipeline: Any, ids: Iterable[str]) -> None:
        """Acknowledge and delete committed entries, in the caller's transaction of Redis."""
        ids = list(ids)
        pipeline.xack(INBOX, GROUP, *ids)
        pipeline.xdel(INBOX, *ids)

    def _read(self, limit: int, wait_ms: int | None) -> list[InboxEntry]:
        streams: Any = {INBOX: ">"}
        reply: Any = self._redis.xreadgroup(GROUP, self._consumer, streams, count=limit, block=wait_ms)
        if not reply:
            return []
        # With RESP2 the reply is a list of pairs, with RESP3 a mapping to lists of lists.
        items = reply[0][1] if isinstance(reply, list) else next(iter(reply.values()))[0]
        return [_entry(item) for item in items]

    def _pending(self, idle_ms: int, consumer: str | None, limit: int = _MAX_ABANDONED) -> list[AbandonedEntry]:
        items: Any = self._redis.xpending_range(
            INBOX, GROUP, min="-", max="+", count=limit, consumername=consumer, idle=idle_ms
        )
        return [AbandonedEntry(item["message_id"].decode(), item["times_delivered"]) for item in items]

    def _create_group(self) -> None:
        try:
            # From "0", so that entries older than the group are read too.
            self._redis.xgroup_create(INBOX, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise


def _is_group_missing(error: ResponseError) -> bool:
    return str(error).startswith("NOGROUP")


def _entry(item: Any) -> InboxEntry:
    entry_id, fields = item[0].decode(), item[1]
    if b"n" in fields:
        return InboxEntry(entry_id, fields[b"n"], int(fields[b"t"]), is_refetch_request=True)
    return InboxEntry(entry_id, fields[b"b"], int(fields[b"t"]))


def _sort_key(entry_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence)
