"""The command says what is wrong and what to do, and its exit codes mean what they say."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from cli.status_data import Reading, rates
from cli.words import printable
from emulator.example_notifications import TOPICS
from settings import get_settings
from settings.environment import variables
from workers.runtime import counters


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No settings, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    for name in variables():
        monkeypatch.delenv(name, raising=False)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(main, arguments)


@pytest.mark.parametrize("command", [["status"], ["status", "--json"]])
def test_what_needs_a_running_mirror_says_how_to_start_it(command: list[str]) -> None:
    """No traceback, exit code 1."""
    outcome = run(*command)
    assert outcome.exit_code == 1
    assert "Run `intercom-mirror up`" in outcome.stderr


def test_trigger_without_a_server_says_how_to_start_it() -> None:
    """Nothing answers on a port that nobody listens on."""
    outcome = run("trigger", "ping", PORT="1")
    assert outcome.exit_code == 1
    assert "Run `intercom-mirror up`" in outcome.stderr


def test_mistakes_in_the_settings_are_exit_code_2() -> None:
    """All of them, and nothing was done."""
    outcome = run("status", PORT="x", RETENTION_DAYS="x")
    assert outcome.exit_code == 2
    assert "2 mistakes" in outcome.stderr


def test_an_unknown_topic_lists_the_known_ones() -> None:
    """A newcomer need not look them up."""
    outcome = run("trigger", "contact.nonsense")
    assert outcome.exit_code == 2
    assert all(topic in outcome.stderr for topic in TOPICS)


def test_missing_tables_are_said_so(tmp_path: Path) -> None:
    """The command to type is named, and no file is left that looks like a database."""
    outcome = run("parked", "list", DATABASE_URL=f"sqlite:///{tmp_path}/other.db")
    assert outcome.exit_code == 1
    assert "intercom-mirror db upgrade" in outcome.stderr


def test_upgrading_twice_is_harmless(tmp_path: Path) -> None:
    """The release line runs on every deployment."""
    url = f"sqlite:///{tmp_path}/mirror.db"
    assert [run("db", "upgrade", DATABASE_URL=url).exit_code for _ in range(2)] == [0, 0]


def test_a_mistyped_path_is_no_new_mirror(tmp_path: Path) -> None:
    """A directory that does not exist is an error, not an empty database somewhere."""
    outcome = run("db", "upgrade", DATABASE_URL=f"sqlite:///{tmp_path}/nowhere/mirror.db")
    assert outcome.exit_code == 1
    assert "unable to open database file" in outcome.stderr
    assert not (tmp_path / "nowhere").exists()


def test_a_database_that_is_away_is_said_so_without_its_password() -> None:
    """Its own message would hold the address."""
    outcome = run("db", "upgrade", DATABASE_URL="postgresql://me:hush@127.0.0.1:1/x")
    assert outcome.exit_code == 1
    assert "DATABASE_URL" in outcome.stderr
    assert "hush" not in outcome.output


def test_replay_wants_to_know_what() -> None:
    """Neither nothing nor everything by accident."""
    assert run("parked", "replay").exit_code == 2
    assert run("parked", "replay", "1", "--all").exit_code == 2


def reading(at: float, **numbers: float) -> Reading:
    fields = {
        counters.APPENDED: "appended",
        counters.field(counters.LAG_SECONDS, le="0.01"): "fast",
        counters.field(counters.LAG_SECONDS, le="1.0"): "slow",
        counters.sum_field(counters.LAG_SECONDS): "seconds",
    }
    return Reading(at, [], 0, {}, {name: numbers[short] for name, short in fields.items() if short in numbers}, [])


def test_rates_are_what_happened_between_two_looks() -> None:
    """A mean lag of what came meanwhile, not of all time."""
    before = reading(10.0, appended=5, fast=3, seconds=0.03)
    now = reading(12.0, appended=9, fast=4, slow=1, seconds=0.83)
    assert rates(before, now).appended == 2.0
    assert rates(before, now).lag_seconds == pytest.approx(0.4)


def test_over_no_time_nothing_happened() -> None:
    """The first look has none before it."""
    assert rates(reading(1.0, appended=5), reading(1.0, appended=5)) == (0.0, 0.0, None)


def test_other_peoples_words_cannot_command_a_terminal() -> None:
    """Field names come from Intercom's customers."""
    assert printable("a\x1b[2J\u202eb\nc") == "a\\u001b[2J\\u202eb\nc"
