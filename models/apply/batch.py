"""A batch in memory: the states of all objects it touches, and what is to be written at its end."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from models.rule import Decision, LinkChange, decide
from models.rule.observations import LINKS, NotificationMeta, Observation, Report
from models.rule.state import ObjectState

# Of an object of which nothing was ever heard; the same object each time, so that it is known by `is`.
UNSEEN = ObjectState()
# What such an object is once it was named, whenever that was.
REFERENCED = decide(UNSEEN, Observation("", "", referenced_at=0)).state


class ObjectKey(NamedTuple):
    """One object of one workspace; sorts in the order in which guard rows are locked."""

    workspace_id: str
    object_type: str
    object_id: str


class LinkKey(NamedTuple):
    """One link of one workspace; `kind` is a name in LINKS."""

    workspace_id: str
    kind: str
    owner_id: str
    other_id: str


class ChangeRow(NamedTuple):
    """One line of the feed, as in the table `changes`."""

    key: ObjectKey
    op: str
    related: tuple[str, str] | None
    fields: tuple[str, ...]
    source: str
    notification_id: str | None


class LedgerRow(NamedTuple):
    """One notification's line in the ledger."""

    workspace_id: str
    notification: NotificationMeta
    subject: Observation
    outcome: str


_NONE: Mapping[ObjectKey, Any] = MappingProxyType({})


class Batch:
    """What was read, and how it changes as reports are taken in."""

    def __init__(
        self,
        states: dict[ObjectKey, ObjectState],
        seen: set[tuple[str, str]],
        foreseen: Mapping[ObjectKey, Decision] = _NONE,
        written: Mapping[ObjectKey, ObjectState] = _NONE,
    ) -> None:
        """
        Begin with what was read.

        Args:
            states: of every object that the reports touch.
            seen: (workspace, notification id) of those in the ledger.
            foreseen: decisions that are right for those objects of which nothing is known.
            written: the states that guard rows hold, where these are others.
        """
        self.states = states
        self.before = dict(states)
        self.guards = {**states, **written}
        self.sources: dict[ObjectKey, str] = {}
        self.links: set[LinkKey] = set()
        self.changes: list[ChangeRow] = []
        self.ledger: list[LedgerRow] = []
        self._seen = seen
        self._foreseen = foreseen

    def take(self, report: Report) -> str:
        """Decide every observation of a report; the answer is its outcome."""
        meta = report.notification
        if meta is not None:
            if (report.workspace_id, meta.id) in self._seen:
                return "duplicate"
            self._seen.add((report.workspace_id, meta.id))
        applied = [self._observe(report, seen) for seen in report.observations]
        outcome = "applied" if any(applied) else "stale"
        if meta is not None:
            self.ledger.append(LedgerRow(report.workspace_id, meta, report.observations[0], outcome))
        return outcome

    def _observe(self, report: Report, seen: Observation) -> bool:
        key = ObjectKey(report.workspace_id, seen.type, seen.id)
        decision = self._decide(key, seen)
        self.states[key] = decision.state
        self.sources[key] = report.source
        self.links |= {LinkKey(key.workspace_id, kind, key.object_id, other) for kind, other in decision.touched}
        for named in named_by(report.workspace_id, seen):
            self._name(*named)
        self._tell(report, key, seen, decision)
        return decision.applied

    def _decide(self, key: ObjectKey, seen: Observation) -> Decision:
        state = self.states[key]
        # Another report of the batch may have named it meanwhile.
        return self._foreseen[key] if state is UNSEEN and key in self._foreseen else decide(state, seen)

    def _name(self, key: ObjectKey, second: int) -> None:
        """An object that a link names exists: if we have no row of it, it is to be fetched."""
        state = self.states[key]
        if state.registers.gone or (state.registers.version is None and not state.is_dirty):
            self.states[key] = decide(state, Observation(key.object_type, key.object_id, referenced_at=second)).state

    def _tell(self, report: Report, key: ObjectKey, seen: Observation, decision: Decision) -> None:
        notification_id = report.notification.id if report.notification else None
        if decision.op is not None:
            related = ("contact", seen.merged.into_id) if seen.merged and decision.op == "merged" else None
            line = ChangeRow(key, decision.op, related, decision.fields, report.source, notification_id)
            self.changes.append(line)
        for link in decision.links:
            if self._visible(key, link):
                op = "linked" if link.present else "unlinked"
                related = (LINKS[link.kind][1], link.other_id)
                self.changes.append(ChangeRow(key, op, related, (), report.source, notification_id))

    def _visible(self, key: ObjectKey, link: LinkChange) -> bool:
        other = self.states.get(ObjectKey(key.workspace_id, LINKS[link.kind][1], link.other_id))
        return not self.states[key].registers.gone and (other is None or not other.registers.gone)


def named_by(workspace_id: str, seen: Observation) -> Iterator[tuple[ObjectKey, int]]:
    """Yield the objects at the other end of the observed links and merges, and the second at which they were named."""
    for kind, listed in seen.lists.items():
        for other_id in listed.ids:
            yield ObjectKey(workspace_id, LINKS[kind][1], other_id), listed.stamp.second
    for kind, pair in seen.pairs.items():
        if pair.present:
            yield ObjectKey(workspace_id, LINKS[kind][1], pair.other_id), pair.stamp.second
    if seen.merged is not None:
        yield ObjectKey(workspace_id, seen.type, seen.merged.into_id), seen.merged.merged_at
