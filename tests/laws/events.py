"""What can happen in a workspace. An event takes two numbers that choose its objects, and may do nothing."""

from collections.abc import Callable, Sequence
from typing import Any

from tests.laws import notify
from tests.laws.true_workspace import Company, Contact, TrueWorkspace

Event = Callable[[TrueWorkspace, int, int], None]

# Milliseconds. A deleted contact may be restored for some days, but never in the second of its deletion.
_SECOND = 1000


def create_contact(workspace: TrueWorkspace, a: int, b: int) -> None:
    role = ("user", "lead")[b % 2]
    contact = workspace.new_contact(role, a)
    notify.contact(workspace, f"contact.{role}.created", contact)


def import_contact(workspace: TrueWorkspace, a: int, b: int) -> None:
    """A contact appears with so many links that a notification may not carry them all."""
    contact = workspace.new_contact("user", a)
    contact.companies += [id_ for id_ in list(workspace.companies)[: 9 + b] if id_.startswith("old")]
    contact.tags += list(workspace.tags)[: 9 + a]
    notify.contact(workspace, "contact.user.created", contact)


def update_contact(workspace: TrueWorkspace, a: int, b: int) -> None:
    if contact := _contact(workspace, a):
        _change(contact.values, _choose(_CONTACT_CHANGES, a, b), workspace.number())
        workspace.touch(contact)
        notify.contact(workspace, f"contact.{contact.values['role']}.updated", contact)


def change_email(workspace: TrueWorkspace, a: int, b: int) -> None:
    """A lead adds an email, or a user changes it; two notifications report the change."""
    if contact := _contact(workspace, a):
        contact.values["email"] = f"other{b}@example.test"
        workspace.touch(contact)
        lead = contact.values["role"] == "lead"
        notify.contact(workspace, "contact.lead.added_email" if lead else "contact.email.updated", contact)
        notify.contact(workspace, f"contact.{contact.values['role']}.updated", contact)


def sign_up(workspace: TrueWorkspace, a: int, b: int) -> None:
    """A lead becomes a user, or a visitor, which no notification mentioned before, becomes a contact."""
    contact = _contact(workspace, a)
    if contact and contact.values["role"] == "lead":
        contact.values |= {"role": "user", "signed_up_at": workspace.now}
        workspace.touch(contact)
        notify.contact(workspace, "contact.lead.signed_up", contact)
    else:
        notify.visitor(workspace, workspace.new_contact("user", b))


def consent(workspace: TrueWorkspace, a: int, b: int) -> None:
    if contact := _contact(workspace, a):
        contact.values["unsubscribed_from_emails"] = bool(b % 2)
        workspace.touch(contact)
        notify.subscription(workspace, "contact.unsubscribed" if b % 2 else "contact.subscribed", contact)


def tag(workspace: TrueWorkspace, a: int, b: int) -> None:
    """Tag a contact, or remove the last tag of the last tagged contact."""
    tagged = [contact for contact in workspace.contacts.values() if contact.tags and not contact.archived]
    if b >= 2 and tagged:
        _toggle_tag(workspace, tagged[-1], tagged[-1].tags[-1])
    elif contact := _contact(workspace, a):
        _toggle_tag(workspace, contact, f"tag{b:02}")


def attach(workspace: TrueWorkspace, a: int, b: int) -> None:
    """Attach a contact to a company, or detach the last attached contact from the last of its companies."""
    linked = [contact for contact in workspace.contacts.values() if contact.companies and not contact.archived]
    if b >= 2 and linked:
        _toggle_company(workspace, linked[-1], workspace.companies[linked[-1].companies[-1]])
        return
    contact, company = _contact(workspace, a), _company(workspace, b)
    if contact and company:
        _toggle_company(workspace, contact, company)


def archive(workspace: TrueWorkspace, a: int, b: int) -> None:
    """Archive a contact, or unarchive an archived one."""
    archived = [contact for contact in workspace.contacts.values() if contact.archived]
    if contact := archived[0] if b >= 2 and archived else _pick(list(workspace.contacts.values()), a):
        contact.archived = not contact.archived
        if contact.archived:
            notify.archived(workspace, contact)
        else:
            contact.values["has_hard_bounced"] = bool(b % 2)
            workspace.touch(contact)
            notify.unarchived(workspace, contact)


def merge(workspace: TrueWorkspace, a: int, b: int) -> None:
    """One contact becomes part of another, which takes over its links."""
    source, survivor = _contact(workspace, a), _contact(workspace, b)
    if not source or not survivor or source is survivor:
        return
    del workspace.contacts[source.id]
    workspace.redirects[source.id] = survivor.id
    survivor.companies += [id_ for id_ in source.companies if id_ not in survivor.companies]
    survivor.tags += [id_ for id_ in source.tags if id_ not in survivor.tags]
    workspace.touch(survivor)
    notify.merged(workspace, source, survivor, named=(a + b) % 3 > 0)


def delete_contact(workspace: TrueWorkspace, a: int, b: int) -> None:
    """Delete a contact, or restore one that was deleted in an earlier second."""
    past = [id_ for id_, (_, at) in workspace.deleted.items() if at // _SECOND < workspace.now // _SECOND]
    if b >= 2 and past:
        contact, _ = workspace.deleted.pop(past[0])
        contact.companies = [id_ for id_ in contact.companies if id_ in workspace.companies]
        workspace.contacts[contact.id] = contact
        workspace.touch(contact)
        notify.contact(workspace, f"contact.{contact.values['role']}.updated", contact)
    elif contact := _pick(list(workspace.contacts.values()), a):
        del workspace.contacts[contact.id]
        workspace.deleted[contact.id] = (contact, workspace.now)
        notify.deleted(workspace, "contact", contact.id)


def create_company(workspace: TrueWorkspace, a: int, b: int) -> None:
    company = workspace.new_company(a)
    company.tags = [f"tag{b:02}"] if b else []
    notify.company(workspace, "company.created", company)


def update_company(workspace: TrueWorkspace, a: int, b: int) -> None:
    if company := _company(workspace, a):
        _change(company.values, _choose(_COMPANY_CHANGES, a, b), workspace.number())
        if b % 2:
            company.tags = [f"tag{b:02}", "tag00"]
        workspace.touch(company)
        notify.company(workspace, "company.updated", company)


def delete_company(workspace: TrueWorkspace, a: int, b: int) -> None:
    """Delete a company: its contacts are detached, which some workspaces report and others do not."""
    company = _company(workspace, a)
    if company is None:
        return
    del workspace.companies[company.id]
    attached = [contact for contact in workspace.contacts.values() if company.id in contact.companies]
    for contact in attached:
        before = list(contact.companies)
        contact.companies.remove(company.id)
        if b % 2:
            workspace.touch(contact)
            notify.company_contact(workspace, company, contact, before, present=False)
    notify.deleted(workspace, "company", company.id)


# Repeated by weight: events that are frequent in practice, or that break the rule most easily.
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


def _toggle_tag(workspace: TrueWorkspace, contact: Contact, tag_id: str) -> None:
    before = list(contact.tags)
    present = tag_id not in contact.tags
    (contact.tags.append if present else contact.tags.remove)(tag_id)
    workspace.touch(contact)
    notify.contact_tag(workspace, contact, tag_id, before, present=present)


def _toggle_company(workspace: TrueWorkspace, contact: Contact, company: Company) -> None:
    before = list(contact.companies)
    present = company.id not in contact.companies
    (contact.companies.append if present else contact.companies.remove)(company.id)
    workspace.touch(contact)
    if workspace.number() % 3 == 0:
        # It is not known whether Intercom updates the company's time as well, so both must end correctly.
        workspace.touch(company)
    notify.company_contact(workspace, company, contact, before, present=present)


def _change(values: dict[str, Any], key: str, number: int) -> None:
    """Set the field to another value, or clear it."""
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


def _choose(keys: Sequence[str], a: int, b: int) -> str:
    """Choose by both numbers of an event: each is 0 to 3, so one alone would reach only the first four keys."""
    return keys[(4 * a + b) % len(keys)]


def _pick(things: Sequence[Any], number: int) -> Any:
    return things[number % len(things)] if things else None


def _contact(workspace: TrueWorkspace, number: int) -> Contact | None:
    contact: Contact | None = _pick(
        [contact for contact in workspace.contacts.values() if not contact.archived], number
    )
    return contact


def _company(workspace: TrueWorkspace, number: int) -> Company | None:
    # The newest companies, and the last of the initial ones.
    company: Company | None = _pick(list(workspace.companies.values())[-3:], number)
    return company
