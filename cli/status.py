"""`intercom-mirror status`: how the mirror is doing, once or live."""

import contextlib
import json
import time
from collections.abc import Iterator

import click
from redis import Redis
from rich.console import Console
from rich.live import Live
from sqlalchemy import Engine

from cli.reach import redis_of
from cli.status_data import Reading, rates, take
from cli.status_tables import draw
from cli.tables import engine_of
from settings import get_settings

# Seconds between two looks: quick enough to see rows arrive, and a look costs a few milliseconds.
_PERIOD = 1.0


@click.command()
@click.option("--watch", is_flag=True, help="Keep looking, once a second, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="As JSON; with --watch one object per line.")
def status(*, watch: bool, as_json: bool) -> None:
    """Show rows, rates, lag, the inbox and the latest changes."""
    settings = get_settings()
    with redis_of(settings) as redis, engine_of(settings) as engine:
        if not watch:
            reading = take(redis, engine)
            click.echo(_line(reading)) if as_json else Console().print(draw(reading, rates(reading, reading)))
        else:
            # Ctrl-C is how one stops watching, not a failure.
            with contextlib.suppress(KeyboardInterrupt):
                (_print_lines if as_json else _draw_live)(redis, engine)


def _print_lines(redis: Redis, engine: Engine) -> None:
    for _, reading in _readings(redis, engine):
        click.echo(_line(reading))


def _draw_live(redis: Redis, engine: Engine) -> None:
    with Live(screen=False, auto_refresh=False) as live:
        for before, reading in _readings(redis, engine):
            live.update(draw(reading, rates(before, reading)), refresh=True)


def _readings(redis: Redis, engine: Engine) -> Iterator[tuple[Reading, Reading]]:
    """Give each reading together with the one before it, one a period."""
    before = take(redis, engine)
    yield before, before
    while True:
        time.sleep(_PERIOD)
        reading = take(redis, engine)
        yield before, reading
        before = reading


def _line(reading: Reading) -> str:
    return json.dumps(reading.as_dict())
