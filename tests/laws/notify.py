"""How a workspace tells of what happened: the notification, and the facts in it."""

from collections.abc import Iterable, Sequence
from typing import Any

from tests.laws import wire
from tests.laws.true_workspace import Company, Contact, Fact, TrueWorkspace


def contact(
    space: TrueWorkspace, topic: str, thing: Contact, *, extra: dict[str, Any] | None = None, facts: Sequence[Fact] = ()
) -> None:
    """Tell a whole contact."""
    space.send(topic, _item(space, thing) | (extra or {}), *_whole(space, thing), *facts)


def subscription(space: TrueWorkspace, topic: str, thing: Contact) -> None:
    item = {"type": "contact_unsubscribe", "contact": _item(space, thing), "subscription_types": {"data": []}}
    space.send(topic, item, *_whole(space, thing))


def contact_tag(space: TrueWorkspace, thing: Contact, tag_id: str, before: list[str], *, present: bool) -> None:
    shown = before if space.style.before else thing.tags
    item = {
        "type": "contact_tag",
        "tag": {"type": "tag", "id": tag_id, "name": space.tags[tag_id]},
        "contact": wire.contact(thing, space.style, companies=thing.companies, tags=shown),
    }
    topic = f"contact.{thing.values['role']}.tag.{'created' if present else 'deleted'}"
    facts = [*_whole(space, thing, "contact_companies"), ("pair", "contact_tags", thing.id, tag_id, present)]
    space.send(topic, item, *facts, ("whole", "tag", tag_id, {"type": "tag", "id": tag_id, "name": space.tags[tag_id]}))


def company_contact(space: TrueWorkspace, firm: Company, thing: Contact, before: list[str], *, present: bool) -> None:
    shown = before if space.style.before else thing.companies
    count = space.user_count(firm)
    item = {
        "company": wire.part(firm, space.style, count),
        "contact": wire.contact(thing, space.style, companies=shown, tags=thing.tags) | {"formatted_phone": None},
    }
    facts = [*_whole(space, thing, "contact_tags"), ("pair", "contact_companies", thing.id, firm.id, present)]
    if firm.id in space.companies:
        facts.append(("part", "company", firm.id, wire.canonical_part(firm, count)))
    space.send(f"company.contact.{'attached' if present else 'detached'}", item, *facts)


def visitor(space: TrueWorkspace, thing: Contact) -> None:
    """Tell in the old form, of which only the id can be believed."""
    item = {"type": "user", "id": thing.id, "name": "not to be believed", "updated_at": space.now // 1000}
    space.send("visitor.signed_up", item, ("dirty", "contact", thing.id))


def archived(space: TrueWorkspace, thing: Contact) -> None:
    item = {"id": thing.id, "external_id": thing.values["external_id"], "type": "contact", "archived": True}
    space.send("contact.archived", item, ("archived", thing.id, True))


def unarchived(space: TrueWorkspace, thing: Contact) -> None:
    contact(space, "contact.unarchived", thing, facts=[("archived", thing.id, False)])


def merged(space: TrueWorkspace, source: Contact, survivor: Contact, *, named: bool) -> None:
    """Tell of a merge; where the source is not `named`, a deletion tells at least that it is gone."""
    if named:
        extra = {"merged_from": {"type": "contact", "id": source.id}}
        facts: list[Fact] = [("gone", "contact", source.id), ("merged", source.id, survivor.id)]
        contact(space, "contact.merged", survivor, extra=extra, facts=facts)
    else:
        space.unreported_merges.add(source.id)
        contact(space, "contact.merged", survivor, facts=[("dirty", "contact", survivor.id)])
        deleted(space, "contact", source.id)


def deleted(space: TrueWorkspace, object_type: str, object_id: str) -> None:
    item = {"id": object_id, "type": object_type, "deleted": True}
    space.send(f"{object_type}.deleted", item, ("gone", object_type, object_id))


def company(space: TrueWorkspace, topic: str, firm: Company) -> None:
    count = space.user_count(firm)
    whole: Fact = ("whole", "company", firm.id, wire.canonical_company(firm, count))
    listed: Fact = ("list", "company_tags", firm.id, list(firm.tags), True)
    space.send(topic, wire.company(firm, space.style, count), whole, listed)


def _item(space: TrueWorkspace, thing: Contact) -> dict[str, Any]:
    return wire.contact(thing, space.style, companies=thing.companies, tags=thing.tags)


def _whole(space: TrueWorkspace, thing: Contact, *kinds: str) -> Iterable[Fact]:
    """Return the facts of a whole contact, with those of its lists that are told truly (all, if none is named)."""
    yield "whole", "contact", thing.id, wire.canonical_contact(thing, short=space.style.short)
    for kind, ids in (("contact_companies", thing.companies), ("contact_tags", thing.tags)):
        if not kinds or kind in kinds:
            yield "list", kind, thing.id, ids[: wire.EMBEDDED], len(ids) <= wire.EMBEDDED
