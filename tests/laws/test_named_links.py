"""What other mirrors got wrong about links and merges, by name, on both databases, in both orders of arrival."""

import pytest

from tests.laws.bodies import (
    NO_LISTS,
    Json,
    attached,
    company_updated,
    contact,
    deleted,
    found,
    listed,
    merged,
    ms,
    tagged,
    updated,
)
from tests.laws.book import Book, orders
from workers.facts.from_fetch import MergedContact


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


@orders(attached("a", 1.9), attached("a", 3.1, topic="detached"))
def test_an_attachment_undone_within_two_seconds_is_in_doubt(
    book: Book, notes: tuple[Json, ...], *, at_once: bool
) -> None:
    """An envelope is made up to a second after what it tells, so the order may be the other one."""
    book.tell(updated(-9, **NO_LISTS), company_updated(-9, "a"))
    book.tell(*notes, at_once=at_once)
    assert "c" in book.dirty()


@pytest.mark.parametrize("fetch_first", [True, False])
def test_a_merge_keeps_the_time_at_which_it_was_told(book: Book, *, fetch_first: bool) -> None:
    """Whoever asks later learns of it later; a contact is merged once."""
    if fetch_first:
        book.answer(MergedContact("survivor", ms(9)))
    book.tell(merged("c", "survivor", 1))
    if not fetch_first:
        book.answer(MergedContact("survivor", ms(9)))
    assert book.merged_at() == 1


def test_a_later_get_revives_a_contact_with_its_links(book: Book) -> None:
    """A GET by id of a later moment than the deletion is believed."""
    book.tell(company_updated(0), updated(1, **NO_LISTS), attached("f", 2), deleted(3))
    assert book.links() == set()
    book.answer(found(contact("c", 2, name="back", companies=listed("f")), 4.0))
    assert (book.name(), book.links()) == ("back", {"f"})


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


@pytest.mark.parametrize("ids", ["xy", "yx"])
@orders("complete", "cut")
def test_a_cut_list_in_the_second_of_a_complete_one_is_a_doubt(book: Book, notes: tuple[str, ...], ids: str) -> None:
    """The cut one may be the later one, and hide a link that the complete one did not have."""
    told = {
        "complete": updated(1.1, companies=listed("ab"), tags=listed([])) | {"id": ids[0]},
        "cut": updated(1.9, companies=listed("ab", more=True), tags=listed([])) | {"id": ids[1]},
    }
    book.tell(*(told[name] for name in notes))
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


@orders(attached("a", 1.2, topic="detached"), updated(1.9, companies=listed("a"), tags=listed([])))
def test_a_list_that_has_what_was_detached_is_a_doubt(book: Book, notes: tuple[Json, ...], *, at_once: bool) -> None:
    """Within one second the list may be the later word."""
    book.tell(updated(0, **NO_LISTS), company_updated(0, "a"))
    book.tell(*notes, at_once=at_once)
    assert "c" in book.dirty()


@orders(attached("a", 1.2), updated(1.9, companies=listed([]), tags=listed([])))
def test_a_list_that_lacks_what_was_attached_is_a_doubt(book: Book, notes: tuple[Json, ...], *, at_once: bool) -> None:
    """Within one second the list may be the later word."""
    book.tell(updated(0, **NO_LISTS), company_updated(0, "a"))
    book.tell(*notes, at_once=at_once)
    assert "c" in book.dirty()


@orders(
    attached("a", 1),
    attached("a", 2, topic="detached"),
    updated(3, companies=listed("a"), tags=listed([])),
)
def test_a_link_that_a_later_list_has_was_made_again(book: Book, notes: tuple[Json, ...], *, at_once: bool) -> None:
    """A late detachment does not undo what a newer complete list confirms."""
    book.tell(*notes, at_once=at_once)
    assert book.links() == {"a"}


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


def test_the_survivor_that_a_get_names_is_asked_for(book: Book) -> None:
    """A GET of a merged contact says whose part it became; we may never have heard of that one."""
    book.answer(MergedContact("survivor", ms(3)))
    assert book.mirror.picture().redirects == {"c": "survivor"}
    assert book.dirty() == {"survivor"}
