"""
Windows over time, by which a long list is walked in parallel: which days each has, and how Intercom is asked for them.

Up to version 2.16 Intercom's search knows only days of the workspace's own time zone: `> X` begins with the day after
X's, `< X` ends before X's day. From 2.17 on it knows seconds. One question serves both: it reaches further than the
window by the longest day there is, and whatever belongs to another window is dropped when the answer is read.
"""

from itertools import pairwise
from typing import Any, NamedTuple

from intercom_api.wire.times import milliseconds

DAY_SECONDS = 86_400

# The day, counted from 1970, on which 2011 began: Intercom is that old. Contacts with earlier times were imported with
# wrong ones; they are found all the same, in the window that has no beginning.
EPOCH_OF_INTERCOM = 14_975

# Seconds by which a question reaches further than its window at each end. X must lie on a day that has ended when the
# window begins, whichever time zone the days are of; the longest day, when clocks are set back, has 25 hours.
SEARCH_MARGIN_SECONDS = 25 * 3600

# Contacts that one window should have: four pages. Fewer would waste calls on pages that are not full; more would
# leave threads without work towards the end.
CONTACTS_PER_WINDOW = 600
# Contacts from which a window is cut into smaller ones after all, because many were created within a few days.
SPLIT_THRESHOLD = 4 * CONTACTS_PER_WINDOW
# Windows made at once; each is a row in SQL, and what is still too large is cut again.
MOST_WINDOWS = 256


class DayWindow(NamedTuple):
    """Days in UTC, counted from 1970: from `first` up to, not including, `end`; None: without bound on that side."""

    first: int | None
    end: int | None

    def __str__(self) -> str:
        return f"{'' if self.first is None else self.first}..{'' if self.end is None else self.end}"


def parse(text: str) -> DayWindow:
    """Read what `str` wrote. Raises ValueError."""
    first, dots, end = text.partition("..")
    if not dots:
        raise ValueError(f"{text!r} is no window.")
    return DayWindow(int(first) if first else None, int(end) if end else None)


def day_of(seconds: int) -> int:
    """Return the day in UTC on which a unix second lies."""
    return seconds // DAY_SECONDS


def plan(oldest: int, newest: int, total: int) -> list[DayWindow]:
    """
    Cut all of time into windows; `oldest`, `newest`: the days between which most lies, `total`: how many there are.

    At least two, so that each has a bound to ask by.
    """
    return split(DayWindow(None, None), oldest, newest, max(2, -(-total // CONTACTS_PER_WINDOW)))


def split(window: DayWindow, oldest: int, newest: int, parts: int) -> list[DayWindow]:
    """
    Cut a window into at most `parts` of about as many days, without gap or overlap.

    `oldest` and `newest` stand for a bound that is not there.
    """
    first = oldest if window.first is None else window.first
    end = max(newest + 1 if window.end is None else window.end, first + 1)
    # Where the only bounds are made up, two halves of the last day are still two windows.
    fewest = 2 if window == (None, None) else 1
    count = max(fewest, min(parts, end - first, MOST_WINDOWS))
    cuts = sorted(
        {first + (end - first) * number // count for number in range(1, count)} or ({end} if fewest > 1 else set())
    )
    edges = [window.first, *cuts, window.end]
    return [DayWindow(begin, stop) for begin, stop in pairwise(edges)]


def can_split(window: DayWindow) -> bool:
    """Tell whether a window has more than one day."""
    return window.first is None or window.end is None or window.end - window.first > 1


def search_query(window: DayWindow, field: str = "created_at", also: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    """Return the search that finds at least everything in the window, in any time zone and version."""
    terms: list[dict[str, Any]] = [*also]
    if window.first is not None:
        terms.append({"field": field, "operator": ">", "value": window.first * DAY_SECONDS - SEARCH_MARGIN_SECONDS})
    if window.end is not None:
        terms.append({"field": field, "operator": "<", "value": window.end * DAY_SECONDS + SEARCH_MARGIN_SECONDS})
    return {"operator": "AND", "value": terms}


def since(second: int, field: str = "updated_at") -> dict[str, Any]:
    """Return the search that finds at least everything from a unix second on, in any time zone and version."""
    return {"operator": "AND", "value": [{"field": field, "operator": ">", "value": second - SEARCH_MARGIN_SECONDS}]}


def contains(window: DayWindow, moment: object) -> bool:
    """Tell whether a time of Intercom's lies in the window; what is no time belongs to every window."""
    day = _day(moment)
    if day is None:
        return True
    return (window.first is None or day >= window.first) and (window.end is None or day < window.end)


def is_past_end(window: DayWindow, moment: object) -> bool:
    """Tell whether, in the order in which the window is read, nothing of it comes after this time."""
    day = _day(moment)
    if day is None:
        return False
    if window.end is not None:
        return day >= window.end
    return window.first is not None and day < window.first


def _day(moment: object) -> int | None:
    try:
        told = milliseconds(moment)
    except ValueError:
        return None
    return None if told is None else day_of(told // 1000)
