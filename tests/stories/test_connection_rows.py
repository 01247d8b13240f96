"""Connections of users to workspaces, on both databases."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from models.db.engine import transaction, write_engine
from models.queries import connection_rows
from models.queries.connection_rows import NewConnection, WorkspaceRow

BEGIN = datetime(2026, 1, 10, tzinfo=UTC)
ORCHARD = WorkspaceRow("ws1", "Orchard", "EU", "Europe/Dublin")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An empty database."""
    engine = write_engine(database_url)
    yield engine
    engine.dispose()


def save(engine: Engine, user: str, token: str, minute: int = 0, workspace: WorkspaceRow = ORCHARD) -> None:
    new = NewConnection(user, "app", "7", token.encode(), f"print-{token}")
    with transaction(engine) as connection:
        connection_rows.save(connection, workspace, new, BEGIN + timedelta(minutes=minute))


def end(engine: Engine, *tokens: str, reason: str = "user", minute: int = 60) -> int:
    with transaction(engine) as connection:
        prints = [f"print-{token}" for token in tokens]
        return connection_rows.disconnect(connection, "ws1", prints, reason, BEGIN + timedelta(minutes=minute))


def tokens(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return [sealed.token.decode() for sealed in connection_rows.active_tokens(connection, "ws1")]


def frozen(engine: Engine) -> datetime | None:
    with engine.connect() as connection:
        found = connection_rows.find_workspace(connection, "ws1")
    assert found is not None
    return found.frozen_at


def test_the_newest_token_comes_first(engine: Engine) -> None:
    """Of several users of one workspace, the token of the last connection comes first."""
    save(engine, "u1", "a", minute=1)
    save(engine, "u2", "b", minute=2)
    assert tokens(engine) == ["b", "a"]
    save(engine, "u1", "c", minute=3)
    assert tokens(engine) == ["c", "b"]


def test_a_user_may_have_several_workspaces(engine: Engine) -> None:
    """Each has its own name; connected ones come first."""
    save(engine, "u1", "a", minute=1)
    save(engine, "u1", "b", minute=2, workspace=WorkspaceRow("ws2", "Meadow", "US", None))
    end(engine, "a")
    with engine.connect() as connection:
        found = connection_rows.connections_of_user(connection, "u1")
        assert [(row["workspace_id"], row["status"], row["name"]) for row in found] == [
            ("ws2", "connected", "Meadow"),
            ("ws1", "disconnected", "Orchard"),
        ]
        assert connection_rows.connections_of_user(connection, "u2") == []
        assert [each.workspace_id for each in connection_rows.connected_workspaces(connection)] == ["ws2"]
        assert [each.workspace_id for each in connection_rows.all_workspaces(connection)] == ["ws1", "ws2"]


def test_a_workspace_freezes_with_its_last_connection(engine: Engine) -> None:
    """The token is deleted, the rows stay, and a new connection unfreezes the workspace."""
    save(engine, "u1", "a")
    save(engine, "u2", "b")
    assert end(engine, "a") == 1
    assert frozen(engine) is None
    assert end(engine, "b", reason="uninstalled") == 0
    assert frozen(engine) == BEGIN + timedelta(minutes=60)
    assert tokens(engine) == []
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM connections WHERE token IS NOT NULL")).scalar_one() == 0
        assert connection.execute(text("SELECT frozen_because FROM workspaces")).scalar_one() == "uninstalled"
    save(engine, "u1", "c", minute=90)
    assert frozen(engine) is None


def test_disconnecting_an_old_token_keeps_a_newer_one(engine: Engine) -> None:
    """A user that has connected again stays connected, and a second disconnect changes nothing."""
    save(engine, "u1", "a")
    save(engine, "u1", "b", minute=1)
    assert end(engine, "a") == 1
    assert tokens(engine) == ["b"]
    assert end(engine, "b", minute=60) == 0
    assert end(engine, "b", minute=99) == 0
    assert frozen(engine) == BEGIN + timedelta(minutes=60)


def test_the_views_show_connections_and_frozen_workspaces(engine: Engine) -> None:
    """The application can read both views, and neither has a token."""
    save(engine, "u1", "a")
    with transaction(engine) as connection:
        connection.execute(text("INSERT INTO sync_marks (workspace_id, object_type) VALUES ('ws1', 'contact')"))
        connection.execute(text("INSERT INTO sync_marks (workspace_id, object_type) VALUES ('ws9', 'contact')"))
    end(engine, "a")
    with engine.connect() as connection:
        assert list(connection.execute(text("SELECT * FROM connected_users"))) == [("u1", "ws1", "EU", "disconnected")]
        rows = connection.execute(text("SELECT workspace_id, frozen_at IS NULL FROM sync_status ORDER BY 1"))
        assert [(workspace_id, bool(is_active)) for workspace_id, is_active in rows] == [("ws1", False), ("ws9", True)]


def test_connecting_and_disconnecting_wait_for_each_other(postgres_url: str) -> None:
    """Of two disconnects at the same time, one counts the other."""
    first, second = write_engine(postgres_url), write_engine(postgres_url)
    save(first, "u1", "a")
    with first.begin() as holding:
        connection_rows.disconnect(holding, "ws1", ["print-a"], "user", BEGIN)
        with second.connect() as other:
            other.execute(text("SET lock_timeout = '100ms'"))
            with pytest.raises(Exception, match="lock timeout"):
                connection_rows.disconnect(other, "ws1", ["print-a"], "user", BEGIN)
    first.dispose()
    second.dispose()
