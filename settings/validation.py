"""
What makes a setting usable; each mistake says what to write, and never repeats the value of a secret.

Every function returns the value as the code wants it and raises ValueError with the rest of a sentence that begins
with the variable's name. `info.data` holds the fields before it that are in order.
"""

import base64
import binascii
import json
import re
from pathlib import Path
from typing import Any

from pydantic import ValidationInfo

from settings import addresses

# What `client_id` is while no app of the Developer Hub is configured.
DEVELOPMENT_CLIENT_ID = "development"
# Known to everybody who reads this line, so it opens only an address that nobody else can reach.
DEVELOPMENT_CLIENT_SECRET = "development-only-client-secret"  # noqa: S105 -- it is no secret, as said above
# What the emulator's own tokens begin with; a real one must never be sent to it by mistake.
DEVELOPMENT_TOKEN_PREFIX = "dev-token-"  # noqa: S105 -- no secret either

# Bytes of a Fernet key: half to encrypt, half to sign.
_FERNET_BYTES = 32


def separate(text: Any) -> Any:
    """Split what is separated by commas; one blank text is an empty list."""
    return tuple(part.strip() for part in text.split(",")) if isinstance(text, str) and text.strip() else ()


def folder(path: Any) -> Any:
    """Want a folder that is there; blank is none."""
    if path in (None, ""):
        return None
    found = Path(path).expanduser()
    if not found.is_dir():
        raise ValueError("is no folder. Write the path of a folder with workflow files.")
    return found.resolve()


def named(text: Any) -> Any:
    """Read names and plain values from JSON; the names are what templates may say after a dot."""
    if not isinstance(text, str):
        return text
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(_is_named(name, value) for name, value in found.items()):
        raise ValueError('must be JSON with names and plain values, such as {"app_url": "https://app.example.com"}.')
    return found


def _is_named(name: str, value: Any) -> bool:
    return bool(re.fullmatch(r"[A-Za-z_]\w*", name)) and isinstance(value, str | int | float)


def _development(info: ValidationInfo) -> bool:
    return info.data.get("client_id") == DEVELOPMENT_CLIENT_ID


def client_id(name: str) -> str:
    """Name the built-in emulator's app where no other one is named."""
    return name or DEVELOPMENT_CLIENT_ID


def client_secrets(secrets: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    """Want a secret with each client id, and none that is empty."""
    if _development(info):
        if secrets:
            raise ValueError("is set, but INTERCOM_CLIENT_ID is not. Write both, or neither to use the emulator.")
        return (DEVELOPMENT_CLIENT_SECRET,)
    if not secrets:
        raise ValueError("is missing. Write the client secret of the app that INTERCOM_CLIENT_ID names.")
    if "" in secrets:
        raise ValueError("holds an empty secret, which anyone could sign with. Write no comma too many.")
    return secrets


def api_url(url: str) -> str:
    """Want an address that does not carry tokens over a network in clear."""
    if not url:
        return ""
    host = addresses.http_host(url)
    if not url.startswith("https://") and not addresses.is_loopback(host):
        raise ValueError("would carry tokens unencrypted. Write an address that begins with https://.")
    return url.rstrip("/")


def version(text: str) -> str:
    """Want a version as Intercom writes it."""
    if not re.fullmatch(r"[1-9]\d*\.\d+|Preview", text):
        raise ValueError("is no version of Intercom's API. Write 2.16, or another one that Intercom lists.")
    return text


def access_token(token: str, info: ValidationInfo) -> str:
    """Keep a real workspace's token from the emulator."""
    if token and _development(info) and not info.data.get("api_url") and not token.startswith(DEVELOPMENT_TOKEN_PREFIX):
        raise ValueError(
            "is set, but INTERCOM_CLIENT_ID is not, so the emulator would get it. "
            "Write INTERCOM_CLIENT_ID and INTERCOM_CLIENT_SECRET of the private app as well."
        )
    return token


def host(name: str, info: ValidationInfo) -> str:
    """Keep the development credentials on this machine."""
    if _development(info) and not addresses.is_loopback(name):
        raise ValueError(
            f"is {name}, which others can reach, and development credentials are known to everybody. "
            "Write INTERCOM_CLIENT_ID and INTERCOM_CLIENT_SECRET as well, or HOST=127.0.0.1."
        )
    return name


def public_url(url: str, info: ValidationInfo) -> str:
    """Make it from HOST and PORT where it is blank; keep development at home."""
    if not url:
        return addresses.http_url(info.data.get("host", "127.0.0.1"), info.data.get("port", 8000))
    name = addresses.http_host(url)
    if _development(info) and not addresses.is_loopback(name):
        raise ValueError(
            f"is at {name}, which others can reach, and development credentials are known to everybody. "
            "Write INTERCOM_CLIENT_ID and INTERCOM_CLIENT_SECRET as well, or leave PUBLIC_URL out."
        )
    return url.rstrip("/")


def origins(listed: tuple[str, ...]) -> tuple[str, ...]:
    """Want origins as browsers write them, each in full: one that is never sent would never be allowed."""
    for origin in listed:
        if not _ORIGIN.fullmatch(origin) or (
            origin.startswith("http:") and not addresses.is_loopback(addresses.http_host(origin))
        ):
            raise ValueError(
                f"holds {origin or 'a comma too many'}, which is no origin. Write https://app.example.com: scheme, "
                "host, and a port that is not the usual one; no path, no *; http:// for this machine only."
            )
    return listed


# Lower case and without the usual ports, as browsers send them.
_ORIGIN = re.compile(
    r"(?:https://(?!.*:443$)|http://(?!.*:80$))(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::\d{1,5})?"
)


def emulator_port(port: int, info: ValidationInfo) -> int:
    """Want another port than the web process's."""
    if port == info.data.get("port"):
        raise ValueError(f"is {port}, as is PORT. Write another number.")
    return port


def user_keys(text: str) -> str:
    """Want public keys that we can verify with."""
    if text:
        # Only who sets it pays for loading the library.
        from settings.user_keys import parse  # noqa: PLC0415

        parse(text)
    return text


def encryption_keys(keys: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    """Want Fernet keys, and some as soon as there are tokens to encrypt."""
    if not all(_is_fernet_key(key) for key in keys):
        raise ValueError(f"holds something that is no Fernet key. {_HOW_TO_MAKE_KEYS}")
    needed_by = [
        name
        for field, name in (
            ("access_token", "INTERCOM_ACCESS_TOKEN"),
            ("configured_user_keys", "USER_TOKEN_PUBLIC_KEY"),
        )
        if info.data.get(field)
    ]
    if needed_by and not keys and not _development(info):
        raise ValueError(f"is missing, and {needed_by[0]} is set: tokens are kept encrypted. {_HOW_TO_MAKE_KEYS}")
    return keys


_HOW_TO_MAKE_KEYS = (
    "Write what this prints: python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"
)


def _is_fernet_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, altchars=b"-_", validate=True)) == _FERNET_BYTES
    except (binascii.Error, ValueError):
        return False
