"""Putting right what differs, in the only way that tables change: a refetch, through the apply rule."""

from collections.abc import Sequence

from sqlalchemy import Connection, and_, null, or_, update

from models.db.bulk import delete_by_keys, insert_new, select_by_keys
from models.db.engine import transaction
from models.rule.observations import LINKS
from models.rule.state import Registers, decode_registers, encode_registers
from models.tables.internal_tables import contact_merges, link_states, object_states
from models.tables.public_tables import LINK_TABLES
from workers.verify.compare import owned
from workers.verify.context import VerifyContext
from workers.verify.id_set import Seen
from workers.verify.outcome import VerifyOutcome
from workers.verify.recheck import Key, settle

# Objects in one transaction: a moment's work, so that drains need not wait.
_TOGETHER = 100

_KEY = ("workspace_id", "object_type", "object_id")
_BLANK = (False, 0, 0, encode_registers(Registers()))


def repair(tools: VerifyContext, outcome: VerifyOutcome, certain: Sequence[Key], shown: dict[str, Seen]) -> None:
    """
    Have objects fetched again, wait for it, and judge them anew; their findings in the outcome are replaced.

    What still differs then was damaged behind the mirror's back: what is remembered of it is forgotten, and it is
    fetched once more.
    """
    left = list(certain)
    for damaged in (False, True):
        if not left:
            break
        tools.progress(0, len(left), "having it fetched again")
        for at in range(0, len(left), _TOGETHER):
            _doubt(tools, outcome.workspace_id, left[at : at + _TOGETHER], forget=damaged)
        outcome.recall(left)
        left = settle(tools, outcome, left, shown)
    outcome.repaired = len(certain) - len(left) - sum(outcome.unsettled.values())


def _doubt(tools: VerifyContext, workspace_id: str, keys: Sequence[Key], *, forget: bool) -> None:
    """Mark objects dirty, due at once; those that nothing is known of get a guard row."""
    guards = sorted((workspace_id, *key) for key in keys)
    c = object_states.c
    with transaction(tools.writer) as connection:
        columns = (*_KEY, "gone", "dirty", "clean", "registers")
        insert_new(connection, object_states, columns, [(*guard, *_BLANK) for guard in guards])
        rows = select_by_keys(connection, object_states, (*_KEY, "registers"), _KEY, guards, lock=True)
        if forget:
            _forget(connection, [(row[0], row[1], row[2], decode_registers(row[3])) for row in rows])
        these = or_(*(and_(c.object_type == of, c.object_id == each) for of, each in keys))
        due = {"dirty": c.dirty + 1, "refetch_after": null(), "refetch_attempts": 0}
        connection.execute(update(object_states).where(c.workspace_id == workspace_id, these).values(**due))


def _forget(connection: Connection, guards: Sequence[tuple[str, str, str, Registers]]) -> None:
    """Forget all but the archive, which a GET may not tell; the caller holds the guard rows."""
    c = object_states.c
    for workspace_id, object_type, object_id, registers in guards:
        blank = encode_registers(Registers(archived=registers.archived))
        this = (c.workspace_id == workspace_id, c.object_type == object_type, c.object_id == object_id)
        connection.execute(update(object_states).where(*this).values(gone=False, registers=blank))
        for kind in owned(object_type):
            owner = f"{LINKS[kind][0]}_id"
            delete_by_keys(
                connection, link_states, ("workspace_id", "kind", "owner_id"), [(workspace_id, kind, object_id)]
            )
            delete_by_keys(connection, LINK_TABLES[kind], ("workspace_id", owner), [(workspace_id, object_id)])
        if object_type == "contact":
            delete_by_keys(connection, contact_merges, ("workspace_id", "from_id"), [(workspace_id, object_id)])
