"""Logs have one line per event, without personal data and secrets."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from settings import get_settings, logs


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """The log of a process, as JSON."""
    stream = io.StringIO()
    monkeypatch.setenv("LOG_FORMAT", "json")
    get_settings.cache_clear()
    handlers, level = logging.root.handlers[:], logging.root.level
    logs.configure("web", stream)
    yield stream
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    get_settings.cache_clear()


def lines(stream: io.StringIO) -> list[dict[str, str]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_has_time_process_and_event(written: io.StringIO) -> None:
    """The entry's id connects the lines of several processes."""
    structlog.get_logger().info("notification appended", entry="1690000000000-0", count=3)
    (line,) = lines(written)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "notification appended",
        "level": "info",
        "process": "web",
        "entry": "1690000000000-0",
        "count": 3,
    }


@pytest.mark.parametrize(
    "secret",
    [
        "mira.lind@lantern.example",
        "ünï@bücher.example",
        "Bearer dG9rOmFiY2Q=",
        "dG9rOjA4MTVfNDcxMV9hYmNkX2VmZ2hfMTIzNDphYmM=",
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1In0.c2lnbmF0dXJl",
        "sha1=2fd4e1c67a2d28fced849ee1bb76e7391b93eb12",
        "redis://user:pass-word@cache.example/0",
    ],
)
def test_secrets_and_addresses_are_redacted(written: io.StringIO, secret: str) -> None:
    """In the event, a value, an exception, and a line of a library."""
    log = structlog.get_logger()
    event = f"refused {secret}"
    log.warning(event, said=f"x {secret} y", listed=[secret], nested={"k": secret})
    logging.getLogger("some.library").warning("saw %s", secret)
    try:
        int(f"bad {secret}")
    except ValueError:
        log.exception("failed")
    text = written.getvalue().encode().decode("unicode_escape", "replace")
    kept = "pass-word" if "pass-word" in secret else secret
    assert len(lines(written)) == 3
    assert kept not in written.getvalue()
    assert kept not in text


@pytest.mark.parametrize(
    "object_id",
    ["notif_ccd8a4d0-f965-11e3-a367-c779cae3e1b3", "6657adf76abd0167d9419d00", "1763932800000-12", "/srv/a1/b/c.py"],
)
def test_ids_are_kept(written: io.StringIO, object_id: str) -> None:
    """They are needed to trace a notification."""
    structlog.get_logger().info("applied", id=object_id)
    assert lines(written)[0]["id"] == object_id


def test_values_under_a_secret_name_never_appear(written: io.StringIO) -> None:
    """A body is never written."""
    structlog.get_logger().info("odd", body="short", email="x", token=5)
    assert {lines(written)[0][name] for name in ("body", "email", "token")} == {"[redacted]"}


def test_a_line_cannot_be_forged(written: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """Line ends, terminal commands and changes of the writing direction are escaped, also in the console format."""
    monkeypatch.setenv("LOG_FORMAT", "console")
    get_settings.cache_clear()
    logs.configure("web", written)
    structlog.get_logger("console").info("topic\n2026 [info] forged", topic="a\r\nb\x1b[2J\u202e\u2028c")
    (line,) = written.getvalue().splitlines()
    assert "\x1b[2J" not in line
    assert "\u202e" not in line


@pytest.mark.usefixtures("written")
def test_a_failing_log_stream_stops_nothing() -> None:
    """The work continues when the disk of the log is full."""

    class FullDisk(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(28, "No space left on device")

        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    logs.configure("web", FullDisk())
    structlog.get_logger().warning("notification refused")
