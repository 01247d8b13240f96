"""
Intercom's signatures over the raw body, keyed with the app's client secret.

Topic notifications carry HMAC-SHA1 in `X-Hub-Signature`; other callbacks, such as the uninstall notice, carry
HMAC-SHA256 in `X-Body-Signature`.
"""

import hmac
from collections.abc import Callable, Sequence

from intercom_api.errors import SignatureError

# "sha1=" and the 40 hex digits of a SHA-1 digest; Intercom sends nothing else.
_PREFIX = "sha1="
_HEADER_LENGTH = len(_PREFIX) + 40


def sign(body: bytes, client_secret: str) -> str:
    """
    Return the `X-Hub-Signature` header that Intercom would send with this body.

    Source:
        Intercom, "Webhooks" (signed notifications).
    """
    return _PREFIX + hmac.digest(client_secret.encode(), body, "sha1").hex()


def verify(body: bytes, signature: str | None, client_secrets: Sequence[str]) -> None:
    """
    Accept the body if one of the secrets made the signature.

    Args:
        body: the request body exactly as received; re-encoded JSON has another digest.
        signature: the `X-Hub-Signature` header, "sha1=" and 40 hex digits; None if absent.
        client_secrets: newest first; more than one only while a secret is rotated.

    Raises:
        SignatureError: the header is absent or malformed, or no secret matches. Answer 401.
    """
    if signature is None:
        raise SignatureError("The X-Hub-Signature header is missing.")
    given = signature.encode("utf-8", "surrogateescape")
    if len(given) != _HEADER_LENGTH:
        raise SignatureError("The X-Hub-Signature header is not 'sha1=' and 40 hex digits.")
    if not _matches(given, body, client_secrets, sign):
        raise SignatureError("No client secret matches the X-Hub-Signature header.")


def sign_body(body: bytes, client_secret: str) -> str:
    """Return the `X-Body-Signature` header that Intercom would send with this body: 64 hex digits, no prefix."""
    return hmac.digest(client_secret.encode(), body, "sha256").hex()


def verify_callback(
    body: bytes, body_signature: str | None, hub_signature: str | None, client_secrets: Sequence[str]
) -> None:
    """
    Accept the body of a callback that is not a topic notification, if one of the secrets made one of its signatures.

    Args:
        body: the request body exactly as received.
        body_signature: the `X-Body-Signature` header, 64 hex digits; None if absent.
        hub_signature: the `X-Hub-Signature` header, which is checked only if the other one is absent.
        client_secrets: newest first.

    Raises:
        SignatureError: both headers are absent, or no secret matches. Answer 401.
    """
    if body_signature is None:
        verify(body, hub_signature, client_secrets)
        return
    given = body_signature.encode("utf-8", "surrogateescape")
    if not _matches(given, body, client_secrets, sign_body):
        raise SignatureError("No client secret matches the X-Body-Signature header.")


def _matches(given: bytes, body: bytes, client_secrets: Sequence[str], sign_with: Callable[[bytes, str], str]) -> bool:
    """
    Return whether one of the secrets made the signature.

    An empty secret is skipped: anyone can sign with it. Every other secret is tried, so that the time taken does not
    reveal which one matched.
    """
    results = [hmac.compare_digest(given, sign_with(body, secret).encode()) for secret in client_secrets if secret]
    return any(results)
