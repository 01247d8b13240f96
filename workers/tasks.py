"""The Celery tasks: a few lines each around a plain function."""

import os
import time
from datetime import UTC, datetime

import structlog
from billiard import current_process
from celery import Task

from settings import get_settings
from workers.celery import app
from workers.drain import DRAIN_SECONDS, DatabaseAwayError, Tools, drain
from workers.followups import refetch_dirty
from workers.inbox import doorbell
from workers.inbox.reader import Reader
from workers.process import engine, fetcher, redis, schema_is_current
from workers.prune import prune_older_than

log = structlog.get_logger()

# Seconds that the database is left alone after it failed; Celery beat's ring comes a little later.
AWAY_PAUSE = 1.0


@app.task(bind=True)
def drain_inbox(task: Task) -> None:
    """Apply what is in the inbox. Rung by the receiver, by the beat, by a drain that left early or wants help."""
    if not schema_is_current():
        log.warning("the tables are not those of this version; run `intercom-mirror db upgrade`")
        return
    tools = Tools(redis(), Reader(redis(), _consumer(task)), engine(), lambda: doorbell.ring_for_help(redis(), app))
    try:
        emptied = drain(tools, time.monotonic() + DRAIN_SECONDS)
    except DatabaseAwayError as error:
        log.warning("the database is away; the inbox keeps everything", error=str(error))
        return
    if not emptied:
        doorbell.ring_unconditionally(redis(), app)


@app.task
def refetch() -> None:
    """Ask Intercom again for what is in doubt."""
    fetch = fetcher()
    if fetch is None or not schema_is_current():
        return
    until = time.monotonic() + DRAIN_SECONDS
    while time.monotonic() < until and refetch_dirty(engine(), fetch, datetime.now(UTC)):
        pass


@app.task
def prune() -> None:
    """Delete what is older than RETENTION_DAYS from the ledger and the feed."""
    if schema_is_current():
        prune_older_than(engine(), get_settings().retention_days, datetime.now(UTC))


def _consumer(task: Task) -> str:
    """Name this pool child: the same name again after a crash, so that it finds what it left behind."""
    slot = getattr(current_process(), "index", os.getpid())
    return f"{task.request.hostname}/{slot}"
