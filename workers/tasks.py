"""The Celery tasks: a few lines each around a plain function. Every task may run at any time, and twice at a time."""

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

from models.db.database_errors import describe_database_error, is_database_unavailable
from settings import get_settings
from workers.celery import (
    PRUNE_HARD_LIMIT_SECONDS,
    PRUNE_SOFT_LIMIT_SECONDS,
    REFETCH_HARD_LIMIT_SECONDS,
    REFETCH_LOCK_SECONDS,
    REFETCH_SOFT_LIMIT_SECONDS,
    SYNC_HARD_LIMIT_SECONDS,
    SYNC_SOFT_LIMIT_SECONDS,
    WORKFLOWS_HARD_LIMIT_SECONDS,
    WORKFLOWS_SOFT_LIMIT_SECONDS,
    app,
)
from workers.connections import upkeep
from workers.deliveries.sender import run_once as run_deliveries
from workers.inbox import doorbell
from workers.inbox.batch import DatabaseUnavailableError, DrainContext
from workers.inbox.drain import DRAIN_SECONDS, drain
from workers.inbox.reader import InboxReader
from workers.prune import prune_older_than
from workers.refetch.dirty_objects import refetch_dirty
from workers.refetch.per_workspace import fetchable_workspaces, round_fetch
from workers.runtime.process_resources import engine, redis, schema_is_current
from workers.runtime.redis_keys import REFETCH_LOCK
from workers.runtime.redis_lock import try_lock
from workers.runtime.task_names import (
    CONNECTIONS_TASK,
    DELIVERIES_TASK,
    DRAIN_TASK,
    PRUNE_TASK,
    REFETCH_TASK,
    SYNC_TASK,
    WORKFLOWS_TASK,
)
from workers.runtime.wakeup import wake_sync, wake_workflows
from workers.sync.run_worker import run_once as run_sync
from workers.workflows.workflow_worker import run_once as run_workflows

log = structlog.get_logger()


@app.task(name=DRAIN_TASK, bind=True)
def drain_inbox(task: Task) -> None:
    """Apply what is in the inbox. Sent by the receiver, by Celery beat, and by a drain that stops early or is busy."""
    with _outages_logged():
        if not schema_is_current():
            log.warning("the tables belong to another version; run `intercom-mirror db upgrade`")
            return
        context = DrainContext(
            redis(), _reader(_consumer_name(task)), engine(), lambda: doorbell.send_for_second_drain(redis(), app)
        )
        if not drain(context, time.monotonic() + DRAIN_SECONDS):
            doorbell.send(redis(), app)


@app.task(name=REFETCH_TASK, soft_time_limit=REFETCH_SOFT_LIMIT_SECONDS, time_limit=REFETCH_HARD_LIMIT_SECONDS)
def refetch() -> None:
    """Fetch dirty objects from Intercom, round after round, for as long as a drain works. Sent by Celery beat."""
    with _outages_logged(), try_lock(redis(), REFETCH_LOCK, REFETCH_LOCK_SECONDS) as locked:
        if not locked or not schema_is_current():
            return
        fetch, workspaces = round_fetch(), fetchable_workspaces()
        until = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < until and refetch_dirty(engine(), fetch, datetime.now(UTC), workspaces=workspaces):
            pass


@app.task(name=CONNECTIONS_TASK, soft_time_limit=REFETCH_SOFT_LIMIT_SECONDS, time_limit=REFETCH_HARD_LIMIT_SECONDS)
def maintain_connections() -> None:
    """Connect the tokens of the settings, and check tokens that may no longer be valid. Sent by Celery beat."""
    with _outages_logged():
        if schema_is_current():
            upkeep.maintain_connections()


@app.task(name=SYNC_TASK, soft_time_limit=SYNC_SOFT_LIMIT_SECONDS, time_limit=SYNC_HARD_LIMIT_SECONDS)
def sync() -> None:
    """Work on backfills and reconciles. Sent after a connect, by commands, by Celery beat, and by itself."""
    with _outages_logged():
        if schema_is_current() and run_sync():
            wake_sync()


@app.task(name=WORKFLOWS_TASK, soft_time_limit=WORKFLOWS_SOFT_LIMIT_SECONDS, time_limit=WORKFLOWS_HARD_LIMIT_SECONDS)
def workflows() -> None:
    """Start and run workflows. Sent by commands, by Celery beat, and by itself."""
    with _outages_logged():
        if schema_is_current() and run_workflows():
            wake_workflows()


@app.task(name=DELIVERIES_TASK)
def deliveries() -> None:
    """Send changes to endpoints. Sent by Celery beat; a run follows the feed by itself."""
    with _outages_logged():
        if schema_is_current():
            run_deliveries()


@app.task(name=PRUNE_TASK, soft_time_limit=PRUNE_SOFT_LIMIT_SECONDS, time_limit=PRUNE_HARD_LIMIT_SECONDS)
def prune() -> None:
    """Delete rows older than RETENTION_DAYS. Sent by Celery beat."""
    with _outages_logged():
        if schema_is_current():
            prune_older_than(engine(), get_settings().retention_days, datetime.now(UTC))


@contextmanager
def _outages_logged() -> Iterator[None]:
    """
    End a task with one line in the log where Redis or SQL is unavailable.

    Nothing is lost: Celery beat sends the task again, and the work is still in the inbox and in SQL.
    """
    try:
        yield
    except RedisError as error:
        log.warning("Redis is unavailable; nothing was acknowledged", error=type(error).__name__)
    except DatabaseUnavailableError as error:
        log.warning("the database is unavailable; the inbox keeps everything", error=str(error))
    except Exception as error:
        if not is_database_unavailable(error):
            raise
        log.warning("the database is unavailable", error=describe_database_error(error))


@cache
def _reader(consumer: str) -> InboxReader:
    # One per process, because it remembers which entries it still has to release.
    return InboxReader(redis(), consumer)


def _consumer_name(task: Task) -> str:
    """Name this pool process. After a crash its successor gets the same name, and so finds the entries it held."""
    slot = getattr(current_process(), "index", os.getpid())
    return f"{task.request.hostname}/{slot}"
