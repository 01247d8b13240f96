"""What webhooks did not tell is found all the same, and nothing goes without having been looked up."""

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
    """A mirror that holds all of its workspace, ten minutes ago."""
    with open_mirror(redis_url, database_url) as made:
        bulk_load(made.workspace, 120, 25, links=8, seed=5)
        for contact_id in list(made.workspace.archived):
            # No list ever shows those that were archived before anybody looked.
            made.workspace.unarchive_contact(contact_id)
        assert made.run("backfill")["state"] == "done"
        made.pass_time(600)
        yield made


def test_what_changed_is_found_without_walking_everything(mirror: MirrorHarness) -> None:
    """A changed name and a new link, both told to nobody."""
    first, second = list(mirror.workspace.users)[:2]
    mirror.workspace.update_contact(first, {"name": "Quietly"})
    company = next(iter(mirror.workspace.companies))
    if company not in mirror.workspace.contact(second).company_ids:
        mirror.workspace.attach(second, company)
    row = mirror.run("reconcile")
    assert (row["state"], mirror.differences()) == ("done", [])


def test_a_complete_walk_heals_every_loss(mirror: MirrorHarness) -> None:
    """After a life of which nothing was told: changes, links, merges, archivings and deletions."""
    life = RandomActivity(mirror.workspace, 7)
    for _ in range(150):
        life.step()
    assert mirror.differences()
    mirror.pass_time(600)
    row = mirror.run("reconcile", full=True)
    if row["state"] == "waiting":
        runs.accept_deletions(mirror.harness.engine, WORKSPACE)
        row = mirror.work(row["id"])
        mirror.follow_up()
    assert (row["state"], mirror.differences()) == ("done", [])


def test_a_merge_whose_notification_was_lost_is_found(mirror: MirrorHarness) -> None:
    """The contact that vanished leads to the one it became part of."""
    lead, user = next(iter(mirror.workspace.leads)), next(iter(mirror.workspace.users))
    mirror.workspace.merge_contacts(lead, user)
    mirror.run("reconcile", full=True)
    redirects = mirror.harness.rows("SELECT from_id, into_id FROM contact_redirects")
    assert {"from_id": lead, "into_id": user} in redirects
    assert mirror.differences() == []


def test_an_archived_contact_that_was_deleted_is_found(mirror: MirrorHarness) -> None:
    """No list shows archived ones, so they are looked up."""
    gone = next(iter(mirror.workspace.users))
    mirror.act(mirror.workspace.archive_contact(gone))
    mirror.workspace.delete_contact(gone)
    mirror.run("reconcile", full=True)
    assert mirror.harness.rows(f"SELECT 1 FROM contacts WHERE id = '{gone}'") == []  # noqa: S608


def test_an_archived_contact_that_was_looked_at_a_moment_ago_is_looked_at_again(mirror: MirrorHarness) -> None:
    """What happened to it after the last look is told by nothing else: its end, and a segment that it left."""
    gone, changed = list(mirror.workspace.users)[:2]
    mirror.act(mirror.workspace.update_contact(changed, GOLD))
    mirror.run("reconcile", full=True)
    mirror.act(mirror.workspace.update_contact(changed, FREE))
    mirror.act(mirror.workspace.archive_contact(gone), mirror.workspace.archive_contact(changed))
    mirror.run("reconcile", full=True)
    assert mirror.harness.one(f"SELECT _verified_at FROM contacts WHERE id = '{gone}'")  # noqa: S608
    # Not in the second of that look: of two answers within one second nobody can tell which came later.
    mirror.pass_time(2)
    mirror.workspace.delete_contact(gone)
    mirror.pass_time(2)
    mirror.run("reconcile", full=True)
    assert mirror.harness.rows(f"SELECT 1 FROM contacts WHERE id = '{gone}'") == []  # noqa: S608
    assert mirror.differences() == []


def test_an_archiving_that_nobody_told_of_is_no_deletion(mirror: MirrorHarness) -> None:
    """It is in no list, and found by its id."""
    contact_id = next(iter(mirror.workspace.users))
    mirror.workspace.archive_contact(contact_id)
    mirror.run("reconcile", full=True)
    assert mirror.harness.one(f"SELECT archived FROM contacts WHERE id = '{contact_id}'")  # noqa: S608
    assert mirror.differences() == []


def test_an_archived_contact_that_only_a_merge_names_is_archived(mirror: MirrorHarness) -> None:
    """It was made, merged into and archived unheard: no list shows it, and its GET does not say that it is archived."""
    [made] = mirror.workspace.create_contact("user", {"name": "Unheard of"})
    mirror.workspace.merge_contacts(next(iter(mirror.workspace.leads)), made.object_id)
    mirror.workspace.archive_contact(made.object_id)
    mirror.pass_time(600)
    mirror.run("reconcile", full=True)
    assert mirror.differences() == []


def test_a_contact_that_a_search_may_not_have_come_to_is_not_taken_for_archived(mirror: MirrorHarness) -> None:
    """A merge named it, which a GET told, and it was made a moment ago: searches lag, and the next walk says it."""
    [made] = mirror.workspace.create_contact("user", {"name": "Fresh"})
    lead = next(iter(mirror.workspace.leads))
    mirror.workspace.merge_contacts(lead, made.object_id)
    mirror.intercom.change({"index_lag_seconds": 120})
    with transaction(mirror.harness.engine) as connection:
        here = object_states.c.object_id == lead
        connection.execute(update(object_states).where(here).values(dirty=object_states.c.dirty + 1))
    mirror.follow_up()
    assert not mirror.harness.one(f"SELECT archived FROM contacts WHERE id = '{made.object_id}'")  # noqa: S608
    mirror.pass_time(600)
    mirror.run("reconcile", full=True)
    assert mirror.differences() == []


@pytest.mark.parametrize("ends_archived", [False, True])
def test_two_words_on_the_archive_at_once_are_settled_by_a_search(
    mirror: MirrorHarness, *, ends_archived: bool
) -> None:
    """A contact's GET does not say whether it is archived; searches hide it if it is, once they have come to it."""
    contact_id, workspace = next(iter(mirror.workspace.users)), mirror.workspace
    if ends_archived:
        mirror.act(workspace.archive_contact(contact_id))
        mirror.pass_time(10)
        mirror.act(workspace.unarchive_contact(contact_id), workspace.archive_contact(contact_id))
    else:
        mirror.act(workspace.archive_contact(contact_id), workspace.unarchive_contact(contact_id))
    doubt = f"SELECT dirty > clean FROM object_states WHERE object_id = '{contact_id}'"  # noqa: S608
    mirror.follow_up()
    assert mirror.harness.one(doubt)
    mirror.pass_time(600)
    with transaction(mirror.harness.engine) as connection:
        # It was asked for in vain for half a day, by the clock of follow_up.
        connection.execute(update(object_states).values(refetch_after=None))
    mirror.follow_up()
    assert not mirror.harness.one(doubt)
    assert mirror.differences() == []


def test_too_many_deletions_wait_for_a_person(mirror: MirrorHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing goes before somebody said that it is right."""
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
    mirror.follow_up()
    assert mirror.differences() == []


def test_members_who_left_a_segment_are_found(mirror: MirrorHarness) -> None:
    """Intercom never tells of segments."""
    leads = list(mirror.workspace.leads)[:3]
    for number, lead in enumerate(leads):
        mirror.workspace.sign_up_lead(lead, f"signed-up-{number}")
    mirror.run("reconcile", full=True)
    assert mirror.differences() == []


@pytest.mark.parametrize("ahead", [-3600, 3600])
def test_our_clock_may_be_wrong(redis_url: str, sqlite_url: str, ahead: int) -> None:
    """What changed and who left a segment is judged by Intercom's clock, which is an hour away from ours."""
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
        # It comes back, and a GET says so, a second or two after all that was said before.
        made.pass_time(2)
        made.workspace.update_contact(contact_id, GOLD)
        made.pass_time(2)
        with transaction(made.harness.engine) as connection:
            here = object_states.c.object_id == contact_id
            connection.execute(update(object_states).where(here).values(dirty=object_states.c.dirty + 1))
        made.follow_up()
        assert made.harness.one("SELECT COUNT(*) FROM object_states WHERE dirty > clean") == 0
        assert made.differences() == []


def test_an_archived_contact_stays_in_its_segments(mirror: MirrorHarness) -> None:
    """Searches hide it, which says nothing about its segments."""
    contact_id = next(iter(mirror.workspace.users))
    mirror.act(mirror.workspace.archive_contact(contact_id))
    mirror.run("reconcile", full=True)
    assert mirror.differences() == []


def test_a_new_tag_has_its_name_and_a_gone_one_goes(mirror: MirrorHarness) -> None:
    """The list of tags is complete, so what it lacks is looked up."""
    tag = mirror.workspace.create_tag("Fresh")
    mirror.run("reconcile")
    assert mirror.harness.one(f"SELECT name FROM tags WHERE id = '{tag}'") == "Fresh"  # noqa: S608


def test_a_row_of_before_the_walk_that_came_meanwhile_is_not_looked_up(mirror: MirrorHarness) -> None:
    """What was just created may have been missed by the walk."""
    calls = mirror.intercom.workspace_apis[WORKSPACE].calls
    run_id = mirror.ask("reconcile", full=True)
    mirror.sync.work(time.monotonic() + 0.1)
    told = mirror.workspace.create_contact("user", {"email": "late@example.test"})
    mirror.act(told)
    mirror.work(run_id)
    assert calls[f"GET /contacts/{told[0].object_id}"] == 0


def test_an_unchanged_workspace_costs_no_lookups(mirror: MirrorHarness) -> None:
    """What the lists say is what the tables say: nothing is in doubt, and nothing is told to the feed."""
    before, told = mirror.intercom.workspace_apis[WORKSPACE].calls.copy(), count(mirror.harness, "changes")
    mirror.run("reconcile", full=True)
    grown = mirror.intercom.workspace_apis[WORKSPACE].calls - before
    assert [call for call in grown if call.startswith("GET /contacts/")] == []
    assert count(mirror.harness, "changes") == told
