"""`intercom-mirror backfill`: read everything in a workspace."""

from datetime import UTC, datetime

import click
from sqlalchemy import Engine

from cli.database import open_database
from cli.progress import wait_for
from cli.terminal import printable
from models.queries import connection_rows
from settings import get_settings
from workers.runtime.wakeup import wake_sync
from workers.sync import runs


@click.command()
@click.option("--workspace", metavar="ID", help="Only this workspace. [default: all connected ones]")
@click.option("--no-wait", is_flag=True, help="Enqueue the run and return.")
def backfill(workspace: str | None, *, no_wait: bool) -> None:
    """
    Read everything in a workspace from Intercom into the tables.

    Contacts, companies, tags, segments and attributes. It starts by itself when a workspace is connected. A worker runs
    it; live changes are applied meanwhile.
    """
    with open_database(get_settings(), writes=True) as engine:
        run_ids = enqueue_runs(engine, workspace, "backfill", full=True)
        if not no_wait:
            wait_for(engine, run_ids)


def enqueue_runs(engine: Engine, workspace: str | None, kind: str, *, full: bool) -> list[int]:
    """
    Enqueue a run for a workspace, or for each connected one, and wake the worker.

    Returns:
        The ids of the runs.

    Raises:
        click.ClickException: no such workspace is connected.
    """
    with engine.connect() as connection:
        connected = [each.workspace_id for each in connection_rows.connected_workspaces(connection)]
    selected = [each for each in connected if workspace in (None, each)]
    if not selected:
        what = (
            "No workspace is connected" if workspace is None else f"Workspace {printable(workspace)} is not connected"
        )
        raise click.ClickException(f"{what}. Open /connect to connect it.")
    now = datetime.now(UTC)
    run_ids = [runs.enqueue(engine, each, kind, "command", now, full=full) for each in selected]
    wake_sync()
    return run_ids
