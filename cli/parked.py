"""`intercom-mirror parked`: notifications that were given up, and what a person decides about them."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click
from redis import Redis
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine

from cli.reach import redis_of
from cli.tables import engine_of
from cli.words import printable
from settings import get_settings
from workers.celery import app
from workers.inbox import doorbell, parking
from workers.runtime.redis_keys import INBOX


@click.group()
def parked() -> None:
    """List and replay notifications that could not be applied."""


@parked.command("list")
@click.option("--all", "replayed", is_flag=True, help="Also those that were replayed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def list_(*, replayed: bool, as_json: bool) -> None:
    """List them, oldest first."""
    with engine_of(get_settings()) as engine:
        rows = [row._asdict() for row in parking.list_parked(engine, replayed=replayed)]
    if as_json:
        for row in rows:
            click.echo(_json(row))
    elif rows:
        Console().print(_table(rows))
    else:
        click.echo("Nothing is parked.")


@parked.command()
@click.argument("number", type=int)
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def show(*, number: int, as_json: bool) -> None:
    """Show one with its body and traceback. Bodies hold personal data: mind where you paste them."""
    with engine_of(get_settings()) as engine:
        row = _find(engine, number)
    if as_json:
        click.echo(_json(row))
        return
    for name, value in row.items():
        click.echo(f"{name}: {_text(value)}")


@parked.command()
@click.argument("numbers", type=int, nargs=-1)
@click.option("--all", "every", is_flag=True, help="All that were not replayed yet.")
def replay(*, numbers: tuple[int, ...], every: bool) -> None:
    """Put them back into the inbox. If they fail again they are parked again, under a new number."""
    if bool(numbers) == every:
        raise click.UsageError("Name the numbers to replay, or write --all.")
    settings = get_settings()
    with engine_of(settings, writes=True) as engine, redis_of(settings) as redis:
        chosen = [row.id for row in parking.list_parked(engine)] if every else numbers
        rows = [_waiting(engine, number) for number in chosen]
        for row in rows:
            _append(redis, row)
            parking.mark_replayed(engine, row["id"], datetime.now(UTC))
        doorbell.send_if_absent(redis, app)
    click.echo(f"{len(rows)} put back into the inbox.")


def _append(redis: Redis, row: Mapping[str, Any]) -> None:
    received_ms = round(row["received_at"].timestamp() * 1000)
    redis.xadd(INBOX, {"t": received_ms, "b": row["body"]})


def _find(engine: Engine, number: int) -> dict[str, Any]:
    row = parking.find_parked(engine, number)
    if row is None:
        raise click.ClickException(f"Nothing is parked under {number}. Run `intercom-mirror parked list`.")
    return row._asdict()


def _waiting(engine: Engine, number: int) -> dict[str, Any]:
    row = _find(engine, number)
    if row["replayed_at"] is not None:
        raise click.ClickException(
            f"{number} was put back before; if it failed again it has a new number. Nothing was replayed now."
        )
    return row


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE)
    for name in ("id", "entry", "received", "replayed"):
        table.add_column(name, no_wrap=True)
    table.add_column("reason")
    for row in rows:
        reason = Text(printable(row["reason"]))
        table.add_row(str(row["id"]), row["entry"], _moment(row["received_at"]), _moment(row["replayed_at"]), reason)
    return table


def _moment(moment: datetime | None) -> str:
    return "-" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _json(row: Mapping[str, Any]) -> str:
    return json.dumps({name: value if isinstance(value, int | None) else _text(value) for name, value in row.items()})


def _text(value: object) -> str:
    if isinstance(value, bytes):
        # Bytes that are no text stay readable, and no terminal obeys them.
        return printable(value.decode(errors="backslashreplace"))
    return value.isoformat() if isinstance(value, datetime) else printable(str(value))
