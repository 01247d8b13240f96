"""The ring that says "there may be a long job to do"; like the doorbell it carries nothing and may be lost."""

import structlog

from workers.celery import SYNC_QUEUE, SYNC_TASK, app

log = structlog.get_logger()


def ring_sync() -> None:
    """Ask a worker to look for long jobs. Call it after the commit; if the broker is away, the beat rings soon."""
    try:
        app.send_task(SYNC_TASK, queue=SYNC_QUEUE, retry=False, ignore_result=True)
    except Exception as error:  # noqa: BLE001 -- kombu raises what its transport raises
        log.warning("the ring for long jobs was lost; the beat rings too", error=type(error).__name__)
