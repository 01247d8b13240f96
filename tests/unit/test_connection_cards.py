"""What a page says of a connection and of its first fill."""

from datetime import UTC, datetime
from typing import Any

import pytest

from webhooks.connect.connection_view import Fill, card, progress

DAY = datetime(2026, 3, 4, 14, 2, tzinfo=UTC)
ROW: dict[str, Any] = {
    "workspace_id": "ab12cd34",
    "status": "connected",
    "connected_at": DAY,
    "disconnected_at": None,
    "reason": None,
    "name": "Orchard",
    "region": "EU",
    "frozen_at": None,
}


def test_a_connection_says_since_when_and_where() -> None:
    """The name stands in front; the id tells two workspaces of one name apart."""
    shown = card(ROW, None)
    assert (shown.title, shown.place, shown.badge) == ("Orchard", "ab12cd34 · Europe", "Connected")
    assert shown.line == "Connected since 4 March 2026, 14:02 UTC"
    assert shown.progress is None


def test_a_workspace_without_a_name_is_called_by_its_id() -> None:
    """Nothing is empty on the page."""
    assert card({**ROW, "name": None, "region": None}, None)[1:3] == ("ab12cd34", "ab12cd34")


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("user", "You disconnected it, 4 March"),
        ("uninstalled", "The app was removed in Intercom, 4 March"),
        ("token_revoked", "Intercom no longer accepts our access (token_revoked), 4 March"),
    ],
)
def test_an_end_says_why(reason: str, words: str) -> None:
    """And since when the tables stand still, where they do."""
    ended = {**ROW, "status": "disconnected", "disconnected_at": DAY, "reason": reason}
    assert card(ended, Fill("running", 1, 2, 9.0)).line.startswith(words)
    assert card(ended, None).progress is None
    assert "stand still" not in card(ended, None).line
    assert "stand still since then" in card({**ended, "frozen_at": DAY}, None).line
    later = {**ended, "frozen_at": DAY.replace(day=6)}
    assert "stand still since 6 March" in card(later, None).line


@pytest.mark.parametrize(
    ("fill", "percent", "words", "moving"),
    [
        (Fill("queued", 0, None, 0.0), 0, "begins in a moment", True),
        (Fill("running", 0, 500, 9.0), 0, "begins in a moment", True),
        (Fill("running", 1200, None, 9.0), None, "1,200 objects so far", True),
        (Fill("running", 1000, 4000, 2.0), 25, "Filling: 1,000 of about 4,000 objects.", True),
        (Fill("running", 1000, 4000, 10.0), 25, ", less than a minute left.", True),
        (Fill("running", 1000, 4000, 60.0), 25, ", about 3 minutes left.", True),
        (Fill("running", 1000, 4000, 3600.0), 25, ", about 3 hours left.", True),
        (Fill("running", 4100, 4000, 60.0), 99, "4,100 of about 4,100 objects.", True),
        (Fill("done", 1, 1, 60.0), 100, "Filled: 1 object.", False),
        (Fill("failed", 40, 90, 60.0), None, "stopped after 40 objects", False),
        (Fill("waiting", 40, 90, 60.0), None, "stopped after 40 objects", False),
    ],
)
def test_progress_promises_no_more_than_is_known(fill: Fill, percent: int | None, words: str, moving: bool) -> None:  # noqa: FBT001 -- a table
    """No estimate from the first seconds, none past the end, and never 100 before it is done."""
    told = progress(fill)
    assert (told.percent, told.moving) == (percent, moving)
    assert words in told.text
    assert ("left" in told.text) == ("left" in words)
