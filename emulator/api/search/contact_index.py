"""
What list and search look at: contacts as they were when they were last indexed, in order of time and by value.

It may lag behind the workspace, as Intercom's does; only what is gone or archived is gone here at once.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from emulator import segments
from emulator.workspace import EmulatedWorkspace
from emulator.workspace_records import ContactRecord

# From so many changes on, sorting all is faster than putting each in its place.
_MANY = 500
ORDERED = ("created_at", "updated_at")

# A contact's place in an order: the time in unix seconds, then its id.
Place = tuple[int, str]


@dataclass(frozen=True, slots=True)
class IndexedContact:
    """One contact as the index knows it; times among the values are in milliseconds, `places` by the time's name."""

    id: str
    values: dict[str, Any]
    tag_ids: frozenset[str]
    segment_ids: frozenset[str]
    places: dict[str, Place]

    def words(self) -> Iterable[tuple[str, str]]:
        """Give what it can be found by at once: field and value."""
        for name in ("email", "external_id"):
            if self.values[name]:
                yield name, self.values[name].casefold()
        for tag_id in self.tag_ids:
            yield "tag_id", tag_id
        for segment_id in self.segment_ids:
            yield "segment_id", segment_id


class ContactIndex:
    """
    All active contacts of one workspace. Hold the workspace's lock around every use.

    Args:
        workspace: filled or not; `changed` must be called for what changes from now on.
        lag_seconds: asked on every refresh.
    """

    def __init__(self, workspace: EmulatedWorkspace, lag_seconds: Callable[[], float]) -> None:
        self._workspace = workspace
        self._lag_seconds = lag_seconds
        self._pending: dict[str, int] = {}
        self.documents: dict[str, IndexedContact] = {}
        self.orders: dict[str, list[Place]] = {name: [] for name in ORDERED}
        self.words: dict[tuple[str, str], set[str]] = {}
        # It moves on with every change, so that a result can be kept as long as nothing changed.
        self.generation = 0
        # What is there already was there long ago.
        self._pending = {record.id: 0 for record in workspace.contacts.values() if not record.archived}

    def changed(self, record: ContactRecord) -> None:
        """Take note that a contact is not what it was."""
        if record.archived or record.id not in self._workspace.contacts:
            self._pending.pop(record.id, None)
            self._remove(record.id)
            return
        self._pending.setdefault(record.id, self._workspace.clock())

    def refresh(self) -> None:
        """Take in what changed longer ago than the lag."""
        if not self._pending:
            return
        until = self._workspace.clock() - round(self._lag_seconds() * 1000)
        due = [contact_id for contact_id, since in self._pending.items() if since <= until]
        bulk = len(due) > _MANY
        for contact_id in due:
            del self._pending[contact_id]
            self._remove(contact_id, ordered=not bulk)
            self._add(self._workspace.contacts[contact_id], ordered=not bulk)
        if bulk:
            for name in ORDERED:
                self.orders[name] = sorted(document.places[name] for document in self.documents.values())

    def _add(self, record: ContactRecord, *, ordered: bool) -> None:
        document = IndexedContact(
            record.id,
            dict(record.values),
            frozenset(record.tag_ids),
            frozenset(segments.of_contact(record)),
            {name: (record.values[name] // 1000, record.id) for name in ORDERED},
        )
        self.documents[record.id] = document
        for word in document.words():
            self.words.setdefault(word, set()).add(record.id)
        for name, order in self.orders.items() if ordered else ():
            insort(order, document.places[name])
        self.generation += 1

    def _remove(self, contact_id: str, *, ordered: bool = True) -> None:
        document = self.documents.pop(contact_id, None)
        if document is None:
            return
        for word in document.words():
            found = self.words[word]
            found.discard(contact_id)
            if not found:
                del self.words[word]
        for name, order in self.orders.items() if ordered else ():
            del order[bisect_left(order, document.places[name])]
        self.generation += 1
