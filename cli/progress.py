"""Waiting for long jobs with a bar: how far they are, and how long the rest may take."""

import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from sqlalchemy import Engine

from workers.sync import runs

# Seconds between looks at the rows, and until a run that nobody took is told of.
_PERIOD = 0.5
_IDLE_SECONDS = 15.0

_ENDED = ("done", "failed", "waiting")


def remaining(run: dict[str, Any], now: datetime) -> float | None:
    """
    Estimate in seconds how long a run still takes: as it went so far, on average.

    None while too little is known; pauses and what follows the lists (members, look-ups) are not foreseen.
    """
    expected, seen, started_at = run["expected"], run["seen"], run["started_at"]
    if not expected or not seen or started_at is None or run["state"] != "running":
        return None
    elapsed: float = (now - started_at).total_seconds()
    left: float = elapsed * (expected - seen) / seen
    return max(0.0, left)


def follow(engine: Engine, run_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Show runs until all have ended, and return their rows; Ctrl-C leaves them to the workers."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[says]}"))
    started, told = time.monotonic(), False
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bars = {run_id: progress.add_task("", total=None, says="") for run_id in run_ids}
        while True:
            rows = [runs.read_run(engine, run_id) for run_id in run_ids]
            for row in rows:
                progress.update(
                    bars[row["id"]],
                    description=f"{row['kind']} {row['workspace_id']}",
                    total=row["expected"],
                    completed=row["seen"],
                    says=_says(row),
                )
            if all(row["state"] in _ENDED for row in rows):
                return rows
            if (
                not told
                and time.monotonic() - started > _IDLE_SECONDS
                and all(row["state"] == "queued" for row in rows)
            ):
                progress.console.print("Nobody has begun yet. Does `intercom-mirror up`, or the worker for sync, run?")
                told = True
            # Between two looks at the row of the run, as nothing rings for a terminal.
            time.sleep(_PERIOD)


def _says(row: dict[str, Any]) -> str:
    if row["state"] != "running":
        return str(row["state"])
    if row["error"]:
        return str(row["error"])
    left = remaining(row, datetime.now(UTC))
    return "" if left is None else f"about {_duration(left)} left"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"  # noqa: PLR2004 -- seconds read well so far


def wait_for(engine: Engine, run_ids: Sequence[int]) -> None:
    """
    Wait for runs with a bar, then say how each ended.

    Raises:
        click.ClickException: one failed, or waits for a person.
    """
    rows: list[dict[str, Any]] = []
    with suppress(KeyboardInterrupt):
        rows = follow(engine, run_ids)
    if not rows:
        click.echo("They go on without you.")
        return
    for row in rows:
        if row["state"] == "done":
            click.echo(_done(row))
    troubles = [f"{row['workspace_id']}: {row['error']}" for row in rows if row["state"] != "done"]
    if troubles:
        raise click.ClickException("\n".join(troubles))


def _done(row: dict[str, Any]) -> str:
    seconds = (row["ended_at"] - row["started_at"]).total_seconds()
    line = f"{row['workspace_id']}: {row['seen']} contacts and companies read in {_duration(seconds)}."
    refused = row["detail"].get("refused") or {}
    return line + "".join(f"\n  not read: {part}: {why}" for part, why in sorted(refused.items()))
