"""An object is fetched completely, and stays as it is where no connection allows a fetch."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from typing import Any

import pytest

from intercom_api.errors import NotAuthorizedError, RejectedError, TransientError
from intercom_api.http.client import IntercomClient
from intercom_api.rate_limit.lanes import Lane
from tests.stories.drain_harness import DrainHarness, notification, open_harness
from tests.stories.intercom_server import WORKSPACE, IntercomServer, intercom_server
from workers.facts.from_fetch import FetchResult, FoundObject, MergedContact, MissingObject, report_from_fetch
from workers.refetch import fetch_object
from workers.refetch.dirty_objects import refetch_dirty
from workers.refetch.fetch_object import intercom_fetch
from workers.refetch.per_workspace import fetch_with_connections

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def intercom(redis_url: str) -> Iterator[IntercomServer]:
    with intercom_server(redis_url) as made:
        yield made


def fetch(intercom: IntercomServer, object_type: str, object_id: str, version: str = "2.16") -> FetchResult:
    return intercom_fetch(lambda _, lane: intercom.client(lane, version=version))(WORKSPACE, object_type, object_id)


def found(intercom: IntercomServer, object_type: str, object_id: str) -> FoundObject:
    result = fetch(intercom, object_type, object_id)
    assert isinstance(result, FoundObject)
    return result


def lists(intercom: IntercomServer, object_type: str, object_id: str) -> dict[str, Any]:
    result = found(intercom, object_type, object_id)
    return report_from_fetch(WORKSPACE, object_type, object_id, result, 1).observations[0].lists


def test_truncated_lists_are_fetched_completely(intercom: IntercomServer) -> None:
    """Intercom embeds ten members; treating them as all would delete the other links."""
    companies = intercom.companies(120)
    contact_id = next(iter(intercom.workspace.contacts))
    tags = [intercom.workspace.create_tag(f"tag {number}") for number in range(12)]
    for tag in tags:
        intercom.workspace.tag(contact_id, tag)
    facts = lists(intercom, "contact", contact_id)
    assert sorted(facts["contact_companies"].ids) == sorted(companies)
    assert sorted(facts["contact_tags"].ids) == sorted(tags)
    assert all(each.complete for each in facts.values())


def test_short_lists_cost_no_calls(intercom: IntercomServer) -> None:
    """Only segments, which no contact contains, cost a call."""
    [contact_id] = intercom.contacts(1)
    facts = lists(intercom, "contact", contact_id)
    assert set(facts) == {"contact_companies", "contact_tags", "contact_segments"}
    assert intercom.calls(f"/contacts/{contact_id}/companies") == intercom.calls(f"/contacts/{contact_id}/tags") == 0


def test_a_list_that_changed_while_it_was_read_counts_as_truncated(
    intercom: IntercomServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It only adds links, and is read again."""
    intercom.companies(60)
    contact_id = next(iter(intercom.workspace.contacts))
    whole = IntercomClient.contact_companies

    def without_the_last(self: IntercomClient, object_id: str) -> Any:
        for page in whole(self, object_id):
            del page.items[-1]
            yield page

    monkeypatch.setattr(IntercomClient, "contact_companies", without_the_last)
    facts = lists(intercom, "contact", contact_id)["contact_companies"]
    assert len(facts.ids) == 58
    assert not facts.complete


def test_a_company_comes_with_its_tags_and_segments(intercom: IntercomServer) -> None:
    """Both lists are complete."""
    [company_id] = intercom.companies(1)
    tag = intercom.workspace.create_tag("vip")
    intercom.workspace.tag_company(company_id, tag)
    facts = lists(intercom, "company", company_id)
    assert facts["company_tags"].ids == (tag,)
    assert facts["company_segments"].complete


def test_tags_and_segments_are_fetched(intercom: IntercomServer) -> None:
    """By id."""
    tag = intercom.workspace.create_tag("vip")
    assert found(intercom, "tag", tag).object["name"] == "vip"
    segment = intercom.client().segments().items[0]
    assert found(intercom, "segment", str(segment["id"])).object["name"] == segment["name"]
    assert isinstance(fetch(intercom, "tag", "nothing"), MissingObject)


def test_a_deleted_object_is_missing(intercom: IntercomServer) -> None:
    """Intercom returns 404."""
    [contact_id] = intercom.contacts(1)
    intercom.workspace.delete_contact(contact_id)
    assert isinstance(fetch(intercom, "contact", contact_id), MissingObject)
    assert isinstance(fetch(intercom, "company", "unknown"), MissingObject)


def test_a_merged_contact_is_redirected_or_before_2_16_missing(intercom: IntercomServer) -> None:
    """Intercom returns 410, or 404."""
    [source, survivor] = intercom.contacts(2)
    intercom.workspace.merge_contacts(source, survivor, any_role=True)
    result = fetch(intercom, "contact", source)
    assert isinstance(result, MergedContact)
    assert result.into_id == survivor
    assert isinstance(fetch(intercom, "contact", source, "2.15"), MissingObject)


def test_a_surviving_contact_reports_all_contacts_merged_into_it(intercom: IntercomServer) -> None:
    """Even though it shows the newest ten only."""
    [survivor, *sources] = intercom.contacts(13)
    for source in sources:
        intercom.workspace.merge_contacts(source, survivor, any_role=True)
    [contact, *others] = report_from_fetch(
        WORKSPACE, "contact", survivor, found(intercom, "contact", survivor), 1
    ).observations
    assert contact.id == survivor
    assert sorted(other.id for other in others) == sorted(sources)
    assert {other.merged.into_id for other in others if other.merged} == {survivor}


def test_an_object_that_is_deleted_while_it_is_read_is_fetched_again(
    intercom: IntercomServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second fetch finds that it is missing."""
    [contact_id] = intercom.contacts(1)
    segments = IntercomClient.contact_segments

    def too_late(self: IntercomClient, object_id: str) -> Any:
        intercom.workspace.delete_contact(object_id)
        return segments(self, object_id)

    monkeypatch.setattr(IntercomClient, "contact_segments", too_late)
    with pytest.raises(TransientError):
        fetch(intercom, "contact", contact_id)


def test_a_workspace_without_connection_is_not_called() -> None:
    """The fetch is tried again later."""
    with pytest.raises(TransientError):
        intercom_fetch(lambda *_: None)(WORKSPACE, "contact", "c1")


def test_a_refused_token_is_checked_once(intercom: IntercomServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many objects of the workspace are fetched at the same time."""
    checked: list[tuple[str, str]] = []
    together = Barrier(3, timeout=10)

    def refuse(_client: IntercomClient, _contact_id: str) -> Any:
        together.wait()
        raise NotAuthorizedError("unauthorized")

    monkeypatch.setattr(fetch_object, "_FETCHERS", {"contact": refuse})
    fetch_any = fetch_with_connections(lambda _, lane: intercom.client(lane), lambda *what: checked.append(what))
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(fetch_any, WORKSPACE, "contact", f"c{number}") for number in range(3)]
        failed = [each.exception() for each in futures]
    assert {type(error) for error in failed} == {NotAuthorizedError}
    with pytest.raises(TransientError):
        fetch_any(WORKSPACE, "contact", "c4")
    assert checked == [(WORKSPACE, "unauthorized")]


def test_with_a_local_emulator_workspaces_without_connection_are_fetched_from_it(intercom: IntercomServer) -> None:
    """The others are fetched with their connections."""
    [contact_id] = intercom.contacts(1)
    clients = {WORKSPACE: intercom.client(Lane.REFETCH)}
    fetch_any = fetch_with_connections(
        lambda workspace, _: clients.get(workspace), lambda *_: None, lambda *_: MissingObject(5)
    )
    assert isinstance(fetch_any(WORKSPACE, "contact", contact_id), FoundObject)
    assert fetch_any("demo0002", "contact", contact_id) == MissingObject(5)


@pytest.fixture
def harness(redis_url: str, database_url: str) -> Iterator[DrainHarness]:
    """A harness on either database, with one dirty contact."""
    with open_harness(redis_url, database_url) as made:
        made.append(notification("visitor.signed_up", {"type": "user", "id": "v1"}))
        made.drain()
        yield made


def test_objects_of_unconnected_workspaces_wait_at_no_cost(harness: DrainHarness) -> None:
    """They are due as soon as a user connects."""

    def unexpected(*_: str) -> FetchResult:
        raise AssertionError

    assert refetch_dirty(harness.engine, unexpected, NOW, workspaces=["another"]) == 0
    assert refetch_dirty(harness.engine, unexpected, NOW, workspaces=[]) == 0
    workspace = harness.one("SELECT workspace_id FROM object_states WHERE object_id = 'v1'")
    assert refetch_dirty(harness.engine, lambda *_: MissingObject(1), NOW, workspaces=[workspace]) == 1


def test_a_refusal_does_not_stop_the_round(harness: DrainHarness) -> None:
    """The object waits for its next attempt."""

    def refuse(*_: str) -> FetchResult:
        raise RejectedError("No.", 403, "forbidden")

    assert refetch_dirty(harness.engine, refuse, NOW) == 1
    assert refetch_dirty(harness.engine, refuse, NOW) == 0
    assert harness.one("SELECT refetch_attempts FROM object_states WHERE object_id = 'v1'") == 1


def test_the_segments_of_a_contact_become_rows(harness: DrainHarness) -> None:
    """No notification contains them."""
    segments = {"type": "list", "data": [{"id": "s1", "name": "Active"}], "total_count": 1, "has_more": False}
    contact = {"type": "contact", "id": "v1", "role": "user", "updated_at": 1_700_000_500, "segments": segments}
    refetch_dirty(harness.engine, lambda *_: FoundObject(contact, 1_700_001_000_000), NOW)
    assert harness.rows("SELECT contact_id, segment_id FROM contact_segments") == [
        {"contact_id": "v1", "segment_id": "s1"}
    ]
