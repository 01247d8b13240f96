"""Column types with the same meaning on both databases."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A time in UTC: TIMESTAMPTZ on PostgreSQL, text that sorts ("2026-01-10 04:11:34.000000") on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Reject a datetime without a time zone; on SQLite, convert it to UTC without one."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("A datetime needs a time zone. Use datetime.now(UTC).")
        return value.astimezone(UTC).replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Return every datetime in UTC."""
        if value is None:
            return None
        result: datetime = value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)
        return result


# JSONB on PostgreSQL, so that it can be indexed and compared; text on SQLite.
Json = JSON().with_variant(JSONB(), "postgresql")

# SQLite assigns row ids only to a column of exactly this type.
Sequence = BigInteger().with_variant(Integer(), "sqlite")

# SQLite stores eight-byte integers in any case.
BigInt = BigInteger()


# Most times of an object stay the same from one write to the next. An entry takes a hundred bytes.
@lru_cache(maxsize=16_384)
def utc_text(seconds: int) -> str:
    """Format unix seconds as both databases read them: "2026-01-10 04:11:34.000000", UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(" ", "microseconds")[:26]


def datetime_text(value: datetime) -> str:
    """Format a datetime with a time zone as `utc_text` does."""
    return value.astimezone(UTC).isoformat(" ", "microseconds")[:26]
