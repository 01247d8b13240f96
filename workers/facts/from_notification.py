"""From a notification to a report: which facts each topic tells, and how new they are."""

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

# A second, in milliseconds.
_SECOND = 1000
# Ranks within one second: what a topic says of a link beats what an embedded list says.
_FROM_LIST, _FROM_TOPIC = 0, 1
# A webhook whose updated_at came in whole seconds: older than any with milliseconds in that second.
_NO_MILLISECONDS = -1


def report_from_notification(notification: Notification, *, entry: str, received_at: int) -> Report | None:
    """
    Read a notification as facts.

    Args:
        notification: as opened.
        entry: its id in the inbox.
        received_at: unix milliseconds.

    Returns:
        The report to apply; None for a topic that is not mirrored.

    Raises:
        MalformedNotificationError: the item is not what its topic promises; park it.
    """
    shape = topics.SHAPES.get(notification.topic)
    if shape is None:
        return None
    if not notification.created_at:
        # When we heard of it is the best that is known.
        notification = replace(notification, created_at=received_at // _SECOND)
    meta = NotificationMeta(
        id=notification.id,
        topic=notification.topic,
        created_at=notification.created_at,
        received_at=received_at,
        entry=entry,
    )
    return Report(notification.app_id, "webhook", _READERS[shape](notification), meta)


def contact_facts(
    notification: Notification, form: CanonicalObject, *, without: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """Return what a whole contact tells, as arguments of Observation; `without` names lists not to be believed."""
    listed = {"contact_companies": form.companies, "contact_tags": form.tags}
    return {
        "type": "contact",
        "id": form.id,
        "content": form.content,
        "version": _version(notification, form),
        "lists": _lists(notification, {kind: members for kind, members in listed.items() if kind not in without}),
    }


def _contact(notification: Notification) -> tuple[Observation, ...]:
    return (Observation(**contact_facts(notification, canonical.contact(notification.item))),)


def _contact_inside(notification: Notification) -> tuple[Observation, ...]:
    form = canonical.contact(_part(notification, "contact"), "data.item.contact")
    return (Observation(**contact_facts(notification, form)),)


def _contact_tag(notification: Notification) -> tuple[Observation, ...]:
    tag = _part(notification, "tag")
    tag_id = parse_id(tag.get("id"), "data.item.tag.id")
    form = canonical.contact(_part(notification, "contact"), "data.item.contact")
    # The embedded list may be older than the change that the topic tells, so for tags only the topic is believed.
    facts = contact_facts(notification, form, without=frozenset({"contact_tags"}))
    pair = _pair(notification, tag_id)
    return Observation(**facts, pairs={"contact_tags": pair}), *_named_tag(notification, tag_id, tag.get("name"))


def _contact_merged(notification: Notification) -> tuple[Observation, ...]:
    form = canonical.contact(notification.item)
    source = notification.item.get("merged_from")
    facts = contact_facts(notification, form)
    if not isinstance(source, dict):
        # Only Intercom can say which contact went away: the survivor is asked for, with its history.
        return (Observation(**facts, needs_refetch=True),)
    source_id = parse_id(source.get("id"), "data.item.merged_from.id")
    merged = MergeFact(form.id, notification.created_at)
    gone = Observation("contact", source_id, deleted_at_ms=_by_the_end_of(notification), merged=merged)
    return Observation(**facts), gone


def _deleted(object_type: str) -> Callable[[Notification], tuple[Observation, ...]]:
    def read(notification: Notification) -> tuple[Observation, ...]:
        return (Observation(object_type, _id(notification), deleted_at_ms=_by_the_end_of(notification)),)

    return read


def _contact_archived(notification: Notification) -> tuple[Observation, ...]:
    return (Observation("contact", _id(notification), archived=_archived(notification, archived=True)),)


def _contact_unarchived(notification: Notification) -> tuple[Observation, ...]:
    archived = _archived(notification, archived=False)
    if "role" not in notification.item:
        return (Observation("contact", _id(notification), archived=archived, needs_refetch=True),)
    return (Observation(**contact_facts(notification, canonical.contact(notification.item)), archived=archived),)


def _visitor(notification: Notification) -> tuple[Observation, ...]:
    return (Observation("contact", _id(notification), needs_refetch=True),)


def _company(notification: Notification) -> tuple[Observation, ...]:
    form = canonical.company(notification.item)
    lists = _lists(notification, {"company_tags": form.tags})
    version = _version(notification, form)
    return (Observation("company", form.id, content=form.content, version=version, lists=lists),)


def _company_contact(notification: Notification) -> tuple[Observation, ...]:
    partial = canonical.company(_part(notification, "company"), "data.item.company")
    form = canonical.contact(_part(notification, "contact"), "data.item.contact")
    facts = contact_facts(notification, form, without=frozenset({"contact_companies"}))
    contact = Observation(**facts, pairs={"contact_companies": _pair(notification, partial.id)})
    whole = _version(notification, partial)
    moment = whole.second * _SECOND + max(whole.fine % _SECOND, 0)
    version = Version(PARTIAL_SECOND, 0, moment, whole.created_at, whole.notification_id)
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


def _id(notification: Notification) -> str:
    return parse_id(notification.item.get("id"), "data.item.id")


def _version(notification: Notification, form: CanonicalObject) -> Version:
    if form.updated_at_ms is None:
        return Version(notification.created_at, 0, _NO_MILLISECONDS, notification.created_at, notification.id)
    fine = form.updated_at_ms if form.has_milliseconds else _NO_MILLISECONDS
    return Version(form.updated_at_ms // _SECOND, 0, fine, notification.created_at, notification.id)


def _by_the_end_of(notification: Notification) -> int:
    # created_at has whole seconds: what it tells may have happened as late as that second's end.
    return notification.created_at * _SECOND + _SECOND - 1


def _archived(notification: Notification, *, archived: bool) -> ArchivedFact:
    return ArchivedFact(notification.created_at, notification.id, archived)


def _pair(notification: Notification, other_id: str) -> PairFact:
    stamp = Stamp(notification.created_at, _FROM_TOPIC, 0, notification.id)
    return PairFact(stamp, other_id, notification.topic in topics.LINK_ADDED_TOPICS)


def _lists(notification: Notification, listed: dict[str, MemberList | None]) -> dict[str, ListFact]:
    stamp = Stamp(notification.created_at, _FROM_LIST, 0, notification.id)
    return {kind: ListFact(stamp, members.ids, members.complete) for kind, members in listed.items() if members}


def _named_tag(notification: Notification, tag_id: str, name: object) -> tuple[Observation, ...]:
    if not isinstance(name, str):
        return ()
    version = Version(notification.created_at, 0, _NO_MILLISECONDS, notification.created_at, notification.id)
    return (Observation("tag", tag_id, content={"id": tag_id, "type": "tag", "name": name}, version=version),)
