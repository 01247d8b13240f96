"""Intercom's times: unix seconds in REST responses, ISO 8601 with milliseconds in notifications, sometimes null."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from settings.units import MS_PER_SECOND

# The emulator may import nothing of `settings`, so it takes MS_PER_SECOND from here.
__all__ = ["MS_PER_SECOND", "has_milliseconds", "milliseconds"]

# Unix seconds stay below this until the year 5138; a larger number was sent in milliseconds.
_LARGEST_SECONDS = 100_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
# The range that both databases store: years 1 to 9999, in seconds.
_FIRST_SECOND = -62_135_596_800
_LAST_SECOND = 253_402_300_799


def milliseconds(value: object) -> int | None:
    """
    Convert a time of Intercom's in any of its formats to milliseconds.

    Args:
        value: unix seconds or milliseconds (int, float or digits), ISO 8601 text, or None.

    Returns:
        Milliseconds since 1970 UTC; None for null and the empty string.

    Raises:
        ValueError: it is not a time, or outside the years 1 to 9999.
    """
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("is not a time")  # noqa: TRY004 -- a value on the wire, not a type of ours
    result = _from_text(value) if isinstance(value, str) else _from_number(value)
    if not _FIRST_SECOND <= result // MS_PER_SECOND <= _LAST_SECOND:
        raise ValueError("is a time outside the years 1 to 9999")
    return result


def has_milliseconds(value: object) -> bool:
    """Return whether a time has a resolution below a second; an ISO fraction counts even if it is .000."""
    if isinstance(value, str):
        return "." in value
    return isinstance(value, int) and abs(value) >= _LARGEST_SECONDS


def _from_number(value: float) -> int:
    if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 -- only NaN differs from itself
        raise ValueError("is not a time")
    return int(value) if abs(value) >= _LARGEST_SECONDS else int(value * MS_PER_SECOND)


# Most times of an object are the same each time it is sent. An entry takes about a hundred bytes.
@lru_cache(maxsize=16_384)
def _from_text(value: str) -> int:
    if value.lstrip("-").isdigit() and len(value) <= len(str(_LAST_SECOND * MS_PER_SECOND)) and value.isascii():
        return _from_number(int(value))
    try:
        moment = datetime.fromisoformat(value)
        # Integer division of two durations: a float of seconds would sometimes lose the last millisecond.
        return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError) as error:
        raise ValueError("is not a time") from error
