"""`intercom-mirror up`: runs every process on this machine, and stops all of them together."""

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
from cli.redis_and_ports import open_redis, require_free_port
from cli.supervisor import ProcessCommand, Supervisor
from cli.valkey import EmbeddedValkey
from settings import Settings, addresses, get_settings
from workers.inbox.durability import check_durability

# Seconds for one health check of the web process.
_HEALTH_TIMEOUT_SECONDS = 1.0

# Without -P, Python would look for `cli` in the current directory first. A checkout that is not installed can only be
# found there.
_SAFE_PATH = () if Path(__file__).parents[1] == Path.cwd() else ("-P",)
_COMMAND = (sys.executable, *_SAFE_PATH, "-m", "cli")


@click.command()
def up() -> None:
    """
    Run everything on this machine.

    These are Valkey, web, the workers and beat, and without credentials the Intercom emulator. Ctrl-C stops all of them
    in order. Settings are read from the environment and from `.env`.
    """
    settings = get_settings()
    supervisor = Supervisor(_environment())
    # Until this process exits: a second signal must not prevent Valkey from being stopped.
    _handle_signals(supervisor)
    with leftover_processes.lock_directory(settings.var_dir):
        if count := leftover_processes.stop_leftovers(settings.var_dir):
            click.echo(f"{count} processes of an earlier run were stopped.")
        require_free_port(settings.host, settings.port, "PORT")
        if settings.local_emulator_port is not None:
            require_free_port("127.0.0.1", settings.local_emulator_port, "EMULATOR_PORT")
        with _valkey(settings) if settings.embedded_redis else nullcontext() as valkey:
            _prepare(settings)
            error = _run(settings, supervisor, valkey)
    if error:
        raise click.ClickException(error)


def _handle_signals(supervisor: Supervisor) -> None:
    def handle(number: int, _frame: FrameType | None) -> None:
        if not supervisor.children:
            # No process runs that would have to be stopped in order.
            raise KeyboardInterrupt
        supervisor.request_stop(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handle)


@contextmanager
def _valkey(settings: Settings) -> Iterator[EmbeddedValkey]:
    valkey = EmbeddedValkey(settings)
    try:
        valkey.start()
        if valkey.adopted:
            click.echo("Valkey is still running from an earlier run, and is used.")
        yield valkey
    finally:
        # Last: the other processes still write to it while they stop.
        valkey.stop()


def _prepare(settings: Settings) -> None:
    with open_redis(settings) as redis:
        result = check_durability(redis)
    if not result.durable:
        click.echo(result.sentence, err=True)
        if settings.require_durable_inbox:
            raise click.ClickException("REQUIRE_DURABLE_INBOX is 1, so nothing is started.")
    # In a process of its own, so that this one, which keeps running, does not load SQL. It prints its own errors.
    code = subprocess.run([*_COMMAND, "db", "upgrade"], stdout=subprocess.DEVNULL, check=False).returncode
    if code:
        raise click.exceptions.Exit(code)


def _run(settings: Settings, supervisor: Supervisor, valkey: EmbeddedValkey | None) -> str | None:
    try:
        for command in commands(settings):
            supervisor.start(command)
        leftover_processes.record(settings.var_dir, [child.pid for child in supervisor.children])
        error = supervisor.watch(until=lambda: _is_serving(settings))
        if error is None and not supervisor.stop_requested:
            click.echo(welcome(settings))
            error = supervisor.watch(also=lambda: _ended(valkey))
    finally:
        supervisor.stop()
        leftover_processes.forget(settings.var_dir)
    return error


def commands(settings: Settings) -> list[ProcessCommand]:
    """Return the processes in the order in which they are stopped: senders first, the drain last."""
    emulator = ProcessCommand(
        "emulator",
        [*_COMMAND, "emulate", "--announce", "--state", str(settings.var_dir / "emulator.json")],
    )
    return [
        *([emulator] if settings.local_emulator_port is not None else []),
        ProcessCommand("web", [*_COMMAND, "web"]),
        ProcessCommand("beat", [*_COMMAND, "beat"]),
        ProcessCommand("sync", [*_COMMAND, "worker", "--queues", "sync"]),
        ProcessCommand("workflows", [*_COMMAND, "worker", "--queues", "workflows"]),
        ProcessCommand("deliveries", [*_COMMAND, "worker", "--queues", "deliveries"]),
        ProcessCommand("worker", [*_COMMAND, "worker", "--queues", "drain,followups"]),
    ]


def _environment() -> dict[str, str]:
    # A person reads the output here, although it comes through a pipe.
    readable = {"LOG_FORMAT": "console"} if sys.stdout.isatty() else {}
    # Celery's warning against root is for servers; on a developer's machine or in a container it only confuses.
    quiet = {"PYTHONWARNINGS": "ignore:You're running the worker"}
    return {**readable, **quiet, **os.environ, "PYTHONUNBUFFERED": "1"}


def _is_serving(settings: Settings) -> bool:
    connection = HTTPConnection(settings.host, settings.port, timeout=_HEALTH_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _ended(valkey: EmbeddedValkey | None) -> str | None:
    return "Valkey" if valkey is not None and not valkey.is_running() else None


def welcome(settings: Settings) -> str:
    """Return what is printed once everything runs: what to look at next."""
    base = addresses.http_url(settings.host, settings.port)
    command = _typed_command()
    places = [("rows as they arrive", f"{command} status --watch"), ("health", f"{base}/readyz")]
    if settings.local_emulator_port is None:
        places.append(("webhook address", f"{settings.public_url}/webhooks/intercom"))
    else:
        connect = f'echo "{settings.public_url}/connect?token=$({command} token me)"'
        places += [
            ("Intercom emulator", f"http://127.0.0.1:{settings.local_emulator_port} (change a contact there)"),
            ("connect a workspace", f"open the address that this prints: {connect}"),
        ]
        # Reading the setting creates the file. The token itself must not be in an output that may be logged.
        if settings.admin_token and not settings.configured_admin_token:
            places.append(("the operator's token", f"in {settings.admin_token_file}"))
    lines = [f"  {title:<22}{what}" for title, what in places]
    headline = "The mirror is running. In another terminal, or in a browser:"
    return "\n".join(["", headline, *lines, "Ctrl-C stops everything.", ""])


def _typed_command() -> str:
    """Return how this command is typed here: it is on the path only if its environment is active."""
    name = Path(sys.argv[0])
    if name.name != "intercom-mirror":
        return "python -m cli"
    try:
        return str(name.absolute().relative_to(Path.cwd()))
    except ValueError:
        return os.fspath(name)
