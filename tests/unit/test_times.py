"""`intercom_api.wire.times`: every format that Intercom sends, and invalid values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercom_api.wire.times import has_milliseconds, milliseconds


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", None),
        (0, 0),
        (1768210202, 1768210202000),
        (1768210202.551, 1768210202551),
        (1768210202551, 1768210202551),
        ("1768210202", 1768210202000),
        ("2026-01-12T09:30:02.551+00:00", 1768210202551),
        ("2026-01-12T09:30:02.551Z", 1768210202551),
        ("2026-01-12T10:30:02+01:00", 1768210202000),
        ("2026-01-12T09:30:02", 1768210202000),
        (-86400, -86400000),
        ("1969-12-31T23:59:59.999Z", -1),
    ],
)
def test_milliseconds_reads_every_format(value: object, expected: int | None) -> None:
    """REST's seconds, the ISO text of notifications, milliseconds, null."""
    assert milliseconds(value) == expected


@pytest.mark.parametrize("value", ["soon", True, [], {}, 1e300, float("inf"), float("nan"), 10**30, "9" * 5000, "²"])
def test_an_invalid_time_is_a_value_error(value: object) -> None:
    """No overflow or other exception is raised."""
    with pytest.raises(ValueError, match="time"):
        milliseconds(value)


@given(st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.lists(st.integers())))
def test_any_value_is_a_time_or_a_value_error(value: object) -> None:
    """For any JSON value."""
    try:
        moment = milliseconds(value)
    except ValueError:
        return
    assert moment is None or isinstance(moment, int)


def test_a_time_with_a_fraction_has_milliseconds() -> None:
    """A fraction of .000 counts; whole seconds do not."""
    assert has_milliseconds("2026-01-12T09:30:02.000Z")
    assert has_milliseconds(1768210202551)
    assert not has_milliseconds("2026-01-12T09:30:02Z")
    assert not has_milliseconds(1768210202)
