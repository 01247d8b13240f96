"""The command behind `make scale`."""

import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from tests.long.scale.installation import Options
from tests.long.scale.run import Result, run
from tests.long.torture.log_directory_option import log_directory_option
from tests.ports import free_port
from workers.verify.context import PATIENCE_SECONDS

# Differences that are printed.
_SHOWN = 20


@click.command()
@click.option("--contacts", default=20_000, show_default=True)
@click.option("--companies", default=3_000, show_default=True)
@click.option(
    "--links", default=300, show_default=True, help="The most companies of one contact; most have two or less."
)
@click.option("--latency-ms", default=200.0, show_default=True)
@click.option("--error-rate", default=0.02, show_default=True, help="Share of calls that end in a random 5xx.")
@click.option("--rate-limit", default=10_000, show_default=True, help="Calls a minute, in windows of ten seconds.")
@click.option("--rate", default=5.0, show_default=True, help="Random changes a second during the backfill.")
@click.option("--loss", default=0.2, show_default=True, help="Share of notifications that is never sent.")
@click.option(
    "--unheard", default=0.0, show_default=True, help="Seconds after the backfill whose notifications are all lost."
)
@click.option("--kills", default=10, show_default=True, help="Number of kills of the worker during the backfill.")
@click.option("--seed", default=1, show_default=True)
@click.option("--database", type=click.Choice(["sqlite", "postgres"]), default="postgres", show_default=True)
@click.option("--patience", default=900.0, show_default=True, help="Seconds that one stage may take.")
@click.option("--verify-patience", default=PATIENCE_SECONDS, show_default=True, help="As of `intercom-mirror verify`.")
@log_directory_option
def main(keep: Path | None, **given: Any) -> None:
    """Fill a mirror from a large workspace, through kills, lost notifications and errors; compare every row."""
    with tempfile.TemporaryDirectory(prefix="scale-", ignore_cleanup_errors=True) as name:
        result = run(Options(**given), keep or Path(name), free_port(), click.echo)
    _report(result)
    sys.exit(1 if result.differences or result.verify_result[0] else 0)


def _report(result: Result) -> None:
    click.echo(
        f"filled in {result.filled:.0f} s with {result.killed} kills; no dirty objects after {result.refetched:.0f} s"
    )
    if result.lost_topics:
        click.echo(
            "lost notifications: " + ", ".join(f"{topic} {count}" for topic, count in result.lost_topics.most_common())
        )
    click.echo(
        f"{result.before} differences before, {len(result.differences)} after the reconcile, started by the"
        f" {result.asked_by}, which took {result.reconciled:.0f} s; {result.calls:,} calls;"
        f" {result.memory_mib:.0f} MiB for sync"
    )
    click.echo(", ".join(f"{table} {count:,}" for table, count in result.rows.items()))
    for found in result.differences[:_SHOWN]:
        click.echo(" ".join(found))
    code, output = result.verify_result
    shown = {
        name: output.get(name) for name in ("result", "compared", "drifted", "reasons", "said") if output.get(name)
    }
    click.echo(f"verify --full ended with {code} after {result.verify_seconds:.0f} s: {shown}")
    for found in output.get("differences", [])[:_SHOWN]:
        click.echo(f"  {found}")


if __name__ == "__main__":
    main()
