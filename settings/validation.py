"""
Validators of the settings. Each mistake gives a valid value, and never repeats a secret.

Every function returns the value that the code uses. It raises ValueError with the rest of a sentence that begins with
the variable's name. `info.data` contains the preceding fields that are valid.
"""

import base64
import binascii
import json
import re
from pathlib import Path
from typing import Any

from pydantic import ValidationInfo

from settings import addresses

# The value of `client_id` while no app of the Developer Hub is configured.
DEVELOPMENT_CLIENT_ID = "development"
# Public, like this line, so it is accepted only on addresses that no other machine can reach.
DEVELOPMENT_CLIENT_SECRET = "development-only-client-secret"  # noqa: S105 -- not a secret, see above
# The prefix of the emulator's own tokens; a real token must never be sent to the emulator by mistake.
DEVELOPMENT_TOKEN_PREFIX = "dev-token-"  # noqa: S105 -- not a secret either

# Bytes of a Fernet key: half to encrypt, half to sign.
_FERNET_BYTES = 32


def split_commas(text: Any) -> Any:
    """Split a comma-separated list; a blank text is an empty one."""
    return tuple(part.strip() for part in text.split(",")) if isinstance(text, str) and text.strip() else ()


def directory(path: Any) -> Any:
    """Require an existing directory; blank means none."""
    if path in (None, ""):
        return None
    resolved = Path(path).expanduser()
    if not resolved.is_dir():
        raise ValueError("is not a directory. Set it to the path of a directory with workflow files.")
    return resolved.resolve()


def template_values(text: Any) -> Any:
    """Parse a JSON object of names and plain values; templates use the names after a dot."""
    if not isinstance(text, str):
        return text
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    if not isinstance(values, dict) or not all(_is_template_value(name, value) for name, value in values.items()):
        raise ValueError(
            'is invalid. Set it to a JSON object of names and plain values, such as {"app_url": "https://app.example.com"}.'
        )
    return values


def _is_template_value(name: str, value: Any) -> bool:
    return bool(re.fullmatch(r"[A-Za-z_]\w*", name)) and isinstance(value, str | int | float)


def _development(info: ValidationInfo) -> bool:
    return info.data.get("client_id") == DEVELOPMENT_CLIENT_ID


def client_id(name: str) -> str:
    """Use the emulator's app if it is blank."""
    return name or DEVELOPMENT_CLIENT_ID


def client_secrets(secrets: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    """Require a secret with a client id, and no empty one."""
    if _development(info):
        if secrets:
            raise ValueError("is set, but INTERCOM_CLIENT_ID is not. Set both, or neither to use the emulator.")
        return (DEVELOPMENT_CLIENT_SECRET,)
    if not secrets:
        raise ValueError("is missing. Set it to the client secret of the app in INTERCOM_CLIENT_ID.")
    if "" in secrets:
        raise ValueError("contains an empty secret, with which anyone can sign. Remove the extra comma.")
    return secrets


def api_url(url: str) -> str:
    """Require a URL that does not send tokens over a network unencrypted."""
    if not url:
        return ""
    host = addresses.http_host(url)
    if not url.startswith("https://") and not addresses.is_loopback(host):
        raise ValueError("would send tokens unencrypted. Set it to a URL that begins with https://.")
    return url.rstrip("/")


def version(text: str) -> str:
    """Require a version in Intercom's format."""
    if not re.fullmatch(r"[1-9]\d*\.\d+|Preview", text):
        raise ValueError("is not a version of Intercom's API. Set it to 2.16, or another one that Intercom lists.")
    return text


def access_token(token: str, info: ValidationInfo) -> str:
    """Refuse to send a real workspace's token to the emulator."""
    if token and _development(info) and not info.data.get("api_url") and not token.startswith(DEVELOPMENT_TOKEN_PREFIX):
        raise ValueError(
            "is set, but INTERCOM_CLIENT_ID is not, so the emulator would receive it. "
            "Set INTERCOM_CLIENT_ID and INTERCOM_CLIENT_SECRET of the private app as well."
        )
    return token


def host(name: str, info: ValidationInfo) -> str:
    """Accept the development credentials on this machine only."""
    if _development(info) and not addresses.is_loopback(name):
        raise ValueError(
            f"is {name}, which other machines can reach, and the development credentials are public. "
            "Set INTERCOM_CLIENT_ID and INTERCOM_CLIENT_SECRET as well, or HOST=127.0.0.1."
        )
    return name


def public_url(url: str, info: ValidationInfo) -> str:
    """Derive it from HOST and PORT if it is blank; accept the development credentials on this machine only."""
    if not url:
        return addresses.http_url(info.data.get("host", "127.0.0.1"), info.data.get("port", 8000))
    name = addresses.http_host(url)
    if _development(info) and not addresses.is_loopback(name):
        raise ValueError(
            f"is at {name}, which other machines can reach, and the development credentials are public. "
            "Set INTERCOM_CLIENT_ID and INTERCOM_CLIENT_SECRET as well, or leave PUBLIC_URL blank."
        )
    return url.rstrip("/")


def origins(listed: tuple[str, ...]) -> tuple[str, ...]:
    """Require origins exactly as browsers send them; any other text would never match."""
    for origin in listed:
        if not _ORIGIN.fullmatch(origin) or (
            origin.startswith("http:") and not addresses.is_loopback(addresses.http_host(origin))
        ):
            raise ValueError(
                f"contains {origin or 'an extra comma'}, which is not an origin. Set it to origins such as "
                "https://app.example.com: scheme, host, and a port other than the default; no path, no *; http:// for "
                "this machine only."
            )
    return listed


# Lower case and without default ports, as browsers send them.
_ORIGIN = re.compile(
    r"(?:https://(?!.*:443$)|http://(?!.*:80$))(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::\d{1,5})?"
)


def emulator_port(port: int, info: ValidationInfo) -> int:
    """Require another port than that of the web process."""
    if port == info.data.get("port"):
        raise ValueError(f"is {port}, and so is PORT. Set it to another number.")
    return port


def user_keys(text: str) -> str:
    """Require public keys that can verify user tokens."""
    if text:
        # The cryptography library is loaded only if it is set.
        from settings.user_keys import parse  # noqa: PLC0415

        parse(text)
    return text


def encryption_keys(keys: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    """Require Fernet keys, and at least one if there are tokens to encrypt."""
    if not all(_is_fernet_key(key) for key in keys):
        raise ValueError(f"contains a value that is not a Fernet key. {_HOW_TO_MAKE_KEYS}")
    needed_by = [
        name
        for field, name in (
            ("access_token", "INTERCOM_ACCESS_TOKEN"),
            ("configured_user_keys", "USER_TOKEN_PUBLIC_KEY"),
        )
        if info.data.get(field)
    ]
    if needed_by and not keys and not _development(info):
        raise ValueError(f"is missing, and {needed_by[0]} is set: tokens are stored encrypted. {_HOW_TO_MAKE_KEYS}")
    return keys


_HOW_TO_MAKE_KEYS = (
    "Set it to the output of: python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"
)


def _is_fernet_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, altchars=b"-_", validate=True)) == _FERNET_BYTES
    except (binascii.Error, ValueError):
        return False
