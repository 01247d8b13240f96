"""Templates: typed, strict, and unable to reach anything but what they are given."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.workflows.engine.render_step import render_path
from workers.workflows.format.templates import TemplateError, render

NAMES: dict[str, Any] = {
    "record": {"id": "c1", "seats": 3, "email": None, "items": ["a"], "custom_attributes": {"plan name": "gold"}},
    "steps": {"find": {"total_count": 0}},
    "settings": {"key": "s3cret-value"},
}


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ record.seats }}", 3),
        ("  {{ record.seats }}\n", 3),
        ("{{- record.seats -}}", 3),
        ("{{ record.email }}", None),
        ("{{ record.items }}", ["a"]),
        ("{{ record.custom_attributes['plan name'] }}", "gold"),
        ("{{ record.custom_attributes }}", {"plan name": "gold"}),
        ("{{ record.seats > 2 }}", True),
        ("{{ record.custom_attributes.get('x') }}", None),
        ("{{ record.nick | default('none') }}", "none"),
        ("{{ '}} {{' }}", "}} {{"),
        ("seats: {{ record.seats }}", "seats: 3"),
        ("{{ record.seats }}{{ record.seats }}", "33"),
        ("no template { at all }", "no template { at all }"),
    ],
)
def test_a_lone_expression_keeps_its_type(template: str, value: object) -> None:
    """And text with an expression in it is text."""
    assert render({"a": [template]}, NAMES) == {"a": [value]}


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{{ recrod.id }}", "a: There is no recrod; there is record, settings, steps."),
        ("{{ record.nam }}", "a: There is no nam here; there is custom_attributes, email, id, items, seats."),
        ("x {{ steps.find.count }}", "a: There is no count here; there is total_count."),
        ("{{ record.seats.high }}", "a: There is no high here; it is of type int."),
        ("{{ record.seats / 0 }}", "a: This cannot be worked out (ZeroDivisionError)."),
        ("{{ settings.key + 1 }}", "a: This cannot be worked out (TypeError)."),
        (
            "{{ record.seats.bit_length }}",
            "a: What comes out is a builtin_function_or_method. Write something that JSON has.",
        ),
    ],
)
def test_an_unknown_name_is_an_error_that_lists_those_there_are(template: str, sentence: str) -> None:
    """It names names, and no values."""
    with pytest.raises(TemplateError) as caught:
        render({"a": template}, NAMES)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ record.__class__ }}",
        "{{ record.get.__globals__ }}",
        "{{ record.update({'id': 1}) }}",
        "{{ self.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ '{0.__class__}'.format(record) }}",
        "{{ range(10 ** 9) | list }}",
        "{{ 'a' * 300000 }}",
    ],
)
def test_nothing_leads_out_of_the_sandbox(template: str) -> None:
    """Neither to Python's insides, nor to what would fill the memory."""
    with pytest.raises(TemplateError):
        render(template, NAMES)
    assert NAMES["record"]["id"] == "c1"


@given(st.text(), st.text())
def test_a_value_never_leads_to_another_path(first: str, second: str) -> None:
    """However odd an id is, the path has as many parts as the file says."""
    try:
        found = render_path("/contacts/{{ a }}/tags/{{ b }}", {"a": first, "b": second})
    except TemplateError:
        assert not all(each.isalnum() for each in (first, second))
        return
    assert found.count("/") == 4
    assert not set(found) & set("?#\\ \n")


@pytest.mark.parametrize("first", ["auth", "OAuth", "app_install", "..", "a/b", "a\\b", "%61uth"])
def test_what_is_not_for_workflows_is_not_reached(first: str) -> None:
    """Nobody removes the app from a workspace by an odd record."""
    with pytest.raises(TemplateError):
        render_path("/{{ it }}/uninstall", {"it": first})


def test_a_slash_in_an_expression_is_no_part_of_the_path() -> None:
    """Expressions may divide."""
    assert render_path("/pages/{{ 6 / 2 }}/x", {}) == "/pages/3.0/x"
