"""Search for secrets and personal data in all logs, all rows, all of Redis, and public responses of the web process."""

import re
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path

from redis import Redis
from sqlalchemy import Engine, inspect, text

from settings.environment import DEVELOPMENT_CLIENT_SECRET
from tests.long.torture.emulated_intercom import CANARY, WORKSPACE
from tests.long.torture.system_under_test import PROXIES, SystemUnderTest

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
# The names of Celery's nodes have the form of e-mail addresses.
_CELERY_NODE = re.compile(rf"^(?:celery|{'|'.join(PROXIES)})@")

_ESCAPED_BYTE = re.compile(r"\\x[0-9a-f]{2}")

# The places for personal data: what the application reads, and what was parked. All other tables contain ids and the
# names of fields.
PERSONAL = frozenset({"the table contacts", "the table parked"})

# Requests to the web process that need no credentials.
_PUBLIC_REQUESTS = (
    ("GET", "/metrics", b""),
    ("GET", "/readyz", b""),
    ("GET", "/nothing", b""),
    ("GET", "/api/connections", b""),
    ("GET", "/connect", b""),
    ("GET", "/oauth/callback?code=1&state=2", b""),
    ("POST", "/webhooks/intercom", b'{"email": "ada@example.com"}'),
)
_RESPONSE_SECONDS = 10.0


def find_leaks(system: SystemUnderTest) -> list[str]:
    """Return which place contains what it must not; never repeats the content."""
    secrets = _secrets(system.directory)
    places = dict(_places(system))
    leaked_secrets = [(place, name) for place in places for name in secrets if secrets[name] in places[place]]
    personal = [(place, what) for place in places.keys() - PERSONAL for what in _personal_data(places[place])]
    return [f"{place} contains {what}" for place, what in leaked_secrets + personal]


def _personal_data(content: str) -> Iterator[str]:
    if CANARY in content:
        yield "a canary"
    if any(not _CELERY_NODE.match(each) for each in _EMAIL.findall(content)):
        yield "an email address"


def _secrets(directory: Path) -> dict[str, str]:
    """Return the secrets of a run by name, those generated in development included, each in a file of its own."""
    # The longest line: a key of several lines would be escaped in other places.
    generated = {f"var/{file.name}": max(file.read_text().splitlines(), key=len) for file in _key_files(directory)}
    assert generated
    return {"the client secret": DEVELOPMENT_CLIENT_SECRET, "the access token": f"dev-token-{WORKSPACE}", **generated}


def _key_files(directory: Path) -> list[Path]:
    # They are the files that only their owner may read.
    files = [file for file in (directory / "var").iterdir() if file.is_file()]
    return [file for file in files if file.stat().st_mode & 0o077 == 0 and "lock" not in file.name]


def _places(system: SystemUnderTest) -> Iterator[tuple[str, str]]:
    """Yield the name and the content of each place."""
    for process in system.supervisor.processes.values():
        yield process.log.name, process.log.read_text(errors="replace")
    for table, rows in _tables(system.engine):
        yield f"the table {table}", rows
    yield "Redis", _redis_content(system.redis)
    for method, path, body in _PUBLIC_REQUESTS:
        yield f"{method} {path}", _response(system.web_port, method, path, body)


def _tables(engine: Engine) -> Iterator[tuple[str, str]]:
    with engine.connect() as connection:
        for table in inspect(engine).get_table_names():
            rows = connection.execute(text(f"SELECT * FROM {table}"))  # noqa: S608 -- our names
            yield table, "\n".join(str(tuple(row)) for row in rows)


def _redis_content(redis: Redis) -> str:
    """Return all keys and values as text, in which an escaped byte ends a word."""
    return _ESCAPED_BYTE.sub(" ", "\n".join(f"{key!r} {_value(redis, key)!r}" for key in redis.scan_iter()))


def _value(redis: Redis, key: bytes) -> object:
    kind = redis.type(key)
    readers: dict[bytes, Callable[[bytes], object]] = {
        b"string": redis.get,
        b"hash": redis.hgetall,
        b"list": lambda key: redis.lrange(key, 0, -1),
        b"set": redis.smembers,
        b"zset": lambda key: redis.zrange(key, 0, -1),
        b"stream": redis.xrange,
    }
    return readers[kind](key) if kind in readers else None


def _response(port: int, method: str, path: str, body: bytes) -> str:
    connection = HTTPConnection("127.0.0.1", port, timeout=_RESPONSE_SECONDS)
    try:
        connection.request(method, path, body, {"X-Hub-Signature": "sha1=" + "0" * 40} if body else {})
        response = connection.getresponse()
        return f"{response.headers} {response.read().decode(errors='replace')}"
    finally:
        connection.close()
