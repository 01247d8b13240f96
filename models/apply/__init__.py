"""
Apply reports: the one place where mirrored tables change, the same for every source.

A batch of reports goes through three phases, each called once:

1. Load (`models.apply.load`; reads, locks and creates, decides nothing):
    1. lock the batch's workspaces, where the batch references objects or may delete some;
    2. create the guard rows that are missing;
    3. lock the guard rows in key order and read them;
    4. read the remembered links of the tombstones that a GET by id may revive, with their other ends locked;
    5. read contents and links of the observed objects, and which notifications are in the ledger.
2. Decide (`models.apply.decide_batch`; pure):
    1. let `models.rule.decide` apply each observation of each report to its object, in order;
    2. mark referenced objects that have no row as dirty, so that they are fetched;
    3. restore the remembered links of revived objects;
    4. collect the rows to write, once per object, and the change rows.
3. Write (`models.apply.write`; in bulk): guards, objects, links, merges, the ledger, and the change feed last, as its
   lock holds up every other writer.

The caller commits, and only then acknowledges what it applied.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from models.apply.decide_batch import decide_batch
from models.apply.load import load
from models.apply.write import write
from models.rule.observations import Report

__all__ = ["apply"]


def apply(connection: Connection, reports: Sequence[Report], now: datetime) -> list[str]:
    """
    Apply reports, in the order given, inside the caller's transaction.

    Args:
        connection: a connection within `models.db.engine.transaction`.
        reports: in any order. The order of reports about one object shows only in the change feed.
        now: the value for `_synced_at`.

    Returns:
        For each report: "applied", "stale" (something newer is known) or "duplicate" (its notification is in the
        ledger).
    """
    batch = load(connection, reports)
    outcome = decide_batch(batch, reports)
    write(connection, outcome, now)
    return list(outcome.results)
