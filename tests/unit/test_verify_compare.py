"""Equal is equal, and whatever one thing is wrong is found and named."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from models.rule.content import VOLATILE
from tests.unit.comparison_cases import ASKED_AT, CONTACTS, ITEMS, found, held_of, told
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

# Columns that say how we know, or that are the row's key; Intercom has no word on them.
NOT_COMPARED = {"workspace_id", "id", "_source", "_synced_at", "_raw"}
# Of another value than anything in a row here.
WRONG = "\N{SNOWMAN} wrong"

CONTACT = {"id": "c1", "type": "contact", "updated_at": 5, "name": "Ann", "custom_attributes": {"plan": "gold"}}


@given(ITEMS)
def test_what_the_apply_rule_wrote_is_equal(item: dict[str, Any]) -> None:
    """No false alarm, whatever the object is like."""
    seen = found(item)
    assert compare(seen, held_of(seen)) == Comparison("equal")


@given(ITEMS, st.data())
def test_a_wrong_column_is_named(item: dict[str, Any], data: st.DataObject) -> None:
    """Whichever column it is, also those that drift: a column that does not follow from `_raw` is never Intercom's."""
    seen = found(item)
    held = held_of(seen)
    assert held.row is not None
    column = data.draw(st.sampled_from(sorted(held.row.keys() - NOT_COMPARED)))
    comparison = compare(seen, replace(held, row=held.row | {column: WRONG}))
    assert comparison.kind == "differing"
    assert comparison.fields == (column,)


@given(ITEMS, st.data())
def test_a_wrong_field_inside_raw_is_named(item: dict[str, Any], data: st.DataObject) -> None:
    """Also one that is no column."""
    seen = found(item)
    held = held_of(seen)
    assert held.row is not None
    field = data.draw(st.sampled_from(sorted(held.row["_raw"].keys() - VOLATILE)))
    comparison = compare(seen, replace(held, row=held.row | {"_raw": held.row["_raw"] | {field: WRONG}}))
    assert comparison.kind == "differing"
    assert field in comparison.fields


@given(CONTACTS, st.sampled_from(["contact_companies", "contact_tags"]), st.data())
def test_a_wrong_link_is_named(item: dict[str, Any], kind: str, data: st.DataObject) -> None:
    """One too many, or one too few."""
    seen = found(item)
    held = held_of(seen)
    ids = held.links.get(kind, frozenset())
    fewer = bool(ids) and data.draw(st.booleans())
    wrong = ids - {data.draw(st.sampled_from(sorted(ids)))} if fewer else ids | {"other"}
    assert compare(seen, replace(held, links={**held.links, kind: wrong})).fields == (kind,)


@given(ITEMS)
def test_a_missing_row_is_missing(item: dict[str, Any]) -> None:
    """Whatever else is remembered of it."""
    seen = found(item)
    assert compare(seen, replace(held_of(seen), row=None)).kind == "missing"


@given(ITEMS)
def test_a_row_of_what_is_gone_is_extra(item: dict[str, Any]) -> None:
    """With the links that it leaves."""
    held = held_of(found(item))
    assert compare(told(item["type"], MissingObject(ASKED_AT)), held).kind == "extra"


def test_a_link_that_outlived_its_object_is_extra() -> None:
    """No row, and still a member of something."""
    held = MirrorObject(links={"contact_tags": frozenset({"t1"})})
    assert compare(told("contact", MissingObject(ASKED_AT)), held) == Comparison("extra", ("contact_tags",))


def test_what_is_gone_on_both_sides_is_equal() -> None:
    """Nothing is there, as it should be."""
    assert compare(told("contact", MissingObject(ASKED_AT)), MirrorObject()) == Comparison("equal")


@pytest.mark.parametrize(("into", "kind"), [("c9", "equal"), (None, "missing"), ("c8", "missing")])
def test_a_merged_contact_leads_to_its_survivor(into: str | None, kind: str) -> None:
    """A redirect that is missing or leads elsewhere is told."""
    comparison = compare(told("contact", MergedContact("c9", ASKED_AT)), MirrorObject(merged_into=into))
    assert (comparison.kind, comparison.fields) == (kind, () if kind == "equal" else (REDIRECTS,))


def test_a_redirect_of_a_living_contact_is_told() -> None:
    """It would lead the application astray."""
    seen = found(CONTACT)
    assert compare(seen, replace(held_of(seen), merged_into="c9")).fields == (REDIRECTS,)


def test_an_archive_that_was_missed_is_told() -> None:
    """Both ways."""
    held = held_of(found(CONTACT))
    assert compare(found(CONTACT, archived=True), held).fields == ("archived",)
    held = held_of(found(CONTACT, archived=True))
    assert compare(found(CONTACT), held).fields == ("archived",)
    assert compare(found(CONTACT, archived=None), held).kind == "equal"


def test_custom_attributes_are_named_one_by_one() -> None:
    """Names, and no values; a key that is null is not the same as no key."""
    held = held_of(found(CONTACT))
    seen = found(CONTACT | {"custom_attributes": {"plan": "silver", "seats": None}})
    assert compare(seen, held).fields == ("custom_attributes.plan", "custom_attributes.seats")


@pytest.mark.parametrize("field", sorted(VOLATILE))
def test_what_intercom_changes_without_telling_has_drifted(field: str) -> None:
    """It is counted, and no difference."""
    seen = found(CONTACT | {field: 7})
    assert compare(seen, held_of(found(CONTACT | {field: 6}))) == Comparison("equal", (), (field,))


def test_lists_that_intercom_changes_without_telling_have_drifted() -> None:
    """The tags of a company: no notification tells of them."""
    company = {"id": "c1", "type": "company", "updated_at": 5, "tags": {"type": "tag.list", "tags": [{"id": "t1"}]}}
    held = replace(held_of(found(company)), links={})
    assert compare(found(company), held).drifted == ("company_tags",)
    assert "company_tags" in DRIFTING_LISTS


def test_a_field_that_intercom_leaves_out_is_not_compared() -> None:
    """It may have come from another form, and nobody can say that it is wrong."""
    seen = found(CONTACT)
    held = held_of(found(CONTACT | {"utm_source": "mail"}))
    assert compare(seen, held).kind == "equal"


def test_a_field_that_only_intercom_has_differs_unless_it_is_null() -> None:
    """Null and absent are the same column."""
    held = held_of(found(CONTACT))
    assert compare(found(CONTACT | {"utm_source": None}), held).kind == "equal"
    assert compare(found(CONTACT | {"utm_source": "mail"}), held).fields == ("utm_source",)


def test_a_raw_that_is_no_object_is_told() -> None:
    """Somebody wrote into it by hand."""
    seen = found(CONTACT)
    held = held_of(seen)
    assert held.row is not None
    assert "_raw" in compare(seen, replace(held, row=held.row | {"_raw": None})).fields


def test_a_cut_list_is_compared_as_far_as_it_goes() -> None:
    """What it shows must be there; what it does not show may be."""
    cut = {"type": "list", "data": [{"id": "m1"}], "total_count": 3, "has_more": True}
    held = held_of(found(CONTACT))
    more = replace(held, links={"contact_companies": frozenset({"m1", "m2"})})
    assert compare(found(CONTACT | {"companies": cut}), held).fields == ("contact_companies",)
    assert compare(found(CONTACT | {"companies": cut}), more).kind == "equal"


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
    """Python takes true for 1."""
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
    """And its raw form."""
    assert compare_attribute(ATTRIBUTE, ATTRIBUTE_ROW) == Comparison("equal")
    assert compare_attribute(ATTRIBUTE, None).kind == "missing"
    assert compare_attribute(None, ATTRIBUTE_ROW).kind == "extra"
    for column in ATTRIBUTE_ROW.keys() - {"_raw"}:
        assert compare_attribute(ATTRIBUTE, ATTRIBUTE_ROW | {column: WRONG}).fields == (column,)
    assert compare_attribute(ATTRIBUTE, ATTRIBUTE_ROW | {"_raw": {}}).fields != ()
