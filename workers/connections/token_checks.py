"""
Workspaces whose tokens may be dead, kept in Redis until somebody has looked.

The web process writes a doubt down before it answers 200 to an uninstall notice; a worker looks soon after. A doubt
that came up again while somebody was looking stays.
"""

import time
from collections.abc import Callable
from typing import Any

from redis import Redis

from workers.runtime.redis_keys import TOKEN_CHECKS

# Doubts that one round looks at: each is a call or two to Intercom, and a task may take fifteen seconds.
ROUND = 10

# Takes a doubt off unless it is newer than the one that was answered.
_SETTLE = """
if redis.call('ZSCORE', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('ZREM', KEYS[1], ARGV[1]) end
"""


def request_check(redis: Redis, workspace_id: str, reason: str) -> None:
    """Keep a doubt; `reason` is one word. Raises what redis-py raises."""
    redis.zadd(TOKEN_CHECKS, {f"{reason}:{workspace_id}": time.time_ns() // 1_000_000})


def run_checks(redis: Redis, look: Callable[[str, str], object]) -> int:
    """
    Have a few doubts looked at, the oldest first; returns how many.

    `look` gets the workspace and the reason; a doubt that it raises at, or raises again itself, is kept.
    """
    waiting: Any = redis.zrange(TOKEN_CHECKS, 0, ROUND - 1, withscores=True)
    for member, score in waiting:
        reason, _, workspace_id = member.decode().partition(":")
        look(workspace_id, reason)
        redis.eval(_SETTLE, 1, TOKEN_CHECKS, member, f"{score:.0f}")
    return len(waiting)
