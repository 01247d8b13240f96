"""
Writing companies: create or update by company_id, update, delete; attaching and detaching contacts.

Source:
    Intercom's OpenAPI description 2.16, "Companies".
"""

from typing import Any

from emulator.api import request_values
from emulator.api.api_call import ApiCall, Routes
from emulator.api.api_errors import bad_request, company_not_found
from emulator.api.company_routes import record_of
from emulator.api.contact_routes import record_of as contact_of
from emulator.errors import UnknownObjectError
from emulator.workspace_records import CompanyRecord


def _create_or_update(call: ApiCall) -> dict[str, Any]:
    company_id, name = call.body.get("company_id"), call.body.get("name")
    if not company_id and not name:
        raise bad_request("company_id or name is needed")
    wanted = request_values.company_values(call.body, call.api.attributes)
    field, value = ("company_id", str(company_id)) if company_id else ("name", str(name))
    known = call.api.workspace.companies.values()
    record = next((one for one in known if one.values[field] == value), None)
    if record is None:
        wanted["company_id"] = str(company_id or call.api.workspace.new_id())
        told = call.api.act(lambda workspace: workspace.create_company(wanted))
        record = record_of(call, told[0].object_id)
    else:
        call.api.act(lambda workspace: workspace.update_company(record.id, wanted))
    return _answered(call, record)


def _update(call: ApiCall, id_: str) -> dict[str, Any]:
    record = record_of(call, id_)
    wanted = request_values.company_values(call.body, call.api.attributes)
    call.api.act(lambda workspace: workspace.update_company(id_, wanted))
    return _answered(call, record)


def _answered(call: ApiCall, record: CompanyRecord) -> dict[str, Any]:
    if call.body.get("update_last_request_at") is True:
        # No topic tells of it.
        record.values["last_request_at"] = call.api.workspace.now()
        call.api.workspace.on_change(record)
    return call.api.company(record)


def _delete(call: ApiCall, id_: str) -> dict[str, Any]:
    record = record_of(call, id_)

    def delete() -> None:
        """Delete the company once its time is up."""
        try:
            call.api.act(lambda workspace: workspace.delete_company(id_))
        except UnknownObjectError:
            # Somebody else deleted it meanwhile.
            return

    # Intercom archives it behind the answer, and tells when it is done.
    if call.api.switches.delete_seconds:
        call.api.run_later(delete, call.api.switches.delete_seconds)
    else:
        delete()
    return {"id": record.id, "object": "company", "deleted": True}


def _attach(call: ApiCall, contact_id: str) -> dict[str, Any]:
    contact = contact_of(call, contact_id)
    id_ = str(call.body.get("id") or "")
    if not id_:
        raise bad_request("company not specified", "parameter_not_found")
    company = record_of(call, id_)
    most = call.api.switches.company_limit
    if id_ not in contact.company_ids and len(contact.company_ids) >= most:
        raise bad_request(f"A contact can have at most {most} companies", "contact_company_limit_exceeded")
    call.api.act(lambda workspace: workspace.attach(contact_id, id_))
    return call.api.company(company)


def _detach(call: ApiCall, contact_id: str, id_: str) -> dict[str, Any]:
    contact, company = contact_of(call, contact_id), record_of(call, id_)
    if id_ not in contact.company_ids:
        raise company_not_found()
    call.api.act(lambda workspace: workspace.detach(contact_id, id_))
    return call.api.company(company)


ROUTES: Routes = {
    ("POST", "/companies"): _create_or_update,
    ("PUT", "/companies/{}"): _update,
    ("DELETE", "/companies/{}"): _delete,
    ("POST", "/contacts/{}/companies"): _attach,
    ("DELETE", "/contacts/{}/companies/{}"): _detach,
}
