"""Who may call first. The allowance of a workspace is one; the lanes share it in this order."""

from enum import IntEnum

import msgspec


class Lane(IntEnum):
    """In order of right of way; the number is what the governor's script knows a lane by."""

    INTERACTIVE = 0  # a user waits for the answer
    REFETCH = 1  # a row is known to be doubtful
    RECONCILE = 2  # a row may be doubtful
    BACKFILL = 3  # rows are still missing, and there are many


class RetryPolicy(msgspec.Struct, frozen=True):
    """
    How long a lane waits.

    `slot_timeout_seconds`: for the governor; `read_timeout_seconds`: for a response; `attempts`: with the first.
    """

    slot_timeout_seconds: float
    read_timeout_seconds: float
    attempts: int


# A user gives up after some seconds: one window of Intercom's (10 s) and a little. A refetch is one of many in a task
# that must end soon, and is tried again anyway. The long jobs have nobody waiting; Intercom's searches may take half a
# minute, and a page that fails five times in a row is an outage, which the job's own timetable handles.
RETRY_POLICIES: dict[Lane, RetryPolicy] = {
    Lane.INTERACTIVE: RetryPolicy(slot_timeout_seconds=12.0, read_timeout_seconds=10.0, attempts=2),
    Lane.REFETCH: RetryPolicy(slot_timeout_seconds=4.0, read_timeout_seconds=10.0, attempts=2),
    Lane.RECONCILE: RetryPolicy(slot_timeout_seconds=60.0, read_timeout_seconds=30.0, attempts=5),
    Lane.BACKFILL: RetryPolicy(slot_timeout_seconds=60.0, read_timeout_seconds=30.0, attempts=5),
}
