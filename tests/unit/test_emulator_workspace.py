"""What happens in the pretend workspace, and what it tells of it."""

import pytest

from emulator.clock import ManualClock
from emulator.emulated_notification import EmulatedNotification
from emulator.errors import RefusedError, UnknownObjectError
from emulator.workspace import EmulatedWorkspace
from emulator.workspace_state import NotificationVariants

# 2026-11-18T11:06:40.250 UTC, in milliseconds.
NOW = 1_795_000_000_250


class World:
    """A workspace with a user, a lead, a company and a tag, one second old."""

    def __init__(self, variants: NotificationVariants | None = None) -> None:
        self.clock = ManualClock(NOW - 1000)
        self.workspace = EmulatedWorkspace(clock=self.clock, variants=variants)
        values = {"email": "mira@orchard.example", "external_id": "cust_1", "custom_attributes": {"seats": 1}}
        self.user = self.workspace.create_contact("user", values)[0].object_id
        self.lead = self.workspace.create_contact("lead", {"phone": "+12025550142"})[0].object_id
        self.company = self.workspace.create_company({"company_id": "org_1", "name": "Orchard"})[0].object_id
        self.tag = self.workspace.create_tag("vip")
        self.clock.now = NOW


@pytest.fixture
def world() -> World:
    return World()


def topics(told: list[EmulatedNotification]) -> list[str]:
    return [notification.topic for notification in told]


def test_an_update_says_what_is_new(world: World) -> None:
    """The contact comes with the new value and a new updated_at."""
    [told] = world.workspace.update_contact(world.user, {"name": "Mira"})
    assert told.topic == "contact.user.updated"
    assert (told.item["name"], told.item["updated_at"]) == ("Mira", "2026-11-18T11:06:40.250+00:00")
    assert told.created_at == NOW // 1000


def test_an_update_that_changes_nothing_is_silent(world: World) -> None:
    """No change, no notification, and updated_at stays."""
    assert world.workspace.update_contact(world.user, {"email": "mira@orchard.example"}) == []
    assert world.workspace.contacts[world.user].values["updated_at"] == NOW - 1000


def test_custom_attributes_are_set_one_by_one(world: World) -> None:
    """Attributes that are not named keep their values; null clears."""
    world.workspace.update_contact(world.user, {"custom_attributes": {"tier": "gold"}})
    [told] = world.workspace.update_contact(world.user, {"custom_attributes": {"seats": None}})
    assert told.item["custom_attributes"] == {"seats": None, "tier": "gold"}


def test_an_unknown_field_is_refused(world: World) -> None:
    """A field that contacts do not have, or that only Intercom sets, cannot be set."""
    for name in ("shoe_size", "updated_at", "role"):
        with pytest.raises(RefusedError):
            world.workspace.update_contact(world.user, {name: 1})


def test_a_new_email_has_a_topic_of_its_own(world: World) -> None:
    """A changed email and a lead's first one are told twice: by their own topic and as an update."""
    changed = world.workspace.update_contact(world.user, {"email": "other@orchard.example"})
    first = world.workspace.update_contact(world.lead, {"email": "lead@orchard.example"})
    assert topics(changed) == ["contact.email.updated", "contact.user.updated"]
    assert topics(first) == ["contact.lead.added_email", "contact.lead.updated"]


def test_a_lead_signs_up_in_place(world: World) -> None:
    """The id stays, the role flips."""
    [told] = world.workspace.sign_up_lead(world.lead, "cust_2")
    assert (told.topic, told.item["id"], told.item["role"]) == ("contact.lead.signed_up", world.lead, "user")
    with pytest.raises(RefusedError):
        world.workspace.sign_up_lead(world.lead, "cust_3")


def test_tags_follow_the_role(world: World) -> None:
    """The topic of a tag names the contact's role; tagging moves updated_at and happens once."""
    [on_user], [on_lead] = (world.workspace.tag(id_, world.tag) for id_ in (world.user, world.lead))
    assert (on_user.topic, on_lead.topic) == ("contact.user.tag.created", "contact.lead.tag.created")
    assert on_user.item["contact"]["updated_at"] == "2026-11-18T11:06:40.250+00:00"
    assert world.workspace.tag(world.user, world.tag) == []
    assert topics(world.workspace.untag(world.user, world.tag)) == ["contact.user.tag.deleted"]
    assert world.workspace.untag(world.user, world.tag) == []


def test_attaching_is_known_at_both_ends(world: World) -> None:
    """The company counts its contacts; its own updated_at stays."""
    [told] = world.workspace.attach(world.user, world.company)
    assert (told.topic, told.item["company"]["user_count"]) == ("company.contact.attached", 1)
    assert told.item["company"]["updated_at"] == "2026-11-18T11:06:39.250+00:00"
    assert world.workspace.attach(world.user, world.company) == []
    assert topics(world.workspace.detach(world.user, world.company)) == ["company.contact.detached"]
    assert world.workspace.truth()["companies"][world.company]["user_count"] == 0


def test_an_archived_contact_cannot_change(world: World) -> None:
    """It is found, marked, with its links; only unarchiving and deleting are possible."""
    world.workspace.attach(world.user, world.company)
    assert topics(world.workspace.archive_contact(world.user)) == ["contact.archived"]
    with pytest.raises(RefusedError):
        world.workspace.update_contact(world.user, {"name": "Mira"})
    assert world.workspace.fetch("contact", world.user)["archived"] is True
    assert world.workspace.truth()["contacts"][world.user]["_company_ids"] == [world.company]
    assert topics(world.workspace.unarchive_contact(world.user)) == ["contact.unarchived"]
    assert world.workspace.unarchive_contact(world.user) == []


def test_a_deleted_contact_is_gone(world: World) -> None:
    """Its id is remembered as deleted, and the company has lost it."""
    world.workspace.attach(world.user, world.company)
    world.workspace.delete_contact(world.user)
    truth = world.workspace.truth()
    assert world.user not in truth["contacts"]
    assert truth["deleted"]["contact"] == [world.user]
    assert truth["companies"][world.company]["_contact_ids"] == []
    assert world.workspace.fetch("contact", world.user) == {"status": "gone", "as_of_ms": NOW}
    with pytest.raises(UnknownObjectError):
        world.workspace.delete_contact(world.user)


def test_a_merge_joins_what_both_had(world: World) -> None:
    """The user keeps its values, fills gaps from the lead, and takes over tags and companies."""
    world.workspace.attach(world.lead, world.company)
    world.workspace.tag(world.lead, world.tag)
    [told] = world.workspace.merge_contacts(world.lead, world.user)
    assert (told.item["email"], told.item["phone"]) == ("mira@orchard.example", "+12025550142")
    survivor = world.workspace.truth()["contacts"][world.user]
    assert (survivor["_company_ids"], survivor["_tag_ids"]) == ([world.company], [world.tag])
    assert world.workspace.truth()["companies"][world.company]["_contact_ids"] == [world.user]


def test_a_merged_contact_leads_to_the_end_of_the_chain(world: World) -> None:
    """Fetching the first of a chain of merges names the last."""
    other = world.workspace.create_contact("user", {})[0].object_id
    world.workspace.merge_contacts(world.lead, world.user)
    world.workspace.merge_contacts(world.user, other, any_role=True)
    assert world.workspace.fetch("contact", world.lead) == {"status": "merged", "as_of_ms": NOW, "into": other}
    assert world.workspace.truth()["redirects"] == {world.lead: world.user, world.user: other}


def test_only_a_lead_merges_into_a_user(world: World) -> None:
    """The other way round, and a contact into itself, are refused and change nothing."""
    for pair in ((world.user, world.lead), (world.user, world.user)):
        with pytest.raises(RefusedError):
            world.workspace.merge_contacts(*pair)
    assert set(world.workspace.contacts) == {world.user, world.lead}


def test_a_merge_may_keep_silent_about_its_source() -> None:
    """With share 0 the notification lacks merged_from, as notifications of 2024 and 2026 did."""
    world = World(NotificationVariants(merged_from_share=0, merge_sends_deleted=True))
    merged, deleted = world.workspace.merge_contacts(world.lead, world.user)
    assert "merged_from" not in merged.item
    assert (deleted.topic, deleted.item["id"]) == ("contact.deleted", world.lead)


def test_a_deleted_company_lets_its_contacts_go(world: World) -> None:
    """Active contacts are told to be detached, archived ones lose it in silence."""
    for contact_id in (world.user, world.lead):
        world.workspace.attach(contact_id, world.company)
    world.workspace.archive_contact(world.lead)
    told = world.workspace.delete_company(world.company)
    assert topics(told) == ["company.contact.detached", "company.deleted"]
    truth = world.workspace.truth()
    assert truth["deleted"]["company"] == [world.company]
    assert [truth["contacts"][id_]["_company_ids"] for id_ in (world.user, world.lead)] == [[], []]


def test_consent_is_told_when_it_changes(world: World) -> None:
    """Emails altogether, one type of message, and text messages each have their topics."""
    workspace, user = world.workspace, world.user
    told = [
        *workspace.set_email_consent(user, "137", subscribed=True),
        *workspace.set_email_consent(user, "137", subscribed=False),
        *workspace.set_subscription(user, "138", subscribed=False),
        *workspace.set_subscription(user, "138", subscribed=True),
        *workspace.unsubscribe_from_sms(user),
        *workspace.unsubscribe_from_sms(user),
    ]
    assert topics(told) == [
        "contact.unsubscribed",
        "granular.unsubscribe",
        "granular.subscribe",
        "contact.unsubscribed_from_sms",
    ]
    assert told[0].item["contact"]["unsubscribed_from_emails"] is True


def test_a_company_tag_is_silent(world: World) -> None:
    """No topic tells of it; the next change of the company shows it."""
    assert world.workspace.tag_company(world.company, world.tag) == []
    [told] = world.workspace.update_company(world.company, {"size": 3})
    assert told.item["tag_ids"] == [world.tag]


def test_rest_leaves_out_what_a_company_has_not_set(world: World) -> None:
    """REST forms have unix seconds, owner ids as text, and no key for an unset field of a company."""
    world.workspace.update_contact(world.user, {"owner_id": 7_450_231})
    contact = world.workspace.fetch("contact", world.user)["object"]
    company = world.workspace.fetch("company", world.company)["object"]
    assert (contact["owner_id"], contact["updated_at"]) == ("7450231", NOW // 1000)
    assert contact["email_domain"] == "orchard.example"
    assert {"size", "plan", "website", "last_request_at", "tag_ids"}.isdisjoint(company)
    assert (company["updated_at"], company["tags"]) == (NOW // 1000 - 1, {"type": "tag.list", "tags": []})


def test_a_fetched_contact_has_complete_lists(world: World) -> None:
    """A GET by id in the pretend workspace hides no link."""
    for number in range(12):
        company_id = world.workspace.create_company({"company_id": f"org_{number}"})[0].object_id
        world.workspace.attach(world.user, company_id)
    companies = world.workspace.fetch("contact", world.user)["object"]["companies"]
    assert (len(companies["data"]), companies["total_count"], companies["has_more"]) == (12, 12, False)


def test_the_time_never_goes_back(world: World) -> None:
    """A clock that is set back leaves updated_at where it was."""
    world.workspace.update_contact(world.user, {"name": "Mira"})
    world.clock.advance(-60_000)
    [told] = world.workspace.update_contact(world.user, {"name": "Mira Lind"})
    assert told.item["updated_at"] == "2026-11-18T11:06:40.250+00:00"


def test_a_retry_is_the_same_notification_again(world: World) -> None:
    """The second attempt differs in its attempt number and status only."""
    [told] = world.workspace.update_contact(world.user, {"name": "Mira"})
    again = told.as_retry()
    assert again.id == told.id
    assert again.envelope == told.envelope | {"delivery_attempts": 2, "delivery_status": "retry"}


def test_a_tag_is_fetched_with_its_name(world: World) -> None:
    """Contacts list tags by id only, so their names can be asked for."""
    assert world.workspace.fetch("tag", world.tag)["object"] == {"type": "tag", "id": world.tag, "name": "vip"}
    assert world.workspace.fetch("tag", "1")["status"] == "gone"
