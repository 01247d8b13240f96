"""The texts that the connect page shows for one connection; pure functions, shared by the page and its updates."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

# Seconds that a backfill must have run before its speed gives a usable estimate.
_MIN_ESTIMATE_SECONDS = 5.0

_MINUTE = 60
_HOUR = 3600

# Intercom's codes for its regions, and their names.
REGIONS = {"US": "United States", "EU": "Europe", "AU": "Australia"}

_REASONS = {
    "user": "You disconnected it",
    "uninstalled": "The app was removed in Intercom",
}


class BackfillState(NamedTuple):
    """
    The newest backfill of a workspace.

    Attributes:
        state: queued, running, waiting (for a person), done or failed.
        seen: objects read so far.
        expected: objects in total; None while unknown.
        seconds: how long it has been running.
    """

    state: str
    seen: int
    expected: int | None
    seconds: float


class ProgressView(NamedTuple):
    """A bar (`percent`; None while the total is unknown), a sentence, and whether the backfill is still running."""

    percent: int | None
    text: str
    moving: bool


class ConnectionView(NamedTuple):
    """One connection as the page shows it. The field names are the JSON keys of /connect/state."""

    workspace_id: str
    title: str
    place: str
    connected: bool
    badge: str
    line: str
    progress: ProgressView | None


def describe_connection(row: Mapping[str, Any], backfill: BackfillState | None) -> ConnectionView:
    """Describe a row of `models.queries.connection_rows.connections_of_user`."""
    connected = row["status"] == "connected"
    title = row["name"] or row["workspace_id"]
    # A workspace without a name of its own has its id in the title.
    region = REGIONS.get(row["region"], "")
    place = [each for each in (row["workspace_id"], region) if each and each not in title] or [row["workspace_id"]]
    return ConnectionView(
        row["workspace_id"],
        title,
        " · ".join(place),
        connected,
        "Connected" if connected else "Disconnected",
        f"Connected since {_format_time(row['connected_at'])}" if connected else _describe_end(row),
        describe_progress(backfill) if connected and backfill else None,
    )


def describe_progress(backfill: BackfillState) -> ProgressView:
    """Describe how far a backfill is, with an estimate of the time left where there is a basis for one."""
    if backfill.state == "done":
        text = f"Backfill complete: {_plural(backfill.seen, 'object')}. Changes arrive as they happen."
        return ProgressView(100, text, moving=False)
    if backfill.state in ("failed", "waiting"):
        text = f"The backfill stopped after {_plural(backfill.seen, 'object')}. The operator can see why."
        return ProgressView(None, text, moving=False)
    if backfill.state == "queued" or not backfill.seen:
        return ProgressView(0, "The backfill starts in a moment.", moving=True)
    if not backfill.expected:
        return ProgressView(None, f"Backfill running: {_plural(backfill.seen, 'object')} so far.", moving=True)
    # The total is an estimate, so the bar is full only when the backfill is done.
    share = min(backfill.seen / backfill.expected, 0.99)
    total = max(backfill.expected, backfill.seen)
    text = f"Backfill running: {backfill.seen:,} of about {total:,} objects{_estimate(backfill)}."
    return ProgressView(int(share * 100), text, moving=True)


def _estimate(backfill: BackfillState) -> str:
    if backfill.seconds < _MIN_ESTIMATE_SECONDS or not backfill.expected or backfill.seen >= backfill.expected:
        return ""
    left = (backfill.expected - backfill.seen) * backfill.seconds / backfill.seen
    if left < _MINUTE:
        return ", less than a minute left"
    if left < _HOUR:
        return f", about {_plural(round(left / _MINUTE), 'minute')} left"
    return f", about {_plural(round(left / _HOUR), 'hour')} left"


def _describe_end(row: Mapping[str, Any]) -> str:
    reason = _REASONS.get(row["reason"], f"Intercom no longer accepts our access ({row['reason']})")
    since = "then" if row["frozen_at"] == row["disconnected_at"] else _format_time(row["frozen_at"])
    frozen = f" The tables have not been updated since {since}." if row["frozen_at"] else ""
    return f"{reason}, {_format_time(row['disconnected_at'])}.{frozen}"


def _plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _format_time(moment: datetime | None) -> str:
    return "at an unknown time" if moment is None else f"{moment.day} {moment:%B %Y, %H:%M} UTC"
