"""
The workflow executor: leases runs that are due, executes their steps in threads, and writes the results in batches.

All state is in SQL. One transaction writes the result of a step and the start of the next one; only after its commit
does the next step begin. So a process that crashes leaves every step either finished or started, and
`workers.workflows.engine.decide_next_step` decides what to do with it.
"""

import os
import socket
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from typing import Any, NamedTuple

import structlog
from sqlalchemy import Engine, RowMapping

from workers.workflows.engine import run_store
from workers.workflows.engine.apply_and_render import FinishedCall, advance
from workers.workflows.engine.decide_next_step import StepResult
from workers.workflows.engine.execute_step import WorkflowContext, execute_step
from workers.workflows.engine.render_step import StepCall
from workers.workflows.engine.run_store import LeasedRun
from workers.workflows.files import load_workflow
from workers.workflows.format.workflow import InvalidWorkflowError, Workflow

log = structlog.get_logger()

# Steps in progress at a time: at 200 ms for a response of Intercom, eighty steps a second.
THREADS = 16

# Seconds to wait for a result before leasing further runs.
_POLL_SECONDS = 0.25

# Seconds between renewals of leases: a third of their length.
_RENEW_SECONDS = run_store.LEASE_SECONDS / 3

_INVALID_FILE = (
    "This version of the product does not accept the run's workflow file. Change the file, then run "
    "`intercom-mirror workflows replay --whole`."
)


class DatabaseEngines(NamedTuple):
    """The engines of the database: `reader` for reading, `writer` for writing."""

    reader: Engine
    writer: Engine


class RunExecutor:
    """
    Executes runs.

    Args:
        engines: of the database.
        context: the resources of steps.
        settings: WORKFLOW_SETTINGS.
        clock: the time in unix seconds; tests pass another clock.
    """

    def __init__(
        self,
        engines: DatabaseEngines,
        context: WorkflowContext,
        settings: Mapping[str, Any],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engines, self._context, self._settings, self._clock = engines, context, settings, clock
        self._lease = f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="workflow")
        self._calls: dict[Future[StepResult], tuple[LeasedRun, StepCall]] = {}
        self._workflows: dict[str, Workflow | None] = {}
        self._renewed_at = time.monotonic()

    def run_until(self, deadline: float) -> bool:
        """
        Execute runs that are due until `deadline` (seconds of `time.monotonic`), then finish the steps in progress.

        1. Lease as many due runs as threads are free, and read their state (`_lease_due`).
        2. Advance each to its next step, write all of them in one transaction, then submit the steps to the threads
           (`_advance`).
        3. Stop if no step is in progress and nothing was leased.
        4. Wait a moment for results. Advance the runs whose steps have ended, as in 2.
        5. Renew the leases of runs whose steps take long. Then start again at 1.

        After the deadline nothing is leased and no step starts; the loop ends with the last step in progress.

        Returns:
            Whether there may be more to do at once.
        """
        while True:
            in_time = time.monotonic() < deadline
            leased = self._lease_due() if in_time else []
            self._advance([(each, None) for each in leased], may_start=in_time)
            if not self._calls:
                if not leased or not in_time:
                    return not in_time
                continue
            finished, _ = wait(self._calls, _POLL_SECONDS, return_when=FIRST_COMPLETED)
            self._advance([self._finished(each) for each in finished], may_start=time.monotonic() < deadline)
            self._renew_leases()

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=True)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

    def _lease_due(self) -> list[LeasedRun]:
        free = THREADS - len(self._calls)
        if free <= 0:
            return []
        busy = {leased.id for leased, _ in self._calls.values()}
        rows = run_store.lease_due(self._engines.reader, self._engines.writer, self._lease, self._now(), free, busy)
        if not rows:
            return []
        with self._engines.reader.connect() as connection:
            runs = run_store.read_runs(connection, rows)
        read = [(row, self._workflow(row), run) for row, run in zip(rows, runs, strict=True)]
        invalid = [row["id"] for row, workflow, _ in read if workflow is None]
        run_store.fail_runs(self._engines.writer, invalid, _INVALID_FILE, self._now())
        return [LeasedRun(dict(row), workflow, run) for row, workflow, run in read if workflow is not None]

    def _workflow(self, row: RowMapping) -> Workflow | None:
        digest = str(row["digest"])
        if digest not in self._workflows:
            try:
                with self._engines.reader.connect() as connection:
                    self._workflows[digest] = load_workflow(connection, digest)
            except InvalidWorkflowError:
                self._workflows[digest] = None
        return self._workflows[digest]

    def _finished(self, future: Future[StepResult]) -> tuple[LeasedRun, FinishedCall]:
        leased, call = self._calls[future]
        return leased, FinishedCall(call, future.result())

    def _advance(self, runs: Sequence[tuple[LeasedRun, FinishedCall | None]], *, may_start: bool) -> None:
        """
        Advance runs, write their new state, and submit their next steps.

        If the database is unavailable, the results stay in `_calls`, and the next run of the task writes them.
        """
        now = self._clock()
        advanced = [advance(leased, finished, self._settings, now, may_start=may_start) for leased, finished in runs]
        updates = [each.update for each in advanced]
        ours = run_store.write_runs(self._engines.writer, self._lease, updates, self._now())
        written = {leased.id for leased, _ in runs}
        self._calls = {future: each for future, each in self._calls.items() if each[0].id not in written}
        for update, call in advanced:
            leased = update.leased._replace(run=update.run)
            if leased.id not in ours:
                log.warning("workflow run was taken over by another process", run=leased.id)
            elif call is not None:
                key = f"run:{leased.id}:{leased.row['replays']}:{call.step.id}"
                future = self._pool.submit(execute_step, self._context, leased.row["workspace_id"], call, key)
                self._calls[future] = leased, call
            elif not leased.run.is_open:
                log.info("workflow run ended", run=leased.id, workflow=leased.workflow.name, state=leased.run.state)

    def _renew_leases(self) -> None:
        if self._calls and time.monotonic() - self._renewed_at > _RENEW_SECONDS:
            ids = {leased.id for leased, _ in self._calls.values()}
            run_store.renew_leases(self._engines.writer, self._lease, ids, self._now())
            self._renewed_at = time.monotonic()
