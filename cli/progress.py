"""Waits for backfill and reconcile runs, with a progress bar and an estimate of the time left."""

import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from sqlalchemy import Engine

from cli.terminal import printable
from workers.sync import runs

# Seconds between reads of the runs, and until the user is warned that no worker has started them.
_POLL_SECONDS = 0.5
_IDLE_SECONDS = 15.0

_ENDED = ("done", "failed", "waiting")

# Seconds up to which a duration is shown in seconds.
_MAX_SHOWN_SECONDS = 90


def remaining(run: dict[str, Any], now: datetime) -> float | None:
    """
    Estimate how many seconds a run still takes, at its average speed so far.

    None while too little is known. Pauses, and what follows the lists (members, look-ups), are not included.
    """
    expected, seen, started_at = run["expected"], run["seen"], run["started_at"]
    if not expected or not seen or started_at is None or run["state"] != "running":
        return None
    elapsed: float = (now - started_at).total_seconds()
    left: float = elapsed * (expected - seen) / seen
    return max(0.0, left)


def follow(engine: Engine, run_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Show the progress of runs until all have ended; returns their rows. Ctrl-C leaves them running."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"))
    started, warned = time.monotonic(), False
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bars = {run_id: progress.add_task("", total=None, note="") for run_id in run_ids}
        while True:
            rows = [runs.read_run(engine, run_id) for run_id in run_ids]
            for row in rows:
                progress.update(
                    bars[row["id"]],
                    description=f"{row['kind']} {row['workspace_id']}",
                    total=row["expected"],
                    completed=row["seen"],
                    note=_note(row),
                )
            if all(row["state"] in _ENDED for row in rows):
                return rows
            idle = time.monotonic() - started > _IDLE_SECONDS and all(row["state"] == "queued" for row in rows)
            if idle and not warned:
                progress.console.print(
                    "No worker has started yet. Check that `intercom-mirror up`, or a worker for sync, is running."
                )
                warned = True
            time.sleep(_POLL_SECONDS)


def _note(row: dict[str, Any]) -> str:
    if row["state"] != "running":
        return str(row["state"])
    if row["error"]:
        return str(row["error"])
    left = remaining(row, datetime.now(UTC))
    return "" if left is None else f"about {_duration(left)} left"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < _MAX_SHOWN_SECONDS else f"{seconds / 60:.0f} min"


def wait_for(engine: Engine, run_ids: Sequence[int]) -> None:
    """
    Wait for runs with a progress bar, then print how each ended.

    Raises:
        click.ClickException: a run failed, or waits for a person.
    """
    rows: list[dict[str, Any]] = []
    with suppress(KeyboardInterrupt):
        rows = follow(engine, run_ids)
    if not rows:
        click.echo("The worker continues in the background.")
        return
    for row in rows:
        if row["state"] == "done":
            click.echo(_summary(row))
    errors = [f"{row['workspace_id']}: {row['error']}" for row in rows if row["state"] != "done"]
    if errors:
        raise click.ClickException("\n".join(errors))


def _summary(row: dict[str, Any]) -> str:
    seconds = (row["ended_at"] - row["started_at"]).total_seconds()
    line = f"{row['workspace_id']}: {row['seen']} contacts and companies read in {_duration(seconds)}."
    refused = row["detail"].get("refused") or {}
    return line + "".join(f"\n  not read: {part}: {printable(str(why))}" for part, why in sorted(refused.items()))
