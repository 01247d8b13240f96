"""
Reading contacts: one, all, those that a search finds.

Source:
    Intercom's OpenAPI description 2.16, "Contacts"; contacts that were merged: its changelog.
"""

from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from emulator.api import pagination
from emulator.api.api_call import EXACT_SECONDS, STRINGS_AND_GONE, ApiCall, Routes
from emulator.api.api_errors import GONE, ApiError, bad_request, contact_not_found, parameter_invalid
from emulator.api.api_request import ApiResponse
from emulator.api.search.contact_search import Place, SortOrder
from emulator.api.search.query_parser import QueryParser
from emulator.api.search.search_fields import field_named
from emulator.workspace_records import ContactRecord

_LIST_DEFAULT = 10
_SEARCH_DEFAULT = 50
# A merged contact's address leads on over at most so many merges.
_HOPS = 3
_DIRECTIONS = {"ascending": False, "asc": False, "descending": True, "desc": True}


def record_of(call: ApiCall, contact_id: str) -> ContactRecord:
    """
    Return a contact that a GET by id finds, archived or not.

    Raises:
        ApiError: 404, or 410 if it was merged (404 before API 2.16).
    """
    workspace = call.api.workspace
    record = workspace.contacts.get(contact_id)
    if record is not None and (call.api.switches.show_archived or not record.archived):
        return record
    if contact_id in workspace.redirects and call.version >= STRINGS_AND_GONE:
        raise _merged(call, contact_id)
    raise contact_not_found()


def form(call: ApiCall, record: ContactRecord) -> msgspec.Raw:
    """Return a contact as this call's version shows it."""
    return call.api.contact(record, text_owner=call.version >= STRINGS_AND_GONE)


def _merged(call: ApiCall, contact_id: str) -> ApiError:
    into = contact_id
    for _ in range(_HOPS):
        into = call.api.workspace.redirects.get(into, into)
    link = {"Link": f'</contacts/{into}>; rel="canonical"'}
    return ApiError(GONE, "contact_merged", "This contact was merged into another contact", link)


def _get(call: ApiCall, contact_id: str) -> ApiResponse:
    record = record_of(call, contact_id)
    shown = form(call, record)
    if call.query.get("include_merge_history") != "true" or call.version < STRINGS_AND_GONE:
        return ApiResponse(content=shown)
    item: dict[str, Any] = msgspec.json.decode(shown)
    return ApiResponse(content=item | {"merge_history": merges_into(call, record)[:_LIST_DEFAULT]})


def _find(call: ApiCall, external_id: str) -> ApiResponse:
    found = call.api.identities.having("external_id", external_id)
    user = next((record for record in found if record.role == "user" and not record.archived), None)
    if user is None:
        raise contact_not_found()
    return ApiResponse(content=form(call, user))


def _list(call: ApiCall) -> dict[str, Any]:
    size = pagination.contacts_per_page(call.query.get("per_page"), _LIST_DEFAULT)
    cursor = pagination.cursor_of(call.query.get("starting_after"), kind=call.api.switches.page_errors)
    index = call.api.index
    index.refresh()
    places: list[Place] = index.orders["updated_at"]
    return _page(call, places, cursor, size, descending=True)


def _search(call: ApiCall) -> dict[str, Any]:
    if "query" not in call.body:
        raise bad_request("The parameter query is missing", "parameter_not_found")
    reader = _reader(call)
    query = reader.read(call.body["query"])
    paging = call.body.get("pagination") or {}
    if not isinstance(paging, dict):
        raise parameter_invalid("pagination must be an object")
    size = pagination.contacts_per_page(paging.get("per_page"), _SEARCH_DEFAULT)
    cursor = pagination.cursor_of(paging.get("starting_after"), kind=call.api.switches.page_errors)
    order = _order(reader, call.body.get("sort") or {})
    asked = msgspec.json.encode([call.body["query"], order.field.name, reader.day and reader.day.key]).decode()
    places = call.api.finder.find(asked, query, order)
    return _page(call, places, cursor, size, descending=order.descending)


def _reader(call: ApiCall) -> QueryParser:
    exact = call.version >= EXACT_SECONDS or call.api.switches.version_grain == "second"
    timezone = ZoneInfo(call.api.workspace.timezone)
    types = call.api.attributes.types("contact")
    return QueryParser(types, None if exact else timezone, ZoneInfo("Etc/UTC") if exact else timezone)


def _order(reader: QueryParser, sort: object) -> SortOrder:
    if not isinstance(sort, dict):
        raise parameter_invalid("sort must be an object")
    direction = sort.get("order", "descending")
    if not isinstance(direction, str) or direction not in _DIRECTIONS:
        raise bad_request("sort.order is ascending or descending", "invalid_sort_order")
    return SortOrder(field_named(sort.get("field", "updated_at"), reader.custom), _DIRECTIONS[direction])


def _page(call: ApiCall, places: list[Place], cursor: str | None, size: int, *, descending: bool) -> dict[str, Any]:
    page, after = pagination.part(places, cursor, size, descending=descending)
    contacts = call.api.workspace.contacts
    return {
        "type": "list",
        "data": [form(call, contacts[id_]) for _, id_ in page],
        "total_count": len(places),
        "pages": pagination.cursor_pages(len(places), size, after),
    }


def merges_into(call: ApiCall, record: ContactRecord) -> list[dict[str, Any]]:
    """Return the merges that a user survived, the newest first."""
    merges = [merge for merge in call.api.workspace.merges if merge.into_id == record.id]
    return [
        {
            "type": "merge_history",
            "source_contact_id": merge.from_id,
            "source_contact_role": merge.role,
            "merged_at": merge.at // 1000,
        }
        for merge in reversed(merges)
    ]


def _merge_history(call: ApiCall, contact_id: str) -> dict[str, Any]:
    record = record_of(call, contact_id)
    if record.role != "user" or call.version < STRINGS_AND_GONE:
        raise contact_not_found()
    merges = merges_into(call, record)
    if call.query.get("order") in ("asc", "ascending"):
        merges.reverse()
    size = pagination.contacts_per_page(call.query.get("per_page"), _SEARCH_DEFAULT)
    start = call.number("cursor", 1) - 1
    more = start + size < len(merges)
    following = str(start + size + 1) if more else None
    return {"type": "list", "data": merges[start : start + size], "next_cursor": following, "has_more": more}


ROUTES: Routes = {
    ("GET", "/contacts"): _list,
    ("POST", "/contacts/search"): _search,
    ("GET", "/contacts/find_by_external_id/{}"): _find,
    ("GET", "/contacts/{}"): _get,
    ("GET", "/contacts/{}/merge_history"): _merge_history,
}
