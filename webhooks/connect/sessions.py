"""
Browser sessions of the connect page: a random cookie in the browser, and the user id under its digest in Redis.

Neither is of use alone: Redis holds only the digest of the cookie, and the cookie contains no data.
"""

import hashlib
import hmac
import secrets
from typing import NamedTuple

from flask import Request, Response
from redis import Redis

from settings import get_settings
from workers.runtime.redis_keys import SESSION

# Seconds without a request after which a session ends. An open page sends requests by itself, so a user can watch the
# backfill of a large workspace to its end; a browser that was left on a shared computer is signed out.
SESSION_SECONDS = 3600


class BrowserSession(NamedTuple):
    """
    A browser that presented a valid user token.

    Attributes:
        user_id: the application's id of the user.
        digest: identifies the session in Redis.
        csrf: the token that every form must contain.
    """

    user_id: str
    digest: str
    csrf: str


def open_session(redis: Redis, response: Response, user_id: str) -> None:
    """Start a session and set its cookie; it replaces an earlier one of the same browser."""
    cookie = secrets.token_urlsafe(32)
    redis.set(f"{SESSION}{_digest(cookie)}", user_id, ex=SESSION_SECONDS)
    name, secure = cookie_name()
    # Lax: Intercom sends the browser back with a plain link, and that request must carry the cookie.
    response.set_cookie(name, cookie, secure=secure, httponly=True, samesite="Lax", path="/")


def session_of(redis: Redis, request: Request) -> BrowserSession | None:
    """Return the session of a request and extend it; None if there is none."""
    cookie = request.cookies.get(cookie_name()[0])
    if not cookie:
        return None
    user_id = redis.getex(f"{SESSION}{_digest(cookie)}", ex=SESSION_SECONDS)
    if not isinstance(user_id, bytes):
        return None
    return BrowserSession(user_id.decode(), _digest(cookie), _csrf(cookie))


def carries_csrf(session: BrowserSession, request: Request) -> bool:
    """Return whether a form was sent from one of our own pages."""
    return hmac.compare_digest(session.csrf.encode(), request.form.get("csrf", "").encode())


def cookie_name() -> tuple[str, bool]:
    """
    Return the cookie's name, and whether it is sent over TLS only.

    With the prefix `__Host-`, no other host of the same domain can set it.
    """
    secure = get_settings().public_url.startswith("https://")
    return ("__Host-intercom-mirror" if secure else "intercom-mirror"), secure


def _digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()


def _csrf(cookie: str) -> str:
    return hmac.digest(cookie.encode(), b"csrf", "sha256").hex()
