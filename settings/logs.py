"""
Logs: one line per event, with no personal data and no secrets in it.

JSON for machines, colours for a person at a terminal. Lines of libraries that use Python's own `logging` take the
same way, so that they are redacted too.
"""

import logging
import re
import sys
from contextlib import suppress
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from settings.environment import get_settings

# A value under one of these names is never written, whatever it is.
_SECRET_NAMES = frozenset(
    {"access_token", "admin_token", "authorization", "body", "client_secret", "cookie", "email", "password", "payload"}
    | {"phone", "secret", "signature", "token"}
)

# What is taken out of any text. Ids stay: an object's has 24 characters, and a UUID's parts have 12 at most.
_REDACTED = (
    (re.compile(r"[^\s@\"'<>()=,;:]+@[^\s@\"'<>(),;:]+\.\w{2,}"), "[email]"),
    (re.compile(r"(?<=://)[^\s/@]+(?=@)"), "[secret]"),
    (re.compile(r"\b(Bearer|Basic)\s+\S+", re.IGNORECASE), r"\1 [secret]"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), "[token]"),
    (re.compile(r"\bsha1=[0-9a-fA-F]+"), "[signature]"),
    (re.compile(r"\b(?=\w*\d)(?=\w*[A-Za-z])\w{28,}=*"), "[token]"),
)

# Libraries that tell of every doorbell and every look at the tables: lines each second that say nothing.
_TALKATIVE = ("alembic.runtime.migration", "celery.app.trace", "celery.beat", "celery.worker.strategy")

# A text that brings its own line ends, terminal commands or turned writing direction could pose as another line.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
_CONTROLS |= {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}
_CONTROLS |= {code: f"\\u{code:04x}" for code in (0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))}
_INSIDE_TRACEBACK = {code: text for code, text in _CONTROLS.items() if code != ord("\n")}


def configure(process: str, stream: TextIO | None = None) -> None:
    """
    Set up the logs of this process.

    Args:
        process: stands in every line.
        stream: where the lines go; standard error unless told.

    Raises:
        SettingsError: the settings say how, and they are wrong.
    """
    settings = get_settings()
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    steps = [structlog.contextvars.merge_contextvars, *_steps(process)]
    stream = stream or sys.stderr
    render = _renderer(stream, settings.log_format)
    writable = cast("TextIO", _Forgiving(stream))
    structlog.configure(
        processors=[*steps, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(writable),
        cache_logger_on_first_use=True,
    )
    _configure_libraries(logging.StreamHandler(stream), level, steps, render)


class _Forgiving:
    """A stream whose lines are lost where they cannot be written: a full disk must not stop what they tell of."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what can be written; the answer is as if all of it was."""
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush what can be flushed."""
        with suppress(OSError, ValueError):
            self._stream.flush()


def _configure_libraries(
    handler: logging.StreamHandler[TextIO], level: int, steps: list[Processor], render: Processor
) -> None:
    finish: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, render]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=finish, foreign_pre_chain=steps))
    logging.basicConfig(handlers=[handler], level=max(level, logging.INFO), force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING if level > logging.DEBUG else logging.INFO)
    logging.captureWarnings(capture=True)


def _steps(process: str) -> list[Processor]:
    def name_process(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    return [
        structlog.stdlib.add_log_level,
        name_process,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]


def _renderer(stream: TextIO, log_format: str) -> Processor:
    if log_format == "console" or (log_format == "auto" and stream.isatty()):
        return structlog.dev.ConsoleRenderer(colors=stream.isatty())
    return structlog.processors.JSONRenderer()


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Take out of a line what must not be in it."""
    return {name: "[redacted]" if name in _SECRET_NAMES else _clean(name, value) for name, value in event.items()}


def _clean(name: str, value: object) -> object:
    # Numbers say little about a person; anything else is written as text sooner or later, so it is read as such now.
    if value is None or isinstance(value, bool | int | float) or name.startswith("_"):
        return value
    text = redact_text(str(value))
    if name == "exception":
        # A traceback keeps its lines; they are set in, so that none of them looks like a line of the log.
        return text.translate(_INSIDE_TRACEBACK).replace("\n", "\n  ")
    return text.translate(_CONTROLS)


def redact_text(text: str) -> str:
    """Take e-mail addresses and whatever looks like a key out of a text."""
    for pattern, replacement in _REDACTED:
        text = pattern.sub(replacement, text)
    return text
