"""Neither the database nor the logs contain a token, code, state, cookie or secret."""

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from sqlalchemy import inspect, text

from intercom_api.rate_limit.lanes import Lane
from intercom_api.wire.signatures import sign_body
from settings import get_settings, logs
from settings.environment import DEVELOPMENT_CLIENT_SECRET
from tests.stories.conftest import EmulatedIntercom
from tests.stories.connect_site import Browser, client, query, user_token
from webhooks.connect import sessions
from workers.connections import registry
from workers.connections.upkeep import maintain_connections
from workers.runtime import process_resources


@pytest.fixture
def log(site: EmulatedIntercom, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Everything that is logged, including by libraries."""
    assert site
    monkeypatch.setenv("LOG_FORMAT", "json")
    monkeypatch.setenv("LOG_LEVEL", "debug")
    get_settings.cache_clear()
    before = logging.getLogger().handlers[:], logging.getLogger().level
    stream = io.StringIO()
    logs.configure("web", stream)
    # A cached logger would write to this stream in other tests too.
    structlog.configure(cache_logger_on_first_use=False)
    yield stream
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    logging.getLogger().handlers[:], logging.getLogger().level = before


def dump() -> str:
    """Return every row of every table, and the database files if there are any."""
    engine = process_resources.reader()
    names = inspect(engine).get_table_names()
    with engine.connect() as connection:
        found = [repr([tuple(row) for row in connection.execute(text(f"SELECT * FROM {name}"))]) for name in names]  # noqa: S608 -- our names
    assert "connections" in names
    files = Path(engine.url.database or "").parent.glob("mirror.db*") if engine.dialect.name == "sqlite" else []
    return "".join([*found, *(file.read_bytes().decode("latin-1") for file in files if file.is_file())])


def kept_in_redis() -> str:
    """Return every key, and every value that is text."""
    names = list(client().scan_iter())
    return repr([(name, client().get(name) if client().type(name) == b"string" else None) for name in names])


def test_no_secret_gets_out(site: EmulatedIntercom, log: io.StringIO) -> None:
    """After connecting in both ways, calls, every kind of failure, an uninstall and a disconnect."""
    secrets = {DEVELOPMENT_CLIENT_SECRET, "dev-token-demo0001", *get_settings().encryption_keys}
    maintain_connections()
    browser = Browser()
    token = user_token("u-1")
    browser.get(f"/connect?token={token}")
    back = browser.allow(browser.start())
    browser.get(back)
    browser.get(back)
    used = query(back)["code"]
    refused = browser.start()
    browser.get(f"/oauth/callback?code={used}&state={query(refused)['state']}")
    Browser().get(browser.allow(browser.start()))
    asked = registry.client_of("demo0001", Lane.INTERACTIVE)
    assert asked is not None
    cookie = browser.client.get_cookie(sessions.cookie_name()[0], domain="127.0.0.1")
    assert cookie is not None
    secrets |= {token, used, query(back)["state"], query(refused)["state"], cookie.value, asked._auth._token}
    while_connected = dump() + kept_in_redis()
    site.intercom.access_tokens.revoke_workspace("demo0001")
    body = b'{"app_id": "demo0001"}'
    browser.client.post("/webhooks/intercom/uninstall", data=body, headers={"X-Body-Signature": sign_body(body, "no")})
    registry.end_refused_connections("demo0001", "token_revoked")
    browser.connect()
    browser.post("/connect/disconnect", csrf=browser.csrf(), workspace="demo0001")
    written = log.getvalue()
    assert "workspace connected" in written
    assert "connecting failed" in written
    assert "demo0001" in while_connected
    for place, found in {"rows": while_connected + dump(), "redis": kept_in_redis(), "log": written}.items():
        assert [secret for secret in secrets if secret in found] == [], place
    assert repr(asked).find(asked._auth._token) == -1
