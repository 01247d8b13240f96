"""The data that the page shows: counts, the last changed objects, the last deliveries and their responses."""

from dataclasses import asdict
from typing import Any

from emulator.simulation import LogEntry, Simulation
from emulator.workspace_records import CompanyRecord, ContactRecord

# Rows in each table: about one screen. The search finds the others.
_ROWS = 40


def page_state(simulation: Simulation, search: str = "") -> dict[str, Any]:
    """Return all data of the page; `search` is searched for in names, emails and ids."""
    with simulation.lock:
        return {
            "workspace_id": simulation.workspace.workspace_id,
            "target": simulation.sender.target.url,
            "settings": simulation.settings(),
            "counts": _object_counts(simulation),
            "delivery": _delivery_counts(simulation),
            "log": [_log_line(simulation, entry) for entry in reversed(list(simulation.log))],
            "contacts": _contact_rows(simulation, search.casefold()),
            "companies": _company_rows(simulation, search.casefold()),
            "tags": [asdict(tag) for tag in simulation.workspace.tags.values()],
        }


def _object_counts(simulation: Simulation) -> dict[str, int]:
    workspace = simulation.workspace
    return {
        "users": len(workspace.users),
        "leads": len(workspace.leads),
        "archived": len(workspace.archived),
        "companies": len(workspace.companies),
        "merged": len(workspace.redirects),
        "deleted": len(workspace.deleted_contacts) + len(workspace.deleted_companies),
    }


def _delivery_counts(simulation: Simulation) -> dict[str, int]:
    sender = simulation.sender
    return {
        "sent": len(sender.sent),
        "acknowledged": len(sender.acknowledged),
        "lost": len(sender.lost),
        "dropped": len(sender.delivery_log.dropped),
        "waiting": sender.waiting,
    }


def _log_line(simulation: Simulation, entry: LogEntry) -> dict[str, Any]:
    workspace = simulation.workspace
    record = workspace.contacts.get(entry.object_id) or workspace.companies.get(entry.object_id)
    return asdict(entry) | {"name": _title(record) if record else entry.object_id}


def _title(record: ContactRecord | CompanyRecord) -> str:
    values = record.values
    if values["name"] or values.get("email"):
        return str(values["name"] or values["email"])
    # Leads without an email, and companies that Intercom itself creates, have no name at first.
    return f"Unnamed {values.get('role', 'company')}"


def _contact_rows(simulation: Simulation, search: str) -> list[dict[str, Any]]:
    records = [record for record in simulation.workspace.contacts.values() if _matches(record, search)]
    records.sort(key=lambda record: record.values["updated_at"], reverse=True)
    return [_contact_row(simulation, record) for record in records[:_ROWS]]


def _contact_row(simulation: Simulation, record: ContactRecord) -> dict[str, Any]:
    workspace = simulation.workspace
    return {
        "id": record.id,
        "title": _title(record),
        "archived": record.archived,
        **{name: record.values[name] for name in ("role", "name", "email", "phone", "external_id", "updated_at")},
        "unsubscribed": record.values["unsubscribed_from_emails"],
        "custom_attributes": record.values["custom_attributes"],
        "companies": [{"id": id_, "name": _title(workspace.companies[id_])} for id_ in record.company_ids],
        "tags": [{"id": id_, "name": workspace.tags[id_].name} for id_ in record.tag_ids],
    }


def _company_rows(simulation: Simulation, search: str) -> list[dict[str, Any]]:
    records = [record for record in simulation.workspace.companies.values() if _matches(record, search)]
    records.sort(key=lambda record: record.values["updated_at"], reverse=True)
    return [_company_row(record) for record in records[:_ROWS]]


def _company_row(record: CompanyRecord) -> dict[str, Any]:
    names = ("name", "company_id", "size", "industry", "website", "monthly_spend", "updated_at", "custom_attributes")
    row = {name: record.values[name] for name in names}
    return {"id": record.id, "title": _title(record), "contacts": len(record.contact_ids), **row}


def _matches(record: ContactRecord | CompanyRecord, search: str) -> bool:
    if not search:
        return True
    values = record.values
    texts = (record.id, values["name"], values.get("email"), values.get("external_id"), values.get("company_id"))
    return any(search in text.casefold() for text in texts if text)
