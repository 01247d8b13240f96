"""
Wake up the workers of long jobs and of workflows.

A wake-up is a Celery message without data: it means "look in the database for something to do". Send it after the
commit that made the work. It may be lost, repeated or late, because Celery beat sends the same message regularly.
"""

import structlog

from workers.celery import SYNC_QUEUE, SYNC_TASK, WORKFLOWS_QUEUE, WORKFLOWS_TASK, app

log = structlog.get_logger()


def wake_sync() -> None:
    """Have a worker look for backfills and reconciles to continue; never raises."""
    _send(SYNC_TASK, SYNC_QUEUE)


def wake_workflows() -> None:
    """Have a worker look for workflows to start or continue; never raises."""
    _send(WORKFLOWS_TASK, WORKFLOWS_QUEUE)


def _send(task: str, queue: str) -> None:
    try:
        app.send_task(task, queue=queue, retry=False, ignore_result=True)
    except Exception as error:  # noqa: BLE001 -- kombu raises whatever its transport raises
        log.warning("wake-up message not sent; Celery beat sends the next one", task=task, error=type(error).__name__)
