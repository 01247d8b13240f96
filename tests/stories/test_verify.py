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
from tests.stories.scene import WORKSPACE, Scene, scene_at
from workers.facts.from_fetch import FetchResult
from workers.verify.intercom_side import check_objects

# For tests in which the databases may behave differently; the other tests run on SQLite.
BOTH = pytest.mark.parametrize("scene", ["sqlite", "postgres"], indirect=True)


@pytest.fixture
def scene(redis_url: str, request: pytest.FixtureRequest) -> Iterator[Scene]:
    """A complete mirror, on SQLite unless parametrized."""
    with scene_at(redis_url, request.getfixturevalue(f"{getattr(request, 'param', 'sqlite')}_url")) as made:
        yield made


def user(scene: Scene, number: int = 0) -> str:
    """Return the id of a contact with role user."""
    return [each.id for each in scene.workspace.contacts.values() if each.role == "user" and not each.archived][number]


def lead(scene: Scene) -> str:
    """Return the id of a contact with role lead."""
    return next(each.id for each in scene.workspace.contacts.values() if each.role == "lead")


def company(scene: Scene, number: int = 0) -> str:
    """Return the id of a company."""
    return list(scene.workspace.companies)[number]


def rename(contact_id: str, name: str = "Renamed") -> "Rename":
    """Return an action that changes a contact's name."""
    return Rename(contact_id, name)


class Rename:
    def __init__(self, contact_id: str, name: str) -> None:
        self.contact_id, self.name = contact_id, name

    def __call__(self, space: EmulatedWorkspace) -> list[EmulatedNotification]:
        return space.update_contact(self.contact_id, {"name": self.name})


@BOTH
def test_a_complete_mirror_is_equal(scene: Scene) -> None:
    """The result is stored in sync_status."""
    outcome = scene.verify()
    assert outcome.as_dict()["differences"] == []
    assert (outcome.result, outcome.exit_code, outcome.reasons) == ("equal", 0, [])
    assert outcome.compared["contact"] == 8
    assert outcome.compared["data_attribute"] > 0
    assert scene.one_mark("contact") == "equal"


@BOTH
def test_a_quick_verification_is_marked_as_a_sample(scene: Scene) -> None:
    """In sync_status too."""
    outcome = scene.verify("quick")
    assert (outcome.result, outcome.reasons) == ("equal", [])
    assert outcome.totals == {"contact": (8, 8), "company": (3, 3)}
    assert scene.one_mark("company") == "equal (sample of 3)"


def test_a_lost_update_is_named_by_its_fields(scene: Scene) -> None:
    """The result contains fields, and no values."""
    changed = user(scene)
    change = {"name": "Someone Else", "custom_attributes": {"plan_tier": "gold"}}
    scene.act(lambda space: space.update_contact(changed, change), lost=True)
    fields = ("custom_attributes.plan_tier", "name", "updated_at")
    for mode in ("full", "quick"):
        outcome = scene.verify(mode)
        assert [(each.object_id, each.kind, each.fields) for each in outcome.differences] == [
            (changed, "differing", fields)
        ]
        assert outcome.exit_code == 3
        assert "Someone Else" not in str(outcome.as_dict())
    assert scene.one_mark("contact") == "differing: 1"
    assert scene.one_mark("company").startswith("equal")


def test_a_lost_creation_is_missing(scene: Scene) -> None:
    """The contact is missing."""
    scene.act(lambda space: space.create_contact("user", {"email": "new@example.test"}), lost=True)
    new = list(scene.workspace.contacts)[-1]
    assert scene.found() == {new: ("missing", ())}


@BOTH
def test_a_lost_deletion_is_extra(scene: Scene) -> None:
    """With its remaining links."""
    gone = user(scene)
    scene.act(lambda space: space.delete_contact(gone), lost=True)
    assert scene.found() == {gone: ("extra", ("contact_companies", "contact_segments", "contact_tags"))}


def test_a_lost_deletion_of_a_company_is_extra(scene: Scene) -> None:
    """And its contacts have one link too many."""
    gone = company(scene)
    members = set(scene.workspace.companies[gone].contact_ids)
    scene.act(lambda space: space.delete_company(gone), lost=True)
    found = scene.found()
    assert found.pop(gone)[0] == "extra"
    assert found.keys() == members
    assert all("contact_companies" in fields for _, fields in found.values())


def test_a_lost_link_is_named_by_its_table(scene: Scene) -> None:
    """For tags and companies."""
    tagged, attached = user(scene), user(scene, 1)
    tag = next(each for each in scene.workspace.tags if each not in scene.workspace.contacts[tagged].tag_ids)
    other = next(
        each for each in scene.workspace.companies if each not in scene.workspace.contacts[attached].company_ids
    )
    scene.act(lambda space: [*space.tag(tagged, tag), *space.attach(attached, other)], lost=True)
    found = scene.found()
    assert found.keys() == {tagged, attached}
    assert "contact_tags" in found[tagged][1]
    assert "contact_companies" in found[attached][1]


@BOTH
def test_a_lost_merge_is_extra_and_lacks_its_redirect(scene: Scene) -> None:
    """The merged contact still has its row, and no redirect."""
    source, survivor = lead(scene), user(scene)
    scene.act(lambda space: space.merge_contacts(source, survivor, any_role=True), lost=True)
    kind, fields = scene.found()[source]
    assert kind == "extra"
    assert "contact_redirects" in fields
    outcome = scene.verify(repair=True)
    assert (outcome.result, outcome.differences) == ("equal", [])
    assert scene.harness.rows("SELECT from_id, into_id FROM contact_redirects") == [
        {"from_id": source, "into_id": survivor}
    ]


@BOTH
def test_a_wrong_redirect_is_found_and_repaired(scene: Scene) -> None:
    """No row shows it, because the contact is deleted on both sides."""
    source, survivor = lead(scene), user(scene)
    scene.act(lambda space: space.merge_contacts(source, survivor, any_role=True))
    scene.work()
    assert scene.found() == {}
    scene.damage("UPDATE contact_merges SET into_id = 'nowhere'")
    assert scene.found() == {source: ("missing", ("contact_redirects",))}
    assert scene.verify(repair=True).result == "equal"


def test_a_lost_archiving_is_found(scene: Scene) -> None:
    """Intercom's lists hide the contact, and a GET by id still returns it."""
    archived = user(scene)
    scene.act(lambda space: space.archive_contact(archived), lost=True)
    assert scene.found() == {archived: ("differing", ("archived",))}


def test_an_archived_duplicate_is_not_a_difference(scene: Scene) -> None:
    """Two contacts have one address, and the older one is archived: both rows are correct."""
    duplicate = user(scene)
    email = scene.workspace.contacts[duplicate].values["email"]
    scene.act(lambda space: space.archive_contact(duplicate))
    scene.act(lambda space: space.create_contact("user", {"email": email}))
    scene.work()
    outcome = scene.verify()
    assert (outcome.result, outcome.differences, outcome.reasons) == ("equal", [], [])
    assert scene.harness.one("SELECT COUNT(*) FROM contacts WHERE archived") == 1


def test_an_archived_contact_that_is_stored_as_active_is_found(scene: Scene) -> None:
    """The view active_contacts would contain it."""
    duplicate = user(scene)
    scene.act(lambda space: space.archive_contact(duplicate))
    scene.work()
    scene.damage("UPDATE contacts SET archived = false WHERE id = :id", id=duplicate)
    assert scene.found() == {duplicate: ("differing", ("archived",))}


def test_a_company_without_contacts_is_not_a_difference(scene: Scene) -> None:
    """It is in none of Intercom's lists."""
    scene.act(lambda space: space.create_company({"company_id": "hidden", "name": "Hidden"}))
    scene.work()
    outcome = scene.verify()
    assert (outcome.result, outcome.differences) == ("equal", [])
    assert outcome.totals["company"] == (3, 4)
    assert scene.verify("quick").result == "equal"


def test_all_300_companies_of_a_contact_are_compared(scene: Scene) -> None:
    """Ten are embedded; the missing one is not among them."""
    busy = user(scene)

    def attach_many(space: EmulatedWorkspace) -> list[EmulatedNotification]:
        for number in range(300):
            space.create_company({"company_id": f"many-{number}"})
            space.attach(busy, list(space.companies)[-1])
        return space.update_contact(busy, {"name": "Busy"})

    scene.act(attach_many, lost=True)
    scene.backfill()
    assert scene.harness.one("SELECT COUNT(*) FROM contact_companies") >= 300
    assert scene.found() == {}
    last = list(scene.workspace.companies)[-1]
    scene.damage("DELETE FROM contact_companies WHERE contact_id = :id AND company_id = :other", id=busy, other=last)
    assert scene.found() == {busy: ("differing", ("contact_companies",))}
    assert scene.verify(repair=True).result == "equal"


@pytest.mark.parametrize("timezone", ["Pacific/Apia", "Pacific/Pago_Pago"])
def test_a_workspace_in_an_extreme_time_zone_is_compared(redis_url: str, sqlite_url: str, timezone: str) -> None:
    """Searches compare days of the workspace's time zone, 13 hours ahead of or 11 hours behind UTC."""
    with scene_at(redis_url, sqlite_url, timezone) as scene:
        assert scene.found("quick") == {}
        assert scene.found() == {}
        changed = user(scene)
        scene.act(rename(changed), lost=True)
        assert scene.found("quick").keys() == {changed}
        assert scene.found().keys() == {changed}


def test_changes_without_a_notification_are_counted_as_drift(scene: Scene) -> None:
    """It is counted, and is not a difference."""
    tag = next(iter(scene.workspace.tags))
    target = company(scene, 1)
    scene.act(lambda space: space.tag_company(target, tag), lost=True)
    scene.damage("DELETE FROM company_segments WHERE 1 = 1") if scene.harness.rows(
        "SELECT 1 FROM company_segments"
    ) else None
    outcome = scene.verify()
    assert outcome.result == "equal"
    assert outcome.drifted["company_tags"] == 1


@BOTH
def test_names_of_tags_segments_and_attributes_are_compared(scene: Scene) -> None:
    """A row that is too many is found as well."""
    scene.damage("UPDATE tags SET name = 'other' WHERE name = 'vip'")
    scene.damage("UPDATE segments SET name = 'other' WHERE name = 'Gold'")
    scene.damage("DELETE FROM data_attributes WHERE name = 'email' AND model = 'contact'")
    columns = "workspace_id, id, name, _raw, _source, _version, _synced_at"
    values = ":workspace, 'extra', 'extra', '{}', 'webhook', 1, '2026-01-01'"
    scene.damage(f"INSERT INTO tags ({columns}) VALUES ({values})", workspace=WORKSPACE)  # noqa: S608 -- ours
    outcome = scene.verify()
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
def test_every_column_is_compared(scene: Scene, table: str) -> None:
    """A column that was changed by hand is named, and no other."""
    object_type, object_id = ("contact", user(scene)) if table == "contacts" else ("company", company(scene))
    row = scene.row(table, object_id)
    for column in sorted(row.keys() - NOT_COMPARED):
        wrong = _wrong(ENTITIES[object_type].table.c[column])
        scene.damage(f"UPDATE {table} SET {column} = {wrong} WHERE id = :id", id=object_id)  # noqa: S608 -- ours
        [(_, check)] = check_objects(scene.tools, WORKSPACE, object_type, [object_id], {object_id})
        assert check.comparison is not None
        assert (column, check.comparison.kind, check.comparison.fields) == (column, "differing", (column,))
        kept = row[column] if column != "custom_attributes" else _json(row[column])
        cast = "CAST(:kept AS jsonb)" if column == "custom_attributes" and _is_postgresql(scene) else ":kept"
        scene.damage(f"UPDATE {table} SET {column} = {cast} WHERE id = :id", id=object_id, kept=kept)  # noqa: S608 -- ours


def _is_postgresql(scene: Scene) -> bool:
    return scene.harness.engine.dialect.name == "postgresql"


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
def test_a_change_during_the_verification_is_not_a_difference(scene: Scene, after: int) -> None:
    """Its notification is on its way while both sides are read; a refused one comes again after a minute."""
    changed = user(scene)
    late = scene.act(rename(changed), lost=True)
    scene.meanwhile = lambda: scene.harness.append(*(each.body for each in late if scene.now > after))
    outcome = scene.verify()
    assert (outcome.result, outcome.differences, outcome.reasons) == ("equal", [], [])
    assert scene.now > after


def test_a_creation_during_the_verification_is_not_a_difference(scene: Scene) -> None:
    """The list contains it, and the tables do not yet."""
    late = scene.act(lambda space: space.create_contact("user", {"email": "late@example.test"}), lost=True)
    scene.meanwhile = lambda: scene.harness.append(*(each.body for each in late))
    assert scene.verify().result == "equal"


def test_lagging_lists_are_not_a_difference(scene: Scene) -> None:
    """They contain old values and deleted contacts, and lack new ones."""
    users = [user(scene, number) for number in range(4)]
    scene.verify()
    scene.intercom.change({"index_lag_seconds": 200})
    scene.act(rename(users[0]))
    scene.act(lambda space: space.delete_contact(users[1]))
    scene.act(lambda space: space.archive_contact(users[2]))
    scene.act(lambda space: space.create_contact("user", {"email": "new@example.test"}))
    scene.work()
    assert scene.found() == {}
    assert scene.found("quick") == {}


@BOTH
def test_an_unexplained_difference_in_numbers_is_reported(scene: Scene) -> None:
    """A row that the sample does not contain is missing from the count."""
    scene.damage("DELETE FROM changes")
    scene.damage("UPDATE contacts SET archived = true WHERE id = :id", id=user(scene))
    outcome = scene.verify("quick")
    assert outcome.counted["contact", "count"] == 1
    assert outcome.totals["contact"] == (8, 7)


def test_what_keeps_changing_cannot_be_told(scene: Scene) -> None:
    """Each check finds another state, and no notification arrives."""
    busy = user(scene)
    names = iter(range(1000))
    scene.meanwhile = lambda: scene.act(rename(busy, f"Name {next(names)}"), lost=True)
    scene.meanwhile()
    outcome = scene.verify()
    assert (outcome.result, outcome.exit_code) == ("unsure", 4)
    assert outcome.unsettled == {"contact": 1}
    assert scene.one_mark("contact") == "unsure: 1"


def test_an_object_whose_refetch_does_not_happen_is_unsure(scene: Scene) -> None:
    """No worker runs: the object stays dirty, and the outcome contains the reason."""
    changed = user(scene)
    scene.act(rename(changed), lost=True)
    scene.damage("UPDATE object_states SET dirty = dirty + 1 WHERE object_id = :id", id=changed)
    scene.asleep = True
    outcome = scene.verify()
    assert outcome.exit_code == 4
    assert "Is a worker running?" in outcome.reasons[0]


def test_a_difference_is_unsure_while_the_inbox_has_a_backlog(scene: Scene) -> None:
    """The inbox may contain the notification that ends the difference."""
    notifications = scene.act(rename(user(scene)), lost=True)
    scene.tools = scene.tools_with(inbox_age=lambda: 10_000.0)
    outcome = scene.verify()
    assert outcome.exit_code == 4
    scene.tools = scene.tools_with(inbox_age=lambda: 0.0)
    assert scene.verify().exit_code == 3
    scene.harness.append(*(each.body for each in notifications))
    scene.work()
    assert scene.verify().exit_code == 0


def test_objects_that_intercom_does_not_return_are_unsure(scene: Scene) -> None:
    """The verdict is neither equal nor differing."""

    def broken(*_: str) -> FetchResult:
        raise TransientError("Intercom failed (500).", 1)

    scene.act(rename(user(scene)), lost=True)
    scene.fetch = broken
    scene.tools = scene.tools_with(fetch=broken)
    assert scene.verify().exit_code == 4


def test_a_list_that_breaks_off_is_unsure(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known of what was not read."""

    def broken() -> None:
        raise TransientError("Intercom failed (502).", 1)

    monkeypatch.setattr(scene.client, "contacts_page", lambda *_: broken())
    outcome = scene.verify()
    assert (outcome.exit_code, outcome.reasons) == (4, ["Intercom failed (502)."])


def test_a_refused_token_raises(scene: Scene) -> None:
    """The caller ends the connection."""
    scene.intercom.access_tokens.revoke_workspace(WORKSPACE)
    with pytest.raises(NotAuthorizedError):
        scene.verify()


@BOTH
def test_repair_restores_everything_that_was_lost(scene: Scene) -> None:
    """Missing, extra and differing objects, links and archivings, by refetches alone."""
    users = [user(scene, number) for number in range(4)]
    scene.act(rename(users[0]), lost=True)
    scene.act(lambda space: space.delete_contact(users[1]), lost=True)
    scene.act(lambda space: space.create_contact("user", {"email": "new@example.test"}), lost=True)
    scene.act(lambda space: space.detach(users[2], next(iter(space.contacts[users[2]].company_ids))), lost=True)
    scene.damage("UPDATE tags SET name = 'other' WHERE name = 'vip'")
    outcome = scene.verify(repair=True)
    assert (outcome.result, outcome.differences, outcome.exit_code) == ("equal", [], 0)
    assert outcome.repaired == 5
    assert scene.found() == {}


@BOTH
def test_repair_restores_rows_that_were_changed_by_hand(scene: Scene) -> None:
    """Rows, columns and links whose guard rows are consistent."""
    users = [user(scene, number) for number in range(4)]
    gone = lead(scene)
    scene.damage("DELETE FROM contacts WHERE id = :id", id=users[0])
    scene.damage("UPDATE contacts SET email = 'wrong', archived = true WHERE id = :id", id=users[1])
    scene.damage("DELETE FROM contact_tags WHERE contact_id = :id", id=users[2])
    scene.damage("INSERT INTO contact_companies VALUES (:workspace, :id, 'nowhere')", workspace=WORKSPACE, id=users[3])
    synced_at = scene.row("contacts", gone)["_synced_at"]
    scene.act(lambda space: space.delete_contact(gone))
    scene.work()
    columns = (
        "workspace_id, id, archived, custom_attributes, _companies_complete, _tags_complete, _raw, _source, _version"
    )
    values = ":workspace, :id, false, '{}', true, true, '{}', 'webhook', 1"
    scene.damage(
        f"INSERT INTO contacts ({columns}, _synced_at) VALUES ({values}, :at)",  # noqa: S608 -- ours
        workspace=WORKSPACE,
        id=gone,
        at=synced_at,
    )
    assert scene.found().keys() == {*users, gone}
    outcome = scene.verify(repair=True)
    assert (outcome.result, outcome.differences) == ("equal", [])
    assert scene.found() == {}
