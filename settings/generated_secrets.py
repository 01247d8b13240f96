"""Secrets that are generated once and stored in files, so that a development installation needs no configuration."""

import base64
import os
import secrets
from collections.abc import Callable
from pathlib import Path


def token() -> str:
    """Generate a random token of 256 bits."""
    return secrets.token_urlsafe(32)


def fernet_key() -> str:
    """Generate a Fernet key: 32 random bytes in URL-safe base64."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def read_or_create(path: Path, generate: Callable[[], str]) -> str:
    """
    Return the content of a file; if it does not exist, generate it first, readable by its owner only.

    Several processes may call this at the same time; all of them get the same text.
    """
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        _create(path, generate())
        return path.read_text().strip()


def _create(path: Path, text: str) -> None:
    # A link appears with its whole content or not at all, and fails if another process was first.
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
