"""`python -m emulator`: a pretend Intercom with its page, which sends to one address of this machine."""

import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import requests

from emulator import snapshot
from emulator.engine import Engine
from emulator.errors import NotLoopbackError
from emulator.life import populate
from emulator.network import Weather
from emulator.notification import Notification
from emulator.sender import RETRY_AFTER_SECONDS, Route, Sender
from emulator.server import HOST, make
from emulator.store import DEFAULT_WORKSPACE
from emulator.workspace import Workspace

# The receiver starts at the same time as the emulator and may take longer, on a slow machine much longer.
_RECEIVER_PATIENCE_SECONDS = 60.0
# Initial objects are announced at a pace that leaves room for what happens meanwhile.
_ANNOUNCED_PER_SECOND = 200.0
# A kill -9 costs the pretend workspace no more than this.
_SAVE_EVERY_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line says; each option's help says what it means."""

    port: int
    target: str
    secret: str
    workspace: str
    seed: int
    contacts: int
    companies: int
    rate: float
    loss: float
    duplicates: float
    reordered: float
    retry_after: float
    announce: bool
    state_file: Path | None


@click.command()
@click.option("--port", default=8001, show_default=True, help="Port of the page; 0 takes a free one.")
@click.option("--target", default="http://127.0.0.1:8000/webhooks/intercom", show_default=True)
@click.option("--secret", required=True, help="The client secret to sign with.")
@click.option("--workspace", default=DEFAULT_WORKSPACE, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--contacts", default=200, show_default=True, help="How many there are at the start.")
@click.option("--companies", default=30, show_default=True, help="How many there are at the start.")
@click.option("--rate", default=1.0, show_default=True, help="Deeds per second of everyday life; 0 for none.")
@click.option("--loss", default=0.0, help="Share of notifications that is never sent, 0 to 1.")
@click.option("--duplicates", default=0.0, help="Share that is sent twice, 0 to 1.")
@click.option("--reordered", default=0.0, help="Share that is overtaken by later ones, 0 to 1.")
@click.option("--retry-after", default=RETRY_AFTER_SECONDS, show_default=True, help="Seconds before the one retry.")
@click.option("--announce/--no-announce", default=False, help="Send what made the objects, or tell of them again.")
@click.option("--state", "state_file", type=click.Path(dir_okay=False, path_type=Path), help="Keep the workspace here.")
def main(**given: Any) -> None:
    """Pretend to be Intercom: a workspace that lives, a page to change it by hand, signed notifications."""
    options = Options(**given)
    # Ids must not repeat those of an earlier run: the receiver would take new notifications for old ones.
    workspace = Workspace(options.workspace, f"{options.seed} {time.time_ns()}")
    told = _fill(workspace, options)
    weather = Weather(loss=options.loss, duplicates=options.duplicates, reordered=options.reordered)
    try:
        sender = Sender(Route(options.target, options.secret), weather, options.seed, options.retry_after)
    except NotLoopbackError as error:
        raise click.BadParameter(str(error), param_hint="--target") from error
    engine = Engine(workspace, sender, options.seed, options.rate)
    _run(engine, options.port, told if options.announce else [], options.state_file)


def _fill(workspace: Workspace, options: Options) -> list[Notification]:
    if options.state_file and snapshot.load(workspace, options.state_file):
        return workspace.retell()
    return populate(workspace, options.contacts, options.companies, options.seed)


def _run(engine: Engine, port: int, told: list[Notification], state_file: Path | None) -> None:
    try:
        server = make(engine, port)
    except (OSError, SystemExit) as error:
        raise click.ClickException(f"Port {port} is taken; choose another with --port.") from error
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    target = engine.sender.route.target
    click.echo(f"The pretend Intercom is at http://{HOST}:{server.server_port} and sends to {target}")
    with engine.sender:
        if told:
            _wait_for_receiver(target, stop)
            engine.send(told, _ANNOUNCED_PER_SECOND)
        with engine:
            _keep(engine, state_file, stop)
    server.shutdown()
    _save(engine, state_file)


def _wait_for_receiver(target: str, stop: threading.Event) -> None:
    # Intercom validates an address with HEAD before it sends anything there.
    until = time.monotonic() + _RECEIVER_PATIENCE_SECONDS
    with requests.Session() as session:
        session.trust_env = False
        while not stop.wait(0.2) and time.monotonic() < until:
            try:
                if session.head(target, timeout=5, allow_redirects=False).ok:
                    return
            except requests.RequestException:
                continue


def _keep(engine: Engine, state_file: Path | None, stop: threading.Event) -> None:
    while not stop.wait(_SAVE_EVERY_SECONDS if state_file else None):
        _save(engine, state_file)


def _save(engine: Engine, state_file: Path | None) -> None:
    if state_file:
        with engine.lock:
            snapshot.save(engine.workspace, state_file)


if __name__ == "__main__":
    sys.exit(main())
