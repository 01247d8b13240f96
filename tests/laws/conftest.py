"""Databases for the laws. Each example has its own workspace in one database, which is faster than emptying it."""

import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from shutil import copyfile

import pytest
from sqlalchemy import Engine

from models.db.engine import write_engine
from tests.laws.case import Case
from tests.laws.mirrors import temporary_workspace
from tests.postgres_server import PostgresServer, unique_name


@pytest.fixture(scope="session")
def sqlite_laws(sqlite_template: Path) -> Iterator[Engine]:
    """A SQLite file, in memory where possible: a crash of the machine may lose it."""
    memory = Path("/dev/shm")  # noqa: S108 -- the test creates its own directory in it
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as directory:
        path = Path(directory) / "laws.db"
        for suffix in ("", "-wal"):
            if Path(f"{sqlite_template}{suffix}").exists():
                copyfile(f"{sqlite_template}{suffix}", f"{path}{suffix}")
        engine = write_engine(f"sqlite:///{path}")
        yield engine
        engine.dispose()


@pytest.fixture(scope="session")
def postgres_laws(postgres_server: PostgresServer, postgres_template: str) -> Iterator[Engine]:
    """A PostgreSQL database."""
    name = unique_name("laws")
    engine = write_engine(postgres_server.create(name, postgres_template))
    yield engine
    engine.dispose()
    postgres_server.drop(name)


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Both databases, one after the other."""
    database: Engine = request.getfixturevalue(f"{request.param}_laws")
    return database


@pytest.fixture(params=[False, True], ids=["one by one", "at once"])
def at_once(request: pytest.FixtureRequest) -> bool:
    """Whether the notifications of a case arrive in one batch."""
    chosen: bool = request.param
    return chosen


_numbers = count()


@pytest.fixture
def case(engine: Engine) -> Iterator[Case]:
    """An empty workspace."""
    with temporary_workspace(engine, f"n{next(_numbers)}") as mirror:
        yield Case(mirror)
