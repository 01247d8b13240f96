"""The cases that other mirrors got wrong, by name, on both databases, in both orders of arrival."""

from collections.abc import Iterator
from itertools import count

import pytest
from sqlalchemy import Engine

from tests.laws.bodies import (
    Json,
    archived,
    attached,
    company_updated,
    contact,
    deleted,
    found,
    gone,
    listed,
    merged,
    note,
    tagged,
    unarchived,
    updated,
)  # fmt: skip
from tests.laws.book import Book
from tests.laws.mirrors import visiting

_numbers = count()

NO_LISTS: Json = {"tags": listed([]), "companies": listed([])}


@pytest.fixture(params=[False, True], ids=["one by one", "at once"])
def at_once(request: pytest.FixtureRequest) -> bool:
    """Whether the notifications of a case come in one batch."""
    chosen: bool = request.param
    return chosen


@pytest.fixture
def book(engine: Engine) -> Iterator[Book]:
    """An empty workspace."""
    with visiting(engine, f"n{next(_numbers)}") as mirror:
        yield Book(mirror)


def orders(*notes: Json) -> pytest.MarkDecorator:
    """Run a test with these notifications as they happened, and the other way round."""
    return pytest.mark.parametrize("notes", [notes, notes[::-1]], ids=["in order", "reversed"])


@orders(attached("a", 1), attached("b", 1.3))
def test_two_attachments_in_any_order_make_two_links(book: Book, notes: tuple[Json, ...], *, at_once: bool) -> None:
    """Neither of two attachments of one second undoes the other."""
    book.tell(*notes, at_once=at_once)
    assert book.links() == {"a", "b"}


@orders(attached("a", 1), attached("a", 2, topic="detached", companies=listed("a")))
def test_a_detached_company_stays_detached(book: Book, notes: tuple[Json, ...], *, at_once: bool) -> None:
    """The later topic decides, whichever arrives last, also if its embedded list still shows the company."""
    book.tell(*notes, at_once=at_once)
    assert book.links() == set()


@orders(attached("a", 1.1), attached("a", 1.8, topic="detached"))
def test_an_attachment_undone_within_a_second_is_in_doubt(
    book: Book, notes: tuple[Json, ...], *, at_once: bool
) -> None:
    """Envelopes have whole seconds, so only Intercom can tell which came last."""
    book.tell(updated(0, **NO_LISTS), company_updated(0.5, "a"))
    book.tell(*notes, at_once=at_once)
    assert "c" in book.dirty()


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


@orders(updated(1, name="alive", **NO_LISTS), deleted(2))
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


def test_a_later_get_revives_a_contact_with_its_links(book: Book) -> None:
    """A GET by id of a later moment than the deletion is believed."""
    book.tell(company_updated(0), updated(1, **NO_LISTS), attached("f", 2), deleted(3))
    assert book.links() == set()
    book.answer(found(contact("c", 2, name="back", companies=listed("f")), 4.0))
    assert (book.name(), book.links()) == ("back", {"f"})


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


@orders(archived(2), unarchived(3))
def test_the_later_word_on_the_archive_counts(book: Book, notes: tuple[Json, ...], *, at_once: bool) -> None:
    """Archived and brought back, in any order of arrival."""
    book.tell(updated(1, **NO_LISTS))
    book.tell(*notes, at_once=at_once)
    assert book.active() == {"c"}
    assert book.dirty() == set()


@orders(archived(2.1), unarchived(2.6))
def test_archived_and_back_within_a_second_is_in_doubt(book: Book, notes: tuple[Json, ...], *, at_once: bool) -> None:
    """A tie marks the contact."""
    book.tell(updated(1, **NO_LISTS))
    book.tell(*notes, at_once=at_once)
    assert book.dirty() == {"c"}


def test_an_archived_contact_keeps_its_row(book: Book) -> None:
    """A stub overwrites nothing."""
    book.tell(updated(1, name="kept", **NO_LISTS), archived(2))
    row = book.row()
    assert row is not None
    assert (row["name"], row["archived"]) == ("kept", True)
    assert book.active() == set()


@orders(updated(1, "lead", **NO_LISTS), merged("lead", "c", 2), updated(1.5, "lead", name="late"))
def test_a_merged_contact_leads_to_the_survivor(book: Book, notes: tuple[Json, ...], *, at_once: bool) -> None:
    """The source is gone for good, and its id leads on."""
    book.tell(*notes, at_once=at_once)
    assert book.row("lead") is None
    assert book.row() is not None
    assert book.mirror.picture().redirects == {"lead": "c"}


def test_a_merge_without_a_source_is_asked_about(book: Book) -> None:
    """Without merged_from only Intercom knows who vanished; the survivor is asked for."""
    book.tell(updated(1, **NO_LISTS), merged("lead", "c", 2, named=False))
    assert book.mirror.picture().redirects == {}
    assert book.dirty() == {"c"}


@orders(merged("a", "b", 1), merged("b", "c", 2), merged("c", "d", 3))
def test_a_chain_of_merges_leads_to_its_end(book: Book, notes: tuple[Json, ...], *, at_once: bool) -> None:
    """However the merges are heard of, contact_redirects leads to who is left."""
    book.tell(*notes, at_once=at_once)
    assert book.mirror.picture().redirects == {"a": "d", "b": "d", "c": "d"}


def test_a_cut_list_never_removes_a_link(book: Book) -> None:
    """It only adds, says that it is not complete, and asks for the rest."""
    companies = [f"f{number:02}" for number in range(12)]
    book.tell(updated(1, companies=listed(companies), tags=listed([])))
    book.tell(updated(3, companies=listed(["new", *companies[:9]], more=True), tags=listed([])))
    assert book.links() == {"new", *companies}
    row = book.row()
    assert row is not None
    assert (row["_companies_complete"], row["_tags_complete"]) == (False, True)
    assert "c" in book.dirty()


def test_a_cut_list_within_the_second_of_a_complete_one_is_in_doubt(book: Book) -> None:
    """The cut one may be the later one, and hide a link that the complete one did not have."""
    book.tell(updated(1.1, companies=listed("ab"), tags=listed([])))
    book.tell(updated(1.9, companies=listed("ab", more=True), tags=listed([])))
    assert "c" in book.dirty()
    row = book.row()
    assert row is not None
    assert not row["_companies_complete"]


@orders(updated(1, companies=listed("ab"), tags=listed("t")), updated(2, companies=listed("b"), tags=listed([])))
def test_a_complete_list_replaces_the_links(book: Book, notes: tuple[Json, ...], *, at_once: bool) -> None:
    """What the newest complete list does not have is gone, in any order of arrival."""
    book.tell(*notes, at_once=at_once)
    assert (book.links(), book.links("contact_tags")) == ({"b"}, set())


@orders(updated(2, companies=listed([]), tags=listed([])), attached("a", 1))
def test_a_link_older_than_the_complete_list_is_stale(book: Book, notes: tuple[Json, ...], *, at_once: bool) -> None:
    """The list knew of the attachment, and does not have it any more."""
    book.tell(*notes, at_once=at_once)
    assert book.links() == set()


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


def test_a_refetch_answers_only_the_doubts_that_it_started_from(book: Book) -> None:
    """A doubt that arose while the answer was under way is asked about again."""
    book.tell(updated(1.1, name="x", **NO_LISTS), updated(1.9, name="y", **NO_LISTS))
    began = book.counters()[0]
    book.tell(archived(2.1), unarchived(2.8))
    assert book.counters()[0] > began
    book.answer(found(contact("c", 1, name="y"), 2.0), clears=began)
    assert book.dirty() == {"c"}
    book.answer(found(contact("c", 2, name="y"), 9))
    assert book.dirty() == set()


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


def test_a_fetch_of_a_later_second_leaves_no_doubt(book: Book) -> None:
    """Once a second is over, what a GET finds is the end of it; late webhooks of that second change nothing."""
    book.answer(found(contact("c", 1, name="final"), 2.0))
    book.tell(updated(1.4, name="before", **NO_LISTS))
    assert book.name() == "final"
    assert book.dirty() == set()


def test_a_fetch_that_may_be_too_old_does_not_end_a_tie(book: Book) -> None:
    """The moment that a GET speaks of may lie before what it saw; then it decides nothing, and is repeated."""
    book.tell(updated(0, companies=listed("a"), tags=listed([])), company_updated(0, "a"))
    book.tell(attached("a", 3.2), attached("a", 3.6, topic="detached"))
    truth = "" if book.links() else "a"
    book.answer(found(contact("c", 3, companies=listed(truth)), 2.0))
    assert "c" in book.dirty()
    book.answer(found(contact("c", 3, companies=listed(truth)), 4.0))
    assert book.links() == set(truth)
    assert "c" not in book.dirty()


def test_of_two_fetches_of_one_second_neither_ends_the_doubt(book: Book) -> None:
    """Each speaks of a moment that is known only from below, so they cannot be ordered if they disagree."""
    book.answer(found(contact("c", 5, name="x"), 5.1))
    book.answer(found(contact("c", 5, name="y"), 5.0))
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


@orders(attached("f", 1), deleted(2, "f", "company"))
def test_a_late_attachment_to_a_deleted_company_shows_no_link(
    book: Book, notes: tuple[Json, ...], *, at_once: bool
) -> None:
    """No link outlives its company, and none comes after it."""
    book.tell(updated(0, **NO_LISTS), company_updated(0))
    book.tell(*notes, at_once=at_once)
    assert book.row("f", "company") is None
    assert book.links() == set()


def test_a_deleted_company_leaves_other_links_alone(book: Book) -> None:
    """Only its own links go."""
    book.tell(updated(1, companies=listed("fg"), tags=listed("t")), deleted(2, "f", "company"))
    assert (book.links(), book.links("contact_tags")) == ({"g"}, {"t"})


@orders(tagged("t", 1), tagged("t", 2, "deleted"))
def test_a_tag_taken_off_stays_off(book: Book, notes: tuple[Json, ...], *, at_once: bool) -> None:
    """The topic is believed, and not the list beside it; the tag's name is kept."""
    book.tell(*notes, at_once=at_once)
    assert book.links("contact_tags") == set()
    assert book.name("t", "tag") == "Tag t"


def test_what_a_list_names_is_asked_for(book: Book) -> None:
    """A company and a tag that nobody told of exist all the same."""
    book.tell(updated(1, companies=listed("f"), tags=listed("t")))
    assert book.dirty() == {"f", "t"}
    assert book.row("f", "company") is None


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
    with visiting(engine, f"n{next(_numbers)}") as one, visiting(engine, f"n{next(_numbers)}") as other:
        Book(one).tell(updated(1, name="one", companies=listed("f"), tags=listed([])))
        Book(other).tell(updated(1, name="other", **NO_LISTS), deleted(2, "f", "company"))
        assert (Book(one).name(), Book(one).links()) == ("one", {"f"})
        assert (Book(other).name(), Book(other).links()) == ("other", set())


def test_a_company_known_in_part_goes_with_its_deletion(book: Book) -> None:
    """Also a row that was known only in part leaves nothing behind."""
    book.tell(attached("f", 1, firm_at=1), deleted(2, "f", "company"))
    assert book.row("f", "company") is None
    assert book.links() == set()
