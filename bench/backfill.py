"""Measures a backfill: windows in parallel against one cursor, the same work, 200 ms for each call to Intercom."""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from unittest import mock

from bench.emulator_process import TOKEN, WORKSPACE, run_emulator
from bench.figures import format_figure, table
from bench.servers import Postgres, Valkey
from intercom_api.http.client import IntercomClient
from intercom_api.rate_limit.governor import Governor
from intercom_api.rate_limit.lanes import Lane
from models.db.engine import read_engine, write_engine
from models.db.migrate import upgrade
from workers.celery import reduce_gc_runs
from workers.sync import runs, windows
from workers.sync.page_readers import THREADS
from workers.sync.run_worker import RunWorker, SyncContext

LATENCY_MS = 200.0
# The numbered database of Valkey for the rate-limit governor; the other benchmarks use lower ones.
_VALKEY_DATABASE = 9
# Seconds; one cursor takes a minute and a half for 20,000 contacts.
_TIMEOUT_SECONDS = 600.0


@dataclass(frozen=True)
class BackfillRun:
    """
    One backfill.

    Attributes:
        threads: calls at a time.
        seconds: duration.
        seen: objects read.
        calls: requests to Intercom.
        refused: requests that Intercom answered with 429.
    """

    threads: int
    seconds: float
    seen: int
    calls: int
    refused: int


class _CountingGovernor(Governor):
    """Counts responses, and the refusals among them."""

    calls = 0
    refusals = 0

    def record_response(self, *given: Any, **more: Any) -> None:
        self.calls += 1
        self.refusals += bool(more.get("refused"))
        super().record_response(*given, **more)


def measure(
    postgres: Postgres, valkey: Valkey, contacts: int, companies: int, report_progress: Callable[[str], None]
) -> list[BackfillRun]:
    """Backfill one database with one cursor and one with many windows; return both results in this order."""
    results = []
    with run_emulator(contacts, companies, latency_ms=LATENCY_MS) as emulator, _worker_gc_settings():
        for threads in (1, THREADS):
            results.append(_backfill(postgres, valkey, emulator.port, threads))
            report_progress(
                f"backfill with {threads} calls at a time: {results[-1].seconds:.1f} s, {results[-1].calls} calls"
            )
    return results


def render(results: list[BackfillRun]) -> str:
    """Return this section of the page."""
    one, many = results
    rows = [
        ("calls at a time", "", str(many.threads), str(one.threads), ""),
        (
            "**seconds**",
            "5 times faster",
            format_figure(many.seconds),
            format_figure(one.seconds),
            format_figure(one.seconds / many.seconds),
        ),
        ("calls", "", f"{many.calls:,}", f"{one.calls:,}", ""),
        ("429 responses", "0", str(many.refused), str(one.refused), ""),
    ]
    return (
        f"{many.seen:,} contacts and companies with their tags and segments, read from the emulator, which takes\n"
        f"{LATENCY_MS:.0f} ms for a call, and written to PostgreSQL: windows in parallel against the same work with\n"
        "one cursor. Long lists of companies in contacts are fetched afterwards, and not counted.\n\n"
        + table(("figure", "goal", "windows", "one cursor", "faster"), rows)
    )


def _backfill(postgres: Postgres, valkey: Valkey, port: int, threads: int) -> BackfillRun:
    name = f"backfill_{threads}"
    postgres.create(name)
    upgrade(postgres.url(name))
    engine, reader = write_engine(postgres.url(name)), read_engine(postgres.url(name))
    redis = valkey.connect(_VALKEY_DATABASE)
    redis.flushdb()
    governor = _CountingGovernor(redis)

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

    worker = RunWorker(SyncContext(engine, reader, client_of, lambda *_: True, threads))
    run_id = runs.enqueue(engine, WORKSPACE, "backfill", "command", datetime.now(UTC), full=True)
    # One cursor: the contacts are not divided into windows.
    window_limits = (
        mock.patch.multiple(windows, CONTACTS_PER_WINDOW=10**9, SPLIT_THRESHOLD=10**9)
        if threads == 1
        else nullcontext()
    )
    began = time.monotonic()
    with window_limits:
        while (row := runs.read_run(engine, run_id))["state"] in ("queued", "running"):
            if time.monotonic() - began > _TIMEOUT_SECONDS:
                raise TimeoutError("The backfill took too long.")
            worker.work(time.monotonic() + 5.0)
    seconds = time.monotonic() - began
    worker.close()
    engine.dispose()
    reader.dispose()
    redis.close()
    return BackfillRun(threads, seconds, row["seen"], governor.calls, governor.refusals)


@contextmanager
def _worker_gc_settings() -> Iterator[None]:
    """Use the garbage collector settings of a worker."""
    thresholds = gc.get_threshold()
    reduce_gc_runs()
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
