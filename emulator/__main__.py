"""`python -m emulator`: the Intercom emulator with its page; it sends notifications to one address of this machine."""

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

# The receiver starts at the same time as the emulator, and on a slow machine takes much longer.
_RECEIVER_TIMEOUT_SECONDS = 60.0
# Seconds for one HEAD request to the receiver, and between two of them.
_HEAD_TIMEOUT_SECONDS = 5.0
_HEAD_INTERVAL_SECONDS = 0.2
# The pace of the notifications of initial objects leaves capacity for those of new changes.
_ANNOUNCED_PER_SECOND = 200.0
# A kill -9 loses at most the changes of this time.
_SAVE_INTERVAL_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class EmulatorOptions:
    """The command-line options; the help of each option describes it."""

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
@click.option("--port", default=8001, show_default=True, help="Port of the page and the API; 0 chooses a free port.")
@click.option(
    "--target",
    default="http://127.0.0.1:8000/webhooks/intercom",
    show_default=True,
    help="Address that notifications are sent to, on this machine.",
)
@click.option("--secret", required=True, help="Client secret that signs the notifications.")
@click.option("--workspace", default=DEFAULT_WORKSPACE, show_default=True, help="Id of the workspace.")
@click.option("--workspaces", default=1, show_default=True, help="Number of workspaces; their ids are numbered.")
@click.option("--client-id", default="development", show_default=True, help="Client id of the app.")
@click.option("--seed", default=1, show_default=True, help="Seed of the content, the activity and the faults.")
@click.option("--contacts", default=200, show_default=True, help="Number of contacts at the start.")
@click.option("--companies", default=30, show_default=True, help="Number of companies at the start.")
@click.option("--rate", default=1.0, show_default=True, help="Random changes per second; 0 for none.")
@click.option("--loss", default=0.0, help="Share of notifications that are never sent, 0 to 1.")
@click.option("--duplicates", default=0.0, help="Share of notifications that are sent twice, 0 to 1.")
@click.option("--reordered", default=0.0, help="Share of notifications that arrive after later ones, 0 to 1.")
@click.option("--retry-after", default=RETRY_AFTER_SECONDS, show_default=True, help="Seconds before the one retry.")
@click.option("--announce/--no-announce", default=False, help="Send notifications of the objects at the start.")
@click.option(
    "--volume/--no-volume",
    default=False,
    help="Create the objects in bulk, spread over two years, without notifications.",
)
@click.option(
    "--state",
    "state_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File that keeps the workspace between runs.",
)
def main(**options: Any) -> None:
    """Run an Intercom emulator: a demo workspace with random activity, its page, the API, signed notifications."""
    parsed = EmulatorOptions(**options)
    try:
        workspaces = [_start_workspace(parsed, id_) for id_ in _workspace_ids(parsed)]
    except NotLoopbackError as error:
        raise click.BadParameter(str(error), param_hint="--target") from error
    _run(parsed, workspaces)


@dataclass(frozen=True)
class RunningWorkspace:
    """One workspace: its simulation, the notifications to announce at the start, and its state file."""

    simulation: Simulation
    announcements: list[EmulatedNotification]
    state_file: Path | None


def _workspace_ids(options: EmulatorOptions) -> list[str]:
    """Return the ids of the workspaces: demo0001, demo0002, and so on."""
    stem = options.workspace.rstrip("0123456789")
    digits = options.workspace.removeprefix(stem)
    numbers = range(int(digits or 1), int(digits or 1) + options.workspaces)
    return [options.workspace, *(f"{stem}{number:0{len(digits)}d}" for number in numbers[1:])]


def _start_workspace(options: EmulatorOptions, workspace_id: str) -> RunningWorkspace:
    # Ids must not repeat those of an earlier run: the receiver would take new notifications for duplicates.
    workspace = EmulatedWorkspace(workspace_id, f"{options.seed} {time.time_ns()}")
    state_file = options.state_file
    if state_file and workspace_id != options.workspace:
        state_file = state_file.with_name(f"{state_file.stem}-{workspace_id}{state_file.suffix}")
    notifications = _load_or_create(workspace, options, state_file)
    faults = NetworkFaults(loss=options.loss, duplicates=options.duplicates, reordered=options.reordered)
    target = WebhookTarget(options.target, options.secret)
    sender = NotificationSender(target, faults, options.seed, options.retry_after)
    simulation = Simulation(workspace, sender, options.seed, options.rate)
    return RunningWorkspace(simulation, notifications if options.announce else [], state_file)


def _load_or_create(
    workspace: EmulatedWorkspace, options: EmulatorOptions, state_file: Path | None
) -> list[EmulatedNotification]:
    """Give the workspace its content, and return the notifications of it."""
    if state_file and load_workspace(workspace, state_file):
        return workspace.current_notifications()
    if options.volume:
        bulk_load(workspace, options.contacts, options.companies, seed=options.seed)
        return []
    return populate(workspace, options.contacts, options.companies, options.seed)


def _run(options: EmulatorOptions, workspaces: list[RunningWorkspace]) -> None:
    """
    Run until SIGINT or SIGTERM.

    1. Start the server.
    2. Start the senders, and wait for the receiver if there is anything to announce.
    3. Announce the objects, and start the random activity.
    4. Save the workspaces regularly, and once more at the end.
    """
    first = workspaces[0].simulation
    # Codes and tokens must not repeat those of an earlier run, which a client may still have.
    seed = f"{options.seed} {time.time_ns()}"
    intercom = IntercomEmulator(
        [each.simulation for each in workspaces], options.client_id, [options.secret], seed=seed
    )
    try:
        server = make_emulator_server(first, options.port, intercom)
    except (OSError, SystemExit) as error:
        text = f"Port {options.port} on {HOST} is already in use. Choose another with --port."
        raise click.ClickException(text) from error
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    target = first.sender.target.url
    click.echo(f"The Intercom emulator is at http://{HOST}:{server.server_port} and sends to {target}")
    with ExitStack() as stack:
        for each in workspaces:
            stack.enter_context(each.simulation.sender)
        if any(each.announcements for each in workspaces):
            _wait_for_receiver(target, stop)
        for each in workspaces:
            each.simulation.send(each.announcements, _ANNOUNCED_PER_SECOND)
            stack.enter_context(each.simulation)
        while not stop.wait(_SAVE_INTERVAL_SECONDS if workspaces[0].state_file else None):
            _save(workspaces)
    server.shutdown()
    _save(workspaces)


def _wait_for_receiver(target: str, stop: threading.Event) -> None:
    """Send HEAD requests, with which Intercom validates an address, until one succeeds."""
    deadline = time.monotonic() + _RECEIVER_TIMEOUT_SECONDS
    with requests.Session() as session:
        session.trust_env = False
        while not stop.wait(_HEAD_INTERVAL_SECONDS) and time.monotonic() < deadline:
            try:
                if session.head(target, timeout=_HEAD_TIMEOUT_SECONDS, allow_redirects=False).ok:
                    return
            except requests.RequestException:
                continue


def _save(workspaces: list[RunningWorkspace]) -> None:
    for each in workspaces:
        if each.state_file:
            with each.simulation.lock:
                save_workspace(each.simulation.workspace, each.state_file)


if __name__ == "__main__":
    sys.exit(main())
