"""One run: a pretend Intercom in this process, the processes of the Procfile beside it, kills, and the comparison."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Engine, text

from emulator.api.http import Server
from emulator.api.intercom import Intercom
from emulator.api.wsgi import Front
from emulator.engine import Engine as Pretended
from emulator.network import Weather
from emulator.sender import Route, Sender
from emulator.volume import fill
from emulator.workspace import Workspace
from models.engine import read_engine, write_engine
from settings.environment import DEVELOPMENT_CLIENT_SECRET
from tests.torture import databases
from tests.torture.bed import _release
from tests.torture.processes import Process, Supervisor, environment, procfile
from tests.torture.tables import differences
from tests.valkey_server import running as valkey_running
from workers.sync import runs
from workers.sync.facts import INDEX_LAG_SECONDS

WORKSPACE = "demo0001"
_LOOK_SECONDS = 0.2
# Seconds between looks how far the fill is, to kill in the middle of it.
_WATCH_SECONDS = 0.02


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    contacts: int
    companies: int
    links: int
    latency_ms: float
    error_rate: float
    rate_limit: int
    rate: float
    loss: float
    kills: int
    seed: int
    database: str
    patience: float


@dataclass
class Result:
    """What was seen; times in seconds. `calls`: what Intercom was asked; `refused`: answers 429."""

    filled: float = 0.0
    hydrated: float = 0.0
    reconciled: float = 0.0
    killed: int = 0
    calls: int = 0
    memory_mib: float = 0.0
    rows: dict[str, int] = field(default_factory=dict)
    links: int = 0
    before: int = 0
    differences: list[Any] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)


def run(options: Options, directory: Path, port: int, say: Callable[[str], None]) -> Result:
    """Do it all; raises AssertionError where something takes longer than `patience`."""
    result = Result()
    workspace = _workspace(options)
    with ExitStack() as stack:
        pretended, intercom, emulator_port = stack.enter_context(_intercom(workspace, options, port))
        supervisor, engine = stack.enter_context(_processes(options, directory, port, emulator_port))
        say(f"{options.contacts:,} contacts and {options.companies:,} companies wait to be read")
        began = time.monotonic()
        _fill(options, supervisor, engine, result)
        result.filled = time.monotonic() - began
        # Life stops, so that there is one truth to compare with.
        pretended.control({"running": False})
        say(f"filled after {result.filled:.0f} s and {result.killed} kills; hydrating")
        _wait(lambda: _doubtful(engine) == 0, options.patience, "nothing is in doubt")
        result.hydrated = time.monotonic() - began
        result.before = len(_differences(engine, workspace))
        say(f"nothing in doubt after {result.hydrated:.0f} s, {result.before} differences; reconciling")
        # What changed in the last minutes may be ahead of Intercom's lists, for all that we know.
        intercom.change({"clock_shift_seconds": INDEX_LAG_SECONDS + 60.0})
        result.memory_mib = _memory(supervisor.processes["sync"])
        began = time.monotonic()
        _reconcile(engine, options)
        result.reconciled = time.monotonic() - began
        result.differences = _differences(engine, workspace)
        _count(engine, result)
        result.calls = sum(intercom.tenants[WORKSPACE].calls.values())
    return result


def _workspace(options: Options) -> Workspace:
    workspace = Workspace(WORKSPACE, options.seed)
    fill(workspace, options.contacts, options.companies, links=options.links, seed=options.seed)
    for contact_id in list(workspace.archived):
        # No list ever shows those that were archived before anybody looked.
        workspace.unarchive_contact(contact_id)
    return workspace


@contextmanager
def _intercom(workspace: Workspace, options: Options, port: int) -> Iterator[tuple[Pretended, Intercom, int]]:
    route = Route(f"http://127.0.0.1:{port}/webhooks/intercom", DEVELOPMENT_CLIENT_SECRET)
    with Sender(route, Weather(loss=options.loss), options.seed, 2.0) as sender:
        pretended = Pretended(workspace, sender, options.seed, options.rate)
        intercom = Intercom([pretended], seed=options.seed)
        intercom.change({"latency_ms": options.latency_ms, "error_rate": options.error_rate,
                         "rate_limit": options.rate_limit})  # fmt: skip
        server = Server("127.0.0.1", 0, Front(intercom, _not_found))
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            with pretended:
                yield pretended, intercom, server.server_port
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _not_found(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("404 Not Found", [])
    return [b""]


@contextmanager
def _processes(options: Options, directory: Path, port: int, emulator_port: int) -> Iterator[tuple[Supervisor, Engine]]:
    with ExitStack() as stack:
        (directory / "valkey").mkdir()
        valkey = stack.enter_context(valkey_running(directory / "valkey"))
        database = stack.enter_context(databases.running(options.database, directory))
        variables = environment(PORT=str(port), EMULATOR_PORT=str(emulator_port), LOG_FORMAT="json",
                                DATABASE_URL=database.url, REDIS_URL=valkey.url,
                                INTERCOM_ACCESS_TOKEN=f"dev-token-{WORKSPACE}")  # fmt: skip
        _release(directory, variables)
        names = ("web", "worker", "sync", "beat")
        made = [Process(name, procfile()[name], variables, directory) for name in names]
        supervisor = stack.enter_context(Supervisor(made))
        engine = read_engine(database.url)
        stack.callback(engine.dispose)
        # The sender keeps its connections, for whose end the web process would wait.
        stack.callback(_kill, supervisor)
        yield supervisor, engine


def _kill(supervisor: Supervisor) -> None:
    supervisor._stop.set()
    for process in supervisor.processes.values():
        process.kill_group()


def _fill(options: Options, supervisor: Supervisor, engine: Engine, result: Result) -> None:
    _wait(lambda: _runs(engine, "running"), options.patience, "a fill has begun")
    until = time.monotonic() + options.patience
    while not any(row["state"] == "done" for row in _runs(engine)):
        assert time.monotonic() < until, f"the fill takes too long: {_runs(engine)}"
        # Spread over the fill: each after another share of it was read.
        share = (result.killed + 1) / (options.kills + 1)
        if result.killed < options.kills and _seen(engine) >= share * options.contacts:
            supervisor.processes["sync"].kill_group()
            if result.killed % 3 == 0:
                supervisor.processes["worker"].kill_group()
            result.killed += 1
        # Between two looks how far the fill is.
        time.sleep(_WATCH_SECONDS)
    result.runs = _runs(engine)


def _reconcile(engine: Engine, options: Options) -> None:
    writer = write_engine(engine.url.render_as_string(hide_password=False))
    run_id = runs.ask(writer, WORKSPACE, "reconcile", "command", datetime.now(UTC), full=True)
    _wait(lambda: runs.read(engine, run_id)["state"] not in ("queued", "running"), options.patience, "it is reconciled")
    row = runs.read(engine, run_id)
    if row["state"] == "waiting":
        runs.accept(writer, None)
        _wait(lambda: runs.read(engine, run_id)["state"] == "done", options.patience, "deletions are accepted")
    writer.dispose()
    _wait(lambda: _doubtful(engine) == 0, options.patience, "nothing is in doubt")


def _wait(true: Callable[[], object], patience: float, what: str) -> None:
    until = time.monotonic() + patience
    while not true():
        assert time.monotonic() < until, f"gave up waiting until {what}"
        # Between two looks; the deadline of the loop decides.
        time.sleep(_LOOK_SECONDS)


def _runs(engine: Engine, state: str | None = None) -> list[dict[str, Any]]:
    query = "SELECT kind, state, seen, expected, error, started_at, ended_at FROM sync_runs"
    with engine.connect() as connection:
        rows = [dict(row) for row in connection.execute(text(query)).mappings()]
    return [row for row in rows if state in (None, row["state"])]


def _seen(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT COUNT(*) FROM contacts")).scalar_one())


def _doubtful(engine: Engine) -> int:
    with engine.connect() as connection:
        query = text("SELECT COUNT(*) FROM object_states WHERE dirty > clean")
        return int(connection.execute(query).scalar_one())


def _differences(engine: Engine, workspace: Workspace) -> list[Any]:
    truth = workspace.truth()
    found = differences(engine, truth, frozenset())
    with engine.connect() as connection:
        known = set(connection.execute(text("SELECT object_id FROM object_states")).scalars())
        there = {f"{row[0]} {row[1]}" for row in connection.execute(
            text("SELECT contact_id, segment_id FROM contact_segments"))}  # fmt: skip
    wanted = {f"{c['id']} {other}" for c in truth["contacts"].values() for other in c["_segment_ids"]}
    found += [("contact_segments", pair, "differs") for pair in wanted ^ there]
    return [each for each in found if not _cannot_be_known(workspace, known, *each)]


def _cannot_be_known(workspace: Workspace, known: set[str], table: str, ids: str, what: str) -> bool:
    """Tell what no list shows and no webhook told: lonely companies, and what became of contacts we never heard of."""
    if what != "is missing":
        return False
    if table == "companies":
        return not workspace.companies[ids].contact_ids
    if table == "contacts":
        return ids in workspace.archived and ids not in known
    first = ids.partition(" ")[0]
    unheard = first in workspace.archived and first not in known
    return unheard or (table == "contact_redirects" and first not in known)


def _memory(process: Process) -> float:
    return sum(each.memory_info().rss for each in [psutil.Process(process.pid), *process.children()]) / 2**20


def _count(engine: Engine, result: Result) -> None:
    with engine.connect() as connection:
        for table in ("contacts", "companies", "contact_companies", "contact_tags", "contact_segments"):
            result.rows[table] = int(connection.execute(text(f"SELECT COUNT(*) FROM {table}")).scalar_one())  # noqa: S608
