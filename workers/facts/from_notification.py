"""From a notification to a report: which facts each topic contains, and how new they are."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from intercom_api.errors import MalformedNotificationError
from intercom_api.wire import canonical, topics
from intercom_api.wire.canonical import CanonicalObject, MemberList
from intercom_api.wire.envelope import Notification, parse_id
from intercom_api.wire.topics import Shape
from models.rule.observations import (
    PARTIAL_SECOND,
    ArchivedFact,
    ListFact,
    MergeFact,
    NotificationMeta,
    Observation,
    PairFact,
    Report,
    Stamp,
    Version,
)
from settings.units import MS_PER_SECOND
from workers.facts.fetch_versions import end_of_second_ms

# Ranks of facts about a link within one second: a topic about the link beats an embedded list.
_LIST_RANK, _TOPIC_RANK = 0, 1
# In the place of milliseconds, where updated_at has whole seconds: older than any milliseconds of that second.
_NO_MILLISECONDS = -1


def report_from_notification(notification: Notification, *, entry: str, received_at: int) -> Report | None:
    """
    Read a notification as facts.

    Args:
        notification: verified and parsed.
        entry: its id in the inbox.
        received_at: time of arrival, in milliseconds since 1970.

    Returns:
        The report to apply; None for a topic that is not mirrored.

    Raises:
        MalformedNotificationError: the item does not have the form of its topic. Park it.
    """
    shape = topics.SHAPES.get(notification.topic)
    if shape is None:
        return None
    if not notification.created_at:
        # The time of arrival is the best estimate.
        notification = replace(notification, created_at=received_at // MS_PER_SECOND)
    meta = NotificationMeta(
        id=notification.id,
        topic=notification.topic,
        created_at=notification.created_at,
        received_at=received_at,
        entry=entry,
    )
    return Report(notification.app_id, "webhook", _READERS[shape](notification), meta)


def _contact(notification: Notification) -> tuple[Observation, ...]:
    return (Observation(**_contact_facts(notification, canonical.contact(notification.item))),)


def _contact_inside(notification: Notification) -> tuple[Observation, ...]:
    return (Observation(**_contact_facts(notification, _contact_part(notification))),)


def _contact_tag(notification: Notification) -> tuple[Observation, ...]:
    tag = _part(notification, "tag")
    tag_id = parse_id(tag.get("id"), "data.item.tag.id")
    # The embedded list may be older than the change that the topic is about, so only the topic counts for tags.
    facts = _contact_facts(notification, _contact_part(notification), without="contact_tags")
    pair = _pair(notification, tag_id)
    return Observation(**facts, pairs={"contact_tags": pair}), *_tag(notification, tag_id, tag.get("name"))


def _contact_merged(notification: Notification) -> tuple[Observation, ...]:
    survivor = canonical.contact(notification.item)
    facts = _contact_facts(notification, survivor)
    source = notification.item.get("merged_from")
    if not isinstance(source, dict):
        # Only Intercom knows which contact was merged: the survivor is fetched, with its history.
        return (Observation(**facts, needs_refetch=True),)
    source_id = parse_id(source.get("id"), "data.item.merged_from.id")
    merged = MergeFact(survivor.id, notification.created_at)
    deleted_at_ms = end_of_second_ms(notification.created_at)
    return Observation(**facts), Observation("contact", source_id, deleted_at_ms=deleted_at_ms, merged=merged)


def _deleted(object_type: str) -> Callable[[Notification], tuple[Observation, ...]]:
    def read(notification: Notification) -> tuple[Observation, ...]:
        deleted_at_ms = end_of_second_ms(notification.created_at)
        return (Observation(object_type, _item_id(notification), deleted_at_ms=deleted_at_ms),)

    return read


def _contact_archived(notification: Notification) -> tuple[Observation, ...]:
    return (Observation("contact", _item_id(notification), archived=_archived_fact(notification, archived=True)),)


def _contact_unarchived(notification: Notification) -> tuple[Observation, ...]:
    archived = _archived_fact(notification, archived=False)
    if "role" not in notification.item:
        # A stub: it does not say what changed while the contact was archived.
        return (Observation("contact", _item_id(notification), archived=archived, needs_refetch=True),)
    return (Observation(**_contact_facts(notification, canonical.contact(notification.item)), archived=archived),)


def _visitor(notification: Notification) -> tuple[Observation, ...]:
    return (Observation("contact", _item_id(notification), needs_refetch=True),)


def _company(notification: Notification) -> tuple[Observation, ...]:
    company = canonical.company(notification.item)
    lists = _list_facts(notification, {"company_tags": company.tags})
    version = _version(notification, company)
    return (Observation("company", company.id, content=company.content, version=version, lists=lists),)


def _company_contact(notification: Notification) -> tuple[Observation, ...]:
    partial = canonical.company(_part(notification, "company"), "data.item.company")
    facts = _contact_facts(notification, _contact_part(notification), without="contact_companies")
    contact = Observation(**facts, pairs={"contact_companies": _pair(notification, partial.id)})
    whole = _version(notification, partial)
    updated_at_ms = whole.second * MS_PER_SECOND + max(whole.fine % MS_PER_SECOND, 0)
    version = Version(PARTIAL_SECOND, 0, updated_at_ms, whole.created_at, whole.notification_id)
    return contact, Observation("company", partial.id, content=partial.content, version=version)


_READERS: dict[Shape, Callable[[Notification], tuple[Observation, ...]]] = {
    Shape.CONTACT: _contact,
    Shape.CONTACT_INSIDE: _contact_inside,
    Shape.CONTACT_TAG: _contact_tag,
    Shape.CONTACT_MERGED: _contact_merged,
    Shape.CONTACT_DELETED: _deleted("contact"),
    Shape.CONTACT_ARCHIVED: _contact_archived,
    Shape.CONTACT_UNARCHIVED: _contact_unarchived,
    Shape.VISITOR: _visitor,
    Shape.COMPANY: _company,
    Shape.COMPANY_DELETED: _deleted("company"),
    Shape.COMPANY_CONTACT: _company_contact,
}


def _part(notification: Notification, name: str) -> dict[str, Any]:
    part = notification.item.get(name)
    if not isinstance(part, dict):
        raise MalformedNotificationError(f"data.item.{name}", "is missing or not an object")
    return part


def _contact_part(notification: Notification) -> CanonicalObject:
    return canonical.contact(_part(notification, "contact"), "data.item.contact")


def _item_id(notification: Notification) -> str:
    return parse_id(notification.item.get("id"), "data.item.id")


def _contact_facts(notification: Notification, contact: CanonicalObject, *, without: str = "") -> dict[str, Any]:
    """Return the facts of a whole contact as arguments of Observation; `without` names a list to leave out."""
    lists = {"contact_companies": contact.companies, "contact_tags": contact.tags}
    return {
        "type": "contact",
        "id": contact.id,
        "content": contact.content,
        "version": _version(notification, contact),
        "lists": _list_facts(notification, {kind: members for kind, members in lists.items() if kind != without}),
    }


def _version(notification: Notification, content: CanonicalObject) -> Version:
    if content.updated_at_ms is None:
        return Version(notification.created_at, 0, _NO_MILLISECONDS, notification.created_at, notification.id)
    fine = content.updated_at_ms if content.has_milliseconds else _NO_MILLISECONDS
    second = content.updated_at_ms // MS_PER_SECOND
    return Version(second, 0, fine, notification.created_at, notification.id)


def _archived_fact(notification: Notification, *, archived: bool) -> ArchivedFact:
    return ArchivedFact(notification.created_at, notification.id, archived)


def _pair(notification: Notification, other_id: str) -> PairFact:
    stamp = Stamp(notification.created_at, _TOPIC_RANK, 0, notification.id)
    return PairFact(stamp, other_id, notification.topic in topics.LINK_ADDED_TOPICS)


def _list_facts(notification: Notification, lists: dict[str, MemberList | None]) -> dict[str, ListFact]:
    stamp = Stamp(notification.created_at, _LIST_RANK, 0, notification.id)
    return {kind: ListFact(stamp, members.ids, members.complete) for kind, members in lists.items() if members}


def _tag(notification: Notification, tag_id: str, name: object) -> tuple[Observation, ...]:
    if not isinstance(name, str):
        return ()
    version = Version(notification.created_at, 0, _NO_MILLISECONDS, notification.created_at, notification.id)
    return (Observation("tag", tag_id, content={"id": tag_id, "type": "tag", "name": name}, version=version),)
