"""The output of the command verify: which workspaces it can compare, and what it found."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from cli import verify
from models.db.engine import transaction, write_engine
from models.queries import connection_rows
from models.queries.connection_rows import NewConnection, WorkspaceRow
from workers.verify import VerifyOutcome
from workers.verify.compare import Comparison

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A database with a connected workspace and a disconnected one."""
    made = write_engine(database_url)
    with transaction(made) as connection:
        for name in ("here0001", "gone0001"):
            new = NewConnection("u1", "app", "1", b"sealed", f"print of {name}")
            connection_rows.save(connection, WorkspaceRow(name, None, "US", None), new, NOW)
        connection_rows.disconnect(connection, "gone0001", ["print of gone0001"], "uninstalled", NOW)
    yield made
    made.dispose()


def test_all_connected_workspaces_are_verified(engine: Engine) -> None:
    """A disconnected workspace is left out."""
    assert verify._workspaces(engine, None) == ["here0001"]
    assert verify._workspaces(engine, "here0001") == ["here0001"]


def test_a_frozen_workspace_is_reported_with_what_to_do(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    """The message contains since when, and how to connect it."""
    assert verify._workspaces(engine, "gone0001") == []
    output = capsys.readouterr().err
    assert "since 2026-03-01 12:30 UTC" in output
    assert "Open /connect to connect it again." in output


def test_an_unknown_workspace_is_printed_as_text(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    """The argument is printed as text."""
    assert verify._workspaces(engine, "no\x1b[2Jwhere") == []
    assert "\x1b" not in capsys.readouterr().err


def _outcome() -> VerifyOutcome:
    outcome = VerifyOutcome("ws", "full")
    outcome.compared.update(contact=60, company=2)
    for number in range(50):
        outcome.record("contact", f"c{number}", Comparison("differing", ("name",)))
    outcome.record("company", "c\x1b1", Comparison("equal", (), ("user_count",)))
    return outcome


def test_the_first_differences_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """The remaining ones are counted."""
    verify._print(_outcome(), as_json=False)
    output = capsys.readouterr().out
    assert "ws: The tables and Intercom differ." in output
    assert "differing: contact c0 in name" in output
    assert "10 more" in output
    assert "drifted, as expected (Intercom sends no notification for it): user_count 1" in output


def test_json_contains_all_differences_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """The output is for scripts."""
    verify._print(_outcome(), as_json=True)
    [line] = capsys.readouterr().out.splitlines()
    result = json.loads(line)
    assert len(result["differences"]) == 50
    assert (result["result"], result["exit_code"], result["differing"]) == (
        "differing",
        3,
        {"contact.differing": 50},
    )


@pytest.mark.parametrize(
    ("findings", "reasons", "code"),
    [([], [], 0), (["missing"], [], 3), (["missing"], ["No answer."], 3), ([], ["No answer."], 4)],
)
def test_one_certain_difference_is_enough(findings: list[str], reasons: list[str], code: int) -> None:
    """Without a difference, one uncertainty makes the result unsure."""
    outcome = VerifyOutcome("ws", "full")
    for kind in findings:
        outcome.record("contact", "c1", Comparison(kind))  # type: ignore[arg-type]
    for reason in reasons:
        outcome.add_reason(reason)
    assert outcome.exit_code == code
