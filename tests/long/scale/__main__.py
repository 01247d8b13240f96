"""The command behind `make scale`."""

import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from tests.long.scale.bed import Options
from tests.long.scale.run import Result, run
from tests.long.torture.log_directory_option import log_directory_option
from tests.ports import free_port
from workers.verify.context import PATIENCE_SECONDS

# Differences that are shown; more of them say no more.
_SHOWN = 20


@click.command()
@click.option("--contacts", default=20_000, show_default=True)
@click.option("--companies", default=3_000, show_default=True)
@click.option("--links", default=300, show_default=True, help="No contact has more companies; most have two at most.")
@click.option("--latency-ms", default=200.0, show_default=True)
@click.option("--error-rate", default=0.02, show_default=True, help="Share of calls that end in a random 5xx.")
@click.option("--rate-limit", default=10_000, show_default=True, help="Calls a minute, in windows of ten seconds.")
@click.option("--rate", default=5.0, show_default=True, help="Deeds a second of everyday life during the fill.")
@click.option("--loss", default=0.2, show_default=True, help="Share of notifications that is never sent.")
@click.option(
    "--unheard", default=0.0, show_default=True, help="Seconds of life after the fill of which nothing is heard."
)
@click.option("--kills", default=10, show_default=True, help="How often the worker is killed during the fill.")
@click.option("--seed", default=1, show_default=True)
@click.option("--database", type=click.Choice(["sqlite", "postgres"]), default="postgres", show_default=True)
@click.option("--patience", default=900.0, show_default=True, help="Seconds that one stage may take.")
@click.option("--verify-patience", default=PATIENCE_SECONDS, show_default=True, help="As of `intercom-mirror verify`.")
@log_directory_option
def main(keep: Path | None, **given: Any) -> None:
    """Fill a mirror from a large workspace, through kills, losses and failures; then compare every row."""
    with tempfile.TemporaryDirectory(prefix="scale-", ignore_cleanup_errors=True) as name:
        result = run(Options(**given), keep or Path(name), free_port(), click.echo)
    _report(result)
    sys.exit(1 if result.differences or result.verified[0] else 0)


def _report(result: Result) -> None:
    click.echo(
        f"filled in {result.filled:.0f} s with {result.killed} kills; nothing in doubt after {result.hydrated:.0f} s"
    )
    if result.untold:
        click.echo("lost meanwhile: " + ", ".join(f"{topic} {count}" for topic, count in result.untold.most_common()))
    click.echo(
        f"{result.before} differences before, {len(result.differences)} after the reconcile, asked for by the"
        f" {result.asked_by}, which took {result.reconciled:.0f} s; {result.calls:,} calls;"
        f" {result.memory_mib:.0f} MiB for sync"
    )
    click.echo(", ".join(f"{table} {count:,}" for table, count in result.rows.items()))
    for found in result.differences[:_SHOWN]:
        click.echo(" ".join(found))
    code, words = result.verified
    told = {name: words.get(name) for name in ("result", "compared", "drifted", "reasons", "said") if words.get(name)}
    click.echo(f"verify --full ended with {code} after {result.verifying:.0f} s: {told}")
    for found in words.get("differences", [])[:_SHOWN]:
        click.echo(f"  {found}")


if __name__ == "__main__":
    main()
