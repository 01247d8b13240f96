"""Links and merges that other mirrors apply wrongly, on both databases, in both orders of arrival."""

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
def test_two_attachments_in_any_order_make_two_links(
    case: Case, notifications: tuple[Json, ...], *, at_once: bool
) -> None:
    """Neither of two attachments of one second undoes the other."""
    case.deliver(*notifications, at_once=at_once)
    assert case.links() == {"a", "b"}


@orders(company_attached("a", 1), company_attached("a", 2, topic="detached", companies=link_list("a")))
def test_a_detached_company_stays_detached(case: Case, notifications: tuple[Json, ...], *, at_once: bool) -> None:
    """The later topic decides in any order of arrival, even if its embedded list still has the company."""
    case.deliver(*notifications, at_once=at_once)
    assert case.links() == set()


@orders(company_attached("a", 1.1), company_attached("a", 1.8, topic="detached"))
def test_an_attachment_undone_within_a_second_is_dirty(
    case: Case, notifications: tuple[Json, ...], *, at_once: bool
) -> None:
    """Notifications have whole seconds, so only Intercom knows which came last."""
    case.deliver(contact_updated(0, **NO_LISTS), company_updated(0.5, "a"))
    case.deliver(*notifications, at_once=at_once)
    assert "c" in case.dirty()


@orders(company_attached("a", 1.9), company_attached("a", 3.1, topic="detached"))
def test_an_attachment_undone_within_two_seconds_is_dirty(
    case: Case, notifications: tuple[Json, ...], *, at_once: bool
) -> None:
    """A notification is created up to a second after its event, so the order may be the other one."""
    case.deliver(contact_updated(-9, **NO_LISTS), company_updated(-9, "a"))
    case.deliver(*notifications, at_once=at_once)
    assert "c" in case.dirty()


@pytest.mark.parametrize("fetch_first", [True, False])
def test_a_merge_keeps_its_earliest_time(case: Case, *, fetch_first: bool) -> None:
    """A later GET learns of the merge later; a contact is merged once."""
    if fetch_first:
        case.apply_fetch(MergedContact("survivor", ms(9)))
    case.deliver(contact_merged("c", "survivor", 1))
    if not fetch_first:
        case.apply_fetch(MergedContact("survivor", ms(9)))
    assert case.merged_at() == 1


def test_a_later_get_revives_a_contact_with_its_links(case: Case) -> None:
    """A GET by id of a later moment than the deletion decides."""
    case.deliver(company_updated(0), contact_updated(1, **NO_LISTS), company_attached("f", 2), object_deleted(3))
    assert case.links() == set()
    case.apply_fetch(found_response(contact("c", 2, name="back", companies=link_list("f")), 4.0))
    assert (case.name(), case.links()) == ("back", {"f"})


def test_a_cut_list_never_removes_a_link(case: Case) -> None:
    """It only adds links, clears the completeness flag, and makes the contact dirty."""
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
def test_a_cut_list_in_the_second_of_a_complete_one_makes_the_contact_dirty(
    case: Case, notifications: tuple[str, ...], ids: str
) -> None:
    """The cut one may be the later one, and omit a link that the complete one did not have."""
    bodies = {
        "complete": contact_updated(1.1, companies=link_list("ab"), tags=link_list([])) | {"id": ids[0]},
        "cut": contact_updated(1.9, companies=link_list("ab", more=True), tags=link_list([])) | {"id": ids[1]},
    }
    case.deliver(*(bodies[name] for name in notifications))
    assert "c" in case.dirty()
    row = case.row()
    assert row is not None
    assert not row["_companies_complete"]


@orders(
    contact_updated(1, companies=link_list("ab"), tags=link_list("t")),
    contact_updated(2, companies=link_list("b"), tags=link_list([])),
)
def test_a_complete_list_replaces_the_links(case: Case, notifications: tuple[Json, ...], *, at_once: bool) -> None:
    """A link that the newest complete list lacks is removed, in any order of arrival."""
    case.deliver(*notifications, at_once=at_once)
    assert (case.links(), case.links("contact_tags")) == ({"b"}, set())


@orders(contact_updated(2, companies=link_list([]), tags=link_list([])), company_attached("a", 1))
def test_a_link_older_than_the_complete_list_is_stale(
    case: Case, notifications: tuple[Json, ...], *, at_once: bool
) -> None:
    """The list is newer than the attachment, and does not have the link."""
    case.deliver(*notifications, at_once=at_once)
    assert case.links() == set()


def test_a_fetch_that_may_be_too_old_does_not_settle_a_link(case: Case) -> None:
    """The moment that a GET describes may be before its data; then it decides nothing, and is repeated."""
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
    case: Case, notifications: tuple[Json, ...], *, at_once: bool
) -> None:
    """No link outlives its company, and none is added afterwards."""
    case.deliver(contact_updated(0, **NO_LISTS), company_updated(0))
    case.deliver(*notifications, at_once=at_once)
    assert case.row("f", "company") is None
    assert case.links() == set()


def test_a_deleted_company_leaves_other_links_alone(case: Case) -> None:
    """Only its own links are removed."""
    case.deliver(contact_updated(1, companies=link_list("fg"), tags=link_list("t")), object_deleted(2, "f", "company"))
    assert (case.links(), case.links("contact_tags")) == ({"g"}, {"t"})


@orders(contact_tagged("t", 1), contact_tagged("t", 2, "deleted"))
def test_a_removed_tag_stays_removed(case: Case, notifications: tuple[Json, ...], *, at_once: bool) -> None:
    """The topic decides, not the list in the notification; the tag's name stays."""
    case.deliver(*notifications, at_once=at_once)
    assert case.links("contact_tags") == set()
    assert case.name("t", "tag") == "Tag t"


def test_objects_that_a_list_references_become_dirty(case: Case) -> None:
    """A company and a tag exist even if no notification was about them."""
    case.deliver(contact_updated(1, companies=link_list("f"), tags=link_list("t")))
    assert case.dirty() == {"f", "t"}
    assert case.row("f", "company") is None


@orders(
    company_attached("a", 1.2, topic="detached"), contact_updated(1.9, companies=link_list("a"), tags=link_list([]))
)
def test_a_list_that_has_a_detached_company_makes_the_contact_dirty(
    case: Case, notifications: tuple[Json, ...], *, at_once: bool
) -> None:
    """Within one second the list may be the later fact."""
    case.deliver(contact_updated(0, **NO_LISTS), company_updated(0, "a"))
    case.deliver(*notifications, at_once=at_once)
    assert "c" in case.dirty()


@orders(company_attached("a", 1.2), contact_updated(1.9, companies=link_list([]), tags=link_list([])))
def test_a_list_that_lacks_an_attached_company_makes_the_contact_dirty(
    case: Case, notifications: tuple[Json, ...], *, at_once: bool
) -> None:
    """Within one second the list may be the later fact."""
    case.deliver(contact_updated(0, **NO_LISTS), company_updated(0, "a"))
    case.deliver(*notifications, at_once=at_once)
    assert "c" in case.dirty()


@orders(
    company_attached("a", 1),
    company_attached("a", 2, topic="detached"),
    contact_updated(3, companies=link_list("a"), tags=link_list([])),
)
def test_a_link_in_a_later_list_was_added_again(case: Case, notifications: tuple[Json, ...], *, at_once: bool) -> None:
    """A late detachment does not remove a link that a newer complete list confirms."""
    case.deliver(*notifications, at_once=at_once)
    assert case.links() == {"a"}


@orders(
    contact_updated(1, "lead", **NO_LISTS), contact_merged("lead", "c", 2), contact_updated(1.5, "lead", name="late")
)
def test_a_merged_contact_leads_to_the_survivor(case: Case, notifications: tuple[Json, ...], *, at_once: bool) -> None:
    """The source stays gone, and its id redirects."""
    case.deliver(*notifications, at_once=at_once)
    assert case.row("lead") is None
    assert case.row() is not None
    assert case.mirror.snapshot().redirects == {"lead": "c"}


def test_a_merge_without_a_source_makes_the_survivor_dirty(case: Case) -> None:
    """Without merged_from only Intercom knows the source; the survivor is fetched."""
    case.deliver(contact_updated(1, **NO_LISTS), contact_merged("lead", "c", 2, named=False))
    assert case.mirror.snapshot().redirects == {}
    assert case.dirty() == {"c"}


@orders(contact_merged("a", "b", 1), contact_merged("b", "c", 2), contact_merged("c", "d", 3))
def test_a_chain_of_merges_leads_to_its_end(case: Case, notifications: tuple[Json, ...], *, at_once: bool) -> None:
    """In any order of the merges, contact_redirects leads to the last survivor."""
    case.deliver(*notifications, at_once=at_once)
    assert case.mirror.snapshot().redirects == {"a": "d", "b": "d", "c": "d"}


def test_the_survivor_in_a_fetch_result_becomes_dirty(case: Case) -> None:
    """A GET of a merged contact returns its survivor, which the mirror may not know."""
    case.apply_fetch(MergedContact("survivor", ms(3)))
    assert case.mirror.snapshot().redirects == {"c": "survivor"}
    assert case.dirty() == {"survivor"}
