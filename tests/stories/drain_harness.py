"""A drain without Celery: the product's own parts, put together by hand for one test."""

import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any, cast

import msgspec
from redis import Redis
from sqlalchemy import Engine, text

from models.db.engine import transaction, write_engine
from workers.inbox.batch import DrainContext
from workers.inbox.drain import drain
from workers.inbox.reader import InboxReader
from workers.runtime.redis_keys import GROUP, INBOX

WORKSPACE = "ws000001"


class DrainHarness:
    """Appends bodies to the inbox, drains it, and reads the tables."""

    def __init__(self, redis: Redis, engine: Engine, consumer: str) -> None:
        self.redis = redis
        self.engine = engine
        self.second_drain_requests = 0
        self.context = DrainContext(redis, InboxReader(redis, consumer), engine, self._count_request)

    def _count_request(self) -> None:
        self.second_drain_requests += 1

    def append(self, *bodies: dict[str, Any] | bytes) -> list[str]:
        """Append as the receiver does; return the ids of the entries."""
        raw = [body if isinstance(body, bytes) else msgspec.json.encode(body) for body in bodies]
        now_ms = int(time.time() * 1000)
        return [cast("bytes", self.redis.xadd(INBOX, {"b": body, "t": now_ms})).decode() for body in raw]

    def drain(self) -> bool:
        """Drain until the inbox is empty."""
        return drain(self.context, time.monotonic() + 20)

    def depth(self) -> int:
        """Return the number of entries in the inbox, pending or not."""
        return int(self.redis.xlen(INBOX))

    def pending(self) -> int:
        """Return the number of entries that a consumer holds."""
        return int(self.redis.xpending(INBOX, GROUP)["pending"])

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Run a SELECT."""
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(query)).mappings()]

    def one(self, query: str) -> Any:
        """Run a SELECT of one value."""
        rows = self.rows(query)
        assert len(rows) == 1, rows
        return next(iter(rows[0].values()))


@contextmanager
def open_harness(redis_url: str, database_url: str, consumer: str = "test/0") -> Iterator[DrainHarness]:
    """Connect to Redis and the database for the length of the block."""
    engine = write_engine(database_url)
    with closing(Redis.from_url(redis_url)) as redis:
        try:
            yield DrainHarness(redis, engine, consumer)
        finally:
            engine.dispose()


def refuse_name(harness: DrainHarness, name: str) -> None:
    """Make the database reject one name, as it would reject data that the product does not expect."""
    statement = (
        f"ALTER TABLE contacts ADD CONSTRAINT poison CHECK (name <> '{name}')"
        if harness.engine.dialect.name == "postgresql"
        else f"CREATE TRIGGER poison BEFORE INSERT ON contacts WHEN NEW.name = '{name}'"
        " BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    with transaction(harness.engine) as connection:
        connection.execute(text(statement))


def contact(
    contact_id: str, *, at: int = 1_700_000_000, tags: Iterable[str] = (), companies: Iterable[str] = (), **fields: Any
) -> dict[str, Any]:
    """Return a whole contact in the form of a notification; `at` is its updated_at in unix seconds."""
    return {
        "type": "contact",
        "id": contact_id,
        "workspace_id": WORKSPACE,
        "external_id": f"ext-{contact_id}",
        "role": "user",
        "email": f"{contact_id}@example.test",
        "name": contact_id,
        "created_at": 1_600_000_000,
        "updated_at": at,
        "custom_attributes": {"plan": "gold"},
        "tags": _list("tag", tags),
        "companies": _list("company", companies),
        **fields,
    }


def _list(kind: str, ids: Iterable[str]) -> dict[str, Any]:
    data = [{"type": kind, "id": member} for member in ids]
    return {"type": "list", "data": data, "total_count": len(data), "has_more": False}


def notification(topic: str, item: dict[str, Any], *, at: int = 1_700_000_000, number: int = 1) -> dict[str, Any]:
    """Return a notification about an item; `at` is the envelope's created_at."""
    return {
        "type": "notification_event",
        "app_id": WORKSPACE,
        "id": f"notif_{number:08d}",
        "topic": topic,
        "created_at": at,
        "first_sent_at": at,
        "delivery_attempts": 1,
        "data": {"type": "notification_event_data", "item": item},
    }
