"""Outgoing webhooks: from a change to a real receiver, signed, in order, at least once."""

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
from tests.stories.receiver import Receiver, receiving
from workers.deliveries import endpoint_services, webhook_message
from workers.deliveries.endpoint_services import EndpointError, NewEndpoint
from workers.deliveries.fan_out import fan_out
from workers.deliveries.sender import post, work
from workers.prune import prune_older_than
from workers.runtime.feed_watch import FeedWatch


class Post:
    """A mirror with a receiver of its changes."""

    def __init__(self, harness: DrainHarness, receiver: Receiver) -> None:
        self.harness = harness
        self.receiver = receiver
        self._watch = FeedWatch(harness.engine)

    def add(self, *, user_id: str | None = None, **filters: Any) -> tuple[str, str]:
        """Add an endpoint at the receiver; returns its id and secret."""
        row, secret = endpoint_services.add(self.harness.engine, NewEndpoint(self.receiver.url, **filters), user_id)
        return row.id, secret

    def tell(self, *ids: str, at: int = 1_700_000_000, number: int = 1) -> None:
        """Have contacts change."""
        for offset, each in enumerate(ids):
            item = contact(each, at=at, name=f"{each} {at}")
            self.harness.append(notification("contact.user.updated", item, number=number + offset))
        self.harness.drain()

    def work(self) -> None:
        """Have a turn that ends as soon as there is nothing to do at once."""
        before = None
        while before != (before := self.rows("id, state, attempts")):
            work(self.harness.engine, self.harness.engine, post, self._watch, time.monotonic())

    def rows(self, columns: str = "object_id, state, attempts, status, error") -> list[dict[str, Any]]:
        """Return the deliveries."""
        return self.harness.rows(f"SELECT {columns} FROM deliveries ORDER BY id")  # noqa: S608 -- ours

    def age(self, **by: timedelta) -> None:
        """Turn the clock on, for moments of these columns of both tables."""
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
def office(redis_url: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Post]:
    """A mirror, allowed to call this machine, and a receiver."""
    with (
        surroundings(monkeypatch, tmp_path, ALLOW_PRIVATE_TARGETS="1", DATABASE_URL=database_url, REDIS_URL=redis_url),
        open_harness(redis_url, database_url) as harness,
        receiving() as receiver,
    ):
        yield Post(harness, receiver)


def test_a_change_is_told_signed_and_without_personal_data(office: Post) -> None:
    """The receiver verifies it with the specification's own library, and reads ids and names of fields."""
    _, secret = office.add()
    office.tell("c1")
    office.work()
    (received,) = office.receiver.received
    told = received.signed_with(secret)
    assert told["type"] == "contact.created"
    assert {told["data"][name] for name in ("workspace_id", "object_id", "source")} == {WORKSPACE, "c1", "webhook"}
    assert b"example.test" not in received.body
    with pytest.raises(WebhookVerificationError):
        received.signed_with("whsec_" + "A" * 44)
    assert office.rows() == [{"object_id": "c1", "state": "delivered", "attempts": 1, "status": 204, "error": None}]


def test_what_changed_before_the_endpoint_was_added_is_not_told(office: Post) -> None:
    """Nobody wants the news of a month at once."""
    office.tell("old")
    office.add()
    office.tell("new", number=2)
    office.work()
    assert office.receiver.ids() == ["new"]


def test_filters_choose_by_object_operation_and_source(office: Post) -> None:
    """All three must fit."""
    office.add(types=["contact"], ops=["updated"], sources=["webhook"])
    office.tell("c1")
    office.tell("c1", at=1_700_000_100, number=2)
    office.harness.append(notification("contact.deleted", {"type": "contact", "id": "c1", "deleted": True}, number=3))
    office.harness.drain()
    office.work()
    assert [each.data["op"] for each in office.receiver.received] == ["updated"]
    assert "name" in office.receiver.received[0].data["changed_fields"]


def test_what_is_refused_is_tried_again_later_under_the_same_id(office: Post) -> None:
    """Later ones of the same object wait for it; those of others do not."""
    office.add()
    office.receiver.answers["c1"] = 500
    office.tell("c1", "c2")
    office.tell("c1", at=1_700_000_100, number=9)
    office.work()
    assert sorted(office.receiver.ids()) == ["c1", "c2"]
    assert [row["state"] for row in office.rows()] == ["waiting", "delivered", "waiting"]
    assert office.rows()[0]["error"] == "The endpoint answered 500."
    office.receiver.answers.clear()
    office.age(due_at=timedelta(seconds=webhook_message.PAUSES[0]))
    office.work()
    of_c1 = [each for each in office.receiver.received if each.data["object_id"] == "c1"]
    assert [each.data["op"] for each in of_c1] == ["created", "created", "updated"]
    assert len({each.headers["webhook-id"] for each in of_c1[:2]}) == 1
    assert of_c1[2].headers["webhook-id"] != of_c1[0].headers["webhook-id"]


def test_changes_of_one_object_arrive_in_their_order(office: Post) -> None:
    """Also where several calls are under way at the same time."""
    office.add()
    for step in range(5):
        office.tell("c1", "c2", "c3", at=1_700_000_000 + step, number=step * 10)
    office.work()
    for each in ("c1", "c2", "c3"):
        seqs = [one.data["seq"] for one in office.receiver.received if one.data["object_id"] == each]
        assert len(seqs) == 5
        assert seqs == sorted(seqs)


def test_after_a_day_a_delivery_is_given_up_and_its_endpoint_disabled(office: Post) -> None:
    """The reason stands there; nothing more is made for it until somebody enables it, and then nothing is missing."""
    endpoint_id, _ = office.add()
    office.receiver.everything = 503
    office.tell("c1")
    for _ in range(webhook_message.DISABLED_FROM):
        office.work()
        office.age(due_at=timedelta(hours=5), rest_until=timedelta(hours=5))
    office.age(first_tried_at=timedelta(days=1), failing_since=timedelta(days=1))
    office.work()
    assert [row["state"] for row in office.rows()] == ["failed"]
    assert office.endpoint()["status"] == "disabled"
    assert "503" in office.endpoint()["reason"]
    office.tell("c2", number=2)
    calls = len(office.receiver.received)
    office.work()
    assert len(office.receiver.received) == calls
    office.receiver.everything = None
    assert endpoint_services.enable(office.harness.engine, endpoint_id)
    office.work()
    assert office.receiver.ids()[calls:] == ["c2"]


def test_an_endpoint_that_is_gone_is_disabled_at_once(office: Post) -> None:
    """410 is how a receiver says that it wants no more."""
    office.add()
    office.receiver.everything = 410
    office.tell("c1")
    office.work()
    assert office.endpoint()["status"] == "disabled"


def test_an_endpoint_that_fails_is_asked_seldom_and_hears_everything_once_it_is_back(office: Post) -> None:
    """A thousand objects are not a thousand tries."""
    office.add()
    office.receiver.everything = 500
    office.tell(*(f"c{number}" for number in range(20)))
    office.work()
    assert len(office.receiver.received) < 8
    office.receiver.everything = None
    office.age(rest_until=timedelta(hours=1))
    office.work()
    assert {row["state"] for row in office.rows()} == {"delivered"}


def test_redirects_are_not_followed(office: Post) -> None:
    """They would lead past the check of addresses."""
    office.add()
    office.receiver.everything = 307
    office.receiver.headers["Location"] = f"{office.receiver.url}/elsewhere"
    office.tell("c1")
    office.work()
    assert [each.path for each in office.receiver.received] == ["/hook"]
    assert "Redirects are not followed" in office.rows()[0]["error"]


def test_both_secrets_sign_while_one_is_rotated(office: Post) -> None:
    """After a day only the new one does."""
    endpoint_id, old = office.add()
    new = endpoint_services.rotate(office.harness.engine, endpoint_id)
    assert new is not None
    assert new != old
    office.tell("c1")
    office.work()
    office.receiver.received[0].signed_with(old)
    office.receiver.received[0].signed_with(new)
    office.age(old_until=endpoint_services.ROTATES_FOR)
    office.tell("c2", number=2)
    office.work()
    office.receiver.received[1].signed_with(new)
    with pytest.raises(WebhookVerificationError):
        office.receiver.received[1].signed_with(old)


def test_secrets_are_not_readable_in_the_table(office: Post) -> None:
    """Nor can one endpoint's be used for another."""
    _, secret = office.add()
    assert secret.encode() not in bytes(office.endpoint()["secret"])
    first, _ = office.add()
    with transaction(office.harness.engine) as connection:
        sealed = connection.execute(endpoints.select().where(endpoints.c.id != first)).one().secret
        endpoint_rows.update_columns(connection, first, secret=sealed)
    office.tell("c1")
    office.work()
    assert len(office.receiver.received) == 1
    statuses = {row["id"]: row["status"] for row in office.harness.rows("SELECT id, status FROM endpoints")}
    assert statuses.pop(first) == "disabled"
    assert set(statuses.values()) == {"enabled"}


def test_what_arrived_can_be_delivered_again(office: Post) -> None:
    """Under the same id, so that a receiver who has it knows."""
    endpoint_id, _ = office.add()
    office.tell("c1")
    office.work()
    (row,) = office.rows("id")
    assert endpoint_services.replay(office.harness.engine, endpoint_id, row["id"])
    assert not endpoint_services.replay(office.harness.engine, "ep_another", row["id"])
    office.work()
    assert len({each.headers["webhook-id"] for each in office.receiver.received}) == 1
    assert len(office.receiver.received) == 2


def test_a_claim_of_a_dead_process_is_taken_over(office: Post) -> None:
    """Not before it has run out: the call may still be under way."""
    office.add()
    office.tell("c1")
    (endpoint,) = endpoint_services.endpoints(office.harness.engine)
    now = datetime.now(UTC)
    fan_out(office.harness.engine, office.harness.engine, endpoint, now)
    with transaction(office.harness.engine) as connection:
        connection.execute(update(deliveries).values(lease_until=now + timedelta(seconds=60), attempts=1))
    work(office.harness.engine, office.harness.engine, post, FeedWatch(office.harness.engine), time.monotonic())
    assert office.receiver.received == []
    office.age(lease_until=timedelta(seconds=61))
    office.work()
    assert office.receiver.ids() == ["c1"]


def test_a_users_endpoint_hears_only_of_workspaces_that_they_connected(office: Post) -> None:
    """Before, nothing; and no more after they left, also of what waited."""
    office.add(user_id="ada")
    office.tell("before")
    office.work()
    assert office.receiver.received == []
    now = datetime.now(UTC)
    new = NewConnection("ada", "app", None, b"token", "print")
    with transaction(office.harness.engine) as connection:
        connection_rows.save(connection, WorkspaceRow(WORKSPACE, "Ours", "US", None), new, now)
    office.tell("during", number=2)
    office.work()
    assert office.receiver.ids() == ["during"]
    office.receiver.everything = 500
    office.tell("waits", number=3)
    office.work()
    with transaction(office.harness.engine) as connection:
        connection_rows.disconnect(connection, WORKSPACE, ["print"], "user", now)
    calls = len(office.receiver.received)
    office.age(due_at=timedelta(hours=1))
    office.work()
    assert len(office.receiver.received) == calls
    assert office.rows()[-1]["state"] == "failed"


def test_an_endpoint_that_was_off_for_longer_than_the_feed_is_told_to_read_anew(office: Post) -> None:
    """What it missed is gone from the feed."""
    endpoint_id, secret = office.add()
    with transaction(office.harness.engine) as connection:
        endpoint_rows.update_columns(connection, endpoint_id, status="disabled")
    office.tell("c1")
    prune_older_than(office.harness.engine, 30, datetime.now(UTC) + timedelta(days=31))
    endpoint_services.enable(office.harness.engine, endpoint_id)
    office.tell("c2", number=2)
    office.work()
    told = [each.signed_with(secret)["type"] for each in office.receiver.received]
    assert sorted(told) == ["contact.created", "feed.resync"]


def test_deliveries_are_pruned_with_the_feed(office: Post) -> None:
    """They keep RETENTION_DAYS."""
    office.add()
    office.tell("c1")
    office.work()
    prune_older_than(office.harness.engine, 30, datetime.now(UTC) + timedelta(days=31))
    assert office.rows() == []


def test_private_addresses_are_refused_unless_they_are_allowed(office: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is added by its form, when it is called by what it resolves to."""
    office.add()
    monkeypatch.setattr("workers.deliveries.sender.get_settings", _Strict)
    monkeypatch.setattr("workers.deliveries.endpoint_services.get_settings", _Strict)
    with pytest.raises(EndpointError, match="https"):
        office.add()
    with transaction(office.harness.engine) as connection:
        connection.execute(update(endpoints).values(url=office.receiver.url.replace("http:", "https:")))
    office.tell("c1")
    office.work()
    assert office.receiver.received == []
    assert "private network" in office.rows()[0]["error"]


class _Strict:
    allow_private_targets = False
