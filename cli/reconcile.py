"""`intercom-mirror reconcile`: find changes that webhooks did not report."""

import click

from cli.backfill import enqueue_runs
from cli.database import open_database
from cli.progress import wait_for
from settings import get_settings
from workers.runtime.wakeup import wake_sync
from workers.sync import runs


@click.command()
@click.option("--workspace", metavar="ID", help="Only this workspace. [default: all connected ones]")
@click.option("--full", is_flag=True, help="Read everything, and look up objects that no list contains.")
@click.option(
    "--accept-deletions", is_flag=True, help="Continue a run that stopped because too many objects are missing."
)
@click.option("--no-wait", is_flag=True, help="Enqueue the run and return.")
def reconcile(workspace: str | None, *, full: bool, accept_deletions: bool, no_wait: bool) -> None:
    """
    Read from Intercom what changed since the last run.

    With --full, read everything. Both run by themselves: changes once an hour, everything once a day.
    """
    with open_database(get_settings(), writes=True) as engine:
        if accept_deletions:
            run_ids = runs.accept_deletions(engine, workspace)
            if not run_ids:
                raise click.ClickException("No run is waiting for --accept-deletions.")
            wake_sync()
        else:
            run_ids = enqueue_runs(engine, workspace, "reconcile", full=full)
        if not no_wait:
            wait_for(engine, run_ids)
