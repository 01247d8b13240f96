"""The test bed: a Valkey, a database, faulty links, and the processes of the Procfile under a supervisor."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from sqlalchemy import Engine

from models.db.engine import write_engine
from tests.long.torture import databases
from tests.long.torture.intercom import WORKSPACE
from tests.long.torture.links import PROBED_SECONDS, Link
from tests.long.torture.processes import Process, Supervisor, environment, procfile
from tests.valkey_server import ValkeyServer
from tests.valkey_server import running as valkey_running

# Seconds. Making the tables takes one or two; a busy machine may need several times that.
_RELEASE_SECONDS = 60.0

# Each process of the Procfile, and the link through which it reaches Valkey: those behind the feed share one.
LINKS = {"web": "web", "worker": "worker", "beat": "beat", "sync": "sync", "workflows": "feed", "deliveries": "feed"}


@dataclass(frozen=True)
class Bed:
    """
    Everything that can be hurt, and ways past the faults to look at it.

    `links` are "web-valkey" and so on, see LINKS, and, with PostgreSQL, "worker-sql" for all that use SQL.
    """

    valkey: ValkeyServer
    database: databases.Database
    links: dict[str, Link]
    supervisor: Supervisor
    web_port: int
    redis: Redis
    engine: Engine
    directory: Path

    def process(self, name: str) -> Process:
        return self.supervisor.processes[name]


@contextmanager
def running(directory: Path, database_kind: str, web_port: int, emulator_port: int) -> Iterator[Bed]:
    """Make a bed in a directory, with its processes started."""
    with ExitStack() as stack:
        (directory / "valkey").mkdir()
        valkey = stack.enter_context(valkey_running(directory / "valkey"))
        database = stack.enter_context(databases.running(database_kind, directory))
        links = {f"{name}-valkey": stack.enter_context(Link(valkey.socket)) for name in sorted(set(LINKS.values()))}
        if database.socket is not None:
            links["worker-sql"] = stack.enter_context(Link(database.socket, PROBED_SECONDS))
        common = {
            "PORT": str(web_port),
            "EMULATOR_PORT": str(emulator_port),
            "LOG_FORMAT": "json",
            "INTERCOM_ACCESS_TOKEN": f"dev-token-{WORKSPACE}",
        }
        _release(directory, environment(**common, DATABASE_URL=database.url, REDIS_URL=valkey.url))
        supervisor = stack.enter_context(Supervisor(_processes(directory, common, database, links)))
        engine = write_engine(database.url)
        stack.callback(engine.dispose)
        redis = stack.enter_context(Redis.from_url(valkey.url, socket_timeout=5))
        yield Bed(valkey, database, links, supervisor, web_port, redis, engine, directory)


def _release(directory: Path, variables: dict[str, str]) -> None:
    command = ["/bin/sh", "-c", procfile()["release"]]
    subprocess.run(command, env=variables, cwd=directory, check=True, timeout=_RELEASE_SECONDS)


def _processes(
    directory: Path, common: dict[str, str], database: databases.Database, links: dict[str, Link]
) -> list[Process]:
    commands = procfile()
    sql = database.url_through(links["worker-sql"].port) if "worker-sql" in links else database.url

    def made(name: str) -> Process:
        through = f"redis://127.0.0.1:{links[f'{LINKS[name]}-valkey'].port}/0"
        return Process(name, commands[name], environment(**common, DATABASE_URL=sql, REDIS_URL=through), directory)

    return [made(name) for name in LINKS]
