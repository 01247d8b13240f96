"""
Applying reports: the one place where mirrored tables change, the same for every source.

In batches: guard rows are made and locked in key order, what the decisions need is read, every decision is made by a
pure function in memory, and the outcome is written in bulk. The caller commits, and only then acknowledges.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from models.apply.batch import Batch
from models.apply.guards import create_missing_guards
from models.apply.load import load
from models.apply.write import write
from models.rule.observations import Report

__all__ = ["apply", "create_missing_guards"]


def apply(connection: Connection, reports: Sequence[Report], now: datetime) -> list[str]:
    """
    Apply reports, in the order given, inside the caller's transaction.

    Args:
        connection: a connection within `models.db.engine.transaction`.
        reports: in any order; of one object they count in the order given, which only the feed shows.
        now: what `_synced_at` will say.

    Returns:
        For each report: "applied", "stale" (we knew something newer) or "duplicate" (its notification was seen before).
    """
    batch: Batch = load(connection, reports)
    outcomes = [batch.take(report) for report in reports]
    write(connection, batch, now)
    return outcomes
