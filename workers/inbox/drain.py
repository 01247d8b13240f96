"""
Draining the inbox: take up what dead processes left behind, then batch after batch until nothing is left.

Entries in whose company processes keep dying are taken in ever smaller groups; one that kills alone is parked unread.
"""

import time

from workers.inbox import doorbell
from workers.inbox.batch import DrainContext, park_entry, process_batch
from workers.inbox.parking import ParkReason
from workers.inbox.reader import OWN_IDLE_MS

# Notifications in one transaction: large enough that the fixed cost of a transaction hardly counts, small enough
# that a batch takes a fraction of a second and a poison entry is found in a few halvings.
BATCH = 500

# Seconds after which a drain leaves for another one to go on: well below Celery's soft limit.
DRAIN_SECONDS = 5.0

# Seconds between looks for what dead processes left behind and what others gave back: as long as such an entry must
# rest before its successor may take it. Only at the start of a drain, under load it would wait for the end of one.
LOOK_BACK_SECONDS = OWN_IDLE_MS / 1000

# Milliseconds that a drain waits at an empty inbox before it leaves; saves a doorbell when another one comes soon.
LINGER_MS = 50

# A batch from this size on is a sign of load; under load batches start no sooner than this many seconds after each
# other, so that they are large: a transaction has a fixed cost, and of several changes of one object in a batch only
# the last is written. A few hundred notifications a second stay below it, and are rows in milliseconds.
PACED_FROM = 50
PACE_SECONDS = 0.12

# How many entries are taken up together, by how many processes died with them in hand: fewer each time, so that one
# that kills takes ever fewer others along, and is alone before it is given up. All of them one by one, from the second
# death on, took twenty seconds for the thousand entries that two processes may have in hand.
TOGETHER = (BATCH, BATCH, 25, 1)
# An entry whose processes died this many times is parked without being read again.
MOST_DEATHS = len(TOGETHER)


def drain(tools: DrainContext, until: float) -> bool:
    """
    Apply what is in the inbox.

    Args:
        tools: those of this process.
        until: when to leave, in seconds of `time.monotonic`.

    Returns:
        Whether the inbox was seen empty; if not, ring again.

    Raises:
        DatabaseAwayError: back off; the inbox keeps everything.
        redis.exceptions.RedisError: the same.
    """
    silenced = False
    look_back_at = 0.0
    while (started := time.monotonic()) < until:
        if started >= look_back_at:
            recover(tools, until)
            look_back_at = started + LOOK_BACK_SECONDS
        entries = tools.reader.read_new(BATCH, None if silenced else LINGER_MS)
        if entries:
            silenced = False
            process_batch(tools, entries)
            _pace(tools, len(entries), started)
        elif silenced:
            return True
        else:
            # The doorbell goes before the last look: an append that this look does not see rings again.
            doorbell.clear(tools.redis)
            silenced = True
    return False


def recover(tools: DrainContext, until: float) -> None:
    """Take up what dead processes left behind, together at first; `until` as for `drain`."""
    left = tools.reader.list_abandoned()
    for deaths, size in enumerate(TOGETHER):
        ids = [item.id for item in left if item.deaths == deaths]
        for start in range(0, len(ids), size):
            if time.monotonic() > until:
                return
            process_batch(tools, tools.reader.claim(ids[start : start + size]))
    for item in left:
        if item.deaths >= MOST_DEATHS:
            for entry in tools.reader.claim([item.id]):
                park_entry(tools, entry, ParkReason("processes died with it in hand", "", item.deaths))
    if tools.reader.has_overdue_entries():
        # Perhaps another child of this worker died, and its successor, who may take up at once what we may take up
        # only after half a minute, has nothing to do. While we are busy, the next message is for somebody else.
        tools.help_wanted()


def _pace(tools: DrainContext, size: int, started: float) -> None:
    if size >= BATCH:
        tools.help_wanted()
    elif size >= PACED_FROM:
        # Waiting is the point here: the inbox fills meanwhile.
        time.sleep(max(0.0, PACE_SECONDS - (time.monotonic() - started)))
