"""A reconcile finds what webhooks missed, and deletes nothing that it has not fetched by its id."""

import time
from collections.abc import Iterator

import pytest
from sqlalchemy import update

from emulator.bulk_load import bulk_load
from emulator.random_activity import RandomActivity
from models.db.engine import transaction
from models.tables.internal_tables import object_states
from tests.stories.mirror_harness import WORKSPACE, MirrorHarness, count, open_mirror
from workers.sync import missing_objects, runs

# In a segment, and out of it.
GOLD = {"custom_attributes": {"plan_tier": "gold"}}
FREE = {"custom_attributes": {"plan_tier": "free"}}


@pytest.fixture
def mirror(redis_url: str, database_url: str) -> Iterator[MirrorHarness]:
    """A mirror that is complete as of ten minutes ago."""
    with open_mirror(redis_url, database_url) as made:
        bulk_load(made.workspace, 120, 25, links=8, seed=5)
        for contact_id in list(made.workspace.archived):
            # No list contains contacts that were archived before the backfill.
            made.workspace.unarchive_contact(contact_id)
        assert made.run("backfill")["state"] == "done"
        made.pass_time(600)
        yield made


def test_a_quick_reconcile_finds_changes(mirror: MirrorHarness) -> None:
    """A changed name and a new link, whose notifications were lost."""
    first, second = list(mirror.workspace.users)[:2]
    mirror.workspace.update_contact(first, {"name": "Quietly"})
    company = next(iter(mirror.workspace.companies))
    if company not in mirror.workspace.contact(second).company_ids:
        mirror.workspace.attach(second, company)
    row = mirror.run("reconcile")
    assert (row["state"], mirror.differences()) == ("done", [])


def test_a_complete_reconcile_repairs_every_loss(mirror: MirrorHarness) -> None:
    """Random changes, links, merges, archivings and deletions, whose notifications were all lost."""
    activity = RandomActivity(mirror.workspace, 7)
    for _ in range(150):
        activity.step()
    assert mirror.differences()
    mirror.pass_time(600)
    row = mirror.run("reconcile", full=True)
    if row["state"] == "waiting":
        runs.accept_deletions(mirror.harness.engine, WORKSPACE)
        row = mirror.work(row["id"])
        mirror.refetch_all()
    assert (row["state"], mirror.differences()) == ("done", [])


def test_a_merge_whose_notification_was_lost_is_found(mirror: MirrorHarness) -> None:
    """The redirect leads from the merged contact to the remaining one."""
    lead, user = next(iter(mirror.workspace.leads)), next(iter(mirror.workspace.users))
    mirror.workspace.merge_contacts(lead, user)
    mirror.run("reconcile", full=True)
    redirects = mirror.harness.rows("SELECT from_id, into_id FROM contact_redirects")
    assert {"from_id": lead, "into_id": user} in redirects
    assert mirror.differences() == []


def test_an_archived_contact_that_was_deleted_is_found(mirror: MirrorHarness) -> None:
    """No list contains archived contacts, so they are fetched by id."""
    gone = next(iter(mirror.workspace.users))
    mirror.deliver(mirror.workspace.archive_contact(gone))
    mirror.workspace.delete_contact(gone)
    mirror.run("reconcile", full=True)
    assert mirror.harness.rows(f"SELECT 1 FROM contacts WHERE id = '{gone}'") == []  # noqa: S608


def test_an_archived_contact_that_was_just_fetched_is_fetched_again(mirror: MirrorHarness) -> None:
    """Nothing else shows what happened to it since then: a deletion, or a segment that it left."""
    gone, changed = list(mirror.workspace.users)[:2]
    mirror.deliver(mirror.workspace.update_contact(changed, GOLD))
    mirror.run("reconcile", full=True)
    mirror.deliver(mirror.workspace.update_contact(changed, FREE))
    mirror.deliver(mirror.workspace.archive_contact(gone), mirror.workspace.archive_contact(changed))
    mirror.run("reconcile", full=True)
    assert mirror.harness.one(f"SELECT _verified_at FROM contacts WHERE id = '{gone}'")  # noqa: S608
    # Not in the second of that fetch: of two responses within one second the order is unknown.
    mirror.pass_time(2)
    mirror.workspace.delete_contact(gone)
    mirror.pass_time(2)
    mirror.run("reconcile", full=True)
    assert mirror.harness.rows(f"SELECT 1 FROM contacts WHERE id = '{gone}'") == []  # noqa: S608
    assert mirror.differences() == []


def test_a_lost_archiving_is_not_taken_for_a_deletion(mirror: MirrorHarness) -> None:
    """It is in no list, but a GET by id finds it."""
    contact_id = next(iter(mirror.workspace.users))
    mirror.workspace.archive_contact(contact_id)
    mirror.run("reconcile", full=True)
    assert mirror.harness.one(f"SELECT archived FROM contacts WHERE id = '{contact_id}'")  # noqa: S608
    assert mirror.differences() == []


def test_an_archived_contact_known_only_from_a_merge_is_archived(mirror: MirrorHarness) -> None:
    """All its notifications were lost: no list contains it, and its GET does not contain that it is archived."""
    [made] = mirror.workspace.create_contact("user", {"name": "Unheard of"})
    mirror.workspace.merge_contacts(next(iter(mirror.workspace.leads)), made.object_id)
    mirror.workspace.archive_contact(made.object_id)
    mirror.pass_time(600)
    mirror.run("reconcile", full=True)
    assert mirror.differences() == []


def test_a_contact_too_new_for_a_search_is_not_taken_for_archived(mirror: MirrorHarness) -> None:
    """It is known from a merge and was created a moment ago: searches lag, so the next reconcile decides."""
    [made] = mirror.workspace.create_contact("user", {"name": "Fresh"})
    lead = next(iter(mirror.workspace.leads))
    mirror.workspace.merge_contacts(lead, made.object_id)
    mirror.intercom.change({"index_lag_seconds": 120})
    with transaction(mirror.harness.engine) as connection:
        here = object_states.c.object_id == lead
        connection.execute(update(object_states).where(here).values(dirty=object_states.c.dirty + 1))
    mirror.refetch_all()
    assert not mirror.harness.one(f"SELECT archived FROM contacts WHERE id = '{made.object_id}'")  # noqa: S608
    mirror.pass_time(600)
    mirror.run("reconcile", full=True)
    assert mirror.differences() == []


@pytest.mark.parametrize("ends_archived", [False, True])
def test_a_search_decides_between_conflicting_archive_notifications(
    mirror: MirrorHarness, *, ends_archived: bool
) -> None:
    """A GET does not contain whether a contact is archived; searches hide archived ones, after their lag."""
    contact_id, workspace = next(iter(mirror.workspace.users)), mirror.workspace
    if ends_archived:
        mirror.deliver(workspace.archive_contact(contact_id))
        mirror.pass_time(10)
        mirror.deliver(workspace.unarchive_contact(contact_id), workspace.archive_contact(contact_id))
    else:
        mirror.deliver(workspace.archive_contact(contact_id), workspace.unarchive_contact(contact_id))
    is_dirty = f"SELECT dirty > clean FROM object_states WHERE object_id = '{contact_id}'"  # noqa: S608
    mirror.refetch_all()
    assert mirror.harness.one(is_dirty)
    mirror.pass_time(600)
    with transaction(mirror.harness.engine) as connection:
        # The refetches of half a day, by the clock of refetch_all, could not decide it.
        connection.execute(update(object_states).values(refetch_after=None))
    mirror.refetch_all()
    assert not mirror.harness.one(is_dirty)
    assert mirror.differences() == []


def test_too_many_missing_rows_wait_for_a_person(mirror: MirrorHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is deleted before a person accepted it."""
    monkeypatch.setattr(missing_objects, "MAX_UNCONFIRMED", 5)
    before = count(mirror.harness, "contacts")
    for contact_id in list(mirror.workspace.users)[:40]:
        mirror.workspace.delete_contact(contact_id)
    row = mirror.run("reconcile", full=True)
    assert row["state"] == "waiting"
    assert "--accept-deletions" in row["error"]
    assert count(mirror.harness, "contacts") == before
    assert runs.accept_deletions(mirror.harness.engine, None) == [row["id"]]
    assert mirror.work(row["id"])["state"] == "done"
    mirror.refetch_all()
    assert mirror.differences() == []


def test_contacts_that_left_a_segment_are_found(mirror: MirrorHarness) -> None:
    """Intercom sends no notifications about segments."""
    leads = list(mirror.workspace.leads)[:3]
    for number, lead in enumerate(leads):
        mirror.workspace.sign_up_lead(lead, f"signed-up-{number}")
    mirror.run("reconcile", full=True)
    assert mirror.differences() == []


@pytest.mark.parametrize("ahead", [-3600, 3600])
def test_our_clock_may_be_wrong(redis_url: str, sqlite_url: str, ahead: int) -> None:
    """Changes and segments are compared by Intercom's clock, which differs from ours by an hour."""
    with open_mirror(redis_url, sqlite_url) as made:
        made.pass_time(ahead)
        bulk_load(made.workspace, 30, 5, links=3, seed=5)
        contact_id, user = list(made.workspace.users)[:2]
        made.workspace.update_contact(contact_id, GOLD)
        assert made.run("backfill")["state"] == "done"
        made.workspace.update_contact(user, {"name": "Quietly"})
        made.run("reconcile")
        assert made.differences() == []
        made.workspace.update_contact(contact_id, FREE)
        made.pass_time(400)
        made.run("reconcile", full=True)
        assert made.differences() == []
        # It joins the segment again, and a GET shows that, a few seconds after the last response.
        made.pass_time(2)
        made.workspace.update_contact(contact_id, GOLD)
        made.pass_time(2)
        with transaction(made.harness.engine) as connection:
            here = object_states.c.object_id == contact_id
            connection.execute(update(object_states).where(here).values(dirty=object_states.c.dirty + 1))
        made.refetch_all()
        assert made.harness.one("SELECT COUNT(*) FROM object_states WHERE dirty > clean") == 0
        assert made.differences() == []


def test_an_archived_contact_stays_in_its_segments(mirror: MirrorHarness) -> None:
    """Searches hide it, which does not mean that it left its segments."""
    contact_id = next(iter(mirror.workspace.users))
    mirror.deliver(mirror.workspace.archive_contact(contact_id))
    mirror.run("reconcile", full=True)
    assert mirror.differences() == []


def test_a_new_tag_gets_its_name(mirror: MirrorHarness) -> None:
    """Intercom sends no notifications about names of tags; a reconcile reads the list."""
    tag = mirror.workspace.create_tag("Fresh")
    mirror.run("reconcile")
    assert mirror.harness.one(f"SELECT name FROM tags WHERE id = '{tag}'") == "Fresh"  # noqa: S608


def test_a_row_created_during_the_run_is_not_looked_up(mirror: MirrorHarness) -> None:
    """The lists may have missed what was just created."""
    calls = mirror.intercom.workspace_apis[WORKSPACE].calls
    run_id = mirror.enqueue("reconcile", full=True)
    mirror.sync.work(time.monotonic() + 0.1)
    notifications = mirror.workspace.create_contact("user", {"email": "late@example.test"})
    mirror.deliver(notifications)
    mirror.work(run_id)
    assert calls[f"GET /contacts/{notifications[0].object_id}"] == 0


def test_an_unchanged_workspace_needs_no_fetches(mirror: MirrorHarness) -> None:
    """The lists agree with the tables: nothing becomes dirty, and the change feed stays as it is."""
    before, notifications = mirror.intercom.workspace_apis[WORKSPACE].calls.copy(), count(mirror.harness, "changes")
    mirror.run("reconcile", full=True)
    grown = mirror.intercom.workspace_apis[WORKSPACE].calls - before
    assert [call for call in grown if call.startswith("GET /contacts/")] == []
    assert count(mirror.harness, "changes") == notifications
