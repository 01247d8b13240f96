"""What other mirrors got wrong about answers to a GET, by name, on both databases."""

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
def test_a_fetch_knows_what_a_lost_webhook_would_have_told(case: Case, *, fetch_first: bool) -> None:
    """Webhook at .200, a lost one at .700, fetch with whole seconds: the fetch wins, whichever comes first."""
    answer = found_response(contact("c", 1.0, name="of the lost one"), 5)
    if fetch_first:
        case.apply_fetch(answer)
    case.deliver(contact_updated(1.2, name="at .200", **NO_LISTS))
    if not fetch_first:
        case.apply_fetch(answer)
    assert case.name() == "of the lost one"
    assert case.dirty() == set()


def test_a_get_in_the_second_of_the_deletion_leaves_a_doubt(case: Case) -> None:
    """Nobody can tell which came first."""
    case.deliver(object_deleted(3))
    case.apply_fetch(found_response(contact("c", 2), 3.4))
    assert case.row() is None
    assert case.dirty() == {"c"}


def test_a_get_before_the_deletion_does_not_count_as_an_answer(case: Case) -> None:
    """An answer that was overtaken by the deletion does not end the doubt that it was to answer."""
    case.deliver(object_deleted(3), contact_updated(4))
    case.apply_fetch(found_response(contact("c", 2), 2.5))
    assert case.row() is None
    assert case.dirty() == {"c"}
    case.apply_fetch(missing_response(6))
    assert case.dirty() == set()


def test_a_refetch_answers_only_the_doubts_that_it_started_from(case: Case) -> None:
    """A doubt that arose while the answer was under way is asked about again."""
    case.deliver(contact_updated(1.1, name="x", **NO_LISTS), contact_updated(1.9, name="y", **NO_LISTS))
    began = case.counters()[0]
    case.deliver(contact_archived(2.1), contact_unarchived(2.8))
    assert case.counters()[0] > began
    case.apply_fetch(found_response(contact("c", 1, name="y"), 2.0), refetched_from=began)
    assert case.dirty() == {"c"}
    case.apply_fetch(found_response(contact("c", 2, name="y"), 9))
    assert case.dirty() == set()


def test_a_fetch_of_a_later_second_leaves_no_doubt(case: Case) -> None:
    """Once a second is over, what a GET finds is the end of it; late webhooks of that second change nothing."""
    case.apply_fetch(found_response(contact("c", 1, name="final"), 2.0))
    case.deliver(contact_updated(1.4, name="before", **NO_LISTS))
    assert case.name() == "final"
    assert case.dirty() == set()


def test_of_two_fetches_of_one_second_neither_ends_the_doubt(case: Case) -> None:
    """Each speaks of a moment that is known only from below, so they cannot be ordered if they disagree."""
    case.apply_fetch(found_response(contact("c", 5, name="x"), 5.1))
    case.apply_fetch(found_response(contact("c", 5, name="y"), 5.0))
    assert case.dirty() == {"c"}


def test_a_newer_partial_company_is_a_doubt_of_its_own(case: Case) -> None:
    """A fetch that was under way before it came was too early to see it."""
    case.deliver(company_attached("f", 1, firm_at=1))
    began = case.counters("f", "company")[0]
    case.deliver(company_attached("f", 4, firm_at=4))
    case.apply_fetch(found_response(company("f", 1), 2), "f", "company", refetched_from=began)
    assert "f" in case.dirty()


def test_found_and_not_found_at_one_moment_leaves_the_contact_gone_and_in_doubt(case: Case) -> None:
    """As of the same millisecond the tombstone stays, and it is asked for again."""
    case.apply_fetch(missing_response(4))
    case.apply_fetch(found_response(contact("c", 3), 4))
    assert case.row() is None
    assert case.dirty() == {"c"}


@pytest.mark.parametrize("late", [True, False])
def test_news_of_the_second_in_which_nothing_was_found_is_asked_about(case: Case, *, late: bool) -> None:
    """The news may be later than the GET that found nothing."""
    for deliver in (
        lambda: case.apply_fetch(missing_response(4.1)),
        lambda: case.deliver(contact_updated(4.6, **NO_LISTS)),
    )[:: 1 if late else -1]:
        deliver()
    assert case.row() is None
    assert case.dirty() == {"c"}


def test_news_that_a_tombstone_turned_away_is_asked_about_when_the_contact_comes_back(case: Case) -> None:
    """The GET that revives it may have been too early to see them."""
    case.deliver(object_deleted(2), contact_updated(5, name="news"))
    case.apply_fetch(found_response(contact("c", 3, name="back"), 4))
    assert case.name() == "back"
    assert case.dirty() == {"c"}


def test_the_feed_tells_the_links_of_what_goes_and_comes_back(case: Case) -> None:
    """A reader drops the links of what is deleted, and hears of them again when it is found alive after all."""
    case.deliver(contact_updated(1, companies=link_list("f"), tags=link_list([])), object_deleted(2, "f", "company"))
    case.apply_fetch(found_response(company("f", 1), 4), "f", "company")
    assert case.change_rows("f") == ["deleted", "created"]
    assert case.change_rows("c") == ["created", "linked f", "linked f"]


def test_a_fetch_that_may_be_too_old_does_not_end_a_tie_of_the_archive(case: Case) -> None:
    """Archived and brought back within a second: only a GET of a later moment decides."""
    case.deliver(contact_updated(0, **NO_LISTS), contact_archived(3.1), contact_unarchived(3.6))
    truth = "c" in case.active_contacts()
    case.apply_fetch(found_response(contact("c", 3), 2, archived=truth))
    assert case.dirty() == {"c"}
    case.apply_fetch(found_response(contact("c", 3), 4, archived=truth))
    assert (case.active_contacts(), case.dirty()) == (set() if truth else {"c"}, set())


def test_a_slow_fetch_does_not_end_the_doubt_about_a_quick_one(case: Case) -> None:
    """The slow one saw more but speaks of an earlier moment, so what it says is not shown, and asked for again."""
    case.apply_fetch(found_response(contact("c", 5, name="quick"), 5.1))
    case.deliver(contact_updated(5.7, name="news", **NO_LISTS))
    case.apply_fetch(found_response(contact("c", 5, name="news"), 5.0))
    assert case.name() == "quick"
    assert case.dirty() == {"c"}


def test_an_answer_that_differs_from_one_of_the_same_moment_ends_no_doubt(case: Case) -> None:
    """A Date header has whole seconds, so two answers may speak of one moment and differ."""
    case.apply_fetch(found_response(contact("c", 2, name="before"), 2))
    case.deliver(contact_updated(2.5, name="after", **NO_LISTS))
    case.apply_fetch(found_response(contact("c", 2, name="after"), 2))
    assert case.dirty() == {"c"}


@pytest.mark.parametrize("found_first", [True, False])
def test_a_contact_that_was_found_and_gone_about_the_same_time_is_asked_for_again(
    case: Case, *, found_first: bool
) -> None:
    """Two GETs within one second: their moments are the earliest that they may speak of, so either may be the later."""
    answers: list[FetchResult] = [found_response(contact("c", 1), 5.4), missing_response(5.2)]
    for answer in answers if found_first else reversed(answers):
        case.apply_fetch(answer)
    assert case.row() is not None
    assert case.dirty() == {"c"}
    case.apply_fetch(found_response(contact("c", 1), 8))
    assert case.dirty() == set()
    case.apply_fetch(missing_response(9))
    assert (case.row(), case.dirty()) == (None, set())
