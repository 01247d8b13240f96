"""
Reading companies: one, all by page number, all by scroll.

Source:
    Intercom's OpenAPI description 2.16, "Companies"; messages as they were met in syncers.
"""

from typing import Any

from emulator import rest_json, segments
from emulator.api import pagination
from emulator.api.api_call import ApiCall, Routes
from emulator.api.api_errors import SERVER_ERROR, ApiError, bad_request, company_not_found, not_found
from emulator.api.contact_routes import form
from emulator.api.workspace_api import CompanyScroll
from emulator.random_choice import chance, random_uuid
from emulator.workspace_records import CompanyRecord

_LIST_DEFAULT = 15
_LIST_MOST = 60
_SCROLL_SIZE = 100
# A scroll that is not used for so long is gone.
_SCROLL_MS = 60_000
_CONTACTS_DEFAULT = 50


def record_of(call: ApiCall, company_id: str) -> CompanyRecord:
    """
    Return a company by Intercom's id.

    Raises:
        ApiError: 404.
    """
    record = call.api.workspace.companies.get(company_id)
    if record is None:
        raise company_not_found()
    return record


def _get(call: ApiCall, company_id: str) -> dict[str, Any]:
    return call.api.company(record_of(call, company_id))


def _find(call: ApiCall) -> dict[str, Any]:
    """Answer GET /companies: one by company_id or name, else a list, by tag or segment if wanted."""
    for name in ("company_id", "name"):
        if name in call.query:
            wanted = call.query[name]
            known = call.api.workspace.companies.values()
            record = next((one for one in known if one.values[name] == wanted), None)
            if record is None:
                raise company_not_found()
            return call.api.company(record)
    return _numbered(call, _filtered(call))


def _filtered(call: ApiCall) -> list[str]:
    known, ids = call.api.workspace.companies, call.api.listed_companies()
    if "tag_id" in call.query:
        return [id_ for id_ in ids if call.query["tag_id"] in known[id_].tag_ids]
    if "segment_id" in call.query:
        return [id_ for id_ in ids if call.query["segment_id"] in segments.of_company(known[id_])]
    return ids


def _list(call: ApiCall) -> dict[str, Any]:
    ids = call.api.listed_companies()
    if call.query.get("order") == "asc":
        ids = ids[::-1]
    page, size = call.number("page", 1), call.number("per_page", _LIST_DEFAULT, _LIST_MOST)
    if (page - 1) * size >= call.api.switches.list_wall:
        raise bad_request("page limit reached, please use scroll API")
    return _numbered(call, ids)


def _numbered(call: ApiCall, ids: list[str]) -> dict[str, Any]:
    page, size = call.number("page", 1), call.number("per_page", _LIST_DEFAULT, _LIST_MOST)
    known = call.api.workspace.companies
    total_pages = -(-len(ids) // size)
    following = f"/companies/list?per_page={size}&page={page + 1}" if page < total_pages else None
    return {
        "type": "list",
        "data": [call.api.company(known[id_]) for id_ in pagination.numbered(ids, page, size)],
        "pages": {
            "type": "pages",
            "next": following and call.url(following),
            "page": page,
            "per_page": size,
            "total_pages": total_pages,
        },
        "total_count": len(ids),
    }


def _scroll(call: ApiCall) -> dict[str, Any]:
    """Answer one page; the whole scroll is one lease of the workspace, and cannot be taken up again."""
    api, now = call.api, call.api.workspace.now()
    if api.scroll and now - api.scroll.used_ms > _SCROLL_MS:
        api.scroll = None
    scroll = _continued(call) if call.query.get("scroll_param") else _opened(call, now)
    if chance(call.rng, api.switches.scroll_error_rate):
        api.scroll = None
        text = "Request failed due to an internal network error. Please restart the scroll operation."
        raise ApiError(SERVER_ERROR, "server_error", text)
    data = _scrolled(call, scroll)
    scroll.used_ms = now
    if not data:
        api.scroll = None
    return {"type": "list", "data": data, "pages": None, "total_count": None, "scroll_param": scroll.param}


def _scrolled(call: ApiCall, scroll: CompanyScroll) -> list[dict[str, Any]]:
    """Return the next page; what was deleted since the scroll began leaves no empty one, for that means the end."""
    known = call.api.workspace.companies
    while scroll.position < len(scroll.ids):
        ids = scroll.ids[scroll.position : scroll.position + _SCROLL_SIZE]
        scroll.position += _SCROLL_SIZE
        if data := [call.api.company(known[id_]) for id_ in ids if id_ in known]:
            return data
    return []


def _opened(call: ApiCall, now: int) -> CompanyScroll:
    api = call.api
    if api.scroll or api.switches.scroll_lock:
        raise bad_request("scroll already exists for this workspace", "scroll_exists")
    api.scroll = CompanyScroll(random_uuid(call.rng), list(api.listed_companies()), 0, now)
    return api.scroll


def _continued(call: ApiCall) -> CompanyScroll:
    scroll = call.api.scroll
    if scroll is None or scroll.param != call.query["scroll_param"]:
        raise not_found("scroll parameter not found")
    return scroll


def _contacts(call: ApiCall, company_id: str) -> dict[str, Any]:
    record = record_of(call, company_id)
    size = pagination.contacts_per_page(call.query.get("per_page"), _CONTACTS_DEFAULT)
    cursor = pagination.cursor_of(call.query.get("starting_after"), kind=call.api.switches.page_errors)
    contacts = call.api.workspace.contacts
    shown = [contacts[id_] for id_ in record.contact_ids if not contacts[id_].archived]
    places = sorted((contact.values["created_at"] // 1000, contact.id) for contact in shown)
    page, after = pagination.part(places, cursor, size, descending=True)
    return {
        "type": "list",
        "data": [form(call, contacts[id_]) for _, id_ in page],
        "total_count": len(places),
        "pages": pagination.cursor_pages(len(places), size, after),
    }


def _segments(call: ApiCall, company_id: str) -> dict[str, Any]:
    ids = segments.of_company(record_of(call, company_id))
    return {"type": "list", "data": [rest_json.segment(segments.COMPANY_SEGMENTS[id_]) for id_ in ids]}


ROUTES: Routes = {
    ("GET", "/companies"): _find,
    ("POST", "/companies/list"): _list,
    ("GET", "/companies/scroll"): _scroll,
    ("GET", "/companies/{}"): _get,
    ("GET", "/companies/{}/contacts"): _contacts,
    ("GET", "/companies/{}/segments"): _segments,
}
