"""Repair differences in the only way in which the tables change: by a refetch, through the apply rule."""

from collections.abc import Container, Mapping, Sequence

from sqlalchemy import Connection, and_, null, or_, update

from models.db.bulk import delete_by_keys, insert_new, select_by_keys
from models.db.engine import transaction
from models.rule.observations import LINKS
from models.rule.state import Registers, decode_registers, encode_registers
from models.tables.internal_tables import contact_merges, link_states, object_states
from models.tables.public_tables import LINK_TABLES
from workers.verify.compare import owned_lists
from workers.verify.context import VerifyContext
from workers.verify.outcome import VerifyOutcome
from workers.verify.recheck import CandidateKey, recheck

# Objects in one transaction: it takes a moment, so that drains need not wait.
_BATCH_SIZE = 100

_KEY = ("workspace_id", "object_type", "object_id")
_NEW_GUARD = (False, 0, 0, encode_registers(Registers()))


def repair(
    context: VerifyContext,
    outcome: VerifyOutcome,
    differing: Sequence[CandidateKey],
    listed: Mapping[str, Container[object]],
) -> None:
    """
    Have objects refetched, and replace their results in the outcome by those of a recheck.

    1. Mark the objects dirty, so that workers refetch them. An object without a guard row gets one.
    2. Recheck them; this waits until they are refetched.
    3. What still differs was changed in the tables by something else than the mirror. Reset what its guard row and its
       links remember, and repeat 1 and 2 once for these objects.

    Args:
        context: both sides.
        outcome: the results so far.
        differing: the objects that certainly differ.
        listed: by type, the ids that Intercom's lists have just contained.
    """
    remaining = list(differing)
    for reset in (False, True):
        if not remaining:
            break
        context.progress(0, len(remaining), "having differences refetched")
        for start in range(0, len(remaining), _BATCH_SIZE):
            _mark_dirty(context, outcome.workspace_id, remaining[start : start + _BATCH_SIZE], reset=reset)
        outcome.discard(remaining)
        remaining = recheck(context, outcome, remaining, listed)
    outcome.repaired = len(differing) - len(remaining) - sum(outcome.unsettled.values())


def _mark_dirty(context: VerifyContext, workspace_id: str, keys: Sequence[CandidateKey], *, reset: bool) -> None:
    guards = sorted((workspace_id, *key) for key in keys)
    c = object_states.c
    with transaction(context.writer) as connection:
        columns = (*_KEY, "gone", "dirty", "clean", "registers")
        insert_new(connection, object_states, columns, [(*guard, *_NEW_GUARD) for guard in guards])
        rows = select_by_keys(connection, object_states, (*_KEY, "registers"), _KEY, guards, lock=True)
        if reset:
            _reset(connection, [(row[0], row[1], row[2], decode_registers(row[3])) for row in rows])
        matches = or_(*(and_(c.object_type == of, c.object_id == each) for of, each in keys))
        values = {"dirty": c.dirty + 1, "refetch_after": null(), "refetch_attempts": 0}
        connection.execute(update(object_states).where(c.workspace_id == workspace_id, matches).values(**values))


def _reset(connection: Connection, guards: Sequence[tuple[str, str, str, Registers]]) -> None:
    """Reset all but whether an object is archived, which a GET may not contain; the caller holds the guard rows."""
    c = object_states.c
    for workspace_id, object_type, object_id, registers in guards:
        blank = encode_registers(Registers(archived=registers.archived))
        this = (c.workspace_id == workspace_id, c.object_type == object_type, c.object_id == object_id)
        connection.execute(update(object_states).where(*this).values(gone=False, registers=blank))
        for kind in owned_lists(object_type):
            owner = f"{LINKS[kind][0]}_id"
            keys = [(workspace_id, kind, object_id)]
            delete_by_keys(connection, link_states, ("workspace_id", "kind", "owner_id"), keys)
            delete_by_keys(connection, LINK_TABLES[kind], ("workspace_id", owner), [(workspace_id, object_id)])
        if object_type == "contact":
            delete_by_keys(connection, contact_merges, ("workspace_id", "from_id"), [(workspace_id, object_id)])
