"""The cases that other mirrors got wrong, by name, on both databases, in both orders of arrival."""

import msgspec
from sqlalchemy import Engine

from tests.laws.bodies import (
    NO_LISTS,
    Json,
    archived,
    attached,
    company_updated,
    contact,
    deleted,
    found,
    listed,
    note,
    unarchived,
    updated,
)
from tests.laws.book import Book, orders
from tests.laws.mirrors import visiting


@orders(attached("f", 3, firm_at=2.9), company_updated(2, name="whole", size=7))
def test_a_whole_company_is_shown_after_a_newer_partial_one(
    book: Book, notes: tuple[Json, ...], *, at_once: bool
) -> None:
    """A partial form never hides what a whole one says; it leaves a doubt."""
    book.tell(*notes, at_once=at_once)
    assert book.name("f", "company") == "whole"
    assert "f" in book.dirty()


def test_an_older_partial_company_changes_nothing(book: Book) -> None:
    """What a partial form says of an earlier second is not even worth a doubt."""
    book.tell(company_updated(2, name="whole"), attached("f", 3, firm_at=1))
    assert book.name("f", "company") == "whole"
    assert "f" not in book.dirty()


def test_a_partial_company_alone_is_shown_with_a_doubt(book: Book) -> None:
    """It is better than nothing; its version is before all others."""
    book.tell(attached("f", 3, firm_at=2))
    row = book.row("f", "company")
    assert row is not None
    assert (row["name"], row["_version"] < 0) == ("in part", True)
    assert "f" in book.dirty()


@orders(updated(1, name="alive", **NO_LISTS), deleted(4))
def test_a_late_update_does_not_revive_a_deleted_contact(book: Book, notes: tuple[Json, ...], *, at_once: bool) -> None:
    """The tombstone stays."""
    book.tell(*notes, at_once=at_once)
    assert book.row() is None
    assert book.dirty() == set()


@orders(deleted(2), updated(3, name="later"))
def test_an_update_after_the_deletion_is_asked_about(book: Book, notes: tuple[Json, ...], *, at_once: bool) -> None:
    """It does not revive the contact, but only Intercom knows whether it came back."""
    book.tell(*notes, at_once=at_once)
    assert book.row() is None
    assert book.dirty() == {"c"}


@orders(archived(2), unarchived(5))
def test_the_later_word_on_the_archive_counts(book: Book, notes: tuple[Json, ...], *, at_once: bool) -> None:
    """Archived and brought back, in any order of arrival."""
    book.tell(updated(1, **NO_LISTS))
    book.tell(*notes, at_once=at_once)
    assert book.active() == {"c"}
    assert book.dirty() == set()


@orders(archived(2.9), unarchived(4.1))
def test_archived_and_back_within_two_seconds_is_in_doubt(
    book: Book, notes: tuple[Json, ...], *, at_once: bool
) -> None:
    """An envelope's time lags what it tells, so the order may be the other one."""
    book.tell(updated(1, **NO_LISTS))
    book.tell(*notes, at_once=at_once)
    assert book.dirty() == {"c"}


def test_an_answer_that_says_nothing_of_the_archive_leaves_that_doubt(book: Book) -> None:
    """A GET by id does not tell whether a contact is archived; one that does ends the doubt."""
    book.tell(updated(1, **NO_LISTS), archived(2.9), unarchived(4.1))
    silent = msgspec.structs.replace(found(contact("c", 4.1, **NO_LISTS), 60), archived=None)
    book.answer(silent)
    assert book.dirty() == {"c"}
    book.answer(found(contact("c", 4.1, **NO_LISTS), 61))
    assert book.dirty() == set()


def test_an_archived_contact_keeps_its_row(book: Book) -> None:
    """A stub overwrites nothing."""
    book.tell(updated(1, name="kept", **NO_LISTS), archived(2))
    row = book.row()
    assert row is not None
    assert (row["name"], row["archived"]) == ("kept", True)
    assert book.active() == set()


@orders(updated(1, name="one", referrer="kept", **NO_LISTS), updated(2, name=None, **NO_LISTS))
def test_an_unknown_key_keeps_its_value_and_null_clears(book: Book, notes: tuple[Json, ...], *, at_once: bool) -> None:
    """A form that lacks a key says nothing about it; a form that has null says that nothing is there."""
    book.tell(*notes, at_once=at_once)
    row = book.row()
    assert row is not None
    assert (row["name"], row["referrer"]) == (None, "kept")


@orders(updated(1, custom_attributes={"old": 1, "both": 1}), updated(2, custom_attributes={"both": 2}))
def test_custom_attributes_are_replaced_whole(book: Book, notes: tuple[Json, ...], *, at_once: bool) -> None:
    """An attribute that the newest object does not have is gone."""
    book.tell(*notes, at_once=at_once)
    row = book.row()
    assert row is not None
    assert row["custom_attributes"] == {"both": 2}


def test_the_same_notification_twice_is_one_change(book: Book, *, at_once: bool) -> None:
    """A retry repeats the id and changes nothing, not even the feed."""
    first = updated(1, name="once", **NO_LISTS)
    again = first | {"delivery_attempts": 2, "delivery_status": "retry"}
    assert book.tell(first, again, at_once=at_once) == ["applied", "duplicate"]
    assert book.lines() == ["created"]


def test_a_retry_without_an_id_changes_nothing(book: Book) -> None:
    """Its body differs from the first attempt's, so it is not known for what it is; but it says nothing new."""
    first = note("contact.user.updated", contact("c", 1, name="once", companies=listed("a"), tags=listed([])), 1, None)
    book.tell(first, first | {"delivery_attempts": 2})
    assert book.lines() == ["created", "linked a"]
    assert "c" not in book.dirty()


@orders(updated(1.2, name="x", **NO_LISTS), updated(1.7, name="y", **NO_LISTS))
def test_two_contents_of_one_second_leave_a_doubt(book: Book, notes: tuple[Json, ...], *, at_once: bool) -> None:
    """The one with the later milliseconds is shown, whichever came last, and Intercom is asked."""
    book.tell(*notes, at_once=at_once)
    assert book.name() == "y"
    assert book.dirty() == {"c"}


@orders(updated(1.2, name="x", referrer="a", **NO_LISTS), updated(1.7, name="x", referrer="b", **NO_LISTS))
def test_a_key_that_the_newest_form_lacks_can_be_in_doubt_too(book: Book, notes: tuple[Json, ...]) -> None:
    """Two values of one second disagree about a key, also if a newer form without that key came between them."""
    book.tell(notes[0], updated(3, name="x", **NO_LISTS), notes[1])
    assert book.dirty() == {"c"}


def test_a_visitor_who_signs_up_is_fetched(book: Book) -> None:
    """The old form is not a contact's: only the id is believed."""
    book.tell(note("visitor.signed_up", {"type": "user", "id": "c", "name": "old form", "user_id": "7"}, 1))
    assert book.row() is None
    assert book.dirty() == {"c"}


def test_a_visitor_who_is_known_keeps_the_row(book: Book) -> None:
    """The old form overwrites nothing."""
    book.tell(updated(1, name="kept", **NO_LISTS))
    book.tell(note("visitor.signed_up", {"type": "user", "id": "c", "name": "old form"}, 2))
    assert book.name() == "kept"
    assert book.dirty() == {"c"}


def test_a_death_before_the_commit_leaves_nothing_behind(book: Book) -> None:
    """What was rolled back can be delivered again, and counts once."""
    notes = [updated(1, **NO_LISTS), attached("f", 2)]
    book.tell(*notes, dies=True)
    assert (book.row(), book.dirty(), book.lines()) == (None, set(), [])
    assert book.tell(*notes) == ["applied", "applied"]
    assert book.tell(*notes) == ["duplicate", "duplicate"]
    assert book.lines() == ["created", "updated", "linked f"]


def test_workspaces_do_not_meet(engine: Engine) -> None:
    """The same ids in two workspaces are two objects."""
    with visiting(engine, "one workspace") as one, visiting(engine, "another one") as other:
        Book(one).tell(updated(1, name="one", companies=listed("f"), tags=listed([])))
        Book(other).tell(updated(1, name="other", **NO_LISTS), deleted(2, "f", "company"))
        assert (Book(one).name(), Book(one).links()) == ("one", {"f"})
        assert (Book(other).name(), Book(other).links()) == ("other", set())


def test_a_company_known_in_part_goes_with_its_deletion(book: Book) -> None:
    """Also a row that was known only in part leaves nothing behind."""
    book.tell(attached("f", 1, firm_at=1), deleted(2, "f", "company"))
    assert book.row("f", "company") is None
    assert book.links() == set()
