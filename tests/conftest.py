"""The real servers that tests run against. A server that does not start fails the tests; nothing is skipped."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from tests import postgres_server as postgres
from tests import valkey_server as valkey

# A shell that starts the tests in the background makes them ignore SIGINT, and child processes would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


# Files whose tests take longest: a minute or two.
_LONGEST_FILES = ("test_scale_slice.py", "test_torture_slice.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest files first, so that none of them runs alone at the end."""
    items.sort(key=lambda item: item.path.name not in _LONGEST_FILES)


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[valkey.ValkeyServer]:
    """One Valkey with an append-only file for all tests; a test that kills a server starts its own."""
    with valkey.run_server(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def redis_url(valkey_server: valkey.ValkeyServer) -> str:
    """URL of an empty Valkey."""
    with Redis.from_url(valkey_server.url) as client:
        client.flushall()
    return valkey_server.url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.PostgresServer]:
    """One PostgreSQL for all tests, with settings that trade durability for speed."""
    with postgres.run_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_template(postgres_server: postgres.PostgresServer) -> Iterator[str]:
    """Name of a migrated database to copy; migrating takes a second, copying a tenth."""
    from models.db.migrate import upgrade  # noqa: PLC0415 -- tests that need no tables must not load SQL

    name = postgres.unique_name("template")
    upgrade(postgres_server.create(name))
    yield name
    postgres_server.drop(name)


@pytest.fixture(scope="session")
def reusable_postgres(
    postgres_server: postgres.PostgresServer, postgres_template: str
) -> Iterator[postgres.ReusableDatabase]:
    """One database that is emptied after each test."""
    database = postgres.ReusableDatabase(postgres_server, postgres_template)
    yield database
    database.close()


@pytest.fixture
def postgres_url(reusable_postgres: postgres.ReusableDatabase) -> Iterator[str]:
    """URL of a database with all tables and no rows, which no other test has at the same time."""
    yield reusable_postgres.acquire()
    reusable_postgres.release()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    from models.db.migrate import upgrade  # noqa: PLC0415 -- tests that need no tables must not load SQL

    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """URL of a new SQLite file with all tables and no rows."""
    path = tmp_path / "mirror.db"
    for suffix in ("", "-wal"):
        source = Path(f"{sqlite_template}{suffix}")
        if source.exists():
            shutil.copyfile(source, f"{path}{suffix}")
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """URL of a migrated, empty database: the test runs once on SQLite and once on PostgreSQL."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url
