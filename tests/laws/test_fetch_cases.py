"""Fetch results that other mirrors apply wrongly, on both databases."""

import pytest

from tests.laws.bodies import (
    NO_LISTS,
    company,
    company_attached,
    contact,
    contact_archived,
    contact_unarchived,
    contact_updated,
    found_response,
    link_list,
    missing_response,
    object_deleted,
)
from tests.laws.case import Case
from workers.facts.from_fetch import FetchResult


@pytest.mark.parametrize("fetch_first", [True, False])
def test_a_fetch_has_the_content_of_a_lost_webhook(case: Case, *, fetch_first: bool) -> None:
    """A webhook at .200, a lost one at .700, a fetch with whole seconds: the fetch wins in either order."""
    result = found_response(contact("c", 1.0, name="of the lost one"), 5)
    if fetch_first:
        case.apply_fetch(result)
    case.deliver(contact_updated(1.2, name="at .200", **NO_LISTS))
    if not fetch_first:
        case.apply_fetch(result)
    assert case.name() == "of the lost one"
    assert case.dirty() == set()


def test_a_get_in_the_second_of_the_deletion_leaves_the_contact_dirty(case: Case) -> None:
    """The order of the two is unknown."""
    case.deliver(object_deleted(3))
    case.apply_fetch(found_response(contact("c", 2), 3.4))
    assert case.row() is None
    assert case.dirty() == {"c"}


def test_a_get_before_the_deletion_does_not_clear_dirty(case: Case) -> None:
    """A fetch that the deletion overtook settles nothing."""
    case.deliver(object_deleted(3), contact_updated(4))
    case.apply_fetch(found_response(contact("c", 2), 2.5))
    assert case.row() is None
    assert case.dirty() == {"c"}
    case.apply_fetch(missing_response(6))
    assert case.dirty() == set()


def test_a_refetch_clears_only_the_counter_that_it_started_from(case: Case) -> None:
    """A reason to refetch that arose during the fetch leads to another fetch."""
    case.deliver(contact_updated(1.1, name="x", **NO_LISTS), contact_updated(1.9, name="y", **NO_LISTS))
    began = case.counters()[0]
    case.deliver(contact_archived(2.1), contact_unarchived(2.8))
    assert case.counters()[0] > began
    case.apply_fetch(found_response(contact("c", 1, name="y"), 2.0), refetched_from=began)
    assert case.dirty() == {"c"}
    case.apply_fetch(found_response(contact("c", 2, name="y"), 9))
    assert case.dirty() == set()


def test_a_fetch_of_a_later_second_leaves_the_contact_clean(case: Case) -> None:
    """A GET after a second is over has its final content; late webhooks of that second change nothing."""
    case.apply_fetch(found_response(contact("c", 1, name="final"), 2.0))
    case.deliver(contact_updated(1.4, name="before", **NO_LISTS))
    assert case.name() == "final"
    assert case.dirty() == set()


def test_two_different_fetches_of_one_second_leave_the_contact_dirty(case: Case) -> None:
    """Only the earliest moment that each can describe is known, so they cannot be ordered if they differ."""
    case.apply_fetch(found_response(contact("c", 5, name="x"), 5.1))
    case.apply_fetch(found_response(contact("c", 5, name="y"), 5.0))
    assert case.dirty() == {"c"}


def test_a_newer_partial_company_counts_as_another_reason_to_refetch(case: Case) -> None:
    """A fetch that started before it arrived was too early to include it."""
    case.deliver(company_attached("f", 1, firm_at=1))
    began = case.counters("f", "company")[0]
    case.deliver(company_attached("f", 4, firm_at=4))
    case.apply_fetch(found_response(company("f", 1), 2), "f", "company", refetched_from=began)
    assert "f" in case.dirty()


def test_found_and_not_found_at_one_moment_leaves_the_contact_gone_and_dirty(case: Case) -> None:
    """As of the same millisecond the tombstone stays, and the contact is fetched again."""
    case.apply_fetch(missing_response(4))
    case.apply_fetch(found_response(contact("c", 3), 4))
    assert case.row() is None
    assert case.dirty() == {"c"}


@pytest.mark.parametrize("late", [True, False])
def test_an_update_in_the_second_of_a_get_that_found_nothing_makes_it_dirty(case: Case, *, late: bool) -> None:
    """The update may be later than the GET that found nothing."""
    for deliver in (
        lambda: case.apply_fetch(missing_response(4.1)),
        lambda: case.deliver(contact_updated(4.6, **NO_LISTS)),
    )[:: 1 if late else -1]:
        deliver()
    assert case.row() is None
    assert case.dirty() == {"c"}


def test_a_revived_contact_that_missed_an_update_is_dirty(case: Case) -> None:
    """The GET that revives it may have been too early to include the update."""
    case.deliver(object_deleted(2), contact_updated(5, name="news"))
    case.apply_fetch(found_response(contact("c", 3, name="back"), 4))
    assert case.name() == "back"
    assert case.dirty() == {"c"}


def test_the_feed_has_the_links_of_a_revived_company_again(case: Case) -> None:
    """A reader deletes the links of a deleted object, so they are in the feed again when a GET revives it."""
    case.deliver(contact_updated(1, companies=link_list("f"), tags=link_list([])), object_deleted(2, "f", "company"))
    case.apply_fetch(found_response(company("f", 1), 4), "f", "company")
    assert case.change_rows("f") == ["deleted", "created"]
    assert case.change_rows("c") == ["created", "linked f", "linked f"]


def test_a_fetch_that_may_be_too_old_does_not_decide_whether_a_contact_is_archived(case: Case) -> None:
    """Archived and unarchived within a second: only a GET of a later moment decides."""
    case.deliver(contact_updated(0, **NO_LISTS), contact_archived(3.1), contact_unarchived(3.6))
    truth = "c" in case.active_contacts()
    case.apply_fetch(found_response(contact("c", 3), 2, archived=truth))
    assert case.dirty() == {"c"}
    case.apply_fetch(found_response(contact("c", 3), 4, archived=truth))
    assert (case.active_contacts(), case.dirty()) == (set() if truth else {"c"}, set())


def test_a_slow_fetch_does_not_settle_a_quick_one(case: Case) -> None:
    """The slow one has newer content but describes an earlier moment, so it is not shown, and fetched again."""
    case.apply_fetch(found_response(contact("c", 5, name="quick"), 5.1))
    case.deliver(contact_updated(5.7, name="news", **NO_LISTS))
    case.apply_fetch(found_response(contact("c", 5, name="news"), 5.0))
    assert case.name() == "quick"
    assert case.dirty() == {"c"}


def test_a_fetch_that_differs_from_another_of_the_same_moment_settles_nothing(case: Case) -> None:
    """A Date header has whole seconds, so two responses may describe one moment and differ."""
    case.apply_fetch(found_response(contact("c", 2, name="before"), 2))
    case.deliver(contact_updated(2.5, name="after", **NO_LISTS))
    case.apply_fetch(found_response(contact("c", 2, name="after"), 2))
    assert case.dirty() == {"c"}


@pytest.mark.parametrize("found_first", [True, False])
def test_a_contact_that_was_found_and_gone_about_the_same_time_is_fetched_again(
    case: Case, *, found_first: bool
) -> None:
    """Two GETs within one second: each has the earliest moment that it can describe, so either may be later."""
    results: list[FetchResult] = [found_response(contact("c", 1), 5.4), missing_response(5.2)]
    for result in results if found_first else reversed(results):
        case.apply_fetch(result)
    assert case.row() is not None
    assert case.dirty() == {"c"}
    case.apply_fetch(found_response(contact("c", 1), 8))
    assert case.dirty() == set()
    case.apply_fetch(missing_response(9))
    assert (case.row(), case.dirty()) == (None, set())
