"""Settings for tests of code that reads them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from settings import get_settings


@pytest.fixture
def app_redis_url(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of an empty Valkey, set in the environment with two secrets and a database file that does not exist yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/mirror.db")
    monkeypatch.setenv("INTERCOM_CLIENT_ID", "an-app")
    monkeypatch.setenv("INTERCOM_CLIENT_SECRET", "one-secret,the-secret-before")
    get_settings.cache_clear()
    yield redis_url
    get_settings.cache_clear()
