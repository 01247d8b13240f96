"""The Celery tasks: a few lines each around a plain function."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache

import structlog
from billiard import current_process
from celery import Task
from redis.exceptions import RedisError

from models.db.errors import describe_database_error, is_database_unavailable
from settings import get_settings
from workers.celery import (
    PRUNE_LIMIT_SECONDS,
    REFETCH_ALONE_SECONDS,
    REFETCH_LIMIT_SECONDS,
    SYNC_HARD_LIMIT_SECONDS,
    SYNC_SOFT_LIMIT_SECONDS,
    WORKFLOWS_HARD_LIMIT_SECONDS,
    WORKFLOWS_SOFT_LIMIT_SECONDS,
    app,
)
from workers.connections import upkeep
from workers.deliveries.sender import run_once as run_deliveries
from workers.inbox import doorbell
from workers.inbox.batch import DatabaseAwayError, DrainContext
from workers.inbox.drain import DRAIN_SECONDS, drain
from workers.inbox.reader import InboxReader
from workers.prune import prune_older_than
from workers.refetch.dirty_objects import refetch_dirty
from workers.refetch.per_workspace import fetchable_workspaces, round_fetch
from workers.runtime.process import engine, redis, schema_is_current
from workers.runtime.redis_keys import REFETCH_LOCK
from workers.runtime.redis_lock import try_lock
from workers.runtime.wakeup import wake_sync, wake_workflows
from workers.sync.worker import run_once as run_sync
from workers.workflows.worker import run_once as run_workflows

log = structlog.get_logger()


@app.task(bind=True)
def drain_inbox(task: Task) -> None:
    """Apply what is in the inbox. Rung by the receiver, by the beat, by a drain that left early or wants help."""
    with _waiting_helps():
        if not schema_is_current():
            log.warning("the tables are not those of this version; run `intercom-mirror db upgrade`")
            return
        tools = DrainContext(
            redis(), _reader(_consumer(task)), engine(), lambda: doorbell.send_for_second_drain(redis(), app)
        )
        if not drain(tools, time.monotonic() + DRAIN_SECONDS):
            doorbell.send(redis(), app)


@app.task(soft_time_limit=REFETCH_LIMIT_SECONDS, time_limit=REFETCH_LIMIT_SECONDS + 5)
def refetch() -> None:
    """Ask Intercom again for what is in doubt."""
    with _waiting_helps(), try_lock(redis(), REFETCH_LOCK, REFETCH_ALONE_SECONDS) as mine:
        if not mine or not schema_is_current():
            return
        fetch, workspaces = round_fetch(), fetchable_workspaces()
        until = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < until and refetch_dirty(engine(), fetch, datetime.now(UTC), workspaces=workspaces):
            pass


@app.task(soft_time_limit=REFETCH_LIMIT_SECONDS, time_limit=REFETCH_LIMIT_SECONDS + 5)
def look_after_connections() -> None:
    """Connect the tokens of the settings, and look at connections that may have ended."""
    with _waiting_helps():
        if schema_is_current():
            upkeep.maintain_connections()


@app.task(soft_time_limit=SYNC_SOFT_LIMIT_SECONDS, time_limit=SYNC_HARD_LIMIT_SECONDS)
def sync() -> None:
    """Work on backfills and reconciles. Rung after a connect, by the commands, by the beat, and by itself."""
    with _waiting_helps():
        if schema_is_current() and run_sync():
            wake_sync()


@app.task(soft_time_limit=WORKFLOWS_SOFT_LIMIT_SECONDS, time_limit=WORKFLOWS_HARD_LIMIT_SECONDS)
def workflows() -> None:
    """Start and run workflows. Rung by the beat, by the commands, and by itself."""
    with _waiting_helps():
        if schema_is_current() and run_workflows():
            wake_workflows()


@app.task
def deliveries() -> None:
    """Tell endpoints what changed. Rung by the beat; a turn follows the feed by itself."""
    with _waiting_helps():
        if schema_is_current():
            run_deliveries()


@app.task(soft_time_limit=PRUNE_LIMIT_SECONDS, time_limit=PRUNE_LIMIT_SECONDS + 5)
def prune() -> None:
    """Delete what is older than RETENTION_DAYS from the ledger, the feed and the deliveries."""
    with _waiting_helps():
        if schema_is_current():
            prune_older_than(engine(), get_settings().retention_days, datetime.now(UTC))


@contextmanager
def _waiting_helps() -> Iterator[None]:
    """End a task with one line in the log where SQL or Redis is away: the clock rings again, and nothing is lost."""
    try:
        yield
    except RedisError as error:
        log.warning("Redis is away; nothing is acknowledged", error=type(error).__name__)
    except DatabaseAwayError as error:
        log.warning("the database is away; the inbox keeps everything", error=str(error))
    except Exception as error:
        if not is_database_unavailable(error):
            raise
        log.warning("the database is away", error=describe_database_error(error))


@cache
def _reader(consumer: str) -> InboxReader:
    # One for the life of the process: it remembers what it owes the inbox.
    return InboxReader(redis(), consumer)


def _consumer(task: Task) -> str:
    """Name this pool child: the same name again after a crash, so that it finds what it left behind."""
    slot = getattr(current_process(), "index", os.getpid())
    return f"{task.request.hostname}/{slot}"
