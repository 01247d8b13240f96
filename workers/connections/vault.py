"""
Intercom's tokens at rest: encrypted, and each bound to the workspace and user it was given for.

    VaultError: a token cannot be opened; its text says why, and never holds it.
"""

import hashlib

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from settings import get_settings


class VaultError(Exception):
    """No key opens the token, or it belongs to another row."""


class _Sealed(msgspec.Struct, frozen=True):
    workspace_id: str
    user_id: str
    token: str


def seal(workspace_id: str, user_id: str, token: str) -> bytes:
    """
    Encrypt a token with the newest key.

    Raises:
        VaultError: TOKEN_ENCRYPTION_KEYS is blank.
    """
    return _fernet().encrypt(msgspec.json.encode(_Sealed(workspace_id, user_id, token)))


def unseal(workspace_id: str, user_id: str, sealed: bytes) -> str:
    """
    Decrypt a token.

    Whose it is stands inside, so that somebody who can write to the database, but has no key, cannot make one
    workspace's token serve another.

    Raises:
        VaultError: see its class.
    """
    try:
        opened = msgspec.json.decode(_fernet().decrypt(sealed), type=_Sealed)
    except InvalidToken:
        raise VaultError("No key in TOKEN_ENCRYPTION_KEYS opens the token. Connect the workspace again.") from None
    if (opened.workspace_id, opened.user_id) != (workspace_id, user_id):
        raise VaultError("The stored token belongs to another workspace or user. Connect the workspace again.")
    return opened.token


def fingerprint(token: str) -> str:
    """Return what tells tokens apart and reveals none: Intercom's are far too long to be guessed."""
    return hashlib.sha256(token.encode()).hexdigest()


def _fernet() -> MultiFernet:
    keys = get_settings().encryption_keys
    if not keys:
        raise VaultError("TOKEN_ENCRYPTION_KEYS is blank, so no token can be kept.")
    return MultiFernet([Fernet(key) for key in keys])
