"""Times: every form that Intercom sends, and what is none."""

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
def test_it_reads_every_form(value: object, expected: int | None) -> None:
    """REST's seconds, the notifications' ISO text, milliseconds, null."""
    assert milliseconds(value) == expected


@pytest.mark.parametrize("value", ["soon", True, [], {}, 1e300, float("inf"), float("nan"), 10**30, "9" * 5000, "²"])
def test_what_is_no_time_is_a_value_error(value: object) -> None:
    """Never an overflow, never another exception."""
    with pytest.raises(ValueError, match="time"):
        milliseconds(value)


@given(st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.lists(st.integers())))
def test_any_value_is_a_time_or_a_value_error(value: object) -> None:
    """Whatever JSON can hold."""
    try:
        moment = milliseconds(value)
    except ValueError:
        return
    assert moment is None or isinstance(moment, int)


def test_it_knows_which_times_are_fine() -> None:
    """A fraction counts although it is .000; whole seconds do not."""
    assert has_milliseconds("2026-01-12T09:30:02.000Z")
    assert has_milliseconds(1768210202551)
    assert not has_milliseconds("2026-01-12T09:30:02Z")
    assert not has_milliseconds(1768210202)
