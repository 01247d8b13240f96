"""Who asks: the application's own user, as the application's signed token says."""

import hashlib
import time
from typing import Any, NamedTuple

from settings import Settings, get_settings

# Seconds that the application's clock may be ahead or behind.
_LEEWAY_SECONDS = 30

# Characters; a user id of a reasonable application, also an address of a mail box or of an OpenID subject.
LONGEST_USER_ID = 255

_SCHEME = "bearer "

# Tokens whose signature was verified and is not verified again, which takes as long as all the rest of reading them;
# beyond, all are forgotten. Each has a few hundred bytes.
_MOST_VERIFIED = 4096


class _Verified(NamedTuple):
    """`expires`: unix seconds; `by`: the settings whose keys and audience it was found right by."""

    user_id: str
    expires: int
    by: Settings


_verified: dict[bytes, _Verified] = {}


class UserTokenError(Exception):
    """The token does not say who the user is; the text says what is wrong with it and repeats none of it."""


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
        UserTokenError: no key of ours verifies it, it is too old, or something is missing.
    """
    settings = get_settings()
    digest = hashlib.sha256(token.encode(errors="replace")).digest()
    found = _verified.get(digest)
    if found is None or found.by is not settings or found.expires <= time.time() - _LEEWAY_SECONDS:
        claims = _claims(token, settings)
        found = _Verified(_user_id(claims), int(claims["exp"]), settings)
        if len(_verified) >= _MOST_VERIFIED:
            _verified.clear()
        _verified[digest] = found
    return found.user_id


def _claims(token: str, settings: Settings) -> dict[str, Any]:
    # Loaded by the first one who asks: receiving notifications does without.
    import jwt  # noqa: PLC0415

    if not settings.user_keys:
        raise UserTokenError("This mirror takes no user tokens: USER_TOKEN_PUBLIC_KEY is not set.")
    try:
        key_id = jwt.get_unverified_header(token).get("kid")
    except jwt.InvalidTokenError:
        raise UserTokenError("The user token is no JWT.") from None
    fitting = [key for key in settings.user_keys if key_id is None or key.key_id in (None, key_id)]
    for key in fitting:
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
            raise UserTokenError(_reason(error)) from None
        return claims
    raise UserTokenError("No key in USER_TOKEN_PUBLIC_KEY verifies the user token.")


def _user_id(claims: dict[str, Any]) -> str:
    user_id: str = claims["sub"]
    if not user_id.strip() or len(user_id) > LONGEST_USER_ID or not user_id.isprintable():
        raise UserTokenError("The user token's `sub` is no user id.")
    return user_id


def _reason(error: Exception) -> str:
    return _REASONS.get(type(error).__name__, "The user token is not in order.")


_REASONS = {
    "ExpiredSignatureError": "The user token is too old.",
    "ImmatureSignatureError": "The user token is not valid yet.",
    "InvalidIssuedAtError": "The user token is not valid yet.",
    "InvalidAudienceError": "The user token is for somebody else: its `aud` is not USER_TOKEN_AUDIENCE.",
    "InvalidSubjectError": "The user token's `sub` is no user id.",
    "MissingRequiredClaimError": "The user token lacks `sub`, `exp`, or an `aud` that is asked for.",
}
