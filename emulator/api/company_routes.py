"""
Routes of companies: read, list by page number, scroll, create, update, delete.

Source:
    Intercom's OpenAPI description 2.16, "Companies". The messages are those that open-source syncers parse.
"""

from typing import Any

from emulator import rest_json, segments
from emulator.api import pagination, request_values
from emulator.api.api_call import ApiCall, Routes
from emulator.api.api_errors import SERVER_ERROR, ApiError, bad_request, company_not_found, not_found
from emulator.api.contact_routes import contact_page
from emulator.api.search.contact_search import Position
from emulator.api.workspace_api import CompanyScroll
from emulator.errors import UnknownObjectError
from emulator.random_choice import chance, random_uuid
from emulator.workspace_records import CompanyRecord
from intercom_api.wire.times import MS_PER_SECOND

_LIST_DEFAULT = 15
_LIST_MOST = 60
_SCROLL_SIZE = 100
# An unused scroll expires after this time.
_SCROLL_MS = 60 * MS_PER_SECOND
_CONTACTS_DEFAULT = 50


def find_company(call: ApiCall, company_id: str) -> CompanyRecord:
    """
    Return the company with this id, which is Intercom's.

    Raises:
        ApiError: 404.
    """
    record = call.api.workspace.companies.get(company_id)
    if record is None:
        raise company_not_found()
    return record


def _get(call: ApiCall, company_id: str) -> dict[str, Any]:
    return call.api.company_json(find_company(call, company_id))


def _find(call: ApiCall) -> dict[str, Any]:
    """Handle GET /companies: one company by company_id or name; otherwise a list, by tag or segment if requested."""
    for name in ("company_id", "name"):
        if name in call.query:
            record = _company_with(call, name, call.query[name])
            if record is None:
                raise company_not_found()
            return call.api.company_json(record)
    return _numbered_list(call, _filtered(call))


def _company_with(call: ApiCall, name: str, value: str) -> CompanyRecord | None:
    companies = call.api.workspace.companies.values()
    return next((record for record in companies if record.values[name] == value), None)


def _filtered(call: ApiCall) -> list[str]:
    companies, ids = call.api.workspace.companies, call.api.listed_companies()
    if "tag_id" in call.query:
        return [id_ for id_ in ids if call.query["tag_id"] in companies[id_].tag_ids]
    if "segment_id" in call.query:
        return [id_ for id_ in ids if call.query["segment_id"] in segments.of_company(companies[id_])]
    return ids


def _list(call: ApiCall) -> dict[str, Any]:
    ids = call.api.listed_companies()
    if call.query.get("order") == "asc":
        ids = ids[::-1]
    page, size = call.number("page", 1), call.number("per_page", _LIST_DEFAULT, _LIST_MOST)
    if (page - 1) * size >= call.api.switches.list_wall:
        raise bad_request("page limit reached, please use scroll API")
    return _numbered_list(call, ids)


def _numbered_list(call: ApiCall, ids: list[str]) -> dict[str, Any]:
    page, size = call.number("page", 1), call.number("per_page", _LIST_DEFAULT, _LIST_MOST)
    companies = call.api.workspace.companies
    total_pages = -(-len(ids) // size)
    next_path = f"/companies/list?per_page={size}&page={page + 1}" if page < total_pages else None
    return {
        "type": "list",
        "data": [call.api.company_json(companies[id_]) for id_ in pagination.numbered_page(ids, page, size)],
        "pages": {
            "type": "pages",
            "next": next_path and call.url(next_path),
            "page": page,
            "per_page": size,
            "total_pages": total_pages,
        },
        "total_count": len(ids),
    }


def _scroll(call: ApiCall) -> dict[str, Any]:
    """Return the next page of the scroll. A workspace has at most one scroll, and a page cannot be repeated."""
    api, now = call.api, call.api.workspace.now()
    if api.scroll and now - api.scroll.used_ms > _SCROLL_MS:
        api.scroll = None
    scroll = _continue_scroll(call) if call.query.get("scroll_param") else _open_scroll(call, now)
    if chance(call.rng, api.switches.scroll_error_rate):
        api.scroll = None
        text = "Request failed due to an internal network error. Please restart the scroll operation."
        raise ApiError(SERVER_ERROR, "server_error", text)
    data = _scroll_page(call, scroll)
    scroll.used_ms = now
    if not data:
        api.scroll = None
    return {"type": "list", "data": data, "pages": None, "total_count": None, "scroll_param": scroll.param}


def _scroll_page(call: ApiCall, scroll: CompanyScroll) -> list[dict[str, Any]]:
    """Return the next page. A page whose companies were all deleted is skipped, because an empty page means the end."""
    companies = call.api.workspace.companies
    while scroll.position < len(scroll.ids):
        ids = scroll.ids[scroll.position : scroll.position + _SCROLL_SIZE]
        scroll.position += _SCROLL_SIZE
        if data := [call.api.company_json(companies[id_]) for id_ in ids if id_ in companies]:
            return data
    return []


def _open_scroll(call: ApiCall, now: int) -> CompanyScroll:
    api = call.api
    if api.scroll or api.switches.scroll_lock:
        raise bad_request("scroll already exists for this workspace", "scroll_exists")
    api.scroll = CompanyScroll(random_uuid(call.rng), list(api.listed_companies()), 0, now)
    return api.scroll


def _continue_scroll(call: ApiCall) -> CompanyScroll:
    scroll = call.api.scroll
    if scroll is None or scroll.param != call.query["scroll_param"]:
        raise not_found("scroll parameter not found")
    return scroll


def _contacts(call: ApiCall, company_id: str) -> dict[str, Any]:
    record = find_company(call, company_id)
    size = pagination.contacts_per_page(call.query.get("per_page"), _CONTACTS_DEFAULT)
    cursor = pagination.read_cursor(call.query.get("starting_after"), empty_fails=call.api.switches.page_errors)
    contacts = call.api.workspace.contacts
    active = [contacts[id_] for id_ in record.contact_ids if not contacts[id_].archived]
    positions: list[Position] = sorted((each.values["created_at"] // MS_PER_SECOND, each.id) for each in active)
    return contact_page(call, positions, cursor, size, descending=True)


def _segments(call: ApiCall, company_id: str) -> dict[str, Any]:
    ids = segments.of_company(find_company(call, company_id))
    return {"type": "list", "data": [rest_json.segment(segments.COMPANY_SEGMENTS[id_]) for id_ in ids]}


def _create_or_update(call: ApiCall) -> dict[str, Any]:
    company_id, name = call.body.get("company_id"), call.body.get("name")
    if not company_id and not name:
        raise bad_request("company_id or name is needed")
    values = request_values.company_values(call.body, call.api.attributes)
    field, value = ("company_id", str(company_id)) if company_id else ("name", str(name))
    record = _company_with(call, field, value)
    if record is None:
        values["company_id"] = str(company_id or call.api.workspace.new_id())
        notifications = call.api.act(lambda workspace: workspace.create_company(values))
        record = find_company(call, notifications[0].object_id)
    else:
        call.api.act(lambda workspace: workspace.update_company(record.id, values))
    return _written(call, record)


def _update(call: ApiCall, id_: str) -> dict[str, Any]:
    record = find_company(call, id_)
    values = request_values.company_values(call.body, call.api.attributes)
    call.api.act(lambda workspace: workspace.update_company(id_, values))
    return _written(call, record)


def _written(call: ApiCall, record: CompanyRecord) -> dict[str, Any]:
    """Set the time of the last request if the body requests it, and return the company."""
    if call.body.get("update_last_request_at") is True:
        # No notification is sent for this change.
        record.values["last_request_at"] = call.api.workspace.now()
        call.api.workspace.on_change(record)
    return call.api.company_json(record)


def _delete(call: ApiCall, id_: str) -> dict[str, Any]:
    record = find_company(call, id_)

    def delete() -> None:
        """Delete the company, unless another call has deleted it meanwhile."""
        try:
            call.api.act(lambda workspace: workspace.delete_company(id_))
        except UnknownObjectError:
            return

    # Intercom deletes after the response, and sends the notification when the deletion is done.
    if call.api.switches.delete_seconds:
        call.api.run_later(delete, call.api.switches.delete_seconds)
    else:
        delete()
    return {"id": record.id, "object": "company", "deleted": True}


ROUTES: Routes = {
    ("GET", "/companies"): _find,
    ("POST", "/companies"): _create_or_update,
    ("POST", "/companies/list"): _list,
    ("GET", "/companies/scroll"): _scroll,
    ("GET", "/companies/{}"): _get,
    ("PUT", "/companies/{}"): _update,
    ("DELETE", "/companies/{}"): _delete,
    ("GET", "/companies/{}/contacts"): _contacts,
    ("GET", "/companies/{}/segments"): _segments,
}
