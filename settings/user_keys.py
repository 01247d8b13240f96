"""Parses the public keys that verify the application's user tokens: PEM or a JSON Web Key Set."""

import json
import re
from typing import Any, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt import PyJWK
from jwt.exceptions import PyJWTError

_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)
_PUBLIC_NAMES = ("PUBLIC KEY", "RSA PUBLIC KEY")

# Bits. NIST SP 800-131A disallows shorter RSA keys for signatures.
_MIN_RSA_BITS = 2048

_REMEDY = "Set it to a public key in PEM, or a JSON Web Key Set, of type RSA (2048 bits or more) or EC (P-256)."

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


class UserKey(NamedTuple):
    """
    A public key with its only algorithm ("RS256" or "ES256"), and its name if it has one.

    The algorithm is bound to the key, so a token cannot choose another one.
    """

    key: PublicKey
    algorithm: str
    key_id: str | None = None


def parse(text: str) -> tuple[UserKey, ...]:
    r"""
    Parse one or more keys.

    Args:
        text: PEM blocks, whose line ends may be written as the two characters \n; or a JWK; or a JWKS.

    Raises:
        ValueError: a key is invalid; the message gives a valid value and repeats nothing of the key.
    """
    keys = _from_json(text) if text.lstrip().startswith("{") else _from_pem(text.replace("\\n", "\n"))
    if not keys:
        raise ValueError(f"contains no public key. {_REMEDY}")
    return tuple(keys)


def _from_pem(text: str) -> list[UserKey]:
    blocks = [(match[1], match[0]) for match in _PEM.finditer(text)]
    if any("PRIVATE" in name for name, _ in blocks):
        raise ValueError(f"contains a private key, which must stay with the application. {_REMEDY}")
    return [_user_key(_load(block)) for name, block in blocks if name in _PUBLIC_NAMES]


def _load(block: str) -> Any:
    try:
        return serialization.load_pem_public_key(block.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(f"contains a key that cannot be parsed. {_REMEDY}") from None


def _from_json(text: str) -> list[UserKey]:
    try:
        document = json.loads(text)
        listed = document.get("keys", [document])
        keys = [each for each in listed if each.get("use", "sig") == "sig"]
        if any("d" in each or each["kty"] == "oct" for each in keys):
            raise ValueError(f"contains a private or shared key. {_REMEDY}")
        return [_user_key(PyJWK(each).key, each.get("kid")) for each in keys]
    except (AttributeError, KeyError, TypeError, json.JSONDecodeError, PyJWTError):
        raise ValueError(f"contains a key set that cannot be parsed. {_REMEDY}") from None


def _user_key(key: Any, key_id: str | None = None) -> UserKey:
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _MIN_RSA_BITS:
        return UserKey(key, "RS256", key_id)
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return UserKey(key, "ES256", key_id)
    raise ValueError(f"contains a key of another kind. {_REMEDY}")


def new_private_pem() -> str:
    """Generate a private key for ES256."""
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(*form).decode()


def public_pem(private_pem: str) -> str:
    """Return the public key of a private key."""
    private = serialization.load_pem_private_key(private_pem.encode(), password=None)
    form = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.public_key().public_bytes(*form).decode()
