"""Who may call first. The allowance of a workspace is one; the lanes share it in this order."""

from enum import IntEnum

import msgspec


class Lane(IntEnum):
    """In order of right of way; the number is what the governor's script knows a lane by."""

    INTERACTIVE = 0  # a user waits for the answer
    REFETCH = 1  # a row is known to be doubtful
    RECONCILE = 2  # a row may be doubtful
    BACKFILL = 3  # rows are still missing, and there are many


class Patience(msgspec.Struct, frozen=True):
    """
    How long a lane waits.

    `allowance_seconds`: for the governor; `read_seconds`: for an answer; `tries`: calls, the first one included.
    """

    allowance_seconds: float
    read_seconds: float
    tries: int


# A user gives up after some seconds: one window of Intercom's (10 s) and a little. A refetch is one of many in a task
# that must end soon, and is tried again anyway. The long jobs have nobody waiting; Intercom's searches may take half a
# minute, and a page that fails five times in a row is an outage, which the job's own timetable handles.
PATIENCE: dict[Lane, Patience] = {
    Lane.INTERACTIVE: Patience(allowance_seconds=12.0, read_seconds=10.0, tries=2),
    Lane.REFETCH: Patience(allowance_seconds=4.0, read_seconds=10.0, tries=2),
    Lane.RECONCILE: Patience(allowance_seconds=60.0, read_seconds=30.0, tries=5),
    Lane.BACKFILL: Patience(allowance_seconds=60.0, read_seconds=30.0, tries=5),
}
