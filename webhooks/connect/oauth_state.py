"""
The `state` that goes to Intercom and comes back: random, for one use, one browser and ten minutes.

It is kept in Redis and not in SQL: it is needed once within minutes, Redis takes "use it, once" as one command and
forgets by itself, and a state that was lost with Redis costs a click.
"""

import hashlib
import secrets
import time
from enum import Enum

import msgspec
from redis import Redis

from webhooks.connect.sessions import Session
from workers.runtime.redis_keys import OAUTH_STATE

# Seconds. Long enough to log in to Intercom and read what is asked for.
STATE_SECONDS = 600

# Seconds for which a state that is used up or too old is remembered, so that the page can say which of them it was.
_MEMORY_SECONDS = 3600

_USED = b"used"


class Problem(Enum):
    """Why a state is not accepted."""

    UNKNOWN = "unknown"
    USED = "used"
    EXPIRED = "expired"
    FOREIGN = "foreign"


class State(msgspec.Struct, frozen=True):
    """Who set out, in which session (its digest), and when (unix seconds)."""

    user_id: str
    session: str
    at: float


def mint(redis: Redis, session: Session) -> str:
    """Make a state of 256 random bits."""
    state = secrets.token_urlsafe(32)
    kept = msgspec.json.encode(State(session.user_id, session.digest, time.time()))
    redis.set(_key(state), kept, ex=_MEMORY_SECONDS)
    return state


def spend(redis: Redis, state: str, session: Session, now: float) -> Problem | None:
    """
    Use a state up, whoever shows it.

    Returns:
        None if it is this session's and young enough; else why it is not accepted.
    """
    found = redis.set(_key(state), _USED, xx=True, get=True, keepttl=True)
    if not isinstance(found, bytes):
        return Problem.UNKNOWN
    if found == _USED:
        return Problem.USED
    kept = msgspec.json.decode(found, type=State)
    if (kept.session, kept.user_id) != (session.digest, session.user_id):
        return Problem.FOREIGN
    if now - kept.at > STATE_SECONDS:
        return Problem.EXPIRED
    return None


def _key(state: str) -> str:
    return f"{OAUTH_STATE}{hashlib.sha256(state.encode()).hexdigest()}"
