"""
Who is looking at the pages: a cookie for the browser, a line in Redis for us.

Both are worthless to whoever finds one of them: Redis holds the cookie's digest only, and the cookie says nothing.
"""

import hashlib
import hmac
import secrets
from typing import NamedTuple

from flask import Request, Response
from redis import Redis

from settings import get_settings
from workers.runtime.redis_keys import SESSION

# Seconds without a look at a page after which a session ends: the first fill of a large workspace can be watched
# (its page looks again by itself), and a forgotten window on somebody else's desk closes.
SESSION_SECONDS = 3600


class Session(NamedTuple):
    """
    A browser that showed a user token.

    `digest`: what the session is known by in Redis; `csrf`: what every form must carry.
    """

    user_id: str
    digest: str
    csrf: str


def open_session(redis: Redis, response: Response, user_id: str) -> None:
    """Begin a session with this answer; an earlier one of the same browser is forgotten by it."""
    cookie = secrets.token_urlsafe(32)
    redis.set(f"{SESSION}{_digest(cookie)}", user_id, ex=SESSION_SECONDS)
    name, secure = cookie_name()
    # Lax: Intercom sends the browser back to us with a plain link, which must find the session.
    response.set_cookie(name, cookie, secure=secure, httponly=True, samesite="Lax", path="/")


def session_of(redis: Redis, request: Request) -> Session | None:
    """Return the session of a request, and let it last longer; None if there is none."""
    cookie = request.cookies.get(cookie_name()[0])
    if not cookie:
        return None
    found = redis.getex(f"{SESSION}{_digest(cookie)}", ex=SESSION_SECONDS)
    if not isinstance(found, bytes):
        return None
    return Session(found.decode(), _digest(cookie), _csrf(cookie))


def carries_csrf(session: Session, request: Request) -> bool:
    """Tell whether a form was sent from one of our own pages."""
    return hmac.compare_digest(session.csrf.encode(), request.form.get("csrf", "").encode())


def cookie_name() -> tuple[str, bool]:
    """Return the cookie's name, and whether it travels over TLS alone; with TLS no other host can set it for ours."""
    secure = get_settings().public_url.startswith("https://")
    return ("__Host-intercom-mirror" if secure else "intercom-mirror"), secure


def _digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()


def _csrf(cookie: str) -> str:
    return hmac.digest(cookie.encode(), b"csrf", "sha256").hex()
