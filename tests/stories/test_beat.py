"""Celery beat sends the doorbell when no other process did, and never lets messages pile up."""

from collections.abc import Iterator

import pytest
from celery.beat import ScheduleEntry
from redis import Redis

from settings import get_settings
from workers.runtime.beat import MAX_QUEUED_MESSAGES, DoorbellScheduler
from workers.runtime.redis_keys import DOORBELL
from workers.runtime.task_names import DRAIN_TASK, QUEUES, REFETCH_TASK


@pytest.fixture
def scheduler(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[DoorbellScheduler]:
    """A scheduler that uses a real Valkey."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    get_settings.cache_clear()
    from workers.celery import app  # noqa: PLC0415 -- it reads the settings when it is imported

    yield DoorbellScheduler(app=app, lazy=True)
    get_settings.cache_clear()


def _entry(scheduler: DoorbellScheduler, task: str) -> ScheduleEntry:
    return ScheduleEntry(name=task, task=task, schedule=1.0, options={"queue": QUEUES[task]}, app=scheduler.app)


def test_the_doorbell_is_sent_once_while_its_key_is_set(scheduler: DoorbellScheduler, redis_url: str) -> None:
    """The key is the one that the receiver sets."""
    doorbell = _entry(scheduler, DRAIN_TASK)
    assert scheduler._is_needed(doorbell)
    assert not scheduler._is_needed(doorbell)
    with Redis.from_url(redis_url) as redis:
        redis.delete(DOORBELL)
    assert scheduler._is_needed(doorbell)


def test_nothing_is_sent_while_messages_wait_for_a_worker(scheduler: DoorbellScheduler, redis_url: str) -> None:
    """A worker that was stopped for a night finds a handful of messages, not thousands."""
    refetch = _entry(scheduler, REFETCH_TASK)
    assert scheduler._is_needed(refetch)
    with Redis.from_url(redis_url) as redis:
        redis.rpush("followups", *["message"] * MAX_QUEUED_MESSAGES)
    assert not scheduler._is_needed(refetch)


def test_a_skipped_message_is_due_again(scheduler: DoorbellScheduler, redis_url: str) -> None:
    """The schedule advances: nothing is sent, and the entry stays in it."""
    with Redis.from_url(redis_url) as redis:
        redis.set(DOORBELL, "1")
        entry = _entry(scheduler, DRAIN_TASK)
        scheduler.schedule[entry.name] = entry
        scheduler.apply_async(entry)
        assert redis.llen("drain") == 0


def test_an_unreachable_redis_does_not_stop_the_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery itself logs the failure when it sends."""
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    get_settings.cache_clear()
    from workers.celery import app  # noqa: PLC0415 -- as above

    scheduler = DoorbellScheduler(app=app, lazy=True)
    assert scheduler._is_needed(_entry(scheduler, DRAIN_TASK))
    get_settings.cache_clear()
