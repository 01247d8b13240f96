"""Column types that mean the same on both databases."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC: TIMESTAMPTZ on PostgreSQL, text that sorts ("2026-01-10 04:11:34.000000") on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse moments without a time zone; SQLite stores the UTC clock face."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("A moment needs a time zone; use datetime.now(UTC).")
        return value.astimezone(UTC).replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Give every moment back in UTC."""
        if value is None:
            return None
        moment: datetime = value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)
        return moment


# JSONB on PostgreSQL, so that it can be indexed and compared; text on SQLite.
Json = JSON().with_variant(JSONB(), "postgresql")

# SQLite gives out row ids of its own only to a column of exactly this type.
Sequence = BigInteger().with_variant(Integer(), "sqlite")

# SQLite stores eight-byte integers in any case.
Whole = BigInteger()

# Intercom's strings have no limit that it promises to keep.
String = Text()


# Most times of an object stay the same from one write to the next; a hundred bytes for each of the last ones seen.
@lru_cache(maxsize=16_384)
def utc_text(seconds: int) -> str:
    """Write unix seconds in the one form that both databases read: "2026-01-10 04:11:34.000000", UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(" ", "microseconds")[:26]


def datetime_text(moment: datetime) -> str:
    """Write a moment with a time zone in the form of `utc_text`."""
    return moment.astimezone(UTC).isoformat(" ", "microseconds")[:26]
