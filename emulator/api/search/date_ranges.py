"""
Dates in a query: days in the workspace's timezone up to API 2.16, exact seconds later.

Source:
    Intercom's changelog of 2.17, and the notes on search of the OpenAPI description 2.16.
"""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from emulator.api.api_errors import ApiError, bad_request, parameter_invalid

# Any time before and after all others, in unix seconds.
EVER = -(2**62)
NEVER = 2**62

# From and until, both included, in unix seconds.
Span = tuple[int, int]

DAY_OPERATORS = frozenset({"=", ">", "<"})
SECOND_OPERATORS = frozenset({"=", "!=", ">", "<", ">=", "<="})


def seconds_of(value: object) -> int:
    """
    Read a time of a query, a number or digits.

    Raises:
        ApiError: it is neither.
    """
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return int(value)
        except (ValueError, OverflowError):
            pass
    raise bad_request("A date is compared with a unix time", "type_mismatch")


def span_of(operator: str, seconds: int, timezone: ZoneInfo | None) -> Span:
    """
    Return the time that the operator asks for; with a timezone days are compared, without one seconds.

    Raises:
        ApiError: the operator cannot be used on dates.
    """
    if timezone is None:
        return _by_second(operator, seconds)
    if operator not in DAY_OPERATORS:
        raise unusable(operator)
    start, following = _day(seconds, timezone)
    return {"=": (start, following - 1), ">": (following, NEVER), "<": (EVER, start - 1)}[operator]


def unusable(operator: str) -> ApiError:
    """Make the refusal of an operator that dates do not have."""
    return parameter_invalid(f"Operator {operator} is not supported for date fields")


def _by_second(operator: str, seconds: int) -> Span:
    if operator not in SECOND_OPERATORS:
        raise unusable(operator)
    return {
        "=": (seconds, seconds),
        "!=": (seconds, seconds),
        ">": (seconds + 1, NEVER),
        "<": (EVER, seconds - 1),
        ">=": (seconds, NEVER),
        "<=": (EVER, seconds),
    }[operator]


def _day(seconds: int, timezone: ZoneInfo) -> Span:
    try:
        midnight = datetime.fromtimestamp(seconds, timezone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        return round(midnight.timestamp()), round((midnight + timedelta(days=1)).timestamp())
    except (OverflowError, ValueError, OSError):
        raise bad_request("A date is compared with a unix time in seconds", "type_mismatch") from None
