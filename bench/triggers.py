"""Workflows beside the mirror: every notification starts a run, and the rows must not be later for it."""

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

from bench import connected, generator
from bench.bodies import request
from bench.connected import Running
from bench.contenders import WEBHOOK_PATH
from bench.figures import percentile, table, written
from bench.pretend import WORKSPACE, Pretended, intercom
from bench.servers import Postgres, Valkey

# Milliseconds that a row may be later than its notification, whatever workflows do.
GOAL_MS = 1000.0

# The sync process fills the mirror before; deliveries have nothing to do.
_PROCESSES = ("web", "worker", "sync", "workflows", "beat")
_COMPANIES = 50
# A fiftieth of the contacts is archived, and is not renamed.
_SPARE = 1.1
# Requests that can be on their way at the same time: at 200 a second, each may take some tens of milliseconds.
_SENDERS = 16
# Rows are looked for at this interval, which bounds the error; 10 ms cost a fiftieth of a core.
_LOOK_SECONDS = 0.01
_FILL_SECONDS = 120.0
_READ_SECONDS = 30.0
# Runs are work of their own, at some tens a second: what comes in twenty seconds is done within minutes.
_RUNS_SECONDS = 240.0

# The step is one that must not be done twice, so that what was done twice shows.
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
    What was seen.

    Attributes:
        rate: notifications a second, each about another contact.
        lags_ms: of each, from when it was due to be sent until its row was seen by another connection.
        states: of the runs that they started.
        done: how often the step was done in Intercom, for each contact.
        rest_seconds: from the last notification until the last run had ended.
    """

    rate: int
    lags_ms: list[float]
    states: dict[str, int]
    done: dict[str, int]
    rest_seconds: float

    @property
    def once(self) -> int:
        """For how many contacts the step was done exactly once."""
        return sum(times == 1 for times in self.done.values())


def measure(postgres: Postgres, valkey: Valkey, rate: int, seconds: int, say: Callable[[str], None]) -> TriggerRun:
    """Send so many notifications a second for so long, each of which starts a run; returns when all runs have ended."""
    valkey.set_appendfsync("always")
    count = rate * seconds
    with TemporaryDirectory(prefix="bench-workflows-") as flows:
        Path(flows, "note-it.yaml").write_text(_WORKFLOW)
        with (
            intercom(round(count * _SPARE), _COMPANIES, rate_limit=0) as pretended,
            connected.product(postgres, valkey, pretended.port, _PROCESSES, WORKFLOWS_DIR=flows) as running,
        ):
            _wait_until_filled(running)
            run = _run(running, pretended, rate, count)
    say(f"{rate} triggers a second: rows after {percentile(run.lags_ms, 99):.0f} ms (p99), runs {run.states}")
    return run


def render(run: TriggerRun) -> str:
    """Return the section of the page."""
    count = len(run.lags_ms)
    rows = [
        ("webhook to visible row, p50, ms", "", written(percentile(run.lags_ms, 50))),
        ("webhook to visible row, p99, ms", "", written(percentile(run.lags_ms, 99))),
        ("**webhook to visible row, longest, ms**", f"{GOAL_MS:,.0f}", written(max(run.lags_ms))),
        ("runs that ended well", f"{count:,}", f"{run.states.get('done', 0):,}"),
        ("contacts whose note was written exactly once", f"{count:,}", f"{run.once:,}"),
        ("seconds from the last notification to the end of the last run", "", written(run.rest_seconds)),
    ]
    return (
        f"{run.rate} notifications a second, {count:,} in all, each about another contact of a mirror that was filled\n"
        "before, and each starting a run of a workflow that writes a note in the pretend Intercom. All processes of\n"
        "the Procfile but `deliveries`. The runs wait in a queue of their own; the rows must not.\n\n"
        + table(("figure", "goal", "product"), rows)
    )


def _run(running: Running, pretended: Pretended, rate: int, count: int) -> TriggerRun:
    told = pretended.rename(count)
    before = Counter(pretended.calls())
    requests = [(each, request(body, WEBHOOK_PATH, f"127.0.0.1:{running.port}")) for each, body in told]
    with _watching(running) as watch:
        _send(running.port, requests, rate, watch.due)
        last = time.monotonic()
        watch.wait_for(count)
    _wait_for_runs(running, count)
    ended = time.monotonic()
    called = Counter(pretended.calls()) - before
    return TriggerRun(
        rate,
        [(watch.seen[each] - watch.due[each]) * 1000 for each, _ in told],
        _states(running.product.sql),
        {each: called[f"POST /contacts/{each}/notes"] for each, _ in told},
        ended - last,
    )


def _send(port: int, requests: list[tuple[str, bytes]], rate: int, due: dict[str, float]) -> None:
    """Send each when it is due, whether or not those before it were answered."""
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
    Looks which contacts have their new name, on a connection of its own.

    `due`: when each was to be sent, filled while they are; `seen`: when each was first seen with its new name.
    """

    def __init__(self, sql: psycopg.Connection) -> None:
        self._sql = sql
        self.due: dict[str, float] = {}
        self.seen: dict[str, float] = {}
        self.stopped = Event()

    def look_on(self) -> None:
        """Look again and again, until it is stopped."""
        query = "SELECT id FROM contacts WHERE workspace_id = %s AND id = ANY(%s) AND name LIKE 'Renamed %%'"
        while not self.stopped.wait(_LOOK_SECONDS):
            waiting = [each for each in list(self.due) if each not in self.seen]
            if waiting:
                found = self._sql.execute(query, (WORKSPACE, waiting)).fetchall()
                self.seen |= dict.fromkeys((contact_id for (contact_id,) in found), time.monotonic())

    def wait_for(self, count: int) -> None:
        """Wait until so many were seen."""
        _wait(lambda: len(self.seen) >= count, _READ_SECONDS, "The rows did not come.")


@contextmanager
def _watching(running: Running) -> Iterator[_Watch]:
    with running.product.postgres.connect(running.product.database) as sql:
        watch = _Watch(sql)
        thread = Thread(target=watch.look_on)
        thread.start()
        try:
            yield watch
        finally:
            watch.stopped.set()
            thread.join()


def _wait_until_filled(running: Running) -> None:
    """Wait until the mirror holds everything, and the workflow is in force."""

    def filled() -> bool:
        sql = running.product.sql
        ended = sql.execute("SELECT count(*) FROM sync_runs WHERE kind = 'backfill' AND state = 'done'").fetchone()
        known = sql.execute("SELECT count(*) FROM workflow_files").fetchone()
        # What is fetched again would be told of by that before its notification comes, and that starts nothing.
        doubted = sql.execute("SELECT count(*) FROM object_states WHERE dirty > clean").fetchone()
        return ended != (0,) and known != (0,) and doubted == (0,)

    _wait(filled, _FILL_SECONDS, "The mirror was not filled.")


def _states(sql: psycopg.Connection) -> dict[str, int]:
    return dict(sql.execute("SELECT state, count(*) FROM workflow_runs GROUP BY state").fetchall())


def _wait_for_runs(running: Running, count: int) -> None:
    def ended() -> bool:
        states = _states(running.product.sql)
        return sum(states.values()) >= count and not states.keys() & {"queued", "held"}

    _wait(ended, _RUNS_SECONDS, "Not all runs have ended.")


def _wait(condition: Callable[[], bool], seconds: float, otherwise: str) -> None:
    """Wait for a condition; raises TimeoutError."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(otherwise)
        time.sleep(_LOOK_SECONDS)
