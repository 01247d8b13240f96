"""Measures workflows: every notification starts a run, which must not delay the rows."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

import psycopg

from bench import connected_product, generator
from bench.bodies import request
from bench.connected_product import Running
from bench.contenders import WEBHOOK_PATH
from bench.emulator_process import WORKSPACE, EmulatorProcess, run_emulator
from bench.figures import format_figure, percentile, table
from bench.servers import Postgres, Valkey
from settings.units import MS_PER_SECOND

# Milliseconds from a notification to its visible row, at most, whatever workflows do.
GOAL_MS = 1000.0

# The sync process makes the backfill first; `deliveries` would have nothing to do.
_PROCESSES = ("web", "worker", "sync", "workflows", "beat")
_COMPANIES = 50
# One contact in fifty is archived, and cannot be renamed.
_SPARE_CONTACTS = 1.1
# Concurrent requests: at 200 a second, each may take some tens of milliseconds.
_SENDERS = 16
# The rows are polled at this interval, which bounds the error; 10 ms cost a fiftieth of a core.
_POLL_SECONDS = 0.01
_BACKFILL_SECONDS = 120.0
_ROWS_SECONDS = 30.0
# Runs are executed at some tens a second, so those of twenty seconds take minutes.
_RUNS_SECONDS = 240.0

# The step is not idempotent, so a second execution is visible.
_WORKFLOW = """\
name: note-it
trigger: {on: contact.updated}
steps:
  - id: note
    request:
      method: POST
      path: /contacts/{{ record.id }}/notes
      body: {body: "Renamed to {{ record.name }}."}
"""


@dataclass(frozen=True)
class TriggerRun:
    """
    The result.

    Attributes:
        rate: notifications a second, each about another contact.
        lags_ms: of each, from when it was due to be sent until another connection saw its row.
        states: number of the runs they started, by state.
        done: how often the step was executed in the emulator, by contact.
        rest_seconds: from the last notification to the end of the last run.
    """

    rate: int
    lags_ms: list[float]
    states: dict[str, int]
    done: dict[str, int]
    rest_seconds: float

    @property
    def once(self) -> int:
        """The number of contacts for which the step was executed exactly once."""
        return sum(times == 1 for times in self.done.values())


def measure(
    postgres: Postgres, valkey: Valkey, rate: int, seconds: int, report_progress: Callable[[str], None]
) -> TriggerRun:
    """Send `rate` notifications a second, each of which starts a run; return when all runs have ended."""
    valkey.set_appendfsync("always")
    count = rate * seconds
    with TemporaryDirectory(prefix="bench-workflows-") as flows:
        Path(flows, "note-it.yaml").write_text(_WORKFLOW)
        with (
            run_emulator(round(count * _SPARE_CONTACTS), _COMPANIES, rate_limit=0) as emulator,
            connected_product.product(postgres, valkey, emulator.port, _PROCESSES, WORKFLOWS_DIR=flows) as running,
        ):
            _wait_for_backfill(running)
            run = _run(running, emulator, rate, count)
    report_progress(
        f"{rate} notifications a second: rows after {percentile(run.lags_ms, 99):.0f} ms (p99), runs {run.states}"
    )
    return run


def render(run: TriggerRun) -> str:
    """Return this section of the page."""
    count = len(run.lags_ms)
    rows = [
        ("webhook to visible row, p50, ms", "", format_figure(percentile(run.lags_ms, 50))),
        ("webhook to visible row, p99, ms", "", format_figure(percentile(run.lags_ms, 99))),
        ("**webhook to visible row, longest, ms**", f"{GOAL_MS:,.0f}", format_figure(max(run.lags_ms))),
        ("successful runs", f"{count:,}", f"{run.states.get('done', 0):,}"),
        ("contacts with exactly one note", f"{count:,}", f"{run.once:,}"),
        ("seconds from the last notification to the end of the last run", "", format_figure(run.rest_seconds)),
    ]
    return (
        f"{run.rate} notifications a second, {count:,} in all, each about another contact after a backfill, and each\n"
        "starts a run of a workflow that writes a note in the emulator. All processes of the Procfile run, except\n"
        "`deliveries`. The runs wait in a queue of their own, so they must not delay the rows.\n\n"
        + table(("figure", "goal", "product"), rows)
    )


def _run(running: Running, emulator: EmulatorProcess, rate: int, count: int) -> TriggerRun:
    renamed = emulator.rename(count)
    before = Counter(emulator.calls())
    requests = [(each, request(body, WEBHOOK_PATH, f"127.0.0.1:{running.port}")) for each, body in renamed]
    with _watching(running) as watch:
        _send(running.port, requests, rate, watch.due)
        last = time.monotonic()
        watch.wait_for(count)
    _wait_for_runs(running, count)
    ended = time.monotonic()
    called = Counter(emulator.calls()) - before
    return TriggerRun(
        rate,
        [(watch.seen[each] - watch.due[each]) * MS_PER_SECOND for each, _ in renamed],
        _states(running.product.sql),
        {each: called[f"POST /contacts/{each}/notes"] for each, _ in renamed},
        ended - last,
    )


def _send(port: int, requests: list[tuple[str, bytes]], rate: int, due: dict[str, float]) -> None:
    """Send each when it is due, without waiting for the responses to earlier ones."""
    with ThreadPoolExecutor(_SENDERS) as pool:
        began, sent = time.monotonic(), []
        for number, (contact_id, content) in enumerate(requests):
            due[contact_id] = began + number / rate
            time.sleep(max(0.0, due[contact_id] - time.monotonic()))
            sent.append(pool.submit(generator.run, ("127.0.0.1", port), [content], 1))
    refused = Counter(status for each in sent for status in each.result().refused)
    if refused:
        raise RuntimeError(f"Notifications were refused: {dict(refused)}.")


class _Watch:
    """
    Polls the rows for the new names, on a connection of its own.

    Attributes:
        due: when each notification was to be sent, by contact; filled while they are sent.
        seen: when each contact was first seen with its new name.
    """

    def __init__(self, sql: psycopg.Connection) -> None:
        self._sql = sql
        self.due: dict[str, float] = {}
        self.seen: dict[str, float] = {}
        self.stopped = Event()

    def poll(self) -> None:
        """Poll until it is stopped."""
        query = "SELECT id FROM contacts WHERE workspace_id = %s AND id = ANY(%s) AND name LIKE 'Renamed %%'"
        while not self.stopped.wait(_POLL_SECONDS):
            waiting = [each for each in list(self.due) if each not in self.seen]
            if waiting:
                rows = self._sql.execute(query, (WORKSPACE, waiting)).fetchall()
                self.seen |= dict.fromkeys((contact_id for (contact_id,) in rows), time.monotonic())

    def wait_for(self, count: int) -> None:
        """Wait until `count` contacts were seen."""
        _wait(lambda: len(self.seen) >= count, _ROWS_SECONDS, "The rows did not appear.")


@contextmanager
def _watching(running: Running) -> Iterator[_Watch]:
    with running.product.postgres.connect(running.product.database) as sql:
        watch = _Watch(sql)
        thread = Thread(target=watch.poll)
        thread.start()
        try:
            yield watch
        finally:
            watch.stopped.set()
            thread.join()


def _wait_for_backfill(running: Running) -> None:
    """Wait until the backfill is complete and the workflow is active."""

    def complete() -> bool:
        sql = running.product.sql
        ended = sql.execute("SELECT count(*) FROM sync_runs WHERE kind = 'backfill' AND state = 'done'").fetchone()
        loaded = sql.execute("SELECT count(*) FROM workflow_files").fetchone()
        # A refetch could apply the new name before its notification, which then starts no run.
        dirty = sql.execute("SELECT count(*) FROM object_states WHERE dirty > clean").fetchone()
        return ended != (0,) and loaded != (0,) and dirty == (0,)

    _wait(complete, _BACKFILL_SECONDS, "The backfill did not end.")


def _states(sql: psycopg.Connection) -> dict[str, int]:
    return dict(sql.execute("SELECT state, count(*) FROM workflow_runs GROUP BY state").fetchall())


def _wait_for_runs(running: Running, count: int) -> None:
    def ended() -> bool:
        states = _states(running.product.sql)
        return sum(states.values()) >= count and not states.keys() & {"queued", "held"}

    _wait(ended, _RUNS_SECONDS, "Not all runs have ended.")


def _wait(condition: Callable[[], bool], seconds: float, message: str) -> None:
    """Wait for a condition; raises TimeoutError with the message."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(message)
        time.sleep(_POLL_SECONDS)
