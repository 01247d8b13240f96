"""How long a fill takes: many windows at a time against one cursor, the same work, Intercom 200 ms away."""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from unittest import mock

from bench.figures import table, written
from bench.pretend import TOKEN, WORKSPACE, intercom
from bench.servers import Postgres, Valkey
from intercom_api.http.client import IntercomClient
from intercom_api.rate_limit.governor import Governor
from intercom_api.rate_limit.lanes import Lane
from models.db.engine import read_engine, write_engine
from models.db.migrate import upgrade
from workers.celery import reduce_gc_runs
from workers.sync import runs, windows
from workers.sync.page_readers import THREADS
from workers.sync.worker import RunWorker, SyncContext

LATENCY_MS = 200.0
# The database of Valkey in which the governor counts; the other benchmarks use lower ones.
_VALKEY = 9
# Seconds; one cursor takes a minute and a half for 20,000 contacts.
_LIMIT_SECONDS = 600.0


@dataclass(frozen=True)
class FillRun:
    """One fill: its `threads`, `seconds`, what it read, its `calls`, and how many of them Intercom refused with 429."""

    threads: int
    seconds: float
    seen: int
    calls: int
    refused: int


class _Counting(Governor):
    """Counts answers, and among them the refusals."""

    calls = 0
    refusals = 0

    def record_response(self, *given: Any, **more: Any) -> None:
        self.calls += 1
        self.refusals += bool(more.get("refused"))
        super().record_response(*given, **more)


def measure(
    postgres: Postgres, valkey: Valkey, contacts: int, companies: int, say: Callable[[str], None]
) -> list[FillRun]:
    """Fill one database by one cursor and one by many windows, and return both runs in this order."""
    found = []
    with intercom(contacts, companies, latency_ms=LATENCY_MS) as pretended, _as_in_a_worker():
        for threads in (1, THREADS):
            found.append(_fill(postgres, valkey, pretended.port, threads))
            say(f"fill with {threads} calls at a time: {found[-1].seconds:.1f} s, {found[-1].calls} calls")
    return found


def render(found: list[FillRun]) -> str:
    """Return the section of the page."""
    one, many = found
    rows = [
        ("calls at a time", "", str(many.threads), str(one.threads), ""),
        (
            "**seconds**",
            "5 times faster",
            written(many.seconds),
            written(one.seconds),
            written(one.seconds / many.seconds),
        ),
        ("calls", "", f"{many.calls:,}", f"{one.calls:,}", ""),
        ("answered 429", "0", str(many.refused), str(one.refused), ""),
    ]
    return (
        f"{many.seen:,} contacts and companies with their tags and segments, read from the pretend Intercom, which\n"
        f"takes {LATENCY_MS:.0f} ms for a call, and written to PostgreSQL: windows in parallel against the same work\n"
        "by one cursor. Long lists of companies inside contacts are fetched afterwards, and not counted.\n\n"
        + table(("figure", "goal", "windows", "one cursor", "faster"), rows)
    )


def _fill(postgres: Postgres, valkey: Valkey, port: int, threads: int) -> FillRun:
    name = f"fill_{threads}"
    postgres.create(name)
    upgrade(postgres.url(name))
    engine, reader = write_engine(postgres.url(name)), read_engine(postgres.url(name))
    redis = valkey.connect(_VALKEY)
    redis.flushdb()
    governor = _Counting(redis)

    def client_of(workspace_id: str, lane: Lane) -> IntercomClient:
        return IntercomClient(
            TOKEN,
            f"http://127.0.0.1:{port}/us",
            version="2.16",
            governor=governor,
            app="bench",
            workspace_id=workspace_id,
            lane=lane,
        )

    desk = RunWorker(SyncContext(engine, reader, client_of, lambda *_: True, threads))
    run_id = runs.enqueue(engine, WORKSPACE, "backfill", "command", datetime.now(UTC), full=True)
    # One cursor: nothing is cut into windows.
    whole = (
        mock.patch.multiple(windows, CONTACTS_PER_WINDOW=10**9, SPLIT_THRESHOLD=10**9)
        if threads == 1
        else nullcontext()
    )
    began = time.monotonic()
    with whole:
        while (row := runs.read_run(engine, run_id))["state"] in ("queued", "running"):
            if time.monotonic() - began > _LIMIT_SECONDS:
                raise TimeoutError("The fill took too long.")
            desk.work(time.monotonic() + 5.0)
    seconds = time.monotonic() - began
    desk.close()
    engine.dispose()
    reader.dispose()
    redis.close()
    return FillRun(threads, seconds, row["seen"], governor.calls, governor.refusals)


@contextmanager
def _as_in_a_worker() -> Iterator[None]:
    """Let Python look for garbage as in a worker."""
    thresholds = gc.get_threshold()
    reduce_gc_runs()
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
