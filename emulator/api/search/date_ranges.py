"""
Conditions on dates, as ranges of time: by day in the workspace's timezone up to API 2.16, by second from 2.17 on.

Source:
    Intercom's changelog of 2.17, and the notes on search in the OpenAPI description 2.16.
"""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from emulator.api.api_errors import ApiError, bad_request, parameter_invalid

# Unix seconds before and after every possible time.
EARLIEST = -(2**62)
LATEST = 2**62

# The first and the last second, both included, in unix seconds.
DateRange = tuple[int, int]

_DAY_OPERATORS = frozenset({"=", ">", "<"})
_SECOND_OPERATORS = frozenset({"=", "!=", ">", "<", ">=", "<="})


def read_seconds(value: object) -> int:
    """
    Read a time in a query, given as a number or as digits.

    Raises:
        ApiError: the value is neither.
    """
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return int(value)
        except (ValueError, OverflowError):
            pass
    raise bad_request("A date is compared with a unix time", "type_mismatch")


def date_range(operator: str, seconds: int, timezone: ZoneInfo | None) -> DateRange:
    """
    Return the range of times that a condition accepts.

    Args:
        operator: the comparison.
        seconds: the time to compare with, in unix seconds.
        timezone: whole days of this timezone are compared; None: seconds are.

    Raises:
        ApiError: dates do not support the operator.
    """
    if timezone is None:
        return _second_range(operator, seconds)
    if operator not in _DAY_OPERATORS:
        raise unsupported_operator(operator)
    start, next_day = _day(seconds, timezone)
    return {"=": (start, next_day - 1), ">": (next_day, LATEST), "<": (EARLIEST, start - 1)}[operator]


def unsupported_operator(operator: str) -> ApiError:
    """Make the error for an operator that dates do not support."""
    return parameter_invalid(f"Operator {operator} is not supported for date fields")


def _second_range(operator: str, seconds: int) -> DateRange:
    if operator not in _SECOND_OPERATORS:
        raise unsupported_operator(operator)
    return {
        "=": (seconds, seconds),
        # The caller excludes this range.
        "!=": (seconds, seconds),
        ">": (seconds + 1, LATEST),
        "<": (EARLIEST, seconds - 1),
        ">=": (seconds, LATEST),
        "<=": (EARLIEST, seconds),
    }[operator]


def _day(seconds: int, timezone: ZoneInfo) -> tuple[int, int]:
    """Return the start of the day that contains a time, and the start of the next day."""
    try:
        midnight = datetime.fromtimestamp(seconds, timezone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        return round(midnight.timestamp()), round((midnight + timedelta(days=1)).timestamp())
    except (OverflowError, ValueError, OSError):
        raise bad_request("A date is compared with a unix time in seconds", "type_mismatch") from None
