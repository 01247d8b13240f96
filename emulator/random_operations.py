"""The deeds that life is made of: each draws its objects, does one thing, and returns the notifications (or none)."""

import random
from collections.abc import Callable

from emulator import fake_data
from emulator.emulated_notification import EmulatedNotification
from emulator.random_choice import IdPool, chance
from emulator.workspace import EmulatedWorkspace

RandomOperation = Callable[[EmulatedWorkspace, random.Random], list[EmulatedNotification]]

# The subscription types of the pretend workspace.
SUBSCRIPTIONS = ("137", "138", "139")


def create_user(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Create a user."""
    now = workspace.now()
    return workspace.create_contact("user", fake_data.person(rng) | {"signed_up_at": now, "last_seen_at": now})


def create_lead(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Create a lead, half of them without an email."""
    values = fake_data.visitor(rng) | {"last_seen_at": workspace.now()}
    if chance(rng, 0.5):
        values["email"] = fake_data.person(rng)["email"]
    return workspace.create_contact("lead", values)


def sign_up_visitor(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Make a user of a visitor."""
    return workspace.sign_up_visitor(fake_data.person(rng))


def sign_up_lead(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Make a user of a lead."""
    lead = workspace.leads.draw(rng)
    return workspace.sign_up_lead(lead, fake_data.person(rng)["external_id"]) if lead else []


def change_contact(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Change some fields of a contact; now and then one is cleared."""
    contact_id = _active(workspace, rng)
    if contact_id is None:
        return []
    person = fake_data.person(rng)
    fields = rng.sample(("name", "phone", "owner_id", "location", "os", "browser_version"), rng.randrange(1, 4))
    changes = {name: person[name] for name in fields}
    if chance(rng, 0.1):
        changes["phone"] = None
    return workspace.update_contact(contact_id, changes | {"last_seen_at": workspace.now()})


def change_attributes(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Set one or two custom attributes of a contact, or clear one."""
    contact_id = _active(workspace, rng)
    if contact_id is None:
        return []
    invented = fake_data.attributes(rng)
    names = rng.sample(sorted(invented), rng.randrange(1, 3))
    attributes = {name: invented[name] if chance(rng, 0.9) else None for name in names}
    return workspace.update_contact(contact_id, {"custom_attributes": attributes})


def change_email(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Give a contact another email, or a lead its first."""
    contact_id = _active(workspace, rng)
    return workspace.update_contact(contact_id, {"email": fake_data.person(rng)["email"]}) if contact_id else []


def tag(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Tag a contact."""
    contact_id, tag_id = _active(workspace, rng), workspace.tag_pool.draw(rng)
    return workspace.tag(contact_id, tag_id) if contact_id and tag_id else []


def untag(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Take a tag off a contact that has one."""
    contact_id = _active(workspace, rng)
    tag_ids = list(workspace.contacts[contact_id].tag_ids) if contact_id else []
    return workspace.untag(contact_id, rng.choice(tag_ids)) if contact_id and tag_ids else []


def attach(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Attach a contact to a company."""
    contact_id, company_id = _active(workspace, rng), workspace.company_pool.draw(rng)
    return workspace.attach(contact_id, company_id) if contact_id and company_id else []


def detach(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Take a contact off one of its companies."""
    contact_id = _active(workspace, rng)
    company_ids = list(workspace.contacts[contact_id].company_ids) if contact_id else []
    return workspace.detach(contact_id, rng.choice(company_ids)) if contact_id and company_ids else []


def archive(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Archive a contact."""
    contact_id = _active(workspace, rng)
    return workspace.archive_contact(contact_id) if contact_id else []


def unarchive(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Bring an archived contact back."""
    contact_id = workspace.archived.draw(rng)
    return workspace.unarchive_contact(contact_id) if contact_id else []


def merge(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Merge a lead into a user; one time in five two users, so that chains of merges come about."""
    any_role = chance(rng, 0.2)
    from_id = (workspace.users if any_role else workspace.leads).draw(rng)
    into_id = workspace.users.draw(rng)
    if not from_id or not into_id or from_id == into_id:
        return []
    return workspace.merge_contacts(from_id, into_id, any_role=any_role)


def delete_contact(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Delete a contact, at times an archived one."""
    contact_id = workspace.archived.draw(rng) if chance(rng, 0.3) else _active(workspace, rng)
    return workspace.delete_contact(contact_id) if contact_id else []


def consent(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Turn a contact's consent to emails round."""
    contact_id = _active(workspace, rng)
    if contact_id is None:
        return []
    wanted = workspace.contacts[contact_id].values["unsubscribed_from_emails"]
    return workspace.set_email_consent(contact_id, SUBSCRIPTIONS[0], wanted=wanted)


def subscribe(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Subscribe a contact to one type of message, or unsubscribe it."""
    contact_id = _active(workspace, rng)
    subscription_id, wanted = rng.choice(SUBSCRIPTIONS), chance(rng, 0.5)
    return workspace.set_subscription(contact_id, subscription_id, wanted=wanted) if contact_id else []


def stop_sms(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Take a contact's consent to text messages back."""
    contact_id = _active(workspace, rng)
    return workspace.unsubscribe_from_sms(contact_id) if contact_id else []


def create_company(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Create a company."""
    return workspace.create_company(fake_data.business(rng))


def change_company(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Change some fields of a company; some of them to nothing."""
    company_id = workspace.company_pool.draw(rng)
    if company_id is None:
        return []
    business = fake_data.business(rng)
    names = rng.sample(("name", "plan", "size", "website", "industry", "monthly_spend", "custom_attributes"), 2)
    return workspace.update_company(company_id, {name: business[name] for name in names})


def delete_company(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Delete a company."""
    company_id = workspace.company_pool.draw(rng)
    return workspace.delete_company(company_id) if company_id else []


def tag_company(workspace: EmulatedWorkspace, rng: random.Random) -> list[EmulatedNotification]:
    """Tag a company, which Intercom tells nobody: not part of everyday life, so as not to surprise a comparison."""
    company_id, tag_id = workspace.company_pool.draw(rng), workspace.tag_pool.draw(rng)
    return workspace.tag_company(company_id, tag_id) if company_id and tag_id else []


def _active(workspace: EmulatedWorkspace, rng: random.Random) -> str | None:
    pools: list[IdPool] = [workspace.users, workspace.leads]
    return rng.choices(pools, [4, 1])[0].draw(rng)


RANDOM_OPERATIONS: dict[str, RandomOperation] = {
    deed.__name__: deed
    for deed in (
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
        consent,
        subscribe,
        stop_sms,
        create_company,
        change_company,
        delete_company,
        tag_company,
    )
}
