"""What must stay inside: looked for in all logs, all rows, all of Redis, and what the web process tells to anybody."""

import re
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path

from redis import Redis
from sqlalchemy import Engine, inspect, text

from settings.environment import DEVELOPMENT_CLIENT_SECRET
from tests.long.torture.emulated_intercom import CANARY, WORKSPACE
from tests.long.torture.system_under_test import LINKS, SystemUnderTest

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
# Celery calls its nodes so, which are no addresses of persons.
_NODE = re.compile(rf"^(?:celery|{'|'.join(LINKS)})@")

_ESCAPED = re.compile(r"\\x[0-9a-f]{2}")

# What Intercom tells of people stands where the application reads it, and in what was given up. All other tables know
# ids and the names of fields.
PERSONAL = frozenset({"the table contacts", "the table parked"})

# Addresses of the web process that anybody may ask for, and what each is sent.
_ASKED = (
    ("GET", "/metrics", b""),
    ("GET", "/readyz", b""),
    ("GET", "/nothing", b""),
    ("GET", "/api/connections", b""),
    ("GET", "/connect", b""),
    ("GET", "/oauth/callback?code=1&state=2", b""),
    ("POST", "/webhooks/intercom", b'{"email": "ada@example.com"}'),
)
# Seconds for one answer.
_PATIENCE = 10.0


def found(bed: SystemUnderTest) -> list[str]:
    """Say where something is that must not be there; never repeats what it found."""
    secrets = _secrets(bed.directory)
    places = dict(_places(bed))
    held = [(place, name) for place in places for name in secrets if secrets[name] in places[place]]
    told = [(place, what) for place in places.keys() - PERSONAL for what in _of_people(places[place])]
    return [f"{place} holds {what}" for place, what in held + told]


def _of_people(content: str) -> Iterator[str]:
    if CANARY in content:
        yield "a canary"
    if any(not _NODE.match(each) for each in _EMAIL.findall(content)):
        yield "an email address"


def _secrets(directory: Path) -> dict[str, str]:
    """Return what opens something, by its name; keys were made in development, each in a file of its own."""
    # The longest line: a key in several lines would be written in another form.
    made = {f"var/{file.name}": max(file.read_text().splitlines(), key=len) for file in _key_files(directory)}
    assert made
    return {"the client secret": DEVELOPMENT_CLIENT_SECRET, "the access token": f"dev-token-{WORKSPACE}", **made}


def _key_files(directory: Path) -> list[Path]:
    # Nobody but their owner may read them: that is how one knows them.
    files = [file for file in (directory / "var").iterdir() if file.is_file()]
    return [file for file in files if file.stat().st_mode & 0o077 == 0 and "lock" not in file.name]


def _places(bed: SystemUnderTest) -> Iterator[tuple[str, str]]:
    """Yield the name and the content of each place."""
    for process in bed.supervisor.processes.values():
        yield process.log.name, process.log.read_text(errors="replace")
    for table, rows in _tables(bed.engine):
        yield f"the table {table}", rows
    yield "Redis", _kept(bed.redis)
    for method, path, body in _ASKED:
        yield f"{method} {path}", _answer(bed.web_port, method, path, body)


def _tables(engine: Engine) -> Iterator[tuple[str, str]]:
    with engine.connect() as connection:
        for table in inspect(engine).get_table_names():
            rows = connection.execute(text(f"SELECT * FROM {table}"))  # noqa: S608 -- our names
            yield table, "\n".join(str(tuple(row)) for row in rows)


def _kept(redis: Redis) -> str:
    """Return every name and every value; bytes that are no letters end a word."""
    return _ESCAPED.sub(" ", "\n".join(f"{name!r} {_value(redis, name)!r}" for name in redis.scan_iter()))


def _value(redis: Redis, name: bytes) -> object:
    kind = redis.type(name)
    readers: dict[bytes, Callable[[bytes], object]] = {
        b"string": redis.get,
        b"hash": redis.hgetall,
        b"list": lambda key: redis.lrange(key, 0, -1),
        b"set": redis.smembers,
        b"zset": lambda key: redis.zrange(key, 0, -1),
        b"stream": redis.xrange,
    }
    return readers[kind](name) if kind in readers else None


def _answer(port: int, method: str, path: str, body: bytes) -> str:
    connection = HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    try:
        connection.request(method, path, body, {"X-Hub-Signature": "sha1=" + "0" * 40} if body else {})
        answer = connection.getresponse()
        return f"{answer.headers} {answer.read().decode(errors='replace')}"
    finally:
        connection.close()
