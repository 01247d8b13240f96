"""The ledger and the feed keep RETENTION_DAYS; the mirrored objects stay."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.stories.drain_harness import contact, notification, open_harness
from workers import prune
from workers.prune import prune_older_than


def test_older_rows_are_deleted_and_the_rest_stays(
    redis_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are deleted page by page; contacts and parked notifications stay."""
    monkeypatch.setattr(prune, "PAGE_SIZE", 2)
    with open_harness(redis_url, database_url) as harness:
        for number in range(5):
            harness.append(notification("contact.user.created", contact(f"c{number}"), number=number))
        harness.append(b"{")
        harness.drain()
        now = datetime.now(UTC)
        assert prune_older_than(harness.engine, 30, now + timedelta(days=29)) == 0
        assert prune_older_than(harness.engine, 30, now + timedelta(days=31)) == 10
        assert harness.one("SELECT COUNT(*) FROM changes") == 0
        assert harness.one("SELECT COUNT(*) FROM notifications") == 0
        assert harness.one("SELECT COUNT(*) FROM contacts") == 5
        assert harness.one("SELECT COUNT(*) FROM parked") == 1
