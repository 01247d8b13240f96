"""Reading the inbox: new entries, what the dead left behind, and what becomes of both."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from redis import Redis
from redis.exceptions import ConnectionError, ResponseError, TimeoutError  # noqa: A004 -- redis-py's own names

from workers.runtime.redis_keys import GROUP, INBOX

# Milliseconds after which an entry in somebody else's hands counts as left behind: longer than a drain may live.
CLAIM_IDLE_MS = 30_000

# The same for a consumer's own name: its process died and was replaced. Not at once, because in a restart the old
# process may be finishing while the new one of the same name starts.
OWN_IDLE_MS = 2_000

# Entries looked at in one search for what was left behind: several batches' worth.
_LEFT_BEHIND = 2_000


class InboxEntry(NamedTuple):
    """
    One notification in hand.

    `id`: of the stream entry, which follows it through all logs; `body`: as Intercom sent it; `received_at`: unix
    milliseconds. `ours`: not Intercom but we ourselves wrote it, see `workers.inbox.refetch_requests`.
    """

    id: str
    body: bytes
    received_at: int
    ours: bool = False


class AbandonedEntry(NamedTuple):
    """An entry that was in hand when a process died, or was given back; `deaths` counts the former only."""

    id: str
    deaths: int


class InboxReader:
    """The inbox as one consumer sees it; consumer names must be unique among living processes."""

    def __init__(self, redis: Redis, consumer: str) -> None:
        """`redis`: a client with time-outs; it must not decode responses."""
        self._redis = redis
        self._consumer = consumer
        self._owed: list[str] = []

    def read_new(self, limit: int, wait_ms: int | None = None) -> list[InboxEntry]:
        """Take up to `limit` entries that nobody took yet; with `wait_ms`, wait that long for the first."""
        try:
            return self._read(limit, wait_ms)
        except ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
        self._make_group()
        return self._read(limit, wait_ms)

    def list_abandoned(self) -> list[AbandonedEntry]:
        """List entries that dead processes held or that were given back, oldest first; nothing is taken yet."""
        try:
            self.give_back([])
            own = self._pending(OWN_IDLE_MS, self._consumer)
            others = self._pending(CLAIM_IDLE_MS, None)
        except ResponseError as error:
            if str(error).startswith("NOGROUP"):
                return []
            raise
        return sorted({item.id: item for item in (*own, *others)}.values(), key=lambda item: _order(item.id))

    def has_overdue_entries(self) -> bool:
        """Tell, when what was left behind is done, whether another consumer holds entries for longer than it should."""
        try:
            return bool(self._pending(OWN_IDLE_MS, None, limit=1))
        except ResponseError as error:
            if str(error).startswith("NOGROUP"):
                return False
            raise

    def claim(self, ids: Sequence[str]) -> list[InboxEntry]:
        """Take entries that were left behind; those that somebody else took meanwhile are missing from the answer."""
        if not ids:
            return []
        answer: Any = self._redis.xclaim(INBOX, GROUP, self._consumer, min_idle_time=OWN_IDLE_MS, message_ids=list(ids))
        # Before Redis 7 an entry that was deleted meanwhile comes back empty.
        return [_entry(item) for item in answer if item is not None and item[1] is not None]

    def give_back(self, ids: Sequence[str]) -> None:
        """
        Let anybody take these entries at once, without counting it as a death.

        If Redis is away too, they are remembered, and given back when it is there again: we did not die of them.
        """
        owed = [*self._owed, *ids]
        self._owed = owed
        if not owed:
            return
        try:
            self._redis.xclaim(
                INBOX,
                GROUP,
                self._consumer,
                min_idle_time=0,
                message_ids=list(owed),
                idle=CLAIM_IDLE_MS,
                retrycount=0,
                justid=True,
            )
        except (ConnectionError, TimeoutError):
            return
        self._owed = []

    def acknowledge(self, pipeline: Any, ids: Iterable[str]) -> None:
        """Take committed entries off the inbox, in the caller's transaction of Redis."""
        ids = list(ids)
        pipeline.xack(INBOX, GROUP, *ids)
        pipeline.xdel(INBOX, *ids)

    def _read(self, limit: int, wait_ms: int | None) -> list[InboxEntry]:
        streams: Any = {INBOX: ">"}
        answer: Any = self._redis.xreadgroup(GROUP, self._consumer, streams, count=limit, block=wait_ms)
        if not answer:
            return []
        # RESP2 answers pairs, RESP3 a mapping of lists of lists.
        items = answer[0][1] if isinstance(answer, list) else next(iter(answer.values()))[0]
        return [_entry(item) for item in items]

    def _pending(self, idle_ms: int, consumer: str | None, limit: int = _LEFT_BEHIND) -> list[AbandonedEntry]:
        found: Any = self._redis.xpending_range(
            INBOX, GROUP, min="-", max="+", count=limit, consumername=consumer, idle=idle_ms
        )
        return [AbandonedEntry(item["message_id"].decode(), item["times_delivered"]) for item in found]

    def _make_group(self) -> None:
        try:
            # From "0", so that entries which came before the group are read too.
            self._redis.xgroup_create(INBOX, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise


def _entry(item: Any) -> InboxEntry:
    fields = item[1]
    if b"n" in fields:
        return InboxEntry(item[0].decode(), fields[b"n"], int(fields[b"t"]), ours=True)
    return InboxEntry(item[0].decode(), fields[b"b"], int(fields[b"t"]))


def _order(entry_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence)
