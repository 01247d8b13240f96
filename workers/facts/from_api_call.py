"""From an answer to somebody's own call to reports: what it tells of contacts, companies, tags, segments and links."""

from collections.abc import Callable, Container, Iterator
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote

from msgspec.structs import replace

from intercom_api.errors import MalformedNotificationError
from intercom_api.http.read_only import is_read_only
from intercom_api.http.replies import Reply
from models.rule.observations import FETCH_RANK, ArchivedFact, ListFact, Observation, PairFact, Report, Stamp
from workers.facts import from_listing
from workers.facts.from_fetch import FoundObject, observations_from_fetch

# A second, in milliseconds.
_SECOND = 1000

Item = dict[str, Any]

# Where lists keep their members.
_LIST_KEYS = ("data", "contacts", "companies", "tags", "segments")
# The lists of one contact, and which links they are.
_LINKS = {"companies": "contact_companies", "tags": "contact_tags", "segments": "contact_segments"}


# Type and id of an object.
TypeAndId = tuple[str, str]


def versions_in_reply(reply: Reply) -> dict[TypeAndId, int]:
    """Return which contacts and companies an answer shows and nothing beside them, and their updated_at."""
    return {
        _name(item): item["updated_at"]
        for item in _items(reply.json)
        if item["type"] in _VERSIONED and type(item.get("updated_at")) is int and not _TELLS_MORE.intersection(item)
    }


# What has a version of its own.
_VERSIONED = frozenset({"contact", "company"})
# Where an object has these, its version is not all that counts.
_TELLS_MORE = frozenset({"deleted", "merge_history"})


def asked_for(method: str, path: str) -> TypeAndId | None:
    """Return the one object that a call asks for by its id; None for every other call. `path` as in `reports`."""
    parts = path.strip("/").split("/")
    if method != "GET" or len(parts) != 2 or parts[0] not in _BY_ID:  # noqa: PLR2004 -- /contacts/{id}
        return None
    return _BY_ID[parts[0]], unquote(parts[1])


_BY_ID = {"contacts": "contact", "companies": "company"}


def _name(item: Item) -> TypeAndId:
    return item["type"], str(item.get("id"))


def reports_from_reply(
    workspace_id: str, method: str, path: str, reply: Reply, now_ms: int, known: Container[TypeAndId] = frozenset()
) -> list[Report]:
    """
    Read an answer; whatever cannot be read is left out.

    Args:
        workspace_id: whose it is; what names another one is left out.
        method: of the call.
        path: of the call, quoted.
        reply: a good answer.
        now_ms: our clock when it came.
        known: objects that are not read, as the mirror has them in this version.
    """
    if not is_read_only(method, path):
        reply = _timed(reply, now_ms)
    body = reply.json
    if body.get("object") == "company" and body.get("deleted") is True:
        body = {**body, "type": "company"}
    found = [
        seen
        for item in _items(body)
        if _name(item) not in known
        for seen in _readable(workspace_id, item, reply, listed=item is not body)
    ]
    found += _links(method, path.strip("/").split("/"), body, reply)
    return [Report(workspace_id, "write_through", (seen,)) for seen in found]


def _timed(reply: Reply, now_ms: int) -> Reply:
    """
    Say more exactly when a write was done, so that of two within a second the later one counts.

    Intercom's clock has whole seconds; within the second that it names, ours is believed.
    """
    return replace(reply, as_of_ms=min(max(now_ms, reply.as_of_ms), _by_the_end_of(reply)))


def _items(body: Item) -> Iterator[Item]:
    if body.get("type") in _READERS:
        yield body
        return
    for key in _LIST_KEYS:
        members = body.get(key)
        if isinstance(members, list):
            yield from (member for member in members if isinstance(member, dict) and member.get("type") in _READERS)


def _readable(workspace_id: str, item: Item, reply: Reply, *, listed: bool) -> tuple[Observation, ...]:
    if item.get("workspace_id", workspace_id) != workspace_id or item.get("app_id", workspace_id) != workspace_id:
        return ()
    if not isinstance(item.get("id"), str | int):
        return ()
    try:
        return _READERS[item["type"]](item, reply, listed)
    except MalformedNotificationError:
        return ()


def _contact(item: Item, reply: Reply, listed: bool) -> tuple[Observation, ...]:  # noqa: FBT001 -- of one kind with the others
    contact_id = str(item["id"])
    if item.get("deleted") is True:
        return (Observation("contact", contact_id, deleted_at_ms=_by_the_end_of(reply)),)
    if "role" not in item:
        return _stub(item, contact_id, reply)
    if listed:
        return (from_listing.read_contact(item, reply.as_of_ms),)
    archived = item.get("archived")
    return observations_from_fetch(
        "contact", contact_id, FoundObject(item, reply.as_of_ms, archived if archived is not None else None)
    )


def _stub(item: Item, contact_id: str, reply: Reply) -> tuple[Observation, ...]:
    if isinstance(item.get("archived"), bool):
        second, fine = divmod(reply.as_of_ms, _SECOND)
        # Of two within a second the later one counts, and both count more than what a notification says.
        fact = ArchivedFact(second, f"~write {fine:03d}", item["archived"])
        return (Observation("contact", contact_id, archived=fact),)
    # Blocking archives as well; entries of lists of other things name contacts and tell nothing.
    return (Observation("contact", contact_id, needs_refetch=True),) if "blocked" in item else ()


def _company(item: Item, reply: Reply, listed: bool) -> tuple[Observation, ...]:  # noqa: FBT001 -- as above
    if item.get("deleted") is True:
        return (Observation("company", str(item["id"]), deleted_at_ms=_by_the_end_of(reply)),)
    if "company_id" not in item:
        return ()
    if listed:
        return (from_listing.read_company(item, reply.as_of_ms),)
    return observations_from_fetch("company", str(item["id"]), FoundObject(item, reply.as_of_ms))


def _plain(item: Item, reply: Reply, listed: bool) -> tuple[Observation, ...]:  # noqa: FBT001 -- as above
    del listed
    if not isinstance(item.get("name"), str):
        return ()
    kept = {name: value for name, value in item.items() if name not in _ABOUT_THE_LINK}
    return (from_listing.named_object_reader(item["type"])(kept, reply.as_of_ms),)


# In the list of a contact's tags these are about the link, not the tag.
_ABOUT_THE_LINK = frozenset({"applied_at", "applied_by"})

_READERS: dict[str, Callable[[Item, Reply, bool], tuple[Observation, ...]]] = {
    "contact": _contact,
    "company": _company,
    "tag": _plain,
    "segment": _plain,
}


def _links(method: str, parts: list[str], body: Item, reply: Reply) -> list[Observation]:
    """Read what a call below /contacts/{id} tells of that contact's links."""
    if parts[0] != "contacts" or len(parts) not in (3, 4) or parts[2] not in _LINKS:
        return []
    kind, contact_id = _LINKS[parts[2]], parts[1]
    stamp = Stamp(reply.as_of_ms // _SECOND, FETCH_RANK, reply.as_of_ms % _SECOND, "")
    if method in ("POST", "DELETE") and isinstance(body.get("id"), str | int):
        pair = PairFact(stamp, str(body["id"]), present=method == "POST")
        return [Observation("contact", contact_id, pairs={kind: pair})]
    members = body.get("data") if isinstance(body.get("data"), list) else body.get(parts[2])
    if method != "GET" or len(parts) != 3 or not isinstance(members, list):  # noqa: PLR2004 -- /contacts/{id}/tags
        return []
    ids = tuple(dict.fromkeys(str(each["id"]) for each in members if isinstance(each, dict) and each.get("id")))
    # Companies come in pages; the other two lists come whole.
    return [Observation("contact", contact_id, lists={kind: ListFact(stamp, ids, parts[2] != "companies")})]


def _by_the_end_of(reply: Reply) -> int:
    """Return the last millisecond at which the answer can have been given, by Intercom's clock of whole seconds."""
    try:
        date = reply.headers.get("Date")
        second = int(parsedate_to_datetime(date).timestamp()) if date else reply.as_of_ms // _SECOND
    except ValueError:
        second = reply.as_of_ms // _SECOND
    return second * _SECOND + _SECOND - 1
