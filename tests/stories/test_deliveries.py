"""Outgoing webhooks from a change to a real receiver: signed, in order, at least once."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update
from standardwebhooks import WebhookVerificationError

from models.db.engine import transaction
from models.queries import connection_rows, endpoint_rows
from models.queries.connection_rows import NewConnection, WorkspaceRow
from models.tables.delivery_tables import deliveries, endpoints
from tests.stories.connect_site import surroundings
from tests.stories.drain_harness import WORKSPACE, DrainHarness, contact, notification, open_harness
from tests.stories.receiver import Receiver, run_receiver
from workers.deliveries import endpoint_services, webhook_message
from workers.deliveries.endpoint_services import EndpointError, NewEndpoint
from workers.deliveries.fan_out import fan_out
from workers.deliveries.sender import post_to_endpoint, run_until
from workers.prune import prune_older_than
from workers.runtime.feed_watch import FeedWatch


class DeliveryHarness:
    """A mirror with a receiver of its outgoing webhooks."""

    def __init__(self, harness: DrainHarness, receiver: Receiver) -> None:
        self.harness = harness
        self.receiver = receiver
        self._watch = FeedWatch(harness.engine)

    def add(self, *, user_id: str | None = None, **filters: Any) -> tuple[str, str]:
        """Add an endpoint at the receiver; return its id and secret."""
        row, secret = endpoint_services.add(self.harness.engine, NewEndpoint(self.receiver.url, **filters), user_id)
        return row.id, secret

    def update_contacts(self, *ids: str, at: int = 1_700_000_000, number: int = 1) -> None:
        """Apply notifications that change these contacts."""
        for offset, each in enumerate(ids):
            item = contact(each, at=at, name=f"{each} {at}")
            self.harness.append(notification("contact.user.updated", item, number=number + offset))
        self.harness.drain()

    def run(self) -> None:
        """Run the sender until there is nothing more to do at once."""
        before = None
        while before != (before := self.rows("id, state, attempts")):
            run_until(self.harness.engine, self.harness.engine, post_to_endpoint, self._watch, time.monotonic())

    def rows(self, columns: str = "object_id, state, attempts, status, error") -> list[dict[str, Any]]:
        """Return rows of deliveries, oldest first."""
        return self.harness.rows(f"SELECT {columns} FROM deliveries ORDER BY id")  # noqa: S608 -- ours

    def age(self, **by: timedelta) -> None:
        """Move the times in these columns of both tables into the past."""
        with transaction(self.harness.engine) as connection:
            for row in connection.execute(text("SELECT id FROM endpoints")).all():
                found = endpoint_rows.find(connection, row.id)
                assert found is not None
                aged = {name: getattr(found, name) - delta for name, delta in by.items() if getattr(found, name, None)}
                if aged:
                    endpoint_rows.update_columns(connection, row.id, **aged)
            for name in set(by) & set(deliveries.c.keys()):
                for key, moment in connection.execute(
                    deliveries.select().with_only_columns(deliveries.c.id, deliveries.c[name])
                ).all():
                    if moment is not None:
                        one = update(deliveries).where(deliveries.c.id == key)
                        connection.execute(one.values({name: moment - by[name]}))

    def endpoint(self) -> dict[str, Any]:
        """Return the one endpoint."""
        (row,) = self.harness.rows("SELECT * FROM endpoints")
        return row


@pytest.fixture
def mirror(
    redis_url: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DeliveryHarness]:
    """A mirror that may call this machine, and a receiver."""
    with (
        surroundings(monkeypatch, tmp_path, ALLOW_PRIVATE_TARGETS="1", DATABASE_URL=database_url, REDIS_URL=redis_url),
        open_harness(redis_url, database_url) as harness,
        run_receiver() as receiver,
    ):
        yield DeliveryHarness(harness, receiver)


def test_a_change_is_sent_signed_and_without_personal_data(mirror: DeliveryHarness) -> None:
    """The receiver verifies the message with the library of the specification, and reads ids and names of fields."""
    _, secret = mirror.add()
    mirror.update_contacts("c1")
    mirror.run()
    (received,) = mirror.receiver.received
    message = received.signed_with(secret)
    assert message["type"] == "contact.created"
    assert {message["data"][name] for name in ("workspace_id", "object_id", "source")} == {WORKSPACE, "c1", "webhook"}
    assert b"example.test" not in received.body
    with pytest.raises(WebhookVerificationError):
        received.signed_with("whsec_" + "A" * 44)
    assert mirror.rows() == [{"object_id": "c1", "state": "delivered", "attempts": 1, "status": 204, "error": None}]


def test_changes_from_before_the_endpoint_was_added_are_not_sent(mirror: DeliveryHarness) -> None:
    """An endpoint begins at the end of the feed."""
    mirror.update_contacts("old")
    mirror.add()
    mirror.update_contacts("new", number=2)
    mirror.run()
    assert mirror.receiver.ids() == ["new"]


def test_filters_choose_by_object_operation_and_source(mirror: DeliveryHarness) -> None:
    """A change must pass all three filters."""
    mirror.add(types=["contact"], ops=["updated"], sources=["webhook"])
    mirror.update_contacts("c1")
    mirror.update_contacts("c1", at=1_700_000_100, number=2)
    mirror.harness.append(notification("contact.deleted", {"type": "contact", "id": "c1", "deleted": True}, number=3))
    mirror.harness.drain()
    mirror.run()
    assert [each.data["op"] for each in mirror.receiver.received] == ["updated"]
    assert "name" in mirror.receiver.received[0].data["changed_fields"]


def test_a_failed_delivery_is_retried_later_under_the_same_id(mirror: DeliveryHarness) -> None:
    """Later deliveries of the same object wait for it; those of other objects do not."""
    mirror.add()
    mirror.receiver.statuses["c1"] = 500
    mirror.update_contacts("c1", "c2")
    mirror.update_contacts("c1", at=1_700_000_100, number=9)
    mirror.run()
    assert sorted(mirror.receiver.ids()) == ["c1", "c2"]
    assert [row["state"] for row in mirror.rows()] == ["waiting", "delivered", "waiting"]
    assert mirror.rows()[0]["error"] == "The endpoint responded with status 500."
    mirror.receiver.statuses.clear()
    mirror.age(due_at=timedelta(seconds=webhook_message.RETRY_DELAYS[0]))
    mirror.run()
    of_c1 = [each for each in mirror.receiver.received if each.data["object_id"] == "c1"]
    assert [each.data["op"] for each in of_c1] == ["created", "created", "updated"]
    assert len({each.headers["webhook-id"] for each in of_c1[:2]}) == 1
    assert of_c1[2].headers["webhook-id"] != of_c1[0].headers["webhook-id"]


def test_changes_of_one_object_arrive_in_their_order(mirror: DeliveryHarness) -> None:
    """Even if several requests are in progress at the same time."""
    mirror.add()
    for step in range(5):
        mirror.update_contacts("c1", "c2", "c3", at=1_700_000_000 + step, number=step * 10)
    mirror.run()
    for each in ("c1", "c2", "c3"):
        seqs = [one.data["seq"] for one in mirror.receiver.received if one.data["object_id"] == each]
        assert len(seqs) == 5
        assert seqs == sorted(seqs)


def test_after_a_day_a_delivery_fails_and_its_endpoint_is_disabled(mirror: DeliveryHarness) -> None:
    """The row has the reason. The endpoint gets no deliveries until it is enabled; then it gets all later changes."""
    endpoint_id, _ = mirror.add()
    mirror.receiver.status_for_all = 503
    mirror.update_contacts("c1")
    for _ in range(webhook_message.FAILURES_BEFORE_DISABLE):
        mirror.run()
        mirror.age(due_at=timedelta(hours=5), rest_until=timedelta(hours=5))
    mirror.age(first_tried_at=timedelta(days=1), failing_since=timedelta(days=1))
    mirror.run()
    assert [row["state"] for row in mirror.rows()] == ["failed"]
    assert mirror.endpoint()["status"] == "disabled"
    assert "503" in mirror.endpoint()["reason"]
    mirror.update_contacts("c2", number=2)
    calls = len(mirror.receiver.received)
    mirror.run()
    assert len(mirror.receiver.received) == calls
    mirror.receiver.status_for_all = None
    assert endpoint_services.enable(mirror.harness.engine, endpoint_id)
    mirror.run()
    assert mirror.receiver.ids()[calls:] == ["c2"]


def test_an_endpoint_that_responds_410_is_disabled_at_once(mirror: DeliveryHarness) -> None:
    """By 410 a receiver asks for no more messages."""
    mirror.add()
    mirror.receiver.status_for_all = 410
    mirror.update_contacts("c1")
    mirror.run()
    assert mirror.endpoint()["status"] == "disabled"


def test_a_failing_endpoint_gets_few_requests_and_all_messages_once_it_recovers(mirror: DeliveryHarness) -> None:
    """The number of requests does not grow with the number of objects that wait."""
    mirror.add()
    mirror.receiver.status_for_all = 500
    mirror.update_contacts(*(f"c{number}" for number in range(20)))
    mirror.run()
    assert len(mirror.receiver.received) < 8
    mirror.receiver.status_for_all = None
    mirror.age(rest_until=timedelta(hours=1))
    mirror.run()
    assert {row["state"] for row in mirror.rows()} == {"delivered"}


def test_redirects_are_not_followed(mirror: DeliveryHarness) -> None:
    """They would circumvent the check of addresses."""
    mirror.add()
    mirror.receiver.status_for_all = 307
    mirror.receiver.headers["Location"] = f"{mirror.receiver.url}/elsewhere"
    mirror.update_contacts("c1")
    mirror.run()
    assert [each.path for each in mirror.receiver.received] == ["/hook"]
    assert "Redirects are not followed" in mirror.rows()[0]["error"]


def test_both_secrets_sign_for_a_day_after_a_rotation(mirror: DeliveryHarness) -> None:
    """After that only the new one does."""
    endpoint_id, old = mirror.add()
    new = endpoint_services.rotate(mirror.harness.engine, endpoint_id)
    assert new is not None
    assert new != old
    mirror.update_contacts("c1")
    mirror.run()
    mirror.receiver.received[0].signed_with(old)
    mirror.receiver.received[0].signed_with(new)
    mirror.age(old_until=endpoint_services.ROTATION_PERIOD)
    mirror.update_contacts("c2", number=2)
    mirror.run()
    mirror.receiver.received[1].signed_with(new)
    with pytest.raises(WebhookVerificationError):
        mirror.receiver.received[1].signed_with(old)


def test_secrets_are_not_readable_in_the_table(mirror: DeliveryHarness) -> None:
    """And the secret of one endpoint cannot be used for another."""
    _, secret = mirror.add()
    assert secret.encode() not in bytes(mirror.endpoint()["secret"])
    first, _ = mirror.add()
    with transaction(mirror.harness.engine) as connection:
        encrypted = connection.execute(endpoints.select().where(endpoints.c.id != first)).one().secret
        endpoint_rows.update_columns(connection, first, secret=encrypted)
    mirror.update_contacts("c1")
    mirror.run()
    assert len(mirror.receiver.received) == 1
    statuses = {row["id"]: row["status"] for row in mirror.harness.rows("SELECT id, status FROM endpoints")}
    assert statuses.pop(first) == "disabled"
    assert set(statuses.values()) == {"enabled"}


def test_a_delivery_can_be_replayed(mirror: DeliveryHarness) -> None:
    """Under the same id, so that the receiver recognises a repetition."""
    endpoint_id, _ = mirror.add()
    mirror.update_contacts("c1")
    mirror.run()
    (row,) = mirror.rows("id")
    assert endpoint_services.replay(mirror.harness.engine, endpoint_id, row["id"])
    assert not endpoint_services.replay(mirror.harness.engine, "ep_another", row["id"])
    mirror.run()
    assert len({each.headers["webhook-id"] for each in mirror.receiver.received}) == 1
    assert len(mirror.receiver.received) == 2


def test_a_delivery_claimed_by_a_crashed_process_is_sent_again(mirror: DeliveryHarness) -> None:
    """Only after the claim has ended: until then the request may be in progress."""
    mirror.add()
    mirror.update_contacts("c1")
    (endpoint,) = endpoint_services.endpoints(mirror.harness.engine)
    now = datetime.now(UTC)
    fan_out(mirror.harness.engine, mirror.harness.engine, endpoint, now)
    with transaction(mirror.harness.engine) as connection:
        connection.execute(update(deliveries).values(lease_until=now + timedelta(seconds=60), attempts=1))
    watch = FeedWatch(mirror.harness.engine)
    run_until(mirror.harness.engine, mirror.harness.engine, post_to_endpoint, watch, time.monotonic())
    assert mirror.receiver.received == []
    mirror.age(lease_until=timedelta(seconds=61))
    mirror.run()
    assert mirror.receiver.ids() == ["c1"]


def test_a_users_endpoint_gets_only_changes_of_workspaces_that_they_connected(mirror: DeliveryHarness) -> None:
    """Nothing from before the connection, and nothing after it has ended, waiting deliveries included."""
    mirror.add(user_id="ada")
    mirror.update_contacts("before")
    mirror.run()
    assert mirror.receiver.received == []
    now = datetime.now(UTC)
    new = NewConnection("ada", "app", None, b"token", "print")
    with transaction(mirror.harness.engine) as connection:
        connection_rows.save(connection, WorkspaceRow(WORKSPACE, "Ours", "US", None), new, now)
    mirror.update_contacts("during", number=2)
    mirror.run()
    assert mirror.receiver.ids() == ["during"]
    mirror.receiver.status_for_all = 500
    mirror.update_contacts("waits", number=3)
    mirror.run()
    with transaction(mirror.harness.engine) as connection:
        connection_rows.disconnect(connection, WORKSPACE, ["print"], "user", now)
    calls = len(mirror.receiver.received)
    mirror.age(due_at=timedelta(hours=1))
    mirror.run()
    assert len(mirror.receiver.received) == calls
    assert mirror.rows()[-1]["state"] == "failed"


def test_an_endpoint_that_missed_pruned_changes_gets_a_resync_message(mirror: DeliveryHarness) -> None:
    """It must read the tables again, because the feed no longer has what it missed."""
    endpoint_id, secret = mirror.add()
    with transaction(mirror.harness.engine) as connection:
        endpoint_rows.update_columns(connection, endpoint_id, status="disabled")
    mirror.update_contacts("c1")
    prune_older_than(mirror.harness.engine, 30, datetime.now(UTC) + timedelta(days=31))
    endpoint_services.enable(mirror.harness.engine, endpoint_id)
    mirror.update_contacts("c2", number=2)
    mirror.run()
    types = [each.signed_with(secret)["type"] for each in mirror.receiver.received]
    assert sorted(types) == ["contact.created", "feed.resync"]


def test_deliveries_are_pruned_with_the_feed(mirror: DeliveryHarness) -> None:
    """They are kept for RETENTION_DAYS."""
    mirror.add()
    mirror.update_contacts("c1")
    mirror.run()
    prune_older_than(mirror.harness.engine, 30, datetime.now(UTC) + timedelta(days=31))
    assert mirror.rows() == []


def test_private_addresses_are_refused_unless_allowed(mirror: DeliveryHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The URL is checked when the endpoint is added, and the address it resolves to when a message is sent."""
    mirror.add()
    monkeypatch.setattr("workers.deliveries.sender.get_settings", _Strict)
    monkeypatch.setattr("workers.deliveries.endpoint_services.get_settings", _Strict)
    with pytest.raises(EndpointError, match="https"):
        mirror.add()
    with transaction(mirror.harness.engine) as connection:
        connection.execute(update(endpoints).values(url=mirror.receiver.url.replace("http:", "https:")))
    mirror.update_contacts("c1")
    mirror.run()
    assert mirror.receiver.received == []
    assert "private network" in mirror.rows()[0]["error"]


class _Strict:
    allow_private_targets = False
