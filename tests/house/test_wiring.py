"""The parts fit together: imports go down, queues are consumed, models match migrations, receiving loads no SQL."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from click.testing import CliRunner
from importlinter.cli import lint_imports_command

from cli.up import commands
from models.db.engine import write_engine
from models.db.migrate import configuration
from models.db.revision import REVISION
from settings import get_settings
from workers.celery import app

ROOT = Path(__file__).parents[2]
PACKAGES = ("cli", "emulator", "intercom_api", "models", "settings", "webhooks", "workers")


def procfile() -> dict[str, str]:
    lines = (ROOT / "Procfile").read_text().splitlines()
    return {name: line.strip() for name, _, line in (each.partition(":") for each in lines)}


def test_imports_go_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contracts in pyproject.toml are kept."""
    monkeypatch.chdir(ROOT)
    outcome = CliRunner().invoke(lint_imports_command, ["--no-cache"])
    assert outcome.exit_code == 0, outcome.output


# SQLite does not report the expression of the index of lower(email), so only PostgreSQL's run compares that index.
@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index")
@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
def test_models_match_migrations(database_url: str) -> None:
    """A migrated database matches the models: `alembic check` finds nothing left to migrate."""
    engine = write_engine(database_url)
    with engine.connect() as connection:
        command.check(configuration(connection))
    engine.dispose()


def test_every_process_knows_the_newest_migration() -> None:
    """The revision that processes require is the one that `db upgrade` reaches."""
    assert ScriptDirectory.from_config(configuration(None)).get_heads() == [REVISION]


@pytest.mark.parametrize(
    "module", ["webhooks.server", "webhooks.intercom.notifications", "webhooks.app", "workers.celery"]
)
def test_receiving_loads_no_sql(module: str) -> None:
    """A process that only receives needs neither the memory nor the database."""
    heavy = "[name for name in sys.modules if name.split('.')[0] in ('sqlalchemy', 'alembic', 'psycopg', 'models')]"
    code = f"import sys, {module}; print({heavy})"
    printed = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=dict(os.environ),
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    assert printed.strip() == "[]"


def test_every_queue_is_consumed() -> None:
    """A message in a queue without a consumer would wait forever."""
    routed = {route["queue"] for route in app.conf.task_routes.values()} | {app.conf.task_default_queue}
    scheduled = {entry["options"]["queue"] for entry in app.conf.beat_schedule.values()}
    consumed = [
        queue
        for line in procfile().values()
        for found in re.findall(r"--queues (\S+)", line)
        for queue in found.split(",")
    ]
    assert sorted(routed | scheduled) == sorted(consumed)


def test_every_scheduled_task_exists() -> None:
    """Beat sends tasks by name."""
    app.loader.import_default_modules()
    assert {entry["task"] for entry in app.conf.beat_schedule.values()} <= set(app.tasks)


def test_up_runs_what_the_procfile_lists() -> None:
    """`up` runs the same processes as production."""
    ours = {name: " ".join(line) for name, line in commands(get_settings()) if name != "emulator"}
    theirs = {name: line for name, line in procfile().items() if name != "release"}
    theirs = {name: line.removeprefix("intercom-mirror ") for name, line in theirs.items()}
    assert {name: line.partition(" -m cli ")[2] for name, line in ours.items()} == theirs


@pytest.mark.parametrize("package", [name for name in PACKAGES if name != "settings"])
def test_only_settings_reads_the_environment(package: str) -> None:
    """A variable that is read elsewhere would be undocumented; child processes may get the whole environment."""
    reads = re.compile(r"os\.getenv|os\.environ(?!,)|from os import")
    found = [path.name for path in (ROOT / package).rglob("*.py") if reads.search(path.read_text())]
    assert found == []


def test_the_locks_contain_no_address() -> None:
    """They contain names, versions and hashes, and cover every dependency."""
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        assert not re.search(r"^-", text, re.MULTILINE)
        versions = re.findall(r"^(\S+)==\S+.*\\$", text, re.MULTILINE)
        assert {"setuptools", "flask", "celery", "redis", "sqlalchemy", "requests"} <= {
            each.split("[")[0] for each in versions
        }
        assert text.count("--hash=sha256:") >= len(versions)
