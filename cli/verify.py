"""`intercom-mirror verify`: tell whether the tables hold what Intercom holds."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import click
from redis import Redis
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from sqlalchemy import Engine

from cli.reach import redis_of
from cli.tables import engine_of
from cli.words import printable
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
from workers.verify import verify as compare
from workers.verify.context import PATIENCE_SECONDS
from workers.verify.outcome import OBJECT_TYPES

# Differences that are listed for a person; --json has them all.
_SHOWN = 40

_UNSURE, _DIFFERING = 4, 3

_VERDICTS = {
    "equal": "The tables hold what Intercom holds.",
    "differing": "The tables and Intercom differ.",
    "unsure": "Whether the tables hold what Intercom holds could not be told.",
}


class _Wish(NamedTuple):
    """How the command was called."""

    mode: Mode
    repair: bool
    as_json: bool
    patience: float
    seed: int


@click.command()
@click.option("--workspace", metavar="ID", help="Only this one; otherwise all that somebody is connected to.")
@click.option("--quick", is_flag=True, help="Only counts, the newest objects, and a random sample.")
@click.option("--full", is_flag=True, help="Every object; this is the default.")
@click.option("--repair", is_flag=True, help="Have what differs fetched again, and look once more.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, one object per workspace and line.")
@click.option(
    "--patience",
    default=PATIENCE_SECONDS,
    show_default=True,
    type=click.FloatRange(0),
    help="Seconds for which a difference must stay the same before it is believed.",
)
@click.option("--seed", default=0, show_default=True, help="Of the random sample; another one draws others.")
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

    The output names what differs, never values.

    Exit codes beside the usual ones: 0 equal, 3 differing, 4 it could not be told. What changes meanwhile is looked at
    again. Nothing is changed but the result in sync_status, unless --repair is given.
    """
    if quick and full:
        raise click.UsageError("Write --quick or --full, not both.")
    wish = _Wish("quick" if quick else "full", repair, as_json, patience, seed)
    settings = get_settings()
    # Lines of the log must not stand among those that a script reads.
    logs.configure("verify")
    with redis_of(settings) as redis, engine_of(settings) as reader:
        outcomes = [_one(settings, redis, reader, each, wish) for each in _workspaces(reader, workspace)]
    codes = [outcome.exit_code for outcome in outcomes] or [_UNSURE]
    ctx.exit(_DIFFERING if _DIFFERING in codes else max(codes))


def _workspaces(reader: Engine, only: str | None) -> list[str]:
    with reader.connect() as connection:
        found = [each.workspace_id for each in connection_rows.connected_workspaces(connection)]
        frozen = None if only is None else connection_rows.find_workspace(connection, only)
    if only is None and not found:
        click.echo("Nobody is connected to any workspace. Connect one first: open /connect.", err=True)
    if only is not None and only not in found:
        since = f" since {frozen.frozen_at:%Y-%m-%d %H:%M} UTC" if frozen and frozen.frozen_at else ""
        click.echo(
            f"Nobody is connected to the workspace {printable(only)}{since}, so Intercom cannot be asked."
            " Its rows stay as they were. Connect it again: open /connect.",
            err=True,
        )
    return [each for each in found if only in (None, each)]


def _one(settings: Settings, redis: Redis, reader: Engine, workspace_id: str, wish: _Wish) -> VerifyOutcome:
    client = registry.client_of(workspace_id, Lane.RECONCILE)
    if client is None:
        outcome = VerifyOutcome(workspace_id, wish.mode)
        outcome.add_reason("The workspace's token cannot be used. Connect it again: open /connect.")
    else:
        outcome = _compared(settings, redis, reader, client, wish)
    _print(outcome, as_json=wish.as_json)
    return outcome


def _compared(settings: Settings, redis: Redis, reader: Engine, client: IntercomClient, wish: _Wish) -> VerifyOutcome:
    workspace_id = client.workspace_id
    writer = write_engine(settings.database_url)
    try:
        with _bar() as bar:
            tools = VerifyContext(
                reader=reader,
                writer=writer,
                client=client,
                fetch=intercom_fetch(lambda _workspace, _lane: client, Lane.RECONCILE),
                inbox_age=lambda: measure_backlog(redis).oldest_seconds,
                patience=wish.patience,
                progress=bar,
                seed=wish.seed,
            )
            return compare(tools, workspace_id, wish.mode, repair=wish.repair)
    except NotAuthorizedError as error:
        registry.end_refused_connections(workspace_id, error.code)
        outcome = VerifyOutcome(workspace_id, wish.mode)
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
    """One line for each stage."""

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
    for of in OBJECT_TYPES:
        if outcome.compared[of] or outcome.unsettled[of]:
            click.echo(f"  {of}: {_numbers(outcome, of)}")
    for each in outcome.differences[:_SHOWN]:
        named = f" in {', '.join(each.fields)}" if each.fields else ""
        click.echo(printable(f"  {each.kind}: {each.object_type} {each.object_id}{named}"))
    if len(outcome.differences) > _SHOWN:
        click.echo(f"  ... and {outcome.counted.total() - _SHOWN} more; --json names them.")
    if outcome.drifted:
        told = ", ".join(f"{name} {count}" for name, count in sorted(outcome.drifted.items()))
        click.echo(f"  drifted, by design (Intercom tells nobody): {told}")
    if wanted := outcome.repaired:
        click.echo(f"  put right: {wanted}")
    for reason in outcome.reasons:
        click.echo(f"  {printable(reason)}")


def _sampled(outcome: VerifyOutcome) -> str:
    return "" if outcome.mode == "full" else " (This was a sample; --full compares everything.)"


def _numbers(outcome: VerifyOutcome, of: str) -> str:
    differing = sum(count for (each, _), count in outcome.counted.items() if each == of)
    told = f"{outcome.compared[of]} compared, {differing} differing"
    if outcome.unsettled[of]:
        told += f", {outcome.unsettled[of]} not to be told"
    if of in outcome.totals:
        there, here = outcome.totals[of]
        told += f" ({there} listed by Intercom, {here} here)"
    return told
