"""
The index that lists and searches read: contacts as of their last indexing, in order of time and by value.

As at Intercom, the index may lag behind the workspace. Only deletion and archiving take effect at once.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from emulator import segments
from emulator.workspace import EmulatedWorkspace
from emulator.workspace_records import ContactRecord
from intercom_api.wire.times import MS_PER_SECOND

# Above this number of changes, sorting everything is faster than inserting each change.
_BULK = 500
ORDERED = ("created_at", "updated_at")

# A contact's position in an order: the time in unix seconds, then the id.
TimePosition = tuple[int, str]
# A value that the index finds contacts by: the field and the value.
Term = tuple[str, str]


@dataclass(frozen=True, slots=True)
class IndexedContact:
    """
    One contact in the index.

    Attributes:
        id: the contact's id.
        values: the values as in `ContactRecord`, times in milliseconds.
        tag_ids: the ids of its tags.
        segment_ids: the ids of its segments.
        positions: its position in each order of `ORDERED`.
    """

    id: str
    values: dict[str, Any]
    tag_ids: frozenset[str]
    segment_ids: frozenset[str]
    positions: dict[str, TimePosition]

    def terms(self) -> Iterable[Term]:
        """Yield the terms that find this contact."""
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
        workspace: empty or not; call `mark_changed` for every contact that changes from now on.
        lag_seconds: returns the lag; it is called at every refresh.

    Attributes:
        contacts: the indexed contacts by id.
        orders: the positions of all contacts, ascending, by the name of the time.
        terms: the ids of the contacts by term.
        generation: a counter that grows with every change, so that results can be cached until then.
    """

    def __init__(self, workspace: EmulatedWorkspace, lag_seconds: Callable[[], float]) -> None:
        self._workspace = workspace
        self._lag_seconds = lag_seconds
        self.contacts: dict[str, IndexedContact] = {}
        self.orders: dict[str, list[TimePosition]] = {name: [] for name in ORDERED}
        self.terms: dict[Term, set[str]] = {}
        self.generation = 0
        # Contacts to index, each with the time of its first change in ms. Existing contacts are due at once.
        self._pending: dict[str, int] = {record.id: 0 for record in workspace.contacts.values() if not record.archived}

    def mark_changed(self, record: ContactRecord) -> None:
        """Have a contact indexed again after the lag; remove it at once if it is archived or deleted."""
        if record.archived or record.id not in self._workspace.contacts:
            self._pending.pop(record.id, None)
            self._remove(record.id)
            return
        self._pending.setdefault(record.id, self._workspace.clock())

    def refresh(self) -> None:
        """Index the contacts that changed longer ago than the lag."""
        if not self._pending:
            return
        until = self._workspace.clock() - round(self._lag_seconds() * MS_PER_SECOND)
        due = [contact_id for contact_id, since in self._pending.items() if since <= until]
        bulk = len(due) > _BULK
        for contact_id in due:
            del self._pending[contact_id]
            self._remove(contact_id, ordered=not bulk)
            self._add(self._workspace.contacts[contact_id], ordered=not bulk)
        if bulk:
            for name in ORDERED:
                self.orders[name] = sorted(contact.positions[name] for contact in self.contacts.values())

    def _add(self, record: ContactRecord, *, ordered: bool) -> None:
        contact = IndexedContact(
            record.id,
            dict(record.values),
            frozenset(record.tag_ids),
            frozenset(segments.of_contact(record)),
            {name: (record.values[name] // MS_PER_SECOND, record.id) for name in ORDERED},
        )
        self.contacts[record.id] = contact
        for term in contact.terms():
            self.terms.setdefault(term, set()).add(record.id)
        for name, order in self.orders.items() if ordered else ():
            insort(order, contact.positions[name])
        self.generation += 1

    def _remove(self, contact_id: str, *, ordered: bool = True) -> None:
        contact = self.contacts.pop(contact_id, None)
        if contact is None:
            return
        for term in contact.terms():
            ids = self.terms[term]
            ids.discard(contact_id)
            if not ids:
                del self.terms[term]
        for name, order in self.orders.items() if ordered else ():
            del order[bisect_left(order, contact.positions[name])]
        self.generation += 1
