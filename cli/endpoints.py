"""`intercom-mirror endpoints`: the endpoints of outgoing webhooks, and their deliveries."""

from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich.table import Table

from cli.database import open_database
from cli.terminal import Row, make_table, print_rows, printable
from settings import get_settings
from workers.deliveries import endpoint_services
from workers.deliveries.endpoint_services import EndpointError, NewEndpoint

# Columns that --json prints. The secrets of an endpoint are not among them.
_ENDPOINT_COLUMNS = ("id", "user_id", "url", "types", "ops", "sources", "status", "reason", "failures", "created_at")
_DELIVERY_COLUMNS = (
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
# Deliveries that are listed without --limit.
_DEFAULT_LIMIT = 50


@click.group()
def endpoints() -> None:
    """Manage outgoing webhooks."""


@endpoints.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def list_(*, as_json: bool) -> None:
    """List all endpoints, the oldest first."""
    with open_database(get_settings()) as engine:
        rows = _columns(endpoint_services.endpoints(engine), _ENDPOINT_COLUMNS)
    print_rows(rows, _endpoints_table, "There are no endpoints.", as_json=as_json)


@endpoints.command()
@click.argument("url")
@click.option("--user", help="Only workspaces of this user. [default: all workspaces]")
@click.option(
    "--type", "types", multiple=True, type=click.Choice(endpoint_services.TYPES), help="Only this object type."
)
@click.option("--op", "ops", multiple=True, type=click.Choice(endpoint_services.OPS), help="Only this operation.")
@click.option("--source", "sources", multiple=True, help="Only changes from this source: webhook, backfill, ...")
def add(*, url: str, user: str | None, types: tuple[str, ...], ops: tuple[str, ...], sources: tuple[str, ...]) -> None:
    """Add an endpoint, and print its id and its secret, which cannot be shown again."""
    with open_database(get_settings(), writes=True) as engine:
        try:
            row, secret = endpoint_services.add(engine, NewEndpoint(url, types, ops, sources), user)
        except EndpointError as error:
            raise click.ClickException(str(error)) from None
    click.echo(f"{row.id} {secret}")


@endpoints.command()
@click.argument("endpoint")
def remove(*, endpoint: str) -> None:
    """Delete an endpoint and its deliveries."""
    with open_database(get_settings(), writes=True) as engine:
        _require(endpoint_services.remove(engine, endpoint), endpoint)
    click.echo("Removed.")


@endpoints.command()
@click.argument("endpoint")
def enable(*, endpoint: str) -> None:
    """Resume deliveries to a disabled endpoint, from where they stopped."""
    with open_database(get_settings(), writes=True) as engine:
        _require(endpoint_services.enable(engine, endpoint), endpoint)
    click.echo("Enabled.")


@endpoints.command()
@click.argument("endpoint")
def rotate(*, endpoint: str) -> None:
    """Create and print a new secret; for a day, deliveries are also signed with the old one."""
    with open_database(get_settings(), writes=True) as engine:
        try:
            secret = endpoint_services.rotate(engine, endpoint)
        except EndpointError as error:
            raise click.ClickException(str(error)) from None
    _require(secret is not None, endpoint)
    click.echo(secret)


@endpoints.command()
@click.argument("endpoint")
@click.option("--state", type=click.Choice(["waiting", "delivered", "failed"]), help="Only deliveries in this state.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=_DEFAULT_LIMIT, show_default=True, help="How many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def deliveries(*, endpoint: str, state: str | None, limit: int, as_json: bool) -> None:
    """List an endpoint's deliveries, the newest first."""
    with open_database(get_settings()) as engine:
        _require(endpoint_services.find(engine, endpoint) is not None, endpoint)
        rows = _columns(endpoint_services.deliveries(engine, endpoint, state, None, limit), _DELIVERY_COLUMNS)
    print_rows(rows, _deliveries_table, "There are no such deliveries.", as_json=as_json)


@endpoints.command()
@click.argument("endpoint")
@click.argument("numbers", type=int, nargs=-1, required=True)
def replay(*, endpoint: str, numbers: tuple[int, ...]) -> None:
    """Deliver again, by the deliveries' ids, under the same webhook-id."""
    with open_database(get_settings(), writes=True) as engine:
        missing = [number for number in numbers if not endpoint_services.replay(engine, endpoint, number)]
    if missing:
        raise click.ClickException(
            f"The endpoint has no delivery {missing[0]}."
            f" Run `intercom-mirror endpoints deliveries {printable(endpoint)}` to list them."
        )
    click.echo(f"{len(numbers)} will be delivered again.")


def _require(exists: bool, endpoint: str) -> None:  # noqa: FBT001 -- it is what the function is about
    if not exists:
        raise click.ClickException(
            f"There is no endpoint {printable(endpoint)}. Run `intercom-mirror endpoints list` to list them."
        )


def _columns(rows: Iterable[Any], names: Sequence[str]) -> list[dict[str, Any]]:
    return [{name: getattr(row, name) for name in names} for row in rows]


def _endpoints_table(rows: Sequence[Row]) -> Table:
    return _table(rows, ("id", "user_id", "url", "status", "reason"))


def _deliveries_table(rows: Sequence[Row]) -> Table:
    return _table(rows, ("id", "object_type", "object_id", "state", "attempts", "status", "error"))


def _table(rows: Sequence[Row], names: Sequence[str]) -> Table:
    return make_table(names, [["-" if row[name] is None else str(row[name]) for name in names] for row in rows])
