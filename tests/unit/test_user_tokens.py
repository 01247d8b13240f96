"""A valid user token proves who sends a request; nothing else does."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from types import SimpleNamespace
from typing import Self

import jwt
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from jwt.algorithms import RSAAlgorithm

from cli.main import main
from settings import get_settings
from settings.user_keys import new_private_pem, public_pem
from webhooks import user_tokens
from webhooks.user_tokens import UserTokenError, user_of_header, user_of_token

RSA_KEY = rsa.generate_private_key(65537, 2048)
RSA_PEM = RSA_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
EC_PEM = new_private_pem()

Sign = Callable[..., str]


@pytest.fixture(autouse=True)
def _fresh_settings() -> Iterator[None]:
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture
def sign(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sign:
    """Sign claims with a key whose public half is in the settings; a claim that is None is left out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("USER_TOKEN_PUBLIC_KEY", public_pem(EC_PEM) + public_pem(RSA_PEM))

    def sign(key: str = EC_PEM, algorithm: str = "ES256", kid: str | None = None, **claims: object) -> str:
        whole = {"sub": "u-1", "exp": int(time.time()) + 60, **claims}
        given = {name: value for name, value in whole.items() if value is not None}
        return jwt.encode(given, key, algorithm=algorithm, headers={"kid": kid} if kid else None)

    return sign


def test_a_token_names_its_user(sign: Sign) -> None:
    """Both algorithms and each of several keys are accepted, whatever key id the token names."""
    assert user_of_token(sign()) == "u-1"
    assert user_of_token(sign(RSA_PEM, "RS256", kid="2026", sub="u-2")) == "u-2"
    assert user_of_header(f"bearer {sign()}") == "u-1"


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": int(time.time()) - 60}, "expired"),
        ({"exp": None}, "lacks"),
        ({"sub": None}, "lacks"),
        ({"sub": ""}, "not a valid user id"),
        ({"sub": "a\nb"}, "not a valid user id"),
        ({"sub": "x" * 256}, "not a valid user id"),
        ({"nbf": int(time.time()) + 86_400}, "not valid yet"),
    ],
)
def test_an_invalid_token_is_refused(sign: Sign, claims: dict[str, object], reason: str) -> None:
    """The error gives the reason, so that the application's developer can correct it."""
    with pytest.raises(UserTokenError, match=reason):
        user_of_token(sign(**claims))


def test_a_subject_that_is_not_text_is_refused(sign: Sign) -> None:
    """A number is a bug of the application; it is not converted."""
    token = jwt.PyJWS().encode(b'{"sub": 7, "exp": 4000000000}', load_pem_private_key(EC_PEM.encode(), None), "ES256")  # type: ignore[arg-type]
    assert sign()
    with pytest.raises(UserTokenError, match="not a valid user id"):
        user_of_token(token)


def test_another_key_verifies_nothing(sign: Sign) -> None:
    """Only the application can sign user tokens."""
    with pytest.raises(UserTokenError, match="No key"):
        user_of_token(sign(new_private_pem()))


def test_a_key_with_another_id_verifies_nothing(sign: Sign, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the keys have ids, a token that names none of them is refused, even if one of the keys would verify it."""
    jwk = {**RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True), "kid": "2026"}
    monkeypatch.setenv("USER_TOKEN_PUBLIC_KEY", json.dumps({"keys": [jwk]}))
    get_settings.cache_clear()
    assert user_of_token(sign(RSA_PEM, "RS256", kid="2026")) == "u-1"
    with pytest.raises(UserTokenError, match="No key"):
        user_of_token(sign(RSA_PEM, "RS256", kid="2025"))


def test_a_verified_token_can_become_invalid(sign: Sign, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only its signature is verified once; expiry, keys and audience are checked each time."""
    token = sign()
    assert user_of_token(token) == user_of_token(token) == "u-1"
    now = time.time()
    with monkeypatch.context() as later:
        later.setattr("webhooks.user_tokens.time", SimpleNamespace(time=lambda: now + 91))
        later.setattr("jwt.api_jwt.datetime", _Later)
        with pytest.raises(UserTokenError, match="expired"):
            user_of_token(token)
    monkeypatch.setenv("USER_TOKEN_PUBLIC_KEY", public_pem(new_private_pem()))
    get_settings.cache_clear()
    with pytest.raises(UserTokenError, match="No key"):
        user_of_token(token)


def test_the_number_of_remembered_tokens_is_limited(sign: Sign, monkeypatch: pytest.MonkeyPatch) -> None:
    """Endless new tokens do not fill memory."""
    monkeypatch.setattr(user_tokens, "_MAX_VERIFIED", 3)
    user_tokens._verified.clear()
    for number in range(10):
        assert user_of_token(sign(sub=f"u-{number}")) == f"u-{number}"
    assert len(user_tokens._verified) <= 3


class _Later(datetime):
    """The library's clock, a minute and a half later."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + timedelta(seconds=91)


def test_a_token_cannot_choose_its_algorithm(sign: Sign) -> None:
    """Neither `none`, nor the public key as a shared secret, is accepted."""
    pem = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    unsigned = jwt.encode({"sub": "u-1", "exp": 4_000_000_000}, "", algorithm="none")
    head, body, _ = sign().split(".")
    # The library refuses to sign with a public key, so the token is assembled here.
    signed = jwt.encode({"sub": "u-1", "exp": 4_000_000_000}, "k" * 32, algorithm="HS256").rpartition(".")[0]
    digest = hmac.new(pem, signed.encode(), hashlib.sha256).digest()
    shared = f"{signed}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"
    for token in (unsigned, shared, f"{head}.{body}."):
        with pytest.raises(UserTokenError):
            user_of_token(token)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic dTpw", "Bearer ", "Bearer a.b.c", "Bearer nonsense"])
def test_a_header_without_a_token_is_refused(sign: Sign, header: str | None) -> None:
    """Every malformed header raises the same error."""
    assert sign()
    with pytest.raises(UserTokenError):
        user_of_header(header)


def test_an_audience_is_required_if_it_is_set(sign: Sign, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token for another service of the same application is not accepted."""
    assert user_of_token(sign(aud="another")) == "u-1"
    monkeypatch.setenv("USER_TOKEN_AUDIENCE", "mirror")
    get_settings.cache_clear()
    assert user_of_token(sign(aud=["mirror", "another"])) == "u-1"
    for claims in ({"aud": "another"}, {}):
        with pytest.raises(UserTokenError, match="aud"):
            user_of_token(sign(**claims))


def test_without_a_key_no_token_is_accepted(sign: Sign, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mirror that only receives notifications names the missing setting."""
    token = sign()
    monkeypatch.setenv("INTERCOM_CLIENT_ID", "me")
    monkeypatch.setenv("INTERCOM_CLIENT_SECRET", "s")
    monkeypatch.setenv("USER_TOKEN_PUBLIC_KEY", "")
    get_settings.cache_clear()
    with pytest.raises(UserTokenError, match="USER_TOKEN_PUBLIC_KEY"):
        user_of_token(token)


def test_the_command_prints_a_token_and_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its output can be used in another command line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("USER_TOKEN_AUDIENCE", "mirror")
    outcome = CliRunner().invoke(main, ["token", "u-7"])
    assert outcome.exit_code == 0, outcome.output
    assert user_of_token(outcome.output.removesuffix("\n")) == "u-7"


def test_the_command_signs_nothing_for_a_real_app(sign: Sign) -> None:
    """The application has the private key."""
    assert sign()
    outcome = CliRunner().invoke(main, ["token", "u-7"])
    assert outcome.exit_code == 1
    assert "Your application signs" in outcome.output
