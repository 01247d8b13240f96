"""The priorities of requests. The rate limit of a workspace is shared by all lanes, in their order."""

from enum import IntEnum

import msgspec

# Seconds of the windows in which Intercom counts requests; `governor.lua` has the same in milliseconds.
WINDOW_SECONDS = 10.0


class Lane(IntEnum):
    """In order of priority; `governor.lua` knows a lane by its number."""

    INTERACTIVE = 0  # a user waits for the response
    REFETCH = 1  # a row is dirty
    RECONCILE = 2  # a row may be out of date
    BACKFILL = 3  # many rows are missing


class RetryPolicy(msgspec.Struct, frozen=True):
    """
    How long a lane waits, and how often it tries.

    Attributes:
        slot_timeout_seconds: for a rate-limit slot.
        read_timeout_seconds: for a response.
        attempts: requests, the first one included.
    """

    slot_timeout_seconds: float
    read_timeout_seconds: float
    attempts: int


# A user gives up after some seconds: one window of Intercom's (10 s) and a little. A refetch is one of many in a task
# that must end soon, and is tried again anyway. No user waits for the long jobs; Intercom's searches may take half a
# minute, and a page that fails five times in a row is an outage, which the job's own schedule handles.
RETRY_POLICIES: dict[Lane, RetryPolicy] = {
    Lane.INTERACTIVE: RetryPolicy(slot_timeout_seconds=12.0, read_timeout_seconds=10.0, attempts=2),
    Lane.REFETCH: RetryPolicy(slot_timeout_seconds=4.0, read_timeout_seconds=10.0, attempts=2),
    Lane.RECONCILE: RetryPolicy(slot_timeout_seconds=60.0, read_timeout_seconds=30.0, attempts=5),
    Lane.BACKFILL: RetryPolicy(slot_timeout_seconds=60.0, read_timeout_seconds=30.0, attempts=5),
}
