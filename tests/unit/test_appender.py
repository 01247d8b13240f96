"""The appender, with a real Valkey."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from redis import Redis

from tests import valkey_server as valkey
from workers.inbox import appender as appender_module
from workers.inbox.appender import FLUSH_SECONDS, RESPONSE_SECONDS, Appender, InboxRefusedError
from workers.runtime import counters
from workers.runtime.redis_clients import loop_client
from workers.runtime.redis_keys import DOORBELL, INBOX

T = TypeVar("T")

# Seconds that a loaded machine may add to any limit.
SLACK = 1.0


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[valkey.ValkeyServer]:
    """A Valkey that the test may kill."""
    with valkey.run_server(tmp_path) as server:
        yield server


def entries(url: str) -> list[tuple[str, dict[bytes, bytes]]]:
    with Redis.from_url(url) as client:
        found: Any = client.xrange(INBOX)
        return [(entry_id.decode(), fields) for entry_id, fields in found]


def test_the_returned_id_is_that_of_the_entry(redis_url: str) -> None:
    """The entry contains the raw bytes and the time of arrival in milliseconds."""

    async def scenario(appender: Appender) -> str:
        return await append(appender, b"\x00\xff raw", received_at=1700000000.1239)

    entry_id = run(redis_url, scenario)
    assert entries(redis_url) == [(entry_id, {b"t": b"1700000000123", b"b": b"\x00\xff raw"})]


def test_notifications_that_wait_at_the_same_time_share_one_round_trip(redis_url: str) -> None:
    """Fifty at once take at most two script calls: the first may be sent alone."""

    async def scenario(appender: Appender) -> list[str]:
        return await asyncio.gather(*(append(appender, b"%d" % number) for number in range(50)))

    before = scripts_run(redis_url)
    ids = run(redis_url, scenario)
    assert len(set(ids)) == 50
    assert [fields[b"b"] for _, fields in entries(redis_url)] == [b"%d" % number for number in range(50)]
    # One more call may have written the counters at the end.
    assert scripts_run(redis_url) - before <= 3


def test_the_doorbell_is_sent_once_until_its_key_is_deleted(redis_url: str) -> None:
    """An append that finds the key set sends no message."""
    doorbells: list[None] = []

    async def scenario(appender: Appender) -> None:
        await append(appender, b"1")
        await append(appender, b"2")
        with Redis.from_url(redis_url) as client:
            assert client.pttl(DOORBELL) > 0
            client.delete(DOORBELL)
        await append(appender, b"3")

    run(redis_url, scenario, lambda: doorbells.append(None))
    assert len(doorbells) == 2


def test_counters_are_written_with_the_entries(redis_url: str) -> None:
    """They are in Redis with the next batch, and after the close."""

    async def scenario(appender: Appender) -> dict[str, float]:
        counters.count(appender.pending_counts, counters.REFUSED, reason="signature")
        await asyncio.gather(append(appender, b"1"), append(appender, b"2"))
        with Redis.from_url(redis_url) as client:
            counts = counters.read(client)
        counters.count(appender.pending_counts, counters.ACCEPTED, 2)
        return counts

    counts = run(redis_url, scenario)
    assert counts == {counters.APPENDED: 2.0, counters.field(counters.REFUSED, reason="signature"): 1.0}
    with Redis.from_url(redis_url) as client:
        assert counters.read(client)[counters.ACCEPTED] == 2.0


def test_an_error_reply_of_redis_refuses_the_notification_and_is_not_quoted(redis_url: str) -> None:
    """It becomes an InboxRefusedError that contains only the code of the reply."""
    with Redis.from_url(redis_url) as client:
        client.set(INBOX, "not a stream")

    async def scenario(appender: Appender) -> None:
        with pytest.raises(InboxRefusedError) as caught:
            await append(appender, b"secret body")
        assert "secret" not in str(caught.value)
        assert caught.value.retry_after_seconds > 0

    run(redis_url, scenario)


def test_a_full_redis_refuses_until_it_has_memory_again(redis_url: str) -> None:
    """Above its memory limit Redis accepts neither entries nor the probe's write."""

    async def scenario(appender: Appender) -> None:
        with Redis.from_url(redis_url) as client:
            client.config_set("maxmemory", "1")
            try:
                with pytest.raises(InboxRefusedError):
                    await append(appender, b"1")
                await asyncio.sleep(2 * appender_module.PROBE_SECONDS_AFTER_FAILURE)
                with pytest.raises(InboxRefusedError):
                    await append(appender, b"2")
            finally:
                client.config_set("maxmemory", "256mb")
        await until_accepted(appender, b"3")

    run(redis_url, scenario)
    assert [fields[b"b"] for _, fields in entries(redis_url)] == [b"3"]


def test_after_one_failure_all_are_refused_at_once_until_a_probe_succeeds(own_valkey: valkey.ValkeyServer) -> None:
    """No request waits for a Redis that does not work, and the appender recovers without a restart."""

    async def scenario(appender: Appender) -> None:
        await append(appender, b"before")
        own_valkey.kill()
        counters.count(appender.pending_counts, counters.REFUSED, reason="during the outage")
        with pytest.raises(InboxRefusedError):
            await append(appender, b"lost")
        started = time.monotonic()
        for _ in range(100):
            with pytest.raises(InboxRefusedError):
                await append(appender, b"refused")
        assert time.monotonic() - started < 0.2
        await asyncio.to_thread(own_valkey.start)
        await until_accepted(appender, b"after")

    run(own_valkey.url, scenario)
    assert [fields[b"b"] for _, fields in entries(own_valkey.url)] == [b"before", b"after"]
    with Redis.from_url(own_valkey.url) as client:
        assert counters.read(client)[counters.field(counters.REFUSED, reason="during the outage")] == 1.0


def test_while_redis_hangs_notifications_are_refused_within_the_time_of_one_batch(
    own_valkey: valkey.ValkeyServer,
) -> None:
    """Those in the batch and those that wait behind it are refused together, later ones at once."""

    async def scenario(appender: Appender) -> float:
        await append(appender, b"before")
        os.kill(own_valkey.pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            first = asyncio.ensure_future(append(appender, b"1"))
            await asyncio.sleep(FLUSH_SECONDS / 2)
            results = await asyncio.gather(first, append(appender, b"2"), return_exceptions=True)
            assert [type(result) for result in results] == [InboxRefusedError, InboxRefusedError]
            waited = time.monotonic() - started
            with pytest.raises(InboxRefusedError):
                await append(appender, b"3")
            assert time.monotonic() - started - waited < FLUSH_SECONDS / 2
            return waited
        finally:
            os.kill(own_valkey.pid, signal.SIGCONT)
            entry_id = await until_accepted(appender, b"after")
            # A late reply to an earlier batch must not be taken for the reply to this one.
            assert dict(entries(own_valkey.url))[entry_id][b"b"] == b"after"

    assert run(own_valkey.url, scenario) < FLUSH_SECONDS + SLACK


def test_a_notification_close_to_its_deadline_is_refused_without_being_sent(redis_url: str) -> None:
    """If a whole round trip does not fit before the deadline, the response would be too late."""

    async def scenario(appender: Appender) -> None:
        late = asyncio.get_running_loop().time() + FLUSH_SECONDS / 2
        done = appender.append(b"late", time.time(), late)
        await append(appender, b"in time")
        with pytest.raises(InboxRefusedError):
            await done

    run(redis_url, scenario)
    assert [fields[b"b"] for _, fields in entries(redis_url)] == [b"in time"]


def test_too_much_waiting_is_refused(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes that wait in the process are limited; those that were sent no longer count."""
    monkeypatch.setattr(appender_module, "MAX_WAITING_BYTES", 10)

    async def scenario(appender: Appender) -> None:
        first = append(appender, b"12345678")
        task = asyncio.ensure_future(first)
        await asyncio.sleep(0)
        with pytest.raises(InboxRefusedError, match="too much"):
            appender.append(b"12345678", time.time(), asyncio.get_running_loop().time() + RESPONSE_SECONDS)
        await task
        await append(appender, b"12345678")

    run(redis_url, scenario)


def test_a_cancelled_request_does_not_affect_the_others(redis_url: str) -> None:
    """Its entry stays in the inbox, and the others get their ids."""

    async def scenario(appender: Appender) -> None:
        gone = asyncio.ensure_future(append(appender, b"gone"))
        stays = asyncio.ensure_future(append(appender, b"stays"))
        await asyncio.sleep(0)
        gone.cancel()
        await stays

    run(redis_url, scenario)
    assert [fields[b"b"] for _, fields in entries(redis_url)] == [b"gone", b"stays"]


async def append(appender: Appender, body: bytes, received_at: float = 1.0) -> str:
    deadline = asyncio.get_running_loop().time() + RESPONSE_SECONDS
    return await appender.append(body, received_at, deadline)


async def until_accepted(appender: Appender, body: bytes) -> str:
    """Append until a notification is accepted, which must not take long."""
    async with asyncio.timeout(FLUSH_SECONDS + appender_module.PROBE_SECONDS_AFTER_FAILURE + 2 * SLACK):
        while True:
            try:
                return await append(appender, body)
            except InboxRefusedError:
                await asyncio.sleep(0.05)


def run(url: str, scenario: Callable[[Appender], Awaitable[T]], send_doorbell: Callable[[], None] = lambda: None) -> T:
    async def main() -> T:
        async with open_for(url, send_doorbell) as appender:
            return await scenario(appender)

    return asyncio.run(main())


@asynccontextmanager
async def open_for(url: str, send_doorbell: Callable[[], None]) -> AsyncIterator[Appender]:
    appender = Appender(loop_client(url), send_doorbell)
    try:
        yield appender
    finally:
        await appender.close()


def scripts_run(url: str) -> int:
    with Redis.from_url(url) as client:
        stats: Any = client.info("commandstats")
        return int(stats.get("cmdstat_evalsha", {}).get("calls", 0))
