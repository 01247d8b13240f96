"""
Reading companies: one, all by page number, all by scroll.

Source:
    Intercom's OpenAPI description 2.16, "Companies"; messages as they were met in syncers.
"""

from typing import Any

from emulator import rest, segments
from emulator.api import pages
from emulator.api.calls import Call, Routes
from emulator.api.contacts import form
from emulator.api.faults import SERVER_ERROR, ApiError, bad_request, company_not_found, not_found
from emulator.api.tenant import Scroll
from emulator.dice import happens
from emulator.records import Company

_LIST_DEFAULT = 15
_LIST_MOST = 60
_SCROLL_SIZE = 100
# A scroll that is not used for so long is gone.
_SCROLL_MS = 60_000
_CONTACTS_DEFAULT = 50


def record_of(call: Call, company_id: str) -> Company:
    """
    Return a company by Intercom's id.

    Raises:
        ApiError: 404.
    """
    record = call.tenant.workspace.companies.get(company_id)
    if record is None:
        raise company_not_found()
    return record


def _get(call: Call, company_id: str) -> dict[str, Any]:
    return call.tenant.company(record_of(call, company_id))


def _find(call: Call) -> dict[str, Any]:
    """Answer GET /companies: one by company_id or name, else a list, by tag or segment if wanted."""
    for name in ("company_id", "name"):
        if name in call.query:
            wanted = call.query[name]
            known = call.tenant.workspace.companies.values()
            record = next((one for one in known if one.values[name] == wanted), None)
            if record is None:
                raise company_not_found()
            return call.tenant.company(record)
    return _numbered(call, _filtered(call))


def _filtered(call: Call) -> list[str]:
    known, ids = call.tenant.workspace.companies, call.tenant.listed_companies()
    if "tag_id" in call.query:
        return [id_ for id_ in ids if call.query["tag_id"] in known[id_].tag_ids]
    if "segment_id" in call.query:
        return [id_ for id_ in ids if call.query["segment_id"] in segments.of_company(known[id_])]
    return ids


def _list(call: Call) -> dict[str, Any]:
    ids = call.tenant.listed_companies()
    if call.query.get("order") == "asc":
        ids = ids[::-1]
    page, size = call.number("page", 1), call.number("per_page", _LIST_DEFAULT, _LIST_MOST)
    if (page - 1) * size >= call.tenant.quirks.list_wall:
        raise bad_request("page limit reached, please use scroll API")
    return _numbered(call, ids)


def _numbered(call: Call, ids: list[str]) -> dict[str, Any]:
    page, size = call.number("page", 1), call.number("per_page", _LIST_DEFAULT, _LIST_MOST)
    known = call.tenant.workspace.companies
    total_pages = -(-len(ids) // size)
    following = f"/companies/list?per_page={size}&page={page + 1}" if page < total_pages else None
    return {
        "type": "list",
        "data": [call.tenant.company(known[id_]) for id_ in pages.numbered(ids, page, size)],
        "pages": {
            "type": "pages",
            "next": following and call.intercom.url(call, following),
            "page": page,
            "per_page": size,
            "total_pages": total_pages,
        },
        "total_count": len(ids),
    }


def _scroll(call: Call) -> dict[str, Any]:
    """Answer one page; the whole scroll is one lease of the workspace, and cannot be taken up again."""
    tenant, now = call.tenant, call.tenant.workspace.now()
    if tenant.scroll and now - tenant.scroll.used_ms > _SCROLL_MS:
        tenant.scroll = None
    scroll = _continued(call) if call.query.get("scroll_param") else _opened(call, now)
    if happens(call.intercom.rng, tenant.quirks.scroll_error_rate):
        tenant.scroll = None
        text = "Request failed due to an internal network error. Please restart the scroll operation."
        raise ApiError(SERVER_ERROR, "server_error", text)
    data = _scrolled(call, scroll)
    scroll.used_ms = now
    if not data:
        tenant.scroll = None
    return {"type": "list", "data": data, "pages": None, "total_count": None, "scroll_param": scroll.param}


def _scrolled(call: Call, scroll: Scroll) -> list[dict[str, Any]]:
    """Return the next page; what was deleted since the scroll began leaves no empty one, for that means the end."""
    known = call.tenant.workspace.companies
    while scroll.position < len(scroll.ids):
        ids = scroll.ids[scroll.position : scroll.position + _SCROLL_SIZE]
        scroll.position += _SCROLL_SIZE
        if data := [call.tenant.company(known[id_]) for id_ in ids if id_ in known]:
            return data
    return []


def _opened(call: Call, now: int) -> Scroll:
    tenant = call.tenant
    if tenant.scroll or tenant.quirks.scroll_lock:
        raise bad_request("scroll already exists for this workspace", "scroll_exists")
    tenant.scroll = Scroll(call.intercom.new_uuid(), list(tenant.listed_companies()), 0, now)
    return tenant.scroll


def _continued(call: Call) -> Scroll:
    scroll = call.tenant.scroll
    if scroll is None or scroll.param != call.query["scroll_param"]:
        raise not_found("scroll parameter not found")
    return scroll


def _contacts(call: Call, company_id: str) -> dict[str, Any]:
    record = record_of(call, company_id)
    size = pages.contacts_per_page(call.query.get("per_page"), _CONTACTS_DEFAULT)
    cursor = pages.cursor_of(call.query.get("starting_after"), kind=call.tenant.quirks.page_errors)
    contacts = call.tenant.workspace.contacts
    shown = [contacts[id_] for id_ in record.contact_ids if not contacts[id_].archived]
    places = sorted((contact.values["created_at"] // 1000, contact.id) for contact in shown)
    page, after = pages.part(places, cursor, size, descending=True)
    return {
        "type": "list",
        "data": [form(call, contacts[id_]) for _, id_ in page],
        "total_count": len(places),
        "pages": pages.cursor_pages(len(places), size, after),
    }


def _segments(call: Call, company_id: str) -> dict[str, Any]:
    ids = segments.of_company(record_of(call, company_id))
    return {"type": "list", "data": [rest.segment(segments.COMPANY_SEGMENTS[id_]) for id_ in ids]}


ROUTES: Routes = {
    ("GET", "/companies"): _find,
    ("POST", "/companies/list"): _list,
    ("GET", "/companies/scroll"): _scroll,
    ("GET", "/companies/{}"): _get,
    ("GET", "/companies/{}/contacts"): _contacts,
    ("GET", "/companies/{}/segments"): _segments,
}
