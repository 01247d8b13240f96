"""`intercom-mirror up`: everything on this machine with one command."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType

import click
import requests
from sqlalchemy.exc import SQLAlchemyError

from cli import leftovers
from cli.ports import require_free
from cli.reach import database_trouble, redis_of
from cli.supervisor import Command, Supervisor
from cli.valkey import EmbeddedValkey
from cli.welcome import welcome
from models.migrate import upgrade
from settings import Settings, addresses, get_settings
from workers.inbox.state import durability

# Seconds for one question whether the web process answers yet.
_QUESTION_SECONDS = 1.0

_CELERY = (sys.executable, "-m", "celery", "--quiet", "--app", "workers")


@click.command()
def up() -> None:
    """
    Run everything here: Valkey, web, worker and beat, and with blank credentials the pretend Intercom.

    Ctrl-C stops it all in order. Settings come from the environment and from `.env`.
    """
    # Until the supervisor listens, being asked to stop unwinds what was started so far.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings = get_settings()
    with leftovers.only_one(settings.var_dir):
        if count := leftovers.end(settings.var_dir):
            click.echo(f"{count} processes of an earlier run were stopped.")
        require_free(settings.host, settings.port, "PORT")
        if settings.development:
            require_free("127.0.0.1", settings.emulator_port, "EMULATOR_PORT")
        with _valkey(settings) if settings.embedded_redis else nullcontext() as valkey:
            _prepare(settings)
            trouble = _run(settings, valkey)
    if trouble:
        raise click.ClickException(trouble)


@contextmanager
def _valkey(settings: Settings) -> Iterator[EmbeddedValkey]:
    valkey = EmbeddedValkey(settings)
    try:
        valkey.start()
        if valkey.adopted:
            click.echo("Valkey still runs from an earlier run and is used on.")
        yield valkey
    finally:
        # Last: the others hand in what they have while they stop.
        valkey.stop()


def _prepare(settings: Settings) -> None:
    with redis_of(settings) as redis:
        found = durability(redis)
    if not found.durable:
        click.echo(found.sentence, err=True)
        if settings.require_durable_inbox:
            raise click.ClickException("REQUIRE_DURABLE_INBOX is 1, so nothing is started.")
    try:
        upgrade(settings.database_url)
    except SQLAlchemyError as error:
        raise click.ClickException(database_trouble(error)) from error


def _run(settings: Settings, valkey: EmbeddedValkey | None) -> str | None:
    supervisor = Supervisor(_environment())
    with _signals(supervisor):
        try:
            for command in commands(settings):
                supervisor.start(command)
            leftovers.note(settings.var_dir, [child.pid for child in supervisor.children])
            trouble = supervisor.watch(until=lambda: _answers(settings))
            if trouble is None and not supervisor.asked:
                click.echo(welcome(settings))
                trouble = supervisor.watch(also=lambda: _ended(valkey))
        finally:
            supervisor.stop()
            leftovers.forget(settings.var_dir)
    return trouble


def commands(settings: Settings) -> list[Command]:
    """Return what runs, in the order in which it is stopped: first what sends, last what drains."""
    emulator = Command(
        "emulator",
        [sys.executable, "-m", "cli", "emulate", "--announce", "--state", str(settings.var_dir / "emulator.json")],
    )
    worker = (*_CELERY, "worker", "--queues", "drain,followups", "--concurrency", "2", "--without-gossip")
    return [
        *([emulator] if settings.development else []),
        Command("web", [sys.executable, "-m", "webhooks"]),
        Command("beat", [*_CELERY, "beat"]),
        Command("worker", [*worker, "--without-mingle"]),
    ]


def _environment() -> dict[str, str]:
    # A person reads what they say here, although it comes through a pipe.
    readable = {"LOG_FORMAT": "console"} if sys.stdout.isatty() else {}
    # Celery's advice against root is for servers; on a newcomer's machine or in a container it only frightens.
    quiet = {"PYTHONWARNINGS": "ignore:You're running the worker"}
    return {**readable, **quiet, **os.environ, "PYTHONUNBUFFERED": "1"}


@contextmanager
def _signals(supervisor: Supervisor) -> Iterator[None]:
    def ask(number: int, _frame: FrameType | None) -> None:
        supervisor.ask_to_stop(number)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _answers(settings: Settings) -> bool:
    with requests.Session() as session:
        session.trust_env = False
        try:
            url = f"{addresses.http(settings.host, settings.port)}/healthz"
            return session.get(url, timeout=_QUESTION_SECONDS).ok
        except requests.RequestException:
            return False


def _ended(valkey: EmbeddedValkey | None) -> str | None:
    return "Valkey" if valkey is not None and not valkey.is_running() else None
