"""The real web process while senders are slow, Redis fails, and processes are killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis import Redis

from tests import valkey_server as valkey
from tests.web_process import Answer, WebProcess, notification, running, signed
from workers.inbox.appender import RESPONSE_SECONDS
from workers.runtime.redis_keys import INBOX

BODY = b'{"type":"notification_event","topic":"ping"}'

# Seconds that a loaded machine may add to any of our limits.
SLACK = 1.0

# Slow or idle connections that the product must cope with, as its documentation promises.
SLOW_CLIENTS = 500


@pytest.fixture(scope="module")
def shared_web(valkey_server: valkey.ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    """A web process that no test kills."""
    with running(tmp_path_factory.mktemp("web"), valkey_server.url) as process:
        yield process


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[valkey.ValkeyServer]:
    """A Valkey that the test may kill."""
    (tmp_path / "valkey").mkdir()
    with valkey.run_server(tmp_path / "valkey") as server:
        yield server


@pytest.fixture
def web(own_valkey: valkey.ValkeyServer, tmp_path: Path) -> Iterator[WebProcess]:
    """A web process that the test may kill."""
    with running(tmp_path, own_valkey.url) as process:
        yield process


def bodies(url: str) -> list[bytes]:
    with Redis.from_url(url) as client:
        entries: Any = client.xrange(INBOX)
        return [fields[b"b"] for _, fields in entries]


HALF_OPEN = {
    "connections without a byte": b"",
    "headers without an end": signed(BODY)[:60],
    "bodies without an end": signed(BODY)[:-5],
    "large bodies without an end": notification(b"x", "Content-Length: 1000000"),
}


@pytest.mark.parametrize("beginning", HALF_OPEN.values(), ids=HALF_OPEN.keys())
def test_a_request_takes_less_than_a_second_with_500_half_open_senders(
    shared_web: WebProcess, beginning: bytes
) -> None:
    """Connections that never finish, and no proxy in front of the process."""
    with ExitStack() as stack:
        for _ in range(SLOW_CLIENTS):
            stack.enter_context(shared_web.connect()).sendall(beginning)
        for _ in range(10):
            response = shared_web.post(BODY)
            assert response.status == 200
            assert response.seconds < 1.0
        alive = shared_web.get("/healthz")
        assert (alive.status, alive.seconds < 1.0) == (200, True)


def test_a_request_takes_less_than_a_second_with_500_slow_senders(shared_web: WebProcess) -> None:
    """Connections that send a byte of their body now and then, until they are refused as too slow."""
    request = notification(b"", "Content-Length: 1000")
    with ExitStack() as stack:
        slow = [stack.enter_context(shared_web.connect()) for _ in range(SLOW_CLIENTS)]
        for connection in slow:
            connection.sendall(request)
        started = time.monotonic()
        while time.monotonic() - started < 1.5:
            for connection in slow:
                with suppress(OSError):
                    connection.sendall(b"x")
            response = shared_web.post(BODY)
            assert (response.status, response.seconds < 1.0) == (200, True)
        assert {connection.recv(12) for connection in slow} == {b"HTTP/1.1 400"}


def test_a_sender_that_disconnects_does_no_harm(shared_web: WebProcess, redis_url: str) -> None:
    """Inside a body, or right after a complete one."""
    for _ in range(20):
        with shared_web.connect() as connection:
            connection.sendall(signed(BODY)[:-5])
        with shared_web.connect() as connection:
            connection.sendall(signed(BODY))
    assert shared_web.post(BODY).status == 200
    assert set(bodies(redis_url)) == {BODY}


def test_an_unreachable_redis_is_a_503_in_time_and_recovers_by_itself(
    web: WebProcess, own_valkey: valkey.ValkeyServer
) -> None:
    """Every sender gets its 503 within three seconds; everything that got a 200 is in the inbox afterwards."""
    assert web.post(b"before").status == 200
    own_valkey.kill()
    for _ in range(5):
        check_refused(web.post(b"meanwhile"))
    assert web.get("/healthz").status == 200
    assert web.get("/readyz").status == 503
    own_valkey.start()
    check_accepted_soon(web, b"after")
    assert bodies(own_valkey.url) == [b"before", b"after"]


def test_a_hanging_redis_is_a_503_in_time_for_all_senders(web: WebProcess, own_valkey: valkey.ValkeyServer) -> None:
    """Twenty senders at once, and those after them, get it within three seconds of their arrival."""
    assert web.post(b"before").status == 200
    os.kill(own_valkey.pid, signal.SIGSTOP)
    try:
        for response in at_once(20, lambda: web.post(b"meanwhile")):
            check_refused(response)
        check_refused(web.post(b"meanwhile"))
        assert web.get("/healthz").status == 200
    finally:
        os.kill(own_valkey.pid, signal.SIGCONT)
    check_accepted_soon(web, b"after")


def test_a_full_redis_is_a_503_and_recovers_by_itself(web: WebProcess, own_valkey: valkey.ValkeyServer) -> None:
    """Above its memory limit Redis evicts nothing: notifications are refused until there is memory."""
    with Redis.from_url(own_valkey.url) as client:
        client.config_set("maxmemory", "1")
        check_refused(web.post(b"meanwhile"))
        client.config_set("maxmemory", "256mb")
    check_accepted_soon(web, b"after")
    assert bodies(own_valkey.url) == [b"after"]


def test_what_got_a_200_survives_the_kill_of_all_processes(web: WebProcess, own_valkey: valkey.ValkeyServer) -> None:
    """Valkey and the web process are killed under load: every body that got a 200 is in the inbox afterwards."""
    acknowledged: set[bytes] = set()
    stop = threading.Event()

    def send(sender: int) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            body = f"{sender}/{number}".encode()
            with suppress(OSError):
                if web.post(body).status == 200:
                    acknowledged.add(body)

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(8)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(acknowledged) > 200)
        own_valkey.kill()
        own_valkey.start()
        so_far = len(acknowledged)
        wait_until(lambda: len(acknowledged) > so_far + 100)
        own_valkey.kill()
        web.kill()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    own_valkey.start()
    assert acknowledged - set(bodies(own_valkey.url)) == set()


def test_a_killed_server_process_is_replaced(web: WebProcess) -> None:
    """New connections wait in the backlog for its successor."""
    first = web.serving.pid
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: web.post(BODY).status == 200)
    assert web.serving.pid != first


def test_a_killed_parent_leaves_no_server_running(web: WebProcess) -> None:
    """Otherwise the next start would find the port in use."""
    child = web.serving
    assert web.process is not None
    web.process.kill()
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_a_closed_log_changes_nothing(web: WebProcess) -> None:
    """The process accepts, refuses and stops as before after the reader of its log has exited."""
    web.stop()
    read_end, write_end = os.pipe()
    web.start(write_end)
    os.close(write_end)
    os.close(read_end)
    assert web.post(BODY).status == 200
    assert web.ask(notification(BODY, f"Content-Length: {len(BODY)}")).status == 401
    test_a_killed_parent_leaves_no_server_running(web)


def test_a_stop_completes_running_requests_and_does_not_wait_for_idle_connections(
    web: WebProcess, own_valkey: valkey.ValkeyServer
) -> None:
    """After SIGTERM the running request gets its response, and the process exits soon."""
    with ExitStack() as stack:
        for beginning in HALF_OPEN.values():
            stack.enter_context(web.connect()).sendall(beginning)
        os.kill(own_valkey.pid, signal.SIGSTOP)
        busy = stack.enter_context(web.connect())
        busy.sendall(signed(BODY))
        time.sleep(0.1)  # Until the request is on its way to the hanging Valkey.
        resume = threading.Timer(0.3, os.kill, (own_valkey.pid, signal.SIGCONT))
        resume.start()
        seconds = web.stop()
        resume.join()
        assert busy.recv(12) == b"HTTP/1.1 200"
    assert seconds < 10.0
    assert bodies(own_valkey.url) == [BODY]


@pytest.mark.usefixtures("redis_url")
def test_the_operations_pages_show_what_happened(shared_web: WebProcess) -> None:
    """/metrics counts requests; /readyz is a 503 while the tables are missing."""
    shared_web.post(BODY)
    shared_web.ask(notification(BODY, f"Content-Length: {len(BODY)}"))
    wait_until(lambda: 'intercom_mirror_refused_total{reason="signature"} 1.0' in shared_web.get("/metrics").body)
    page = shared_web.get("/metrics").body
    assert "intercom_mirror_accepted_total 1.0" in page
    assert "intercom_mirror_appended_total 1.0" in page
    assert "intercom_mirror_inbox_depth 1.0" in page
    ready = shared_web.get("/readyz")
    assert ready.status == 503
    assert "intercom-mirror db upgrade" in ready.body


@pytest.mark.usefixtures("redis_url")
def test_endless_large_bodies_delay_only_large_ones(shared_web: WebProcess) -> None:
    """While the memory for large bodies is used up, a large one gets a 503, and a small one is accepted."""
    large = b"x" * 1_048_576
    with ExitStack() as stack:
        for _ in range(64):
            stack.enter_context(shared_web.connect()).sendall(notification(b"x", f"Content-Length: {len(large)}"))
        wait_until(lambda: shared_web.post(large).status == 503)
        assert shared_web.post(BODY).status == 200
    wait_until(lambda: shared_web.post(large).status == 200)


def test_with_require_durable_inbox_a_redis_without_fsync_prevents_the_start(
    shared_web: WebProcess, tmp_path: Path
) -> None:
    """The message names the setting of Redis to change."""
    with Redis.from_url(shared_web.redis_url) as client:
        client.config_set("appendfsync", "everysec")
        try:
            started = start_another(tmp_path, shared_web, REQUIRE_DURABLE_INBOX="1")
        finally:
            client.config_set("appendfsync", "always")
    assert started.returncode != 0
    assert "Set appendfsync to always" in started.stderr.decode()


def test_a_port_in_use_is_a_message_and_an_exit_code(shared_web: WebProcess, tmp_path: Path) -> None:
    """A second process on the same port exits."""
    second = start_another(tmp_path, shared_web, PORT=str(shared_web.port))
    assert second.returncode != 0
    assert str(shared_web.port) in second.stderr.decode()


def start_another(directory: Path, web: WebProcess, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Start one more web process, which is expected to exit."""
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "REDIS_URL": web.redis_url, "PYTHONPATH": root, **variables}
    command = [sys.executable, "-m", "webhooks"]
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, timeout=30, check=False)


def check_refused(response: Answer) -> None:
    assert response.status == 503
    assert int(response.headers["retry-after"]) > 0
    assert response.seconds < RESPONSE_SECONDS


def check_accepted_soon(web: WebProcess, body: bytes) -> None:
    """Wait until a notification is accepted, which must not take longer than a few seconds."""
    wait_until(lambda: web.post(body).status == 200)


def at_once(number: int, send: Callable[[], Answer]) -> list[Answer]:
    responses: list[Answer] = []
    threads = [threading.Thread(target=lambda: responses.append(send())) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(responses) == number
    return responses


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition_or_oserror(condition):
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.05)


def condition_or_oserror(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except OSError:
        return False
