"""The column values that an application expects, computed from the true workspace."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from tests.laws.expected_state import true_rows
from tests.laws.mirrors import Row, Snapshot
from tests.laws.true_workspace import TrueWorkspace

_CONTACT = (
    "id",
    "role",
    "external_id",
    "email",
    "phone",
    "name",
    "owner_id",
    "has_hard_bounced",
    "unsubscribed_from_emails",
    "referrer",
    "custom_attributes",
)
_CONTACT_TIMES = ("created_at", "updated_at", "signed_up_at", "last_seen_at")
_COMPANY = ("id", "company_id", "name", "size", "website", "industry", "monthly_spend", "custom_attributes")
_COMPANY_TIMES = ("created_at", "updated_at", "remote_created_at")


def wrong_columns(snapshot: Snapshot, workspace: TrueWorkspace) -> Iterator[str]:
    """Yield each column whose value differs from the workspace; columns of which it has no value must be null."""
    for key, fields in true_rows(workspace).items():
        if key in snapshot.rows:
            row = snapshot.rows[key]
            for name, value in _expected(key[0], fields).items():
                if row.columns[name] != value:
                    yield f"{key} {name} is {row.columns[name]!r}, should be {value!r}"
            if key[0] == "contact":
                yield from _flags(workspace, key[1], row)


def _flags(workspace: TrueWorkspace, contact_id: str, row: Row) -> Iterator[str]:
    flags = {
        "archived": workspace.contacts[contact_id].archived,
        "_companies_complete": True,
        "_tags_complete": True,
        "_version": workspace.contacts[contact_id].values["updated_at"] // 1000,
    }
    for name, value in flags.items():
        if row.columns[name] != value:
            yield f"{contact_id} {name} is {row.columns[name]!r}, should be {value!r}"


def _expected(object_type: str, fields: dict[str, Any]) -> dict[str, Any]:
    if object_type == "contact":
        return _contact(fields)
    if object_type == "company":
        plan = fields["plan"] or {}
        return _plain(fields, _COMPANY, _COMPANY_TIMES) | {"plan_id": plan.get("id"), "plan_name": plan.get("name")}
    return {"id": fields["id"], "name": fields["name"]}


def _contact(fields: dict[str, Any]) -> dict[str, Any]:
    place, avatar = fields["location"], fields["avatar"]
    return _plain(fields, _CONTACT, _CONTACT_TIMES) | {
        "email_domain": fields["email"] and fields["email"].split("@")[1],
        "location_country": place["country"],
        "location_region": place["region"],
        "location_city": place["city"],
        "avatar_image_url": avatar and avatar["image_url"],
        "browser": None,
        "ios_last_seen_at": None,
    }


def _plain(fields: dict[str, Any], same: tuple[str, ...], times: tuple[str, ...]) -> dict[str, Any]:
    return {name: fields[name] for name in same} | {
        name: fields[name] if fields[name] is None else datetime.fromtimestamp(fields[name], UTC) for name in times
    }
