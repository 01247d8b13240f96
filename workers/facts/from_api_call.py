"""
From the response to an API call to reports: its facts about contacts, companies, tags, segments and links.

The calls are those that pass through the proxy, and those of actions. Whatever cannot be read is left out.
"""

from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any

from msgspec.structs import replace

from intercom_api.errors import MalformedNotificationError
from intercom_api.http.read_only import is_read_only
from intercom_api.http.replies import Reply
from models.rule.observations import ArchivedFact, ListFact, Observation, PairFact, Report
from settings.units import MS_PER_SECOND
from workers.facts import from_listing
from workers.facts.fetch_versions import end_of_second_ms, fetched_stamp
from workers.facts.from_fetch import FoundObject, observations_from_fetch

Item = dict[str, Any]

# Type and id of an object.
TypeAndId = tuple[str, str]

# Where the responses of lists have their entries.
_LIST_KEYS = ("data", "contacts", "companies", "tags", "segments")
# Lists below /contacts/{id}, and the kind of their links.
_LINK_KINDS = {"companies": "contact_companies", "tags": "contact_tags", "segments": "contact_segments"}
# Types with an updated_at.
_VERSIONED = frozenset({"contact", "company"})
# An object with one of these keys contains facts that its version does not cover.
_FACTS_WITHOUT_VERSION = frozenset({"deleted", "merge_history"})
# Keys of a contact's tags that describe the link, not the tag.
_LINK_FIELDS = frozenset({"applied_at", "applied_by"})


def versions_in_reply(reply: Reply) -> dict[TypeAndId, int]:
    """Return the updated_at of each contact and company in a response, if all its facts are covered by that version."""
    return {
        _type_and_id(item): item["updated_at"]
        for item in _items(reply.json)
        if item["type"] in _VERSIONED
        and type(item.get("updated_at")) is int
        and not _FACTS_WITHOUT_VERSION.intersection(item)
    }


def reports_from_reply(
    workspace_id: str, method: str, path: str, reply: Reply, now_ms: int, unchanged: Container[TypeAndId] = frozenset()
) -> list[Report]:
    """
    Read a response as reports, one per observation.

    Args:
        workspace_id: whose token made the call; objects of another workspace are left out.
        method: of the call.
        path: of the call, quoted, beginning with a slash.
        reply: a successful response.
        now_ms: this process's time of the response.
        unchanged: objects to leave out, because they are stored in this version.
    """
    if not is_read_only(method, path):
        reply = _with_exact_time(reply, now_ms)
    body = reply.json
    if body.get("object") == "company" and body.get("deleted") is True:
        body = {**body, "type": "company"}
    observations = [
        observation
        for item in _items(body)
        if _type_and_id(item) not in unchanged
        for observation in _read_item(workspace_id, item, reply, is_listed=item is not body)
    ]
    observations += _link_observations(method, path.strip("/").split("/"), body, reply)
    return [Report(workspace_id, "write_through", (observation,)) for observation in observations]


def _with_exact_time(reply: Reply, now_ms: int) -> Reply:
    """
    Give the time of a write in milliseconds, so that of two writes within a second the later one counts.

    Intercom's clock shows whole seconds. Within its second, this process's clock decides.
    """
    return replace(reply, as_of_ms=min(max(now_ms, reply.as_of_ms), _latest_ms(reply)))


def _latest_ms(reply: Reply) -> int:
    """Return the last millisecond at which the response can have been sent, by Intercom's clock of whole seconds."""
    second = reply.as_of_ms // MS_PER_SECOND
    date = reply.headers.get("Date")
    if date:
        with suppress(ValueError):
            second = int(parsedate_to_datetime(date).timestamp())
    return end_of_second_ms(second)


def _type_and_id(item: Item) -> TypeAndId:
    return item["type"], str(item.get("id"))


def _items(body: Item) -> Iterator[Item]:
    """Yield the objects in a body: the body itself, or the entries of its lists."""
    if body.get("type") in _READERS:
        yield body
        return
    for key in _LIST_KEYS:
        members = body.get(key)
        if isinstance(members, list):
            yield from (member for member in members if isinstance(member, dict) and member.get("type") in _READERS)


def _read_item(workspace_id: str, item: Item, reply: Reply, *, is_listed: bool) -> tuple[Observation, ...]:
    if item.get("workspace_id", workspace_id) != workspace_id or item.get("app_id", workspace_id) != workspace_id:
        return ()
    if not isinstance(item.get("id"), str | int):
        return ()
    try:
        return _READERS[item["type"]](item, reply, is_listed)
    except MalformedNotificationError:
        return ()


def _contact(item: Item, reply: Reply, is_listed: bool) -> tuple[Observation, ...]:  # noqa: FBT001 -- one signature for all readers
    contact_id = str(item["id"])
    if item.get("deleted") is True:
        return (Observation("contact", contact_id, deleted_at_ms=_latest_ms(reply)),)
    if "role" not in item:
        return _contact_stub(item, contact_id, reply)
    if is_listed:
        return (from_listing.read_contact(item, reply.as_of_ms),)
    return observations_from_fetch("contact", contact_id, FoundObject(item, reply.as_of_ms, item.get("archived")))


def _contact_stub(item: Item, contact_id: str, reply: Reply) -> tuple[Observation, ...]:
    if isinstance(item.get("archived"), bool):
        second, milliseconds = divmod(reply.as_of_ms, MS_PER_SECOND)
        # Takes the place of a notification's id, which decides within a second: sorts after all ids, and by time.
        fact = ArchivedFact(second, f"~write {milliseconds:03d}", item["archived"])
        return (Observation("contact", contact_id, archived=fact),)
    # Blocking a contact also archives it. Any other stub, such as an entry of an object's list, contains no facts.
    return (Observation("contact", contact_id, needs_refetch=True),) if "blocked" in item else ()


def _company(item: Item, reply: Reply, is_listed: bool) -> tuple[Observation, ...]:  # noqa: FBT001 -- as above
    company_id = str(item["id"])
    if item.get("deleted") is True:
        return (Observation("company", company_id, deleted_at_ms=_latest_ms(reply)),)
    if "company_id" not in item:
        return ()
    if is_listed:
        return (from_listing.read_company(item, reply.as_of_ms),)
    return observations_from_fetch("company", company_id, FoundObject(item, reply.as_of_ms))


def _tag_or_segment(item: Item, reply: Reply, is_listed: bool) -> tuple[Observation, ...]:  # noqa: FBT001 -- as above
    del is_listed
    if not isinstance(item.get("name"), str):
        return ()
    content = {name: value for name, value in item.items() if name not in _LINK_FIELDS}
    return (from_listing.named_object_reader(item["type"])(content, reply.as_of_ms),)


_READERS: dict[str, Callable[[Item, Reply, bool], tuple[Observation, ...]]] = {
    "contact": _contact,
    "company": _company,
    "tag": _tag_or_segment,
    "segment": _tag_or_segment,
}


def _link_observations(method: str, parts: list[str], body: Item, reply: Reply) -> list[Observation]:
    """Read what a call below /contacts/{id} shows of that contact's links."""
    if parts[0] != "contacts" or len(parts) not in (3, 4) or parts[2] not in _LINK_KINDS:
        return []
    kind, contact_id = _LINK_KINDS[parts[2]], parts[1]
    stamp = fetched_stamp(reply.as_of_ms)
    if method in ("POST", "DELETE") and isinstance(body.get("id"), str | int):
        pair = PairFact(stamp, str(body["id"]), present=method == "POST")
        return [Observation("contact", contact_id, pairs={kind: pair})]
    members = body.get("data") if isinstance(body.get("data"), list) else body.get(parts[2])
    if method != "GET" or len(parts) != 3 or not isinstance(members, list):  # noqa: PLR2004 -- /contacts/{id}/tags
        return []
    ids = tuple(dict.fromkeys(str(each["id"]) for each in members if isinstance(each, dict) and each.get("id")))
    # Companies come in pages; the lists of tags and segments are complete.
    return [Observation("contact", contact_id, lists={kind: ListFact(stamp, ids, parts[2] != "companies")})]
