"""
Encryption of tokens and endpoint secrets at rest. Each is bound to its owner: a workspace and user, or an endpoint.

    VaultError: a token cannot be decrypted. Its message gives the reason, and never contains the token.
"""

import hashlib

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from settings import get_settings


class VaultError(Exception):
    """No key decrypts the token, or the token belongs to another row."""


class _Envelope(msgspec.Struct, frozen=True):
    # The field names are part of what is stored.
    workspace_id: str
    user_id: str
    token: str


def encrypt(workspace_id: str, user_id: str, token: str) -> bytes:
    """
    Encrypt a token with the newest key.

    Raises:
        VaultError: TOKEN_ENCRYPTION_KEYS is empty.
    """
    return _fernet().encrypt(msgspec.json.encode(_Envelope(workspace_id, user_id, token)))


def decrypt(workspace_id: str, user_id: str, encrypted: bytes) -> str:
    """
    Decrypt a token.

    The owner is encrypted with the token. So an attacker who can write to the database, but has no key, cannot use the
    token of one workspace for another.

    Raises:
        VaultError: see its class.
    """
    try:
        envelope = msgspec.json.decode(_fernet().decrypt(encrypted), type=_Envelope)
    except InvalidToken:
        raise VaultError("No key in TOKEN_ENCRYPTION_KEYS decrypts the token. Connect the workspace again.") from None
    if (envelope.workspace_id, envelope.user_id) != (workspace_id, user_id):
        raise VaultError("The stored token belongs to another workspace or user. Connect the workspace again.")
    return envelope.token


def fingerprint(token: str) -> str:
    """Return a hash that identifies a token without revealing it; Intercom's tokens are far too long to be guessed."""
    return hashlib.sha256(token.encode()).hexdigest()


def _fernet() -> MultiFernet:
    keys = get_settings().encryption_keys
    if not keys:
        raise VaultError("TOKEN_ENCRYPTION_KEYS is empty, so no token can be stored.")
    return MultiFernet([Fernet(key) for key in keys])
