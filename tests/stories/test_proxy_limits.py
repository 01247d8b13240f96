"""The proxy when Intercom does not respond, responds too long or is rate-limited; and when a token stops being used."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest

from intercom_api.http import passthrough
from intercom_api.rate_limit import governor
from intercom_api.rate_limit.lanes import RETRY_POLICIES, Lane, RetryPolicy
from models.db.engine import transaction
from models.queries import connection_rows
from settings import get_settings
from tests.stories.api_user import ApiUser, problem
from tests.stories.conftest import EmulatedIntercom
from tests.stories.connect_site import forget_process, rows
from webhooks.api import access_cache
from workers.connections import registry
from workers.runtime import process_resources


@pytest.fixture
def user(sqlite_site: EmulatedIntercom) -> ApiUser:
    """A user who is connected to one workspace."""
    assert sqlite_site
    return ApiUser("u-1", "demo0001")


class _Faulty(BaseHTTPRequestHandler):
    """An Intercom that closes the connection, truncates its response or sends too much, depending on the path."""

    def do_GET(self) -> None:
        if self.path == "/mute":
            self.close_connection = True
            return
        length = passthrough.MAX_PARSED_BYTES + 1 if self.path == "/long" else 10
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length + (self.path == "/broken")))
        self.end_headers()
        self.wfile.write(b" " * length)

    do_POST = do_GET  # noqa: N815 -- the library's way to name it

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def faulty(user: ApiUser, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Send calls to that Intercom."""
    assert user
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Faulty)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("INTERCOM_API_URL", f"http://127.0.0.1:{server.server_port}")
    forget_process()
    yield
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("faulty")
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/mute", "/broken"])
def test_a_lost_response_has_an_unknown_outcome(user: ApiUser, method: str, path: str) -> None:
    """504: the outcome is unknown, and the proxy does not repeat the call by itself."""
    answer = user.proxy(method, path)
    assert (answer.status_code, problem(answer)) == (504, "no-answer")
    assert "is unknown" in answer.json["detail"]  # type: ignore[index]
    assert int(answer.headers["Retry-After"]) >= 1


@pytest.mark.usefixtures("faulty")
def test_an_endless_response_is_cut_off(user: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    """By size and by time."""
    answer = user.proxy("GET", "/long")
    assert (answer.status_code, problem(answer)) == (502, "answer-too-long")
    monkeypatch.setattr(passthrough, "TOTAL_TIMEOUT_SECONDS", 0.0)
    answer = user.proxy("GET", "/late")
    assert (answer.status_code, problem(answer)) == (502, "answer-too-long")


def test_a_call_needs_a_slot_of_the_rate_limit(
    user: ApiUser, sqlite_site: EmulatedIntercom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If others use it up, the response has Retry-After, and Intercom is not called."""
    monkeypatch.setitem(RETRY_POLICIES, Lane.INTERACTIVE, RetryPolicy(0.0, 10.0, 1))
    app, workspace_id = get_settings().client_id, "demo0001"
    governor.Governor(process_resources.redis()).record_response(app, workspace_id, {"Retry-After": "7"}, refused=True)
    calls = sum(sqlite_site.intercom.workspace_apis[workspace_id].calls.values())
    answer = user.proxy("GET", "/me")
    assert (answer.status_code, problem(answer)) == (429, "not-now")
    assert 5 <= int(answer.headers["Retry-After"]) <= 7
    assert sum(sqlite_site.intercom.workspace_apis[workspace_id].calls.values()) == calls


def test_the_rate_limit_headers_are_recorded(user: ApiUser) -> None:
    """Each forwarded call is counted in the shared account."""
    assert user.proxy("GET", "/me").status_code == 200
    account: dict[Any, Any] = process_resources.redis().hgetall(
        f"{governor.KEY_PREFIX}:{get_settings().client_id}:demo0001"
    )
    assert int(account[b"own"]) >= 1
    assert int(account[b"limit"]) > 1
    # The slot of the next call.
    assert int(account[b"o:" + account[b"seq"]]) == 1


def test_a_disconnect_by_another_process_takes_effect_within_a_second(
    user: ApiUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The access cache keeps an entry for a second at most."""
    now = [1000.0]
    monkeypatch.setattr("webhooks.api.access_cache.time", SimpleNamespace(monotonic=lambda: now[0]))
    assert user.proxy("GET", "/me").status_code == 200
    [(fingerprint,)] = rows("SELECT fingerprint FROM connections")
    with transaction(process_resources.engine()) as connection:
        connection_rows.disconnect(connection, "demo0001", [fingerprint], "user", datetime.now(UTC))
    now[0] += access_cache.ENTRY_SECONDS + 0.01
    answer = user.proxy("GET", "/me")
    assert (answer.status_code, problem(answer)) == (409, "not-connected")


def test_a_replaced_token_is_no_longer_used(user: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process connected the same user again: a second later the new token is used."""
    now = [1000.0]
    monkeypatch.setattr("webhooks.api.access_cache.time", SimpleNamespace(monotonic=lambda: now[0]))
    used: list[str] = []
    real = passthrough.prepare_request

    def prepared(*given: Any) -> Any:
        made = real(*given)
        used.append(made.headers["Authorization"])
        return made

    monkeypatch.setattr(passthrough, "prepare_request", prepared)
    assert user.proxy("GET", "/me").status_code == 200
    before = registry.change_count()
    ApiUser("u-1", "demo0001")
    # As if another process had done it.
    registry._changes[0] = before
    now[0] += access_cache.ENTRY_SECONDS + 0.01
    assert user.proxy("GET", "/me").status_code == 200
    assert len(used) == 2
    assert used[0] != used[1]
