"""
Wake up the workers of long jobs and of workflows.

A wake-up is a Celery message without data: it means "look in the database for something to do". Send it after the
commit that made the work. It may be lost, repeated or late, because Celery beat sends the same message regularly.
"""

import structlog

from workers.celery import app
from workers.runtime.task_names import QUEUES, SYNC_TASK, WORKFLOWS_TASK

log = structlog.get_logger()


def wake_sync() -> None:
    """Have a worker look for backfills and reconciles to continue; never raises."""
    _send(SYNC_TASK)


def wake_workflows() -> None:
    """Have a worker look for workflows to start or continue; never raises."""
    _send(WORKFLOWS_TASK)


def _send(task: str) -> None:
    try:
        app.send_task(task, queue=QUEUES[task], retry=False, ignore_result=True)
    except Exception as error:  # noqa: BLE001 -- kombu raises whatever its transport raises
        log.warning("wake-up message not sent; Celery beat sends the next one", task=task, error=type(error).__name__)
