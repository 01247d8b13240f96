"""Phase 2 of applying a batch: make every decision in memory. Pure: no SQL, no clock, no I/O."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from models.apply.keys import LinkKey, ObjectKey, references
from models.apply.load import LoadedBatch
from models.rule import Decision, LinkChange, decide
from models.rule.observations import LINKS, MergeFact, NotificationMeta, Observation, Report, Source
from models.rule.state import LinkState, ObjectState

_KIND_ORDER = {kind: position for position, kind in enumerate(LINKS)}


class ObjectRow(NamedTuple):
    """A row of a mirrored object's table: its key, its state (with content), and the source of the last report."""

    key: ObjectKey
    state: ObjectState
    source: Source


class LinkStateRow(NamedTuple):
    """What to remember of a link; `state` is None if nothing is to be remembered."""

    key: LinkKey
    state: LinkState | None


class ChangeRow(NamedTuple):
    """A row of the table `changes`."""

    key: ObjectKey
    op: str
    related: tuple[str, str] | None
    fields: tuple[str, ...]
    source: Source
    notification_id: str | None


class LedgerRow(NamedTuple):
    """A notification's row in the ledger; `subject` is the object that it is about."""

    notification: NotificationMeta
    subject: ObjectKey
    result: str


class BatchOutcome(NamedTuple):
    """
    Everything that a batch writes.

    Args:
        results: for each report, as `models.apply.apply` returns them.
        states: the new state of each object whose state changed.
        guards: the objects whose guard row changed, in key order.
        objects: the rows of mirrored objects that changed, in key order.
        deleted: the objects that are gone now: their rows and links go.
        link_states: the links whose memory changed, in key order.
        shown_links: the links that the link tables hold from now on.
        hidden_links: the links that the link tables do not hold any more.
        merges: the contacts that became part of another one.
        ledger: the notifications of the batch that were not in the ledger.
        changes: the rows of the change feed, in order.
    """

    results: tuple[str, ...]
    states: Mapping[ObjectKey, ObjectState]
    guards: tuple[ObjectKey, ...]
    objects: tuple[ObjectRow, ...]
    deleted: tuple[ObjectKey, ...]
    link_states: tuple[LinkStateRow, ...]
    shown_links: tuple[LinkKey, ...]
    hidden_links: tuple[LinkKey, ...]
    merges: tuple[tuple[ObjectKey, MergeFact], ...]
    ledger: tuple[LedgerRow, ...]
    changes: tuple[ChangeRow, ...]


def decide_batch(batch: LoadedBatch, reports: Sequence[Report]) -> BatchOutcome:
    """Decide every observation of the reports, in order, and return what is to be written."""
    memory = _BatchMemory(batch)
    results = tuple([memory.apply_report(report) for report in reports])
    return memory.outcome(results)


class _BatchMemory:
    """The states of a batch's objects, and what the reports applied so far have changed."""

    def __init__(self, batch: LoadedBatch) -> None:
        self._batch = batch
        self._states = dict(batch.states)
        self._notification_ids = set(batch.notification_ids)
        self._sources: dict[ObjectKey, Source] = {}
        self._touched_links: set[LinkKey] = set()
        self._changes: list[ChangeRow] = []
        self._ledger: list[LedgerRow] = []

    def apply_report(self, report: Report) -> str:
        """Decide every observation of a report and return the report's result."""
        notification = report.notification
        if notification is not None:
            if (report.workspace_id, notification.id) in self._notification_ids:
                return "duplicate"
            self._notification_ids.add((report.workspace_id, notification.id))
        applied = [self._apply_observation(report, observation) for observation in report.observations]
        result = "applied" if any(applied) else "stale"
        if notification is not None:
            first = report.observations[0]
            self._ledger.append(LedgerRow(notification, ObjectKey(report.workspace_id, first.type, first.id), result))
        return result

    def _apply_observation(self, report: Report, observation: Observation) -> bool:
        key = ObjectKey(report.workspace_id, observation.type, observation.id)
        decision = decide(self._states[key], observation)
        self._states[key] = decision.state
        self._sources[key] = report.source
        self._touched_links |= {
            LinkKey(key.workspace_id, kind, key.object_id, other_id) for kind, other_id in decision.touched
        }
        for other, second in references(report.workspace_id, observation):
            self._apply_reference(other, second)
        self._record_changes(report, key, observation, decision)
        return decision.applied

    def _apply_reference(self, key: ObjectKey, second: int) -> None:
        """Note that an object was referenced: if it has no row, it becomes dirty and is fetched."""
        state = self._states[key]
        if state.registers.gone or (state.registers.version is None and not state.is_dirty):
            observation = Observation(key.object_type, key.object_id, referenced_at=second)
            self._states[key] = decide(state, observation).state

    def _record_changes(self, report: Report, key: ObjectKey, observation: Observation, decision: Decision) -> None:
        notification_id = report.notification.id if report.notification else None
        if decision.op is not None:
            merged = observation.merged if decision.op == "merged" else None
            related = None if merged is None else ("contact", merged.into_id)
            self._changes.append(ChangeRow(key, decision.op, related, decision.fields, report.source, notification_id))
        for link in decision.links:
            if self._has_living_ends(key, link):
                op = "linked" if link.present else "unlinked"
                related = (LINKS[link.kind][1], link.other_id)
                self._changes.append(ChangeRow(key, op, related, (), report.source, notification_id))

    def _has_living_ends(self, key: ObjectKey, link: LinkChange) -> bool:
        other = ObjectKey(key.workspace_id, LINKS[link.kind][1], link.other_id)
        return not self._is_gone(key) and not self._is_gone(other)

    def _is_gone(self, key: ObjectKey) -> bool:
        state = self._states.get(key)
        return key in self._batch.remembered.gone_ends if state is None else state.registers.gone

    def outcome(self, results: tuple[str, ...]) -> BatchOutcome:
        """Collect what is to be written."""
        before = self._batch.states
        changed = {key: self._states[key] for key in sorted(before) if self._states[key] is not before[key]}
        links, shown, hidden = self._link_rows()
        revived = {key for key, state in changed.items() if before[key].registers.gone and not state.registers.gone}
        if revived:
            shown = self._restore_links(revived, shown)
        return BatchOutcome(
            results=results,
            states=changed,
            guards=tuple([key for key, state in changed.items() if _guard_differs(before[key], state)]),
            objects=tuple(
                [
                    ObjectRow(key, state, self._sources[key])
                    for key, state in changed.items()
                    if state.content is not None and _row_differs(before[key], state)
                ]
            ),
            deleted=tuple(
                [key for key, state in changed.items() if state.registers.gone and not before[key].registers.gone]
            ),
            link_states=tuple(links),
            shown_links=tuple(shown),
            hidden_links=tuple(hidden),
            merges=tuple(
                [
                    (key, merged)
                    for key, state in changed.items()
                    if (merged := state.registers.merged) and merged != before[key].registers.merged
                ]
            ),
            ledger=tuple(self._ledger),
            changes=tuple(self._changes),
        )

    def _link_rows(self) -> tuple[list[LinkStateRow], list[LinkKey], list[LinkKey]]:
        """Return what to remember of the links that the reports touched, and which of them to show and to hide."""
        rows: list[LinkStateRow] = []
        shown: list[LinkKey] = []
        hidden: list[LinkKey] = []
        for key in sorted(self._touched_links):
            owner = self._states[key.owner]
            link = owner.links.get((key.kind, key.other_id))
            rows.append(LinkStateRow(key, link))
            is_shown = link is not None and link.present and not owner.registers.gone and not self._is_gone(key.other)
            (shown if is_shown else hidden).append(key)
        return rows, shown, hidden

    def _restore_links(self, revived: set[ObjectKey], shown: list[LinkKey]) -> list[LinkKey]:
        """
        Return the links to show: `shown`, and the remembered links of revived objects that no report touched.

        A reader of the change feed deleted the links of a deleted object with it, so each link of a revived object
        gets a change row, if it has none yet.
        """
        restored = [
            link
            for link in self._batch.remembered.links - self._touched_links
            if not revived.isdisjoint((link.owner, link.other))
            and not self._is_gone(link.owner)
            and not self._is_gone(link.other)
        ]
        links = sorted([*shown, *restored], key=lambda link: (_KIND_ORDER[link.kind], link))
        recorded = {(change.key, change.related) for change in self._changes if change.op == "linked"}
        for link in links:
            related = (link.other.object_type, link.other_id)
            if not revived.isdisjoint((link.owner, link.other)) and (link.owner, related) not in recorded:
                self._changes.append(ChangeRow(link.owner, "linked", related, (), "refetch", None))
        return links


def _guard_differs(before: ObjectState, after: ObjectState) -> bool:
    return (after.registers, after.dirty, after.clean) != (before.registers, before.dirty, before.clean)


def _row_differs(before: ObjectState, after: ObjectState) -> bool:
    return after.content is not before.content or after.registers != before.registers
