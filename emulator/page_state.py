"""What the page shows: counts, the objects that changed last, and the last deliveries with their answers."""

from dataclasses import asdict
from typing import Any

from emulator.simulation import LogEntry, Simulation
from emulator.workspace_records import CompanyRecord, ContactRecord

# Rows of each table: what fits on a screen; the search finds the others.
_ROWS = 40


def state(engine: Simulation, search: str = "") -> dict[str, Any]:
    """Return everything that the page shows; `search` is looked for in names, emails and ids."""
    with engine.lock:
        return {
            "workspace_id": engine.workspace.workspace_id,
            "target": engine.sender.target.url,
            "settings": engine.settings(),
            "counts": _counts(engine),
            "delivery": _delivery(engine),
            "log": [_line(engine, entry) for entry in reversed(list(engine.log))],
            "contacts": _contacts(engine, search.casefold()),
            "companies": _companies(engine, search.casefold()),
            "tags": [asdict(tag) for tag in engine.workspace.tags.values()],
        }


def _counts(engine: Simulation) -> dict[str, int]:
    workspace = engine.workspace
    return {
        "users": len(workspace.users),
        "leads": len(workspace.leads),
        "archived": len(workspace.archived),
        "companies": len(workspace.companies),
        "merged": len(workspace.redirects),
        "deleted": len(workspace.deleted_contacts) + len(workspace.deleted_companies),
    }


def _delivery(engine: Simulation) -> dict[str, int]:
    sender = engine.sender
    return {
        "sent": len(sender.sent),
        "acknowledged": len(sender.acknowledged),
        "lost": len(sender.lost),
        "dropped": len(sender.delivery_log.dropped),
        "waiting": sender.waiting,
    }


def _line(engine: Simulation, entry: LogEntry) -> dict[str, Any]:
    workspace = engine.workspace
    record = workspace.contacts.get(entry.object_id) or workspace.companies.get(entry.object_id)
    return asdict(entry) | {"name": _name(record) if record else entry.object_id}


def _name(record: ContactRecord | CompanyRecord) -> str:
    values = record.values
    if values["name"] or values.get("email"):
        return str(values["name"] or values["email"])
    # Leads have said nothing yet, and companies that Intercom makes itself have no name at first.
    return f"Unnamed {values.get('role', 'company')}"


def _contacts(engine: Simulation, search: str) -> list[dict[str, Any]]:
    records = [r for r in engine.workspace.contacts.values() if _matches(r, search)]
    records.sort(key=lambda record: record.values["updated_at"], reverse=True)
    return [_contact_row(engine, record) for record in records[:_ROWS]]


def _contact_row(engine: Simulation, record: ContactRecord) -> dict[str, Any]:
    workspace = engine.workspace
    return {
        "id": record.id,
        "title": _name(record),
        "archived": record.archived,
        **{name: record.values[name] for name in ("role", "name", "email", "phone", "external_id", "updated_at")},
        "unsubscribed": record.values["unsubscribed_from_emails"],
        "custom_attributes": record.values["custom_attributes"],
        "companies": [{"id": id_, "name": _name(workspace.companies[id_])} for id_ in record.company_ids],
        "tags": [{"id": id_, "name": workspace.tags[id_].name} for id_ in record.tag_ids],
    }


def _companies(engine: Simulation, search: str) -> list[dict[str, Any]]:
    records = [r for r in engine.workspace.companies.values() if _matches(r, search)]
    records.sort(key=lambda record: record.values["updated_at"], reverse=True)
    return [_company_row(record) for record in records[:_ROWS]]


def _company_row(record: CompanyRecord) -> dict[str, Any]:
    names = ("name", "company_id", "size", "industry", "website", "monthly_spend", "updated_at", "custom_attributes")
    row = {name: record.values[name] for name in names}
    return {"id": record.id, "title": _name(record), "contacts": len(record.contact_ids), **row}


def _matches(record: ContactRecord | CompanyRecord, search: str) -> bool:
    if not search:
        return True
    values = record.values
    words = (record.id, values["name"], values.get("email"), values.get("external_id"), values.get("company_id"))
    return any(search in word.casefold() for word in words if word)
