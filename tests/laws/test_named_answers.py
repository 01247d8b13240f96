"""What other mirrors got wrong about answers to a GET, by name, on both databases."""

import pytest

from tests.laws.bodies import (
    NO_LISTS,
    archived,
    attached,
    company,
    contact,
    deleted,
    found,
    gone,
    listed,
    unarchived,
    updated,
)
from tests.laws.book import Book
from workers.facts.from_fetch import FetchResult


@pytest.mark.parametrize("fetch_first", [True, False])
def test_a_fetch_knows_what_a_lost_webhook_would_have_told(book: Book, *, fetch_first: bool) -> None:
    """Webhook at .200, a lost one at .700, fetch with whole seconds: the fetch wins, whichever comes first."""
    answer = found(contact("c", 1.0, name="of the lost one"), 5)
    if fetch_first:
        book.answer(answer)
    book.tell(updated(1.2, name="at .200", **NO_LISTS))
    if not fetch_first:
        book.answer(answer)
    assert book.name() == "of the lost one"
    assert book.dirty() == set()


def test_a_get_in_the_second_of_the_deletion_leaves_a_doubt(book: Book) -> None:
    """Nobody can tell which came first."""
    book.tell(deleted(3))
    book.answer(found(contact("c", 2), 3.4))
    assert book.row() is None
    assert book.dirty() == {"c"}


def test_a_get_before_the_deletion_does_not_count_as_an_answer(book: Book) -> None:
    """An answer that was overtaken by the deletion does not end the doubt that it was to answer."""
    book.tell(deleted(3), updated(4))
    book.answer(found(contact("c", 2), 2.5))
    assert book.row() is None
    assert book.dirty() == {"c"}
    book.answer(gone(6))
    assert book.dirty() == set()


def test_a_refetch_answers_only_the_doubts_that_it_started_from(book: Book) -> None:
    """A doubt that arose while the answer was under way is asked about again."""
    book.tell(updated(1.1, name="x", **NO_LISTS), updated(1.9, name="y", **NO_LISTS))
    began = book.counters()[0]
    book.tell(archived(2.1), unarchived(2.8))
    assert book.counters()[0] > began
    book.answer(found(contact("c", 1, name="y"), 2.0), refetched_from=began)
    assert book.dirty() == {"c"}
    book.answer(found(contact("c", 2, name="y"), 9))
    assert book.dirty() == set()


def test_a_fetch_of_a_later_second_leaves_no_doubt(book: Book) -> None:
    """Once a second is over, what a GET finds is the end of it; late webhooks of that second change nothing."""
    book.answer(found(contact("c", 1, name="final"), 2.0))
    book.tell(updated(1.4, name="before", **NO_LISTS))
    assert book.name() == "final"
    assert book.dirty() == set()


def test_of_two_fetches_of_one_second_neither_ends_the_doubt(book: Book) -> None:
    """Each speaks of a moment that is known only from below, so they cannot be ordered if they disagree."""
    book.answer(found(contact("c", 5, name="x"), 5.1))
    book.answer(found(contact("c", 5, name="y"), 5.0))
    assert book.dirty() == {"c"}


def test_a_newer_partial_company_is_a_doubt_of_its_own(book: Book) -> None:
    """A fetch that was under way before it came was too early to see it."""
    book.tell(attached("f", 1, firm_at=1))
    began = book.counters("f", "company")[0]
    book.tell(attached("f", 4, firm_at=4))
    book.answer(found(company("f", 1), 2), "f", "company", refetched_from=began)
    assert "f" in book.dirty()


def test_found_and_not_found_at_one_moment_leaves_the_contact_gone_and_in_doubt(book: Book) -> None:
    """As of the same millisecond the tombstone stays, and it is asked for again."""
    book.answer(gone(4))
    book.answer(found(contact("c", 3), 4))
    assert book.row() is None
    assert book.dirty() == {"c"}


@pytest.mark.parametrize("late", [True, False])
def test_news_of_the_second_in_which_nothing_was_found_is_asked_about(book: Book, *, late: bool) -> None:
    """The news may be later than the GET that found nothing."""
    for tell in (lambda: book.answer(gone(4.1)), lambda: book.tell(updated(4.6, **NO_LISTS)))[:: 1 if late else -1]:
        tell()
    assert book.row() is None
    assert book.dirty() == {"c"}


def test_news_that_a_tombstone_turned_away_is_asked_about_when_the_contact_comes_back(book: Book) -> None:
    """The GET that revives it may have been too early to see them."""
    book.tell(deleted(2), updated(5, name="news"))
    book.answer(found(contact("c", 3, name="back"), 4))
    assert book.name() == "back"
    assert book.dirty() == {"c"}


def test_the_feed_tells_the_links_of_what_goes_and_comes_back(book: Book) -> None:
    """A reader drops the links of what is deleted, and hears of them again when it is found alive after all."""
    book.tell(updated(1, companies=listed("f"), tags=listed([])), deleted(2, "f", "company"))
    book.answer(found(company("f", 1), 4), "f", "company")
    assert book.lines("f") == ["deleted", "created"]
    assert book.lines("c") == ["created", "linked f", "linked f"]


def test_a_fetch_that_may_be_too_old_does_not_end_a_tie_of_the_archive(book: Book) -> None:
    """Archived and brought back within a second: only a GET of a later moment decides."""
    book.tell(updated(0, **NO_LISTS), archived(3.1), unarchived(3.6))
    truth = "c" in book.active()
    book.answer(found(contact("c", 3), 2, archived=truth))
    assert book.dirty() == {"c"}
    book.answer(found(contact("c", 3), 4, archived=truth))
    assert (book.active(), book.dirty()) == (set() if truth else {"c"}, set())


def test_a_slow_fetch_does_not_end_the_doubt_about_a_quick_one(book: Book) -> None:
    """The slow one saw more but speaks of an earlier moment, so what it says is not shown, and asked for again."""
    book.answer(found(contact("c", 5, name="quick"), 5.1))
    book.tell(updated(5.7, name="news", **NO_LISTS))
    book.answer(found(contact("c", 5, name="news"), 5.0))
    assert book.name() == "quick"
    assert book.dirty() == {"c"}


def test_an_answer_that_differs_from_one_of_the_same_moment_ends_no_doubt(book: Book) -> None:
    """A Date header has whole seconds, so two answers may speak of one moment and differ."""
    book.answer(found(contact("c", 2, name="before"), 2))
    book.tell(updated(2.5, name="after", **NO_LISTS))
    book.answer(found(contact("c", 2, name="after"), 2))
    assert book.dirty() == {"c"}


@pytest.mark.parametrize("found_first", [True, False])
def test_a_contact_that_was_found_and_gone_about_the_same_time_is_asked_for_again(
    book: Book, *, found_first: bool
) -> None:
    """Two GETs within one second: their moments are the earliest that they may speak of, so either may be the later."""
    answers: list[FetchResult] = [found(contact("c", 1), 5.4), gone(5.2)]
    for answer in answers if found_first else reversed(answers):
        book.answer(answer)
    assert book.row() is not None
    assert book.dirty() == {"c"}
    book.answer(found(contact("c", 1), 8))
    assert book.dirty() == set()
    book.answer(gone(9))
    assert (book.row(), book.dirty()) == (None, set())
