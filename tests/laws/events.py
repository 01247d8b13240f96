"""What can happen in a workspace. A deed takes two numbers that choose its objects, and may do nothing."""

from collections.abc import Callable, Sequence
from typing import Any

from tests.laws import notify
from tests.laws.true_workspace import Company, Contact, TrueWorkspace

Event = Callable[[TrueWorkspace, int, int], None]

# A contact that is deleted may come back for some days; never in the second in which it went.
_SECOND = 1000


def create_contact(space: TrueWorkspace, a: int, b: int) -> None:
    role = ("user", "lead")[b % 2]
    contact = space.new_contact(role, a)
    notify.contact(space, f"contact.{role}.created", contact)


def import_contact(space: TrueWorkspace, a: int, b: int) -> None:
    """A contact appears with so many links that a notification may not carry them all."""
    contact = space.new_contact("user", a)
    contact.companies += [id_ for id_ in list(space.companies)[: 9 + b] if id_.startswith("old")]
    contact.tags += list(space.tags)[: 9 + a]
    notify.contact(space, "contact.user.created", contact)


def update_contact(space: TrueWorkspace, a: int, b: int) -> None:
    if contact := _contact(space, a):
        _change(contact.values, _CONTACT_CHANGES[b % len(_CONTACT_CHANGES)], space.number())
        space.touch(contact)
        notify.contact(space, f"contact.{contact.values['role']}.updated", contact)


def change_email(space: TrueWorkspace, a: int, b: int) -> None:
    """A lead gives an email, a user another one; the change is told twice."""
    if contact := _contact(space, a):
        contact.values["email"] = f"other{b}@example.test"
        space.touch(contact)
        lead = contact.values["role"] == "lead"
        notify.contact(space, "contact.lead.added_email" if lead else "contact.email.updated", contact)
        notify.contact(space, f"contact.{contact.values['role']}.updated", contact)


def sign_up(space: TrueWorkspace, a: int, b: int) -> None:
    """A lead becomes a user, or a visitor, whom nobody told of before, becomes a contact."""
    contact = _contact(space, a)
    if contact and contact.values["role"] == "lead":
        contact.values |= {"role": "user", "signed_up_at": space.now}
        space.touch(contact)
        notify.contact(space, "contact.lead.signed_up", contact)
    else:
        notify.visitor(space, space.new_contact("user", b))


def consent(space: TrueWorkspace, a: int, b: int) -> None:
    if contact := _contact(space, a):
        contact.values["unsubscribed_from_emails"] = bool(b % 2)
        space.touch(contact)
        notify.subscription(space, "contact.unsubscribed" if b % 2 else "contact.subscribed", contact)


def tag(space: TrueWorkspace, a: int, b: int) -> None:
    """Tag a contact; or take off the last tag of the last one that was tagged."""
    tagged = [contact for contact in space.contacts.values() if contact.tags and not contact.archived]
    if b >= 2 and tagged:
        _toggle_tag(space, tagged[-1], tagged[-1].tags[-1])
    elif contact := _contact(space, a):
        _toggle_tag(space, contact, f"tag{b:02}")


def attach(space: TrueWorkspace, a: int, b: int) -> None:
    """Attach a contact to a company; or detach the last one that was attached from the last of its companies."""
    linked = [contact for contact in space.contacts.values() if contact.companies and not contact.archived]
    if b >= 2 and linked:
        _toggle_company(space, linked[-1], space.companies[linked[-1].companies[-1]])
        return
    contact, company = _contact(space, a), _company(space, b)
    if contact and company:
        _toggle_company(space, contact, company)


def archive(space: TrueWorkspace, a: int, b: int) -> None:
    """Archive a contact, or bring an archived one back."""
    archived = [contact for contact in space.contacts.values() if contact.archived]
    if contact := archived[0] if b >= 2 and archived else _pick(list(space.contacts.values()), a):
        contact.archived = not contact.archived
        if contact.archived:
            notify.archived(space, contact)
        else:
            contact.values["has_hard_bounced"] = bool(b % 2)
            space.touch(contact)
            notify.unarchived(space, contact)


def merge(space: TrueWorkspace, a: int, b: int) -> None:
    """One contact becomes part of another, which takes over its links."""
    source, survivor = _contact(space, a), _contact(space, b)
    if not source or not survivor or source is survivor:
        return
    del space.contacts[source.id]
    space.redirects[source.id] = survivor.id
    survivor.companies += [id_ for id_ in source.companies if id_ not in survivor.companies]
    survivor.tags += [id_ for id_ in source.tags if id_ not in survivor.tags]
    space.touch(survivor)
    notify.merged(space, source, survivor, named=(a + b) % 3 > 0)


def delete_contact(space: TrueWorkspace, a: int, b: int) -> None:
    """Delete a contact; or bring one back that was deleted in an earlier second."""
    past = [id_ for id_, (_, at) in space.deleted.items() if at // _SECOND < space.now // _SECOND]
    if b >= 2 and past:
        contact, _ = space.deleted.pop(past[0])
        contact.companies = [id_ for id_ in contact.companies if id_ in space.companies]
        space.contacts[contact.id] = contact
        space.touch(contact)
        notify.contact(space, f"contact.{contact.values['role']}.updated", contact)
    elif contact := _pick(list(space.contacts.values()), a):
        del space.contacts[contact.id]
        space.deleted[contact.id] = (contact, space.now)
        notify.deleted(space, "contact", contact.id)


def create_company(space: TrueWorkspace, a: int, b: int) -> None:
    company = space.new_company(a)
    company.tags = [f"tag{b:02}"] if b else []
    notify.company(space, "company.created", company)


def update_company(space: TrueWorkspace, a: int, b: int) -> None:
    if company := _company(space, a):
        _change(company.values, _COMPANY_CHANGES[b % len(_COMPANY_CHANGES)], space.number())
        if b % 2:
            company.tags = [f"tag{b:02}", "tag00"]
        space.touch(company)
        notify.company(space, "company.updated", company)


def delete_company(space: TrueWorkspace, a: int, b: int) -> None:
    """Delete a company: its contacts are detached, which some workspaces tell and others do not."""
    company = _company(space, a)
    if company is None:
        return
    del space.companies[company.id]
    attached = [contact for contact in space.contacts.values() if company.id in contact.companies]
    for contact in attached:
        before = list(contact.companies)
        contact.companies.remove(company.id)
        if b % 2:
            space.touch(contact)
            notify.company_contact(space, company, contact, before, present=False)
    notify.deleted(space, "company", company.id)


# Weights: what often happens in life, and what breaks rules most.
EVENTS: tuple[Event, ...] = (
    create_contact,
    update_contact,
    update_contact,
    update_contact,
    tag,
    tag,
    attach,
    attach,
    attach,
    archive,
    merge,
    delete_contact,
    delete_contact,
    create_company,
    update_company,
    update_company,
    delete_company,
    import_contact,
    change_email,
    sign_up,
    consent,
)

_CONTACT_CHANGES = (
    "name",
    "name",
    "owner_id",
    "custom_attributes",
    "avatar",
    "location",
    "phone",
    "last_seen_at",
    "referrer",
)
_COMPANY_CHANGES = ("name", "plan", "size", "custom_attributes", "website", "monthly_spend")


def _toggle_tag(space: TrueWorkspace, contact: Contact, tag_id: str) -> None:
    before = list(contact.tags)
    present = tag_id not in contact.tags
    (contact.tags.append if present else contact.tags.remove)(tag_id)
    space.touch(contact)
    notify.contact_tag(space, contact, tag_id, before, present=present)


def _toggle_company(space: TrueWorkspace, contact: Contact, company: Company) -> None:
    before = list(contact.companies)
    present = company.id not in contact.companies
    (contact.companies.append if present else contact.companies.remove)(company.id)
    space.touch(contact)
    if space.number() % 3 == 0:
        # It is not known whether this moves the company's time as well; either must be right.
        space.touch(company)
    notify.company_contact(space, company, contact, before, present=present)


def _change(values: dict[str, Any], key: str, number: int) -> None:
    """Give the field another value, or clear it."""
    new: dict[str, Any] = {
        "name": f"Name {number % 3}",
        "owner_id": str(number % 3),
        "custom_attributes": {f"attribute{number % 2}": number, "nested": {"list": [number, None, 0.5]}},
        "avatar": {"type": "avatar", "image_url": f"https://example.test/{number}.png"},
        "location": {"type": "location", "country": "Iceland", "region": None, "city": f"Town {number}"},
        "plan": {"type": "plan", "id": str(number % 3), "name": f"Plan {number % 3}"},
        "last_seen_at": values["updated_at"],
        "size": number,
        "monthly_spend": number,
    }
    clears = number % 4 == 0 and key not in ("custom_attributes", "location", "monthly_spend")
    values[key] = None if clears else new.get(key, f"text {number}")


def _pick(things: Sequence[Any], number: int) -> Any:
    return things[number % len(things)] if things else None


def _contact(space: TrueWorkspace, number: int) -> Contact | None:
    contact: Contact | None = _pick([contact for contact in space.contacts.values() if not contact.archived], number)
    return contact


def _company(space: TrueWorkspace, number: int) -> Company | None:
    # The newest ones, and the last of those that were there before.
    company: Company | None = _pick(list(space.companies.values())[-3:], number)
    return company
