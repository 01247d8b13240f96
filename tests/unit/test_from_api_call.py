"""Which objects of a response are read."""

from typing import Any

import pytest
from requests.structures import CaseInsensitiveDict

from intercom_api.http.replies import Reply
from workers.facts import from_api_call

CONTACT = {"type": "contact", "id": "c1", "role": "user", "updated_at": 100, "external_id": "e"}


def reply(body: dict[str, Any]) -> Reply:
    return Reply(200, CaseInsensitiveDict(), body, 1_000_000, None)


def test_a_single_object_and_the_entries_of_a_list_have_versions() -> None:
    """Tags have none."""
    company = {"type": "company", "id": 7, "updated_at": 200, "company_id": "k"}
    assert from_api_call.versions_in_reply(reply(CONTACT)) == {("contact", "c1"): 100}
    listed = {"type": "list", "data": [CONTACT, company, {"type": "tag", "id": "1", "name": "vip"}, "text"]}
    assert from_api_call.versions_in_reply(reply(listed)) == {("contact", "c1"): 100, ("company", "7"): 200}


@pytest.mark.parametrize(
    "more",
    [{"updated_at": None}, {"updated_at": True}, {"updated_at": "100"}, {"deleted": True}, {"merge_history": []}],
)
def test_an_object_with_facts_beyond_its_version_has_none(more: dict[str, Any]) -> None:
    """A deletion is applied whatever the version."""
    assert from_api_call.versions_in_reply(reply(CONTACT | more)) == {}


def test_unchanged_objects_are_left_out() -> None:
    """The others are read."""
    other = CONTACT | {"id": "c2"}
    body = reply({"type": "list", "data": [CONTACT, other]})
    reports = from_api_call.reports_from_reply("w", "GET", "/contacts", body, 0, {("contact", "c1")})
    assert [report.observations[0].id for report in reports] == ["c2"]
