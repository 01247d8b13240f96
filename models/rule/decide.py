"""The decision: from the state of an object and one observation of it to its new state, and what to tell of it."""

from typing import Any, NamedTuple

from msgspec.structs import replace

from models.rule.content import Content, conflict, merge
from models.rule.links import LinkUpdates, apply_list, apply_pair
from models.rule.observations import PARTIAL_SECOND, ArchivedFact, Observation, Version
from models.rule.staleness import CLOCK_SKEW_SECONDS, is_order_uncertain, update_dirty_counters
from models.rule.state import LinkState, ListState, ObjectState, Registers

# A second, in milliseconds.
_SECOND = 1000

# In the place of a notification's id; its first letter is after all of theirs, so that a GET wins within one second.
_FETCH_ID = "~fetch"

# Equal to nothing that JSON can hold, so that a null which was not there before counts as a change.
_ABSENT = object()


class LinkChange(NamedTuple):
    """One link of the observed object that was made (`present`) or taken away; `kind` is a name in LINKS."""

    kind: str
    other_id: str
    present: bool


class Decision(NamedTuple):
    """
    The new state, and the line that the change feed gets.

    `op`: created, updated, deleted, merged, archived, unarchived, or None where the row stays as it is.
    `fields`: names of the keys that changed. `links`: those that were made or taken away.
    `touched`: pairs whose memory changed, visible or not. `applied`: it told something newer than what was known.
    """

    state: ObjectState
    op: str | None
    fields: tuple[str, ...]
    links: tuple[LinkChange, ...]
    touched: frozenset[tuple[str, str]]
    applied: bool


def decide(state: ObjectState, seen: Observation) -> Decision:
    """
    Apply one observation to one object.

    Facts only ever gain (each register keeps the greatest), so that any order of the same observations ends in the
    same tables; where two facts cannot be ordered the object becomes dirty, and a refetch decides.
    """
    registers = _live_or_die(state.registers, seen)
    content, registers, doubt = _take_content(state, registers, seen)
    registers, tie = _take_archived(registers, seen)
    links = _take_links(state, registers, seen)
    registers = replace(registers, lists=links.lists) if links.lists != registers.lists else registers
    after = ObjectState(registers, state.dirty, state.clean, content, links.links)
    after = update_dirty_counters(
        after, seen, doubt=doubt or tie or links.conflict or seen.needs_refetch or _may_be_gone(after, seen)
    )
    fields = _changed_fields(state, after)
    op = _op(state, after, seen, fields)
    applied = op is not None or bool(links.changes) or _told(after.registers) != _told(state.registers)
    return Decision(after, op, fields, links.changes, links.touched, applied)


def _live_or_die(registers: Registers, seen: Observation) -> Registers:
    deleted_at_ms, confirmed_at_ms = seen.deleted_at_ms, seen.confirmed_at_ms
    if deleted_at_ms is not None and (registers.deleted_at_ms is None or deleted_at_ms > registers.deleted_at_ms):
        registers = replace(registers, deleted_at_ms=deleted_at_ms)
    if confirmed_at_ms is not None and (
        registers.confirmed_at_ms is None or confirmed_at_ms > registers.confirmed_at_ms
    ):
        registers = replace(registers, confirmed_at_ms=confirmed_at_ms)
    if seen.merged is not None and (registers.merged is None or _earlier(seen, registers)):
        registers = replace(registers, merged=seen.merged)
    return registers


def _earlier(seen: Observation, registers: Registers) -> bool:
    # It is merged once; whoever asks later learns of it later.
    assert seen.merged is not None and registers.merged is not None  # noqa: S101, PT018 -- the caller looked
    return (seen.merged.merged_at, seen.merged.into_id) < (registers.merged.merged_at, registers.merged.into_id)


def _take_content(
    state: ObjectState, registers: Registers, seen: Observation
) -> tuple[dict[str, Any] | None, Registers, bool]:
    """Return the content (None while gone), the registers, and whether the object is in doubt."""
    if registers.gone:
        return None, *_miss(registers, seen)
    if seen.content is None or seen.version is None:
        return state.content, registers, False
    held = _held(state)
    doubt = held is not None and conflict(held, seen.content, seen.version, _settled_at(registers, seen))
    doubt |= held is None and seen.version.second == PARTIAL_SECOND
    doubt |= held is None and _missed_later(registers)
    content = merge(held, seen.content, seen.version)
    if content is not held:
        registers = replace(registers, version=content.version, key_versions=content.key_versions)
    return content.fields, registers, doubt


def _held(state: ObjectState) -> Content | None:
    if state.content is None or state.registers.version is None:
        return None
    return Content(state.content, state.registers.version, state.registers.key_versions)


def _settled_at(registers: Registers, seen: Observation) -> int | None:
    return (
        seen.confirmed_at_ms
        if registers.confirmed_at_ms is None
        else max(registers.confirmed_at_ms, seen.confirmed_at_ms or 0)
    )


def _second(version: Version) -> int:
    return version.fine // _SECOND if version.second == PARTIAL_SECOND else version.second


def _miss(registers: Registers, seen: Observation) -> tuple[Registers, bool]:
    """A tombstone takes no content; but news of a later second than the deletion is worth asking about."""
    # Also the content that the tombstone takes away: it may be the news, and the deletion late.
    told = [_second(version) for version in (registers.version, seen.version) if version is not None]
    told += [seen.referenced_at] if seen.referenced_at is not None else []
    registers = replace(registers, version=None, key_versions={}) if registers.version is not None else registers
    assert registers.deleted_at_ms is not None  # noqa: S101 -- it is gone
    if seen.confirmed_at_ms is not None:
        # Found and deleted within one second: nobody can tell which came first.
        return registers, seen.confirmed_at_ms // _SECOND == registers.deleted_at_ms // _SECOND
    if not told:
        return registers, False
    newest = max(told)
    missed_second = newest if registers.missed_second is None else max(newest, registers.missed_second)
    # It may have happened as late as that second's end, and the deletion somewhat before it was told.
    return replace(registers, missed_second=missed_second), (
        newest + CLOCK_SKEW_SECONDS + 1
    ) * _SECOND > registers.deleted_at_ms + 1


def _missed_later(registers: Registers) -> bool:
    """Whether, while the object was gone, news came that the GET which revives it may have been too early to see."""
    return (
        registers.missed_second is not None
        and (registers.confirmed_at_ms or 0) < (registers.missed_second + 1) * _SECOND
    )


def _may_be_gone(after: ObjectState, seen: Observation) -> bool:
    """Whether the object was found and told deleted about the same time: whole seconds hide which came first."""
    deleted_at_ms, confirmed_at_ms = after.registers.deleted_at_ms, after.registers.confirmed_at_ms
    is_told_now = seen.deleted_at_ms is not None or seen.confirmed_at_ms is not None
    if after.registers.gone or not is_told_now or deleted_at_ms is None or confirmed_at_ms is None:
        return False
    return confirmed_at_ms - deleted_at_ms <= CLOCK_SKEW_SECONDS * _SECOND


def _take_archived(registers: Registers, seen: Observation) -> tuple[Registers, bool]:
    fact, known = seen.archived, registers.archived
    if fact is None or fact == known:
        return registers, False
    tie = known is not None and known.archived != fact.archived and _is_order_uncertain(known, fact)
    if known is None or fact > known:
        return replace(registers, archived=fact, is_archived_uncertain=tie), tie
    return (replace(registers, is_archived_uncertain=True), True) if tie else (registers, False)


def _is_order_uncertain(one: ArchivedFact, other: ArchivedFact) -> bool:
    early, late = sorted((one, other))
    return is_order_uncertain(early.created_at, late.created_at, fetched_later=late.notification_id == _FETCH_ID)


class _Links(NamedTuple):
    links: dict[tuple[str, str], LinkState]
    lists: dict[str, ListState]
    changes: tuple[LinkChange, ...]
    touched: frozenset[tuple[str, str]]
    conflict: bool


def _take_links(state: ObjectState, registers: Registers, seen: Observation) -> _Links:
    if not seen.lists and not seen.pairs:
        return _Links(state.links, registers.lists, (), frozenset(), conflict=False)
    links, lists = dict(state.links), dict(registers.lists)
    changes: list[LinkChange] = []
    touched: set[tuple[str, str]] = set()
    clash = False
    for kind in (*seen.lists, *seen.pairs):
        known = lists.get(kind, ListState())
        outcome = (
            apply_list(links, known, kind, seen.lists[kind])
            if kind in seen.lists
            else apply_pair(links, known, kind, seen.pairs[kind])
        )
        changes += _remember(links, kind, outcome)
        touched |= {(kind, other_id) for other_id in outcome.links}
        if outcome.state is not known:
            lists[kind] = outcome.state
        clash |= outcome.conflict
    return _Links(links, lists, tuple(changes), frozenset(touched), clash)


def _remember(links: dict[tuple[str, str], LinkState], kind: str, outcome: LinkUpdates) -> list[LinkChange]:
    changes = []
    for other_id, link in outcome.links.items():
        before = links.pop((kind, other_id), None)
        if link is not None:
            links[kind, other_id] = link
        was, now = before is not None and before.present, link is not None and link.present
        if was != now:
            changes.append(LinkChange(kind, other_id, now))
    return changes


def _changed_fields(before: ObjectState, after: ObjectState) -> tuple[str, ...]:
    if before.content is None or after.content is None or before.content is after.content:
        return ()
    old = before.content.get
    return tuple(sorted([key for key, value in after.content.items() if old(key, _ABSENT) != value]))


def _told(registers: Registers) -> tuple[object, ...]:
    return registers.version, registers.gone, registers.merged, registers.archived


def _op(before: ObjectState, after: ObjectState, seen: Observation, fields: tuple[str, ...]) -> str | None:
    if after.registers.gone:
        # Also without a row: its links may have been told of, and go with it.
        gone = "merged" if seen.merged is not None else "deleted"
        return gone if not before.registers.gone else None
    if after.content is None:
        return None
    if before.content is None:
        return "created"
    if before.registers.is_archived != after.registers.is_archived:
        return "archived" if after.registers.is_archived else "unarchived"
    return "updated" if fields else None


def archived_by_fetch(as_of_ms: int, *, archived: bool) -> ArchivedFact:
    """What a GET by id tells of the archive."""
    return ArchivedFact(as_of_ms // _SECOND, _FETCH_ID, archived)
