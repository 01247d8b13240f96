"""`intercom-mirror up`: everything on this machine with one command."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import FrameType

import click

from cli import leftover_processes
from cli.ports import require_free
from cli.reach import redis_of
from cli.supervisor import Command, Supervisor
from cli.valkey import EmbeddedValkey
from cli.welcome import welcome
from settings import Settings, get_settings
from workers.inbox.durability import check_durability

# Seconds for one question whether the web process answers yet.
_QUESTION_SECONDS = 1.0

# Without -P, Python would look for `cli` in the current directory first. A checkout that is not installed is found only
# there.
_SAFE_PATH = () if Path(__file__).parents[1] == Path.cwd() else ("-P",)
_OURSELVES = (sys.executable, *_SAFE_PATH, "-m", "cli")


@click.command()
def up() -> None:
    """
    Run everything on this machine.

    That is Valkey, web, the workers and beat; without credentials also the Intercom emulator. Ctrl-C stops all of it in
    order. Settings come from the environment and from `.env`.
    """
    settings = get_settings()
    supervisor = Supervisor(_environment())
    # To the very end: a second signal must not keep Valkey from being stopped.
    _listen(supervisor)
    with leftover_processes.only_one(settings.var_dir):
        if count := leftover_processes.end(settings.var_dir):
            click.echo(f"{count} processes of an earlier run were stopped.")
        require_free(settings.host, settings.port, "PORT")
        if settings.local_emulator_port is not None:
            require_free("127.0.0.1", settings.local_emulator_port, "EMULATOR_PORT")
        with _valkey(settings) if settings.embedded_redis else nullcontext() as valkey:
            _prepare(settings)
            trouble = _run(settings, supervisor, valkey)
    if trouble:
        raise click.ClickException(trouble)


def _listen(supervisor: Supervisor) -> None:
    def ask(number: int, _frame: FrameType | None) -> None:
        if not supervisor.children:
            # Nothing runs that would have to end in order.
            raise KeyboardInterrupt
        supervisor.ask_to_stop(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ask)


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
        found = check_durability(redis)
    if not found.durable:
        click.echo(found.sentence, err=True)
        if settings.require_durable_inbox:
            raise click.ClickException("REQUIRE_DURABLE_INBOX is 1, so nothing is started.")
    # In a process of its own, so that this one, which stays, never loads SQL. It says itself what went wrong.
    code = subprocess.run([*_OURSELVES, "db", "upgrade"], stdout=subprocess.DEVNULL, check=False).returncode
    if code:
        raise click.exceptions.Exit(code)


def _run(settings: Settings, supervisor: Supervisor, valkey: EmbeddedValkey | None) -> str | None:
    try:
        for command in commands(settings):
            supervisor.start(command)
        leftover_processes.note(settings.var_dir, [child.pid for child in supervisor.children])
        trouble = supervisor.watch(until=lambda: _answers(settings))
        if trouble is None and not supervisor.asked:
            click.echo(welcome(settings))
            trouble = supervisor.watch(also=lambda: _ended(valkey))
    finally:
        supervisor.stop()
        leftover_processes.forget(settings.var_dir)
    return trouble


def commands(settings: Settings) -> list[Command]:
    """Return what runs, in the order in which it is stopped: first what sends, last what drains."""
    emulator = Command(
        "emulator",
        [*_OURSELVES, "emulate", "--announce", "--state", str(settings.var_dir / "emulator.json")],
    )
    return [
        *([emulator] if settings.local_emulator_port is not None else []),
        Command("web", [*_OURSELVES, "web"]),
        Command("beat", [*_OURSELVES, "beat"]),
        Command("sync", [*_OURSELVES, "worker", "--queues", "sync"]),
        Command("workflows", [*_OURSELVES, "worker", "--queues", "workflows"]),
        Command("deliveries", [*_OURSELVES, "worker", "--queues", "deliveries"]),
        Command("worker", [*_OURSELVES, "worker", "--queues", "drain,followups"]),
    ]


def _environment() -> dict[str, str]:
    # A person reads what they say here, although it comes through a pipe.
    readable = {"LOG_FORMAT": "console"} if sys.stdout.isatty() else {}
    # Celery's advice against root is for servers; on a newcomer's machine or in a container it only frightens.
    quiet = {"PYTHONWARNINGS": "ignore:You're running the worker"}
    return {**readable, **quiet, **os.environ, "PYTHONUNBUFFERED": "1"}


def _answers(settings: Settings) -> bool:
    connection = HTTPConnection(settings.host, settings.port, timeout=_QUESTION_SECONDS)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _ended(valkey: EmbeddedValkey | None) -> str | None:
    return "Valkey" if valkey is not None and not valkey.is_running() else None
