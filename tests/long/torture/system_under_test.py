"""The system under test: Valkey, a database, fault proxies, and the processes of the Procfile under a supervisor."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from sqlalchemy import Engine

from models.db.engine import write_engine
from tests.long.torture import databases
from tests.long.torture.emulated_intercom import WORKSPACE
from tests.long.torture.fault_proxy import KEEPALIVE_TIMEOUT_SECONDS, FaultProxy
from tests.long.torture.processes import ManagedProcess, RestartingSupervisor, environment, procfile, run_release
from tests.valkey_server import ValkeyServer
from tests.valkey_server import run_server as run_valkey

# Each process of the Procfile, and the proxy through which it reaches Valkey: those that follow the feed share one.
PROXIES = {"web": "web", "worker": "worker", "beat": "beat", "sync": "sync", "workflows": "feed", "deliveries": "feed"}


@dataclass(frozen=True)
class SystemUnderTest:
    """
    Everything into which faults are injected, and connections that bypass the faults.

    `proxies`: "web-valkey" and so on, see PROXIES, and, with PostgreSQL, "worker-sql" for all processes that use SQL.
    `redis` and `engine` connect directly.
    """

    valkey: ValkeyServer
    database: databases.CrashableDatabase
    proxies: dict[str, FaultProxy]
    supervisor: RestartingSupervisor
    web_port: int
    redis: Redis
    engine: Engine
    directory: Path

    def process(self, name: str) -> ManagedProcess:
        return self.supervisor.processes[name]


@contextmanager
def start_system(directory: Path, database_kind: str, web_port: int, emulator_port: int) -> Iterator[SystemUnderTest]:
    """Start the system in a directory, with all of its processes."""
    with ExitStack() as stack:
        (directory / "valkey").mkdir()
        valkey = stack.enter_context(run_valkey(directory / "valkey"))
        database = stack.enter_context(databases.run_database(database_kind, directory))
        names = sorted(set(PROXIES.values()))
        proxies = {f"{name}-valkey": stack.enter_context(FaultProxy(valkey.socket)) for name in names}
        if database.socket is not None:
            proxies["worker-sql"] = stack.enter_context(FaultProxy(database.socket, KEEPALIVE_TIMEOUT_SECONDS))
        common = {
            "PORT": str(web_port),
            "EMULATOR_PORT": str(emulator_port),
            "LOG_FORMAT": "json",
            "INTERCOM_ACCESS_TOKEN": f"dev-token-{WORKSPACE}",
        }
        run_release(directory, environment(**common, DATABASE_URL=database.url, REDIS_URL=valkey.url))
        supervisor = stack.enter_context(RestartingSupervisor(_processes(directory, common, database, proxies)))
        engine = write_engine(database.url)
        stack.callback(engine.dispose)
        redis = stack.enter_context(Redis.from_url(valkey.url, socket_timeout=5))
        yield SystemUnderTest(valkey, database, proxies, supervisor, web_port, redis, engine, directory)


def _processes(
    directory: Path, common: dict[str, str], database: databases.CrashableDatabase, proxies: dict[str, FaultProxy]
) -> list[ManagedProcess]:
    commands = procfile()
    sql_url = database.url_through(proxies["worker-sql"].port) if "worker-sql" in proxies else database.url

    def process(name: str) -> ManagedProcess:
        redis_url = f"redis://127.0.0.1:{proxies[f'{PROXIES[name]}-valkey'].port}/0"
        variables = environment(**common, DATABASE_URL=sql_url, REDIS_URL=redis_url)
        return ManagedProcess(name, commands[name], variables, directory)

    return [process(name) for name in PROXIES]
