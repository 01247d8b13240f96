"""The process `deliveries`: woken by Celery beat alone, and killed while its requests are in progress."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import text

from models.db.engine import transaction
from tests.long.torture.processes import ManagedProcess, environment, procfile
from tests.processes.test_worker import START_SECONDS, wait_until
from tests.stories.connect_site import surroundings
from tests.stories.drain_harness import DrainHarness, contact, notification, open_harness
from tests.stories.receiver import ReceivedRequest, Receiver, run_receiver
from workers.deliveries import endpoint_services
from workers.deliveries.endpoint_services import NewEndpoint


class BlockingReceiver(Receiver):
    """Holds each request until it may respond."""

    def __init__(self) -> None:
        super().__init__()
        self.may_respond = threading.Event()

    def respond(self, received: ReceivedRequest) -> int:
        """Keep a request, and respond once that is allowed."""
        status = super().respond(received)
        self.may_respond.wait(START_SECONDS)
        return status


class DeliveryProcesses:
    """A mirror whose `deliveries` and `beat` are processes of the Procfile."""

    def __init__(self, harness: DrainHarness, directory: Path, variables: dict[str, str]) -> None:
        self.harness = harness
        self._directory = directory
        self._variables = environment(**variables, LOG_FORMAT="json")

    def start(self, name: str) -> ManagedProcess:
        """Start a process of the Procfile."""
        process = ManagedProcess(name, procfile()[name], self._variables, self._directory)
        process.start()
        return process

    def change(self, *ids: str, number: int) -> None:
        """Apply notifications that create these contacts."""
        for offset, each in enumerate(ids):
            self.harness.append(notification("contact.user.created", contact(each), number=number + offset))
        self.harness.drain()

    def delivered(self) -> int:
        """Count the deliveries that the database has as delivered."""
        return int(self.harness.one("SELECT COUNT(*) FROM deliveries WHERE state = 'delivered'"))


@pytest.fixture
def mirror(
    redis_url: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DeliveryProcesses]:
    """A mirror that may call this machine."""
    variables = {"REDIS_URL": redis_url, "DATABASE_URL": database_url, "ALLOW_PRIVATE_TARGETS": "1"}
    with surroundings(monkeypatch, tmp_path, **variables), open_harness(redis_url, database_url) as harness:
        yield DeliveryProcesses(harness, tmp_path, variables)


def test_a_kill_during_requests_loses_no_delivery_and_repeats_only_those_requests(mirror: DeliveryProcesses) -> None:
    """Requests in progress are sent again under the same id; delivered ones are not."""
    with run_receiver(BlockingReceiver()) as receiver, ExitStack() as processes:
        assert isinstance(receiver, BlockingReceiver)
        endpoint_services.add(mirror.harness.engine, NewEndpoint(receiver.url), None)
        processes.callback(mirror.start("beat").kill)
        worker = mirror.start("deliveries")
        processes.callback(worker.kill)
        receiver.may_respond.set()
        mirror.change("first", number=1)
        wait_until(lambda: mirror.delivered() == 1, START_SECONDS)
        receiver.may_respond.clear()
        mirror.change("c1", "c2", "c3", number=2)
        wait_until(lambda: len(receiver.received) == 4, START_SECONDS)
        worker.kill()
        receiver.may_respond.set()
        assert mirror.delivered() == 1
        _end_claims(mirror)
        worker.start()
        wait_until(lambda: mirror.delivered() == 4, START_SECONDS)
        assert sorted(receiver.ids()) == ["c1", "c1", "c2", "c2", "c3", "c3", "first"]
        assert len({each.headers["webhook-id"] for each in receiver.received}) == 4


def _end_claims(mirror: DeliveryProcesses) -> None:
    """End all claims now."""
    with transaction(mirror.harness.engine) as connection:
        connection.execute(text("UPDATE deliveries SET lease_until = created_at WHERE lease_until IS NOT NULL"))
