"""`intercom-mirror backfill`: fill the mirror with everything a workspace holds."""

from datetime import UTC, datetime

import click
from sqlalchemy import Engine

from cli.progress import wait_for
from cli.tables import engine_of
from models.queries import connection_rows
from settings import get_settings
from workers.runtime.wakeup import wake_sync
from workers.sync import runs


@click.command()
@click.option("--workspace", metavar="ID", help="Only this one; otherwise all that somebody is connected to.")
@click.option("--no-wait", is_flag=True, help="Ask for it and come back at once.")
def backfill(workspace: str | None, *, no_wait: bool) -> None:
    """
    Read everything in a workspace from Intercom into the tables.

    Contacts, companies, tags, segments and attributes. It starts by itself when a workspace is connected. A worker runs
    it; live changes are applied meanwhile.
    """
    with engine_of(get_settings(), writes=True) as engine:
        asked = ask(engine, workspace, "backfill", full=True)
        if not no_wait:
            wait_for(engine, asked)


def ask(engine: Engine, workspace: str | None, kind: str, *, full: bool) -> list[int]:
    """
    Ask for runs and ring; returns their numbers.

    Raises:
        click.ClickException: nobody is connected.
    """
    with engine.connect() as connection:
        found = [each.workspace_id for each in connection_rows.connected_workspaces(connection)]
    wanted = [each for each in found if workspace in (None, each)]
    if not wanted:
        where = "any workspace" if workspace is None else f"the workspace {workspace}"
        raise click.ClickException(f"Nobody is connected to {where}. Connect one first: open /connect.")
    now = datetime.now(UTC)
    asked = [runs.enqueue(engine, each, kind, "command", now, full=full) for each in wanted]
    wake_sync()
    return asked
