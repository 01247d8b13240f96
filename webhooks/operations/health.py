"""Health checks: whether the web process is alive, and whether the mirror is ready."""

from collections.abc import Callable, Iterator
from functools import cache
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, jsonify
from redis import Redis

from settings import get_settings
from workers.inbox.backlog import measure_backlog
from workers.inbox.durability import check_durability
from workers.runtime.redis_clients import blocking_client

# Seconds. A healthy drain processes an entry within milliseconds; if one waits for a minute, no worker drains.
OLDEST_ENTRY_SECONDS = 60.0

ALIVE_PATH = "/healthz"

health = Blueprint("health", __name__)


class NotReadyError(Exception):
    """A check failed; the text says what to do."""


@health.get(ALIVE_PATH)
def alive() -> Response:
    """Return 200 without checking anything else, so that an outage of Redis or SQL restarts no web process."""
    return jsonify(status="alive")


@health.get("/readyz")
def ready() -> Response:
    """Return 200 if notifications can be received, drained and stored; otherwise 503 with the failed checks."""
    checks = dict(_results())
    is_ready = all(check["ok"] for check in checks.values())
    response = jsonify(status="ready" if is_ready else "not ready", checks=checks)
    response.status_code = HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE
    return response


def _results() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, check in _CHECKS.items():
        try:
            yield name, {"ok": True, "detail": check()}
        except NotReadyError as error:
            yield name, {"ok": False, "detail": str(error)}
        except Exception as error:  # noqa: BLE001 -- each check can raise the errors of another library; all mean "not ready"
            # Only the class: messages of database drivers contain addresses and user names.
            yield name, {"ok": False, "detail": f"Unreachable ({type(error).__name__})."}


def _redis_check() -> str:
    result = check_durability(_redis())
    if get_settings().require_durable_inbox and not result.durable:
        raise NotReadyError(result.sentence)
    return result.sentence


def _inbox_check() -> str:
    backlog = measure_backlog(_redis())
    if backlog.oldest_seconds > OLDEST_ENTRY_SECONDS:
        raise NotReadyError(
            f"{backlog.depth} notifications waiting, the oldest for {backlog.oldest_seconds:.0f} s."
            " Check that a worker is running."
        )
    return f"{backlog.depth} notifications waiting."


def _sql_check() -> str:
    # Imported here, so that a process that only receives does not load SQL.
    from models.db.revision import is_schema_current  # noqa: PLC0415

    if not is_schema_current(_engine(get_settings().database_url)):
        raise NotReadyError("The tables do not match this version. Run `intercom-mirror db upgrade`.")
    return "The tables match this version."


_CHECKS: dict[str, Callable[[], str]] = {"redis": _redis_check, "inbox": _inbox_check, "sql": _sql_check}


def _redis() -> Redis:
    return blocking_client(get_settings().redis_url)


@cache
def _engine(url: str) -> Any:
    from models.db.engine import read_engine  # noqa: PLC0415 -- as above

    return read_engine(url)
