"""Equal objects compare as equal, and each difference is found and named."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from models.rule.merge_content import VOLATILE
from tests.unit.comparison_cases import CONTACTS, FETCHED_AT_MS, ITEMS, mirror_of, observe, observe_result
from workers.facts.from_fetch import MergedContact, MissingObject
from workers.verify.compare import (
    DRIFTING_LISTS,
    REDIRECTS,
    Comparison,
    MirrorObject,
    compare,
    compare_attribute,
    json_equal,
)

# Columns that are the key of the row, or describe its source; Intercom has no value for them.
NOT_COMPARED = {"workspace_id", "id", "_source", "_synced_at", "_raw"}
# Of another value than anything in a row here.
WRONG = "\N{SNOWMAN} wrong"

CONTACT = {"id": "c1", "type": "contact", "updated_at": 5, "name": "Ann", "custom_attributes": {"plan": "gold"}}


@given(ITEMS)
def test_rows_written_by_the_apply_rule_are_equal(item: dict[str, Any]) -> None:
    """There are no false alarms, for any object."""
    observation = observe(item)
    assert compare(observation, mirror_of(observation)) == Comparison("equal")


@given(ITEMS, st.data())
def test_a_wrong_column_is_named(item: dict[str, Any], data: st.DataObject) -> None:
    """Each column is compared, also those that drift: a column must follow from `_raw`."""
    observation = observe(item)
    mirror = mirror_of(observation)
    assert mirror.row is not None
    column = data.draw(st.sampled_from(sorted(mirror.row.keys() - NOT_COMPARED)))
    comparison = compare(observation, replace(mirror, row=mirror.row | {column: WRONG}))
    assert comparison.kind == "differing"
    assert comparison.fields == (column,)


@given(ITEMS, st.data())
def test_a_wrong_field_inside_raw_is_named(item: dict[str, Any], data: st.DataObject) -> None:
    """A field without a column is compared too."""
    observation = observe(item)
    mirror = mirror_of(observation)
    assert mirror.row is not None
    field = data.draw(st.sampled_from(sorted(mirror.row["_raw"].keys() - VOLATILE)))
    comparison = compare(observation, replace(mirror, row=mirror.row | {"_raw": mirror.row["_raw"] | {field: WRONG}}))
    assert comparison.kind == "differing"
    assert field in comparison.fields


@given(CONTACTS, st.sampled_from(["contact_companies", "contact_tags"]), st.data())
def test_a_wrong_link_is_named(item: dict[str, Any], kind: str, data: st.DataObject) -> None:
    """One too many, or one too few."""
    observation = observe(item)
    mirror = mirror_of(observation)
    ids = mirror.links.get(kind, frozenset())
    fewer = bool(ids) and data.draw(st.booleans())
    wrong = ids - {data.draw(st.sampled_from(sorted(ids)))} if fewer else ids | {"other"}
    assert compare(observation, replace(mirror, links={**mirror.links, kind: wrong})).fields == (kind,)


@given(ITEMS)
def test_a_missing_row_is_missing(item: dict[str, Any]) -> None:
    """For any state of its guard row and links."""
    observation = observe(item)
    assert compare(observation, replace(mirror_of(observation), row=None)).kind == "missing"


@given(ITEMS)
def test_a_row_of_a_deleted_object_is_extra(item: dict[str, Any]) -> None:
    """With its remaining links."""
    mirror = mirror_of(observe(item))
    assert compare(observe_result(item["type"], MissingObject(FETCHED_AT_MS)), mirror).kind == "extra"


def test_a_link_of_a_deleted_object_is_extra() -> None:
    """There is no row, but a link."""
    mirror = MirrorObject(links={"contact_tags": frozenset({"t1"})})
    assert compare(observe_result("contact", MissingObject(FETCHED_AT_MS)), mirror) == Comparison(
        "extra", ("contact_tags",)
    )


def test_an_object_deleted_on_both_sides_is_equal() -> None:
    """Neither side has it."""
    assert compare(observe_result("contact", MissingObject(FETCHED_AT_MS)), MirrorObject()) == Comparison("equal")


@pytest.mark.parametrize(("into", "kind"), [("c9", "equal"), (None, "missing"), ("c8", "missing")])
def test_a_merged_contact_needs_a_redirect(into: str | None, kind: str) -> None:
    """A redirect that is missing or leads elsewhere is reported."""
    comparison = compare(observe_result("contact", MergedContact("c9", FETCHED_AT_MS)), MirrorObject(merged_into=into))
    assert (comparison.kind, comparison.fields) == (kind, () if kind == "equal" else (REDIRECTS,))


def test_a_redirect_of_an_existing_contact_differs() -> None:
    """It would lead an application to the wrong contact."""
    observation = observe(CONTACT)
    assert compare(observation, replace(mirror_of(observation), merged_into="c9")).fields == (REDIRECTS,)


def test_a_missed_archiving_differs() -> None:
    """In both directions."""
    mirror = mirror_of(observe(CONTACT))
    assert compare(observe(CONTACT, archived=True), mirror).fields == ("archived",)
    mirror = mirror_of(observe(CONTACT, archived=True))
    assert compare(observe(CONTACT), mirror).fields == ("archived",)
    assert compare(observe(CONTACT, archived=None), mirror).kind == "equal"


def test_custom_attributes_are_named_one_by_one() -> None:
    """The result contains names, and no values; a key that is null differs from no key."""
    mirror = mirror_of(observe(CONTACT))
    observation = observe(CONTACT | {"custom_attributes": {"plan": "silver", "seats": None}})
    assert compare(observation, mirror).fields == ("custom_attributes.plan", "custom_attributes.seats")


@pytest.mark.parametrize("field", sorted(VOLATILE))
def test_changes_without_a_notification_are_counted_as_drift(field: str) -> None:
    """It is counted, and is not a difference."""
    observation = observe(CONTACT | {field: 7})
    assert compare(observation, mirror_of(observe(CONTACT | {field: 6}))) == Comparison("equal", (), (field,))


def test_lists_changed_without_a_notification_are_drift() -> None:
    """No notification contains the tags of a company."""
    company = {"id": "c1", "type": "company", "updated_at": 5, "tags": {"type": "tag.list", "tags": [{"id": "t1"}]}}
    mirror = replace(mirror_of(observe(company)), links={})
    assert compare(observe(company), mirror).drifted == ("company_tags",)
    assert "company_tags" in DRIFTING_LISTS


def test_a_field_that_intercom_leaves_out_is_not_compared() -> None:
    """It may come from another form of the object, so it cannot be checked."""
    observation = observe(CONTACT)
    mirror = mirror_of(observe(CONTACT | {"utm_source": "mail"}))
    assert compare(observation, mirror).kind == "equal"


def test_a_field_that_only_intercom_has_differs_unless_it_is_null() -> None:
    """Null and absent give the same column."""
    mirror = mirror_of(observe(CONTACT))
    assert compare(observe(CONTACT | {"utm_source": None}), mirror).kind == "equal"
    assert compare(observe(CONTACT | {"utm_source": "mail"}), mirror).fields == ("utm_source",)


def test_a_raw_value_that_is_not_an_object_differs() -> None:
    """It was changed by hand."""
    observation = observe(CONTACT)
    mirror = mirror_of(observation)
    assert mirror.row is not None
    assert "_raw" in compare(observation, replace(mirror, row=mirror.row | {"_raw": None})).fields


def test_a_cut_list_is_compared_as_far_as_it_goes() -> None:
    """Links that it contains must exist; other links may exist."""
    cut = {"type": "list", "data": [{"id": "m1"}], "total_count": 3, "has_more": True}
    mirror = mirror_of(observe(CONTACT))
    more = replace(mirror, links={"contact_companies": frozenset({"m1", "m2"})})
    assert compare(observe(CONTACT | {"companies": cut}), mirror).fields == ("contact_companies",)
    assert compare(observe(CONTACT | {"companies": cut}), more).kind == "equal"


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        ({"a": [1, {"b": True}]}, {"a": [1, {"b": 1}]}, False),
        ([1], [1, 2], False),
        ("1", 1, False),
        (None, False, False),
    ],
)
def test_values_are_compared_as_json(one: object, other: object, equal: bool) -> None:  # noqa: FBT001 -- a parameter
    """In Python, true equals 1."""
    assert json_equal(one, other) is equal


ATTRIBUTE = {
    "type": "data_attribute",
    "name": "plan",
    "full_name": "custom_attributes.plan",
    "label": "Plan",
    "data_type": "string",
    "custom": True,
    "archived": False,
    "id": 12,
}
ATTRIBUTE_ROW = {
    "id": "12",
    "name": "plan",
    "label": "Plan",
    "description": None,
    "data_type": "string",
    "custom": True,
    "archived": False,
    "_raw": ATTRIBUTE,
}


def test_an_attribute_is_compared_column_by_column() -> None:
    """And its `_raw`."""
    assert compare_attribute(ATTRIBUTE, ATTRIBUTE_ROW) == Comparison("equal")
    assert compare_attribute(ATTRIBUTE, None).kind == "missing"
    assert compare_attribute(None, ATTRIBUTE_ROW).kind == "extra"
    for column in ATTRIBUTE_ROW.keys() - {"_raw"}:
        assert compare_attribute(ATTRIBUTE, ATTRIBUTE_ROW | {column: WRONG}).fields == (column,)
    assert compare_attribute(ATTRIBUTE, ATTRIBUTE_ROW | {"_raw": {}}).fields != ()
