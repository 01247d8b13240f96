"""Pruning: ledger, feed, deliveries, keys and ended runs keep RETENTION_DAYS; parked notifications stay."""

from datetime import datetime, timedelta

import structlog
from sqlalchemy import Column, ColumnElement, Engine, Table, delete, select, tuple_

from models.db.engine import transaction
from models.queries import change_feed
from models.tables.delivery_tables import deliveries
from models.tables.internal_tables import action_keys, notifications
from models.tables.public_tables import changes
from models.tables.sync_tables import sync_runs
from workers.workflows.engine import history

log = structlog.get_logger()

# Rows deleted in one transaction: a second's work at most, so that writers wait for no longer.
PAGE = 5_000


def prune_older_than(engine: Engine, days: int, now: datetime) -> int:
    """Delete what is older than `days`: ledger, feed, deliveries, idempotency keys, ended runs; returns how many."""
    before = now - timedelta(days=days)
    deleted = _prune(engine, notifications, notifications.c.applied_at, before)
    with transaction(engine) as connection:
        # First: a reader who is too late must be told so before lines are missing.
        change_feed.mark_pruned(connection, before, now)
    deleted += _prune(engine, changes, changes.c.at, before)
    # Backfills stay: whether there ever was one decides what a workspace needs that is connected again.
    deleted += _prune(engine, sync_runs, sync_runs.c.ended_at, before, sync_runs.c.kind != "backfill")
    deleted += _prune(engine, deliveries, deliveries.c.created_at, before)
    # One that never ended is kept: nobody knows whether Intercom did it, and a repetition must find that out.
    deleted += _prune(engine, action_keys, action_keys.c.ended_at, before)
    deleted += history.delete_ended_runs(engine, before)
    if deleted:
        log.info("pruned", rows=deleted, days=days)
    return deleted


def _prune(engine: Engine, table: Table, moment: Column[datetime], before: datetime, *only: ColumnElement[bool]) -> int:
    key = tuple_(*table.primary_key.columns)
    old = select(*table.primary_key.columns).where(moment < before, *only).limit(PAGE)
    total = 0
    while True:
        with transaction(engine) as connection:
            deleted = connection.execute(delete(table).where(key.in_(old))).rowcount
        total += deleted
        if deleted < PAGE:
            return total
