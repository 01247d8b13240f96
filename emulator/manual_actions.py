"""What can be done by hand on the page: each action by its name, on one contact or company."""

from collections.abc import Callable
from typing import Any

from emulator import fake_data, random_operations
from emulator.emulated_notification import EmulatedNotification
from emulator.errors import RefusedError
from emulator.workspace import EmulatedWorkspace

Action = Callable[[EmulatedWorkspace, str, str], list[EmulatedNotification]]

_CONTACT: dict[str, Action] = {
    "archive": lambda workspace, id_, _: workspace.archive_contact(id_),
    "unarchive": lambda workspace, id_, _: workspace.unarchive_contact(id_),
    "delete": lambda workspace, id_, _: workspace.delete_contact(id_),
    "sign_up": lambda workspace, id_, _: workspace.sign_up_lead(id_, fake_data.person(workspace.rng)["external_id"]),
    "merge": lambda workspace, id_, other: workspace.merge_contacts(id_, other),
    "tag": lambda workspace, id_, other: workspace.tag(id_, other),
    "untag": lambda workspace, id_, other: workspace.untag(id_, other),
    "attach": lambda workspace, id_, other: workspace.attach(id_, other),
    "detach": lambda workspace, id_, other: workspace.detach(id_, other),
    "subscribe": lambda workspace, id_, _: workspace.set_email_consent(
        id_, random_operations.SUBSCRIPTIONS[0], wanted=True
    ),
    "unsubscribe": lambda workspace, id_, _: workspace.set_email_consent(
        id_, random_operations.SUBSCRIPTIONS[0], wanted=False
    ),
}
_CONTACT_FIELDS: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "email": (str,),
    "phone": (str,),
    "external_id": (str,),
    "custom_attributes": (dict,),
}
_COMPANY_FIELDS: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "website": (str,),
    "industry": (str,),
    "size": (int,),
    "monthly_spend": (int,),
    "custom_attributes": (dict,),
}
_COMPANY: dict[str, Action] = {
    "delete": lambda workspace, id_, _: workspace.delete_company(id_),
    "tag": lambda workspace, id_, other: workspace.tag_company(id_, other),
}


def create(workspace: EmulatedWorkspace, kind: str, values: dict[str, Any]) -> list[EmulatedNotification]:
    """
    Create a "user", "lead" or "company" from the values given and, for the rest, invented ones.

    Raises:
        RefusedError: another kind, or a value that cannot be set.
    """
    if kind == "company":
        return workspace.create_company(fake_data.business(workspace.rng) | values)
    if kind == "user":
        person = fake_data.person(workspace.rng) | {"signed_up_at": workspace.now()}
        return workspace.create_contact("user", person | values)
    if kind == "lead":
        return workspace.create_contact("lead", fake_data.visitor(workspace.rng) | values)
    raise RefusedError("A user, a lead or a company can be created.")


def act(
    workspace: EmulatedWorkspace, object_type: str, id_: str, action: str, other: str
) -> list[EmulatedNotification]:
    """
    Do the named action; `other` is the id of a tag, company or contact where it takes one.

    Raises:
        RefusedError: there is no such action, or it cannot be done now.
        UnknownObjectError: there is no such object.
    """
    actions = _CONTACT if object_type == "contact" else _COMPANY
    if action not in actions:
        raise RefusedError(f"Possible are {', '.join(actions)}.")
    return actions[action](workspace, id_, other)


def contact_values(values: dict[str, Any]) -> dict[str, Any]:
    """Return what a form says of a contact; see `_checked`."""
    return _checked(values, _CONTACT_FIELDS)


def company_values(values: dict[str, Any], *, new: bool) -> dict[str, Any]:
    """Return what a form says of a company; its company_id can only be given to a new one; see `_checked`."""
    return _checked(values, _COMPANY_FIELDS | {"company_id": (str,)} if new else _COMPANY_FIELDS)


def _checked(values: dict[str, Any], fields: dict[str, tuple[type, ...]]) -> dict[str, Any]:
    """
    Return the values of a form, texts without blanks around them and empty ones as null.

    Raises:
        RefusedError: a field that cannot be set by hand, or a value of the wrong type.
    """
    result: dict[str, Any] = {}
    for name, value in values.items():
        text = (value.strip() or None) if isinstance(value, str) else value
        if name not in fields or not (text is None or isinstance(text, fields[name])) or isinstance(text, bool):
            raise RefusedError(f"{name!r} cannot be set to this by hand.")
        result[name] = (text or {}) if name == "custom_attributes" else text
    return result
