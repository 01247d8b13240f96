"""The sender follows Intercom's rules, and its log is accurate."""

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
WEBHOOK = WebhookTarget(TARGET, "cs_example")
MockResponse = tuple[int, dict[str, str], str]


def notifications(count: int) -> list[EmulatedNotification]:
    workspace = EmulatedWorkspace()
    return [workspace.create_contact("user")[0] for _ in range(count)]


@pytest.fixture
def receiver() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def deliver(sent: list[EmulatedNotification], faults: NetworkFaults | None = None) -> NotificationSender:
    with NotificationSender(WEBHOOK, faults or NetworkFaults(), retry_after_seconds=0) as sender:
        sender.send(sent)
        assert sender.wait(10)
    return sender


def respond_with(*statuses: int) -> Callable[[requests.PreparedRequest], MockResponse]:
    """Respond to the first requests with these statuses, to all later ones with the last of them."""
    remaining = list(statuses)
    return lambda _: (remaining.pop(0) if len(remaining) > 1 else remaining[0], {}, "")


def test_a_notification_is_posted_signed(receiver: responses.RequestsMock) -> None:
    """The body is unchanged, the signature is valid, the headers are Intercom's."""
    receiver.post(TARGET)
    sent = notifications(1)
    deliver(sent)
    request = receiver.calls[0].request
    assert request.body == sent[0].body
    verify(sent[0].body, request.headers["X-Hub-Signature"], ["cs_example"])
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["User-Agent"] == "intercom-parrot-service-client/1.0"


def test_the_log_contains_acknowledged_ids(receiver: responses.RequestsMock) -> None:
    """Each 200 acknowledges an id."""
    receiver.post(TARGET)
    sent = notifications(5)
    sender = deliver(sent)
    assert sender.sent == sender.acknowledged == {notification.id for notification in sent}
    assert sender.delivery_log.status_counts == {200: 5}


def test_a_failure_is_retried_once(receiver: responses.RequestsMock) -> None:
    """The retry has the same id and another status."""
    receiver.add_callback("POST", TARGET, respond_with(503, 200))
    sent = notifications(1)
    sender = deliver(sent)
    first, second = (json.loads(call.request.body or b"") for call in receiver.calls)
    assert (first["delivery_attempts"], second["delivery_attempts"], second["delivery_status"]) == (1, 2, "retry")
    assert first["id"] == second["id"]
    assert sender.acknowledged == {sent[0].id}


def test_a_notification_is_dropped_after_the_retry(receiver: responses.RequestsMock) -> None:
    """After two failures there is no further attempt."""
    receiver.post(TARGET, status=503)
    sender = deliver(notifications(1))
    assert sender.delivery_log.status_counts == {503: 2}
    assert (len(sender.delivery_log.dropped), sender.acknowledged) == (1, set())


def test_no_response_is_a_failure(receiver: responses.RequestsMock) -> None:
    """A refused connection or a timeout is retried too, and counted with status 0."""
    receiver.post(TARGET, body=requests.ConnectionError())
    assert deliver(notifications(1)).delivery_log.status_counts == {0: 2}


def test_a_410_ends_the_subscription(receiver: responses.RequestsMock) -> None:
    """After a 410 the topic is not sent again."""
    receiver.post(TARGET, status=410)
    sender = deliver(notifications(1))
    assert sender.delivery_log.status_counts == {410: 1}
    assert sender.delivery_log.switched_off == {"contact.user.created"}


def test_a_ping_is_counted_without_an_id(receiver: responses.RequestsMock) -> None:
    """A ping has no id, so the sets do not contain it."""
    receiver.post(TARGET)
    sender = deliver([ping("demo0001", 1_795_000_000)])
    assert (sender.sent, sender.delivery_log.status_counts) == (set(), {200: 1})


def test_lost_notifications_are_logged(receiver: responses.RequestsMock) -> None:
    """Every notification is either sent or lost."""
    receiver.post(TARGET)
    sent = notifications(100)
    sender = deliver(sent, NetworkFaults(loss=0.3))
    assert 10 < len(sender.lost) < 60
    assert sender.sent == {notification.id for notification in sent} - sender.lost


def test_a_plan_duplicates_and_reorders() -> None:
    """The share of duplicates is as configured, and notifications that are held back arrive after later ones."""
    sent = notifications(200)
    planned = plan_deliveries(sent, NetworkFaults(duplicates=0.5, reordered=0.5, delay_seconds=1.0), rate=1000)
    ids = [delivery.notification.id for delivery in planned]
    assert 250 < len(ids) < 350
    assert set(ids) == {notification.id for notification in sent}
    assert list(dict.fromkeys(ids)) != [notification.id for notification in sent]
    assert planned[0].due >= 1.0


def test_a_seed_determines_the_faults() -> None:
    """The same seed gives the same plan, another seed another."""
    sent, faults = notifications(50), NetworkFaults(loss=0.2, duplicates=0.2, reordered=0.2)
    assert (
        plan_deliveries(sent, faults, seed=1)
        == plan_deliveries(sent, faults, seed=1)
        != plan_deliveries(sent, faults, seed=2)
    )


def test_planned_deliveries_can_be_scheduled(receiver: responses.RequestsMock) -> None:
    """Deliveries are sent when they are due, whatever their order in the queue."""
    receiver.post(TARGET)
    late, early = notifications(2)
    with NotificationSender(WEBHOOK, threads=1) as sender:
        sender.schedule([PlannedDelivery(0.2, late), PlannedDelivery(0.0, early)])
        assert sender.wait(10)
    assert [call.request.body for call in receiver.calls] == [early.body, late.body]


@pytest.mark.parametrize(
    "target",
    ["http://93.184.215.14/", "https://127.0.0.1/", "http://0.0.0.0:8000/", "ftp://127.0.0.1/", "127.0.0.1:8000", ""],
)
def test_nothing_leaves_this_machine(target: str) -> None:
    """The address of another machine is refused before anything is sent."""
    with pytest.raises(NotLoopbackError):
        NotificationSender(WebhookTarget(target, "cs_example"))


@pytest.mark.parametrize("target", ["http://127.0.0.1:1/", "http://[::1]:1/", "http://localhost:1/"])
def test_this_machine_is_allowed(target: str) -> None:
    """Every name of the loopback interface is accepted."""
    assert NotificationSender(WebhookTarget(target, "cs_example")).target.url == target
