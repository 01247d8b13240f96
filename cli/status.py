"""`intercom-mirror status`: the state of the mirror, once or live."""

import contextlib
import json
import time
from collections.abc import Iterator

import click
from redis import Redis
from sqlalchemy import Engine

from cli.database import open_database
from cli.redis_and_ports import open_redis
from cli.status_data import Reading, rates, take
from settings import get_settings

# Seconds between two readings: often enough to see rows arrive; a reading takes a few milliseconds.
_PERIOD = 1.0


@click.command()
@click.option("--watch", is_flag=True, help="Repeat once a second until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="As JSON; with --watch one object per line.")
def status(*, watch: bool, as_json: bool) -> None:
    """Show rows, rates, lag, the inbox and the latest changes."""
    settings = get_settings()
    with open_redis(settings) as redis, open_database(settings) as engine:
        if not watch:
            reading = take(redis, engine)
            click.echo(_line(reading)) if as_json else _draw(reading)
        else:
            # Ctrl-C is the normal way to stop watching, not a failure.
            with contextlib.suppress(KeyboardInterrupt):
                (_print_lines if as_json else _draw_live)(redis, engine)


def _print_lines(redis: Redis, engine: Engine) -> None:
    for _, reading in _readings(redis, engine):
        click.echo(_line(reading))


def _draw(reading: Reading) -> None:
    # Late, here and below: rich takes 0.1 s to import, and --json does not need it.
    from rich.console import Console  # noqa: PLC0415

    from cli.status_tables import draw  # noqa: PLC0415

    Console().print(draw(reading, rates(reading, reading)))


def _draw_live(redis: Redis, engine: Engine) -> None:
    from rich.live import Live  # noqa: PLC0415

    from cli.status_tables import draw  # noqa: PLC0415

    with Live(screen=False, auto_refresh=False) as live:
        for before, reading in _readings(redis, engine):
            live.update(draw(reading, rates(before, reading)), refresh=True)


def _readings(redis: Redis, engine: Engine) -> Iterator[tuple[Reading, Reading]]:
    """Yield a reading per period, each with the one before it."""
    before = take(redis, engine)
    yield before, before
    while True:
        time.sleep(_PERIOD)
        reading = take(redis, engine)
        yield before, reading
        before = reading


def _line(reading: Reading) -> str:
    return json.dumps(reading.as_dict())
