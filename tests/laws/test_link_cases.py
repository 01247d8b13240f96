"""What other mirrors got wrong about links and merges, by name, on both databases, in both orders of arrival."""

import pytest

from tests.laws.bodies import (
    NO_LISTS,
    Json,
    company_attached,
    company_updated,
    contact,
    contact_merged,
    contact_tagged,
    contact_updated,
    found_response,
    link_list,
    ms,
    object_deleted,
)
from tests.laws.case import Case, orders
from workers.facts.from_fetch import MergedContact


@orders(company_attached("a", 1), company_attached("b", 1.3))
def test_two_attachments_in_any_order_make_two_links(case: Case, notes: tuple[Json, ...], *, at_once: bool) -> None:
    """Neither of two attachments of one second undoes the other."""
    case.deliver(*notes, at_once=at_once)
    assert case.links() == {"a", "b"}


@orders(company_attached("a", 1), company_attached("a", 2, topic="detached", companies=link_list("a")))
def test_a_detached_company_stays_detached(case: Case, notes: tuple[Json, ...], *, at_once: bool) -> None:
    """The later topic decides, whichever arrives last, also if its embedded list still shows the company."""
    case.deliver(*notes, at_once=at_once)
    assert case.links() == set()


@orders(company_attached("a", 1.1), company_attached("a", 1.8, topic="detached"))
def test_an_attachment_undone_within_a_second_is_in_doubt(
    case: Case, notes: tuple[Json, ...], *, at_once: bool
) -> None:
    """Envelopes have whole seconds, so only Intercom can tell which came last."""
    case.deliver(contact_updated(0, **NO_LISTS), company_updated(0.5, "a"))
    case.deliver(*notes, at_once=at_once)
    assert "c" in case.dirty()


@orders(company_attached("a", 1.9), company_attached("a", 3.1, topic="detached"))
def test_an_attachment_undone_within_two_seconds_is_in_doubt(
    case: Case, notes: tuple[Json, ...], *, at_once: bool
) -> None:
    """An envelope is made up to a second after what it tells, so the order may be the other one."""
    case.deliver(contact_updated(-9, **NO_LISTS), company_updated(-9, "a"))
    case.deliver(*notes, at_once=at_once)
    assert "c" in case.dirty()


@pytest.mark.parametrize("fetch_first", [True, False])
def test_a_merge_keeps_the_time_at_which_it_was_told(case: Case, *, fetch_first: bool) -> None:
    """Whoever asks later learns of it later; a contact is merged once."""
    if fetch_first:
        case.apply_fetch(MergedContact("survivor", ms(9)))
    case.deliver(contact_merged("c", "survivor", 1))
    if not fetch_first:
        case.apply_fetch(MergedContact("survivor", ms(9)))
    assert case.merged_at() == 1


def test_a_later_get_revives_a_contact_with_its_links(case: Case) -> None:
    """A GET by id of a later moment than the deletion is believed."""
    case.deliver(company_updated(0), contact_updated(1, **NO_LISTS), company_attached("f", 2), object_deleted(3))
    assert case.links() == set()
    case.apply_fetch(found_response(contact("c", 2, name="back", companies=link_list("f")), 4.0))
    assert (case.name(), case.links()) == ("back", {"f"})


def test_a_cut_list_never_removes_a_link(case: Case) -> None:
    """It only adds, says that it is not complete, and asks for the rest."""
    companies = [f"f{number:02}" for number in range(12)]
    case.deliver(contact_updated(1, companies=link_list(companies), tags=link_list([])))
    case.deliver(contact_updated(3, companies=link_list(["new", *companies[:9]], more=True), tags=link_list([])))
    assert case.links() == {"new", *companies}
    row = case.row()
    assert row is not None
    assert (row["_companies_complete"], row["_tags_complete"]) == (False, True)
    assert "c" in case.dirty()


@pytest.mark.parametrize("ids", ["xy", "yx"])
@orders("complete", "cut")
def test_a_cut_list_in_the_second_of_a_complete_one_is_a_doubt(case: Case, notes: tuple[str, ...], ids: str) -> None:
    """The cut one may be the later one, and hide a link that the complete one did not have."""
    told = {
        "complete": contact_updated(1.1, companies=link_list("ab"), tags=link_list([])) | {"id": ids[0]},
        "cut": contact_updated(1.9, companies=link_list("ab", more=True), tags=link_list([])) | {"id": ids[1]},
    }
    case.deliver(*(told[name] for name in notes))
    assert "c" in case.dirty()
    row = case.row()
    assert row is not None
    assert not row["_companies_complete"]


@orders(
    contact_updated(1, companies=link_list("ab"), tags=link_list("t")),
    contact_updated(2, companies=link_list("b"), tags=link_list([])),
)
def test_a_complete_list_replaces_the_links(case: Case, notes: tuple[Json, ...], *, at_once: bool) -> None:
    """What the newest complete list does not have is gone, in any order of arrival."""
    case.deliver(*notes, at_once=at_once)
    assert (case.links(), case.links("contact_tags")) == ({"b"}, set())


@orders(contact_updated(2, companies=link_list([]), tags=link_list([])), company_attached("a", 1))
def test_a_link_older_than_the_complete_list_is_stale(case: Case, notes: tuple[Json, ...], *, at_once: bool) -> None:
    """The list knew of the attachment, and does not have it any more."""
    case.deliver(*notes, at_once=at_once)
    assert case.links() == set()


def test_a_fetch_that_may_be_too_old_does_not_end_a_tie(case: Case) -> None:
    """The moment that a GET speaks of may lie before what it saw; then it decides nothing, and is repeated."""
    case.deliver(contact_updated(0, companies=link_list("a"), tags=link_list([])), company_updated(0, "a"))
    case.deliver(company_attached("a", 3.2), company_attached("a", 3.6, topic="detached"))
    truth = "" if case.links() else "a"
    case.apply_fetch(found_response(contact("c", 3, companies=link_list(truth)), 2.0))
    assert "c" in case.dirty()
    case.apply_fetch(found_response(contact("c", 3, companies=link_list(truth)), 4.0))
    assert case.links() == set(truth)
    assert "c" not in case.dirty()


@orders(company_attached("f", 1), object_deleted(2, "f", "company"))
def test_a_late_attachment_to_a_deleted_company_shows_no_link(
    case: Case, notes: tuple[Json, ...], *, at_once: bool
) -> None:
    """No link outlives its company, and none comes after it."""
    case.deliver(contact_updated(0, **NO_LISTS), company_updated(0))
    case.deliver(*notes, at_once=at_once)
    assert case.row("f", "company") is None
    assert case.links() == set()


def test_a_deleted_company_leaves_other_links_alone(case: Case) -> None:
    """Only its own links go."""
    case.deliver(contact_updated(1, companies=link_list("fg"), tags=link_list("t")), object_deleted(2, "f", "company"))
    assert (case.links(), case.links("contact_tags")) == ({"g"}, {"t"})


@orders(contact_tagged("t", 1), contact_tagged("t", 2, "deleted"))
def test_a_tag_taken_off_stays_off(case: Case, notes: tuple[Json, ...], *, at_once: bool) -> None:
    """The topic is believed, and not the list beside it; the tag's name is kept."""
    case.deliver(*notes, at_once=at_once)
    assert case.links("contact_tags") == set()
    assert case.name("t", "tag") == "Tag t"


def test_what_a_list_names_is_asked_for(case: Case) -> None:
    """A company and a tag that nobody told of exist all the same."""
    case.deliver(contact_updated(1, companies=link_list("f"), tags=link_list("t")))
    assert case.dirty() == {"f", "t"}
    assert case.row("f", "company") is None


@orders(
    company_attached("a", 1.2, topic="detached"), contact_updated(1.9, companies=link_list("a"), tags=link_list([]))
)
def test_a_list_that_has_what_was_detached_is_a_doubt(case: Case, notes: tuple[Json, ...], *, at_once: bool) -> None:
    """Within one second the list may be the later word."""
    case.deliver(contact_updated(0, **NO_LISTS), company_updated(0, "a"))
    case.deliver(*notes, at_once=at_once)
    assert "c" in case.dirty()


@orders(company_attached("a", 1.2), contact_updated(1.9, companies=link_list([]), tags=link_list([])))
def test_a_list_that_lacks_what_was_attached_is_a_doubt(case: Case, notes: tuple[Json, ...], *, at_once: bool) -> None:
    """Within one second the list may be the later word."""
    case.deliver(contact_updated(0, **NO_LISTS), company_updated(0, "a"))
    case.deliver(*notes, at_once=at_once)
    assert "c" in case.dirty()


@orders(
    company_attached("a", 1),
    company_attached("a", 2, topic="detached"),
    contact_updated(3, companies=link_list("a"), tags=link_list([])),
)
def test_a_link_that_a_later_list_has_was_made_again(case: Case, notes: tuple[Json, ...], *, at_once: bool) -> None:
    """A late detachment does not undo what a newer complete list confirms."""
    case.deliver(*notes, at_once=at_once)
    assert case.links() == {"a"}


@orders(
    contact_updated(1, "lead", **NO_LISTS), contact_merged("lead", "c", 2), contact_updated(1.5, "lead", name="late")
)
def test_a_merged_contact_leads_to_the_survivor(case: Case, notes: tuple[Json, ...], *, at_once: bool) -> None:
    """The source is gone for good, and its id leads on."""
    case.deliver(*notes, at_once=at_once)
    assert case.row("lead") is None
    assert case.row() is not None
    assert case.mirror.snapshot().redirects == {"lead": "c"}


def test_a_merge_without_a_source_is_asked_about(case: Case) -> None:
    """Without merged_from only Intercom knows who vanished; the survivor is asked for."""
    case.deliver(contact_updated(1, **NO_LISTS), contact_merged("lead", "c", 2, named=False))
    assert case.mirror.snapshot().redirects == {}
    assert case.dirty() == {"c"}


@orders(contact_merged("a", "b", 1), contact_merged("b", "c", 2), contact_merged("c", "d", 3))
def test_a_chain_of_merges_leads_to_its_end(case: Case, notes: tuple[Json, ...], *, at_once: bool) -> None:
    """However the merges are heard of, contact_redirects leads to who is left."""
    case.deliver(*notes, at_once=at_once)
    assert case.mirror.snapshot().redirects == {"a": "d", "b": "d", "c": "d"}


def test_the_survivor_that_a_get_names_is_asked_for(case: Case) -> None:
    """A GET of a merged contact says whose part it became; we may never have heard of that one."""
    case.apply_fetch(MergedContact("survivor", ms(3)))
    assert case.mirror.snapshot().redirects == {"c": "survivor"}
    assert case.dirty() == {"survivor"}
