"""`backfill` and `reconcile`: what a person at a terminal asks for, waits for, and is told."""

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
from workers.sync import worker as sync_worker

_SECONDS = 60.0


@pytest.fixture
def worker(site: EmulatedIntercom, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatedIntercom]:
    """The demo is connected, all in it is a day old, and whoever is rung for works in a thread of this process."""
    for record in site.intercom.workspace_apis["demo0001"].workspace.contacts.values():
        record.values["created_at"] -= 86_400_000
    maintain_connections()
    threads: list[threading.Thread] = []

    def ring() -> None:
        threads.append(threading.Thread(target=sync_worker.run_once))
        threads[-1].start()

    for module in ("cli.backfill", "cli.reconcile"):
        monkeypatch.setattr(f"{module}.wake_sync", ring)
    yield site
    for thread in threads:
        thread.join(_SECONDS)
    sync_worker.run_worker().close()
    sync_worker.run_worker.cache_clear()


def obey(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def test_a_fill_is_waited_for(worker: EmulatedIntercom) -> None:
    """It ends with how much was read."""
    told = obey("backfill", "--workspace", "demo0001")
    assert told.exit_code == 0, told.output
    assert "contacts and companies read in" in told.output
    there = sum(
        not record.archived for record in worker.intercom.workspace_apis["demo0001"].workspace.contacts.values()
    )
    assert rows("SELECT COUNT(*) FROM contacts") == [(there,)]
    assert rows("SELECT kind, asked_by FROM sync_runs") == [("backfill", "command")]


def test_nobody_needs_to_wait(site: EmulatedIntercom, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run stands in the tables, and somebody is rung for."""
    maintain_connections()
    rung: list[str] = []
    monkeypatch.setattr("cli.backfill.wake_sync", lambda: rung.append("sync"))
    assert site
    assert obey("reconcile", "--no-wait", "--full").exit_code == 0
    assert (rows("SELECT kind, state FROM sync_runs"), rung) == ([("reconcile", "queued")], ["sync"])


def test_a_workspace_that_nobody_connected_cannot_be_read(site: EmulatedIntercom) -> None:
    """And the way to connect it is told."""
    assert site
    told = obey("backfill", "--workspace", "nowhere1")
    assert told.exit_code == 1
    assert "Connect one first" in told.output


def test_deletions_are_believed_when_a_person_says_so(
    worker: EmulatedIntercom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command says what to run, and until then nothing goes."""
    monkeypatch.setattr(missing_objects, "MAX_UNCONFIRMED", 0)
    assert obey("backfill").exit_code == 0
    before = rows("SELECT COUNT(*) FROM contacts")[0][0]
    workspace = worker.intercom.workspace_apis["demo0001"].workspace
    for contact_id in list(workspace.users)[:2]:
        workspace.delete_contact(contact_id)
    asked = obey("reconcile", "--full")
    assert asked.exit_code == 1
    assert "intercom-mirror reconcile --accept-deletions" in asked.output
    assert rows("SELECT COUNT(*) FROM contacts") == [(before,)]
    told = obey("reconcile", "--accept-deletions")
    assert told.exit_code == 0, told.output
    assert rows("SELECT COUNT(*) FROM contacts") == [(before - 2,)]
    assert "No run waits" in obey("reconcile", "--accept-deletions").output


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
def test_the_rest_takes_as_long_as_what_was(seen: int, expected: int | None, state: str, left: float | None) -> None:
    """Nothing is promised while nothing is known."""
    now = datetime.now(UTC)
    run = {"seen": seen, "expected": expected, "state": state, "started_at": now - timedelta(seconds=10)}
    assert remaining(run, now) == left
