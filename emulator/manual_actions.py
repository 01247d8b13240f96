"""The manual actions of the page: creating objects, setting fields, and named actions on one contact or company."""

from collections.abc import Callable
from typing import Any

from emulator import fake_data
from emulator.emulated_notification import EmulatedNotification
from emulator.errors import RefusedError
from emulator.subscription_types import SUBSCRIPTION_TYPE_IDS
from emulator.workspace import EmulatedWorkspace

# The workspace, the object's id, and the id of a second object where the action has one.
Action = Callable[[EmulatedWorkspace, str, str], list[EmulatedNotification]]

_NEWSLETTER = SUBSCRIPTION_TYPE_IDS[0]

_CONTACT_ACTIONS: dict[str, Action] = {
    "archive": lambda workspace, id_, _: workspace.archive_contact(id_),
    "unarchive": lambda workspace, id_, _: workspace.unarchive_contact(id_),
    "delete": lambda workspace, id_, _: workspace.delete_contact(id_),
    "sign_up": lambda workspace, id_, _: workspace.sign_up_lead(
        id_, fake_data.random_person(workspace.rng)["external_id"]
    ),
    "merge": lambda workspace, id_, other: workspace.merge_contacts(id_, other),
    "tag": lambda workspace, id_, other: workspace.tag(id_, other),
    "untag": lambda workspace, id_, other: workspace.untag(id_, other),
    "attach": lambda workspace, id_, other: workspace.attach(id_, other),
    "detach": lambda workspace, id_, other: workspace.detach(id_, other),
    "subscribe": lambda workspace, id_, _: workspace.set_email_consent(id_, _NEWSLETTER, subscribed=True),
    "unsubscribe": lambda workspace, id_, _: workspace.set_email_consent(id_, _NEWSLETTER, subscribed=False),
}
_COMPANY_ACTIONS: dict[str, Action] = {
    "delete": lambda workspace, id_, _: workspace.delete_company(id_),
    "tag": lambda workspace, id_, other: workspace.tag_company(id_, other),
}
_CONTACT_FIELDS: dict[str, type] = {
    "name": str,
    "email": str,
    "phone": str,
    "external_id": str,
    "custom_attributes": dict,
}
_COMPANY_FIELDS: dict[str, type] = {
    "name": str,
    "website": str,
    "industry": str,
    "size": int,
    "monthly_spend": int,
    "custom_attributes": dict,
}


def create(workspace: EmulatedWorkspace, kind: str, values: dict[str, Any]) -> list[EmulatedNotification]:
    """
    Create a "user", "lead" or "company" with these values and invented ones for the rest.

    Raises:
        RefusedError: another kind, or a value that cannot be set.
    """
    if kind == "company":
        return workspace.create_company(fake_data.random_company(workspace.rng) | values)
    if kind == "user":
        person = fake_data.random_person(workspace.rng) | {"signed_up_at": workspace.now()}
        return workspace.create_contact("user", person | values)
    if kind == "lead":
        return workspace.create_contact("lead", fake_data.random_visitor(workspace.rng) | values)
    raise RefusedError("Only a user, a lead or a company can be created.")


def act(
    workspace: EmulatedWorkspace, object_type: str, id_: str, action: str, other: str
) -> list[EmulatedNotification]:
    """
    Run a named action.

    Args:
        workspace: the workspace.
        object_type: "contact" or "company".
        id_: the object's id.
        action: the name of the action.
        other: the id of a tag, company or contact, for actions that need one.

    Raises:
        RefusedError: the action does not exist, or is impossible now.
        UnknownObjectError: the object does not exist.
    """
    actions = _CONTACT_ACTIONS if object_type == "contact" else _COMPANY_ACTIONS
    if action not in actions:
        raise RefusedError(f"Unknown action {action!r}. The actions are {', '.join(actions)}.")
    return actions[action](workspace, id_, other)


def contact_values(values: dict[str, Any]) -> dict[str, Any]:
    """Check the contact form; see `_check_values`."""
    return _check_values(values, _CONTACT_FIELDS)


def company_values(values: dict[str, Any], *, new: bool) -> dict[str, Any]:
    """Check the company form; only a new company can be given a company_id; see `_check_values`."""
    return _check_values(values, _COMPANY_FIELDS | {"company_id": str} if new else _COMPANY_FIELDS)


def _check_values(values: dict[str, Any], fields: dict[str, type]) -> dict[str, Any]:
    """
    Return the values of a form: texts without surrounding blanks, empty ones as null.

    Raises:
        RefusedError: a field that the form does not have, or a value of the wrong type.
    """
    result: dict[str, Any] = {}
    for name, value in values.items():
        cleaned = (value.strip() or None) if isinstance(value, str) else value
        valid = name in fields and (cleaned is None or isinstance(cleaned, fields[name]))
        if not valid or isinstance(cleaned, bool):
            raise RefusedError(f"{name!r} cannot be set to this value here.")
        result[name] = (cleaned or {}) if name == "custom_attributes" else cleaned
    return result
