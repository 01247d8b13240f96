"""`intercom-mirror endpoints`: who is told of changes by outgoing webhooks, and how that goes."""

import json
from datetime import datetime
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.tables import engine_of
from cli.words import printable
from models.queries.delivery_rows import DeliveryRow
from models.queries.endpoint_rows import EndpointRow
from settings import get_settings
from workers.deliveries import endpoint_services
from workers.deliveries.endpoint_services import EndpointError, NewEndpoint

# What may be seen of an endpoint: its secrets may not.
_SHOWN = ("id", "user_id", "url", "types", "ops", "sources", "status", "reason", "failures", "created_at")
_TOLD = (
    "id",
    "change_seq",
    "workspace_id",
    "object_type",
    "object_id",
    "state",
    "attempts",
    "status",
    "error",
    "due_at",
    "created_at",
    "ended_at",
)
# Deliveries that are listed if nobody says how many.
_LISTED = 50


@click.group()
def endpoints() -> None:
    """Manage outgoing webhooks."""


@endpoints.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def list_(*, as_json: bool) -> None:
    """List all endpoints, the oldest first."""
    with engine_of(get_settings()) as engine:
        found = endpoint_services.endpoints(engine)
    if as_json:
        _print_json(found, _SHOWN)
    elif found:
        Console().print(_table(found, ("id", "user_id", "url", "status", "reason")))
    else:
        click.echo("There are no endpoints.")


@endpoints.command()
@click.argument("url")
@click.option("--user", help="Of this user's workspaces only; without it of all.")
@click.option("--type", "types", multiple=True, type=click.Choice(endpoint_services.TYPES), help="Only these objects.")
@click.option("--op", "ops", multiple=True, type=click.Choice(endpoint_services.OPS), help="Only these operations.")
@click.option("--source", "sources", multiple=True, help="Only what was learnt this way: webhook, backfill, ...")
def add(*, url: str, user: str | None, types: tuple[str, ...], ops: tuple[str, ...], sources: tuple[str, ...]) -> None:
    """Add one, and print its id and its secret, which is shown this once."""
    with engine_of(get_settings(), writes=True) as engine:
        try:
            row, secret = endpoint_services.add(engine, NewEndpoint(url, types, ops, sources), user)
        except EndpointError as error:
            raise click.ClickException(str(error)) from None
    click.echo(f"{row.id} {secret}")


@endpoints.command()
@click.argument("endpoint")
def remove(*, endpoint: str) -> None:
    """Remove one with its deliveries."""
    with engine_of(get_settings(), writes=True) as engine:
        _must(endpoint_services.remove(engine, endpoint), endpoint)
    click.echo("Removed.")


@endpoints.command()
@click.argument("endpoint")
def enable(*, endpoint: str) -> None:
    """Tell one again that was disabled, from where it stopped."""
    with engine_of(get_settings(), writes=True) as engine:
        _must(endpoint_services.enable(engine, endpoint), endpoint)
    click.echo("Enabled.")


@endpoints.command()
@click.argument("endpoint")
def rotate(*, endpoint: str) -> None:
    """Give one a new secret and print it; the old one signs as well for a day."""
    with engine_of(get_settings(), writes=True) as engine:
        try:
            secret = endpoint_services.rotate(engine, endpoint)
        except EndpointError as error:
            raise click.ClickException(str(error)) from None
    _must(secret is not None, endpoint)
    click.echo(secret)


@endpoints.command()
@click.argument("endpoint")
@click.option("--state", type=click.Choice(["waiting", "delivered", "failed"]), help="Only those.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=_LISTED, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def deliveries(*, endpoint: str, state: str | None, limit: int, as_json: bool) -> None:
    """List what one was told, the newest first."""
    with engine_of(get_settings()) as engine:
        _must(endpoint_services.find(engine, endpoint) is not None, endpoint)
        found = endpoint_services.deliveries(engine, endpoint, state, None, limit)
    if as_json:
        _print_json(found, _TOLD)
    elif found:
        Console().print(_table(found, ("id", "object_type", "object_id", "state", "attempts", "status", "error")))
    else:
        click.echo("There are no such deliveries.")


@endpoints.command()
@click.argument("endpoint")
@click.argument("numbers", type=int, nargs=-1, required=True)
def replay(*, endpoint: str, numbers: tuple[int, ...]) -> None:
    """Deliver some once more, by their numbers, under the same webhook-id."""
    with engine_of(get_settings(), writes=True) as engine:
        missing = [number for number in numbers if not endpoint_services.replay(engine, endpoint, number)]
    if missing:
        raise click.ClickException(
            f"It has no delivery {missing[0]}. Run `intercom-mirror endpoints deliveries {printable(endpoint)}`."
        )
    click.echo(f"{len(numbers)} will be delivered once more.")


def _must(found: object, endpoint: str) -> None:
    if not found:
        raise click.ClickException(f"There is no endpoint {printable(endpoint)}. Run `intercom-mirror endpoints list`.")


def _print_json(rows: list[Any], names: tuple[str, ...]) -> None:
    for row in rows:
        click.echo(json.dumps({name: _plain(getattr(row, name)) for name in names}))


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def _table(rows: list[EndpointRow] | list[DeliveryRow], names: tuple[str, ...]) -> Table:
    table = Table(box=box.SIMPLE)
    for name in names:
        table.add_column(name)
    for row in rows:
        cells = ["-" if getattr(row, name) is None else str(getattr(row, name)) for name in names]
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table
