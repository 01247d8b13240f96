"""The commands `backfill` and `reconcile`: they enqueue runs, wait for them, and print the result."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from cli.progress import remaining
from tests.stories.conftest import EmulatedIntercom
from tests.stories.connect_site import rows
from workers.connections.upkeep import maintain_connections
from workers.sync import missing_objects
from workers.sync import run_worker as sync_worker

_SECONDS = 60.0


@pytest.fixture
def worker(site: EmulatedIntercom, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatedIntercom]:
    """A connected demo workspace whose contacts are a day old; a wake-up runs the worker in a thread."""
    for record in site.intercom.workspace_apis["demo0001"].workspace.contacts.values():
        record.values["created_at"] -= 86_400_000
    maintain_connections()
    threads: list[threading.Thread] = []

    def start_worker() -> None:
        threads.append(threading.Thread(target=sync_worker.run_once))
        threads[-1].start()

    for module in ("cli.backfill", "cli.reconcile"):
        monkeypatch.setattr(f"{module}.wake_sync", start_worker)
    yield site
    for thread in threads:
        thread.join(_SECONDS)
    sync_worker.run_worker().close()
    sync_worker.run_worker.cache_clear()


def invoke(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def test_backfill_waits_for_the_run(worker: EmulatedIntercom) -> None:
    """The output contains how much was read."""
    result = invoke("backfill", "--workspace", "demo0001")
    assert result.exit_code == 0, result.output
    assert "contacts and companies read in" in result.output
    there = sum(
        not record.archived for record in worker.intercom.workspace_apis["demo0001"].workspace.contacts.values()
    )
    assert rows("SELECT COUNT(*) FROM contacts") == [(there,)]
    assert rows("SELECT kind, asked_by FROM sync_runs") == [("backfill", "command")]


def test_no_wait_returns_at_once(site: EmulatedIntercom, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run is queued, and a worker is woken up."""
    maintain_connections()
    wakeups: list[str] = []
    monkeypatch.setattr("cli.backfill.wake_sync", lambda: wakeups.append("sync"))
    assert site
    assert invoke("reconcile", "--no-wait", "--full").exit_code == 0
    assert (rows("SELECT kind, state FROM sync_runs"), wakeups) == ([("reconcile", "queued")], ["sync"])


def test_a_workspace_without_a_connection_cannot_be_read(site: EmulatedIntercom) -> None:
    """The error contains how to connect it."""
    assert site
    result = invoke("backfill", "--workspace", "nowhere1")
    assert result.exit_code == 1
    assert "Open /connect to connect" in result.output


def test_a_person_accepts_deletions(worker: EmulatedIntercom, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error contains the command to run; until then nothing is deleted."""
    monkeypatch.setattr(missing_objects, "MAX_UNCONFIRMED", 0)
    assert invoke("backfill").exit_code == 0
    before = rows("SELECT COUNT(*) FROM contacts")[0][0]
    workspace = worker.intercom.workspace_apis["demo0001"].workspace
    for contact_id in list(workspace.users)[:2]:
        workspace.delete_contact(contact_id)
    asked = invoke("reconcile", "--full")
    assert asked.exit_code == 1
    assert "intercom-mirror reconcile --accept-deletions" in asked.output
    assert rows("SELECT COUNT(*) FROM contacts") == [(before,)]
    result = invoke("reconcile", "--accept-deletions")
    assert result.exit_code == 0, result.output
    assert rows("SELECT COUNT(*) FROM contacts") == [(before - 2,)]
    assert "No run is waiting" in invoke("reconcile", "--accept-deletions").output


@pytest.mark.parametrize(
    ("seen", "expected", "state", "left"),
    [
        (100, 400, "running", 30.0),
        (400, 400, "running", 0.0),
        (500, 400, "running", 0.0),
        (0, 400, "running", None),
        (100, None, "running", None),
        (100, 400, "queued", None),
    ],
)
def test_remaining_time_is_extrapolated(seen: int, expected: int | None, state: str, left: float | None) -> None:
    """It is unknown until the run has read something."""
    now = datetime.now(UTC)
    run = {"seen": seen, "expected": expected, "state": state, "started_at": now - timedelta(seconds=10)}
    assert remaining(run, now) == left
