"""`intercom-mirror verify`: compare the tables with Intercom."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import click
from redis import Redis
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from sqlalchemy import Engine

from cli.database import open_database
from cli.redis_and_ports import open_redis
from cli.terminal import printable
from intercom_api.errors import NotAuthorizedError
from intercom_api.http.client import IntercomClient
from intercom_api.rate_limit.lanes import Lane
from models.db.engine import write_engine
from models.queries import connection_rows
from settings import Settings, get_settings, logs
from workers.connections import registry
from workers.inbox.backlog import measure_backlog
from workers.refetch.fetch_object import intercom_fetch
from workers.verify import Mode, VerifyContext, VerifyOutcome
from workers.verify import verify as run_verify
from workers.verify.context import PATIENCE_SECONDS
from workers.verify.outcome import OBJECT_TYPES

# Differences that are listed for a person; --json has them all.
_MAX_LISTED = 40

_UNSURE, _DIFFERING = 4, 3

_VERDICTS = {
    "equal": "The tables match Intercom.",
    "differing": "The tables and Intercom differ.",
    "unsure": "The comparison could not be completed.",
}


class _Options(NamedTuple):
    """The options of the command."""

    mode: Mode
    repair: bool
    as_json: bool
    patience: float
    seed: int


@click.command()
@click.option("--workspace", metavar="ID", help="Only this workspace. [default: all connected ones]")
@click.option("--quick", is_flag=True, help="Only counts, the newest objects and a random sample.")
@click.option("--full", is_flag=True, help="Every object (the default).")
@click.option("--repair", is_flag=True, help="Refetch objects that differ, then compare again.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per workspace and line.")
@click.option(
    "--patience",
    default=PATIENCE_SECONDS,
    show_default=True,
    type=click.FloatRange(0),
    help="Seconds for which a difference must persist before it counts.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the random sample.")
@click.pass_context
def verify(  # noqa: PLR0913 -- one argument for each option
    ctx: click.Context,
    workspace: str | None,
    *,
    quick: bool,
    full: bool,
    repair: bool,
    as_json: bool,
    patience: float,
    seed: int,
) -> None:
    """
    Compare the tables with Intercom.

    The output names what differs, never values. Objects that change meanwhile are compared again. Without --repair,
    only the result in sync_status is written.

    Exit codes: 0 equal, 3 differing, 4 the comparison could not be completed, and the usual 1 and 2.
    """
    if quick and full:
        raise click.UsageError("Use either --quick or --full, not both.")
    options = _Options("quick" if quick else "full", repair, as_json, patience, seed)
    settings = get_settings()
    # Log lines must not be mixed with the output that a script reads.
    logs.configure("verify")
    with open_redis(settings) as redis, open_database(settings) as reader:
        outcomes = [
            _verify_workspace(settings, redis, reader, each, options) for each in _workspaces(reader, workspace)
        ]
    codes = [outcome.exit_code for outcome in outcomes] or [_UNSURE]
    ctx.exit(_DIFFERING if _DIFFERING in codes else max(codes))


def _workspaces(reader: Engine, only: str | None) -> list[str]:
    with reader.connect() as connection:
        found = [each.workspace_id for each in connection_rows.connected_workspaces(connection)]
        frozen = None if only is None else connection_rows.find_workspace(connection, only)
    if only is None and not found:
        click.echo("No workspace is connected. Open /connect to connect one.", err=True)
    if only is not None and only not in found:
        since = f" since {frozen.frozen_at:%Y-%m-%d %H:%M} UTC" if frozen and frozen.frozen_at else ""
        click.echo(
            f"Workspace {printable(only)} is not connected{since}, so it cannot be compared. Its rows stay as they are."
            " Open /connect to connect it again.",
            err=True,
        )
    return [each for each in found if only in (None, each)]


def _verify_workspace(
    settings: Settings, redis: Redis, reader: Engine, workspace_id: str, options: _Options
) -> VerifyOutcome:
    client = registry.client_of(workspace_id, Lane.RECONCILE)
    if client is None:
        outcome = VerifyOutcome(workspace_id, options.mode)
        outcome.add_reason("The workspace's token cannot be used. Open /connect to connect it again.")
    else:
        outcome = _compare(settings, redis, reader, client, options)
    _print(outcome, as_json=options.as_json)
    return outcome


def _compare(
    settings: Settings, redis: Redis, reader: Engine, client: IntercomClient, options: _Options
) -> VerifyOutcome:
    workspace_id = client.workspace_id
    writer = write_engine(settings.database_url)
    try:
        with _bar() as bar:
            context = VerifyContext(
                reader=reader,
                writer=writer,
                client=client,
                fetch=intercom_fetch(lambda _workspace, _lane: client, Lane.RECONCILE),
                inbox_age=lambda: measure_backlog(redis).oldest_seconds,
                patience=options.patience,
                progress=bar,
                seed=options.seed,
            )
            return run_verify(context, workspace_id, options.mode, repair=options.repair)
    except NotAuthorizedError as error:
        registry.end_refused_connections(workspace_id, error.code)
        outcome = VerifyOutcome(workspace_id, options.mode)
        outcome.add_reason(str(error))
        return outcome
    finally:
        writer.dispose()


@contextmanager
def _bar() -> Iterator["_Bar"]:
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield _Bar(progress)


class _Bar:
    """A progress bar with one line for the current stage."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._what = ""

    def __call__(self, done: int, expected: int | None, what: str) -> None:
        if what != self._what:
            self._what = what
            for task in list(self._progress.task_ids):
                self._progress.remove_task(task)
            self._progress.add_task(what, total=expected)
        task = self._progress.task_ids[-1]
        self._progress.update(task, completed=done, total=None if expected is None else max(expected, done))


def _print(outcome: VerifyOutcome, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(outcome.as_dict()))
        return
    click.echo(f"{outcome.workspace_id}: {_VERDICTS[outcome.result]}{_sampled(outcome)}")
    for object_type in OBJECT_TYPES:
        if outcome.compared[object_type] or outcome.unsettled[object_type]:
            click.echo(f"  {object_type}: {_numbers(outcome, object_type)}")
    for each in outcome.differences[:_MAX_LISTED]:
        named = f" in {', '.join(each.fields)}" if each.fields else ""
        click.echo(printable(f"  {each.kind}: {each.object_type} {each.object_id}{named}"))
    if len(outcome.differences) > _MAX_LISTED:
        click.echo(f"  ... and {outcome.counted.total() - _MAX_LISTED} more; --json lists them.")
    if outcome.drifted:
        counts = ", ".join(f"{name} {count}" for name, count in sorted(outcome.drifted.items()))
        click.echo(f"  drifted, as expected (Intercom sends no notification for it): {counts}")
    if outcome.repaired:
        click.echo(f"  repaired: {outcome.repaired}")
    for reason in outcome.reasons:
        click.echo(f"  {printable(reason)}")


def _sampled(outcome: VerifyOutcome) -> str:
    return "" if outcome.mode == "full" else " (Sample only; --full compares everything.)"


def _numbers(outcome: VerifyOutcome, object_type: str) -> str:
    differing = sum(count for (each, _), count in outcome.counted.items() if each == object_type)
    text = f"{outcome.compared[object_type]} compared, {differing} differing"
    if outcome.unsettled[object_type]:
        text += f", {outcome.unsettled[object_type]} undecided"
    if object_type in outcome.totals:
        intercom, mirror = outcome.totals[object_type]
        text += f" ({intercom} in Intercom, {mirror} in the mirror)"
    return text
