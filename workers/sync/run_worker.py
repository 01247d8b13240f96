"""
Work on sync runs for a few seconds at a time, so that a shutdown is quick and several runs take turns.

The page readers of a run stay alive between the slices of one process. Everything that counts is in SQL: a process that
is killed costs the pages that it had read and not written, and another process continues when the lease has expired.
"""

import os
import socket
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, NamedTuple

import structlog
from sqlalchemy import Engine

from intercom_api.errors import NotAuthorizedError, PermanentError, RejectedError, TransientError
from intercom_api.http.client import IntercomClient
from intercom_api.rate_limit.lanes import Lane
from workers.connections import registry
from workers.facts.from_fetch import Fetch
from workers.refetch.fetch_object import ClientOf, intercom_fetch
from workers.runtime import process_resources
from workers.sync import page_writer, runs
from workers.sync.page_readers import THREADS, PageReaders
from workers.sync.run_parts import Part, RunContext, SyncRun, TooManyMissingError
from workers.sync.schedule import enqueue_due_runs

log = structlog.get_logger()

# Seconds of `run_once`; a shutdown waits for its end.
RUN_ONCE_SECONDS = 8.0

# Seconds for which one run is worked on before the next one: well below the time limit of the task, so that the last
# transaction and the waits of the threads fit.
SLICE_SECONDS = 5.0

# Runs whose readers one process keeps at a time; each has some threads, and pages in memory.
MAX_ACTIVE_RUNS = 3

# Failures of a part without a stored page in between, after which it is given up: at the longest pause that is some two
# hours, longer than any outage of Intercom so far.
MAX_ATTEMPTS = 30

# Parts without which a mirror is incomplete: if one is refused the run has failed. The other lists may need a
# permission that the app does not have.
_REQUIRED_KINDS = ("plan", "contacts", "companies", "late")

# Seconds for which a thread waits for work before it checks the time.
_POLL_SECONDS = 0.25

# Seconds between renewals of the lease; each stores the progress too.
_RENEW_SECONDS = 1.0

# Threads that write pages. While PostgreSQL works for one, Python works for the other; more than two wait for each
# other. SQLite has one writer at a time.
_WRITERS = {"postgresql": 2, "sqlite": 1}


class SyncContext(NamedTuple):
    """
    What a process needs to work on runs.

    Attributes:
        engine: for writing.
        reader: for SELECTs.
        client_of: returns a client for a workspace and a lane; None without a usable connection.
        disconnect: called with a workspace and a reason when a token was refused; returns whether the token has ended.
        threads: page readers of each run.
    """

    engine: Engine
    reader: Engine
    client_of: ClientOf
    disconnect: Callable[[str, str], object]
    threads: int = THREADS


class RunWorker:
    """
    Works on the runs that this process leases.

    `work` repeats these steps until its time is over:

    1. Lease the run that was worked on longest ago (`runs.lease_run`). Without one, close all readers and return.
    2. Start the page readers of the run, or continue with those of an earlier slice. Without a connection to the
       workspace, end the run as failed.
    3. For SLICE_SECONDS, writer threads take results from the readers and commit them (`page_writer.write_results`),
       while this thread repeats these steps:

       a. Decide for each failed part whether to retry it, to give it up, or to end the run (`_handle_failure`).
       b. Add the parts that can be read now to the readers.
       c. If nothing is being read or written and no part is open, end the run.
       d. Renew the lease each second.

    4. If writing fails, close the readers: what they had read and not written is read again, from the cursors in SQL.
    """

    def __init__(self, context: SyncContext) -> None:
        self.context = context
        self.lease = f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"
        self._readers: dict[int, PageReaders] = {}

    def work(self, until: float, only: set[int] | None = None) -> bool:
        """
        Work on runs.

        Args:
            until: when to return, in seconds of `time.monotonic`.
            only: numbers of the runs to choose from; None for all.

        Returns:
            Whether there may be more to do at once.
        """
        while time.monotonic() < until:
            allowed = only if len(self._readers) < MAX_ACTIVE_RUNS else set(self._readers)
            run = runs.lease_run(self.context.engine, self.lease, datetime.now(UTC), only=allowed)
            if run is None:
                # The readers that are left belong to runs that ended, or that another process holds.
                had_readers = bool(self._readers)
                self.close()
                if had_readers:
                    continue
                return False
            try:
                self._work_on(run, min(until, time.monotonic() + SLICE_SECONDS))
            except runs.LeaseLostError:
                log.warning("run taken over by another process", run=run.id)
        return True

    def close(self) -> None:
        """Close the readers of all runs."""
        for readers in self._readers.values():
            readers.close()
        self._readers.clear()

    def _work_on(self, run: SyncRun, until: float) -> None:
        readers = self._open_readers(run)
        if readers is None:
            self._end(run, "failed", error="The workspace has no usable connection. Connect it again.")
            return
        writers = _WRITERS[self.context.engine.dialect.name]
        with ThreadPoolExecutor(writers, thread_name_prefix="write") as pool:
            writing = [pool.submit(self._write, run, readers, until) for _ in range(writers)]
            try:
                self._supervise(run, readers, until, writing)
                for future in writing:
                    future.result()
            except BaseException:
                # What was taken from the readers is not written, so it has to be read again. Closing them also ends
                # the waits of the other writers.
                self._close_readers(run)
                raise
        runs.renew_lease(self.context.engine, run, datetime.now(UTC))

    def _supervise(self, run: SyncRun, readers: PageReaders, until: float, writing: Sequence[Future[None]]) -> None:
        """Add parts to the readers, handle failures, and end the run when nothing is left (step 3 of the class)."""
        renewed = time.monotonic()
        while time.monotonic() < until and not readers.is_closed and not any(future.done() for future in writing):
            readers.parts_changed.clear()
            for failure in readers.take_failures():
                self._handle_failure(run, failure.part, failure.error)
            # Read before the open parts: a part that is active now may be finished when the query returns.
            active = readers.active_parts
            for part in page_writer.readable_parts(self.context.reader, run):
                if part.name not in active:
                    readers.add(part)
            if not readers.active_parts:
                self._end_if_finished(run)
            if time.monotonic() > renewed + _RENEW_SECONDS:
                runs.renew_lease(self.context.engine, run, datetime.now(UTC))
                renewed = time.monotonic()
            readers.parts_changed.wait(max(0.0, min(_POLL_SECONDS, until - time.monotonic())))

    def _write(self, run: SyncRun, readers: PageReaders, until: float) -> None:
        while time.monotonic() < until and not readers.is_closed:
            results = readers.take_results(min(_POLL_SECONDS, until - time.monotonic()))
            try:
                if results:
                    page_writer.write_results(self.context.engine, run, results)
            except runs.LeaseLostError:
                if not readers.is_closed:
                    raise
            readers.mark_written(results)

    def _open_readers(self, run: SyncRun) -> PageReaders | None:
        readers = self._readers.get(run.id)
        if readers is not None and readers.context.run.started_at == run.started_at:
            return readers
        lane = Lane.BACKFILL if run.kind == "backfill" else Lane.RECONCILE
        client = self.context.client_of(run.workspace_id, lane)
        if client is None:
            return None
        context = RunContext(run, client, _fetch_with(client), self.context.reader)
        self._readers[run.id] = PageReaders(context, self.context.threads)
        return self._readers[run.id]

    def _close_readers(self, run: SyncRun) -> None:
        if readers := self._readers.pop(run.id, None):
            readers.close()

    def _end(self, run: SyncRun, state: str, *, error: str | None, detail: dict[str, Any] | None = None) -> None:
        self._close_readers(run)
        runs.end_run(self.context.engine, run, state, datetime.now(UTC), error=error, detail=detail)

    def _handle_failure(self, run: SyncRun, part: Part, error: Exception) -> None:
        """
        Decide what follows from the failure of a part.

        - Token refused: end the run, if the connection has ended; otherwise give up the part, as only this list is not
          accessible.
        - Too many missing rows: have the run wait for a person.
        - Intercom unavailable, or a cursor that may be too old: retry, after MAX_ATTEMPTS give up the part.
        - Any other refusal of Intercom's: give up the part.
        - Any other error, for example the database was unavailable: retry, after MAX_ATTEMPTS give up the part.
        """
        engine = self.context.engine
        log.warning("part failed", run=run.id, part=part.name, error=type(error).__name__, attempts=part.attempts)
        if isinstance(error, NotAuthorizedError):
            if self.context.disconnect(run.workspace_id, error.code):
                self._end(run, "failed", error=str(error))
            else:
                page_writer.mark_refused(engine, run, part, str(error))
        elif isinstance(error, TooManyMissingError):
            self._end(run, "waiting", error=str(error), detail={"missing": {error.kind: error.count}})
        elif isinstance(error, TransientError) or _may_be_cursor(part, error):
            if part.attempts >= MAX_ATTEMPTS:
                page_writer.mark_refused(engine, run, part, str(error))
            else:
                pause = error.retry_after_seconds if isinstance(error, TransientError) else 0.0
                restart = isinstance(error, RejectedError)
                page_writer.schedule_retry(engine, run, part, str(error), pause, restart=restart)
        elif isinstance(error, PermanentError):
            page_writer.mark_refused(engine, run, part, str(error))
        elif part.attempts >= MAX_ATTEMPTS:
            page_writer.mark_refused(engine, run, part, type(error).__name__)
        else:
            log.warning("unexpected error in a part; it is retried", run=run.id, part=part.name, exc_info=error)
            page_writer.schedule_retry(engine, run, part, type(error).__name__, 0.0)

    def _end_if_finished(self, run: SyncRun) -> None:
        """End the run unless parts are open, for example those that are retried later."""
        open_parts, refused = page_writer.unfinished_parts(self.context.reader, run)
        if open_parts:
            return
        required = [name for name in refused if name.partition("/")[0] in _REQUIRED_KINDS]
        state = "failed" if required else "done"
        error = refused[required[0]] if required else None
        self._end(run, state, error=error, detail={"refused": refused} if refused else None)
        log.info("run ended", run=run.id, kind=run.kind, workspace_id=run.workspace_id, state=state)


@cache
def run_worker() -> RunWorker:
    """Return this process's worker."""
    context = SyncContext(
        process_resources.engine(), process_resources.reader(), registry.client_of, registry.end_refused_connections
    )
    return RunWorker(context)


def run_once() -> bool:
    """
    Do the work of one task.

    1. Enqueue the runs that are due (`enqueue_due_runs`).
    2. Work on runs for RUN_ONCE_SECONDS (`RunWorker.work`).

    Returns:
        Whether there is more to do, so that the caller should wake up a worker again.

    Raises:
        sqlalchemy.exc.OperationalError: the database is unavailable; what was written stays, the rest is done later.
    """
    enqueue_due_runs(process_resources.reader(), process_resources.engine(), datetime.now(UTC))
    return run_worker().work(time.monotonic() + RUN_ONCE_SECONDS)


def _may_be_cursor(part: Part, error: Exception) -> bool:
    """Return whether Intercom may have rejected the part's cursor, which it does when a cursor is old."""
    return isinstance(error, RejectedError) and bool(part.cursor)


def _fetch_with(client: IntercomClient) -> Fetch:
    return intercom_fetch(partial(_same_client, client), client.lane)


def _same_client(client: IntercomClient, _workspace_id: str, _lane: Lane) -> IntercomClient:
    return client
