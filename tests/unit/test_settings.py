"""The settings are read from the environment, and all mistakes are reported at once."""

import base64
import json
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm
from kombu.connection import Connection
from redis import Redis

from settings import Settings, SettingsError, get_settings
from settings.environment import DEVELOPMENT_CLIENT_SECRET, variables
from settings.user_keys import new_private_pem, public_pem

Read = Callable[..., Settings]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Read]:
    """Read the settings from these variables only, in a directory of their own."""
    monkeypatch.chdir(tmp_path)
    for name in variables():
        monkeypatch.delenv(name, raising=False)

    def read(**environment: str) -> Settings:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        return get_settings()

    yield read
    get_settings.cache_clear()


def mistakes(read: Read, **environment: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read(**environment)
    return caught.value.mistakes


def test_the_defaults_are_a_complete_development_environment(read: Read, tmp_path: Path) -> None:
    """No setting is required for development."""
    settings = read()
    assert settings.development
    assert settings.embedded_redis
    assert settings.client_secrets == (DEVELOPMENT_CLIENT_SECRET,)
    assert settings.database_url == f"sqlite:///{tmp_path}/var/mirror.db"
    assert settings.public_url == "http://127.0.0.1:8000"


def test_all_mistakes_are_reported_at_once(read: Read) -> None:
    """Each invalid variable is named with a valid value."""
    reported = mistakes(
        read, PORT="many", RETENTION_DAYS="0", DATABASE_URL="mysql://x", REDIS_URL="http://x", HOST="::"
    )
    names = [sentence.split()[0] for sentence in reported]
    assert names == ["DATABASE_URL", "REDIS_URL", "HOST", "PORT", "RETENTION_DAYS"]
    assert all("Set " in sentence for sentence in reported)


@pytest.mark.parametrize(
    "environment",
    [
        {"INTERCOM_CLIENT_SECRET": "hush-hush"},
        {"DATABASE_URL": "hush-hush://me:hush-hush@h/d"},
        {"REDIS_URL": "redis://:hush-hush@[::1"},
        {"ADMIN_TOKEN": "hush-hush", "PORT": "x"},
        {"INTERCOM_CLIENT_ID": "me", "INTERCOM_CLIENT_SECRET": "hush-hush,,"},
    ],
)
def test_no_mistake_repeats_a_secret(read: Read, environment: dict[str, str]) -> None:
    """The text that is printed and logged contains no secret."""
    with pytest.raises(SettingsError) as caught:
        read(**environment)
    assert "hush-hush" not in str(caught.value)


@pytest.mark.parametrize(("host", "public_url"), [("0.0.0.0", ""), ("", "https://mirror.example.com")])  # noqa: S104
def test_development_credentials_are_for_loopback_only(read: Read, host: str, public_url: str) -> None:
    """A server that other machines can reach must not accept the public secret."""
    (mistake,) = mistakes(read, HOST=host, PUBLIC_URL=public_url)
    assert "development credentials are public" in mistake
    assert read(INTERCOM_CLIENT_ID="me", INTERCOM_CLIENT_SECRET="s").host == host or "127.0.0.1"


@pytest.mark.parametrize("host", ["127.0.0.2", "::1", "localhost"])
def test_every_loopback_address_is_accepted(read: Read, host: str) -> None:
    """Development works on each loopback address."""
    assert read(HOST=host).development


@pytest.mark.parametrize("secret", ["", " ", ",", "a,,b", "a, ,b", "a,"])
def test_an_empty_secret_is_refused(read: Read, secret: str) -> None:
    """HMAC accepts an empty key, with which anyone could sign."""
    (mistake,) = mistakes(read, INTERCOM_CLIENT_ID="me", INTERCOM_CLIENT_SECRET=secret)
    assert mistake.startswith("INTERCOM_CLIENT_SECRET ")


def test_secrets_in_rotation_come_newest_first(read: Read) -> None:
    """The order is kept."""
    assert read(INTERCOM_CLIENT_ID="me", INTERCOM_CLIENT_SECRET="new, old").client_secrets == ("new", "old")


def test_a_secret_without_a_client_id_is_a_mistake(read: Read) -> None:
    """A secret without an id would otherwise silently start the emulator."""
    (mistake,) = mistakes(read, INTERCOM_CLIENT_SECRET="s")
    assert "INTERCOM_CLIENT_ID is not" in mistake


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("postgres://u:p@h:5432/d", "postgresql+psycopg://u:p@h:5432/d"),
        ("postgresql+psycopg://u@/d?host=/run/x", "postgresql+psycopg://u@/d?host=/run/x"),
        ("sqlite:////data/m.db", "sqlite:////data/m.db"),
        ("sqlite:///m.db?timeout=3", "sqlite:///{cwd}/m.db?timeout=3"),
    ],
)
def test_a_database_url_is_normalized(read: Read, tmp_path: Path, given: str, url: str) -> None:
    """Schemes of hosting services are accepted, and a file's path becomes absolute."""
    assert read(DATABASE_URL=given).database_url == url.format(cwd=tmp_path)


def test_a_database_in_memory_is_refused(read: Read) -> None:
    """Each process would have a database of its own."""
    assert "must name a file" in mistakes(read, DATABASE_URL="sqlite:///:memory:")[0]


@pytest.mark.parametrize(
    ("given", "broker"),
    [
        ("", "redis+socket://{cwd}/var/valkey.sock?virtual_host=0"),
        ("redis://h:1/3", "redis://h:1/3"),
        ("redis://u:p@h/?db=4&socket_timeout=2", "redis://u:p@h/4"),
        ("rediss://h:2", "rediss://h:2/0?ssl_cert_reqs=required"),
        (
            "rediss://h:2/1?ssl_ca_certs=/ca.pem&ssl_cert_reqs=none",
            "rediss://h:2/1?ssl_ca_certs=%2Fca.pem&ssl_cert_reqs=none",
        ),
    ],
)
def test_the_broker_url_is_the_same_server(read: Read, tmp_path: Path, given: str, broker: str) -> None:
    """The libraries write sockets and databases differently, and Celery requires explicit TLS options."""
    assert read(REDIS_URL=given).broker_url == broker.format(cwd=tmp_path)


@pytest.mark.parametrize("database", ["0", "5"])
def test_celery_and_redis_py_use_the_same_database(read: Read, redis_url: str, database: str) -> None:
    """What Celery writes redis-py reads."""
    settings = read(REDIS_URL=f"{redis_url}?db={database}")
    with Connection(settings.broker_url) as connection:  # type: ignore[no-untyped-call]
        connection.SimpleQueue("meeting").put({})
    with Redis.from_url(settings.redis_url) as client:
        assert client.llen("meeting") == 1


def test_a_long_path_has_a_short_socket(read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two directories with long paths have different sockets."""
    sockets = set()
    for name in ("a" * 120, "b" * 120):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        sockets.add(read().redis_socket)
    assert len(sockets) == 2
    assert all(len(bytes(path)) <= 100 for path in sockets)


def test_the_admin_token_is_generated_once(read: Read, tmp_path: Path) -> None:
    """Processes that start together use one token, and only its owner can read it."""
    settings = [read().model_copy() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        tokens = set(pool.map(lambda each: each.admin_token, settings))
    assert len(tokens) == 1
    file = tmp_path / "var" / "admin-token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(file.read_text().strip()) >= 32
    assert [path.name for path in file.parent.iterdir()] == ["admin-token"]


def test_no_admin_token_is_generated_for_a_real_app(read: Read, tmp_path: Path) -> None:
    """In production the operator sets it."""
    assert read(INTERCOM_CLIENT_ID="me", INTERCOM_CLIENT_SECRET="s").admin_token is None
    assert not (tmp_path / "var").exists()


def test_a_dotenv_file_is_read_and_the_environment_wins(read: Read, tmp_path: Path) -> None:
    """Settings may be in a file of the working directory."""
    (tmp_path / ".env").write_text("PORT=8100\nRETENTION_DAYS=7\n")
    settings = read(RETENTION_DAYS="8")
    assert (settings.port, settings.retention_days) == (8100, 8)


def test_the_repr_contains_no_secret(read: Read) -> None:
    """Printed or logged settings reveal nothing."""
    hush = {"DATABASE_URL": "postgres://u:hush@h/d", "REDIS_URL": "redis://:hush@h", "ADMIN_TOKEN": "hush"}
    assert "hush" not in repr(read(INTERCOM_CLIENT_ID="me", INTERCOM_CLIENT_SECRET="hush", **hush))


FERNET_KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()
REAL_APP = {"INTERCOM_CLIENT_ID": "me", "INTERCOM_CLIENT_SECRET": "s"}


def test_development_keys_are_generated_once(read: Read, tmp_path: Path) -> None:
    """All processes use the same keys."""
    first, second = read(), read().model_copy()
    assert first.encryption_keys == second.encryption_keys
    assert first.user_keys[0].algorithm == "ES256"
    assert public_pem(str(first.user_token_private_key)) == public_pem(str(second.user_token_private_key))
    files = sorted(path.name for path in (tmp_path / "var").iterdir())
    assert files == ["token-encryption-key", "user-token-key.pem"]
    assert {stat.S_IMODE((tmp_path / "var" / name).stat().st_mode) for name in files} == {0o600}
    Fernet(first.encryption_keys[0])


def test_a_real_app_needs_no_keys_for_webhooks_only(read: Read, tmp_path: Path) -> None:
    """Without connections no keys are needed, and none are generated."""
    settings = read(**REAL_APP)
    assert (settings.encryption_keys, settings.user_keys, settings.tokens_to_connect) == ((), (), {})
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize("name", ["INTERCOM_ACCESS_TOKEN", "USER_TOKEN_PUBLIC_KEY"])
def test_tokens_require_an_encryption_key(read: Read, name: str) -> None:
    """With connections an encryption key is required."""
    value = public_pem(new_private_pem()) if name == "USER_TOKEN_PUBLIC_KEY" else "hush-hush"
    (mistake,) = mistakes(read, **REAL_APP, **{name: value})
    assert mistake.startswith(f"TOKEN_ENCRYPTION_KEYS is missing, and {name} is set")
    assert read(TOKEN_ENCRYPTION_KEYS=FERNET_KEY).encryption_keys == (FERNET_KEY,)


@pytest.mark.parametrize("keys", ["short", f"{FERNET_KEY},", f"{FERNET_KEY},hush", FERNET_KEY[:-4], "ü" * 44])
def test_an_invalid_encryption_key_is_a_mistake(read: Read, keys: str) -> None:
    """It is reported at the start, not when the first user connects, and not repeated."""
    (mistake,) = mistakes(read, TOKEN_ENCRYPTION_KEYS=keys)
    assert mistake.startswith("TOKEN_ENCRYPTION_KEYS contains a value that is not a Fernet key. Set ")
    assert FERNET_KEY not in mistake


def test_the_emulator_never_gets_a_real_token(read: Read) -> None:
    """A token without a client id is a mistake, except for the emulator's own tokens."""
    (mistake,) = mistakes(read, INTERCOM_ACCESS_TOKEN="hush-hush")
    assert "the emulator would receive it" in mistake
    assert "hush-hush" not in mistake
    assert read(INTERCOM_ACCESS_TOKEN="dev-token-demo0002").tokens_to_connect == {
        "demo": "dev-token-demo0001",
        "default": "dev-token-demo0002",
    }


def test_the_api_url_must_be_encrypted(read: Read) -> None:
    """Plain http is accepted for this machine only."""
    (mistake,) = mistakes(read, INTERCOM_API_URL="http://proxy.example.com")
    assert "unencrypted" in mistake
    assert read(INTERCOM_API_URL="http://127.0.0.1:9/us/").api_url == "http://127.0.0.1:9/us"
    assert read(INTERCOM_API_URL="https://proxy.example.com").api_url == "https://proxy.example.com"


@pytest.mark.parametrize("version", ["2", "v2.16", "latest", "2.16.1"])
def test_a_version_must_have_intercoms_format(read: Read, version: str) -> None:
    """With any other text every call would fail later."""
    (mistake,) = mistakes(read, INTERCOM_VERSION=version)
    assert mistake.startswith("INTERCOM_VERSION is not a version")


@pytest.mark.parametrize(
    "text",
    [
        "hush-hush",
        new_private_pem(),
        "{}",
        '{"keys": []}',
        '{"keys": [{"kty": "oct", "k": "aHVzaC1odXNo"}]}',
        '{"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}',
        "-----BEGIN PUBLIC KEY-----\nhush-hush\n-----END PUBLIC KEY-----",
    ],
    ids=["text", "private", "no-jwk", "no-keys", "shared", "short-rsa", "broken"],
)
def test_a_user_key_that_cannot_verify_is_a_mistake(read: Read, text: str) -> None:
    """Each would fail, or accept forged tokens, only when the first user connects."""
    (mistake,) = mistakes(read, USER_TOKEN_PUBLIC_KEY=text)
    assert mistake.startswith("USER_TOKEN_PUBLIC_KEY contains ")
    assert "hush-hush" not in mistake


def test_several_user_keys_may_be_pem_or_jwks(read: Read) -> None:
    """Both keys of a rotation are accepted; line ends may be written as two characters."""
    rsa_key = rsa.generate_private_key(65537, 2048).public_key()
    rsa_pem = rsa_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    both = read(USER_TOKEN_PUBLIC_KEY=(public_pem(new_private_pem()) + rsa_pem).replace("\n", "\\n"))
    assert [key.algorithm for key in both.user_keys] == ["ES256", "RS256"]
    jwk = {**RSAAlgorithm.to_jwk(rsa_key, as_dict=True), "kid": "one"}
    named = read(USER_TOKEN_PUBLIC_KEY=json.dumps({"keys": [jwk, {**jwk, "use": "enc"}]}))
    assert [(key.algorithm, key.key_id) for key in named.user_keys] == [("RS256", "one")]


def test_the_redirect_address_is_under_the_public_one(read: Read) -> None:
    """The Developer Hub must list it."""
    assert read(PORT="8100").redirect_url == "http://127.0.0.1:8100/oauth/callback"


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "null",
        "app.example.com",
        "https://app.example.com/",
        "https://*.example.com",
        "http://app.example.com",
        "https://app.example.com:443",
        "https://App.example.com",
        "https://app.example.com,",
        "https://a.example/x",
    ],
)
def test_an_origin_that_no_browser_sends_is_a_mistake(read: Read, origin: str) -> None:
    """It would never match; wildcards are not supported."""
    assert "ALLOWED_ORIGINS" in mistakes(read, ALLOWED_ORIGINS=origin)[0]


def test_origins_are_accepted_as_browsers_send_them(read: Read) -> None:
    """With ports, and without TLS for this machine."""
    listed = ("https://app.example.com", "https://app.example.com:8443", "http://localhost:3000", "http://[::1]:3000")
    assert read(ALLOWED_ORIGINS=", ".join(listed)).allowed_origins == listed
