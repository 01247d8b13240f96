"""Windows lose no second, whatever a day is in Intercom's searches."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.sync import windows
from workers.sync.windows import DAY_SECONDS, DayWindow

# From 2001 to 2033 in unix seconds.
MOMENTS = st.integers(1_000_000_000, 2_000_000_000)
DAYS = st.integers(11_574, 23_148)
# Every whole offset that there is, and zones that set their clocks back: their longest day has 25 hours.
ZONES = st.one_of(
    st.integers(-11, 14).map(lambda hours: timezone(timedelta(hours=hours))),
    st.sampled_from(["Europe/London", "America/New_York", "Pacific/Apia", "Atlantic/Azores"]).map(ZoneInfo),
)


def start_of_day(second: int, zone: timezone | ZoneInfo, later: int = 0) -> float:
    day = datetime.fromtimestamp(second, zone).date() + timedelta(days=later)
    return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()


def matches(question: dict[str, object], moment: int, zone: timezone | ZoneInfo, *, days: bool) -> bool:
    """Answer a search for one moment as Intercom would; `days`: as up to version 2.16."""
    terms = question["value"]
    assert isinstance(terms, list)
    for term in terms:
        value = term["value"]
        if term["operator"] == ">":
            found = moment >= start_of_day(value, zone, 1) if days else moment > value
        else:
            found = moment < start_of_day(value, zone) if days else moment < value
        if not found:
            return False
    return True


@given(DAYS, st.integers(1, 400), st.integers(0, DAY_SECONDS - 1), ZONES, st.booleans())
def test_a_search_finds_every_second_of_its_window(
    first: int,
    length: int,
    second: int,
    zone: ZoneInfo,
    days: bool,  # noqa: FBT001 -- hypothesis fills it
) -> None:
    """In every time zone, compared by days or by seconds, from the first second to the last."""
    window = DayWindow(first, first + length)
    for moment in (first * DAY_SECONDS, first * DAY_SECONDS + second, (first + length) * DAY_SECONDS - 1):
        assert windows.contains(window, moment)
        assert matches(windows.search_query(window), moment, zone, days=days)


@given(MOMENTS, st.integers(0, 400 * DAY_SECONDS), ZONES, st.booleans())
def test_the_search_for_changes_reaches_far_enough_back(since: int, later: int, zone: ZoneInfo, days: bool) -> None:  # noqa: FBT001
    """In every time zone, compared by days or by seconds."""
    assert matches(windows.changed_since_query(since), since + later, zone, days=days)


@given(DAYS, st.integers(0, 5_000), st.integers(0, 2_000_000), st.integers(-62_135_596_800, 99_999_999_999))
def test_every_time_belongs_to_one_window(oldest: int, span: int, total: int, moment: int) -> None:
    """The plan has no gap and no overlap, even for times far from any real one."""
    plan = windows.plan_windows(oldest, oldest + span, total)
    assert len(plan) >= 2
    assert sum(windows.contains(window, moment) for window in plan) == 1


@given(DAYS, st.integers(1, 5_000), st.integers(2, 500), DAYS)
def test_split_windows_cover_the_original(first: int, length: int, parts: int, day: int) -> None:
    """Splitting a window loses no day of it, and adds none."""
    window = DayWindow(first, first + length)
    smaller = windows.split_window(window, first, first + length, parts)
    count = sum(windows.contains(each, day * DAY_SECONDS) for each in smaller)
    assert count == windows.contains(window, day * DAY_SECONDS)
    assert all(each.end is not None and each.first is not None and each.end > each.first for each in smaller)


@pytest.mark.parametrize(
    "window", [DayWindow(None, None), DayWindow(1, None), DayWindow(None, 2), DayWindow(19_000, 19_030)]
)
def test_a_window_is_parsed_from_its_text(window: DayWindow) -> None:
    """The text is part of the key of its row."""
    assert windows.parse_window(str(window)) == window


def test_a_value_that_is_not_a_time_belongs_to_every_window() -> None:
    """Such a contact is read several times rather than never."""
    assert windows.contains(DayWindow(1, 2), None)
    assert windows.contains(DayWindow(1, 2), "soon")


def test_reading_stops_past_the_end() -> None:
    """Later pages are not read."""
    today = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) // DAY_SECONDS
    assert windows.is_past_end(DayWindow(None, today), today * DAY_SECONDS)
    assert not windows.is_past_end(DayWindow(None, today), today * DAY_SECONDS - 1)
    assert windows.is_past_end(DayWindow(today, None), today * DAY_SECONDS - 1)
    assert not windows.is_past_end(DayWindow(None, None), 0)
