"""Contacts by external_id and by email, archived ones included and without lag: the API detects duplicates with it."""

from collections.abc import Iterable

from emulator.workspace import EmulatedWorkspace
from emulator.workspace_records import ContactRecord

Key = tuple[str, str]


class ContactLookup:
    """
    An index of all contacts of one workspace. Hold the workspace's lock around every use.

    Args:
        workspace: empty or not; call `mark_changed` for every contact that changes from now on.
    """

    def __init__(self, workspace: EmulatedWorkspace) -> None:
        self._workspace = workspace
        self._ids: dict[Key, set[str]] = {}
        self._keys: dict[str, list[Key]] = {}
        # Ordered, so that every run indexes in the same order.
        self._changed: dict[str, None] = dict.fromkeys(workspace.contacts)

    def mark_changed(self, contact_id: str) -> None:
        """Have a contact indexed again before the next lookup."""
        self._changed[contact_id] = None

    def find(self, name: str, value: str) -> list[ContactRecord]:
        """
        Return the contacts with this value, active ones first.

        Args:
            name: "external_id" or "email".
            value: the value; emails are compared without regard to case.
        """
        self._refresh()
        records = [self._workspace.contacts[id_] for id_ in self._ids.get(_key(name, value), ())]
        return sorted(records, key=lambda record: (record.archived, record.id))

    def _refresh(self) -> None:
        for contact_id in self._changed:
            for key in self._keys.pop(contact_id, ()):
                self._ids[key].discard(contact_id)
            record = self._workspace.contacts.get(contact_id)
            if record is not None:
                self._keys[contact_id] = list(_keys(record))
                for key in self._keys[contact_id]:
                    self._ids.setdefault(key, set()).add(contact_id)
        self._changed.clear()


def _keys(record: ContactRecord) -> Iterable[Key]:
    for name in ("external_id", "email"):
        if record.values[name]:
            yield _key(name, record.values[name])


def _key(name: str, value: str) -> Key:
    return name, value.casefold() if name == "email" else value
