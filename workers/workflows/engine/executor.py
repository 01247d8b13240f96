"""
Working on runs: what is due is taken, what may be said is said in threads, and what came of it is written in batches.

All that counts is in SQL. One transaction writes what came of a step and that the next one is started; only after it
is that one begun. So a process that dies leaves every step either finished, or started and not finished, and
`workers.workflows.engine.state_machine` knows what to do with both.
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
from workers.workflows.engine.advance import Said, advance
from workers.workflows.engine.execute_step import WorkflowContext, execute_step
from workers.workflows.engine.render_step import StepCall
from workers.workflows.engine.run_store import LeasedRun
from workers.workflows.engine.state_machine import StepResult
from workers.workflows.files import of_digest
from workers.workflows.format.workflow import InvalidWorkflowError, Workflow

log = structlog.get_logger()

# Steps that are under way at a time: at 200 ms for an answer of Intercom's, eighty in a second.
THREADS = 16

# Seconds that the desk waits for answers before it looks around.
_LOOK_SECONDS = 0.25

# Seconds between renewals of leases: a third of their length.
_RENEW_SECONDS = run_store.LEASE_SECONDS / 3

_UNREADABLE = "This version does not read its text any more. Change the file, then run `workflows replay --whole`."


class DatabaseEngines(NamedTuple):
    """The database: `reader` for reading, `writer` for writing."""

    reader: Engine
    writer: Engine


class RunExecutor:
    """
    Works on runs.

    Args:
        engines: of the database.
        tools: to speak with.
        settings: WORKFLOW_SETTINGS.
        clock: the time in unix seconds; tests pass another one.
    """

    def __init__(
        self,
        engines: DatabaseEngines,
        tools: WorkflowContext,
        settings: Mapping[str, Any],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engines, self._tools, self._settings, self._clock = engines, tools, settings, clock
        self._lease = f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="workflow")
        self._in_hand: dict[Future[StepResult], tuple[LeasedRun, StepCall]] = {}
        self._workflows: dict[str, Workflow | None] = {}
        self._renewed = time.monotonic()

    def work(self, until: float) -> bool:
        """
        Work on what is due until `until` (seconds of `time.monotonic`), then finish what is under way.

        Returns:
            Whether there may be more to do at once.
        """
        while True:
            in_time = time.monotonic() < until
            taken = self._take() if in_time else []
            self._go_on([(held, None) for held in taken], begin=in_time)
            if not self._in_hand:
                if not taken or not in_time:
                    return not in_time
                continue
            finished, _ = wait(self._in_hand, _LOOK_SECONDS, return_when=FIRST_COMPLETED)
            self._go_on([self._finished(each) for each in finished], begin=time.monotonic() < until)
            self._renew()

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=True)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

    def _take(self) -> list[LeasedRun]:
        room = THREADS - len(self._in_hand)
        if room <= 0:
            return []
        busy = {held.id for held, _ in self._in_hand.values()}
        rows = run_store.take(self._engines.reader, self._engines.writer, self._lease, self._now(), room, busy)
        if not rows:
            return []
        with self._engines.reader.connect() as connection:
            runs = run_store.standing(connection, rows)
        found = [(row, self._workflow(row), run) for row, run in zip(rows, runs, strict=True)]
        unreadable = [row["id"] for row, workflow, _ in found if workflow is None]
        run_store.refuse(self._engines.writer, unreadable, _UNREADABLE, self._now())
        return [LeasedRun(dict(row), workflow, run) for row, workflow, run in found if workflow is not None]

    def _workflow(self, row: RowMapping) -> Workflow | None:
        digest = str(row["digest"])
        if digest not in self._workflows:
            try:
                with self._engines.reader.connect() as connection:
                    self._workflows[digest] = of_digest(connection, digest)
            except InvalidWorkflowError:
                self._workflows[digest] = None
        return self._workflows[digest]

    def _finished(self, future: Future[StepResult]) -> tuple[LeasedRun, Said]:
        held, call = self._in_hand[future]
        return held, Said(call, future.result())

    def _go_on(self, hands: Sequence[tuple[LeasedRun, Said | None]], *, begin: bool) -> None:
        """
        Bring runs on, write how they stand, and say what is to be said next.

        If the database is away, what came of steps stays in hand, and is written by the next turn.
        """
        now = self._clock()
        standings = [advance(held, said, self._settings, now, begin=begin) for held, said in hands]
        ours = run_store.write(self._engines.writer, self._lease, [each.change for each in standings], self._now())
        written = {held.id for held, _ in hands}
        self._in_hand = {future: each for future, each in self._in_hand.items() if each[0].id not in written}
        for change, call in standings:
            held = change.held._replace(run=change.run)
            if held.id not in ours:
                log.warning("another process took the run over", run=held.id)
            elif call is not None:
                key = f"run:{held.id}:{held.row['replays']}:{call.step.id}"
                self._in_hand[self._pool.submit(execute_step, self._tools, held.row["workspace_id"], call, key)] = (
                    held,
                    call,
                )
            elif not held.run.is_open:
                log.info("run ended", run=held.id, workflow=held.workflow.name, state=held.run.state)

    def _renew(self) -> None:
        if self._in_hand and time.monotonic() - self._renewed > _RENEW_SECONDS:
            run_store.renew(
                self._engines.writer, self._lease, {held.id for held, _ in self._in_hand.values()}, self._now()
            )
            self._renewed = time.monotonic()
