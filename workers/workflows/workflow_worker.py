"""One run of the workflows task: start what the feed starts, and advance the runs that are due."""

import time
from datetime import UTC, datetime
from functools import cache
from typing import Any

from settings import get_settings
from workers.actions.definition import ActionContext
from workers.connections import registry
from workers.runtime.process_resources import engine, reader
from workers.workflows.engine.execute_step import LANE, WorkflowContext, post_to_application
from workers.workflows.engine.executor import DatabaseEngines, RunExecutor
from workers.workflows.files import WorkflowLibrary
from workers.workflows.triggers import starter
from workers.write_through import write_through

# Seconds of one run of the task. A shutdown waits until it has ended, and the steps in progress with it.
RUN_SECONDS = 8.0

# Seconds that the executor gets before the feed is read again, so that many runs do not delay new ones.
_SLICE_SECONDS = 1.0


def run_once() -> bool:
    """
    Do the work that is due, for RUN_SECONDS.

    1. Start what the next changes of the feed start (`starter.start_runs`), and decide on held runs.
    2. Advance the runs that are due for _SLICE_SECONDS (`RunExecutor.run_until`).
    3. Start again at 1 if there is more, until the time is up.

    Returns:
        Whether there is more to do, so that the task should be sent again.

    Raises:
        sqlalchemy.exc.OperationalError: the database is unavailable; what was written stays, the rest is done later.
    """
    deadline = time.monotonic() + RUN_SECONDS
    more = True
    while more and time.monotonic() < deadline:
        more = _start_runs()
        more = executor().run_until(min(deadline, time.monotonic() + _SLICE_SECONDS)) or more
    return more


def _start_runs() -> bool:
    now = datetime.now(UTC)
    workflows = library().active(engine(), now)
    more = starter.start_runs(reader(), engine(), workflows, now)
    starter.release_held_runs(reader(), engine(), now)
    return more


@cache
def library() -> WorkflowLibrary:
    """Return the workflows of this process."""
    settings = get_settings()
    return WorkflowLibrary(settings.workflows_dir, settings.workflow_settings)


@cache
def executor() -> RunExecutor:
    """Return the executor of this process."""
    return RunExecutor(DatabaseEngines(reader(), engine()), workflow_context(), get_settings().workflow_settings)


def workflow_context() -> WorkflowContext:
    """Return the resources of steps in a process of the product."""
    actions: dict[str, Any] = {
        "engine": engine(),
        "reader": reader(),
        "client_of": registry.client_of,
        "disconnect": registry.end_refused_connections,
        "write_through": write_through,
    }
    return WorkflowContext(ActionContext(**actions, owner="workflow", lane=LANE), post_to_application)
