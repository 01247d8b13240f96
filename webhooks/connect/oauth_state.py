"""
The OAuth `state` that goes to Intercom and comes back: random, valid once, for one browser and ten minutes.

It is kept in Redis and not in SQL: it is needed once within minutes, Redis marks it used in one atomic command and
expires it by itself, and losing one costs the user a click.
"""

import hashlib
import secrets
import time
from enum import Enum

import msgspec
from redis import Redis

from webhooks.connect.sessions import BrowserSession
from workers.runtime.redis_keys import OAUTH_STATE

# Seconds: enough to log in to Intercom and read the consent page.
STATE_SECONDS = 600

# Seconds that a used or expired state is remembered, so that the error page can distinguish the two.
_RETENTION_SECONDS = 3600

_USED = b"used"


class StateRejection(Enum):
    """Why a state is not accepted."""

    UNKNOWN = "unknown"
    USED = "used"
    EXPIRED = "expired"
    FOREIGN = "foreign"


class OAuthState(msgspec.Struct, frozen=True):
    """The user who started, the digest of the session, and the unix time in seconds."""

    user_id: str
    session: str
    at: float


def create_state(redis: Redis, session: BrowserSession) -> str:
    """Create and store a state of 256 random bits."""
    state = secrets.token_urlsafe(32)
    stored = msgspec.json.encode(OAuthState(session.user_id, session.digest, time.time()))
    redis.set(_key(state), stored, ex=_RETENTION_SECONDS)
    return state


def consume_state(redis: Redis, state: str, session: BrowserSession, now: float) -> StateRejection | None:
    """
    Mark a state as used, whichever session presents it.

    Args:
        now: unix time in seconds.

    Returns:
        None if the state is valid for this session; otherwise the reason why not.
    """
    stored = redis.set(_key(state), _USED, xx=True, get=True, keepttl=True)
    if not isinstance(stored, bytes):
        return StateRejection.UNKNOWN
    if stored == _USED:
        return StateRejection.USED
    created = msgspec.json.decode(stored, type=OAuthState)
    if (created.session, created.user_id) != (session.digest, session.user_id):
        return StateRejection.FOREIGN
    if now - created.at > STATE_SECONDS:
        return StateRejection.EXPIRED
    return None


def _key(state: str) -> str:
    return f"{OAUTH_STATE}{hashlib.sha256(state.encode()).hexdigest()}"
