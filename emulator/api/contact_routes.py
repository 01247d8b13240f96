"""
Routes of contacts: read, list, search, create, update, archive, delete, block, merge.

Source:
    Intercom's OpenAPI description 2.16, "Contacts"; its changelog for merged contacts. The messages of the two kinds of
    409 are those that open-source syncers parse.
"""

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from emulator.api import pagination, request_values
from emulator.api.api_call import EXACT_SECONDS, STRINGS_AND_GONE, ApiCall, Routes
from emulator.api.api_errors import CONFLICT, GONE, ApiError, bad_request, contact_not_found, parameter_invalid
from emulator.api.api_request import ApiResponse
from emulator.api.search.contact_search import Position, SortOrder
from emulator.api.search.query_parser import QueryParser
from emulator.api.search.search_fields import find_field
from emulator.emulated_notification import EmulatedNotification
from emulator.subscription_types import SUBSCRIPTION_TYPE_IDS
from emulator.workspace import EmulatedWorkspace
from emulator.workspace_records import ContactRecord
from intercom_api.wire.times import MS_PER_SECOND

_LIST_DEFAULT = 10
_SEARCH_DEFAULT = 50
_MERGES_IN_CONTACT = 10
# The Link header of a merged contact follows at most this many merges.
_LONGEST_CHAIN = 3
_DIRECTIONS = {"ascending": False, "asc": False, "descending": True, "desc": True}


def find_contact(call: ApiCall, contact_id: str) -> ContactRecord:
    """
    Return the contact with this id, archived or not.

    Raises:
        ApiError: 404; 410 for a merged contact (404 before API 2.16).
    """
    workspace = call.api.workspace
    record = workspace.contacts.get(contact_id)
    if record is not None and (call.api.switches.show_archived or not record.archived):
        return record
    if contact_id in workspace.redirects and call.version >= STRINGS_AND_GONE:
        raise _merged(call, contact_id)
    raise contact_not_found()


def contact_json(call: ApiCall, record: ContactRecord) -> msgspec.Raw:
    """Return the JSON of a contact in the version of the call."""
    return call.api.contact_json(record, text_owner=call.version >= STRINGS_AND_GONE)


def _merged(call: ApiCall, contact_id: str) -> ApiError:
    into = contact_id
    for _ in range(_LONGEST_CHAIN):
        into = call.api.workspace.redirects.get(into, into)
    link = {"Link": f'</contacts/{into}>; rel="canonical"'}
    return ApiError(GONE, "contact_merged", "This contact was merged into another contact", link)


def _get(call: ApiCall, contact_id: str) -> ApiResponse:
    record = find_contact(call, contact_id)
    encoded = contact_json(call, record)
    if call.query.get("include_merge_history") != "true" or call.version < STRINGS_AND_GONE:
        return ApiResponse(content=encoded)
    item: dict[str, Any] = msgspec.json.decode(encoded)
    return ApiResponse(content=item | {"merge_history": _merges_into(call, record)[:_MERGES_IN_CONTACT]})


def _find_by_external_id(call: ApiCall, external_id: str) -> ApiResponse:
    records = call.api.lookup.find("external_id", external_id)
    user = next((record for record in records if record.role == "user" and not record.archived), None)
    if user is None:
        raise contact_not_found()
    return ApiResponse(content=contact_json(call, user))


def _list(call: ApiCall) -> dict[str, Any]:
    size = pagination.contacts_per_page(call.query.get("per_page"), _LIST_DEFAULT)
    cursor = pagination.read_cursor(call.query.get("starting_after"), empty_fails=call.api.switches.page_errors)
    index = call.api.index
    index.refresh()
    positions: list[Position] = index.orders["updated_at"]
    return contact_page(call, positions, cursor, size, descending=True)


def _search(call: ApiCall) -> dict[str, Any]:
    if "query" not in call.body:
        raise bad_request("The parameter query is missing", "parameter_not_found")
    parser = _query_parser(call)
    query = parser.parse(call.body["query"])
    paging = call.body.get("pagination") or {}
    if not isinstance(paging, dict):
        raise parameter_invalid("pagination must be an object")
    size = pagination.contacts_per_page(paging.get("per_page"), _SEARCH_DEFAULT)
    cursor = pagination.read_cursor(paging.get("starting_after"), empty_fails=call.api.switches.page_errors)
    order = _sort_order(parser, call.body.get("sort") or {})
    day = parser.day and parser.day.key
    cache_key = msgspec.json.encode([call.body["query"], order.field.name, day]).decode()
    positions = call.api.search.find(cache_key, query, order)
    return contact_page(call, positions, cursor, size, descending=order.descending)


def _query_parser(call: ApiCall) -> QueryParser:
    exact = call.version >= EXACT_SECONDS or call.api.switches.version_grain == "second"
    timezone = ZoneInfo(call.api.workspace.timezone)
    types = call.api.attributes.types("contact")
    return QueryParser(types, None if exact else timezone, ZoneInfo("Etc/UTC") if exact else timezone)


def _sort_order(parser: QueryParser, sort: object) -> SortOrder:
    if not isinstance(sort, dict):
        raise parameter_invalid("sort must be an object")
    direction = sort.get("order", "descending")
    if not isinstance(direction, str) or direction not in _DIRECTIONS:
        raise bad_request("sort.order is ascending or descending", "invalid_sort_order")
    return SortOrder(find_field(sort.get("field", "updated_at"), parser.custom), _DIRECTIONS[direction])


def contact_page(
    call: ApiCall, positions: list[Position], cursor: str | None, size: int, *, descending: bool
) -> dict[str, Any]:
    """Return a page of contacts; see `pagination.cursor_page`."""
    page, next_cursor = pagination.cursor_page(positions, cursor, size, descending=descending)
    contacts = call.api.workspace.contacts
    return {
        "type": "list",
        "data": [contact_json(call, contacts[id_]) for _, id_ in page],
        "total_count": len(positions),
        "pages": pagination.cursor_pages(len(positions), size, next_cursor),
    }


def _merges_into(call: ApiCall, record: ContactRecord) -> list[dict[str, Any]]:
    """Return the merges into a user, newest first."""
    merges = [merge for merge in call.api.workspace.merges if merge.into_id == record.id]
    return [
        {
            "type": "merge_history",
            "source_contact_id": merge.from_id,
            "source_contact_role": merge.role,
            "merged_at": merge.at // MS_PER_SECOND,
        }
        for merge in reversed(merges)
    ]


def _merge_history(call: ApiCall, contact_id: str) -> dict[str, Any]:
    record = find_contact(call, contact_id)
    if record.role != "user" or call.version < STRINGS_AND_GONE:
        raise contact_not_found()
    merges = _merges_into(call, record)
    if call.query.get("order") in ("asc", "ascending"):
        merges.reverse()
    size = pagination.contacts_per_page(call.query.get("per_page"), _SEARCH_DEFAULT)
    start = call.number("cursor", 1) - 1
    more = start + size < len(merges)
    next_cursor = str(start + size + 1) if more else None
    return {"type": "list", "data": merges[start : start + size], "next_cursor": next_cursor, "has_more": more}


def _create(call: ApiCall) -> ApiResponse:
    body = call.body
    if not any(body.get(name) for name in ("email", "external_id", "role")):
        raise bad_request("email, external_id or role is needed", "parameter_not_found")
    role = _read_role(call, "user")
    values = request_values.contact_values(body, call.api.attributes)
    _refuse_duplicate(call, role, values, None)
    notifications = call.api.act(lambda workspace: workspace.create_contact(role, values))
    return ApiResponse(content=contact_json(call, find_contact(call, notifications[0].object_id)))


def _read_role(call: ApiCall, default: str) -> str:
    role = call.body.get("role") or default
    if role not in ("user", "lead"):
        raise parameter_invalid("role is user or lead")
    return str(role)


def _refuse_duplicate(call: ApiCall, role: str, values: Mapping[str, Any], own_id: str | None) -> None:
    duplicate = _find_duplicate(call, role, values, own_id)
    if duplicate is not None:
        start = "An archived contact" if duplicate.archived else "A contact"
        raise ApiError(CONFLICT, "conflict", f"{start} matching those details already exists with id={duplicate.id}")


def _find_duplicate(call: ApiCall, role: str, values: Mapping[str, Any], own_id: str | None) -> ContactRecord | None:
    """Find another contact with this external_id or, for a user without an external_id in the request, this email."""
    lookup = call.api.lookup
    external_id, email = values.get("external_id"), values.get("email")
    records = lookup.find("external_id", external_id) if external_id else []
    if not records and email and not external_id and role == "user":
        records = [record for record in lookup.find("email", email) if record.role == "user"]
    return next((record for record in records if record.id != own_id), None)


def _update(call: ApiCall, contact_id: str) -> ApiResponse:
    record = find_contact(call, contact_id)
    role = _read_role(call, record.role)
    if (record.role, role) == ("user", "lead"):
        raise bad_request("Converting a user to a lead is not supported", "client_error")
    values = request_values.contact_values(call.body, call.api.attributes)
    changed = {name: value for name, value in values.items() if value != record.values[name]}
    _refuse_duplicate(call, role, changed, contact_id)
    call.api.act(lambda workspace: _apply_update(workspace, record, role, values))
    return ApiResponse(content=contact_json(call, record))


def _apply_update(
    workspace: EmulatedWorkspace, record: ContactRecord, role: str, values: dict[str, Any]
) -> list[EmulatedNotification]:
    notifications: list[EmulatedNotification] = []
    if role != record.role:
        external_id = values.pop("external_id", None) or record.values["external_id"]
        notifications += workspace.sign_up_lead(record.id, external_id)
    unsubscribed = values.pop("unsubscribed_from_emails", None)
    notifications += workspace.update_contact(record.id, values)
    if unsubscribed is not None:
        type_id = SUBSCRIPTION_TYPE_IDS[0]
        notifications += workspace.set_email_consent(record.id, type_id, subscribed=not unsubscribed)
    return notifications


def _stub(record: ContactRecord, key: str, *, value: bool = True) -> dict[str, Any]:
    return {"type": "contact", "id": record.id, "external_id": record.values["external_id"], key: value}


def _archive(call: ApiCall, contact_id: str) -> dict[str, Any]:
    record = find_contact(call, contact_id)
    if not record.archived:
        call.api.act(lambda workspace: workspace.archive_contact(contact_id))
    return _stub(record, "archived")


def _block(call: ApiCall, contact_id: str) -> dict[str, Any]:
    record = find_contact(call, contact_id)
    _archive(call, contact_id)
    return _stub(record, "blocked")


def _unarchive(call: ApiCall, contact_id: str) -> dict[str, Any]:
    if contact_id in call.api.workspace.redirects:
        raise bad_request("User has been merged and is not restorable")
    record = call.api.workspace.contacts.get(contact_id)
    if record is None:
        raise contact_not_found()
    call.api.act(lambda workspace: workspace.unarchive_contact(contact_id))
    return _stub(record, "archived", value=False)


def _delete(call: ApiCall, contact_id: str) -> dict[str, Any]:
    record = find_contact(call, contact_id)
    call.api.act(lambda workspace: workspace.delete_contact(contact_id))
    return _stub(record, "deleted")


def _merge(call: ApiCall) -> ApiResponse:
    from_id, into_id = call.required("from"), call.required("into")
    contacts = call.api.workspace.contacts
    if from_id not in contacts or into_id not in contacts:
        raise contact_not_found()
    source, survivor = contacts[from_id], contacts[into_id]
    if (source.role, survivor.role) != ("lead", "user"):
        raise bad_request("Only a lead can be merged, and only into a user", "invalid_merge")
    strict = call.version >= STRINGS_AND_GONE and call.body.get("skip_duplicate_validation") is not True
    if strict and not any(_share_value(source, survivor, name) for name in ("email", "phone")):
        raise bad_request("The contacts are no duplicates by email or phone", "invalid_merge")
    call.api.act(lambda workspace: workspace.merge_contacts(from_id, into_id))
    return ApiResponse(content=contact_json(call, survivor))


def _share_value(one: ContactRecord, other: ContactRecord, name: str) -> bool:
    return bool(one.values[name]) and one.values[name] == other.values[name]


ROUTES: Routes = {
    ("GET", "/contacts"): _list,
    ("POST", "/contacts"): _create,
    ("POST", "/contacts/search"): _search,
    ("POST", "/contacts/merge"): _merge,
    ("GET", "/contacts/find_by_external_id/{}"): _find_by_external_id,
    ("GET", "/contacts/{}"): _get,
    ("PUT", "/contacts/{}"): _update,
    ("DELETE", "/contacts/{}"): _delete,
    ("GET", "/contacts/{}/merge_history"): _merge_history,
    ("POST", "/contacts/{}/archive"): _archive,
    ("POST", "/contacts/{}/unarchive"): _unarchive,
    ("POST", "/contacts/{}/block"): _block,
}
