"""What a page says of one connection; pure, so that the page and its later looks say the same."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

# Seconds of a fill before its speed says anything about its end.
_EARLIEST_ESTIMATE = 5.0

_MINUTE = 60
_HOUR = 3600

# As Intercom names them, and as people do.
REGIONS = {"US": "United States", "EU": "Europe", "AU": "Australia"}

_REASONS = {
    "user": "You disconnected it",
    "uninstalled": "The app was removed in Intercom",
}


class Fill(NamedTuple):
    """
    The newest fill of a workspace: everything it holds is read.

    `state`: queued, running, waiting (for a person), done or failed; `seen`, `expected`: objects, `expected` None while
    unknown; `seconds`: for how long it has been running.
    """

    state: str
    seen: int
    expected: int | None
    seconds: float


class Progress(NamedTuple):
    """A bar (`percent`, None while nobody knows the whole), a sentence, and whether it still moves."""

    percent: int | None
    text: str
    moving: bool


class Card(NamedTuple):
    """One connection as it is shown."""

    workspace_id: str
    title: str
    place: str
    connected: bool
    badge: str
    line: str
    progress: Progress | None


def card(row: Mapping[str, Any], fill: Fill | None) -> Card:
    """Describe a row of `models.queries.connection_rows.connections_of_user`."""
    connected = row["status"] == "connected"
    place = REGIONS.get(row["region"], "")
    return Card(
        row["workspace_id"],
        row["name"] or row["workspace_id"],
        f"{row['workspace_id']} · {place}" if place else row["workspace_id"],
        connected,
        "Connected" if connected else "Disconnected",
        f"Connected since {_day(row['connected_at'])}" if connected else _ending(row),
        progress(fill) if connected and fill else None,
    )


def progress(fill: Fill) -> Progress:
    """Say how far the first fill is; an estimate only where there is something to estimate from."""
    if fill.state == "done":
        return Progress(100, f"Filled: {_count(fill.seen)}. Changes arrive as they happen.", moving=False)
    if fill.state in ("failed", "waiting"):
        return Progress(None, f"The fill stopped after {_count(fill.seen)}. Its operator can see why.", moving=False)
    if fill.state == "queued" or not fill.seen:
        return Progress(0, "The fill begins in a moment.", moving=True)
    if not fill.expected:
        return Progress(None, f"Filling: {_count(fill.seen)} so far.", moving=True)
    share = min(fill.seen / fill.expected, 0.99)
    text = f"Filling: {fill.seen:,} of about {max(fill.expected, fill.seen):,} objects{_estimate(fill)}."
    return Progress(int(share * 100), text, moving=True)


def _estimate(fill: Fill) -> str:
    if fill.seconds < _EARLIEST_ESTIMATE or not fill.expected or fill.seen >= fill.expected:
        return ""
    left = (fill.expected - fill.seen) * fill.seconds / fill.seen
    if left < _MINUTE:
        return ", less than a minute left"
    if left < _HOUR:
        return f", about {_plural(round(left / _MINUTE), 'minute')} left"
    return f", about {_plural(round(left / _HOUR), 'hour')} left"


def _ending(row: Mapping[str, Any]) -> str:
    why = _REASONS.get(row["reason"], f"Intercom no longer accepts our access ({row['reason']})")
    since = "then" if row["frozen_at"] == row["disconnected_at"] else _day(row["frozen_at"])
    kept = f" The tables stand still since {since}." if row["frozen_at"] else ""
    return f"{why}, {_day(row['disconnected_at'])}.{kept}"


def _count(number: int) -> str:
    return _plural(number, "object")


def _plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _day(moment: datetime | None) -> str:
    return "an unknown day" if moment is None else f"{moment.day} {moment:%B %Y, %H:%M} UTC"
