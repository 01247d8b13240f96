"""How the real web process responds to invalid and forged requests."""

import gzip
import hmac
import json
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from intercom_api.wire.signatures import sign
from tests import valkey_server as valkey
from tests.web_process import CLIENT_SECRET, WebProcess, notification, running, signed
from workers.runtime.redis_keys import INBOX

BODY = b'{"type":"notification_event","topic":"ping","canary":"canary@example.com"}'
SIGNATURE = sign(BODY, CLIENT_SECRET)
RIGHT = f"X-Hub-Signature: {SIGNATURE}"
LENGTH = f"Content-Length: {len(BODY)}"
SHA256 = hmac.digest(CLIENT_SECRET.encode(), BODY, "sha256").hex()


@pytest.fixture(scope="module")
def web(valkey_server: valkey.ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    """One web process for all requests of this module."""
    with running(tmp_path_factory.mktemp("web"), valkey_server.url) as process:
        yield process


def depth(url: str) -> int:
    with Redis.from_url(url) as client:
        length: Any = client.xlen(INBOX)
        return int(length)


SIGNATURES = {
    "absent": None,
    "empty": "",
    "blank": "   ",
    "prefix alone": "sha1=",
    "wrong": "sha1=" + "0" * 40,
    "of another secret": sign(BODY, "another secret"),
    "of an empty secret": sign(BODY, ""),
    "of another body": sign(BODY + b" ", CLIENT_SECRET),
    "upper case": SIGNATURE.upper(),
    "without prefix": SIGNATURE.removeprefix("sha1="),
    "sha256": f"sha256={SHA256}",
    "sha256 digits": f"sha1={SHA256}",
    "one digit short": SIGNATURE[:-1],
    "one digit long": SIGNATURE + "0",
    "not hex": "sha1=" + "g" * 40,
    "not ASCII": "sha1=" + "ÿ" * 40,
    "two of them in one": f"{SIGNATURE}, {SIGNATURE}",
    "twenty kilobytes": "sha1=" + "a" * 20_000,
    "quoted": f'"{SIGNATURE}"',
}


@pytest.mark.parametrize("signature", SIGNATURES.values(), ids=SIGNATURES.keys())
def test_an_invalid_signature_is_a_401(web: WebProcess, redis_url: str, signature: str | None) -> None:
    """Never a 500, and nothing reaches the inbox."""
    headers = [LENGTH] if signature is None else [LENGTH, f"X-Hub-Signature: {signature}"]
    assert web.ask(notification(BODY, *headers)).status == 401
    assert depth(redis_url) == 0


HEADERS = {
    "the right signature twice": (401, [LENGTH, RIGHT, RIGHT]),
    "the right signature, then a wrong one": (401, [LENGTH, RIGHT, "X-Hub-Signature: sha1=00"]),
    "the name with underscores": (401, [LENGTH, RIGHT.replace("-", "_", 2)]),
    "a wrong signature, and a right one with underscores": (
        401,
        [LENGTH, "X-Hub-Signature: sha1=00", RIGHT.replace("-", "_", 2)],
    ),
    "a NUL in the signature": (400, [LENGTH, "X-Hub-Signature: sha1=\0"]),
    "no length": (411, [RIGHT]),
    "chunks": (411, [RIGHT, "Transfer-Encoding: chunked"]),
    "chunks and a length": (411, [RIGHT, LENGTH, "Transfer-Encoding: chunked"]),
    "a negative length": (400, [RIGHT, "Content-Length: -1"]),
    "a signed length": (400, [RIGHT, f"Content-Length: +{len(BODY)}"]),
    "two lengths": (400, [RIGHT, LENGTH, "Content-Length: 1"]),
    "a length beyond 64 bits": (400, [RIGHT, "Content-Length: " + "9" * 30]),
    "a length above the cap": (413, [RIGHT, "Content-Length: 1048577"]),
    "more bytes announced than sent": (400, [RIGHT, f"Content-Length: {len(BODY) + 1}"]),
    "fewer bytes announced than sent": (401, [RIGHT, f"Content-Length: {len(BODY) - 1}"]),
    "an encoded body": (415, [RIGHT, LENGTH, "Content-Encoding: gzip"]),
    "headers far beyond 64 KiB": (431, [RIGHT, LENGTH, "X-Long: " + "a" * 140_000]),
    "too many headers": (431, [RIGHT, LENGTH, *(f"X-{number}: 1" for number in range(200))]),
}


@pytest.mark.parametrize(("status", "headers"), HEADERS.values(), ids=HEADERS.keys())
def test_an_invalid_request_is_refused_with_its_own_status(
    web: WebProcess, redis_url: str, status: int, headers: list[str]
) -> None:
    """Each error has the status of the documentation, and nothing reaches the inbox."""
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY) if "Transfer-Encoding: chunked" in headers else BODY
    assert web.ask(notification(body, *headers)).status == status
    assert depth(redis_url) == 0


METHODS = {"GET": 405, "PUT": 405, "DELETE": 405, "PATCH": 405, "TRACE": 405, "BREW": 405, "HEAD": 200, "OPTIONS": 200}


@pytest.mark.parametrize(("method", "status"), METHODS.items(), ids=METHODS.keys())
def test_only_post_reaches_the_inbox(web: WebProcess, redis_url: str, method: str, status: int) -> None:
    """Intercom checks the address with HEAD; every other method is refused, also with a valid signature."""
    body = b"" if method == "HEAD" else BODY
    headers = [] if method == "HEAD" else [RIGHT, LENGTH]
    assert web.ask(notification(body, *headers, method=method)).status == status
    assert depth(redis_url) == 0


@pytest.mark.parametrize(
    "path", ["/webhooks/intercom/", "/webhooks/intercom%00", "/webhooks", "/%FF", "/%zz", "/%C3%A9", "/"]
)
def test_only_the_exact_path_is_found(web: WebProcess, redis_url: str, path: str) -> None:
    """Other spellings are a 404."""
    assert web.ask(notification(BODY, RIGHT, LENGTH, path=path)).status == 404
    assert depth(redis_url) == 0


SIGNED_BODIES = {
    "null": b"null",
    "a list": b"[]",
    "a number": b"1",
    "a text": b'"x"',
    "an object": b"{}",
    "a byte order mark": b"\xef\xbb\xbf" + BODY,
    "UTF-16": BODY.decode().encode("utf-16"),
    "not UTF-8": b"\xff\xfe\x00",
    "gzip": gzip.compress(BODY),
    "truncated": BODY[:-5],
    "with trailing data": BODY + b"garbage",
    "a key twice": b'{"topic":"a","topic":"b"}',
    "200,000 deep": b"[" * 200_000 + b"]" * 200_000,
    "an integer of 5,000 digits": b'{"id":' + b"9" * 5_000 + b"}",
    "1e400": b'{"id":1e400}',
    "NaN": b'{"id":NaN}',
    "a lone surrogate": rb'{"id":"\ud800"}',
    "NUL in key and value": rb'{"\u0000":"\u0000"}',
    "a raw NUL": b'{"a":"\x00"}',
    "100,000 keys": json.dumps({str(number): 1 for number in range(70_000)}).encode(),
    "the maximum size": b'"' + b"x" * (1_048_576 - 2) + b'"',
}


@pytest.mark.parametrize("body", SIGNED_BODIES.values(), ids=SIGNED_BODIES.keys())
def test_a_signed_body_is_stored_unchanged(web: WebProcess, redis_url: str, body: bytes) -> None:
    """With an error it would only be sent again; the drain parks what it cannot read."""
    response = web.post(body)
    assert (response.status, response.body) == (200, "")
    with Redis.from_url(redis_url) as client:
        [(_, fields)] = client.xrange(INBOX)
    assert fields[b"b"] == body


TOLERATED = {
    "lower-case names": [RIGHT.lower(), LENGTH.lower()],
    "space after the signature": [RIGHT + "  ", LENGTH],
    "another content type": [RIGHT, LENGTH, "Content-Type: text/plain; charset=utf-7"],
    "the identity encoding": [RIGHT, LENGTH, "Content-Encoding: identity"],
    "the same length twice": [RIGHT, LENGTH, LENGTH],
    "a header that is not UTF-8": [RIGHT, LENGTH, "X-Name: ÿ"],
    "an invalid host": [RIGHT, LENGTH, "X-Forwarded-Host: a b/c"],
    "forty kilobytes of headers": [RIGHT, LENGTH, "X-Long: " + "a" * 40_000],
    "ninety headers": [RIGHT, LENGTH, *(f"X-{number}: 1" for number in range(88))],
}


@pytest.mark.parametrize("headers", TOLERATED.values(), ids=TOLERATED.keys())
def test_harmless_deviations_are_tolerated(web: WebProcess, redis_url: str, headers: list[str]) -> None:
    """The notification is accepted."""
    assert web.ask(notification(BODY, *headers)).status == 200
    assert depth(redis_url) == 1


def test_expect_100_continue_is_supported(web: WebProcess, redis_url: str) -> None:
    """The sender gets a 100, and then the response."""
    with web.connect() as connection:
        connection.sendall(notification(b"", RIGHT, LENGTH, "Expect: 100-continue"))
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(BODY)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert depth(redis_url) == 1


def test_a_connection_is_kept_alive(web: WebProcess, redis_url: str) -> None:
    """Also when the second notification is sent before the first response."""
    with web.connect() as connection:
        connection.sendall(signed(b"1") + signed(b"2"))
        received = b""
        while received.count(b"HTTP/1.1 200 OK") < 2:
            chunk = connection.recv(1000)
            assert chunk
            received += chunk
    assert depth(redis_url) == 2


def test_no_log_line_contains_a_body_a_signature_or_a_secret(web: WebProcess) -> None:
    """The log has a line for each refused request, without anything that was sent."""
    web.post(BODY)
    web.ask(notification(BODY, "X-Hub-Signature: sha1=" + "0" * 40, LENGTH))
    log = web.log.read_text()
    assert "notification refused" in log
    for secret in ("canary", CLIENT_SECRET, SIGNATURE, "0" * 40):
        assert secret not in log
