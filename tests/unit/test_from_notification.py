"""What a notification is read as."""

from intercom_api.wire.envelope import Notification
from workers.facts.from_notification import report_from_notification


def test_a_notification_without_a_time_counts_from_its_receipt() -> None:
    """If it counted from 1970, everything known would be newer, and a deletion would be lost."""
    told = Notification(id="n1", topic="contact.deleted", app_id="w1", created_at=0, item={"id": "c1"})
    report = report_from_notification(told, entry="1-0", received_at=1_768_017_600_500)
    assert report is not None
    assert report.observations[0].deleted_at_ms == 1_768_017_600_999
