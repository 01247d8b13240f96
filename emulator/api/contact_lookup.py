"""Who has which external_id and email, archived ones included, without any lag: what duplicates are found by."""

from collections.abc import Iterable

from emulator.workspace import EmulatedWorkspace
from emulator.workspace_records import ContactRecord

Key = tuple[str, str]


class ContactLookup:
    """
    All contacts of one workspace. Hold the workspace's lock around every use.

    Args:
        workspace: filled or not; `changed` must be called for what changes from now on.
    """

    def __init__(self, workspace: EmulatedWorkspace) -> None:
        self._workspace = workspace
        self._ids: dict[Key, set[str]] = {}
        self._keys: dict[str, list[Key]] = {}
        self._changed: dict[str, None] = dict.fromkeys(workspace.contacts)

    def changed(self, contact_id: str) -> None:
        """Take note that a contact is not what it was."""
        self._changed[contact_id] = None

    def having(self, name: str, value: str) -> list[ContactRecord]:
        """Return the contacts whose external_id or email (which has no case) is this one, the living ones first."""
        self._refresh()
        found = [self._workspace.contacts[id_] for id_ in self._ids.get(_key(name, value), ())]
        return sorted(found, key=lambda record: (record.archived, record.id))

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
