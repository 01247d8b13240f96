"""
Working on runs: a slice of some seconds at a time, so that a shutdown is quick and everybody gets a turn.

The crew of a run lives on between the slices of one process. All that counts is in SQL: a process that dies costs the
pages that it had read and not written, and another one goes on once the lease has ended.
"""

import os
import socket
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache, partial
from typing import NamedTuple

import structlog
from sqlalchemy import Engine

from intercom_api.errors import NotAuthorizedError, PermanentError, RejectedError, TransientError
from intercom_api.http.client import IntercomClient
from intercom_api.rate_limit.lanes import Lane
from workers.connections import registry
from workers.facts.from_fetch import Fetch
from workers.refetch.fetch_object import ClientOf, intercom_fetch
from workers.runtime.process import engine, reader
from workers.sync import page_writer, runs
from workers.sync.page_readers import THREADS, PageReaders
from workers.sync.parts import Part, RunContext, SyncRun, TooManyGoneError
from workers.sync.schedule import enqueue_due_runs

log = structlog.get_logger()

# Seconds of one slice: well below what the task may take, so that its last transaction and the threads' waits fit.
SLICE_SECONDS = 5.0

# Seconds of `run_once`; a shutdown waits for the end of it.
RUN_ONCE_SECONDS = 8.0

# Runs whose crews one process keeps at a time; each has some threads and pages in memory.
MOST_CREWS = 3

# Failures of a part without a page in between before it is given up: at the longest pause that is some two hours,
# longer than any outage of Intercom's.
MOST_ATTEMPTS = 30

# Without these a mirror is not filled, whatever else there was; other lists may need a permission that the app lacks.
_NEEDED = ("plan", "contacts", "companies", "late")

# Seconds that a slice waits for a page before it looks around.
_LOOK_SECONDS = 0.25

# Seconds between looks how far a run is, each of which renews its lease.
_RENEW_SECONDS = 1.0

# Threads that write pages. PostgreSQL works on the one's while Python works on the other's; more than two wait for each
# other. SQLite has one writer at a time.
_WRITERS = {"postgresql": 2, "sqlite": 1}


class SyncContext(NamedTuple):
    """What a process works on runs with; `disconnect(workspace_id, reason)` is told of tokens that are refused."""

    engine: Engine
    reader: Engine
    client_of: ClientOf
    disconnect: Callable[[str, str], object]
    threads: int = THREADS


class RunWorker:
    """The runs that this process has in hand."""

    def __init__(self, tools: SyncContext) -> None:
        self.tools = tools
        self.lease = f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"
        self._crews: dict[int, PageReaders] = {}

    def work(self, until: float, only: set[int] | None = None) -> bool:
        """
        Work on runs until `until` (seconds of `time.monotonic`), `only` on these if given.

        Returns:
            Whether there may be more to do at once.
        """
        while time.monotonic() < until:
            mine = only if len(self._crews) < MOST_CREWS else set(self._crews)
            run = runs.lease_run(self.tools.engine, self.lease, datetime.now(UTC), only=mine)
            if run is None:
                # Whatever crews there are read for runs that ended, or that somebody else has.
                held = bool(self._crews)
                self.close()
                if held:
                    continue
                return False
            try:
                self._work_on(run, min(until, time.monotonic() + SLICE_SECONDS))
            except runs.LeaseLostError:
                log.warning("another process took the run over", run=run.id)
        return True

    def close(self) -> None:
        """Dismiss all crews."""
        for crew in self._crews.values():
            crew.dismiss()
        self._crews.clear()

    def _work_on(self, run: SyncRun, until: float) -> None:
        crew = self._crew(run)
        if crew is None:
            runs.end_run(
                self.tools.engine,
                run,
                "failed",
                datetime.now(UTC),
                error="Nobody is connected to the workspace. Connect it again.",
            )
            return
        writers = _WRITERS[self.tools.engine.dialect.name]
        with ThreadPoolExecutor(writers, thread_name_prefix="write") as pool:
            writing = [pool.submit(self._write, run, crew, until) for _ in range(writers)]
            try:
                self._look_after(run, crew, until, writing)
                for each in writing:
                    each.result()
            except BaseException:
                # What was taken from the crew is not written: it must be read again, from the cursors in SQL. The
                # other writers must not wait for pages any more.
                self._dismiss(run)
                raise
        runs.renew_lease(self.tools.engine, run, datetime.now(UTC))

    def _look_after(self, run: SyncRun, crew: PageReaders, until: float, writing: Sequence[Future[None]]) -> None:
        """Give the crew what is to be read, and end the run when nothing is left."""
        renewed = time.monotonic()
        while time.monotonic() < until and not crew.is_dismissed and not any(each.done() for each in writing):
            crew.news.clear()
            for failure in crew.failures():
                self._fail(run, failure.part, failure.error)
            # Asked for first: what is in hand now may have ended when the open ones are known.
            in_hand = crew.in_hand
            for part in page_writer.readable_parts(self.tools.reader, run):
                if part.part not in in_hand:
                    crew.give(part)
            if not crew.in_hand:
                self._end_if_over(run)
            if time.monotonic() > renewed + _RENEW_SECONDS:
                runs.renew_lease(self.tools.engine, run, datetime.now(UTC))
                renewed = time.monotonic()
            crew.news.wait(max(0.0, min(_LOOK_SECONDS, until - time.monotonic())))

    def _write(self, run: SyncRun, crew: PageReaders, until: float) -> None:
        while time.monotonic() < until and not crew.is_dismissed:
            steps = crew.take(min(_LOOK_SECONDS, until - time.monotonic()))
            try:
                if steps:
                    page_writer.write_results(self.tools.engine, run, steps)
            except runs.LeaseLostError:
                if not crew.is_dismissed:
                    raise
            crew.written(steps)

    def _crew(self, run: SyncRun) -> PageReaders | None:
        crew = self._crews.get(run.id)
        if crew is not None and crew.context.run.started_at == run.started_at:
            return crew
        lane = Lane.BACKFILL if run.kind == "backfill" else Lane.RECONCILE
        client = self.tools.client_of(run.workspace_id, lane)
        if client is None:
            return None
        self._crews[run.id] = PageReaders(
            RunContext(run, client, _fetch_with(client), self.tools.reader), self.tools.threads
        )
        return self._crews[run.id]

    def _dismiss(self, run: SyncRun) -> None:
        if crew := self._crews.pop(run.id, None):
            crew.dismiss()

    def _fail(self, run: SyncRun, part: Part, error: Exception) -> None:
        engine, now = self.tools.engine, datetime.now(UTC)
        log.warning("a part broke off", run=run.id, part=part.part, error=type(error).__name__, attempts=part.attempts)
        if isinstance(error, NotAuthorizedError):
            if self.tools.disconnect(run.workspace_id, error.code):
                self._dismiss(run)
                runs.end_run(engine, run, "failed", now, error=str(error))
            else:
                # The token lives; this one list is not for it.
                page_writer.mark_refused(engine, run, part, str(error))
        elif isinstance(error, TooManyGoneError):
            self._dismiss(run)
            runs.end_run(engine, run, "waiting", now, error=str(error), more={"missing": {error.kind: error.count}})
        elif isinstance(error, TransientError) or _may_be_the_cursor(part, error):
            if part.attempts >= MOST_ATTEMPTS:
                page_writer.mark_refused(engine, run, part, str(error))
            else:
                pause = error.retry_after_seconds if isinstance(error, TransientError) else 0.0
                page_writer.schedule_retry(
                    engine, run, part, str(error), pause, restart=isinstance(error, RejectedError)
                )
        elif isinstance(error, PermanentError):
            page_writer.mark_refused(engine, run, part, str(error))
        elif part.attempts >= MOST_ATTEMPTS:
            page_writer.mark_refused(engine, run, part, type(error).__name__)
        else:
            # The database was away while something was looked up, or we failed to foresee something.
            log.warning("a part met an error that was not foreseen", run=run.id, part=part.part, exc_info=error)
            page_writer.schedule_retry(engine, run, part, type(error).__name__, 0.0)

    def _end_if_over(self, run: SyncRun) -> None:
        """End the run if nothing is left to be read; parts may be resting after a failure."""
        is_open, refused = page_writer.left(self.tools.reader, run)
        if is_open:
            return
        needed = [name for name in refused if name.partition("/")[0] in _NEEDED]
        error = refused[needed[0]] if needed else None
        state = "failed" if needed else "done"
        self._dismiss(run)
        runs.end_run(
            self.tools.engine,
            run,
            state,
            datetime.now(UTC),
            error=error,
            more={"refused": refused} if refused else None,
        )
        log.info("run ended", run=run.id, kind=run.kind, workspace_id=run.workspace_id, state=state)


def _may_be_the_cursor(part: Part, error: Exception) -> bool:
    return isinstance(error, RejectedError) and bool(part.cursor)


def _one_client(client: IntercomClient, _workspace_id: str, _lane: Lane) -> IntercomClient:
    return client


def _fetch_with(client: IntercomClient) -> Fetch:
    return intercom_fetch(partial(_one_client, client), client.lane)


@cache
def run_worker() -> RunWorker:
    """Return this process's worker."""
    return RunWorker(SyncContext(engine(), reader(), registry.client_of, registry.end_refused_connections))


def run_once() -> bool:
    """
    Enqueue the runs that are due, then work on runs for RUN_ONCE_SECONDS.

    Returns:
        Whether there is more to do, so that the caller should wake up a worker again.

    Raises:
        sqlalchemy.exc.OperationalError: the database is unavailable; what was written stays, the rest is done later.
    """
    enqueue_due_runs(reader(), engine(), datetime.now(UTC))
    return run_worker().work(time.monotonic() + RUN_ONCE_SECONDS)
