"""Celery's clock rings where nobody else does, and never lets messages pile up."""

from collections.abc import Iterator

import pytest
from celery.beat import ScheduleEntry
from redis import Redis

from settings import get_settings
from workers.runtime.beat import MOST_WAITING, DoorbellScheduler
from workers.runtime.redis_keys import DOORBELL

RING = {"queue": "drain"}


@pytest.fixture
def beat(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[DoorbellScheduler]:
    """A clock at a real Valkey; the application is made anew, as it reads the settings when it is made."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    get_settings.cache_clear()
    from workers.celery import app  # noqa: PLC0415 -- after the settings were set

    yield DoorbellScheduler(app=app, lazy=True)
    get_settings.cache_clear()


def _entry(beat: DoorbellScheduler, name: str, queue: str) -> ScheduleEntry:
    return ScheduleEntry(name=name, task="workers.tasks.any", schedule=1.0, options={"queue": queue}, app=beat.app)


def test_it_rings_once_and_not_again_while_the_ring_lasts(beat: DoorbellScheduler, redis_url: str) -> None:
    """Through the same key as the receiver."""
    ring = _entry(beat, "ring", "drain")
    assert beat._wanted(ring)
    assert not beat._wanted(ring)
    with Redis.from_url(redis_url) as redis:
        redis.delete(DOORBELL)
    assert beat._wanted(ring)


def test_it_holds_back_while_messages_wait_for_a_worker(beat: DoorbellScheduler, redis_url: str) -> None:
    """A worker that was away for a night finds a handful of messages, not thousands."""
    refetch = _entry(beat, "refetch", "followups")
    assert beat._wanted(refetch)
    with Redis.from_url(redis_url) as redis:
        redis.rpush("followups", *["message"] * MOST_WAITING)
    assert not beat._wanted(refetch)


def test_a_message_that_is_held_back_is_due_again(beat: DoorbellScheduler, redis_url: str) -> None:
    """The clock goes on: nothing is sent, and the entry's turn comes again."""
    with Redis.from_url(redis_url) as redis:
        redis.set(DOORBELL, "1")
        entry = _entry(beat, "ring", "drain")
        beat.schedule[entry.name] = entry
        beat.apply_async(entry)
        assert redis.llen("drain") == 0


def test_a_redis_that_is_away_does_not_stop_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is Celery that says so, when it sends."""
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    get_settings.cache_clear()
    from workers.celery import app  # noqa: PLC0415 -- as above

    beat = DoorbellScheduler(app=app, lazy=True)
    assert beat._wanted(_entry(beat, "ring", "drain"))
    get_settings.cache_clear()
