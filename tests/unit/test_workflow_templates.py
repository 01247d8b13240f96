"""Templates: typed, strict about names, and limited to the values that they are given."""

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
def test_a_single_expression_keeps_its_type(template: str, value: object) -> None:
    """Any other text with expressions is text."""
    assert render({"a": [template]}, NAMES) == {"a": [value]}


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{{ recrod.id }}", "a: Unknown name recrod; known names: record, settings, steps."),
        ("{{ record.nam }}", "a: Unknown name nam; known names: custom_attributes, email, id, items, seats."),
        ("x {{ steps.find.count }}", "a: Unknown name count; known names: total_count."),
        ("{{ record.seats.high }}", "a: Unknown name high; the value is of type int."),
        ("{{ record.seats / 0 }}", "a: The template could not be evaluated (ZeroDivisionError)."),
        ("{{ settings.key + 1 }}", "a: The template could not be evaluated (TypeError)."),
        (
            "{{ record.seats.bit_length }}",
            "a: The result is of type builtin_function_or_method, which JSON does not have.",
        ),
    ],
)
def test_a_failed_template_is_explained(template: str, sentence: str) -> None:
    """An unknown name with the known names; the error contains no values."""
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
def test_no_template_leaves_the_sandbox(template: str) -> None:
    """Neither to Python internals nor to results that would exhaust the memory."""
    with pytest.raises(TemplateError):
        render(template, NAMES)
    assert NAMES["record"]["id"] == "c1"


@given(st.text(), st.text())
def test_a_value_never_changes_which_path_it_is(first: str, second: str) -> None:
    """Whatever an id contains, the path has as many parts as in the file."""
    try:
        rendered = render_path("/contacts/{{ a }}/tags/{{ b }}", {"a": first, "b": second})
    except TemplateError:
        assert not all(each.isalnum() for each in (first, second))
        return
    assert rendered.count("/") == 4
    assert not set(rendered) & set("?#\\ \n")


@pytest.mark.parametrize("first", ["auth", "OAuth", "app_install", "..", "a/b", "a\\b", "%61uth"])
def test_paths_that_workflows_may_not_use_are_refused(first: str) -> None:
    """The values of a record cannot uninstall the app from a workspace."""
    with pytest.raises(TemplateError):
        render_path("/{{ it }}/uninstall", {"it": first})


def test_a_slash_in_an_expression_does_not_separate_parts() -> None:
    """It is a division."""
    assert render_path("/pages/{{ 6 / 2 }}/x", {}) == "/pages/3.0/x"
