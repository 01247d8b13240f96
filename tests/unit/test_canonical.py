"""`intercom_api.wire.canonical`: an object is the same whatever its source."""

from typing import Any

import pytest

from intercom_api.errors import MalformedNotificationError
from intercom_api.wire import canonical

WEBHOOK_CONTACT: dict[str, Any] = {
    "type": "contact",
    "id": "6650a1",
    "workspace_id": "ab12cd34",
    "owner_id": 7450231,
    "avatar": "https://example.test/a.png",
    "created_at": "2026-01-10T04:11:34.013+00:00",
    "updated_at": "2026-01-12T09:30:02.551+00:00",
    "formatted_phone": "+1 555-010-0042",
    "tags": {"type": "list", "data": [{"id": "1"}, {"id": 2}], "has_more": False, "total_count": 2},
    "companies": {"type": "list", "data": [{"id": "c"}], "has_more": True, "total_count": 12},
    "custom_attributes": {"plan": "gold"},
}
REST_CONTACT: dict[str, Any] = WEBHOOK_CONTACT | {
    "owner_id": "7450231",
    "avatar": {"type": "avatar", "image_url": "https://example.test/a.png"},
    "created_at": 1768018294,
    "updated_at": 1768210202,
    "email_domain": "example.test",
}


def test_a_contact_is_the_same_from_both_sources() -> None:
    """Times, owner ids and avatars are unified; fields that only one format has are omitted."""
    assert canonical.contact(WEBHOOK_CONTACT).content == canonical.contact(REST_CONTACT).content


def test_milliseconds_are_kept_apart_from_the_content() -> None:
    """REST has whole seconds, so the content has them too; the order within a second needs the milliseconds."""
    converted = canonical.contact(WEBHOOK_CONTACT)
    assert converted.content["updated_at"] == 1768210202
    assert (converted.updated_at_ms, converted.has_milliseconds) == (1768210202551, True)
    assert not canonical.contact(REST_CONTACT).has_milliseconds


def test_lists_are_removed_from_the_object() -> None:
    """A list is marked as complete or not."""
    converted = canonical.contact(WEBHOOK_CONTACT)
    assert converted.tags == canonical.MemberList(("1", "2"), complete=True)
    assert converted.companies == canonical.MemberList(("c",), complete=False)
    assert "tags" not in converted.content


@pytest.mark.parametrize(
    ("given", "complete"),
    [
        ({"data": [{"id": "1"}]}, True),
        ({"data": [{"id": str(number)} for number in range(10)]}, False),
        ({"data": [{"id": "1"}], "total_count": 1}, True),
        ({"data": [{"id": "1"}], "total_count": 2}, False),
        ({"data": [{"id": str(number)} for number in range(10)], "has_more": False}, True),
    ],
)
def test_a_list_that_may_have_been_cut_is_not_complete(given: dict[str, Any], complete: bool) -> None:  # noqa: FBT001
    """Intercom cuts lists at ten; without a total, ten members may not be all."""
    tags = canonical.contact(WEBHOOK_CONTACT | {"tags": given}).tags
    assert tags is not None
    assert tags.complete is complete


def test_unset_fields_of_a_rest_company_are_null() -> None:
    """REST omits unset fields; a field that a notification omits is unknown."""
    sparse = {"id": "c", "name": "Orchard", "updated_at": 1768210202}
    assert canonical.company(sparse, rest=True).content["website"] is None
    assert "website" not in canonical.company(sparse).content


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"plan": None}, None),
        ({"plan": {}}, None),
        ({"plan": {"type": "plan", "id": 9, "name": "Pro"}}, {"type": "plan", "id": "9", "name": "Pro"}),
        ({"plan_id": "9"}, {"type": "plan", "id": "9", "name": None}),
        ({"plan_id": None}, None),
    ],
)
def test_a_plan_is_null_or_an_object(given: dict[str, Any], expected: object) -> None:
    """Four formats become two."""
    assert canonical.company({"id": "c"} | given).content["plan"] == expected


def test_company_tags_have_two_formats() -> None:
    """Notifications have ids, REST has objects with names."""
    assert canonical.company({"id": "c", "tag_ids": [1, "2"]}).tags == canonical.MemberList(("1", "2"), complete=True)
    tags = canonical.company({"id": "c", "tags": {"type": "tag.list", "tags": [{"id": "1", "name": "vip"}]}}).tags
    assert tags == canonical.MemberList(("1",), complete=True, names={"1": "vip"})
    ten = canonical.company(
        {"id": "c", "tags": {"type": "tag.list", "tags": [{"id": str(tag)} for tag in range(10)]}}
    ).tags
    assert ten is not None
    assert ten.complete


def test_an_invalid_time_is_kept_unchanged() -> None:
    """Only updated_at decides the order, so only it must be valid."""
    assert canonical.contact({"id": "1", "last_seen_at": "soon"}).content["last_seen_at"] == "soon"
    with pytest.raises(MalformedNotificationError, match="updated_at"):
        canonical.contact({"id": "1", "updated_at": "soon"})


@pytest.mark.parametrize("identity", [None, "", [], "x" * 256, True])
def test_an_object_needs_an_id(identity: object) -> None:
    """Text or a number, short enough for a key."""
    with pytest.raises(MalformedNotificationError):
        canonical.contact({"id": identity})
