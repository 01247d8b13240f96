"""
Requests to check the tokens of a workspace, kept in Redis until the check is done.

The web process stores a request before it responds 200 to an uninstall notice, without waiting for Intercom and without
loading SQL. A worker checks within seconds (workers.connections.upkeep):

1.  Take the oldest requests, CHECKS_PER_RUN at most.
2.  Check each workspace with `GET /me`.
3.  Delete the request, unless it was made again meanwhile. If the check raises, or makes the request again itself
    because Intercom is unavailable, the request stays for the next run.
"""

import time
from collections.abc import Callable
from typing import Any

from redis import Redis

from workers.runtime.redis_keys import TOKEN_CHECKS

# Each check takes a call or two to Intercom, and one run must end within the task's time limit.
CHECKS_PER_RUN = 10

# Deletes a request unless it is newer than the one that was checked.
_DELETE_IF_UNCHANGED = """
if redis.call('ZSCORE', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('ZREM', KEYS[1], ARGV[1]) end
"""


def request_check(redis: Redis, workspace_id: str, reason: str) -> None:
    """Store a request; `reason` is one word. Raises what redis-py raises."""
    redis.zadd(TOKEN_CHECKS, {f"{reason}:{workspace_id}": time.time_ns() // 1_000_000})


def run_checks(redis: Redis, check: Callable[[str, str], object]) -> int:
    """
    Carry out the oldest requests; see the module's docstring.

    Args:
        redis: where requests are kept.
        check: called with workspace and reason; may make the request again.

    Returns:
        How many checks were made.
    """
    requests: Any = redis.zrange(TOKEN_CHECKS, 0, CHECKS_PER_RUN - 1, withscores=True)
    for member, score in requests:
        reason, _, workspace_id = member.decode().partition(":")
        check(workspace_id, reason)
        redis.eval(_DELETE_IF_UNCHANGED, 1, TOKEN_CHECKS, member, f"{score:.0f}")
    return len(requests)
