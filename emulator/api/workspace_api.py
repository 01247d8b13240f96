"""What the API keeps of one workspace beside the workspace itself. All of it is guarded by the engine's lock."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from emulator import rest_json
from emulator.api.behaviour_switches import BehaviourSwitches
from emulator.api.contact_lookup import ContactLookup
from emulator.api.data_attributes import DataAttributes
from emulator.api.rate_limit_window import RateLimitWindow
from emulator.api.search.contact_index import ContactIndex
from emulator.api.search.contact_search import ContactSearch
from emulator.clock import ShiftedClock
from emulator.emulated_notification import EmulatedNotification
from emulator.simulation import Simulation
from emulator.workspace import EmulatedWorkspace
from emulator.workspace_records import CompanyRecord, ContactRecord

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A message that was sent to a contact: what a test counts."""

    id: str
    contact_id: str
    message_type: str
    body: str
    subject: str | None
    at: int


@dataclass(slots=True)
class CompanyScroll:
    """The one open scroll: `ids` in the order of the pages, where it stands, and when it was last used (ms)."""

    param: str
    ids: list[str]
    position: int
    used_ms: int


class WorkspaceApi:
    """
    One workspace as the API sees it.

    Args:
        engine: acts in the workspace and sends what it tells.
        quirks: shared by all workspaces.
    """

    def __init__(self, simulation: Simulation, switches: BehaviourSwitches) -> None:
        self.simulation = simulation
        self.switches = switches
        self.workspace: EmulatedWorkspace = simulation.workspace
        self.clock = ShiftedClock(self.workspace.clock)
        self.workspace.clock = self.clock
        self.index = ContactIndex(self.workspace, lambda: switches.index_lag_seconds)
        self.finder = ContactSearch(self.index)
        self.identities = ContactLookup(self.workspace)
        self.attributes = DataAttributes()
        self.scroll: CompanyScroll | None = None
        self.messages: list[SentMessage] = []
        self.conversations: list[dict[str, Any]] = []
        self.notes: dict[str, list[dict[str, Any]]] = {}
        self.rate_limit = RateLimitWindow()
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

    def act(self, action: Callable[[EmulatedWorkspace], list[EmulatedNotification]]) -> list[EmulatedNotification]:
        """Let something happen in the workspace, and send what it tells."""
        return self.simulation.act(action)

    @staticmethod
    def run_later(action: Callable[[], object], seconds: float = 0.0) -> None:
        """Run an action in a thread of its own, at once or after some seconds."""
        timer = threading.Timer(seconds, action)
        timer.daemon = True
        timer.start()

    def contact(self, record: ContactRecord, *, text_owner: bool) -> msgspec.Raw:
        """Return the contact's JSON as REST shows it; `text_owner`: its owner_id is text (2.16), not a number."""
        key = record.id, text_owner
        shown = self._shown.get(key)
        if shown is None:
            item = rest_json.contact(record, self.id, self.switches.embedded)
            if not text_owner:
                item["owner_id"] = record.values["owner_id"]
            if self.notes.get(record.id):
                item["notes"] = self._embedded_notes(record.id)
            shown = self._shown[key] = msgspec.Raw(_encode(item))
        return shown

    def company(self, record: CompanyRecord) -> dict[str, Any]:
        """Return the company as REST shows it."""
        return rest_json.company(record, self.id, self.workspace.tags)

    def listed_companies(self) -> list[str]:
        """Return the ids of the companies that list and scroll show, the one with the last request first."""
        if self._listed is None:
            shown = [
                record
                for record in self.workspace.companies.values()
                if self.switches.show_lonely or any(id_ not in self.workspace.archived for id_ in record.contact_ids)
            ]
            shown.sort(key=lambda record: (record.values["last_request_at"] or 0, record.id), reverse=True)
            self._listed = [record.id for record in shown]
        return self._listed

    def clear_cache(self) -> None:
        """Make everything anew: a quirk changed what is shown."""
        self._shown.clear()
        self._listed = None

    def noted(self, contact_id: str) -> None:
        """Take note that a contact's notes changed."""
        self._shown.pop((contact_id, True), None)
        self._shown.pop((contact_id, False), None)

    def _changed(self, record: ContactRecord | CompanyRecord) -> None:
        self._listed = None
        if isinstance(record, ContactRecord):
            self.noted(record.id)
            self.index.changed(record)
            self.identities.changed(record.id)

    def _embedded_notes(self, contact_id: str) -> dict[str, Any]:
        notes, most = self.notes[contact_id], self.switches.embedded
        return {
            "type": "list",
            "data": [{"id": note["id"], "type": "note", "url": f"/notes/{note['id']}"} for note in notes[:most]],
            "url": f"/contacts/{contact_id}/notes",
            "total_count": len(notes),
            "has_more": len(notes) > most,
        }
