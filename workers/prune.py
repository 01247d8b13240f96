"""Pruning: ledger, feed, deliveries and keys keep RETENTION_DAYS; parked notifications stay until a person decides."""

from datetime import datetime, timedelta

import structlog
from sqlalchemy import Column, Engine, Table, delete, select, tuple_

from models import feed
from models.actions import action_keys
from models.deliveries import deliveries
from models.engine import transaction
from models.mirror import changes
from models.private import notifications
from workers.workflows import history

log = structlog.get_logger()

# Rows deleted in one transaction: a second's work at most, so that writers wait for no longer.
PAGE = 5_000


def prune_older_than(engine: Engine, days: int, now: datetime) -> int:
    """Delete ledger and feed lines, deliveries and idempotency keys that are older than `days`; returns how many."""
    before = now - timedelta(days=days)
    deleted = _prune(engine, notifications, notifications.c.applied_at, before)
    with transaction(engine) as connection:
        # First: a reader who is too late must be told so before lines are missing.
        feed.mark_pruned(connection, before, now)
    deleted += _prune(engine, changes, changes.c.at, before)
    deleted += _prune(engine, deliveries, deliveries.c.created_at, before)
    # One that never ended is kept: nobody knows whether Intercom did it, and a repetition must find that out.
    deleted += _prune(engine, action_keys, action_keys.c.ended_at, before)
    deleted += history.prune(engine, before)
    if deleted:
        log.info("pruned", rows=deleted, days=days)
    return deleted


def _prune(engine: Engine, table: Table, moment: Column[datetime], before: datetime) -> int:
    key = tuple_(*table.primary_key.columns)
    old = select(*table.primary_key.columns).where(moment < before).limit(PAGE)
    total = 0
    while True:
        with transaction(engine) as connection:
            deleted = connection.execute(delete(table).where(key.in_(old))).rowcount
        total += deleted
        if deleted < PAGE:
            return total
