"""The random operations: each draws objects, does one thing to them, and returns the notifications (or none)."""

import random
from collections.abc import Callable

from emulator import fake_data
from emulator.emulated_notification import EmulatedNotification
from emulator.random_choice import IdPool, chance
from emulator.subscription_types import SUBSCRIPTION_TYPE_IDS
from emulator.workspace import EmulatedWorkspace

RandomOperation = Callable[[EmulatedWorkspace, random.Random], list[EmulatedNotification]]


def create_user(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Create a user."""
    now = workspace.now()
    return workspace.create_contact("user", fake_data.random_person(rng) | {"signed_up_at": now, "last_seen_at": now})


def create_lead(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Create a lead; half of them have an email."""
    values = fake_data.random_visitor(rng) | {"last_seen_at": workspace.now()}
    if chance(rng, 0.5):
        values["email"] = fake_data.random_person(rng)["email"]
    return workspace.create_contact("lead", values)


def sign_up_visitor(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Turn a visitor into a user."""
    return workspace.sign_up_visitor(fake_data.random_person(rng))


def sign_up_lead(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Turn a lead into a user."""
    lead = workspace.leads.draw(rng)
    return workspace.sign_up_lead(lead, fake_data.random_person(rng)["external_id"]) if lead else []


def change_contact(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Change some fields of a contact; one time in ten the phone is cleared."""
    contact_id = _active_contact(workspace, rng)
    if contact_id is None:
        return []
    person = fake_data.random_person(rng)
    fields = rng.sample(("name", "phone", "owner_id", "location", "os", "browser_version"), rng.randrange(1, 4))
    changes = {name: person[name] for name in fields}
    if chance(rng, 0.1):
        changes["phone"] = None
    return workspace.update_contact(contact_id, changes | {"last_seen_at": workspace.now()})


def change_attributes(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Set one or two custom attributes of a contact; one in ten is cleared."""
    contact_id = _active_contact(workspace, rng)
    if contact_id is None:
        return []
    values = fake_data.random_attributes(rng)
    names = rng.sample(sorted(values), rng.randrange(1, 3))
    attributes = {name: values[name] if chance(rng, 0.9) else None for name in names}
    return workspace.update_contact(contact_id, {"custom_attributes": attributes})


def change_email(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Change a contact's email, or set a lead's first one."""
    contact_id = _active_contact(workspace, rng)
    if contact_id is None:
        return []
    return workspace.update_contact(contact_id, {"email": fake_data.random_person(rng)["email"]})


def tag(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Tag a contact."""
    contact_id, tag_id = _active_contact(workspace, rng), workspace.tag_pool.draw(rng)
    return workspace.tag(contact_id, tag_id) if contact_id and tag_id else []


def untag(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Remove a tag from a contact."""
    contact_id = _active_contact(workspace, rng)
    tag_ids = list(workspace.contacts[contact_id].tag_ids) if contact_id else []
    return workspace.untag(contact_id, rng.choice(tag_ids)) if contact_id and tag_ids else []


def attach(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Attach a contact to a company."""
    contact_id, company_id = _active_contact(workspace, rng), workspace.company_pool.draw(rng)
    return workspace.attach(contact_id, company_id) if contact_id and company_id else []


def detach(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Detach a contact from one of its companies."""
    contact_id = _active_contact(workspace, rng)
    company_ids = list(workspace.contacts[contact_id].company_ids) if contact_id else []
    return workspace.detach(contact_id, rng.choice(company_ids)) if contact_id and company_ids else []


def archive(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Archive a contact."""
    contact_id = _active_contact(workspace, rng)
    return workspace.archive_contact(contact_id) if contact_id else []


def unarchive(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Unarchive a contact."""
    contact_id = workspace.archived.draw(rng)
    return workspace.unarchive_contact(contact_id) if contact_id else []


def merge(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Merge a lead into a user; one time in five two users, which makes chains of merges possible."""
    any_role = chance(rng, 0.2)
    from_id = (workspace.users if any_role else workspace.leads).draw(rng)
    into_id = workspace.users.draw(rng)
    if not from_id or not into_id or from_id == into_id:
        return []
    return workspace.merge_contacts(from_id, into_id, any_role=any_role)


def delete_contact(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Delete a contact; three times in ten an archived one."""
    contact_id = workspace.archived.draw(rng) if chance(rng, 0.3) else _active_contact(workspace, rng)
    return workspace.delete_contact(contact_id) if contact_id else []


def change_email_consent(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Subscribe an unsubscribed contact to emails, or the reverse."""
    contact_id = _active_contact(workspace, rng)
    if contact_id is None:
        return []
    subscribed = workspace.contacts[contact_id].values["unsubscribed_from_emails"]
    return workspace.set_email_consent(contact_id, SUBSCRIPTION_TYPE_IDS[0], subscribed=subscribed)


def change_subscription(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Subscribe a contact to one subscription type, or unsubscribe it."""
    contact_id = _active_contact(workspace, rng)
    subscription_id, subscribed = rng.choice(SUBSCRIPTION_TYPE_IDS), chance(rng, 0.5)
    return workspace.set_subscription(contact_id, subscription_id, subscribed=subscribed) if contact_id else []


def unsubscribe_from_sms(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Withdraw a contact's consent to text messages."""
    contact_id = _active_contact(workspace, rng)
    return workspace.unsubscribe_from_sms(contact_id) if contact_id else []


def create_company(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Create a company."""
    return workspace.create_company(fake_data.random_company(rng))


def change_company(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Change two fields of a company; some of them become null."""
    company_id = workspace.company_pool.draw(rng)
    if company_id is None:
        return []
    values = fake_data.random_company(rng)
    names = rng.sample(("name", "plan", "size", "website", "industry", "monthly_spend", "custom_attributes"), 2)
    return workspace.update_company(company_id, {name: values[name] for name in names})


def delete_company(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Delete a company."""
    company_id = workspace.company_pool.draw(rng)
    return workspace.delete_company(company_id) if company_id else []


def tag_company(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Tag a company. As no notification reports it, the default activity does not do it: comparisons would differ."""
    company_id, tag_id = workspace.company_pool.draw(rng), workspace.tag_pool.draw(rng)
    return workspace.tag_company(company_id, tag_id) if company_id and tag_id else []


def _active_contact(workspace: EmulatedWorkspace, rng: random.Random) -> str | None:
    """Draw a user (four times in five) or a lead."""
    pools: list[IdPool] = [workspace.users, workspace.leads]
    return rng.choices(pools, [4, 1])[0].draw(rng)


RANDOM_OPERATIONS: dict[str, RandomOperation] = {
    operation.__name__: operation
    for operation in (
        create_user,
        create_lead,
        sign_up_visitor,
        sign_up_lead,
        change_contact,
        change_attributes,
        change_email,
        tag,
        untag,
        attach,
        detach,
        archive,
        unarchive,
        merge,
        delete_contact,
        change_email_consent,
        change_subscription,
        unsubscribe_from_sms,
        create_company,
        change_company,
        delete_company,
        tag_company,
    )
}
