"""A verification finds and names what was lost, and does not report what only changes meanwhile."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Column

from emulator.emulated_notification import EmulatedNotification
from emulator.workspace import EmulatedWorkspace
from intercom_api.errors import NotAuthorizedError, TransientError
from models.tables.public_tables import ENTITIES
from tests.stories.verify_harness import WORKSPACE, VerifyHarness, open_verify_harness
from workers.facts.from_fetch import FetchResult
from workers.verify.intercom_side import check_objects

# For tests in which the databases may behave differently; the other tests run on SQLite.
BOTH = pytest.mark.parametrize("harness", ["sqlite", "postgres"], indirect=True)


@pytest.fixture
def harness(redis_url: str, request: pytest.FixtureRequest) -> Iterator[VerifyHarness]:
    """A complete mirror, on SQLite unless parametrized."""
    with open_verify_harness(redis_url, request.getfixturevalue(f"{getattr(request, 'param', 'sqlite')}_url")) as made:
        yield made


def user(harness: VerifyHarness, number: int = 0) -> str:
    """Return the id of a contact with role user."""
    return [each.id for each in harness.workspace.contacts.values() if each.role == "user" and not each.archived][
        number
    ]


def lead(harness: VerifyHarness) -> str:
    """Return the id of a contact with role lead."""
    return next(each.id for each in harness.workspace.contacts.values() if each.role == "lead")


def company(harness: VerifyHarness, number: int = 0) -> str:
    """Return the id of a company."""
    return list(harness.workspace.companies)[number]


def rename(contact_id: str, name: str = "Renamed") -> "Rename":
    """Return an action that changes a contact's name."""
    return Rename(contact_id, name)


class Rename:
    def __init__(self, contact_id: str, name: str) -> None:
        self.contact_id, self.name = contact_id, name

    def __call__(self, space: EmulatedWorkspace) -> list[EmulatedNotification]:
        return space.update_contact(self.contact_id, {"name": self.name})


@BOTH
def test_a_complete_mirror_is_equal(harness: VerifyHarness) -> None:
    """The result is stored in sync_status."""
    outcome = harness.verify()
    assert outcome.as_dict()["differences"] == []
    assert (outcome.result, outcome.exit_code, outcome.reasons) == ("equal", 0, [])
    assert outcome.compared["contact"] == 8
    assert outcome.compared["data_attribute"] > 0
    assert harness.verify_result("contact") == "equal"


@BOTH
def test_a_quick_verification_is_marked_as_a_sample(harness: VerifyHarness) -> None:
    """In sync_status too."""
    outcome = harness.verify("quick")
    assert (outcome.result, outcome.reasons) == ("equal", [])
    assert outcome.totals == {"contact": (8, 8), "company": (3, 3)}
    assert harness.verify_result("company") == "equal (sample of 3)"


def test_a_lost_update_is_named_by_its_fields(harness: VerifyHarness) -> None:
    """The result contains fields, and no values."""
    changed = user(harness)
    change = {"name": "Someone Else", "custom_attributes": {"plan_tier": "gold"}}
    harness.act(lambda space: space.update_contact(changed, change), lost=True)
    fields = ("custom_attributes.plan_tier", "name", "updated_at")
    for mode in ("full", "quick"):
        outcome = harness.verify(mode)
        assert [(each.object_id, each.kind, each.fields) for each in outcome.differences] == [
            (changed, "differing", fields)
        ]
        assert outcome.exit_code == 3
        assert "Someone Else" not in str(outcome.as_dict())
    assert harness.verify_result("contact") == "differing: 1"
    assert harness.verify_result("company").startswith("equal")


def test_a_lost_creation_is_missing(harness: VerifyHarness) -> None:
    """The contact is missing."""
    harness.act(lambda space: space.create_contact("user", {"email": "new@example.test"}), lost=True)
    new = list(harness.workspace.contacts)[-1]
    assert harness.differences() == {new: ("missing", ())}


@BOTH
def test_a_lost_deletion_is_extra(harness: VerifyHarness) -> None:
    """With its remaining links."""
    gone = user(harness)
    harness.act(lambda space: space.delete_contact(gone), lost=True)
    assert harness.differences() == {gone: ("extra", ("contact_companies", "contact_segments", "contact_tags"))}


def test_a_lost_deletion_of_a_company_is_extra(harness: VerifyHarness) -> None:
    """And its contacts have one link too many."""
    gone = company(harness)
    members = set(harness.workspace.companies[gone].contact_ids)
    harness.act(lambda space: space.delete_company(gone), lost=True)
    found = harness.differences()
    assert found.pop(gone)[0] == "extra"
    assert found.keys() == members
    assert all("contact_companies" in fields for _, fields in found.values())


def test_a_lost_link_is_named_by_its_table(harness: VerifyHarness) -> None:
    """For tags and companies."""
    tagged, attached = user(harness), user(harness, 1)
    tag = next(each for each in harness.workspace.tags if each not in harness.workspace.contacts[tagged].tag_ids)
    other = next(
        each for each in harness.workspace.companies if each not in harness.workspace.contacts[attached].company_ids
    )
    harness.act(lambda space: [*space.tag(tagged, tag), *space.attach(attached, other)], lost=True)
    found = harness.differences()
    assert found.keys() == {tagged, attached}
    assert "contact_tags" in found[tagged][1]
    assert "contact_companies" in found[attached][1]


@BOTH
def test_a_lost_merge_is_extra_and_lacks_its_redirect(harness: VerifyHarness) -> None:
    """The merged contact still has its row, and no redirect."""
    source, survivor = lead(harness), user(harness)
    harness.act(lambda space: space.merge_contacts(source, survivor, any_role=True), lost=True)
    kind, fields = harness.differences()[source]
    assert kind == "extra"
    assert "contact_redirects" in fields
    outcome = harness.verify(repair=True)
    assert (outcome.result, outcome.differences) == ("equal", [])
    assert harness.drain_harness.rows("SELECT from_id, into_id FROM contact_redirects") == [
        {"from_id": source, "into_id": survivor}
    ]


@BOTH
def test_a_wrong_redirect_is_found_and_repaired(harness: VerifyHarness) -> None:
    """No row shows it, because the contact is deleted on both sides."""
    source, survivor = lead(harness), user(harness)
    harness.act(lambda space: space.merge_contacts(source, survivor, any_role=True))
    harness.work()
    assert harness.differences() == {}
    harness.execute("UPDATE contact_merges SET into_id = 'nowhere'")
    assert harness.differences() == {source: ("missing", ("contact_redirects",))}
    assert harness.verify(repair=True).result == "equal"


def test_a_lost_archiving_is_found(harness: VerifyHarness) -> None:
    """Intercom's lists hide the contact, and a GET by id still returns it."""
    archived = user(harness)
    harness.act(lambda space: space.archive_contact(archived), lost=True)
    assert harness.differences() == {archived: ("differing", ("archived",))}


def test_an_archived_duplicate_is_not_a_difference(harness: VerifyHarness) -> None:
    """Two contacts have one address, and the older one is archived: both rows are correct."""
    duplicate = user(harness)
    email = harness.workspace.contacts[duplicate].values["email"]
    harness.act(lambda space: space.archive_contact(duplicate))
    harness.act(lambda space: space.create_contact("user", {"email": email}))
    harness.work()
    outcome = harness.verify()
    assert (outcome.result, outcome.differences, outcome.reasons) == ("equal", [], [])
    assert harness.drain_harness.one("SELECT COUNT(*) FROM contacts WHERE archived") == 1


def test_an_archived_contact_that_is_stored_as_active_is_found(harness: VerifyHarness) -> None:
    """The view active_contacts would contain it."""
    duplicate = user(harness)
    harness.act(lambda space: space.archive_contact(duplicate))
    harness.work()
    harness.execute("UPDATE contacts SET archived = false WHERE id = :id", id=duplicate)
    assert harness.differences() == {duplicate: ("differing", ("archived",))}


def test_a_company_without_contacts_is_not_a_difference(harness: VerifyHarness) -> None:
    """It is in none of Intercom's lists."""
    harness.act(lambda space: space.create_company({"company_id": "hidden", "name": "Hidden"}))
    harness.work()
    outcome = harness.verify()
    assert (outcome.result, outcome.differences) == ("equal", [])
    assert outcome.totals["company"] == (3, 4)
    assert harness.verify("quick").result == "equal"


def test_all_300_companies_of_a_contact_are_compared(harness: VerifyHarness) -> None:
    """Ten are embedded; the missing one is not among them."""
    busy = user(harness)

    def attach_many(space: EmulatedWorkspace) -> list[EmulatedNotification]:
        for number in range(300):
            space.create_company({"company_id": f"many-{number}"})
            space.attach(busy, list(space.companies)[-1])
        return space.update_contact(busy, {"name": "Busy"})

    harness.act(attach_many, lost=True)
    harness.backfill()
    assert harness.drain_harness.one("SELECT COUNT(*) FROM contact_companies") >= 300
    assert harness.differences() == {}
    last = list(harness.workspace.companies)[-1]
    harness.execute("DELETE FROM contact_companies WHERE contact_id = :id AND company_id = :other", id=busy, other=last)
    assert harness.differences() == {busy: ("differing", ("contact_companies",))}
    assert harness.verify(repair=True).result == "equal"


@pytest.mark.parametrize("timezone", ["Pacific/Apia", "Pacific/Pago_Pago"])
def test_a_workspace_in_an_extreme_time_zone_is_compared(redis_url: str, sqlite_url: str, timezone: str) -> None:
    """Searches compare days of the workspace's time zone, 13 hours ahead of or 11 hours behind UTC."""
    with open_verify_harness(redis_url, sqlite_url, timezone) as harness:
        assert harness.differences("quick") == {}
        assert harness.differences() == {}
        changed = user(harness)
        harness.act(rename(changed), lost=True)
        assert harness.differences("quick").keys() == {changed}
        assert harness.differences().keys() == {changed}


def test_changes_without_a_notification_are_counted_as_drift(harness: VerifyHarness) -> None:
    """It is counted, and is not a difference."""
    tag = next(iter(harness.workspace.tags))
    target = company(harness, 1)
    harness.act(lambda space: space.tag_company(target, tag), lost=True)
    harness.execute("DELETE FROM company_segments WHERE 1 = 1") if harness.drain_harness.rows(
        "SELECT 1 FROM company_segments"
    ) else None
    outcome = harness.verify()
    assert outcome.result == "equal"
    assert outcome.drifted["company_tags"] == 1


@BOTH
def test_names_of_tags_segments_and_attributes_are_compared(harness: VerifyHarness) -> None:
    """A row that is too many is found as well."""
    harness.execute("UPDATE tags SET name = 'other' WHERE name = 'vip'")
    harness.execute("UPDATE segments SET name = 'other' WHERE name = 'Gold'")
    harness.execute("DELETE FROM data_attributes WHERE name = 'email' AND model = 'contact'")
    columns = "workspace_id, id, name, _raw, _source, _version, _synced_at"
    values = ":workspace, 'extra', 'extra', '{}', 'webhook', 1, '2026-01-01'"
    harness.execute(f"INSERT INTO tags ({columns}) VALUES ({values})", workspace=WORKSPACE)  # noqa: S608 -- ours
    outcome = harness.verify()
    assert outcome.reasons == []
    kinds = sorted((each.object_type, each.kind, each.fields) for each in outcome.differences)
    assert kinds == [
        ("data_attribute", "missing", ()),
        ("segment", "differing", ("name",)),
        ("tag", "differing", ("name",)),
        ("tag", "extra", ()),
    ]


# Columns that are the key of the row, or describe its source.
NOT_COMPARED = {"workspace_id", "id", "_source", "_synced_at", "_raw"}


@BOTH
@pytest.mark.parametrize("table", ["contacts", "companies"])
def test_every_column_is_compared(harness: VerifyHarness, table: str) -> None:
    """A column that was changed by hand is named, and no other."""
    object_type, object_id = ("contact", user(harness)) if table == "contacts" else ("company", company(harness))
    row = harness.row(table, object_id)
    for column in sorted(row.keys() - NOT_COMPARED):
        wrong = _wrong(ENTITIES[object_type].table.c[column])
        harness.execute(f"UPDATE {table} SET {column} = {wrong} WHERE id = :id", id=object_id)  # noqa: S608 -- ours
        [(_, check)] = check_objects(harness.context, WORKSPACE, object_type, [object_id], {object_id})
        assert check.comparison is not None
        assert (column, check.comparison.kind, check.comparison.fields) == (column, "differing", (column,))
        kept = row[column] if column != "custom_attributes" else _json(row[column])
        cast = "CAST(:kept AS jsonb)" if column == "custom_attributes" and _is_postgresql(harness) else ":kept"
        harness.execute(f"UPDATE {table} SET {column} = {cast} WHERE id = :id", id=object_id, kept=kept)  # noqa: S608 -- ours


def _is_postgresql(harness: VerifyHarness) -> bool:
    return harness.drain_harness.engine.dialect.name == "postgresql"


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _wrong(column: Column[Any]) -> str:
    """Return an SQL expression for a value that no row has."""
    kind = str(column.type).upper()
    if kind.startswith("BOOL"):
        return f"NOT COALESCE({column.name}, false)"
    if kind.startswith(("DATETIME", "TIMESTAMP")):
        return "'1999-01-01 00:00:00.000000'"
    if kind.startswith("BIGINT"):
        return "-7"
    if kind == "JSON":
        return """'{"wrong": 1}'"""
    return "'wrong'"


@pytest.mark.parametrize("after", [0, 60])
def test_a_change_during_the_verification_is_not_a_difference(harness: VerifyHarness, after: int) -> None:
    """Its notification is on its way while both sides are read; a refused one comes again after a minute."""
    changed = user(harness)
    late = harness.act(rename(changed), lost=True)
    harness.on_wait = lambda: harness.drain_harness.append(*(each.body for each in late if harness.now > after))
    outcome = harness.verify()
    assert (outcome.result, outcome.differences, outcome.reasons) == ("equal", [], [])
    assert harness.now > after


def test_a_creation_during_the_verification_is_not_a_difference(harness: VerifyHarness) -> None:
    """The list contains it, and the tables do not yet."""
    late = harness.act(lambda space: space.create_contact("user", {"email": "late@example.test"}), lost=True)
    harness.on_wait = lambda: harness.drain_harness.append(*(each.body for each in late))
    assert harness.verify().result == "equal"


def test_lagging_lists_are_not_a_difference(harness: VerifyHarness) -> None:
    """They contain old values and deleted contacts, and lack new ones."""
    users = [user(harness, number) for number in range(4)]
    harness.verify()
    harness.intercom.change({"index_lag_seconds": 200})
    harness.act(rename(users[0]))
    harness.act(lambda space: space.delete_contact(users[1]))
    harness.act(lambda space: space.archive_contact(users[2]))
    harness.act(lambda space: space.create_contact("user", {"email": "new@example.test"}))
    harness.work()
    assert harness.differences() == {}
    assert harness.differences("quick") == {}


@BOTH
def test_an_unexplained_difference_in_numbers_is_reported(harness: VerifyHarness) -> None:
    """A row that the sample does not contain is missing from the count."""
    harness.execute("DELETE FROM changes")
    harness.execute("UPDATE contacts SET archived = true WHERE id = :id", id=user(harness))
    outcome = harness.verify("quick")
    assert outcome.counted["contact", "count"] == 1
    assert outcome.totals["contact"] == (8, 7)


def test_what_keeps_changing_cannot_be_told(harness: VerifyHarness) -> None:
    """Each check finds another state, and no notification arrives."""
    busy = user(harness)
    names = iter(range(1000))
    harness.on_wait = lambda: harness.act(rename(busy, f"Name {next(names)}"), lost=True)
    harness.on_wait()
    outcome = harness.verify()
    assert (outcome.result, outcome.exit_code) == ("unsure", 4)
    assert outcome.unsettled == {"contact": 1}
    assert harness.verify_result("contact") == "unsure: 1"


def test_an_object_whose_refetch_does_not_happen_is_unsure(harness: VerifyHarness) -> None:
    """No worker runs: the object stays dirty, and the outcome contains the reason."""
    changed = user(harness)
    harness.act(rename(changed), lost=True)
    harness.execute("UPDATE object_states SET dirty = dirty + 1 WHERE object_id = :id", id=changed)
    harness.is_paused = True
    outcome = harness.verify()
    assert outcome.exit_code == 4
    assert "Is a worker running?" in outcome.reasons[0]


def test_a_difference_is_unsure_while_the_inbox_has_a_backlog(harness: VerifyHarness) -> None:
    """The inbox may contain the notification that ends the difference."""
    notifications = harness.act(rename(user(harness)), lost=True)
    harness.context = harness.context_with(inbox_age=lambda: 10_000.0)
    outcome = harness.verify()
    assert outcome.exit_code == 4
    harness.context = harness.context_with(inbox_age=lambda: 0.0)
    assert harness.verify().exit_code == 3
    harness.drain_harness.append(*(each.body for each in notifications))
    harness.work()
    assert harness.verify().exit_code == 0


def test_objects_that_intercom_does_not_return_are_unsure(harness: VerifyHarness) -> None:
    """The verdict is neither equal nor differing."""

    def broken(*_: str) -> FetchResult:
        raise TransientError("Intercom failed (500).", 1)

    harness.act(rename(user(harness)), lost=True)
    harness.fetch = broken
    harness.context = harness.context_with(fetch=broken)
    assert harness.verify().exit_code == 4


def test_a_list_that_breaks_off_is_unsure(harness: VerifyHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known of what was not read."""

    def broken() -> None:
        raise TransientError("Intercom failed (502).", 1)

    monkeypatch.setattr(harness.client, "contacts_page", lambda *_: broken())
    outcome = harness.verify()
    assert (outcome.exit_code, outcome.reasons) == (4, ["Intercom failed (502)."])


def test_a_refused_token_raises(harness: VerifyHarness) -> None:
    """The caller ends the connection."""
    harness.intercom.access_tokens.revoke_workspace(WORKSPACE)
    with pytest.raises(NotAuthorizedError):
        harness.verify()


@BOTH
def test_repair_restores_everything_that_was_lost(harness: VerifyHarness) -> None:
    """Missing, extra and differing objects, links and archivings, by refetches alone."""
    users = [user(harness, number) for number in range(4)]
    harness.act(rename(users[0]), lost=True)
    harness.act(lambda space: space.delete_contact(users[1]), lost=True)
    harness.act(lambda space: space.create_contact("user", {"email": "new@example.test"}), lost=True)
    harness.act(lambda space: space.detach(users[2], next(iter(space.contacts[users[2]].company_ids))), lost=True)
    harness.execute("UPDATE tags SET name = 'other' WHERE name = 'vip'")
    outcome = harness.verify(repair=True)
    assert (outcome.result, outcome.differences, outcome.exit_code) == ("equal", [], 0)
    assert outcome.repaired == 5
    assert harness.differences() == {}


@BOTH
def test_repair_restores_rows_that_were_changed_by_hand(harness: VerifyHarness) -> None:
    """Rows, columns and links whose guard rows are consistent."""
    users = [user(harness, number) for number in range(4)]
    gone = lead(harness)
    harness.execute("DELETE FROM contacts WHERE id = :id", id=users[0])
    harness.execute("UPDATE contacts SET email = 'wrong', archived = true WHERE id = :id", id=users[1])
    harness.execute("DELETE FROM contact_tags WHERE contact_id = :id", id=users[2])
    harness.execute(
        "INSERT INTO contact_companies VALUES (:workspace, :id, 'nowhere')", workspace=WORKSPACE, id=users[3]
    )
    synced_at = harness.row("contacts", gone)["_synced_at"]
    harness.act(lambda space: space.delete_contact(gone))
    harness.work()
    columns = (
        "workspace_id, id, archived, custom_attributes, _companies_complete, _tags_complete, _raw, _source, _version"
    )
    values = ":workspace, :id, false, '{}', true, true, '{}', 'webhook', 1"
    harness.execute(
        f"INSERT INTO contacts ({columns}, _synced_at) VALUES ({values}, :at)",  # noqa: S608 -- ours
        workspace=WORKSPACE,
        id=gone,
        at=synced_at,
    )
    assert harness.differences().keys() == {*users, gone}
    outcome = harness.verify(repair=True)
    assert (outcome.result, outcome.differences) == ("equal", [])
    assert harness.differences() == {}
