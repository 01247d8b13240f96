"""Fetching one object from Intercom, completely: what a response truncates is fetched with further calls."""

from collections.abc import Callable
from typing import Any

from intercom_api.errors import MergedError, NotFoundError, TransientError
from intercom_api.http.client import FetchedObject, IntercomClient
from intercom_api.rate_limit.lanes import Lane
from workers.facts.from_fetch import SEARCHABLE_CONTACT, Fetch, FetchResult, FoundObject, MergedContact, MissingObject

ClientOf = Callable[[str, Lane], IntercomClient | None]

# Intercom shows this many merged contacts in a contact's history. A history of this length may be truncated.
_MAX_SHOWN_MERGES = 10

# Seconds before the next attempt for an object that changed while it was read.
_CHANGED_RETRY_SECONDS = 1.0
# The same without a connection. Objects of unconnected workspaces are not selected (workers.refetch.per_workspace), so
# this is for workspaces whose connection has just ended.
_UNCONNECTED_RETRY_SECONDS = 60.0


def intercom_fetch(client_of: ClientOf, lane: Lane = Lane.REFETCH) -> Fetch:
    """
    Return a `fetch` that calls Intercom. It may be called from several threads.

    It raises TransientError for a workspace without connection. It passes on NotAuthorizedError, after which the caller
    checks the connection, and RejectedError.

    Args:
        client_of: returns the client of a workspace, or None without connection.
        lane: the priority of its calls.
    """

    def fetch(workspace_id: str, object_type: str, object_id: str) -> FetchResult:
        client = client_of(workspace_id, lane)
        if client is None:
            raise TransientError("The workspace is not connected.", _UNCONNECTED_RETRY_SECONDS)
        try:
            fetched = _FETCHERS[object_type](client, object_id)
        except NotFoundError as error:
            return MissingObject(_known_as_of(error.as_of_ms))
        except MergedError as error:
            return MergedContact(error.into, _known_as_of(error.as_of_ms))
        try:
            complete = _COMPLETERS[object_type](client, fetched.object)
        except NotFoundError as error:
            raise TransientError("The object was deleted while it was read.", _CHANGED_RETRY_SECONDS) from error
        archived = complete.get("archived")
        return FoundObject(complete, fetched.as_of_ms, archived if isinstance(archived, bool) else None)

    return fetch


def complete_contact(client: IntercomClient, contact: dict[str, Any]) -> dict[str, Any]:
    """
    Return a contact, taken from a GET, list or search, with all its companies, tags, segments and merged contacts.

    Truncated lists cost calls. Segments, which no contact contains, always cost one.

    Raises:
        NotFoundError: it was deleted meanwhile.
    """
    contact_id = str(contact["id"])
    complete = complete_contact_lists(client, contact)
    complete["segments"] = _list(client.contact_segments(contact_id))
    history = complete.get("merge_history")
    if isinstance(history, list) and len(history) >= _MAX_SHOWN_MERGES:
        complete["merge_history"] = client.merge_history(contact_id)
    return complete


def complete_contact_lists(client: IntercomClient, contact: dict[str, Any]) -> dict[str, Any]:
    """
    Return a contact with all its companies and tags. Only truncated lists cost calls.

    Raises:
        NotFoundError: it was deleted meanwhile.
    """
    contact_id, complete = str(contact["id"]), dict(contact)
    if _is_truncated(complete.get("companies")):
        complete["companies"] = _all_companies(client, contact_id)
    if _is_truncated(complete.get("tags")):
        complete["tags"] = _list(client.contact_tags(contact_id))
    return complete


def _is_truncated(embedded: Any) -> bool:
    """Return whether an embedded list lacks members; True also for what is not a list."""
    if not isinstance(embedded, dict) or not isinstance(embedded.get("data"), list):
        return True
    total = embedded.get("total_count")
    return bool(embedded.get("has_more")) or (isinstance(total, int) and total > len(embedded["data"]))


def _all_companies(client: IntercomClient, contact_id: str) -> dict[str, Any]:
    companies: dict[str, dict[str, Any]] = {}
    total = None
    for page in client.contact_companies(contact_id):
        companies |= {str(company["id"]): {"id": company["id"]} for company in page.items if company.get("id")}
        total = page.total
    # If entries moved between pages while they were read, one may be missing. Then the list counts as truncated, and
    # the object is fetched again.
    return _list(list(companies.values()), total)


def _list(members: list[dict[str, Any]], total: int | None = None) -> dict[str, Any]:
    total = len(members) if total is None else total
    return {"type": "list", "data": members, "total_count": total, "has_more": total > len(members)}


def _complete_company(client: IntercomClient, company: dict[str, Any]) -> dict[str, Any]:
    """Add the segments if they are missing or truncated; a company's tags are always complete."""
    embedded = company.get("segments")
    if isinstance(embedded, dict) and isinstance(embedded.get("segments"), list) and not embedded.get("has_more"):
        return company
    segments = client.company_segments(str(company["id"]))
    return company | {"segments": {"type": "segment.list", "segments": segments}}


def _search_contact(client: IntercomClient, contact_id: str) -> FetchedObject:
    page = client.search_contacts({"field": "id", "operator": "=", "value": contact_id}, None, 1)
    if not page.items:
        raise NotFoundError("No search returns the contact.", as_of_ms=page.as_of_ms)
    return FetchedObject(page.items[0], page.as_of_ms)


def _as_it_is(_: IntercomClient, fetched: dict[str, Any]) -> dict[str, Any]:
    return fetched


def _known_as_of(as_of_ms: int | None) -> int:
    if as_of_ms is None:
        raise TransientError("Intercom's response has no Date.", _CHANGED_RETRY_SECONDS)
    return as_of_ms


_FETCHERS: dict[str, Callable[[IntercomClient, str], FetchedObject]] = {
    "contact": IntercomClient.contact,
    SEARCHABLE_CONTACT: _search_contact,
    "company": IntercomClient.company,
    "tag": IntercomClient.tag,
    "segment": IntercomClient.segment,
}
_COMPLETERS: dict[str, Callable[[IntercomClient, dict[str, Any]], dict[str, Any]]] = {
    "contact": complete_contact,
    SEARCHABLE_CONTACT: _as_it_is,
    "company": _complete_company,
    "tag": _as_it_is,
    "segment": _as_it_is,
}
