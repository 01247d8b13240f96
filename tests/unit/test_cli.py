"""The command-line interface: its messages, its exit codes, and the derived options of workers."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from cli.main import COMMANDS, main
from cli.processes import QUEUES, worker_arguments
from cli.status_data import Reading, rates
from cli.terminal import printable
from emulator.example_notifications import TOPICS
from settings import get_settings
from settings.environment import variables
from workers.celery import app
from workers.runtime import counters

ROOT = Path(__file__).parents[2]


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
def test_a_command_that_needs_a_running_mirror_names_the_command_to_start_it(command: list[str]) -> None:
    """No traceback; exit code 1."""
    outcome = run(*command)
    assert outcome.exit_code == 1
    assert "Run `intercom-mirror up`" in outcome.stderr


def test_trigger_without_a_server_names_the_command_to_start_it() -> None:
    """No server listens on the port."""
    outcome = run("trigger", "ping", PORT="1")
    assert outcome.exit_code == 1
    assert "Run `intercom-mirror up`" in outcome.stderr


def test_mistakes_in_the_settings_are_exit_code_2() -> None:
    """All mistakes are listed, and nothing is done."""
    outcome = run("status", PORT="x", RETENTION_DAYS="x")
    assert outcome.exit_code == 2
    assert "2 mistakes" in outcome.stderr


def test_an_unknown_topic_lists_the_known_ones() -> None:
    """A new user need not look them up."""
    outcome = run("trigger", "contact.nonsense")
    assert outcome.exit_code == 2
    assert all(topic in outcome.stderr for topic in TOPICS)


def test_missing_tables_are_reported(tmp_path: Path) -> None:
    """The message names the command to run, and no empty database file is created."""
    outcome = run("parked", "list", DATABASE_URL=f"sqlite:///{tmp_path}/other.db")
    assert outcome.exit_code == 1
    assert "intercom-mirror db upgrade" in outcome.stderr


def test_upgrading_twice_is_harmless(tmp_path: Path) -> None:
    """The release command runs on every deployment."""
    url = f"sqlite:///{tmp_path}/mirror.db"
    assert [run("db", "upgrade", DATABASE_URL=url).exit_code for _ in range(2)] == [0, 0]


def test_a_mistyped_path_creates_no_database(tmp_path: Path) -> None:
    """A directory that does not exist is an error."""
    outcome = run("db", "upgrade", DATABASE_URL=f"sqlite:///{tmp_path}/nowhere/mirror.db")
    assert outcome.exit_code == 1
    assert "unable to open database file" in outcome.stderr
    assert not (tmp_path / "nowhere").exists()


def test_an_unreachable_database_is_reported_without_its_password() -> None:
    """The driver's own message would contain the address."""
    outcome = run("db", "upgrade", DATABASE_URL="postgresql://me:hush@127.0.0.1:1/x")
    assert outcome.exit_code == 1
    assert "DATABASE_URL" in outcome.stderr
    assert "hush" not in outcome.output


def test_replay_requires_numbers_or_all() -> None:
    """Neither nothing nor everything is replayed by accident."""
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


def test_rates_are_computed_between_two_readings() -> None:
    """The mean lag is that of the notifications between them, not of all."""
    before = reading(10.0, appended=5, fast=3, seconds=0.03)
    now = reading(12.0, appended=9, fast=4, slow=1, seconds=0.83)
    assert rates(before, now).appended == 2.0
    assert rates(before, now).lag_seconds == pytest.approx(0.4)


def test_rates_without_time_between_readings_are_zero() -> None:
    """The first reading is compared with itself."""
    assert rates(reading(1.0, appended=5), reading(1.0, appended=5)) == (0.0, 0.0, None)


def test_control_characters_are_escaped() -> None:
    """Field names come from Intercom's customers, and must not control a terminal."""
    assert printable("a\x1b[2J\u202eb\nc") == "a\\u001b[2J\\u202eb\nc"


def subcommand(name: str) -> click.Command:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    return command


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_shows_each_commands_own_help(name: str) -> None:
    """The list has a copy of it, and the copy fits on a line of 80 characters."""
    assert COMMANDS[name].help == subcommand(name).get_short_help_str(limit=500)
    assert COMMANDS[name].help in run("--help").output.splitlines()[-len(COMMANDS) :][list(COMMANDS).index(name)]


def test_help_imports_no_command() -> None:
    """It takes 0.1 s; with pydantic, SQLAlchemy and the emulator it took 2 s."""
    code = "import sys, cli.main; cli.main.main(['--help'], standalone_mode=False); print(*sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=dict(os.environ), check=True, capture_output=True, text=True
    ).stdout
    loaded = {name.split(".")[0] for name in printed.splitlines()[-1].split()}
    assert loaded & {"pydantic", "settings", "sqlalchemy", "celery", "redis", "rich", "emulator", "models"} == set()


def test_a_worker_knows_every_queue() -> None:
    """A queue without an entry would be served by no worker without --queues."""
    routed = {route["queue"] for route in app.conf.task_routes.values()} | {app.conf.task_default_queue}
    assert set(QUEUES) == routed


@pytest.mark.parametrize(
    ("queues", "concurrency", "pool", "hostname"),
    [
        ("drain,followups", "2", "prefork", "celery@%h"),
        ("sync", "1", "prefork", "sync@%h"),
        ("workflows", "1", "prefork", "workflows@%h"),
        ("deliveries", "1", "solo", "deliveries@%h"),
        ("sync,deliveries", "2", "prefork", "sync-deliveries@%h"),
        ("drain,followups,sync,workflows,deliveries", "5", "prefork", "celery@%h"),
    ],
)
def test_the_queues_decide_concurrency_pool_and_node_name(
    queues: str, concurrency: str, pool: str, hostname: str
) -> None:
    """The lines of the Procfile need no other options."""
    arguments = worker_arguments(queues.split(","))
    options = dict(zip(arguments[1::2], arguments[2::2], strict=False))
    assert options["--queues"] == queues
    assert (options["--concurrency"], options["--pool"], options["--hostname"]) == (concurrency, pool, hostname)


def test_options_of_a_worker_override_its_queues() -> None:
    """Other machines have other needs."""
    arguments = worker_arguments(["sync"], concurrency=3, pool="solo", hostname="second@%h")
    assert {"3", "solo", "second@%h"} <= set(arguments)


def test_a_queue_that_does_not_exist_is_exit_code_2() -> None:
    """A misspelt queue would never have a message."""
    outcome = run("worker", "--queues", "drain,snyc")
    assert outcome.exit_code == 2
    assert "There is no queue 'snyc'. Choose from drain, followups, sync, workflows, deliveries." in outcome.stderr


def procfile_lines() -> list[list[str]]:
    lines = [line.partition(":")[2].split() for line in (ROOT / "Procfile").read_text().splitlines()]
    return [line for line in lines if line]


@pytest.mark.parametrize("line", procfile_lines(), ids=" ".join)
def test_every_line_of_the_procfile_is_accepted(line: list[str]) -> None:
    """Each is a command of ours with options that it has."""
    assert line[0] == "intercom-mirror"
    subcommand(line[1]).make_context(line[1], line[2:])
