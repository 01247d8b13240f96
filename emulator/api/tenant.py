"""What the API keeps of one workspace beside the workspace itself. All of it is guarded by the engine's lock."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from emulator import rest
from emulator.api.attributes import Attributes
from emulator.api.identities import Identities
from emulator.api.index import Index
from emulator.api.limits import Window
from emulator.api.quirks import Quirks
from emulator.api.search.run import Finder
from emulator.clock import ShiftedClock
from emulator.engine import Engine
from emulator.notification import Notification
from emulator.records import Company, Contact
from emulator.workspace import Workspace

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Message:
    """A message that was sent to a contact: what a test counts."""

    id: str
    contact_id: str
    message_type: str
    body: str
    subject: str | None
    at: int


@dataclass(slots=True)
class Scroll:
    """The one open scroll: `ids` in the order of the pages, where it stands, and when it was last used (ms)."""

    param: str
    ids: list[str]
    position: int
    used_ms: int


class Tenant:
    """
    One workspace as the API sees it.

    Args:
        engine: acts in the workspace and sends what it tells.
        quirks: shared by all workspaces.
    """

    def __init__(self, engine: Engine, quirks: Quirks) -> None:
        self.engine = engine
        self.quirks = quirks
        self.workspace: Workspace = engine.workspace
        self.clock = ShiftedClock(self.workspace.clock)
        self.workspace.clock = self.clock
        self.index = Index(self.workspace, lambda: quirks.index_lag_seconds)
        self.finder = Finder(self.index)
        self.identities = Identities(self.workspace)
        self.attributes = Attributes()
        self.scroll: Scroll | None = None
        self.messages: list[Message] = []
        self.conversations: list[dict[str, Any]] = []
        self.notes: dict[str, list[dict[str, Any]]] = {}
        self.window = Window()
        self.calls: Counter[str] = Counter()
        self._shown: dict[tuple[str, bool], msgspec.Raw] = {}
        self._listed: list[str] | None = None
        self.workspace.on_change = self._changed

    @property
    def id(self) -> str:
        """The workspace's id."""
        return self.workspace.workspace_id

    def seconds(self) -> int:
        """Return the workspace's time in unix seconds."""
        return self.workspace.now() // 1000

    def act(self, action: Callable[[Workspace], list[Notification]]) -> list[Notification]:
        """Let something happen in the workspace, and send what it tells."""
        return self.engine.act(action)

    def contact(self, record: Contact, *, text_owner: bool) -> msgspec.Raw:
        """Return the contact's JSON as REST shows it; `text_owner`: its owner_id is text (2.16), not a number."""
        key = record.id, text_owner
        shown = self._shown.get(key)
        if shown is None:
            item = rest.contact(record, self.id, self.quirks.embedded)
            if not text_owner:
                item["owner_id"] = record.values["owner_id"]
            if self.notes.get(record.id):
                item["notes"] = self._embedded_notes(record.id)
            shown = self._shown[key] = msgspec.Raw(_encode(item))
        return shown

    def company(self, record: Company) -> dict[str, Any]:
        """Return the company as REST shows it."""
        return rest.company(record, self.id, self.workspace.tags)

    def listed_companies(self) -> list[str]:
        """Return the ids of the companies that list and scroll show, the one with the last request first."""
        if self._listed is None:
            shown = [
                record
                for record in self.workspace.companies.values()
                if self.quirks.show_lonely or any(id_ not in self.workspace.archived for id_ in record.contact_ids)
            ]
            shown.sort(key=lambda record: (record.values["last_request_at"] or 0, record.id), reverse=True)
            self._listed = [record.id for record in shown]
        return self._listed

    def forget_shown(self) -> None:
        """Make everything anew: a quirk changed what is shown."""
        self._shown.clear()
        self._listed = None

    def noted(self, contact_id: str) -> None:
        """Take note that a contact's notes changed."""
        self._shown.pop((contact_id, True), None)
        self._shown.pop((contact_id, False), None)

    def _changed(self, record: Contact | Company) -> None:
        self._listed = None
        if isinstance(record, Contact):
            self.noted(record.id)
            self.index.changed(record)
            self.identities.changed(record.id)

    def _embedded_notes(self, contact_id: str) -> dict[str, Any]:
        notes, most = self.notes[contact_id], self.quirks.embedded
        return {
            "type": "list",
            "data": [{"id": note["id"], "type": "note", "url": f"/notes/{note['id']}"} for note in notes[:most]],
            "url": f"/contacts/{contact_id}/notes",
            "total_count": len(notes),
            "has_more": len(notes) > most,
        }
