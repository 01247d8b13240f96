"""Asking Intercom for one object, whole: what an answer cuts short is fetched as well."""

from collections.abc import Callable
from typing import Any

from intercom_api.errors import MergedError, NotFoundError, TransientError
from intercom_api.http.client import FetchedObject, IntercomClient
from intercom_api.rate_limit.lanes import Lane
from workers.facts.from_fetch import SEARCHABLE_CONTACT, Fetch, FetchResult, FoundObject, MergedContact, MissingObject

ClientOf = Callable[[str, Lane], IntercomClient | None]

# A contact shows this many of those that became part of it; whoever shows so many may have more.
_SHOWN_MERGES = 10

# Seconds. An object that changes while it is read has settled a moment later; a workspace that nobody is connected to
# is not asked for until somebody is, so this is only for those whose connection has just ended.
_CHANGED_PAUSE = 1.0
_UNCONNECTED_PAUSE = 60.0


def intercom_fetch(client_of: ClientOf, lane: Lane = Lane.REFETCH) -> Fetch:
    """
    Return a `fetch` that asks Intercom, for threads.

    It raises TransientError where nobody is connected, and passes on NotAuthorizedError, upon which the caller
    disconnects, and RejectedError.

    Args:
        client_of: the client of a workspace, None if nobody is connected.
        lane: whose right of way it uses.
    """

    def fetch(workspace_id: str, object_type: str, object_id: str) -> FetchResult:
        client = client_of(workspace_id, lane)
        if client is None:
            raise TransientError("Nobody is connected to the workspace.", _UNCONNECTED_PAUSE)
        try:
            found = _ASKERS[object_type](client, object_id)
        except NotFoundError as error:
            return MissingObject(_as_of(error.as_of_ms))
        except MergedError as error:
            return MergedContact(error.into, _as_of(error.as_of_ms))
        try:
            whole = _COMPLETERS[object_type](client, found.object)
        except NotFoundError as error:
            raise TransientError("The object vanished while it was read.", _CHANGED_PAUSE) from error
        archived = whole.get("archived")
        return FoundObject(whole, found.as_of_ms, archived if isinstance(archived, bool) else None)

    return fetch


def whole_contact(client: IntercomClient, contact: dict[str, Any]) -> dict[str, Any]:
    """
    Return a contact of any GET, list or search with all its companies, tags and segments.

    Only lists that are cut cost calls; segments, which no contact carries, cost one.

    Raises:
        NotFoundError: it vanished meanwhile.
    """
    contact_id = str(contact["id"])
    whole = with_whole_lists(client, contact)
    whole["segments"] = _list(client.contact_segments(contact_id))
    history = whole.get("merge_history")
    if isinstance(history, list) and len(history) >= _SHOWN_MERGES:
        whole["merge_history"] = client.merge_history(contact_id)
    return whole


def with_whole_lists(client: IntercomClient, contact: dict[str, Any]) -> dict[str, Any]:
    """
    Return a contact with all its companies and tags, at the cost of calls only where they are cut.

    Raises:
        NotFoundError: it vanished meanwhile.
    """
    contact_id, whole = str(contact["id"]), dict(contact)
    if is_cut(whole.get("companies")):
        whole["companies"] = _companies(client, contact_id)
    if is_cut(whole.get("tags")):
        whole["tags"] = _list(client.contact_tags(contact_id))
    return whole


def is_cut(embedded: Any) -> bool:
    """Tell whether an embedded list shows some of its members only, or none because it is no list at all."""
    if not isinstance(embedded, dict) or not isinstance(embedded.get("data"), list):
        return True
    total = embedded.get("total_count")
    return bool(embedded.get("has_more")) or (isinstance(total, int) and total > len(embedded["data"]))


def _companies(client: IntercomClient, contact_id: str) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = {}
    total = None
    for page in client.contact_companies(contact_id):
        found |= {str(company["id"]): {"id": company["id"]} for company in page.items if company.get("id")}
        total = page.total
    # Pages that moved while they were read may have left one out: then the list stays a cut one, and is read again.
    return _list(list(found.values()), total)


def _list(members: list[dict[str, Any]], total: int | None = None) -> dict[str, Any]:
    total = len(members) if total is None else total
    return {"type": "list", "data": members, "total_count": total, "has_more": total > len(members)}


def _whole_company(client: IntercomClient, company: dict[str, Any]) -> dict[str, Any]:
    """Add the segments where a company came without; its tags always come whole."""
    embedded = company.get("segments")
    if isinstance(embedded, dict) and isinstance(embedded.get("segments"), list) and not embedded.get("has_more"):
        return company
    segments = client.company_segments(str(company["id"]))
    return company | {"segments": {"type": "segment.list", "segments": segments}}


def _listed(client: IntercomClient, contact_id: str) -> FetchedObject:
    page = client.search_contacts({"field": "id", "operator": "=", "value": contact_id}, None, 1)
    if not page.items:
        raise NotFoundError("No search shows the contact.", as_of_ms=page.as_of_ms)
    return FetchedObject(page.items[0], page.as_of_ms)


def _as_is(_: IntercomClient, found: dict[str, Any]) -> dict[str, Any]:
    return found


def _as_of(as_of_ms: int | None) -> int:
    if as_of_ms is None:
        raise TransientError("Intercom did not say when that was so.", _CHANGED_PAUSE)
    return as_of_ms


_ASKERS: dict[str, Callable[[IntercomClient, str], FetchedObject]] = {
    "contact": IntercomClient.contact,
    SEARCHABLE_CONTACT: _listed,
    "company": IntercomClient.company,
    "tag": IntercomClient.tag,
    "segment": IntercomClient.segment,
}
_COMPLETERS: dict[str, Callable[[IntercomClient, dict[str, Any]], dict[str, Any]]] = {
    "contact": whole_contact,
    SEARCHABLE_CONTACT: _as_is,
    "company": _whole_company,
    "tag": _as_is,
    "segment": _as_is,
}
