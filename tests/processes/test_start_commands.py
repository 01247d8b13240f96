"""`intercom-mirror web`, `worker` and `beat` start, work and stop, whatever files the current directory has."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import requests
from sqlalchemy import create_engine, text

from intercom_api.wire.signatures import sign
from tests.long.torture.processes import environment
from tests.ports import free_port
from tests.waiting import wait_until

# Seconds. A process is ready after two; a busy machine takes several times that.
START_SECONDS = 60.0
# Seconds that a process may take to end after SIGTERM.
STOP_SECONDS = 30.0

SECRET = "the-apps-secret"
NOTIFICATION = (
    b'{"type":"notification_event","id":"n1","app_id":"w1","topic":"company.created","created_at":1700000000,'
    b'"data":{"item":{"type":"company","id":"c1","company_id":"1","name":"Acme","updated_at":1700000000}}}'
)

# As an operator starts them, and as one without the console script does.
COMMANDS = {"script": str(Path(sys.executable).parent / "intercom-mirror"), "module": f"{sys.executable} -m cli"}


class Started:
    """A process and its log."""

    def __init__(self, name: str, command: str, variables: dict[str, str], directory: Path) -> None:
        self.name = name
        self._log = directory / f"{name}.log"
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                shlex.split(command),
                env=variables,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def command_line(self) -> list[str]:
        return psutil.Process(self._process.pid).cmdline()

    @property
    def children(self) -> int:
        return len(psutil.Process(self._process.pid).children(recursive=True))

    def terminate(self) -> int:
        """Send SIGTERM to the process alone; returns its exit code."""
        self._process.terminate()
        return self._process.wait(STOP_SECONDS)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Project:
    """The directory of another project, with modules of the same names as ours, in which commands are started."""

    def __init__(self, directory: Path, **variables: str) -> None:
        self.directory = directory
        self.port = free_port()
        self._variables = environment(PORT=str(self.port), LOG_FORMAT="json", **variables)
        self.processes: list[Started] = []
        (directory / "workers").mkdir()
        for module in ("settings.py", "models.py", "webhooks.py", "intercom_api.py", "workers/__init__.py"):
            (directory / module).write_text("raise RuntimeError('imported from the current directory')\n")

    def start(self, name: str, command: str) -> Started:
        process = Started(name, command, self._variables, self.directory)
        self.processes.append(process)
        return process

    def is_serving(self) -> bool:
        with suppress(requests.ConnectionError):
            return requests.get(f"http://127.0.0.1:{self.port}/healthz", timeout=5).ok
        return False

    def post(self) -> int:
        headers = {"X-Hub-Signature": sign(NOTIFICATION, SECRET)}
        return requests.post(
            f"http://127.0.0.1:{self.port}/webhooks/intercom", data=NOTIFICATION, headers=headers, timeout=5
        ).status_code


@pytest.fixture
def project(tmp_path: Path, redis_url: str, sqlite_url: str) -> Iterator[Project]:
    """A directory in which nothing runs yet; what a test starts there is killed."""
    (tmp_path / "project").mkdir()
    project = Project(
        tmp_path / "project",
        REDIS_URL=redis_url,
        DATABASE_URL=sqlite_url,
        INTERCOM_CLIENT_ID="an-app",
        INTERCOM_CLIENT_SECRET=SECRET,
    )
    yield project
    for process in project.processes:
        process.kill()


def companies(url: str) -> int:
    engine = create_engine(url)
    with engine.connect() as connection:
        count = int(connection.execute(text("SELECT count(*) FROM companies")).scalar_one())
    engine.dispose()
    return count


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_the_three_commands_mirror_a_notification_and_stop_on_sigterm(
    project: Project, sqlite_url: str, command: str
) -> None:
    """Modules of the current directory are not imported, the command is the process itself, and all end with 0."""
    web, worker, beat = (project.start(name, f"{command} {name}") for name in ("web", "worker", "beat"))
    wait_until(project.is_serving, START_SECONDS)
    assert project.post() == 200
    wait_until(lambda: companies(sqlite_url) == 1, START_SECONDS)
    # granian's one worker process, and one child for each queue of the worker; no process in between.
    assert (web.children, worker.children, beat.children) == (1, 5, 0)
    for process in (web, worker, beat):
        assert process.command_line[-1] == process.name
        assert process.terminate() == 0
        assert "Traceback" not in process.log
        assert "deprecated" not in process.log


def test_the_former_commands_still_work_and_name_the_new_ones(project: Project) -> None:
    """One line of the log each, for operators whose Procfile is older than the code."""
    for module in project.directory.glob("**/*.py"):
        module.unlink()
    (project.directory / "workers").rmdir()
    celery = f"{Path(sys.executable).parent / 'celery'} --quiet --app workers"
    former = {
        "web": (f"{sys.executable} -m webhooks", "intercom-mirror web"),
        "worker": (f"{celery} worker --queues drain --concurrency 1 --without-mingle", "intercom-mirror worker"),
        "beat": (f"{celery} beat", "intercom-mirror beat"),
    }
    for name, (command, _) in former.items():
        project.start(name, command)
    web, worker, beat = project.processes
    wait_until(project.is_serving, START_SECONDS)
    wait_until(lambda: " ready." in worker.log, START_SECONDS)
    wait_until(lambda: "deprecated" in beat.log, START_SECONDS)
    for process in (web, worker, beat):
        (warning,) = [line for line in process.log.splitlines() if "deprecated" in line]
        assert f'"use": "{former[process.name][1]}"' in warning
        assert process.terminate() == 0


@pytest.mark.parametrize("command", ["web", "worker", "beat"])
def test_invalid_settings_are_exit_code_2(tmp_path: Path, command: str) -> None:
    """With one line for each mistake, and no traceback."""
    outcome = subprocess.run(
        [COMMANDS["script"], command],
        cwd=tmp_path,
        env=environment(PORT="x"),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )
    assert outcome.returncode == 2
    assert "PORT" in outcome.stderr
    assert "Traceback" not in outcome.stderr
