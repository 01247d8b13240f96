"""Lists are read completely, in windows of any time zone and beyond the companies that pages reach."""

from collections.abc import Iterator

import pytest

from emulator.bulk_load import bulk_load
from tests.stories.verify_harness import VerifyHarness, open_verify_harness
from workers.verify import full, intercom_side


@pytest.fixture(params=["Etc/UTC", "Pacific/Apia", "Pacific/Pago_Pago"])
def harness(redis_url: str, sqlite_url: str, request: pytest.FixtureRequest) -> Iterator[VerifyHarness]:
    """A workspace with contacts created over two years."""
    with open_verify_harness(redis_url, sqlite_url, request.param) as made:
        with made.emulator.lock:
            bulk_load(made.workspace, 1_500, 70, links=3)
        yield made


def _active(harness: VerifyHarness) -> set[str]:
    return {each.id for each in harness.workspace.contacts.values() if not each.archived}


def test_windows_contain_the_same_contacts_as_one_cursor(
    harness: VerifyHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both read every active contact, in any time zone."""
    monkeypatch.setattr(intercom_side, "_MIN_FOR_WINDOWS", 100)
    pages = list(intercom_side.list_pages(harness.client, "contact"))
    assert {str(item["id"]) for page in pages for item in page.items} == _active(harness)
    one_by_one = intercom_side.list_pages(harness.client, "contact", first=False)
    assert {str(item["id"]) for page in one_by_one for item in page.items} == _active(harness)
    assert {page.total for page in pages} == {len(_active(harness))}


def test_companies_beyond_the_paged_ones_are_read_by_scroll(harness: VerifyHarness) -> None:
    """Pages end after ten thousand companies, or after the number set in the emulator."""
    harness.intercom.change({"list_wall": 60})
    shown = {str(item["id"]) for page in intercom_side.list_pages(harness.client, "company") for item in page.items}
    assert shown == {each.id for each in harness.workspace.companies.values() if each.contact_ids}


def test_more_candidates_than_can_be_rechecked_are_reported(
    redis_url: str, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdict is clear, and the reason contains what to do first."""
    monkeypatch.setattr(full, "MAX_CANDIDATES", 5)
    with open_verify_harness(redis_url, sqlite_url) as harness:
        with harness.emulator.lock:
            bulk_load(harness.workspace, 30, 1, links=1)
        outcome = harness.verify()
    assert outcome.counted["contact", "missing"] == 5
    assert outcome.exit_code == 3
    assert "reconcile --full" in outcome.reasons[0]
    assert outcome.compared["contact"] == len(_active(harness))
