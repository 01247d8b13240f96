"""`python -m emulator` as a process: it announces its workspace, stores it, and stops on SIGTERM."""

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from intercom_api.wire.signatures import verify

# The longest time for any step, on a slow machine.
TIMEOUT_SECONDS = 30


class Receiver(ThreadingHTTPServer):
    """Verifies and stores notifications, and responds with a 200."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.notifications: list[dict[str, Any]] = []
        self.changed = threading.Condition()

    def receive(self, body: bytes, signature: str | None) -> None:
        verify(body, signature, ["cs_example"])
        with self.changed:
            self.notifications.append(json.loads(body))
            self.changed.notify_all()

    def wait_for(self, ids: set[str]) -> None:
        """Wait until there are notifications of all these objects."""
        with self.changed:
            assert self.changed.wait_for(lambda: ids <= self.objects(), TIMEOUT_SECONDS)

    def objects(self) -> set[str]:
        items = (each["data"]["item"] for each in self.notifications)
        return {item["id"] for item in items if "id" in item}


class Handler(BaseHTTPRequestHandler):
    """Passes posted notifications to the receiver."""

    server: Receiver

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_POST(self) -> None:
        self.server.receive(self.rfile.read(int(self.headers["Content-Length"])), self.headers["X-Hub-Signature"])
        self.do_HEAD()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@contextmanager
def emulator(receiver: Receiver, *options: str) -> Iterator[str]:
    """Run the emulator with five contacts and two companies; yields the address of its page."""
    target = f"http://127.0.0.1:{receiver.server_port}/webhooks/intercom"
    command = [
        sys.executable,
        "-m",
        "emulator",
        "--port",
        "0",
        "--target",
        target,
        "--secret",
        "cs_example",
        "--contacts",
        "5",
        "--companies",
        "2",
        "--rate",
        "0",
        *options,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
            assert found
            yield found[0]
            process.send_signal(signal.SIGTERM)
            assert process.wait(TIMEOUT_SECONDS) == 0
        finally:
            process.kill()


def truth(address: str) -> dict[str, Any]:
    content: dict[str, Any] = requests.get(f"{address}/truth/demo0001", timeout=TIMEOUT_SECONDS).json()
    return content | {"as_of_ms": 0}


def test_it_announces_every_object(receiver: Receiver) -> None:
    """There are signed notifications of all contacts and companies of the start."""
    with emulator(receiver, "--announce") as address:
        true = truth(address)
        receiver.wait_for({*true["contacts"], *true["companies"]})
    assert (len(true["contacts"]), len(true["companies"])) == (5, 2)


def test_its_workspace_survives_a_restart(receiver: Receiver, tmp_path: Path) -> None:
    """With a state file the next run has the same content, announces it, and repeats no notification id."""
    options = "--announce", "--state", str(tmp_path / "workspace.json")
    with emulator(receiver, *options) as address:
        before = truth(address)
        receiver.wait_for({*before["contacts"], *before["companies"]})
    ids = {each["id"] for each in receiver.notifications}
    receiver.notifications.clear()
    with emulator(receiver, *options) as address:
        receiver.wait_for({*before["contacts"], *before["companies"]})
        assert truth(address) == before
    assert ids.isdisjoint(each["id"] for each in receiver.notifications)


def test_a_target_on_another_machine_is_refused() -> None:
    """The process ends at once with a message."""
    command = [sys.executable, "-m", "emulator", "--secret", "s", "--target", "http://192.0.2.1/"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    assert ended.returncode == 2
    assert "this machine" in ended.stderr


def test_a_port_in_use_is_named(receiver: Receiver) -> None:
    """The message contains the port and the option to change."""
    port = str(receiver.server_port)
    command = [sys.executable, "-m", "emulator", "--secret", "s", "--port", port, "--contacts", "1"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    assert ended.returncode == 1
    assert f"Port {port} on 127.0.0.1 is already in use" in ended.stderr


def test_one_process_has_several_workspaces(receiver: Receiver, tmp_path: Path) -> None:
    """Each has its own content, token and file; objects created in bulk are not announced."""
    options = "--workspaces", "2", "--volume", "--announce", "--state", str(tmp_path / "workspace.json")
    with emulator(receiver, *options) as address:
        contents = [
            requests.get(f"{address}/truth/{id_}", timeout=TIMEOUT_SECONDS).json()["contacts"]
            for id_ in ("demo0001", "demo0002")
        ]
        headers = {"Authorization": "Bearer dev-token-demo0002"}
        me = requests.get(f"{address}/us/me", headers=headers, timeout=TIMEOUT_SECONDS).json()
    assert [len(content) for content in contents] == [5, 5]
    assert set(contents[0]).isdisjoint(contents[1])
    assert me["app"]["id_code"] == "demo0002"
    assert receiver.notifications == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["workspace-demo0002.json", "workspace.json"]
