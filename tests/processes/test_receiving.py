"""The real web process while senders are slow, Redis fails, and processes die."""

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

# Connections that do nothing good; the number is a promise of the design.
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
def test_half_open_senders_leave_a_good_request_under_a_second(shared_web: WebProcess, beginning: bytes) -> None:
    """500 connections that never finish, and nothing in front of the process."""
    with ExitStack() as stack:
        for _ in range(SLOW_CLIENTS):
            stack.enter_context(shared_web.connect()).sendall(beginning)
        for _ in range(10):
            answer = shared_web.post(BODY)
            assert answer.status == 200
            assert answer.seconds < 1.0
        alive = shared_web.get("/healthz")
        assert (alive.status, alive.seconds < 1.0) == (200, True)


def test_dripping_senders_leave_a_good_request_under_a_second(shared_web: WebProcess) -> None:
    """500 connections that send a byte of their body now and then, until they are told that they are too slow."""
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
            answer = shared_web.post(BODY)
            assert (answer.status, answer.seconds < 1.0) == (200, True)
        assert {connection.recv(12) for connection in slow} == {b"HTTP/1.1 400"}


def test_a_sender_that_gives_up_in_the_middle_does_no_harm(shared_web: WebProcess, redis_url: str) -> None:
    """Connections cut inside a body, and right after a whole one, leave the process as it was."""
    for _ in range(20):
        with shared_web.connect() as connection:
            connection.sendall(signed(BODY)[:-5])
        with shared_web.connect() as connection:
            connection.sendall(signed(BODY))
    assert shared_web.post(BODY).status == 200
    assert set(bodies(redis_url)) == {BODY}


def test_redis_away_is_a_503_in_time_and_ends_by_itself(web: WebProcess, own_valkey: valkey.ValkeyServer) -> None:
    """Every sender is told to come back, within three seconds, and what was said 200 to is there afterwards."""
    assert web.post(b"before").status == 200
    own_valkey.kill()
    for _ in range(5):
        check_refused(web.post(b"meanwhile"))
    assert web.get("/healthz").status == 200
    assert web.get("/readyz").status == 503
    own_valkey.start()
    check_taken_soon(web, b"after")
    assert bodies(own_valkey.url) == [b"before", b"after"]


def test_redis_hanging_is_a_503_in_time_for_everybody(web: WebProcess, own_valkey: valkey.ValkeyServer) -> None:
    """Twenty senders at once and those after them hear it within three seconds of their arrival."""
    assert web.post(b"before").status == 200
    os.kill(own_valkey.pid, signal.SIGSTOP)
    try:
        for answer in at_once(20, lambda: web.post(b"meanwhile")):
            check_refused(answer)
        check_refused(web.post(b"meanwhile"))
        assert web.get("/healthz").status == 200
    finally:
        os.kill(own_valkey.pid, signal.SIGCONT)
    check_taken_soon(web, b"after")


def test_redis_full_is_a_503_and_ends_by_itself(web: WebProcess, own_valkey: valkey.ValkeyServer) -> None:
    """Above its memory limit Redis throws nothing away: we refuse until somebody makes room."""
    with Redis.from_url(own_valkey.url) as client:
        client.config_set("maxmemory", "1")
        check_refused(web.post(b"meanwhile"))
        client.config_set("maxmemory", "256mb")
    check_taken_soon(web, b"after")
    assert bodies(own_valkey.url) == [b"after"]


def test_what_was_answered_200_survives_the_death_of_everything(
    web: WebProcess, own_valkey: valkey.ValkeyServer
) -> None:
    """Kill Valkey and the web process under load: every body that got its 200 is in the stream afterwards."""
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
    """Senders that come meanwhile wait in the backlog for its successor."""
    first = web.serving.pid
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: web.post(BODY).status == 200)
    assert web.serving.pid != first


def test_a_killed_parent_leaves_no_server_behind(web: WebProcess) -> None:
    """Or the next start would find the port taken."""
    child = web.serving
    assert web.process is not None
    web.process.kill()
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_a_log_that_nobody_reads_any_more_changes_nothing(web: WebProcess) -> None:
    """Accepting, refusing and stopping when the parent is killed go on when whoever read the log is gone."""
    web.stop()
    read_end, write_end = os.pipe()
    web.start(write_end)
    os.close(write_end)
    os.close(read_end)
    assert web.post(BODY).status == 200
    assert web.ask(notification(BODY, f"Content-Length: {len(BODY)}")).status == 401
    test_a_killed_parent_leaves_no_server_behind(web)


def test_a_stop_answers_what_is_under_way_and_waits_for_no_idler(
    web: WebProcess, own_valkey: valkey.ValkeyServer
) -> None:
    """SIGTERM with idle, half-open and busy connections: the busy one gets its answer, and the process ends soon."""
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
def test_the_pages_tell_what_happened(shared_web: WebProcess) -> None:
    """/metrics counts what came; /readyz says no while the tables are missing; both name no one."""
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
def test_large_bodies_that_never_end_are_in_the_way_of_large_ones_only(shared_web: WebProcess) -> None:
    """All the room for large bodies is taken: a large one is asked to come back, a small one is taken at once."""
    large = b"x" * 1_048_576
    with ExitStack() as stack:
        for _ in range(64):
            stack.enter_context(shared_web.connect()).sendall(notification(b"x", f"Content-Length: {len(large)}"))
        wait_until(lambda: shared_web.post(large).status == 503)
        assert shared_web.post(BODY).status == 200
    wait_until(lambda: shared_web.post(large).status == 200)


def test_where_durability_is_asked_for_a_forgetful_redis_is_no_start(shared_web: WebProcess, tmp_path: Path) -> None:
    """The sentence says which setting of Redis to change."""
    with Redis.from_url(shared_web.redis_url) as client:
        client.config_set("appendfsync", "everysec")
        try:
            started = start_another(tmp_path, shared_web, REQUIRE_DURABLE_INBOX="1")
        finally:
            client.config_set("appendfsync", "always")
    assert started.returncode != 0
    assert "Set appendfsync to always" in started.stderr.decode()


def test_a_taken_port_is_a_sentence_and_an_exit_code(shared_web: WebProcess, tmp_path: Path) -> None:
    """A second one on the same port does not pretend to serve."""
    second = start_another(tmp_path, shared_web, PORT=str(shared_web.port))
    assert second.returncode != 0
    assert str(shared_web.port) in second.stderr.decode()


def start_another(directory: Path, web: WebProcess, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Start one more web process, which is expected to give up."""
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "REDIS_URL": web.redis_url, "PYTHONPATH": root, **variables}
    command = [sys.executable, "-m", "webhooks"]
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, timeout=30, check=False)


def check_refused(answer: Answer) -> None:
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0
    assert answer.seconds < RESPONSE_SECONDS


def check_taken_soon(web: WebProcess, body: bytes) -> None:
    """Within a few seconds the inbox must be back by itself."""
    wait_until(lambda: web.post(body).status == 200)


def at_once(number: int, ask: Callable[[], Answer]) -> list[Answer]:
    answers: list[Answer] = []
    threads = [threading.Thread(target=lambda: answers.append(ask())) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == number
    return answers


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition_or_oserror(condition):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def condition_or_oserror(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except OSError:
        return False
