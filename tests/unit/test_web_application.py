"""The Flask application without a server."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from intercom_api.wire.signatures import sign
from models.db.migrate import upgrade
from settings import get_settings
from webhooks.app import create_app
from webhooks.intercom import notifications
from webhooks.operations import health
from webhooks.serving.request_body import read_whole_body
from webhooks.serving.responses import RefusalError
from workers.inbox.appender import RESPONSE_SECONDS, open_appender
from workers.runtime.counters import count
from workers.runtime.redis_keys import INBOX

SECRET = "one-secret"
OLD_SECRET = "the-secret-before"


class LoopInbox:
    """What the server gives the view: an appender, whose loop runs in a thread here; `append` waits for the entry."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._appender = asyncio.run_coroutine_threadsafe(open_appender(), self._loop).result(RESPONSE_SECONDS)

    def append(self, body: bytes) -> str:
        return asyncio.run_coroutine_threadsafe(self._append(body, time.time()), self._loop).result()

    def count(self, name: str, **labels: str) -> None:
        self._loop.call_soon_threadsafe(lambda: count(self._appender.pending_counts, name, 1, **labels))

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._appender.close(), self._loop).result(RESPONSE_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _append(self, body: bytes, received_at: float) -> str:
        return await self._appender.append(body, received_at, self._loop.time() + RESPONSE_SECONDS)


@pytest.fixture
def inbox(app_redis_url: str) -> Iterator[LoopInbox]:
    """The inbox in the Valkey of the settings."""
    assert app_redis_url
    made = LoopInbox()
    yield made
    made.close()


def post(inbox: LoopInbox, body: bytes, secret: str = SECRET) -> Any:
    environ = {notifications.INBOX_KEY: inbox}
    client = create_app().test_client()
    return client.post(notifications.PATH, data=body, headers=signature(body, secret), environ_overrides=environ)


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
def test_a_signed_body_is_in_the_inbox(app_redis_url: str, inbox: LoopInbox, secret: str) -> None:
    """Any of the configured secrets may have signed it."""
    body = b'{"any": "body"}'
    answer = post(inbox, body, secret)
    assert (answer.status_code, answer.data) == (200, b"")
    assert bodies(app_redis_url) == [body]


def test_a_refusal_by_redis_is_a_503(app_redis_url: str, inbox: LoopInbox) -> None:
    """Nothing is acknowledged, and the response contains the time of the next attempt."""
    with Redis.from_url(app_redis_url) as client:
        client.set(INBOX, "not a stream")
        answer = post(inbox, b"1")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        client.delete(INBOX)
        wait_until_accepted(inbox)


def test_a_bug_is_a_503_and_the_log_does_not_quote_the_body(
    app_redis_url: str, inbox: LoopInbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing was acknowledged, so Intercom must send it again; the message of the error may contain the body."""

    def mistake(_environ: object, _max_bytes: int) -> bytes:
        raise ValueError("secret body")

    monkeypatch.setattr(notifications, "read_whole_body", mistake)
    answer = post(inbox, b"1")
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    printed = "".join(capsys.readouterr())
    assert "ValueError at test_web_application.py" in printed
    assert "secret body" not in printed + answer.text
    assert bodies(app_redis_url) == []


def test_alive_needs_no_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """/healthz responds without Redis and SQL."""
    monkeypatch.setattr(health, "_CHECKS", {"broken": lambda: 1 / 0})
    assert create_app().test_client().get("/healthz").json == {"status": "alive"}


@pytest.mark.usefixtures("app_redis_url")
def test_ready_when_all_checks_pass(tmp_path: Path) -> None:
    """Redis, an inbox that is drained, and tables of this version: 200, with what Redis guarantees."""
    upgrade(f"sqlite:///{tmp_path}/mirror.db")
    status, result = readiness()
    assert (status, result["status"]) == (200, "ready")
    assert "on disk" in result["checks"]["redis"]["detail"]


def test_not_ready_when_the_oldest_entry_waits_for_more_than_a_minute(app_redis_url: str) -> None:
    """A worker that hangs shows in the inbox."""
    with Redis.from_url(app_redis_url) as client:
        client.xadd(INBOX, {"b": "{}", "t": "0"}, id=f"{int((time.time() - 61) * 1000)}-0")
    status, result = readiness()
    assert status == 503
    assert result["checks"]["inbox"] == {
        "ok": False,
        "detail": "1 notifications waiting, the oldest for 61 s. Check that a worker is running.",
    }


@pytest.mark.usefixtures("app_redis_url")
def test_not_ready_without_tables() -> None:
    """The response names the command that creates them."""
    status, result = readiness()
    assert status == 503
    assert "intercom-mirror db upgrade" in result["checks"]["sql"]["detail"]


def test_a_redis_that_may_lose_entries_is_reported(app_redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With REQUIRE_DURABLE_INBOX it is an error."""
    with Redis.from_url(app_redis_url) as client:
        client.config_set("appendfsync", "everysec")
        try:
            lenient = readiness()[1]["checks"]["redis"]
            monkeypatch.setenv("REQUIRE_DURABLE_INBOX", "1")
            get_settings.cache_clear()
            strict = readiness()[1]["checks"]["redis"]
        finally:
            client.config_set("appendfsync", "always")
    assert (lenient["ok"], strict["ok"]) == (True, False)
    assert "appendfsync" in lenient["detail"] == strict["detail"]


def test_receiving_loads_no_sql() -> None:
    """A process that only receives needs neither a database nor the memory of SQLAlchemy."""
    code = "import sys, webhooks.server; sys.exit('sqlalchemy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("length", ["", "x", "-1", "+1", "1_0", " 1", "1 ", "0x1", "\u0661", "1,1", "1.0"])
def test_a_length_that_is_not_a_number_is_refused(length: str) -> None:
    """Python's int() would accept some of them."""
    with pytest.raises(RefusalError):
        read_whole_body({"CONTENT_LENGTH": length}, 100)


def signature(body: bytes, secret: str) -> dict[str, str]:
    return {"X-Hub-Signature": sign(body, secret)}


def bodies(url: str) -> list[bytes]:
    with Redis.from_url(url) as client:
        entries: Any = client.xrange(INBOX)
        return [fields[b"b"] for _, fields in entries]


def readiness() -> tuple[int, dict[str, Any]]:
    answer = create_app().test_client().get("/readyz")
    result: Any = answer.json
    return answer.status_code, result


def wait_until_accepted(inbox: LoopInbox) -> None:
    deadline = time.monotonic() + 5
    while True:
        answer = post(inbox, b"2")
        if answer.status_code == 200:
            return
        assert time.monotonic() < deadline
        time.sleep(0.05)
