"""Pruning: rows that only record the past are deleted after RETENTION_DAYS; parked notifications are kept."""

from datetime import datetime, timedelta

import structlog
from sqlalchemy import Column, ColumnElement, Engine, Table, delete, select, tuple_

from models.db.engine import transaction
from models.queries import change_feed
from models.tables.delivery_tables import deliveries
from models.tables.internal_tables import action_keys, notifications
from models.tables.public_tables import changes
from models.tables.sync_tables import sync_runs
from workers.workflows.engine import manage_runs

log = structlog.get_logger()

# Rows deleted in one transaction: a second's work at most, so that writers wait no longer than that.
PAGE_SIZE = 5_000


def prune_older_than(engine: Engine, days: int, now: datetime) -> int:
    """
    Delete what is older than `days`: ledger, changes, deliveries, idempotency keys and ended runs.

    Returns:
        The number of deleted rows.
    """
    before = now - timedelta(days=days)
    deleted = _prune(engine, notifications, notifications.c.applied_at, before)
    with transaction(engine) as connection:
        # Before the first change is deleted, so that a reader that is too far behind gets an error, not a gap.
        change_feed.mark_pruned(connection, before, now)
    deleted += _prune(engine, changes, changes.c.at, before)
    # Backfills are kept: a workspace that is connected again needs a new one only if it never had one.
    deleted += _prune(engine, sync_runs, sync_runs.c.ended_at, before, sync_runs.c.kind != "backfill")
    deleted += _prune(engine, deliveries, deliveries.c.created_at, before)
    # A key without an end is kept: it is unknown whether Intercom carried out the action, and a retry must find out.
    deleted += _prune(engine, action_keys, action_keys.c.ended_at, before)
    deleted += manage_runs.delete_ended_runs(engine, before)
    if deleted:
        log.info("pruned", rows=deleted, days=days)
    return deleted


def _prune(engine: Engine, table: Table, time: Column[datetime], before: datetime, *only: ColumnElement[bool]) -> int:
    key = tuple_(*table.primary_key.columns)
    old = select(*table.primary_key.columns).where(time < before, *only).limit(PAGE_SIZE)
    total = 0
    while True:
        with transaction(engine) as connection:
            deleted = connection.execute(delete(table).where(key.in_(old))).rowcount
        total += deleted
        if deleted < PAGE_SIZE:
            return total
