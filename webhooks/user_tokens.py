"""User tokens: JWTs with which the application proves which of its users sends a request."""

import hashlib
import time
from typing import Any, NamedTuple

from settings import Settings, get_settings

# Seconds that the application's clock may differ from ours.
_LEEWAY_SECONDS = 30

# Characters. Enough for the ids of an application, for e-mail addresses and for OpenID subjects.
LONGEST_USER_ID = 255

_SCHEME = "bearer "

# Verified tokens that are remembered, so that a signature is verified once per process: it takes as long as everything
# else about a token. When the number is reached, all are dropped. Each takes a few hundred bytes.
_MAX_VERIFIED = 4096


class _Verified(NamedTuple):
    """`expires`: unix seconds; `settings`: whose keys and audience the token was verified with."""

    user_id: str
    expires: int
    settings: Settings


_verified: dict[bytes, _Verified] = {}


class UserTokenError(Exception):
    """The token does not prove who the user is. The text gives the reason and repeats nothing of the token."""


def user_of_header(authorization: str | None) -> str:
    """
    Return the user id that an Authorization header proves.

    Raises:
        UserTokenError: answer 401.
    """
    if authorization is None or not authorization.lower().startswith(_SCHEME):
        raise UserTokenError("Send the header `Authorization: Bearer` with a user token.")
    return user_of_token(authorization[len(_SCHEME) :].strip())


def user_of_token(token: str) -> str:
    """
    Return the user id in a token that the application signed.

    Args:
        token: a JWT, RS256 or ES256, with `sub` (the user id), `exp`, and `aud` where USER_TOKEN_AUDIENCE is set.

    Raises:
        UserTokenError: none of our keys verifies it, it has expired, or a claim is missing.
    """
    settings = get_settings()
    digest = hashlib.sha256(token.encode(errors="replace")).digest()
    verified = _verified.get(digest)
    if verified is None or verified.settings is not settings or verified.expires <= time.time() - _LEEWAY_SECONDS:
        claims = _verify(token, settings)
        verified = _Verified(_user_id(claims), int(claims["exp"]), settings)
        if len(_verified) >= _MAX_VERIFIED:
            _verified.clear()
        _verified[digest] = verified
    return verified.user_id


def _verify(token: str, settings: Settings) -> dict[str, Any]:
    # Imported on first use: a process that only receives notifications does not need it.
    import jwt  # noqa: PLC0415

    if not settings.user_keys:
        raise UserTokenError("This mirror accepts no user tokens: USER_TOKEN_PUBLIC_KEY is not set.")
    try:
        key_id = jwt.get_unverified_header(token).get("kid")
    except jwt.InvalidTokenError:
        raise UserTokenError("The user token is not a JWT.") from None
    candidates = [key for key in settings.user_keys if key_id is None or key.key_id in (None, key_id)]
    for key in candidates:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm],
                audience=settings.user_token_audience or None,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "sub"], "verify_aud": bool(settings.user_token_audience)},
            )
        except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError):
            continue
        except jwt.InvalidTokenError as error:
            raise UserTokenError(_REASONS.get(type(error).__name__, "The user token is not valid.")) from None
        return claims
    raise UserTokenError("No key in USER_TOKEN_PUBLIC_KEY verifies the user token.")


def is_user_id(text: str) -> bool:
    """Return whether a text can be a user id: not blank, not too long, printable."""
    return bool(text.strip()) and len(text) <= LONGEST_USER_ID and text.isprintable()


def _user_id(claims: dict[str, Any]) -> str:
    user_id: str = claims["sub"]
    if not is_user_id(user_id):
        raise UserTokenError(_BAD_SUBJECT)
    return user_id


_BAD_SUBJECT = "The `sub` of the user token is not a valid user id."

# By the class of PyJWT's error.
_REASONS = {
    "ExpiredSignatureError": "The user token has expired.",
    "ImmatureSignatureError": "The user token is not valid yet.",
    "InvalidIssuedAtError": "The user token is not valid yet.",
    "InvalidAudienceError": "The `aud` of the user token is not USER_TOKEN_AUDIENCE.",
    "InvalidSubjectError": _BAD_SUBJECT,
    "MissingRequiredClaimError": "The user token lacks `sub`, `exp`, or a required `aud`.",
}
