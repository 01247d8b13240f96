"""Notifications that other mirrors apply wrongly, on both databases, in both orders of arrival."""

import msgspec
from sqlalchemy import Engine

from tests.laws.bodies import (
    NO_LISTS,
    Json,
    company_attached,
    company_updated,
    contact,
    contact_archived,
    contact_unarchived,
    contact_updated,
    found_response,
    link_list,
    notification,
    object_deleted,
)
from tests.laws.case import Case, orders
from tests.laws.mirrors import temporary_workspace


@orders(company_attached("f", 3, firm_at=2.9), company_updated(2, name="whole", size=7))
def test_a_whole_company_is_shown_after_a_newer_partial_one(
    case: Case, notifications: tuple[Json, ...], *, at_once: bool
) -> None:
    """A partial form never overwrites a whole one; it makes the company dirty."""
    case.deliver(*notifications, at_once=at_once)
    assert case.name("f", "company") == "whole"
    assert "f" in case.dirty()


def test_an_older_partial_company_changes_nothing(case: Case) -> None:
    """A partial form of an earlier second does not even make the company dirty."""
    case.deliver(company_updated(2, name="whole"), company_attached("f", 3, firm_at=1))
    assert case.name("f", "company") == "whole"
    assert "f" not in case.dirty()


def test_a_partial_company_alone_is_shown_and_dirty(case: Case) -> None:
    """Its version is before all others."""
    case.deliver(company_attached("f", 3, firm_at=2))
    row = case.row("f", "company")
    assert row is not None
    assert (row["name"], row["_version"] < 0) == ("in part", True)
    assert "f" in case.dirty()


@orders(contact_updated(1, name="alive", **NO_LISTS), object_deleted(4))
def test_a_late_update_does_not_revive_a_deleted_contact(
    case: Case, notifications: tuple[Json, ...], *, at_once: bool
) -> None:
    """The tombstone stays."""
    case.deliver(*notifications, at_once=at_once)
    assert case.row() is None
    assert case.dirty() == set()


@orders(object_deleted(2), contact_updated(3, name="later"))
def test_an_update_after_the_deletion_makes_the_contact_dirty(
    case: Case, notifications: tuple[Json, ...], *, at_once: bool
) -> None:
    """It does not revive the contact, but only Intercom knows whether it was restored."""
    case.deliver(*notifications, at_once=at_once)
    assert case.row() is None
    assert case.dirty() == {"c"}


@orders(contact_archived(2), contact_unarchived(5))
def test_the_later_fact_about_the_archive_counts(case: Case, notifications: tuple[Json, ...], *, at_once: bool) -> None:
    """Archived and unarchived, in any order of arrival."""
    case.deliver(contact_updated(1, **NO_LISTS))
    case.deliver(*notifications, at_once=at_once)
    assert case.active_contacts() == {"c"}
    assert case.dirty() == set()


@orders(contact_archived(2.9), contact_unarchived(4.1))
def test_archived_and_unarchived_within_two_seconds_is_dirty(
    case: Case, notifications: tuple[Json, ...], *, at_once: bool
) -> None:
    """A notification's time lags its event, so the order may be the other one."""
    case.deliver(contact_updated(1, **NO_LISTS))
    case.deliver(*notifications, at_once=at_once)
    assert case.dirty() == {"c"}


def test_a_fetch_without_the_archived_flag_leaves_that_question_open(case: Case) -> None:
    """A GET by id has no archived flag; a search that has it settles the question."""
    case.deliver(contact_updated(1, **NO_LISTS), contact_archived(2.9), contact_unarchived(4.1))
    without_flag = msgspec.structs.replace(found_response(contact("c", 4.1, **NO_LISTS), 60), archived=None)
    case.apply_fetch(without_flag)
    assert case.dirty() == {"c"}
    case.apply_fetch(found_response(contact("c", 4.1, **NO_LISTS), 61))
    assert case.dirty() == set()


def test_an_archived_contact_keeps_its_row(case: Case) -> None:
    """A stub overwrites nothing."""
    case.deliver(contact_updated(1, name="kept", **NO_LISTS), contact_archived(2))
    row = case.row()
    assert row is not None
    assert (row["name"], row["archived"]) == ("kept", True)
    assert case.active_contacts() == set()


@orders(contact_updated(1, name="one", referrer="kept", **NO_LISTS), contact_updated(2, name=None, **NO_LISTS))
def test_an_unknown_key_keeps_its_value_and_null_clears(
    case: Case, notifications: tuple[Json, ...], *, at_once: bool
) -> None:
    """A form without a key leaves its value; a form with null clears it."""
    case.deliver(*notifications, at_once=at_once)
    row = case.row()
    assert row is not None
    assert (row["name"], row["referrer"]) == (None, "kept")


@orders(contact_updated(1, custom_attributes={"old": 1, "both": 1}), contact_updated(2, custom_attributes={"both": 2}))
def test_custom_attributes_are_replaced_whole(case: Case, notifications: tuple[Json, ...], *, at_once: bool) -> None:
    """An attribute that the newest object lacks is removed."""
    case.deliver(*notifications, at_once=at_once)
    row = case.row()
    assert row is not None
    assert row["custom_attributes"] == {"both": 2}


def test_the_same_notification_twice_is_one_change(case: Case, *, at_once: bool) -> None:
    """A retry repeats the id and changes nothing, not even the feed."""
    first = contact_updated(1, name="once", **NO_LISTS)
    again = first | {"delivery_attempts": 2, "delivery_status": "retry"}
    assert case.deliver(first, again, at_once=at_once) == ["applied", "duplicate"]
    assert case.change_rows() == ["created"]


def test_a_retry_without_an_id_changes_nothing(case: Case) -> None:
    """Its body differs from the first attempt, so it is not recognised as a retry; but it has no new facts."""
    first = notification(
        "contact.user.updated", contact("c", 1, name="once", companies=link_list("a"), tags=link_list([])), 1, None
    )
    case.deliver(first, first | {"delivery_attempts": 2})
    assert case.change_rows() == ["created", "linked a"]
    assert "c" not in case.dirty()


@orders(contact_updated(1.2, name="x", **NO_LISTS), contact_updated(1.7, name="y", **NO_LISTS))
def test_two_contents_of_one_second_leave_the_contact_dirty(
    case: Case, notifications: tuple[Json, ...], *, at_once: bool
) -> None:
    """The one with the later milliseconds is shown in any order of arrival, and the contact is fetched."""
    case.deliver(*notifications, at_once=at_once)
    assert case.name() == "y"
    assert case.dirty() == {"c"}


@orders(
    contact_updated(1.2, name="x", referrer="a", **NO_LISTS), contact_updated(1.7, name="x", referrer="b", **NO_LISTS)
)
def test_a_conflict_in_a_key_that_the_newest_form_lacks_makes_the_contact_dirty(
    case: Case, notifications: tuple[Json, ...]
) -> None:
    """Two values of one second differ, even if a newer form without that key arrived between them."""
    case.deliver(notifications[0], contact_updated(3, name="x", **NO_LISTS), notifications[1])
    assert case.dirty() == {"c"}


def test_a_visitor_that_signs_up_is_fetched(case: Case) -> None:
    """The old form is not that of a contact: only the id is used."""
    case.deliver(notification("visitor.signed_up", {"type": "user", "id": "c", "name": "old form", "user_id": "7"}, 1))
    assert case.row() is None
    assert case.dirty() == {"c"}


def test_a_known_visitor_keeps_the_row(case: Case) -> None:
    """The old form overwrites nothing."""
    case.deliver(contact_updated(1, name="kept", **NO_LISTS))
    case.deliver(notification("visitor.signed_up", {"type": "user", "id": "c", "name": "old form"}, 2))
    assert case.name() == "kept"
    assert case.dirty() == {"c"}


def test_a_crash_before_the_commit_leaves_nothing_behind(case: Case) -> None:
    """Rolled back notifications can be delivered again, and count once."""
    notifications = [contact_updated(1, **NO_LISTS), company_attached("f", 2)]
    case.deliver(*notifications, crashes=True)
    assert (case.row(), case.dirty(), case.change_rows()) == (None, set(), [])
    assert case.deliver(*notifications) == ["applied", "applied"]
    assert case.deliver(*notifications) == ["duplicate", "duplicate"]
    assert case.change_rows() == ["created", "updated", "linked f"]


def test_workspaces_are_separate(engine: Engine) -> None:
    """The same ids in two workspaces are two objects."""
    with temporary_workspace(engine, "one workspace") as one, temporary_workspace(engine, "another one") as other:
        Case(one).deliver(contact_updated(1, name="one", companies=link_list("f"), tags=link_list([])))
        Case(other).deliver(contact_updated(1, name="other", **NO_LISTS), object_deleted(2, "f", "company"))
        assert (Case(one).name(), Case(one).links()) == ("one", {"f"})
        assert (Case(other).name(), Case(other).links()) == ("other", set())


def test_a_partial_company_is_deleted(case: Case) -> None:
    """A deletion removes a partial row and its links too."""
    case.deliver(company_attached("f", 1, firm_at=1), object_deleted(2, "f", "company"))
    assert case.row("f", "company") is None
    assert case.links() == set()
