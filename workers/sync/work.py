"""
Working on runs: a slice of some seconds at a time, so that a shutdown is quick and everybody gets a turn.

The crew of a run lives on between the slices of one process. All that counts is in SQL: a process that dies costs the
pages that it had read and not written, and another one goes on once the lease has ended.
"""

import os
import socket
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

import structlog
from sqlalchemy import Engine

from intercom_api.client import IntercomClient
from intercom_api.errors import NotAuthorizedError, PermanentError, RejectedError, TransientError
from intercom_api.lanes import Lane
from workers.fetched import Fetch
from workers.fetching import ClientOf, client_fetch
from workers.sync import commit, runs
from workers.sync.crew import THREADS, Crew, Failure
from workers.sync.parts import Context, Part, Run, Step, TooManyGoneError

log = structlog.get_logger()

# Seconds of one slice: well below what the task may take, so that its last transaction and the threads' waits fit.
SLICE_SECONDS = 5.0

# Runs whose crews one process keeps at a time; each has some threads and pages in memory.
MOST_CREWS = 3

# Failures of a part without a page in between before it is given up: at the longest pause that is some two hours,
# longer than any outage of Intercom's.
MOST_ATTEMPTS = 30

# Without these a mirror is not filled, whatever else there was; other lists may need a permission that the app lacks.
_NEEDED = ("plan", "contacts", "companies", "late")

# Seconds that a slice waits for a page before it looks around.
_LOOK_SECONDS = 0.25


class Tools(NamedTuple):
    """What a process works on runs with; `disconnect(workspace_id, reason)` is told of tokens that are refused."""

    engine: Engine
    reader: Engine
    client_of: ClientOf
    disconnect: Callable[[str, str], object]
    threads: int = THREADS


class Desk:
    """The runs that this process has in hand."""

    def __init__(self, tools: Tools) -> None:
        self.tools = tools
        self.lease = f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"
        self._crews: dict[int, Crew] = {}

    def work(self, until: float, only: set[int] | None = None) -> bool:
        """
        Work on runs until `until` (seconds of `time.monotonic`), `only` on these if given.

        Returns:
            Whether there may be more to do at once.
        """
        while time.monotonic() < until:
            mine = only if len(self._crews) < MOST_CREWS else set(self._crews)
            run = runs.take(self.tools.engine, self.lease, datetime.now(UTC), only=mine)
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
                self._dismiss(run)
            except BaseException:
                # What was taken from the crew is not written: it must be read again, from the cursors in SQL.
                self._dismiss(run)
                raise
        return True

    def close(self) -> None:
        """Dismiss all crews."""
        for crew in self._crews.values():
            crew.dismiss()
        self._crews.clear()

    def _work_on(self, run: Run, until: float) -> None:
        crew = self._crew(run)
        if crew is None:
            runs.end(self.tools.engine, run, "failed", datetime.now(UTC),
                     error="Nobody is connected to the workspace. Connect it again.")  # fmt: skip
            return
        wanted = True
        while time.monotonic() < until:
            if wanted:
                for part in commit.open_parts(self.tools.engine, run):
                    crew.give(part)
            if not crew.in_hand and self._is_over(run):
                return
            read = crew.take(min(_LOOK_SECONDS, until - time.monotonic()))
            wanted = self._write(run, crew, read) or not read
            if run.id not in self._crews:
                return
        runs.leave(self.tools.engine, run, datetime.now(UTC))

    def _crew(self, run: Run) -> Crew | None:
        crew = self._crews.get(run.id)
        if crew is not None and crew.context.run.started_at == run.started_at:
            return crew
        lane = Lane.BACKFILL if run.kind == "backfill" else Lane.RECONCILE
        client = self.tools.client_of(run.workspace_id, lane)
        if client is None:
            return None
        self._crews[run.id] = Crew(Context(run, client, _fetch_with(client), self.tools.reader), self.tools.threads)
        return self._crews[run.id]

    def _dismiss(self, run: Run) -> None:
        if crew := self._crews.pop(run.id, None):
            crew.dismiss()

    def _write(self, run: Run, crew: Crew, read: list[Step | Failure]) -> bool:
        """Write what was read; returns whether there may be other parts to be read now."""
        steps = [each for each in read if isinstance(each, Step)]
        if steps:
            commit.write(self.tools.engine, run, steps)
        for step in steps:
            if step.done:
                crew.done_with(step.part)
        failures = [each for each in read if isinstance(each, Failure)]
        for failure in failures:
            crew.done_with(failure.part.part)
            self._fail(run, failure.part, failure.error)
        return bool(failures) or any(step.done or step.more for step in steps)

    def _fail(self, run: Run, part: Part, error: Exception) -> None:
        engine, now = self.tools.engine, datetime.now(UTC)
        log.warning("a part broke off", run=run.id, part=part.part, error=type(error).__name__, attempts=part.attempts)
        if isinstance(error, NotAuthorizedError):
            if self.tools.disconnect(run.workspace_id, error.code):
                self._dismiss(run)
                runs.end(engine, run, "failed", now, error=str(error))
            else:
                # The token lives; this one list is not for it.
                commit.refuse(engine, run, part, str(error))
        elif isinstance(error, TooManyGoneError):
            self._dismiss(run)
            runs.end(engine, run, "waiting", now, error=str(error), more={"missing": {error.kind: error.count}})
        elif isinstance(error, TransientError) or _may_be_the_cursor(part, error):
            if part.attempts >= MOST_ATTEMPTS:
                commit.refuse(engine, run, part, str(error))
            else:
                pause = error.retry_after_seconds if isinstance(error, TransientError) else 0.0
                commit.postpone(engine, run, part, str(error), pause, restart=isinstance(error, RejectedError))
        elif isinstance(error, PermanentError):
            commit.refuse(engine, run, part, str(error))
        elif part.attempts >= MOST_ATTEMPTS:
            commit.refuse(engine, run, part, type(error).__name__)
        else:
            # The database was away while something was looked up, or we failed to foresee something.
            log.warning("a part met an error that was not foreseen", run=run.id, part=part.part, exc_info=error)
            commit.postpone(engine, run, part, type(error).__name__, 0.0)

    def _is_over(self, run: Run) -> bool:
        """Tell whether nothing is left to be read, and end the run if so; parts may be resting after a failure."""
        is_open, refused = commit.left(self.tools.engine, run)
        if is_open:
            time.sleep(_LOOK_SECONDS)
            return False
        needed = [name for name in refused if name.partition("/")[0] in _NEEDED]
        error = refused[needed[0]] if needed else None
        state = "failed" if needed else "done"
        self._dismiss(run)
        runs.end(self.tools.engine, run, state, datetime.now(UTC), error=error,
                 more={"refused": refused} if refused else None)  # fmt: skip
        log.info("run ended", run=run.id, kind=run.kind, workspace_id=run.workspace_id, state=state)
        return True


def _may_be_the_cursor(part: Part, error: Exception) -> bool:
    return isinstance(error, RejectedError) and bool(part.cursor)


def _one_client(client: IntercomClient, _workspace_id: str, _lane: Lane) -> IntercomClient:
    return client


def _fetch_with(client: IntercomClient) -> Fetch:
    return client_fetch(partial(_one_client, client), client.lane)
