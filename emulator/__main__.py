"""`python -m emulator`: a pretend Intercom with its page, which sends to one address of this machine."""

import signal
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import requests

from emulator.api.intercom_emulator import IntercomEmulator
from emulator.bulk_load import bulk_load
from emulator.emulated_notification import EmulatedNotification
from emulator.errors import NotLoopbackError
from emulator.network_faults import NetworkFaults
from emulator.notification_sender import RETRY_AFTER_SECONDS, NotificationSender, WebhookTarget
from emulator.random_activity import populate
from emulator.simulation import Simulation
from emulator.state_file import load_workspace, save_workspace
from emulator.web_app import HOST, make_emulator_server
from emulator.workspace import EmulatedWorkspace
from emulator.workspace_state import DEFAULT_WORKSPACE

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
    workspaces: int
    client_id: str
    seed: int
    contacts: int
    companies: int
    rate: float
    loss: float
    duplicates: float
    reordered: float
    retry_after: float
    announce: bool
    volume: bool
    state_file: Path | None


@click.command()
@click.option("--port", default=8001, show_default=True, help="Port of the page; 0 takes a free one.")
@click.option("--target", default="http://127.0.0.1:8000/webhooks/intercom", show_default=True)
@click.option("--secret", required=True, help="The client secret to sign with.")
@click.option("--workspace", default=DEFAULT_WORKSPACE, show_default=True)
@click.option("--workspaces", default=1, show_default=True, help="How many; the others have the next numbers.")
@click.option("--client-id", default="development", show_default=True, help="Of the app that the API knows.")
@click.option("--seed", default=1, show_default=True)
@click.option("--contacts", default=200, show_default=True, help="How many there are at the start.")
@click.option("--companies", default=30, show_default=True, help="How many there are at the start.")
@click.option("--rate", default=1.0, show_default=True, help="Deeds per second of everyday life; 0 for none.")
@click.option("--loss", default=0.0, help="Share of notifications that is never sent, 0 to 1.")
@click.option("--duplicates", default=0.0, help="Share that is sent twice, 0 to 1.")
@click.option("--reordered", default=0.0, help="Share that is overtaken by later ones, 0 to 1.")
@click.option("--retry-after", default=RETRY_AFTER_SECONDS, show_default=True, help="Seconds before the one retry.")
@click.option("--announce/--no-announce", default=False, help="Send what made the objects, or tell of them again.")
@click.option("--volume/--no-volume", default=False, help="Spread the objects over two years, and announce none.")
@click.option("--state", "state_file", type=click.Path(dir_okay=False, path_type=Path), help="Keep the workspace here.")
def main(**given: Any) -> None:
    """Pretend to be Intercom: a workspace that lives, a page to change it by hand, signed notifications."""
    options = Options(**given)
    try:
        all_started = [_start(options, id_) for id_ in _ids(options)]
    except NotLoopbackError as error:
        raise click.BadParameter(str(error), param_hint="--target") from error
    _run(options, all_started)


@dataclass(frozen=True)
class Started:
    """One workspace: its engine, what made its objects, and the file that keeps it."""

    engine: Simulation
    told: list[EmulatedNotification]
    state_file: Path | None


def _ids(options: Options) -> list[str]:
    """Return the workspaces' ids: demo0001, demo0002, and so on."""
    stem = options.workspace.rstrip("0123456789")
    digits = options.workspace.removeprefix(stem)
    numbers = range(int(digits or 1), int(digits or 1) + options.workspaces)
    return [options.workspace, *(f"{stem}{number:0{len(digits)}d}" for number in numbers[1:])]


def _start(options: Options, workspace_id: str) -> Started:
    # Ids must not repeat those of an earlier run: the receiver would take new notifications for old ones.
    workspace = EmulatedWorkspace(workspace_id, f"{options.seed} {time.time_ns()}")
    state_file = options.state_file
    if state_file and workspace_id != options.workspace:
        state_file = state_file.with_name(f"{state_file.stem}-{workspace_id}{state_file.suffix}")
    told = _fill(workspace, options, state_file)
    weather = NetworkFaults(loss=options.loss, duplicates=options.duplicates, reordered=options.reordered)
    sender = NotificationSender(
        WebhookTarget(options.target, options.secret), weather, options.seed, options.retry_after
    )
    engine = Simulation(workspace, sender, options.seed, options.rate)
    return Started(engine, told if options.announce else [], state_file)


def _fill(workspace: EmulatedWorkspace, options: Options, state_file: Path | None) -> list[EmulatedNotification]:
    if state_file and load_workspace(workspace, state_file):
        return workspace.retell()
    if options.volume:
        bulk_load(workspace, options.contacts, options.companies, seed=options.seed)
        return []
    return populate(workspace, options.contacts, options.companies, options.seed)


def _run(options: Options, all_started: list[Started]) -> None:
    first = all_started[0].engine
    # As with ids: codes and tokens must not repeat those of an earlier run, which somebody may still hold.
    seed = f"{options.seed} {time.time_ns()}"
    intercom = IntercomEmulator(
        [started.engine for started in all_started], options.client_id, [options.secret], seed=seed
    )
    try:
        server = make_emulator_server(first, options.port, intercom)
    except (OSError, SystemExit) as error:
        raise click.ClickException(f"Port {options.port} is taken; choose another with --port.") from error
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    target = first.sender.target.url
    click.echo(f"The pretend Intercom is at http://{HOST}:{server.server_port} and sends to {target}")
    with ExitStack() as stack:
        for started in all_started:
            stack.enter_context(started.engine.sender)
        if any(started.told for started in all_started):
            _wait_for_receiver(target, stop)
        for started in all_started:
            started.engine.send(started.told, _ANNOUNCED_PER_SECOND)
            stack.enter_context(started.engine)
        _keep(all_started, stop)
    server.shutdown()
    _save(all_started)


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


def _keep(all_started: list[Started], stop: threading.Event) -> None:
    while not stop.wait(_SAVE_EVERY_SECONDS if all_started[0].state_file else None):
        _save(all_started)


def _save(all_started: list[Started]) -> None:
    for started in all_started:
        if started.state_file:
            with started.engine.lock:
                save_workspace(started.engine.workspace, started.state_file)


if __name__ == "__main__":
    sys.exit(main())
