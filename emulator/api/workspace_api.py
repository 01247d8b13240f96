"""What the API keeps for one workspace in addition to its objects: caches, indexes, attributes, messages, limits."""

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
from intercom_api.wire.times import MS_PER_SECOND

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A message that was sent to a contact; `at` is in unix seconds."""

    id: str
    contact_id: str
    message_type: str
    body: str
    subject: str | None
    at: int


@dataclass(slots=True)
class CompanyScroll:
    """The open scroll: company ids in page order, the position of the next page, the time of the last use in ms."""

    param: str
    ids: list[str]
    position: int
    used_ms: int


class WorkspaceApi:
    """
    One workspace as the API sees it. Everything in it is protected by the simulation's lock.

    Args:
        simulation: the workspace and the sender of its notifications.
        switches: how the API behaves, for all workspaces.
    """

    def __init__(self, simulation: Simulation, switches: BehaviourSwitches) -> None:
        self.simulation = simulation
        self.switches = switches
        self.workspace: EmulatedWorkspace = simulation.workspace
        self.clock = ShiftedClock(self.workspace.clock)
        self.workspace.clock = self.clock
        self.index = ContactIndex(self.workspace, lambda: switches.index_lag_seconds)
        self.search = ContactSearch(self.index)
        self.lookup = ContactLookup(self.workspace)
        self.attributes = DataAttributes()
        self.scroll: CompanyScroll | None = None
        self.messages: list[SentMessage] = []
        self.conversations: list[dict[str, Any]] = []
        self.notes: dict[str, list[dict[str, Any]]] = {}
        self.rate_limit = RateLimitWindow()
        self.calls: Counter[str] = Counter()
        self._contact_cache: dict[tuple[str, bool], msgspec.Raw] = {}
        self._listed_companies: list[str] | None = None
        self.workspace.on_change = self._update_after_change

    @property
    def id(self) -> str:
        """The workspace's id."""
        return self.workspace.workspace_id

    def seconds(self) -> int:
        """Return the workspace's time in unix seconds."""
        return self.workspace.now() // MS_PER_SECOND

    def act(self, action: Callable[[EmulatedWorkspace], list[EmulatedNotification]]) -> list[EmulatedNotification]:
        """Change the workspace, and send the notifications of the change."""
        return self.simulation.act(action)

    @staticmethod
    def run_later(action: Callable[[], object], seconds: float = 0.0) -> None:
        """Run an action in a thread of its own, now or after some seconds."""
        timer = threading.Timer(seconds, action)
        timer.daemon = True
        timer.start()

    def contact_json(self, record: ContactRecord, *, text_owner: bool) -> msgspec.Raw:
        """Return the JSON of a contact; `text_owner`: owner_id is text, as from version 2.16 on, and not a number."""
        key = record.id, text_owner
        encoded = self._contact_cache.get(key)
        if encoded is None:
            item = rest_json.contact(record, self.id, self.switches.embedded)
            if not text_owner:
                item["owner_id"] = record.values["owner_id"]
            if self.notes.get(record.id):
                item["notes"] = self._embedded_notes(record.id)
            encoded = self._contact_cache[key] = msgspec.Raw(_encode(item))
        return encoded

    def company_json(self, record: CompanyRecord) -> dict[str, Any]:
        """Return a company in REST form."""
        return rest_json.company(record, self.id, self.workspace.tags)

    def listed_companies(self) -> list[str]:
        """Return the ids of the companies in lists and scrolls, the one with the latest request first."""
        if self._listed_companies is None:
            listed = [
                record
                for record in self.workspace.companies.values()
                if self.switches.show_lonely or any(id_ not in self.workspace.archived for id_ in record.contact_ids)
            ]
            listed.sort(key=lambda record: (record.values["last_request_at"] or 0, record.id), reverse=True)
            self._listed_companies = [record.id for record in listed]
        return self._listed_companies

    def clear_cache(self) -> None:
        """Forget cached results, after a switch changed them."""
        self._contact_cache.clear()
        self._listed_companies = None

    def forget_contact(self, contact_id: str) -> None:
        """Forget the cached JSON of a contact, after the contact or its notes changed."""
        self._contact_cache.pop((contact_id, True), None)
        self._contact_cache.pop((contact_id, False), None)

    def _update_after_change(self, record: ContactRecord | CompanyRecord) -> None:
        self._listed_companies = None
        if isinstance(record, ContactRecord):
            self.forget_contact(record.id)
            self.index.mark_changed(record)
            self.lookup.mark_changed(record.id)

    def _embedded_notes(self, contact_id: str) -> dict[str, Any]:
        notes, limit = self.notes[contact_id], self.switches.embedded
        return {
            "type": "list",
            "data": [{"id": note["id"], "type": "note", "url": f"/notes/{note['id']}"} for note in notes[:limit]],
            "url": f"/contacts/{contact_id}/notes",
            "total_count": len(notes),
            "has_more": len(notes) > limit,
        }
