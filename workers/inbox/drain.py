"""
The drain: it moves entries from the inbox to SQL.

Several drains may run at the same time, also on several hosts; each is a consumer of its own. The algorithm of one:

1.  At the start, and then every RECOVERY_SECONDS, recover abandoned entries (below).
2.  Read up to BATCH_SIZE new entries and process them as one batch (workers.inbox.batch).
3.  After a full batch, request a second drain. After a batch that shows load, wait before the next one, so that the
    next one is large.
4.  If there was no entry, delete the doorbell key and read once more. If there is still no entry, the inbox is empty:
    stop. An entry that arrives after this read finds the key deleted, so its writer sends a doorbell.
5.  When the time is up, stop; the task then sends the doorbell for the next drain.

Recovering abandoned entries:

1.  List the entries that crashed processes held, each with the number of crashes.
2.  Claim and process them in batches whose size depends on that number. An entry that makes processes crash is so
    found in ever smaller batches, and finally alone.
3.  Park an entry without reading it once MAX_CRASHES processes crashed while they held it.
4.  If another consumer has held entries for too long, request a second drain.
"""

import time

from settings.units import MS_PER_SECOND
from workers.inbox import doorbell
from workers.inbox.batch import DrainContext, park_entry, process_batch
from workers.inbox.parking import ParkReason
from workers.inbox.reader import OWN_IDLE_MS

# Notifications in one transaction. Large enough that the fixed cost of a transaction hardly counts; small enough that a
# batch takes a fraction of a second, and a rejected entry is found with a few splits.
BATCH_SIZE = 500

# Seconds after which a drain stops: well below the task's soft limit.
DRAIN_SECONDS = 5.0

# Seconds between recoveries: as long as an abandoned entry must be idle before the successor of its consumer may claim
# it. With a recovery only at the start, abandoned entries would wait under load until a drain ends.
RECOVERY_SECONDS = OWN_IDLE_MS / MS_PER_SECOND

# Milliseconds that a drain waits for an entry before it stops; saves a doorbell if one arrives soon.
EMPTY_WAIT_MS = 50

# A batch of at least this many entries is a sign of load. Under load, batches start at least PACING_SECONDS apart, so
# that they are large: a transaction has a fixed cost, and of several changes of one object in a batch only the last is
# written. A few hundred notifications per second stay below this, and are rows within milliseconds.
PACING_MIN_ENTRIES = 50
PACING_SECONDS = 0.12

# Batch size of recovered entries, by the number of processes that crashed while they held them. Processing them one by
# one from the second crash on took twenty seconds for the thousand entries that two processes may hold.
RECOVERY_BATCH_SIZES = (BATCH_SIZE, BATCH_SIZE, 25, 1)
# Crashes after which an entry is parked without being read.
MAX_CRASHES = len(RECOVERY_BATCH_SIZES)


def drain(context: DrainContext, until: float) -> bool:
    """
    Process the inbox until it is empty or the time is up; see the module's docstring.

    Args:
        context: of this process.
        until: when to stop, by `time.monotonic`.

    Returns:
        Whether the inbox was empty. If not, send the doorbell.

    Raises:
        DatabaseUnavailableError: try again later; the inbox keeps everything.
        redis.exceptions.RedisError: the same.
    """
    doorbell_cleared = False
    next_recovery = 0.0
    while (started := time.monotonic()) < until:
        if started >= next_recovery:
            recover(context, until)
            next_recovery = started + RECOVERY_SECONDS
        entries = context.reader.read_new(BATCH_SIZE, None if doorbell_cleared else EMPTY_WAIT_MS)
        if entries:
            doorbell_cleared = False
            process_batch(context, entries)
            _pace(context, len(entries), started)
        elif doorbell_cleared:
            return True
        else:
            doorbell.clear(context.redis)
            doorbell_cleared = True
    return False


def recover(context: DrainContext, until: float) -> None:
    """Process the entries that crashed processes held; see the module's docstring. `until` as for `drain`."""
    abandoned = context.reader.list_abandoned()
    for crashes, size in enumerate(RECOVERY_BATCH_SIZES):
        ids = [item.id for item in abandoned if item.crashes == crashes]
        for start in range(0, len(ids), size):
            if time.monotonic() > until:
                return
            process_batch(context, context.reader.claim(ids[start : start + size]))
    for item in abandoned:
        if item.crashes >= MAX_CRASHES:
            for entry in context.reader.claim([item.id]):
                park_entry(context, entry, ParkReason("processes crashed while they held the entry", "", item.crashes))
    if context.reader.has_overdue_entries():
        # Perhaps another process of this worker crashed. Its successor may claim the entries at once, other consumers
        # only after half a minute; but it is idle and needs a message. While this drain is busy, the next one is its.
        context.request_second_drain()


def _pace(context: DrainContext, size: int, started: float) -> None:
    if size >= BATCH_SIZE:
        context.request_second_drain()
    elif size >= PACING_MIN_ENTRIES:
        time.sleep(max(0.0, PACING_SECONDS - (time.monotonic() - started)))
