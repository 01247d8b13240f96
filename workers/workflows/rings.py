"""The ring that says "there may be something for a workflow to do"; it carries nothing and may be lost."""

import structlog

from workers.celery import WORKFLOWS_QUEUE, WORKFLOWS_TASK, app

log = structlog.get_logger()


def ring_workflows() -> None:
    """Ask a worker to look. Call it after the commit; if the broker is away, the beat rings within a second."""
    try:
        app.send_task(WORKFLOWS_TASK, queue=WORKFLOWS_QUEUE, retry=False, ignore_result=True)
    except Exception as error:  # noqa: BLE001 -- kombu raises what its transport raises
        log.warning("the ring for workflows was lost; the beat rings too", error=type(error).__name__)
