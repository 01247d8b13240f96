"""`doctor` reports what is set up, what is not, and what to do; its output contains no secrets."""

import json
import time
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.fernet import Fernet

from cli.main import main
from intercom_api.rate_limit.lanes import Lane
from settings import get_settings
from settings.user_keys import new_private_pem, public_pem
from tests.stories.conftest import EmulatedIntercom
from tests.stories.connect_site import client, forget_process
from workers.connections import registry
from workers.connections.upkeep import maintain_connections
from workers.runtime.redis_keys import INBOX


def run_doctor() -> tuple[int, dict[str, dict[str, Any]]]:
    """Run the command; returns the exit code, and the worst finding of each subject."""
    forget_process()
    outcome = CliRunner().invoke(main, ["doctor", "--json"])
    order = ["ok", "warning", "failure"]
    found = sorted(json.loads(outcome.output), key=lambda each: order.index(each["level"]))
    return outcome.exit_code, {each["what"]: each for each in found}


def levels(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {what: finding["level"] for what, finding in found.items() if finding["level"] != "ok"}


def test_a_healthy_mirror_has_no_warnings(site: EmulatedIntercom) -> None:
    """Settings, Redis, tables, addresses, Intercom, and the demo token with its permissions are checked."""
    assert site
    maintain_connections()
    code, found = run_doctor()
    assert (code, levels(found)) == (0, {})
    assert found["redirect address"]["text"] == "http://127.0.0.1:8000/oauth/callback"
    assert "US, Europe/Dublin" in found["workspace demo0001, user demo"]["text"]


def test_findings_are_printed_for_people(site: EmulatedIntercom) -> None:
    """One line each, with the advice below it."""
    assert site
    outcome = CliRunner().invoke(main, ["doctor"])
    assert outcome.exit_code == 0
    assert "ok       database: The tables match this version" in outcome.output
    assert "warning  connections: No workspace is connected." in outcome.output
    assert "-> See the section Connect of the README." in outcome.output


def test_a_revoked_token_is_a_failure(site: EmulatedIntercom) -> None:
    """A script notices it by the exit code; the token is not printed."""
    maintain_connections()
    asked = registry.client_of("demo0001", Lane.INTERACTIVE)
    assert asked is not None
    site.intercom.access_tokens.revoke_workspace("demo0001")
    code, found = run_doctor()
    assert (code, levels(found)) == (1, {"workspace demo0001, user demo": "failure"})
    assert "token_revoked" in found["workspace demo0001, user demo"]["text"]
    assert asked._auth._token not in json.dumps(found)
    registry.end_refused_connections("demo0001", "token_revoked")
    code, found = run_doctor()
    assert (code, levels(found)) == (0, {"workspace demo0001": "warning"})
    assert "no longer updated" in found["workspace demo0001"]["text"]


def test_a_lost_encryption_key_is_a_failure(site: EmulatedIntercom, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tokens that were encrypted with it cannot be read."""
    assert site
    maintain_connections()
    monkeypatch.setenv("TOKEN_ENCRYPTION_KEYS", Fernet.generate_key().decode())
    code, found = run_doctor()
    assert code == 1
    assert "No key in TOKEN_ENCRYPTION_KEYS decrypts" in found["workspace demo0001, user demo"]["text"]


def test_each_unreachable_service_is_a_failure(site: EmulatedIntercom, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is unreachable does not prevent the others from being checked."""
    assert site
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:9")
    monkeypatch.setenv("DATABASE_URL", "sqlite:////nowhere/mirror.db")
    monkeypatch.setenv("INTERCOM_API_URL", "http://127.0.0.1:9")
    code, found = run_doctor()
    assert code == 1
    assert set(levels(found)) == {"Redis", "database", "Intercom", "connections"}
    assert found["app"]["level"] == "ok"


def test_a_stuck_inbox_and_a_wrong_clock_are_reported(site: EmulatedIntercom) -> None:
    """An inbox that is not drained is a failure, a clock that differs from Intercom's a warning."""
    entry = f"{int((time.time() - 61) * 1000)}-0"
    client().xadd(INBOX, {"b": "{}", "t": "0"}, id=entry)
    site.intercom.switches.clock_shift_seconds = 120.0
    code, found = run_doctor()
    site.intercom.switches.clock_shift_seconds = 0.0
    assert (code, levels(found)) == (1, {"inbox": "failure", "clock": "warning", "connections": "warning"})
    assert "Check that a worker is running" in found["inbox"]["advice"]


def test_mistakes_in_the_settings_are_findings(site: EmulatedIntercom, monkeypatch: pytest.MonkeyPatch) -> None:
    """All are listed, and nothing else can be checked."""
    assert site
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("RETENTION_DAYS", "x")
    get_settings.cache_clear()
    outcome = CliRunner().invoke(main, ["doctor"])
    assert outcome.exit_code == 1
    assert outcome.output.count("failure  settings:") == 2


def test_a_real_app_is_warned_about_missing_settings(site: EmulatedIntercom, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that Intercom cannot reach, and the keys without which no user can connect."""
    for name, value in {
        "INTERCOM_CLIENT_ID": "an-app",
        "INTERCOM_CLIENT_SECRET": "hush-hush",
        "INTERCOM_API_URL": f"http://127.0.0.1:{site.port}/us",
    }.items():
        monkeypatch.setenv(name, value)
    code, found = run_doctor()
    assert code == 0
    assert set(levels(found)) == {"redirect address", "tokens", "users", "connections"}
    monkeypatch.setenv("PUBLIC_URL", "https://mirror.example.com")
    monkeypatch.setenv("TOKEN_ENCRYPTION_KEYS", Fernet.generate_key().decode())
    monkeypatch.setenv("USER_TOKEN_PUBLIC_KEY", public_pem(new_private_pem()))
    code, found = run_doctor()
    assert (code, levels(found)) == (0, {"connections": "warning"})
    assert found["redirect address"]["text"] == "https://mirror.example.com/oauth/callback"
    assert "hush-hush" not in json.dumps(found)
