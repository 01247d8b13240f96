"""One turn of the process that runs workflows: look what changed, start what it starts, and bring runs on."""

import time
from datetime import UTC, datetime
from functools import cache
from typing import Any

from settings import get_settings
from workers.actions.definition import ActionContext
from workers.connections import registry
from workers.runtime.process import engine, reader
from workers.workflows.engine.execute_step import LANE, WorkflowContext, post_to_application
from workers.workflows.engine.executor import DatabaseEngines, RunExecutor
from workers.workflows.files import WorkflowLibrary
from workers.workflows.triggers import starter
from workers.write_through import write_through

# Seconds of one turn; a shutdown waits for the end of one, and of the steps that it began.
TURN_SECONDS = 8.0

# Seconds of a turn that go to runs before the feed is looked at again, so that many runs do not hold up new ones.
_SLICE_SECONDS = 1.0


def run_once() -> bool:
    """
    Do a turn's work; returns whether there is more to do, so that somebody should ring again.

    Raises:
        sqlalchemy.exc.OperationalError: the database is away; what was written stays, the rest is done later.
    """
    until = time.monotonic() + TURN_SECONDS
    more = True
    while more and time.monotonic() < until:
        more = start_due()
        more = worker().work(min(until, time.monotonic() + _SLICE_SECONDS)) or more
    return more


def start_due() -> bool:
    """Start what the next lines of the feed start; returns whether there may be more lines."""
    now = datetime.now(UTC)
    workflows = library().active(engine(), now)
    more = starter.start(reader(), engine(), workflows, now)
    starter.settle_held(reader(), engine(), now)
    return more


@cache
def library() -> WorkflowLibrary:
    """Return the workflows of this process."""
    settings = get_settings()
    return WorkflowLibrary(settings.workflows_dir, settings.workflow_settings)


@cache
def worker() -> RunExecutor:
    """Return what this process works on runs with."""
    return RunExecutor(DatabaseEngines(reader(), engine()), workflow_context(), get_settings().workflow_settings)


def workflow_context() -> WorkflowContext:
    """Return what steps speak with in a process of the product."""
    actions: dict[str, Any] = {
        "engine": engine(),
        "reader": reader(),
        "client_of": registry.client_of,
        "disconnect": registry.end_refused_connections,
        "write_through": write_through,
    }
    return WorkflowContext(ActionContext(**actions, owner="workflow", lane=LANE), post_to_application)
