"""How a notification is read."""

from intercom_api.wire.envelope import Notification
from workers.facts.from_notification import report_from_notification


def test_a_notification_without_a_time_has_that_of_its_arrival() -> None:
    """With a time of 1970, everything stored would be newer, and a deletion would be lost."""
    deletion = Notification(id="n1", topic="contact.deleted", app_id="w1", created_at=0, item={"id": "c1"})
    report = report_from_notification(deletion, entry="1-0", received_at=1_768_017_600_500)
    assert report is not None
    assert report.observations[0].deleted_at_ms == 1_768_017_600_999
