"""The public keys that verify the application's user tokens, as PEM or as a JSON Web Key Set."""

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

# Bits. Shorter RSA keys have been broken, or will be.
_SHORTEST_RSA = 2048

_WHAT_TO_WRITE = "Write the public key in PEM, or a JSON Web Key Set, of type RSA (2048 bits or more) or EC (P-256)."

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


class UserKey(NamedTuple):
    """
    A key, the one algorithm that it is good for ("RS256" or "ES256"), and its name if it has one.

    The algorithm is fixed with the key, so that no token can choose another one.
    """

    key: PublicKey
    algorithm: str
    key_id: str | None = None


def parse(text: str) -> tuple[UserKey, ...]:
    r"""
    Read one or more keys.

    Args:
        text: PEM blocks one after the other, line ends also as the two characters \n; or a JWK; or a JWKS.

    Raises:
        ValueError: one cannot be used; says what to write and repeats none of it.
    """
    keys = _of_json(text) if text.lstrip().startswith("{") else _of_pem(text.replace("\\n", "\n"))
    if not keys:
        raise ValueError(f"holds no public key. {_WHAT_TO_WRITE}")
    return tuple(keys)


def _of_pem(text: str) -> list[UserKey]:
    blocks = [(match[1], match[0]) for match in _PEM.finditer(text)]
    if any("PRIVATE" in name for name, _ in blocks):
        raise ValueError(f"holds a private key, which belongs to the application alone. {_WHAT_TO_WRITE}")
    return [_judged(_load(block)) for name, block in blocks if name in _PUBLIC_NAMES]


def _load(block: str) -> Any:
    try:
        return serialization.load_pem_public_key(block.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(f"holds a key that cannot be read. {_WHAT_TO_WRITE}") from None


def _of_json(text: str) -> list[UserKey]:
    try:
        found = json.loads(text)
        listed = found.get("keys", [found])
        keys = [each for each in listed if each.get("use", "sig") == "sig"]
        if any("d" in each or each["kty"] == "oct" for each in keys):
            raise ValueError(f"holds a private or shared key. {_WHAT_TO_WRITE}")
        return [_judged(PyJWK(each).key, each.get("kid")) for each in keys]
    except (AttributeError, KeyError, TypeError, json.JSONDecodeError, PyJWTError):
        raise ValueError(f"holds a key set that cannot be read. {_WHAT_TO_WRITE}") from None


def _judged(key: Any, key_id: str | None = None) -> UserKey:
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _SHORTEST_RSA:
        return UserKey(key, "RS256", key_id)
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return UserKey(key, "ES256", key_id)
    raise ValueError(f"holds a key of another kind. {_WHAT_TO_WRITE}")


def new_private_pem() -> str:
    """Make a private key for ES256."""
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(*form).decode()


def public_pem(private_pem: str) -> str:
    """Return the public half."""
    private = serialization.load_pem_private_key(private_pem.encode(), password=None)
    form = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.public_key().public_bytes(*form).decode()
