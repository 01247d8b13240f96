"""Send the notification of an event, and record the facts in it."""

from collections.abc import Iterable, Sequence
from typing import Any

from tests.laws import wire
from tests.laws.true_workspace import Company, Contact, Fact, TrueWorkspace


def contact(
    workspace: TrueWorkspace,
    topic: str,
    thing: Contact,
    *,
    extra: dict[str, Any] | None = None,
    facts: Sequence[Fact] = (),
) -> None:
    """Send a whole contact."""
    workspace.send(topic, _item(workspace, thing) | (extra or {}), *_whole(workspace, thing), *facts)


def subscription(workspace: TrueWorkspace, topic: str, thing: Contact) -> None:
    item = {"type": "contact_unsubscribe", "contact": _item(workspace, thing), "subscription_types": {"data": []}}
    workspace.send(topic, item, *_whole(workspace, thing))


def contact_tag(workspace: TrueWorkspace, thing: Contact, tag_id: str, before: list[str], *, present: bool) -> None:
    shown = before if workspace.style.before else thing.tags
    item = {
        "type": "contact_tag",
        "tag": {"type": "tag", "id": tag_id, "name": workspace.tags[tag_id]},
        "contact": wire.contact(thing, workspace.style, companies=thing.companies, tags=shown),
    }
    topic = f"contact.{thing.values['role']}.tag.{'created' if present else 'deleted'}"
    facts = [*_whole(workspace, thing, "contact_companies"), ("pair", "contact_tags", thing.id, tag_id, present)]
    workspace.send(
        topic, item, *facts, ("whole", "tag", tag_id, {"type": "tag", "id": tag_id, "name": workspace.tags[tag_id]})
    )


def company_contact(
    workspace: TrueWorkspace, firm: Company, thing: Contact, before: list[str], *, present: bool
) -> None:
    shown = before if workspace.style.before else thing.companies
    count = workspace.user_count(firm)
    item = {
        "company": wire.part(firm, workspace.style, count),
        "contact": wire.contact(thing, workspace.style, companies=shown, tags=thing.tags) | {"formatted_phone": None},
    }
    facts = [*_whole(workspace, thing, "contact_tags"), ("pair", "contact_companies", thing.id, firm.id, present)]
    if firm.id in workspace.companies:
        facts.append(("part", "company", firm.id, wire.canonical_part(firm, count)))
    workspace.send(f"company.contact.{'attached' if present else 'detached'}", item, *facts)


def visitor(workspace: TrueWorkspace, thing: Contact) -> None:
    """Send the old form of a contact, of which only the id is reliable."""
    item = {"type": "user", "id": thing.id, "name": "from the old form", "updated_at": workspace.now // 1000}
    workspace.send("visitor.signed_up", item, ("dirty", "contact", thing.id))


def archived(workspace: TrueWorkspace, thing: Contact) -> None:
    item = {"id": thing.id, "external_id": thing.values["external_id"], "type": "contact", "archived": True}
    workspace.send("contact.archived", item, ("archived", thing.id, True))


def unarchived(workspace: TrueWorkspace, thing: Contact) -> None:
    contact(workspace, "contact.unarchived", thing, facts=[("archived", thing.id, False)])


def merged(workspace: TrueWorkspace, source: Contact, survivor: Contact, *, named: bool) -> None:
    """Report a merge. Without `named`, the notification lacks the source, and a deletion reports that it is gone."""
    if named:
        extra = {"merged_from": {"type": "contact", "id": source.id}}
        facts: list[Fact] = [("gone", "contact", source.id), ("merged", source.id, survivor.id)]
        contact(workspace, "contact.merged", survivor, extra=extra, facts=facts)
    else:
        workspace.unreported_merges.add(source.id)
        contact(workspace, "contact.merged", survivor, facts=[("dirty", "contact", survivor.id)])
        deleted(workspace, "contact", source.id)


def deleted(workspace: TrueWorkspace, object_type: str, object_id: str) -> None:
    item = {"id": object_id, "type": object_type, "deleted": True}
    workspace.send(f"{object_type}.deleted", item, ("gone", object_type, object_id))


def company(workspace: TrueWorkspace, topic: str, firm: Company) -> None:
    count = workspace.user_count(firm)
    whole: Fact = ("whole", "company", firm.id, wire.canonical_company(firm, count))
    listed: Fact = ("list", "company_tags", firm.id, list(firm.tags), True)
    workspace.send(topic, wire.company(firm, workspace.style, count), whole, listed)


def _item(workspace: TrueWorkspace, thing: Contact) -> dict[str, Any]:
    return wire.contact(thing, workspace.style, companies=thing.companies, tags=thing.tags)


def _whole(workspace: TrueWorkspace, thing: Contact, *kinds: str) -> Iterable[Fact]:
    """Yield the facts of a whole contact, with its lists of the given kinds (all, if none is given)."""
    yield "whole", "contact", thing.id, wire.canonical_contact(thing, short=workspace.style.short)
    for kind, ids in (("contact_companies", thing.companies), ("contact_tags", thing.tags)):
        if not kinds or kind in kinds:
            yield "list", kind, thing.id, ids[: wire.EMBEDDED], len(ids) <= wire.EMBEDDED
