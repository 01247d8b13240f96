"""`intercom-mirror up` runs everything with one command, and leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from tests.ports import free_port

ROOT = Path(__file__).parents[2]

# Seconds; on a busy machine, importing everything in seven processes at once takes a large part of it.
PATIENCE = 90.0


def wait_until(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"gave up waiting until {what}"
        # Between two checks; the deadline decides.
        time.sleep(0.1)


class Place:
    """A directory in which the command runs, with its own ports."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port, self.emulator_port = free_port(), free_port()
        self.output = directory / "output"

    def environment(self, **more: str) -> dict[str, str]:
        ports = {"PORT": str(self.port), "EMULATOR_PORT": str(self.emulator_port)}
        return {"PATH": os.environ["PATH"], "HOME": str(self.directory), "PYTHONPATH": str(ROOT), **ports, **more}

    def up(self, **more: str) -> "subprocess.Popen[bytes]":
        with self.output.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "cli", "up"],
                cwd=self.directory,
                env=self.environment(**more),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "cli", *arguments],
            cwd=self.directory,
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def processes(self) -> list[psutil.Process]:
        """Return the processes that run in this directory."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.cwd().startswith(str(self.directory)) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return answer

    def clean(self) -> None:
        for process in self.processes():
            process.kill()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place where everything runs, shared by tests that leave it running."""
    place = Place(tmp_path_factory.mktemp("running"))
    # The modules of another project; `python -m cli` and its children must not import them.
    (place.directory / "workers").mkdir()
    for module in ("settings.py", "models.py", "webhooks.py", "workers/__init__.py"):
        (place.directory / module).write_text("raise RuntimeError('imported from the current directory')\n")
    process = place.up()
    wait_until(lambda: "The mirror is running." in place.said(), "everything runs")
    yield place
    process.terminate()
    assert process.wait(PATIENCE) == 0
    assert place.processes() == []


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A place where nothing runs yet."""
    place = Place(tmp_path)
    yield place
    place.clean()


def test_without_settings_the_demo_is_mirrored(running: Place) -> None:
    """The emulated workspace is in the tables, and the welcome names the next steps."""

    def filled() -> object:
        objects = {each["object_type"]: each["rows"] for each in running.status()["objects"]}
        return objects.get("contact", 0) >= 200 and objects.get("company", 0) >= 30

    wait_until(filled, "the emulated workspace is mirrored")
    said = running.said()
    assert "status --watch" in said
    assert f"http://127.0.0.1:{running.emulator_port}" in said
    # The welcome names the file of the operator's token; the token itself must not be in an output that may be logged.
    token_file = running.directory / "var" / "admin-token"
    assert "admin-token" in said
    assert token_file.read_text().strip() not in said


def test_a_user_connects_and_a_removal_in_intercom_is_noticed(running: Place) -> None:
    """A user connects in a browser, until the app is removed in Intercom."""
    wait_until(lambda: running.run("doctor").returncode == 0, "the doctor finds the demo connected")
    ours = f"http://127.0.0.1:{running.port}"
    token = running.run("token", "u-1").stdout.strip()
    with requests.Session() as browser:
        page = browser.get(f"{ours}/connect", params={"token": token}, timeout=PATIENCE)
        assert page.url == f"{ours}/connect"
        csrf = page.text.partition('name="csrf" value="')[2].partition('"')[0]
        away = browser.post(f"{ours}/connect/start", {"csrf": csrf, "region": "US"}, timeout=PATIENCE)
        assert "Allow access" in away.text
        back = browser.post(away.url, {"workspace": "demo0001", "decision": "allow"}, timeout=PATIENCE)
        assert "is connected." in back.text

        def shown() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = browser.get(f"{ours}/connect/state", timeout=PATIENCE).json()["connections"]
            return found

        wait_until(lambda: "Backfill complete:" in str(shown()[0]["progress"]), "the workspace is filled")
        emulator = f"http://127.0.0.1:{running.emulator_port}"
        requests.post(f"{emulator}/api-uninstall/demo0001", json={}, timeout=PATIENCE).raise_for_status()
        wait_until(lambda: not shown()[0]["connected"], "the removal is noticed")
        # A call between the end of the token and the uninstall callback detects it first.
        removed, refused = "The app was removed in Intercom", "Intercom no longer accepts our access"
        assert shown()[0]["line"].startswith((removed, refused))
    assert token not in running.said()


def test_watch_prints_json_lines(running: Place) -> None:
    """A script can read them one by one."""
    command = [sys.executable, "-m", "cli", "status", "--watch", "--json"]
    with subprocess.Popen(
        command, cwd=running.directory, env=running.environment(), stdout=subprocess.PIPE
    ) as watching:
        assert watching.stdout is not None
        first, second = (json.loads(watching.stdout.readline()) for _ in range(2))
        watching.send_signal(signal.SIGINT)
        watching.communicate(timeout=PATIENCE)
    assert watching.returncode == 0
    assert second["totals"]["accepted"] >= first["totals"]["accepted"]


def test_a_triggered_notification_becomes_a_row(running: Place) -> None:
    """One command tries out a topic."""
    outcome = running.run("trigger", "company.created")
    assert (outcome.returncode, outcome.stdout) == (0, "company.created: response status 200\n")


def test_parked_notifications_are_shown_and_replayed(running: Place) -> None:
    """A person reads the reason, and appends the notification again."""
    body = b'{"type": "notification_event", "topic": "contact.user.created", "data": "\\u001b[2J"}'
    post_signed(running, body)
    listed = wait_for_parked(running, 1)[0]
    assert listed["reason"].startswith("MalformedNotificationError")
    shown = running.run("parked", "show", str(listed["id"]))
    assert body.decode() in shown.stdout
    assert running.run("parked", "replay", str(listed["id"])).returncode == 0
    (again,) = wait_for_parked(running, 1, other_than=listed["id"])
    assert again["entry"] != listed["entry"]
    everything = running.run("parked", "list", "--all").stdout
    assert all(each["entry"] in everything for each in (listed, again))


def post_signed(place: Place, body: bytes) -> None:
    send = (
        "import sys, requests; from intercom_api.wire.signatures import sign; from settings import get_settings;"
        "body = sys.stdin.buffer.read();"
        "requests.post(get_settings().public_url + '/webhooks/intercom', data=body, timeout=5,"
        " headers={'X-Hub-Signature': sign(body, get_settings().client_secrets[0])}).raise_for_status()"
    )
    subprocess.run(
        [sys.executable, "-P", "-c", send],
        cwd=place.directory,
        env=place.environment(),
        input=body,
        check=True,
        timeout=PATIENCE,
    )


def wait_for_parked(place: Place, count: int, other_than: int | None = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def there() -> bool:
        lines = place.run("parked", "list", "--json").stdout.splitlines()
        found[:] = [each for line in lines if (each := json.loads(line))["id"] != other_than]
        return len(found) == count

    wait_until(there, f"{count} are parked")
    return found


def test_an_unknown_number_is_reported(running: Place) -> None:
    """Exit code 1, with the command that lists the numbers."""
    outcome = running.run("parked", "show", "99999")
    assert outcome.returncode == 1
    assert "parked list" in outcome.stderr


def test_a_second_up_in_the_same_directory_is_refused(running: Place) -> None:
    """Two would use the same files."""
    outcome = running.run("up", PORT=str(free_port()), EMULATOR_PORT=str(free_port()))
    assert outcome.returncode == 1
    assert "already running in this directory" in outcome.stderr


@pytest.mark.parametrize("setting", ["PORT", "EMULATOR_PORT"])
def test_a_port_in_use_is_reported_with_its_setting(running: Place, place: Place, setting: str) -> None:
    """The user learns which variable to set."""
    taken = running.port if setting == "PORT" else running.emulator_port
    outcome = place.run("up", **{setting: str(taken)})
    assert outcome.returncode == 1
    assert f"Port {taken} on 127.0.0.1 is already in use" in outcome.stderr
    assert f"{setting}={taken}" not in outcome.stderr
    assert f"Set {setting} to a free one" in outcome.stderr
    assert place.processes() == []


def test_ctrl_c_stops_everything_and_keeps_the_data(place: Place) -> None:
    """Exit code 0, no process left, and the tables still exist."""
    process = place.up()
    wait_until(lambda: "batch applied" in place.said(), "rows arrive")
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0, place.said()
    assert place.processes() == []
    assert not (place.directory / "var" / "up.json").exists()
    outcome = place.run("parked", "list")
    assert (outcome.returncode, outcome.stdout) == (0, "Nothing is parked.\n")


def test_repeated_signals_leave_no_process(place: Place) -> None:
    """A closed terminal sends several signals; those after the first kill the children, but Valkey stops in order."""
    process = place.up()
    wait_until(lambda: "The mirror is running." in place.said(), "everything runs")
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        process.send_signal(number)
        # A terminal that closes sends them one after the other, during different stages of stopping.
        time.sleep(0.3)
    # The exit code depends on the stage in which the last signal arrives.
    process.wait(PATIENCE)
    assert place.processes() == []


def test_when_one_process_ends_all_are_stopped(place: Place) -> None:
    """The output names the process that ended."""
    process = place.up()
    wait_until(lambda: "The mirror is running." in place.said(), "everything runs")
    beat = next(each for each in place.processes() if "beat" in each.cmdline())
    beat.kill()
    assert process.wait(PATIENCE) == 1
    assert "beat ended with signal SIGKILL" in place.said()
    assert place.processes() == []


def test_after_kill_9_the_next_up_stops_the_leftovers(place: Place) -> None:
    """Orphaned children hold the ports; Valkey holds acknowledged entries, and is adopted."""
    first = place.up()
    wait_until(lambda: "The mirror is running." in place.said(), "everything runs")
    first.kill()
    first.wait()
    left = {each.pid: each.name() for each in place.processes()}
    (valkey,) = [pid for pid, name in left.items() if name.startswith("valkey")]
    second = place.up()
    wait_until(lambda: "The mirror is running." in place.said(), "everything runs again")
    assert "Valkey is still running" in place.said()
    now = {each.pid for each in place.processes()}
    assert now & set(left) == {valkey}
    second.terminate()
    assert second.wait(PATIENCE) == 0
    assert place.processes() == []
