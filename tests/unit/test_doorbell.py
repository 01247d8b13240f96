"""Ringing without waiting, and not more often than needed."""

import threading

from celery import Celery
from redis import Redis

from workers.inbox import doorbell
from workers.runtime.redis_keys import DOORBELL

# Seconds for another thread to do its part on a loaded machine.
SOON = 10.0


def test_a_ring_does_not_wait_for_a_slow_broker_and_rings_meanwhile_become_one() -> None:
    """While one message is on its way, any number of rings ask for one more."""
    on_its_way, let_go, published = threading.Event(), threading.Event(), threading.Semaphore(0)

    def publish() -> None:
        on_its_way.set()
        assert let_go.wait(SOON)
        published.release()

    ringer = doorbell.DoorbellSender(publish)
    ringer.request()
    assert on_its_way.wait(SOON)
    for _ in range(10):
        ringer.request()
    let_go.set()
    assert published.acquire(timeout=SOON)
    assert published.acquire(timeout=SOON)
    assert not published.acquire(timeout=0.1)


def test_a_broker_that_fails_does_not_end_the_ringing() -> None:
    """The next ring is tried again."""
    tried = threading.Semaphore(0)

    def publish() -> None:
        tried.release()
        raise OSError("no broker")

    ringer = doorbell.DoorbellSender(publish)
    ringer.request()
    assert tried.acquire(timeout=SOON)
    ringer.request()
    assert tried.acquire(timeout=SOON)


def test_only_who_finds_no_doorbell_rings(redis_url: str) -> None:
    """The second ring is silent until somebody silences the first; an unconditional one never is."""
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


def test_a_drain_asks_for_help_once(redis_url: str) -> None:
    """Full batch after full batch rings for one more drain, not for one each."""
    broker = f"redis+socket://{redis_url.removeprefix('unix://')}"
    with Redis.from_url(redis_url) as client, Celery("test", broker=broker) as app:
        doorbell.send_for_second_drain(client, app)
        doorbell.send_for_second_drain(client, app)
        assert client.llen("drain") == 1
