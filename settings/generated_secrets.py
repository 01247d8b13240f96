"""Secrets that we make ourselves, once, so that a newcomer need not."""

import base64
import os
import secrets
from collections.abc import Callable
from pathlib import Path


def token() -> str:
    """Make a random token of 256 bits."""
    return secrets.token_urlsafe(32)


def fernet_key() -> str:
    """Make a key for Fernet: 32 random bytes in the base64 of addresses."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def once(path: Path, make: Callable[[], str]) -> str:
    """
    Return what the file holds; made now, for its owner's eyes only, if there is none.

    Several processes may ask at the same time: all of them get the same text.
    """
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        _write_first(path, make())
        return path.read_text().strip()


def _write_first(path: Path, text: str) -> None:
    # A link appears whole or not at all, and fails if somebody else was first.
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{text}\n")
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
