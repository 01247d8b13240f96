"""The doorbell is sent without waiting, and not more often than needed."""

import threading

from celery import Celery
from redis import Redis

from workers.inbox import doorbell
from workers.runtime.redis_keys import DOORBELL

# Seconds for another thread to do its part on a loaded machine.
SOON = 10.0


def test_a_request_does_not_wait_for_a_slow_broker_and_later_requests_become_one() -> None:
    """While one message is being sent, any number of requests cause one more."""
    sending, resume, published = threading.Event(), threading.Event(), threading.Semaphore(0)

    def publish() -> None:
        sending.set()
        assert resume.wait(SOON)
        published.release()

    sender = doorbell.DoorbellSender(publish)
    sender.request()
    assert sending.wait(SOON)
    for _ in range(10):
        sender.request()
    resume.set()
    assert published.acquire(timeout=SOON)
    assert published.acquire(timeout=SOON)
    assert not published.acquire(timeout=0.1)


def test_a_failing_broker_does_not_stop_the_sender() -> None:
    """The next request is tried again."""
    attempts = threading.Semaphore(0)

    def publish() -> None:
        attempts.release()
        raise OSError("no broker")

    sender = doorbell.DoorbellSender(publish)
    sender.request()
    assert attempts.acquire(timeout=SOON)
    sender.request()
    assert attempts.acquire(timeout=SOON)


def test_the_doorbell_is_sent_only_if_its_key_is_absent(redis_url: str) -> None:
    """A drain that stops early sends it in any case."""
    broker = f"redis+socket://{redis_url.removeprefix('unix://')}"
    with Redis.from_url(redis_url) as client, Celery("test", broker=broker) as app:
        assert doorbell.send_if_absent(client, app)
        assert not doorbell.send_if_absent(client, app)
        assert client.llen("drain") == 1
        doorbell.clear(client)
        assert doorbell.send_if_absent(client, app)
        doorbell.send(client, app)
        assert client.llen("drain") == 3
        assert 0 < client.pttl(DOORBELL) <= doorbell.DOORBELL_MILLISECONDS


def test_a_second_drain_is_requested_once(redis_url: str) -> None:
    """Several full batches cause one message, not one each."""
    broker = f"redis+socket://{redis_url.removeprefix('unix://')}"
    with Redis.from_url(redis_url) as client, Celery("test", broker=broker) as app:
        doorbell.send_for_second_drain(client, app)
        doorbell.send_for_second_drain(client, app)
        assert client.llen("drain") == 1
