"""A stored token is decrypted only with a key of the settings, and only for the row that it was encrypted for."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from settings import get_settings
from workers.connections.vault import VaultError, decrypt, encrypt, fingerprint

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
TOKEN = "dG9rOmludmVudGVk"


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """Begin with the old key."""
    monkeypatch.chdir(tmp_path)
    use(monkeypatch, OLD)
    yield monkeypatch
    get_settings.cache_clear()


def use(monkeypatch: pytest.MonkeyPatch, *keys: str) -> None:
    monkeypatch.setenv("INTERCOM_CLIENT_ID", "me")
    monkeypatch.setenv("INTERCOM_CLIENT_SECRET", "s")
    monkeypatch.setenv("TOKEN_ENCRYPTION_KEYS", ",".join(keys))
    get_settings.cache_clear()


def test_a_decrypted_token_is_the_original() -> None:
    """It is not readable while it is encrypted."""
    encrypted = encrypt("ws1", "u1", TOKEN)
    assert TOKEN.encode() not in encrypted
    assert decrypt("ws1", "u1", encrypted) == TOKEN


def test_tokens_of_a_rotated_key_are_decrypted(keys: pytest.MonkeyPatch) -> None:
    """The newest key encrypts, each key decrypts; a token of a removed key is lost."""
    old = encrypt("ws1", "u1", TOKEN)
    use(keys, NEW, OLD)
    new = encrypt("ws1", "u1", TOKEN)
    assert decrypt("ws1", "u1", old) == decrypt("ws1", "u1", new) == TOKEN
    use(keys, NEW)
    assert decrypt("ws1", "u1", new) == TOKEN
    with pytest.raises(VaultError, match="Connect the workspace again"):
        decrypt("ws1", "u1", old)


@pytest.mark.parametrize("row", [("ws2", "u1"), ("ws1", "u2")])
def test_a_token_in_another_row_is_refused(row: tuple[str, str]) -> None:
    """Write access to the table does not allow using one workspace's token for another."""
    with pytest.raises(VaultError, match="another workspace or user"):
        decrypt(*row, encrypt("ws1", "u1", TOKEN))


def test_a_changed_token_is_refused() -> None:
    """It is signed as well as encrypted."""
    with pytest.raises(VaultError):
        decrypt("ws1", "u1", encrypt("ws1", "u1", TOKEN)[:-8] + b"AAAAAAA=")


def test_without_keys_nothing_is_stored(keys: pytest.MonkeyPatch) -> None:
    """A token is never stored in plain text."""
    use(keys)
    with pytest.raises(VaultError, match="TOKEN_ENCRYPTION_KEYS"):
        encrypt("ws1", "u1", TOKEN)


def test_a_fingerprint_identifies_a_token_and_does_not_reveal_it() -> None:
    """It is stored for longer than the token."""
    assert fingerprint(TOKEN) == fingerprint(TOKEN) != fingerprint(TOKEN + "x")
    assert TOKEN not in fingerprint(TOKEN)
