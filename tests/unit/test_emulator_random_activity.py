"""After any activity the workspace is consistent, and equals the content of its notifications."""

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.clock import ManualClock
from emulator.emulated_notification import EmulatedNotification
from emulator.random_activity import UPDATE_WEIGHTS, RandomActivity, history, populate
from emulator.random_operations import RANDOM_OPERATIONS
from emulator.workspace import EmulatedWorkspace
from intercom_api.wire.times import milliseconds

# 2026-11-18T11:06:40 UTC, in milliseconds.
START = 1_795_000_000_000
# Not compared: user_count changes without a notification of the company, tags are compared as links, and the formatted
# phone is absent from REST objects.
NOT_COMPARED = {"user_count", "tag_ids", "formatted_phone"}

operations = st.lists(st.tuples(st.sampled_from(sorted(RANDOM_OPERATIONS)), st.integers(0, 999)), max_size=60)


def small_workspace() -> tuple[EmulatedWorkspace, ManualClock, list[EmulatedNotification]]:
    clock = ManualClock(START)
    workspace = EmulatedWorkspace(clock=clock)
    return workspace, clock, populate(workspace, contacts=4, companies=3)


def run(chosen: list[tuple[str, int]]) -> tuple[EmulatedWorkspace, list[EmulatedNotification]]:
    """Run the chosen operations; the number advances the clock and is the seed of the operation."""
    workspace, clock, notifications = small_workspace()
    for name, number in chosen:
        clock.advance(number)
        notifications += RANDOM_OPERATIONS[name](workspace, random.Random(number))  # noqa: S311 -- repeatable
    return workspace, notifications


@settings(deadline=None)
@given(operations)
def test_links_join_objects_that_exist(chosen: list[tuple[str, int]]) -> None:
    """Both ends have each link, links join existing objects, and no object is both present and deleted."""
    truth = run(chosen)[0].truth()
    contacts, companies = truth["contacts"], truth["companies"]
    from_contacts = {(id_, other) for id_, contact in contacts.items() for other in contact["_company_ids"]}
    from_companies = {(other, id_) for id_, company in companies.items() for other in company["_contact_ids"]}
    assert from_contacts == from_companies
    assert {tag for contact in contacts.values() for tag in contact["_tag_ids"]} <= set(truth["tags"])
    assert set(contacts).isdisjoint(truth["deleted"]["contact"])
    assert set(contacts).isdisjoint(truth["redirects"])
    assert set(companies).isdisjoint(truth["deleted"]["company"])
    assert truth["archived"] == sorted(id_ for id_, contact in contacts.items() if contact["_archived"])


@settings(deadline=None)
@given(operations)
def test_pools_contain_the_existing_objects(chosen: list[tuple[str, int]]) -> None:
    """A pool contains only contacts of its kind."""
    workspace = run(chosen)[0]
    kinds = {(contact.id, "archived" if contact.archived else contact.role) for contact in workspace.contacts.values()}
    pools = {"user": workspace.users, "lead": workspace.leads, "archived": workspace.archived}
    assert kinds == {(id_, name) for name, pool in pools.items() for id_ in pool}
    assert set(workspace.company_pool) == set(workspace.companies)


@settings(deadline=None)
@given(operations)
def test_the_notifications_give_the_true_content(chosen: list[tuple[str, int]]) -> None:
    """Applying all notifications in order gives the true content, link by link and field by field."""
    workspace, notifications = run([(name, number) for name, number in chosen if name != "tag_company"])
    truth = workspace.truth()
    reader = NotificationReader()
    for notification in notifications:
        reader.read(notification)
    unknown = {n.object_id for n in notifications if n.topic == "visitor.signed_up"} - set(reader.contacts)
    assert set(reader.contacts) == set(truth["contacts"]) - unknown
    assert set(reader.companies) == set(truth["companies"])
    for id_, contact in reader.contacts.items():
        assert_same(contact, truth["contacts"][id_])
        assert sorted(reader.company_ids[id_]) == truth["contacts"][id_]["_company_ids"]
        assert sorted(reader.tag_ids[id_]) == truth["contacts"][id_]["_tag_ids"]
    for id_, company in reader.companies.items():
        assert_same(company, truth["companies"][id_])


@settings(deadline=None)
@given(operations)
def test_a_fetch_agrees_with_the_true_content(chosen: list[tuple[str, int]]) -> None:
    """Every id that ever existed is found, merged or gone, as in the true content."""
    workspace, notifications = run(chosen)
    truth = workspace.truth()
    for id_ in {notification.object_id for notification in notifications} - set(truth["companies"]):
        status = workspace.fetch("contact", id_)["status"]
        assert (status == "found") == (id_ in truth["contacts"])
        assert (status == "merged") == (id_ in truth["redirects"])


def test_a_seed_determines_the_history() -> None:
    """The same seed and clock give the same bytes and content; another seed gives others."""
    first, second, other = (whole_history(seed) for seed in (1, 1, 2))
    assert first == second
    assert first[0] != other[0]


def whole_history(seed: int) -> tuple[list[bytes], dict[str, Any]]:
    clock = ManualClock(START)
    workspace = EmulatedWorkspace(seed=seed, clock=clock)
    notifications = [*populate(workspace, 5, 3, seed), *history(workspace, clock, 200, seed)]
    return [notification.body for notification in notifications], workspace.truth()


def test_the_default_activity_has_every_topic() -> None:
    """With enough operations every topic occurs."""
    workspace, clock, _ = small_workspace()
    topics = {notification.topic for notification in history(workspace, clock, 6000)}
    assert len(topics) == 26


def test_update_weights_only_change_contacts() -> None:
    """A history for measuring speed creates and deletes nothing."""
    workspace, clock, _ = small_workspace()
    notifications = list(history(workspace, clock, 100, weights=UPDATE_WEIGHTS))
    assert {notification.topic for notification in notifications} <= {"contact.user.updated", "contact.lead.updated"}
    assert len(workspace.contacts) == 4


def test_an_empty_workspace_gets_a_user() -> None:
    """A user is created if no other operation is possible."""
    [notification] = RandomActivity(EmulatedWorkspace(), weights={"untag": 1}).step()
    assert notification.topic == "contact.user.created"


def assert_same(sent: dict[str, Any], true: dict[str, Any]) -> None:
    """Compare an object of a notification with a REST object; lists are compared elsewhere."""
    for name, value in sent.items():
        if name.endswith("_at"):
            time_ms = milliseconds(value)
            assert true.get(name) == (None if time_ms is None else time_ms // 1000), name
        elif name == "owner_id":
            assert true[name] == (None if value is None else str(value))
        elif not isinstance(value, dict) or name in ("custom_attributes", "location"):
            assert name in NOT_COMPARED or true.get(name) == value, name


class NotificationReader:
    """Keeps the latest state of every object from notifications; independent of the workspace's code."""

    def __init__(self) -> None:
        self.contacts: dict[str, dict[str, Any]] = {}
        self.companies: dict[str, dict[str, Any]] = {}
        self.company_ids: dict[str, set[str]] = {}
        self.tag_ids: dict[str, set[str]] = {}

    def read(self, notification: EmulatedNotification) -> None:
        item, topic = notification.item, notification.topic
        if topic == "contact.deleted":
            self.remove(item["id"])
        elif topic == "company.deleted":
            del self.companies[item["id"]]
            for company_ids in self.company_ids.values():
                company_ids.discard(item["id"])
        elif topic.startswith("company.contact."):
            self.store(item["contact"])
            self.link(item, attached=topic.endswith("attached"))
        elif topic.startswith("company."):
            self.companies[item["id"]] = item
        elif topic not in ("contact.archived", "visitor.signed_up"):
            self.store(item.get("contact", item))

    def store(self, contact: dict[str, Any]) -> None:
        id_ = contact["id"]
        self.contacts[id_] = contact
        for name, links in (("companies", self.company_ids), ("tags", self.tag_ids)):
            shown = {entry["id"] for entry in contact[name]["data"]}
            links[id_] = shown | links.get(id_, set()) if contact[name]["has_more"] else shown
        if "merged_from" in contact:
            self.merge(contact["merged_from"]["id"], id_)

    def merge(self, from_id: str, into_id: str) -> None:
        self.company_ids[into_id] |= self.company_ids.get(from_id, set())
        self.tag_ids[into_id] |= self.tag_ids.get(from_id, set())
        self.remove(from_id)

    def link(self, item: dict[str, Any], *, attached: bool) -> None:
        company_ids = self.company_ids[item["contact"]["id"]]
        if attached:
            company_ids.add(item["company"]["id"])
        else:
            company_ids.discard(item["company"]["id"])

    def remove(self, contact_id: str) -> None:
        for objects in (self.contacts, self.company_ids, self.tag_ids):
            objects.pop(contact_id, None)
