"""Makes signed `contact.user.updated` notifications as Intercom sends them."""

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from intercom_api.wire.signatures import sign

# The client secret of both designs.
CLIENT_SECRET = "bench-client-secret"  # noqa: S105 -- it protects nothing
CLIENT_ID = "bench"

# Scalars that a user without the mobile applications has not set; Intercom sends them as null.
_UNSET = (  # noqa: SIM905 -- a list of quoted names takes three times the lines
    "last_replied_at last_contacted_at last_email_opened_at last_email_clicked_at language_override "
    "android_app_name android_app_version android_device android_os_version android_sdk_version android_last_seen_at "
    "ios_app_name ios_app_version ios_device ios_os_version ios_sdk_version ios_last_seen_at "
    "utm_campaign utm_content utm_medium utm_source utm_term referrer enabled_push_messaging avatar"
).split()


@dataclass(frozen=True)
class Plan:
    """
    The notifications to send: the same number for each contact, in random order.

    Attributes:
        workspace: the `app_id` of all of them.
        count: notifications, a multiple of `contacts`.
        contacts: different contacts.
        population: the contacts are drawn from the numbers 0 to population - 1.
        first_second: unix seconds of the first change; each change is a second later than the previous one, because
            two different contents within one second would make the contact dirty.
        seed: for the order, the contact numbers and the notification ids.
    """

    workspace: str
    count: int
    contacts: int
    population: int
    first_second: int
    seed: int


def contact_id(number: int) -> str:
    """Return a contact's id, 24 hex digits; `bench.prefill` makes the same ones in SQL."""
    return f"6650a1b2{number:016x}"


def company_id(number: int) -> str:
    """Return the id of a contact's company; ten contacts share one."""
    return f"6650a2f0{number // 10:016x}"


def tag_id(number: int) -> str:
    """Return the id of a contact's tag; a workspace has twenty."""
    return str(11870000 + number % 20)


def bodies(plan: Plan) -> Iterator[bytes]:
    """Yield the request bodies of a plan, about 2.5 KB of JSON each."""
    randomness = random.Random(plan.seed)  # noqa: S311 -- load, not secrets
    numbers = randomness.sample(range(plan.population), plan.contacts) * (plan.count // plan.contacts)
    randomness.shuffle(numbers)
    for step, number in enumerate(numbers):
        notification_id = str(uuid.UUID(int=randomness.getrandbits(128)))
        yield body(plan.workspace, number, plan.first_second + step, notification_id)


def body(workspace: str, number: int, second: int, notification_id: str) -> bytes:
    """Return one notification: contact `number` was active, and changed, in this second."""
    return _notification(
        workspace, "contact.user.updated", _contact(workspace, number, second), second, notification_id
    )


def company_body(workspace: str, number: int, second: int, notification_id: str) -> bytes:
    """Return one notification: the company of contact `number` changed in this second."""
    company = _company(workspace, number, second)
    return _notification(workspace, "company.updated", company, second, notification_id)


def _notification(workspace: str, topic: str, item: dict[str, object], second: int, notification_id: str) -> bytes:
    envelope = {
        "type": "notification_event",
        "app_id": workspace,
        "data": {"type": "notification_event_data", "item": item},
        "links": {},
        "id": f"notif_{notification_id}",
        "topic": topic,
        "delivery_status": "pending",
        "delivery_attempts": 1,
        "delivered_at": 0,
        "first_sent_at": second,
        "created_at": second,
        "self": None,
    }
    return msgspec.json.encode(envelope)


def request(content: bytes, path: str, host: str) -> bytes:
    """Return the whole HTTP/1.1 request, signed, with the headers that Intercom sends."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: intercom-parrot-service-client/1.0\r\n"
        f"Accept: application/json\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        f"X-Hub-Signature: {sign(content, CLIENT_SECRET)}\r\n\r\n"
    )
    return head.encode() + content


def _contact(workspace: str, number: int, second: int) -> dict[str, object]:
    identity = contact_id(number)
    return {
        "type": "contact",
        "id": identity,
        "workspace_id": workspace,
        "external_id": f"cust_{number}",
        "role": "user",
        "email": f"contact{number}@orchard.example",
        "phone": f"+1555{number}",
        "name": f"Mira Okafor {number}",
        "owner_id": 7450231,
        "has_hard_bounced": False,
        "marked_email_as_spam": False,
        "unsubscribed_from_emails": False,
        "created_at": "2026-01-10T04:11:34.013+00:00",
        "updated_at": _iso(second, 551),
        "signed_up_at": "2026-01-10T04:11:34.000+00:00",
        "last_seen_at": _iso(second, 0),
        "browser": "chrome",
        "browser_version": "143.0.0.0",
        "browser_language": "en",
        "os": "OS X 10.15.7",
        "location": _LOCATION,
        "custom_attributes": {"plan_tier": "gold", "seats": second % 100},
        "sms_consent": False,
        "unsubscribed_from_sms": False,
        "social_profiles": {"type": "list", "data": []},
        **dict.fromkeys(_UNSET),
        **_lists(identity, tag_id(number), company_id(number)),
    }


def _company(workspace: str, number: int, second: int) -> dict[str, object]:
    return {
        "type": "company",
        "id": company_id(number),
        "company_id": f"acct_{number // 10}",
        "app_id": workspace,
        "name": f"Orchard {number // 10}",
        "plan": None,
        "remote_created_at": None,
        "created_at": "2026-01-10T04:11:34.013+00:00",
        "updated_at": _iso(second, 551),
        "last_request_at": None,
        "size": 40,
        "website": None,
        "industry": "Retail",
        "monthly_spend": 0,
        "session_count": 0,
        "user_count": 10,
        "tag_ids": [],
        "custom_attributes": {},
    }


def _lists(identity: str, tag: str, company: str) -> dict[str, object]:
    """Return a contact's embedded lists: one tag, one company, nothing else."""
    contents = {
        "tags": ("tags", [{"id": tag, "type": "tag", "url": f"/tags/{tag}"}]),
        "notes": ("notes", []),
        "companies": ("companies", [{"id": company, "type": "company", "url": f"/companies/{company}"}]),
        "opted_out_subscription_types": ("subscriptions", []),
        "opted_in_subscription_types": ("subscriptions", []),
    }
    return {name: _list(f"/contacts/{identity}/{path}", data) for name, (path, data) in contents.items()}


def _list(url: str, data: list[dict[str, str]]) -> dict[str, object]:
    return {"type": "list", "data": data, "url": url, "total_count": len(data), "has_more": False}


def _iso(second: int, millisecond: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.{millisecond:03d}+00:00"


_LOCATION = {
    "type": "location",
    "country": "Ireland",
    "region": "Dublin",
    "city": "Dublin",
    "country_code": "IRL",
    "continent_code": "EU",
}
