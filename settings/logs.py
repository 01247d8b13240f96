"""
Logs: one line per event, without personal data and secrets.

JSON for machines, colours for a person at a terminal. Lines of libraries that use Python's own `logging` pass through
the same processors, so they are redacted too.
"""

import logging
import re
import sys
from contextlib import suppress
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from settings.environment import get_settings

# Values of these keys are never written.
_SECRET_NAMES = frozenset(
    {"access_token", "admin_token", "authorization", "body", "client_secret", "cookie", "email", "password", "payload"}
    | {"phone", "secret", "signature", "token"}
)

# Patterns that are replaced in any text. Ids stay: an object's has 24 characters, the parts of a UUID at most 12.
_REDACTED = (
    (re.compile(r"[^\s@\"'<>()=,;:]+@[^\s@\"'<>(),;:]+\.\w{2,}"), "[email]"),
    (re.compile(r"(?<=://)[^\s/@]+(?=@)"), "[secret]"),
    (re.compile(r"\b(Bearer|Basic)\s+\S+", re.IGNORECASE), r"\1 [secret]"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), "[token]"),
    (re.compile(r"\bsha1=[0-9a-fA-F]+"), "[signature]"),
    (re.compile(r"\b(?=\w*\d)(?=\w*[A-Za-z])\w{28,}=*"), "[token]"),
)

# Loggers that write a line for every doorbell and every check of the schema, each second.
_NOISY_LOGGERS = ("alembic.runtime.migration", "celery.app.trace", "celery.beat", "celery.worker.strategy")

# Line ends, terminal commands or changes of the writing direction in a text could imitate another line.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
_CONTROLS |= {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}
_CONTROLS |= {code: f"\\u{code:04x}" for code in (0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))}
_INSIDE_TRACEBACK = {code: text for code, text in _CONTROLS.items() if code != ord("\n")}


def configure(process: str, stream: TextIO | None = None) -> None:
    """
    Set up the logs of this process.

    Args:
        process: written in every line.
        stream: the output; None for standard error.

    Raises:
        SettingsError: the settings are invalid.
    """
    settings = get_settings()
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    processors = [structlog.contextvars.merge_contextvars, *_processors(process)]
    stream = stream or sys.stderr
    render = _renderer(stream, settings.log_format)
    writable = cast("TextIO", _LossyStream(stream))
    structlog.configure(
        processors=[*processors, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(writable),
        cache_logger_on_first_use=True,
    )
    _configure_libraries(logging.StreamHandler(stream), level, processors, render)


class _LossyStream:
    """A stream that drops lines it cannot write: a full disk must not stop the work that is logged."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write if possible; return the length in any case."""
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush if possible."""
        with suppress(OSError, ValueError):
            self._stream.flush()


def _configure_libraries(
    handler: logging.StreamHandler[TextIO], level: int, processors: list[Processor], render: Processor
) -> None:
    finish: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, render]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=finish, foreign_pre_chain=processors))
    logging.basicConfig(handlers=[handler], level=max(level, logging.INFO), force=True)
    for name in _NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING if level > logging.DEBUG else logging.INFO)
    logging.captureWarnings(capture=True)


def _processors(process: str) -> list[Processor]:
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
    """Remove secrets and personal data from a line."""
    return {name: "[redacted]" if name in _SECRET_NAMES else _clean(name, value) for name, value in event.items()}


def _clean(name: str, value: object) -> object:
    # Numbers are not personal data; any other value is written as text in the end, so its text is cleaned now.
    if value is None or isinstance(value, bool | int | float) or name.startswith("_"):
        return value
    text = redact_text(str(value))
    if name == "exception":
        # A traceback keeps its lines; they are indented, so that none of them looks like a line of the log.
        return text.translate(_INSIDE_TRACEBACK).replace("\n", "\n  ")
    return text.translate(_CONTROLS)


def redact_text(text: str) -> str:
    """Replace e-mail addresses and everything that looks like a key in a text."""
    for pattern, replacement in _REDACTED:
        text = pattern.sub(replacement, text)
    return text
