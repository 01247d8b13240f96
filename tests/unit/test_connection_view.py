"""The texts of the connect page for a connection and its backfill."""

from datetime import UTC, datetime
from typing import Any

import pytest

from webhooks.connect.connection_view import BackfillState, describe_connection, describe_progress

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


def test_a_connection_shows_its_start_and_region() -> None:
    """The title is the name; the id distinguishes two workspaces of the same name."""
    view = describe_connection(ROW, None)
    assert (view.title, view.place, view.badge) == ("Orchard", "ab12cd34 · Europe", "Connected")
    assert view.line == "Connected since 4 March 2026, 14:02 UTC"
    assert view.progress is None


def test_a_workspace_without_a_name_is_titled_by_its_id() -> None:
    """Nothing is empty on the page."""
    assert describe_connection({**ROW, "name": None, "region": None}, None)[1:3] == ("ab12cd34", "ab12cd34")


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("user", "You disconnected it, 4 March"),
        ("uninstalled", "The app was removed in Intercom, 4 March"),
        ("token_revoked", "Intercom no longer accepts our access (token_revoked), 4 March"),
    ],
)
def test_an_ended_connection_shows_the_reason(reason: str, words: str) -> None:
    """And since when the tables are not updated, if that is so."""
    ended = {**ROW, "status": "disconnected", "disconnected_at": DAY, "reason": reason}
    assert describe_connection(ended, BackfillState("running", 1, 2, 9.0)).line.startswith(words)
    assert describe_connection(ended, None).progress is None
    assert "not been updated" not in describe_connection(ended, None).line
    assert "not been updated since then" in describe_connection({**ended, "frozen_at": DAY}, None).line
    later = {**ended, "frozen_at": DAY.replace(day=6)}
    assert "not been updated since 6 March" in describe_connection(later, None).line


@pytest.mark.parametrize(
    ("backfill", "percent", "words", "moving"),
    [
        (BackfillState("queued", 0, None, 0.0), 0, "starts in a moment", True),
        (BackfillState("running", 0, 500, 9.0), 0, "starts in a moment", True),
        (BackfillState("running", 1200, None, 9.0), None, "1,200 objects so far", True),
        (BackfillState("running", 1000, 4000, 2.0), 25, "Backfill running: 1,000 of about 4,000 objects.", True),
        (BackfillState("running", 1000, 4000, 10.0), 25, ", less than a minute left.", True),
        (BackfillState("running", 1000, 4000, 60.0), 25, ", about 3 minutes left.", True),
        (BackfillState("running", 1000, 4000, 3600.0), 25, ", about 3 hours left.", True),
        (BackfillState("running", 4100, 4000, 60.0), 99, "4,100 of about 4,100 objects.", True),
        (BackfillState("done", 1, 1, 60.0), 100, "Backfill complete: 1 object.", False),
        (BackfillState("failed", 40, 90, 60.0), None, "stopped after 40 objects", False),
        (BackfillState("waiting", 40, 90, 60.0), None, "stopped after 40 objects", False),
    ],
)
def test_progress_shows_no_more_than_is_known(
    backfill: BackfillState,
    percent: int | None,
    words: str,
    moving: bool,  # noqa: FBT001 -- a table
) -> None:
    """No estimate in the first seconds, none past the end, and never 100 before the backfill is done."""
    view = describe_progress(backfill)
    assert (view.percent, view.moving) == (percent, moving)
    assert words in view.text
    assert ("left" in view.text) == ("left" in words)
