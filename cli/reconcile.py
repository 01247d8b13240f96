"""`intercom-mirror reconcile`: find what webhooks did not tell."""

import click

from cli.backfill import ask
from cli.progress import wait_for
from cli.tables import engine_of
from settings import get_settings
from workers.runtime.wakeup import wake_sync
from workers.sync import runs


@click.command()
@click.option("--workspace", metavar="ID", help="Only this one; otherwise all that somebody is connected to.")
@click.option("--full", is_flag=True, help="Walk everything, and look up what is in no list: it may be deleted.")
@click.option("--accept-deletions", is_flag=True, help="Let a run go on that found more missing than is believable.")
@click.option("--no-wait", is_flag=True, help="Ask for it and come back at once.")
def reconcile(workspace: str | None, *, full: bool, accept_deletions: bool, no_wait: bool) -> None:
    """
    Read from Intercom what changed since the last run.

    With --full, read everything. Both run by themselves: changes once an hour, everything once a day.
    """
    with engine_of(get_settings(), writes=True) as engine:
        if accept_deletions:
            asked = runs.accept_deletions(engine, workspace)
            if not asked:
                raise click.ClickException("No run waits for that.")
            wake_sync()
        else:
            asked = ask(engine, workspace, "reconcile", full=full)
        if not no_wait:
            wait_for(engine, asked)
