"""The sender keeps Intercom's rules and honest books."""

import json
from collections.abc import Callable, Iterator

import pytest
import requests
import responses

from emulator.emulated_notification import EmulatedNotification, ping
from emulator.errors import NotLoopbackError
from emulator.network_faults import NetworkFaults, PlannedDelivery, plan_deliveries
from emulator.notification_sender import NotificationSender, WebhookTarget
from emulator.workspace import EmulatedWorkspace
from intercom_api.wire.signatures import verify

TARGET = "http://127.0.0.1:8000/webhooks/intercom"
ROUTE = WebhookTarget(TARGET, "cs_example")
Answer = tuple[int, dict[str, str], str]


def notifications(count: int) -> list[EmulatedNotification]:
    workspace = EmulatedWorkspace()
    return [workspace.create_contact("user")[0] for _ in range(count)]


@pytest.fixture
def receiver() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def deliver(told: list[EmulatedNotification], weather: NetworkFaults | None = None) -> NotificationSender:
    with NotificationSender(ROUTE, weather or NetworkFaults(), retry_after_seconds=0) as sender:
        sender.send(told)
        assert sender.wait(10)
    return sender


def answering(*statuses: int) -> Callable[[requests.PreparedRequest], Answer]:
    """Answer the first requests with these, all later ones with the last of them."""
    remaining = list(statuses)
    return lambda _: (remaining.pop(0) if len(remaining) > 1 else remaining[0], {}, "")


def test_a_notification_is_posted_signed(receiver: responses.RequestsMock) -> None:
    """The body is what was told, the signature fits it, the headers are Intercom's."""
    receiver.post(TARGET)
    told = notifications(1)
    deliver(told)
    request = receiver.calls[0].request
    assert request.body == told[0].body
    verify(told[0].body, request.headers["X-Hub-Signature"], ["cs_example"])
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["User-Agent"] == "intercom-parrot-service-client/1.0"


def test_the_books_hold_what_was_answered_200(receiver: responses.RequestsMock) -> None:
    """Sent and acknowledged are sets of ids."""
    receiver.post(TARGET)
    told = notifications(5)
    sender = deliver(told)
    assert sender.sent == sender.acknowledged == {notification.id for notification in told}
    assert sender.delivery_log.status_counts == {200: 5}


def test_a_failure_is_tried_once_more(receiver: responses.RequestsMock) -> None:
    """The retry has the same id and says that it is one."""
    receiver.add_callback("POST", TARGET, answering(503, 200))
    told = notifications(1)
    sender = deliver(told)
    first, second = (json.loads(call.request.body or b"") for call in receiver.calls)
    assert (first["delivery_attempts"], second["delivery_attempts"], second["delivery_status"]) == (1, 2, "retry")
    assert first["id"] == second["id"]
    assert sender.acknowledged == {told[0].id}


def test_after_the_retry_it_is_dropped_for_good(receiver: responses.RequestsMock) -> None:
    """Two failures and Intercom forgets it."""
    receiver.post(TARGET, status=503)
    sender = deliver(notifications(1))
    assert sender.delivery_log.status_counts == {503: 2}
    assert (len(sender.delivery_log.dropped), sender.acknowledged) == (1, set())


def test_no_answer_is_a_failure(receiver: responses.RequestsMock) -> None:
    """A refused connection or a time-out is retried too and counted as 0."""
    receiver.post(TARGET, body=requests.ConnectionError())
    assert deliver(notifications(1)).delivery_log.status_counts == {0: 2}


def test_410_ends_the_subscription(receiver: responses.RequestsMock) -> None:
    """After a 410 nothing of that topic is sent any more."""
    receiver.post(TARGET, status=410)
    sender = deliver(notifications(1))
    assert sender.delivery_log.status_counts == {410: 1}
    assert sender.delivery_log.switched_off == {"contact.user.created"}


def test_a_ping_is_counted_without_an_id(receiver: responses.RequestsMock) -> None:
    """A ping has no id, so the sets do not know it."""
    receiver.post(TARGET)
    sender = deliver([ping("demo0001", 1_795_000_000)])
    assert (sender.sent, sender.delivery_log.status_counts) == (set(), {200: 1})


def test_lost_notifications_are_noted(receiver: responses.RequestsMock) -> None:
    """Every notification is either sent or lost."""
    receiver.post(TARGET)
    told = notifications(100)
    sender = deliver(told, NetworkFaults(loss=0.3))
    assert 10 < len(sender.lost) < 60
    assert sender.sent == {notification.id for notification in told} - sender.lost


def test_a_plan_repeats_and_reorders() -> None:
    """Duplicates come about as often as asked, and held-back notifications arrive later than their successors."""
    told = notifications(200)
    planned = plan_deliveries(told, NetworkFaults(duplicates=0.5, reordered=0.5, delay_seconds=1.0), rate=1000)
    ids = [delivery.notification.id for delivery in planned]
    assert 250 < len(ids) < 350
    assert set(ids) == {notification.id for notification in told}
    assert list(dict.fromkeys(ids)) != [notification.id for notification in told]
    assert planned[0].due >= 1.0


def test_a_seed_decides_the_weather() -> None:
    """The same seed gives the same plan, another seed another."""
    told, weather = notifications(50), NetworkFaults(loss=0.2, duplicates=0.2, reordered=0.2)
    assert (
        plan_deliveries(told, weather, seed=1)
        == plan_deliveries(told, weather, seed=1)
        != plan_deliveries(told, weather, seed=2)
    )


def test_a_plan_made_before_can_be_sent(receiver: responses.RequestsMock) -> None:
    """Deliveries are sent when they are due, whatever their order in the queue."""
    receiver.post(TARGET)
    late, early = notifications(2)
    with NotificationSender(ROUTE, threads=1) as sender:
        sender.schedule([PlannedDelivery(0.2, late), PlannedDelivery(0.0, early)])
        assert sender.wait(10)
    assert [call.request.body for call in receiver.calls] == [early.body, late.body]


@pytest.mark.parametrize(
    "target",
    ["http://93.184.215.14/", "https://127.0.0.1/", "http://0.0.0.0:8000/", "ftp://127.0.0.1/", "127.0.0.1:8000", ""],
)
def test_nothing_leaves_this_machine(target: str) -> None:
    """Another machine's address is refused before anything is sent."""
    with pytest.raises(NotLoopbackError):
        NotificationSender(WebhookTarget(target, "cs_example"))


@pytest.mark.parametrize("target", ["http://127.0.0.1:1/", "http://[::1]:1/", "http://localhost:1/"])
def test_this_machine_is_allowed(target: str) -> None:
    """Every name of the loopback interface is good."""
    assert NotificationSender(WebhookTarget(target, "cs_example")).target.url == target
