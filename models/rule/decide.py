"""The decision: from the state of an object and one observation of it to the new state and its change rows."""

from typing import Any, NamedTuple

from msgspec.structs import replace

from models.rule.links import LinkUpdates, apply_list, apply_pair
from models.rule.merge_content import Content, conflict, merge
from models.rule.needs_refetch import CLOCK_SKEW_SECONDS, is_order_uncertain, update_dirty_counters
from models.rule.observations import PARTIAL_SECOND, ArchivedFact, MergeFact, Observation, Version
from models.rule.state import LinkState, ListState, ObjectState, Registers
from settings.units import MS_PER_SECOND

# Stands in the place of a notification's id. Its first letter sorts after all of theirs, so that a GET wins within one
# second.
_FETCH_ID = "~fetch"

# Equal to nothing that JSON can hold, so that a null for a key that was absent counts as a change.
_ABSENT = object()


class LinkChange(NamedTuple):
    """One link of the observed object was added (`present`) or removed; `kind` is a name in LINKS."""

    kind: str
    other_id: str
    present: bool


class Decision(NamedTuple):
    """
    What one observation changes.

    Args:
        state: the new state of the object.
        op: for the change feed: created, updated, deleted, merged, archived, unarchived; None if the row stays as it
            is.
        fields: the names of the keys that changed.
        links: the links that were added or removed.
        touched: the links whose memory changed, whether the change is visible or not, as (name in LINKS, other id).
        applied: the observation had something newer than what was known.
    """

    state: ObjectState
    op: str | None
    fields: tuple[str, ...]
    links: tuple[LinkChange, ...]
    touched: frozenset[tuple[str, str]]
    applied: bool


def decide(state: ObjectState, observation: Observation) -> Decision:
    """
    Apply one observation to one object.

    Facts only gain: each register keeps the greatest, so that the same observations in any order end in the same
    tables. Where two facts cannot be ordered, the object becomes dirty and a refetch decides.
    """
    registers = _apply_existence(state.registers, observation)
    content, registers, content_uncertain = _apply_content(state, registers, observation)
    registers, archived_uncertain = _apply_archived(registers, observation)
    links = _apply_links(state, registers, observation)
    registers = replace(registers, lists=links.lists) if links.lists != registers.lists else registers
    after = ObjectState(registers, state.dirty, state.clean, content, links.links)
    uncertain = (
        content_uncertain
        or archived_uncertain
        or links.conflict
        or observation.needs_refetch
        or _is_existence_uncertain(after, observation)
    )
    after = update_dirty_counters(after, observation, uncertain=uncertain)
    fields = _changed_fields(state, after)
    op = _op(state, after, observation, fields)
    applied = op is not None or bool(links.changes) or _facts(after.registers) != _facts(state.registers)
    return Decision(after, op, fields, links.changes, links.touched, applied)


def _apply_existence(registers: Registers, observation: Observation) -> Registers:
    """Apply deletion, confirmation by a GET by id, and merge."""
    deleted_at_ms, confirmed_at_ms = observation.deleted_at_ms, observation.confirmed_at_ms
    if deleted_at_ms is not None and (registers.deleted_at_ms is None or deleted_at_ms > registers.deleted_at_ms):
        registers = replace(registers, deleted_at_ms=deleted_at_ms)
    if confirmed_at_ms is not None and (
        registers.confirmed_at_ms is None or confirmed_at_ms > registers.confirmed_at_ms
    ):
        registers = replace(registers, confirmed_at_ms=confirmed_at_ms)
    merged = observation.merged
    if merged is not None and (registers.merged is None or _is_earlier(merged, registers.merged)):
        registers = replace(registers, merged=merged)
    return registers


def _is_earlier(one: MergeFact, other: MergeFact) -> bool:
    # A contact is merged once; a later request learns of it later.
    return (one.merged_at, one.into_id) < (other.merged_at, other.into_id)


def _apply_content(
    state: ObjectState, registers: Registers, observation: Observation
) -> tuple[dict[str, Any] | None, Registers, bool]:
    """Return the content (None while the object is gone), the registers, and whether the object becomes dirty."""
    if registers.gone:
        return None, *_record_missed(registers, observation)
    if observation.content is None or observation.version is None:
        return state.content, registers, False
    current = _current_content(state)
    if current is None:
        uncertain = observation.version.second == PARTIAL_SECOND or _was_missed_later(registers)
    else:
        confirmed_at_ms = _newest_confirmation(registers, observation)
        uncertain = conflict(current, observation.content, observation.version, confirmed_at_ms)
    content = merge(current, observation.content, observation.version)
    if content is not current:
        registers = replace(registers, version=content.version, key_versions=content.key_versions)
    return content.fields, registers, uncertain


def _current_content(state: ObjectState) -> Content | None:
    if state.content is None or state.registers.version is None:
        return None
    return Content(state.content, state.registers.version, state.registers.key_versions)


def _newest_confirmation(registers: Registers, observation: Observation) -> int | None:
    if registers.confirmed_at_ms is None:
        return observation.confirmed_at_ms
    return max(registers.confirmed_at_ms, observation.confirmed_at_ms or 0)


def _second(version: Version) -> int:
    return version.fine // MS_PER_SECOND if version.second == PARTIAL_SECOND else version.second


def _record_missed(registers: Registers, observation: Observation) -> tuple[Registers, bool]:
    """
    Record content that arrives for a tombstone, which takes none.

    Returns:
        The registers, and whether the object becomes dirty: it does if the content is of a later second than the
        deletion.
    """
    # The content that the deletion removes counts too: it may be the newer fact, and the deletion late.
    seconds = [_second(version) for version in (registers.version, observation.version) if version is not None]
    seconds += [observation.referenced_at] if observation.referenced_at is not None else []
    if registers.version is not None:
        registers = replace(registers, version=None, key_versions={})
    assert registers.deleted_at_ms is not None  # noqa: S101 -- the object is gone
    if observation.confirmed_at_ms is not None:
        # Confirmed and deleted within one second: the order is unknown.
        same_second = observation.confirmed_at_ms // MS_PER_SECOND == registers.deleted_at_ms // MS_PER_SECOND
        return registers, same_second
    if not seconds:
        return registers, False
    newest = max(seconds)
    missed = newest if registers.missed_second is None else max(newest, registers.missed_second)
    # The change may have happened as late as that second's end, and the deletion somewhat before its notification.
    latest_ms = (newest + CLOCK_SKEW_SECONDS + 1) * MS_PER_SECOND
    return replace(registers, missed_second=missed), latest_ms > registers.deleted_at_ms + 1


def _was_missed_later(registers: Registers) -> bool:
    """Return whether content arrived for the tombstone that the GET which revives it may be too early to include."""
    missed_second = registers.missed_second
    return missed_second is not None and (registers.confirmed_at_ms or 0) < (missed_second + 1) * MS_PER_SECOND


def _is_existence_uncertain(after: ObjectState, observation: Observation) -> bool:
    """Return whether a GET found the object about when it was deleted: whole seconds hide which came first."""
    deleted_at_ms, confirmed_at_ms = after.registers.deleted_at_ms, after.registers.confirmed_at_ms
    has_new_fact = observation.deleted_at_ms is not None or observation.confirmed_at_ms is not None
    if after.registers.gone or not has_new_fact or deleted_at_ms is None or confirmed_at_ms is None:
        return False
    return confirmed_at_ms - deleted_at_ms <= CLOCK_SKEW_SECONDS * MS_PER_SECOND


def _apply_archived(registers: Registers, observation: Observation) -> tuple[Registers, bool]:
    fact, known = observation.archived, registers.archived
    if fact is None or fact == known:
        return registers, False
    uncertain = known is not None and known.archived != fact.archived and _is_order_uncertain(known, fact)
    if known is None or fact > known:
        return replace(registers, archived=fact, is_archived_uncertain=uncertain), uncertain
    return (replace(registers, is_archived_uncertain=True), True) if uncertain else (registers, False)


def _is_order_uncertain(one: ArchivedFact, other: ArchivedFact) -> bool:
    early, late = sorted((one, other))
    return is_order_uncertain(early.created_at, late.created_at, fetched_later=late.notification_id == _FETCH_ID)


class _Links(NamedTuple):
    links: dict[tuple[str, str], LinkState]
    lists: dict[str, ListState]
    changes: tuple[LinkChange, ...]
    touched: frozenset[tuple[str, str]]
    conflict: bool


def _apply_links(state: ObjectState, registers: Registers, observation: Observation) -> _Links:
    if not observation.lists and not observation.pairs:
        return _Links(state.links, registers.lists, (), frozenset(), conflict=False)
    links, lists = dict(state.links), dict(registers.lists)
    changes: list[LinkChange] = []
    touched: set[tuple[str, str]] = set()
    has_conflict = False
    for kind in (*observation.lists, *observation.pairs):
        known = lists.get(kind, ListState())
        updates = (
            apply_list(links, known, kind, observation.lists[kind])
            if kind in observation.lists
            else apply_pair(links, known, kind, observation.pairs[kind])
        )
        changes += _update_links(links, kind, updates)
        touched |= {(kind, other_id) for other_id in updates.links}
        if updates.state is not known:
            lists[kind] = updates.state
        has_conflict |= updates.conflict
    return _Links(links, lists, tuple(changes), frozenset(touched), has_conflict)


def _update_links(links: dict[tuple[str, str], LinkState], kind: str, updates: LinkUpdates) -> list[LinkChange]:
    """Write the updates into `links` and return those that add or remove a link."""
    changes = []
    for other_id, link in updates.links.items():
        before = links.pop((kind, other_id), None)
        if link is not None:
            links[kind, other_id] = link
        was_present, is_present = before is not None and before.present, link is not None and link.present
        if was_present != is_present:
            changes.append(LinkChange(kind, other_id, is_present))
    return changes


def _changed_fields(before: ObjectState, after: ObjectState) -> tuple[str, ...]:
    if before.content is None or after.content is None or before.content is after.content:
        return ()
    old = before.content.get
    return tuple(sorted([key for key, value in after.content.items() if old(key, _ABSENT) != value]))


def _facts(registers: Registers) -> tuple[object, ...]:
    return registers.version, registers.gone, registers.merged, registers.archived


def _op(before: ObjectState, after: ObjectState, observation: Observation, fields: tuple[str, ...]) -> str | None:
    if after.registers.gone:
        # Also without a row: the change feed may have its links, which go with it.
        op = "merged" if observation.merged is not None else "deleted"
        return op if not before.registers.gone else None
    if after.content is None:
        return None
    if before.content is None:
        return "created"
    if before.registers.is_archived != after.registers.is_archived:
        return "archived" if after.registers.is_archived else "unarchived"
    return "updated" if fields else None


def archived_by_fetch(as_of_ms: int, *, archived: bool) -> ArchivedFact:
    """Return the fact that a fetch with this as_of (milliseconds) states about the archive."""
    return ArchivedFact(as_of_ms // MS_PER_SECOND, _FETCH_ID, archived)
