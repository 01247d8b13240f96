"""
Windows of days over `created_at`, which divide a long list of contacts so that it can be read in parallel.

Up to version 2.16 Intercom's search compares whole days of the workspace's time zone: `> X` starts with the day after
X's day, and `< X` ends before X's day. From 2.17 on it compares seconds. One query works for both: it extends the
window at each end by the longest possible day, and the reader discards what belongs to another window.
"""

from itertools import pairwise
from typing import Any, NamedTuple

from intercom_api.wire.times import milliseconds
from settings.units import MS_PER_SECOND

DAY_SECONDS = 86_400

# The first day of 2011, counted from 1970: Intercom was founded in that year. Contacts with an earlier time were
# imported with a wrong one; the window that has no start contains them.
FIRST_PLAUSIBLE_DAY = 14_975

# Seconds by which a query extends its window at each end. The value of `>` must lie on a day that has ended when the
# window starts, in every time zone; the longest day, when clocks are set back, has 25 hours.
SEARCH_MARGIN_SECONDS = 25 * 3600

# Contacts that one window should contain: four pages. Fewer would waste calls on pages that are not full; more would
# leave threads idle towards the end of a run.
CONTACTS_PER_WINDOW = 600
# Contacts above which a window is split again, because many were created within a few days.
SPLIT_THRESHOLD = 4 * CONTACTS_PER_WINDOW
# Windows made by one split: each is a row of sync_parts, and a window that is still too large is split again.
MAX_WINDOWS = 256


class DayWindow(NamedTuple):
    """UTC days counted from 1970: from `first` up to but excluding `end`; None means unbounded on that side."""

    first: int | None
    end: int | None

    def __str__(self) -> str:
        return f"{'' if self.first is None else self.first}..{'' if self.end is None else self.end}"


def parse_window(text: str) -> DayWindow:
    """Parse the text form of a window, for example "19000..19030". Raises ValueError."""
    first, dots, end = text.partition("..")
    if not dots:
        raise ValueError(f"{text!r} is not a window of days.")
    return DayWindow(int(first) if first else None, int(end) if end else None)


def day_of(seconds: int) -> int:
    """Return the UTC day of a unix time in seconds."""
    return seconds // DAY_SECONDS


def plan_windows(oldest: int, newest: int, total: int) -> list[DayWindow]:
    """
    Divide all of time into windows.

    Args:
        oldest: the first of the days between which most contacts were created.
        newest: the last of these days.
        total: number of contacts.

    Returns:
        At least two windows, so that each has a bound to search by.
    """
    return split_window(DayWindow(None, None), oldest, newest, max(2, -(-total // CONTACTS_PER_WINDOW)))


def split_window(window: DayWindow, oldest: int, newest: int, parts: int) -> list[DayWindow]:
    """
    Split a window into at most `parts` windows of about the same length, without gap or overlap.

    `oldest` and `newest` are used in place of a bound that the window does not have.
    """
    first = oldest if window.first is None else window.first
    end = max(newest + 1 if window.end is None else window.end, first + 1)
    # A window without any bound is split in two even if all its contacts are of one day.
    fewest = 2 if window == (None, None) else 1
    count = max(fewest, min(parts, end - first, MAX_WINDOWS))
    cuts = sorted(
        {first + (end - first) * number // count for number in range(1, count)} or ({end} if fewest > 1 else set())
    )
    edges = [window.first, *cuts, window.end]
    return [DayWindow(begin, stop) for begin, stop in pairwise(edges)]


def can_split(window: DayWindow) -> bool:
    """Return whether a window has more than one day."""
    return window.first is None or window.end is None or window.end - window.first > 1


def search_query(
    window: DayWindow, field: str = "created_at", terms: tuple[dict[str, Any], ...] = ()
) -> dict[str, Any]:
    """Return a search that finds at least everything in the window, in any time zone and version, and meets `terms`."""
    conditions: list[dict[str, Any]] = [*terms]
    if window.first is not None:
        value = window.first * DAY_SECONDS - SEARCH_MARGIN_SECONDS
        conditions.append({"field": field, "operator": ">", "value": value})
    if window.end is not None:
        value = window.end * DAY_SECONDS + SEARCH_MARGIN_SECONDS
        conditions.append({"field": field, "operator": "<", "value": value})
    return {"operator": "AND", "value": conditions}


def changed_since_query(second: int, field: str = "updated_at") -> dict[str, Any]:
    """Return a search that finds at least everything from a unix second on, in any time zone and version."""
    return {"operator": "AND", "value": [{"field": field, "operator": ">", "value": second - SEARCH_MARGIN_SECONDS}]}


def contains(window: DayWindow, created_at: object) -> bool:
    """Return whether a time from Intercom lies in the window; a value that is not a time belongs to every window."""
    day = _parse_day(created_at)
    if day is None:
        return True
    return (window.first is None or day >= window.first) and (window.end is None or day < window.end)


def is_past_end(window: DayWindow, created_at: object) -> bool:
    """
    Return whether reading can stop after an entry with this time, because no later entry belongs to the window.

    A window with an end is read oldest first; a window that has only a start is read newest first.
    """
    day = _parse_day(created_at)
    if day is None:
        return False
    if window.end is not None:
        return day >= window.end
    return window.first is not None and day < window.first


def _parse_day(value: object) -> int | None:
    try:
        time_ms = milliseconds(value)
    except ValueError:
        return None
    return None if time_ms is None else day_of(time_ms // MS_PER_SECOND)
