"""The installation of a run: an emulated Intercom in this process, and the processes of the Procfile."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Engine

from emulator.api.api_middleware import ApiMiddleware
from emulator.api.http_server import EmulatorServer
from emulator.api.intercom_emulator import IntercomEmulator
from emulator.bulk_load import bulk_load
from emulator.network_faults import NetworkFaults
from emulator.notification_sender import NotificationSender, WebhookTarget
from emulator.simulation import Simulation
from emulator.workspace import EmulatedWorkspace
from models.db.engine import read_engine, write_engine
from settings.environment import DEVELOPMENT_CLIENT_SECRET
from tests.long.torture import databases
from tests.long.torture.processes import ManagedProcess, RestartingSupervisor, environment, procfile, run_release
from tests.valkey_server import run_server as run_valkey

WORKSPACE = "demo0001"
# Seconds before the one retry of a notification; Intercom waits a minute, which would make a run too long.
_RETRY_SECONDS = 2.0


@dataclass(frozen=True)
class Options:
    """The options of the command."""

    contacts: int
    companies: int
    links: int
    latency_ms: float
    error_rate: float
    rate_limit: int
    rate: float
    loss: float
    unheard: float
    kills: int
    seed: int
    database: str
    patience: float
    verify_patience: float


@dataclass(frozen=True)
class Installation:
    """The emulated Intercom, the processes of the mirror, and engines of their database."""

    intercom: IntercomEmulator
    simulation: Simulation
    supervisor: RestartingSupervisor
    reader: Engine
    writer: Engine
    directory: Path
    variables: dict[str, str]

    @property
    def workspace(self) -> EmulatedWorkspace:
        """The emulated workspace, which the tables must equal."""
        return self.simulation.workspace

    def pass_time(self, seconds: float) -> None:
        """Advance Intercom's clock; the mirror's clock is unchanged."""
        self.intercom.change({"clock_shift_seconds": self.intercom.switches.clock_shift_seconds + seconds})

    def verify(self, patience: float) -> tuple[int, dict[str, Any]]:
        """Run `intercom-mirror verify --full --json`; returns its exit code and its output."""
        command = [sys.executable, "-m", "cli", "verify", "--full", "--json", "--patience", str(patience)]
        done = subprocess.run(command, env=self.variables, cwd=self.directory, capture_output=True, check=False)
        return done.returncode, msgspec.json.decode(done.stdout) if done.stdout else {"said": done.stderr.decode()}


@contextmanager
def run_installation(options: Options, directory: Path, port: int, behind: float) -> Iterator[Installation]:
    """
    Start an installation with a full workspace, in which objects keep changing.

    Args:
        options: size and faults.
        directory: an empty directory, which keeps the logs.
        port: of the web process.
        behind: seconds by which Intercom's clock is behind, so that time can pass there.
    """
    with ExitStack() as stack:
        simulation, intercom, emulator_port = stack.enter_context(_intercom(options, port, behind))
        (directory / "valkey").mkdir()
        valkey = stack.enter_context(run_valkey(directory / "valkey"))
        database = stack.enter_context(databases.run_database(options.database, directory))
        variables = environment(
            PORT=str(port),
            EMULATOR_PORT=str(emulator_port),
            LOG_FORMAT="json",
            DATABASE_URL=database.url,
            REDIS_URL=valkey.url,
            INTERCOM_ACCESS_TOKEN=f"dev-token-{WORKSPACE}",
        )
        run_release(directory, variables)
        names = ("web", "worker", "sync", "beat")
        made = [ManagedProcess(name, procfile()[name], variables, directory) for name in names]
        supervisor = stack.enter_context(RestartingSupervisor(made))
        reader, writer = read_engine(database.url), write_engine(database.url)
        stack.callback(reader.dispose)
        stack.callback(writer.dispose)
        # Killed, because the sender keeps its connections open, and the web process would wait for their end.
        stack.callback(_kill, supervisor)
        yield Installation(intercom, simulation, supervisor, reader, writer, directory, variables)


@contextmanager
def _intercom(options: Options, port: int, behind: float) -> Iterator[tuple[Simulation, IntercomEmulator, int]]:
    route = WebhookTarget(f"http://127.0.0.1:{port}/webhooks/intercom", DEVELOPMENT_CLIENT_SECRET)
    workspace = EmulatedWorkspace(WORKSPACE, options.seed)
    with NotificationSender(route, NetworkFaults(loss=options.loss), options.seed, _RETRY_SECONDS) as sender:
        simulation = Simulation(workspace, sender, options.seed, options.rate)
        intercom = IntercomEmulator([simulation], seed=options.seed)
        intercom.change(
            {
                "latency_ms": options.latency_ms,
                "error_rate": options.error_rate,
                "rate_limit": options.rate_limit,
                "clock_shift_seconds": -behind,
            }
        )
        _fill(workspace, options)
        server = EmulatorServer("127.0.0.1", 0, ApiMiddleware(intercom, _not_found))
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            with simulation:
                yield simulation, intercom, server.server_port
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _fill(workspace: EmulatedWorkspace, options: Options) -> None:
    bulk_load(workspace, options.contacts, options.companies, links=options.links, seed=options.seed)
    for contact_id in list(workspace.archived):
        # No list contains contacts that were archived before the backfill.
        workspace.unarchive_contact(contact_id)


def _not_found(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("404 Not Found", [])
    return [b""]


def _kill(supervisor: RestartingSupervisor) -> None:
    supervisor._stop.set()
    for process in supervisor.processes.values():
        process.kill_group()
