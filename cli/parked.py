"""`intercom-mirror parked`: notifications that could not be applied."""

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

from cli.database import open_database
from cli.redis_and_ports import open_redis
from cli.terminal import local_time, printable
from settings import get_settings
from settings.units import MS_PER_SECOND
from workers.celery import app
from workers.inbox import doorbell, parking
from workers.runtime.redis_keys import INBOX


@click.group()
def parked() -> None:
    """List and replay notifications that could not be applied."""


@parked.command("list")
@click.option("--all", "replayed", is_flag=True, help="Include those that were replayed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def list_(*, replayed: bool, as_json: bool) -> None:
    """List parked notifications, the oldest first."""
    with open_database(get_settings()) as engine:
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
    """Show one with its body and traceback. Bodies contain personal data: take care where you paste them."""
    with open_database(get_settings()) as engine:
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
    """Append notifications to the inbox again. One that fails again is parked again, under a new number."""
    if bool(numbers) == every:
        raise click.UsageError("Name the numbers to replay, or use --all.")
    settings = get_settings()
    with open_database(settings, writes=True) as engine, open_redis(settings) as redis:
        selected = [row.id for row in parking.list_parked(engine)] if every else numbers
        rows = [_find_unreplayed(engine, number) for number in selected]
        for row in rows:
            _append(redis, row)
            parking.mark_replayed(engine, row["id"], datetime.now(UTC))
        doorbell.send_if_absent(redis, app)
    click.echo(f"{len(rows)} appended to the inbox.")


def _append(redis: Redis, row: Mapping[str, Any]) -> None:
    received_ms = round(row["received_at"].timestamp() * MS_PER_SECOND)
    redis.xadd(INBOX, {"t": received_ms, "b": row["body"]})


def _find(engine: Engine, number: int) -> dict[str, Any]:
    row = parking.find_parked(engine, number)
    if row is None:
        raise click.ClickException(
            f"There is no parked notification {number}. Run `intercom-mirror parked list` to list them."
        )
    return row._asdict()


def _find_unreplayed(engine: Engine, number: int) -> dict[str, Any]:
    row = _find(engine, number)
    if row["replayed_at"] is not None:
        raise click.ClickException(
            f"{number} was already replayed; if it failed again, it has a new number. Nothing was replayed now."
        )
    return row


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE)
    for name in ("id", "entry", "received", "replayed"):
        table.add_column(name, no_wrap=True)
    table.add_column("reason")
    for row in rows:
        received, replayed = local_time(row["received_at"]), local_time(row["replayed_at"])
        table.add_row(str(row["id"]), row["entry"], received, replayed, Text(printable(row["reason"])))
    return table


def _json(row: Mapping[str, Any]) -> str:
    return json.dumps({name: value if isinstance(value, int | None) else _text(value) for name, value in row.items()})


def _text(value: object) -> str:
    if isinstance(value, bytes):
        # Bytes that are not text are escaped, so that they stay readable and a terminal does not interpret them.
        return printable(value.decode(errors="backslashreplace"))
    return value.isoformat() if isinstance(value, datetime) else printable(str(value))
