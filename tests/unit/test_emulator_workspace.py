"""The operations of the emulated workspace, and their notifications."""

import pytest

from emulator.clock import ManualClock
from emulator.emulated_notification import EmulatedNotification
from emulator.errors import RefusedError, UnknownObjectError
from emulator.workspace import EmulatedWorkspace
from emulator.workspace_state import NotificationVariants

# 2026-11-18T11:06:40.250 UTC, in milliseconds.
NOW = 1_795_000_000_250


class WorkspaceFixture:
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
def fixture() -> WorkspaceFixture:
    return WorkspaceFixture()


def topics(notifications: list[EmulatedNotification]) -> list[str]:
    return [notification.topic for notification in notifications]


def test_an_update_contains_the_new_value(fixture: WorkspaceFixture) -> None:
    """The contact has the new value and a new updated_at."""
    [notification] = fixture.workspace.update_contact(fixture.user, {"name": "Mira"})
    assert notification.topic == "contact.user.updated"
    assert (notification.item["name"], notification.item["updated_at"]) == ("Mira", "2026-11-18T11:06:40.250+00:00")
    assert notification.created_at == NOW // 1000


def test_an_update_without_a_change_has_no_notification(fixture: WorkspaceFixture) -> None:
    """updated_at stays the same."""
    assert fixture.workspace.update_contact(fixture.user, {"email": "mira@orchard.example"}) == []
    assert fixture.workspace.contacts[fixture.user].values["updated_at"] == NOW - 1000


def test_custom_attributes_are_set_one_by_one(fixture: WorkspaceFixture) -> None:
    """Attributes that are not named keep their values; null clears one."""
    fixture.workspace.update_contact(fixture.user, {"custom_attributes": {"tier": "gold"}})
    [notification] = fixture.workspace.update_contact(fixture.user, {"custom_attributes": {"seats": None}})
    assert notification.item["custom_attributes"] == {"seats": None, "tier": "gold"}


def test_an_unknown_field_is_refused(fixture: WorkspaceFixture) -> None:
    """A field that contacts do not have, or that only Intercom sets, cannot be set."""
    for name in ("shoe_size", "updated_at", "role"):
        with pytest.raises(RefusedError):
            fixture.workspace.update_contact(fixture.user, {name: 1})


def test_a_new_email_has_a_topic_of_its_own(fixture: WorkspaceFixture) -> None:
    """A changed email and a lead's first one have two notifications: of their own topic and of the update."""
    changed = fixture.workspace.update_contact(fixture.user, {"email": "other@orchard.example"})
    first = fixture.workspace.update_contact(fixture.lead, {"email": "lead@orchard.example"})
    assert topics(changed) == ["contact.email.updated", "contact.user.updated"]
    assert topics(first) == ["contact.lead.added_email", "contact.lead.updated"]


def test_a_lead_signs_up_in_place(fixture: WorkspaceFixture) -> None:
    """The id stays and the role changes."""
    [notification] = fixture.workspace.sign_up_lead(fixture.lead, "cust_2")
    assert (notification.topic, notification.item["id"], notification.item["role"]) == (
        "contact.lead.signed_up",
        fixture.lead,
        "user",
    )
    with pytest.raises(RefusedError):
        fixture.workspace.sign_up_lead(fixture.lead, "cust_3")


def test_tags_follow_the_role(fixture: WorkspaceFixture) -> None:
    """The topic contains the contact's role; tagging sets updated_at, and tagging again does nothing."""
    [on_user], [on_lead] = (fixture.workspace.tag(id_, fixture.tag) for id_ in (fixture.user, fixture.lead))
    assert (on_user.topic, on_lead.topic) == ("contact.user.tag.created", "contact.lead.tag.created")
    assert on_user.item["contact"]["updated_at"] == "2026-11-18T11:06:40.250+00:00"
    assert fixture.workspace.tag(fixture.user, fixture.tag) == []
    assert topics(fixture.workspace.untag(fixture.user, fixture.tag)) == ["contact.user.tag.deleted"]
    assert fixture.workspace.untag(fixture.user, fixture.tag) == []


def test_attaching_is_stored_at_both_ends(fixture: WorkspaceFixture) -> None:
    """The company counts its contacts; its updated_at stays."""
    [notification] = fixture.workspace.attach(fixture.user, fixture.company)
    assert (notification.topic, notification.item["company"]["user_count"]) == ("company.contact.attached", 1)
    assert notification.item["company"]["updated_at"] == "2026-11-18T11:06:39.250+00:00"
    assert fixture.workspace.attach(fixture.user, fixture.company) == []
    assert topics(fixture.workspace.detach(fixture.user, fixture.company)) == ["company.contact.detached"]
    assert fixture.workspace.truth()["companies"][fixture.company]["user_count"] == 0


def test_an_archived_contact_cannot_change(fixture: WorkspaceFixture) -> None:
    """It is found as archived with its links; only unarchiving and deleting are possible."""
    fixture.workspace.attach(fixture.user, fixture.company)
    assert topics(fixture.workspace.archive_contact(fixture.user)) == ["contact.archived"]
    with pytest.raises(RefusedError):
        fixture.workspace.update_contact(fixture.user, {"name": "Mira"})
    assert fixture.workspace.fetch("contact", fixture.user)["archived"] is True
    assert fixture.workspace.truth()["contacts"][fixture.user]["_company_ids"] == [fixture.company]
    assert topics(fixture.workspace.unarchive_contact(fixture.user)) == ["contact.unarchived"]
    assert fixture.workspace.unarchive_contact(fixture.user) == []


def test_a_deleted_contact_is_gone(fixture: WorkspaceFixture) -> None:
    """Its id is stored as deleted, and the link of the company is removed."""
    fixture.workspace.attach(fixture.user, fixture.company)
    fixture.workspace.delete_contact(fixture.user)
    truth = fixture.workspace.truth()
    assert fixture.user not in truth["contacts"]
    assert truth["deleted"]["contact"] == [fixture.user]
    assert truth["companies"][fixture.company]["_contact_ids"] == []
    assert fixture.workspace.fetch("contact", fixture.user) == {"status": "gone", "as_of_ms": NOW}
    with pytest.raises(UnknownObjectError):
        fixture.workspace.delete_contact(fixture.user)


def test_a_merge_combines_both_contacts(fixture: WorkspaceFixture) -> None:
    """The user keeps its values, takes missing ones from the lead, and takes over tags and companies."""
    fixture.workspace.attach(fixture.lead, fixture.company)
    fixture.workspace.tag(fixture.lead, fixture.tag)
    [notification] = fixture.workspace.merge_contacts(fixture.lead, fixture.user)
    assert (notification.item["email"], notification.item["phone"]) == ("mira@orchard.example", "+12025550142")
    survivor = fixture.workspace.truth()["contacts"][fixture.user]
    assert (survivor["_company_ids"], survivor["_tag_ids"]) == ([fixture.company], [fixture.tag])
    assert fixture.workspace.truth()["companies"][fixture.company]["_contact_ids"] == [fixture.user]


def test_a_merged_contact_redirects_to_the_end_of_the_chain(fixture: WorkspaceFixture) -> None:
    """Fetching the first contact of a chain of merges returns the last one's id."""
    other = fixture.workspace.create_contact("user", {})[0].object_id
    fixture.workspace.merge_contacts(fixture.lead, fixture.user)
    fixture.workspace.merge_contacts(fixture.user, other, any_role=True)
    assert fixture.workspace.fetch("contact", fixture.lead) == {"status": "merged", "as_of_ms": NOW, "into": other}
    assert fixture.workspace.truth()["redirects"] == {fixture.lead: fixture.user, fixture.user: other}


def test_only_a_lead_merges_into_a_user(fixture: WorkspaceFixture) -> None:
    """The reverse, and a contact into itself, are refused and change nothing."""
    for pair in ((fixture.user, fixture.lead), (fixture.user, fixture.user)):
        with pytest.raises(RefusedError):
            fixture.workspace.merge_contacts(*pair)
    assert set(fixture.workspace.contacts) == {fixture.user, fixture.lead}


def test_a_merge_notification_can_lack_its_source() -> None:
    """With share 0 the notification lacks merged_from, as notifications of 2024 and 2026 do."""
    fixture = WorkspaceFixture(NotificationVariants(merged_from_share=0, merge_sends_deleted=True))
    merged, deleted = fixture.workspace.merge_contacts(fixture.lead, fixture.user)
    assert "merged_from" not in merged.item
    assert (deleted.topic, deleted.item["id"]) == ("contact.deleted", fixture.lead)


def test_deleting_a_company_detaches_its_contacts(fixture: WorkspaceFixture) -> None:
    """There is a notification for each active contact, none for archived ones."""
    for contact_id in (fixture.user, fixture.lead):
        fixture.workspace.attach(contact_id, fixture.company)
    fixture.workspace.archive_contact(fixture.lead)
    notifications = fixture.workspace.delete_company(fixture.company)
    assert topics(notifications) == ["company.contact.detached", "company.deleted"]
    truth = fixture.workspace.truth()
    assert truth["deleted"]["company"] == [fixture.company]
    assert [truth["contacts"][id_]["_company_ids"] for id_ in (fixture.user, fixture.lead)] == [[], []]


def test_changed_consent_has_notifications(fixture: WorkspaceFixture) -> None:
    """All emails, one subscription type, and text messages each have their topics."""
    workspace, user = fixture.workspace, fixture.user
    notifications = [
        *workspace.set_email_consent(user, "137", subscribed=True),
        *workspace.set_email_consent(user, "137", subscribed=False),
        *workspace.set_subscription(user, "138", subscribed=False),
        *workspace.set_subscription(user, "138", subscribed=True),
        *workspace.unsubscribe_from_sms(user),
        *workspace.unsubscribe_from_sms(user),
    ]
    assert topics(notifications) == [
        "contact.unsubscribed",
        "granular.unsubscribe",
        "granular.subscribe",
        "contact.unsubscribed_from_sms",
    ]
    assert notifications[0].item["contact"]["unsubscribed_from_emails"] is True


def test_a_company_tag_has_no_notification(fixture: WorkspaceFixture) -> None:
    """The next change of the company shows the tag."""
    assert fixture.workspace.tag_company(fixture.company, fixture.tag) == []
    [notification] = fixture.workspace.update_company(fixture.company, {"size": 3})
    assert notification.item["tag_ids"] == [fixture.tag]


def test_rest_omits_unset_fields_of_a_company(fixture: WorkspaceFixture) -> None:
    """REST objects have unix seconds, owner ids as text, and no key for an unset field of a company."""
    fixture.workspace.update_contact(fixture.user, {"owner_id": 7_450_231})
    contact = fixture.workspace.fetch("contact", fixture.user)["object"]
    company = fixture.workspace.fetch("company", fixture.company)["object"]
    assert (contact["owner_id"], contact["updated_at"]) == ("7450231", NOW // 1000)
    assert contact["email_domain"] == "orchard.example"
    assert {"size", "plan", "website", "last_request_at", "tag_ids"}.isdisjoint(company)
    assert (company["updated_at"], company["tags"]) == (NOW // 1000 - 1, {"type": "tag.list", "tags": []})


def test_a_fetched_contact_has_complete_lists(fixture: WorkspaceFixture) -> None:
    """The result of a GET by id contains every link."""
    for number in range(12):
        company_id = fixture.workspace.create_company({"company_id": f"org_{number}"})[0].object_id
        fixture.workspace.attach(fixture.user, company_id)
    companies = fixture.workspace.fetch("contact", fixture.user)["object"]["companies"]
    assert (len(companies["data"]), companies["total_count"], companies["has_more"]) == (12, 12, False)


def test_the_time_never_goes_back(fixture: WorkspaceFixture) -> None:
    """A clock that is set back does not change updated_at."""
    fixture.workspace.update_contact(fixture.user, {"name": "Mira"})
    fixture.clock.advance(-60_000)
    [notification] = fixture.workspace.update_contact(fixture.user, {"name": "Mira Lind"})
    assert notification.item["updated_at"] == "2026-11-18T11:06:40.250+00:00"


def test_a_retry_is_the_same_notification_again(fixture: WorkspaceFixture) -> None:
    """The second attempt only differs in its attempt number and status."""
    [notification] = fixture.workspace.update_contact(fixture.user, {"name": "Mira"})
    retry = notification.as_retry()
    assert retry.id == notification.id
    assert retry.envelope == notification.envelope | {"delivery_attempts": 2, "delivery_status": "retry"}


def test_a_tag_is_fetched_with_its_name(fixture: WorkspaceFixture) -> None:
    """Contacts only list the ids of tags, so their names can be fetched."""
    assert fixture.workspace.fetch("tag", fixture.tag)["object"] == {"type": "tag", "id": fixture.tag, "name": "vip"}
    assert fixture.workspace.fetch("tag", "1")["status"] == "gone"
