"""The emulated notifications have the structure of real ones."""

import re
from typing import Any

import pytest

from emulator.example_notifications import TOPICS, example
from emulator.random_activity import populate
from emulator.workspace import EmulatedWorkspace
from intercom_api.wire.topics import HANDLED_TOPICS, SHAPES, Shape

NOW = 1_795_000_000.25
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00")


def _words(text: str) -> set[str]:
    return set(text.split())


CONTACT_KEYS = _words("""
    type id workspace_id external_id role email phone name avatar owner_id social_profiles has_hard_bounced
    marked_email_as_spam unsubscribed_from_emails created_at updated_at signed_up_at last_seen_at
    last_replied_at last_contacted_at last_email_opened_at last_email_clicked_at language_override browser
    browser_version browser_language os location android_app_name android_app_version android_device
    android_os_version android_sdk_version android_last_seen_at ios_app_name ios_app_version ios_device
    ios_os_version ios_sdk_version ios_last_seen_at custom_attributes tags notes companies
    opted_out_subscription_types opted_in_subscription_types utm_campaign utm_content utm_medium utm_source
    utm_term referrer sms_consent unsubscribed_from_sms enabled_push_messaging
""")
COMPANY_KEYS = _words("""
    type id name app_id plan company_id remote_created_at created_at updated_at last_request_at size website
    industry monthly_spend session_count user_count custom_attributes tag_ids
""")
PARTIAL_COMPANY_KEYS = COMPANY_KEYS - {"size", "website", "industry", "plan"} | {"plan_id"}
ENVELOPE_KEYS = _words("""
    type app_id data links id topic delivery_status delivery_attempts delivered_at first_sent_at created_at self
""")


def item_of(topic: str) -> dict[str, Any]:
    item: dict[str, Any] = example(topic, NOW)["data"]["item"]
    return item


def topics_of(*shapes: Shape) -> list[str]:
    return [topic for topic, shape in SHAPES.items() if shape in shapes]


def test_every_handled_topic_and_ping_has_an_example() -> None:
    """Every mirrored topic can be triggered."""
    assert set(TOPICS) == HANDLED_TOPICS | {"ping"}


@pytest.mark.parametrize("topic", TOPICS)
def test_the_envelope_is_complete(topic: str) -> None:
    """Every notification has the envelope of a first attempt at the given second."""
    envelope = example(topic, NOW)
    assert set(envelope) == ENVELOPE_KEYS
    assert (envelope["type"], envelope["topic"], envelope["app_id"]) == ("notification_event", topic, "demo0001")
    assert envelope["created_at"] == envelope["first_sent_at"] == int(NOW)
    assert (envelope["delivery_attempts"], envelope["delivered_at"], envelope["links"]) == (1, 0, {})
    assert envelope["data"]["type"] == "notification_event_data"


@pytest.mark.parametrize("topic", sorted(HANDLED_TOPICS))
def test_a_notification_has_a_unique_id(topic: str) -> None:
    """The id is "notif_" and a UUID, the same for the same time and another for another time."""
    envelope = example(topic, NOW)
    assert re.fullmatch(r"notif_[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", envelope["id"])
    assert envelope["delivery_status"] == "pending"
    assert envelope == example(topic, NOW)
    assert envelope["id"] != example(topic, NOW + 1)["id"]


def test_a_ping_has_no_id() -> None:
    """A ping has neither an id nor a delivery status."""
    envelope = example("ping", NOW)
    assert envelope["id"] is envelope["delivery_status"] is None
    assert envelope["data"]["item"] == {"type": "ping", "message": "something something interzen"}


@pytest.mark.parametrize("topic", topics_of(Shape.CONTACT, Shape.CONTACT_UNARCHIVED))
def test_a_contact_is_complete(topic: str) -> None:
    """Every key is present, unset ones as null, and the role matches the topic."""
    item = item_of(topic)
    assert set(item) == CONTACT_KEYS
    assert item["role"] == ("lead" if ".lead." in topic and "signed_up" not in topic else "user")


@pytest.mark.parametrize("topic", topics_of(Shape.CONTACT, Shape.COMPANY))
def test_times_are_iso_with_milliseconds(topic: str) -> None:
    """The times of items are text or null, and the time of the change is the given one."""
    item = item_of(topic)
    times = [value for key, value in item.items() if key.endswith("_at") and value is not None]
    assert len(times) >= 2
    assert all(ISO.fullmatch(value) for value in times)
    assert item["updated_at"] == "2026-11-18T11:06:40.250+00:00"


def test_embedded_links_have_id_type_and_url() -> None:
    """A contact lists its companies and tags by id, with the address of the whole list."""
    item = item_of("contact.user.updated")
    company_id, tag_id = item["companies"]["data"][0]["id"], item["tags"]["data"][0]["id"]
    assert item["companies"] == {
        "type": "list",
        "data": [{"id": company_id, "type": "company", "url": f"/companies/{company_id}"}],
        "url": f"/contacts/{item['id']}/companies",
        "total_count": 1,
        "has_more": False,
    }
    assert item["tags"]["data"] == [{"id": tag_id, "type": "tag", "url": f"/tags/{tag_id}"}]


def test_at_most_ten_links_are_embedded() -> None:
    """A contact with more companies contains ten of them, the total, and `has_more`."""
    workspace = EmulatedWorkspace()
    contact_id = populate(workspace, contacts=1, companies=14, links=0)[-1].object_id
    companies = workspace.update_contact(contact_id, {"name": "Crowded"})[0].item["companies"]
    assert (len(companies["data"]), companies["total_count"], companies["has_more"]) == (10, 14, True)


@pytest.mark.parametrize("topic", topics_of(Shape.COMPANY))
def test_a_company_is_complete(topic: str) -> None:
    """Every key is present, unset ones as null, the tags as a list of ids."""
    assert set(item_of(topic)) == COMPANY_KEYS


@pytest.mark.parametrize("topic", topics_of(Shape.COMPANY_CONTACT))
def test_a_link_contains_a_partial_company(topic: str) -> None:
    """The item of attached and detached has no type, a partial company and a complete contact."""
    item = item_of(topic)
    assert set(item) == {"company", "contact"}
    assert set(item["company"]) == PARTIAL_COMPANY_KEYS
    assert set(item["contact"]) == CONTACT_KEYS | {"formatted_phone"}


def test_a_detached_contact_still_lists_the_company() -> None:
    """The embedded list precedes the change, as observed in real notifications."""
    item = item_of("company.contact.detached")
    assert item["company"]["id"] in [entry["id"] for entry in item["contact"]["companies"]["data"]]


@pytest.mark.parametrize("topic", topics_of(Shape.CONTACT_DELETED, Shape.CONTACT_ARCHIVED))
def test_a_contact_stub_has_ids_only(topic: str) -> None:
    """A deleted or archived contact has its ids and one key for the change."""
    key = "deleted" if topic == "contact.deleted" else "archived"
    assert set(item_of(topic)) == {"id", "external_id", "type", key}
    assert item_of(topic)[key] is True


def test_a_company_stub_has_the_id_only() -> None:
    """A deleted company has not even its company_id."""
    assert set(item_of("company.deleted")) == {"id", "type", "deleted"}


@pytest.mark.parametrize("topic", topics_of(Shape.CONTACT_TAG))
def test_a_tag_contains_its_contact(topic: str) -> None:
    """The tag has a name, and the contact's list contains it if it was added."""
    item = item_of(topic)
    assert (item["type"], set(item["tag"]), set(item["contact"])) == (
        "contact_tag",
        {"type", "id", "name"},
        CONTACT_KEYS,
    )
    listed = [entry["id"] for entry in item["contact"]["tags"]["data"]]
    assert (item["tag"]["id"] in listed) is topic.endswith(".created")


@pytest.mark.parametrize("topic", topics_of(Shape.CONTACT_INSIDE))
def test_a_subscription_contains_its_contact(topic: str) -> None:
    """The four subscription topics contain the contact, the subscription types and an integer time."""
    item = item_of(topic)
    assert item["type"] == topic.removesuffix("d").replace(".", "_")
    assert set(item) == {"type", "contact", "subscription_types", "created_at"}
    assert set(item["contact"]) == CONTACT_KEYS
    assert item["created_at"] == int(NOW)
    assert set(item["subscription_types"]["data"][0]) == {
        "type",
        "id",
        "state",
        "consent_type",
        "default_translation",
        "translations",
        "content_types",
    }


def test_a_merge_names_the_merged_contact() -> None:
    """The survivor is complete, with the additional key merged_from."""
    item = item_of("contact.merged")
    assert set(item) == CONTACT_KEYS | {"merged_from"}
    assert item["merged_from"] == {"type": "contact", "id": item_of("contact.lead.created")["id"]}


def test_a_visitor_signs_up_in_the_old_format() -> None:
    """The user format of API 1.x: type user, user_id, nested lists, unix times."""
    item = item_of("visitor.signed_up")
    assert (item["type"], item["companies"]["type"], item["tags"]["type"]) == ("user", "company.list", "tag.list")
    assert isinstance(item["updated_at"], int)
    assert {"user_id", "location_data", "last_request_at", "remote_created_at"} <= set(item)


def test_examples_are_about_the_same_objects() -> None:
    """A created object can be updated, tagged and deleted."""
    assert item_of("contact.user.created")["id"] == item_of("contact.user.updated")["id"]
    assert item_of("contact.lead.created")["id"] == item_of("contact.deleted")["id"]
    assert item_of("company.created")["id"] == item_of("company.deleted")["id"]
