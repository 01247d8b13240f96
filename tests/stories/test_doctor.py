"""The doctor says what is in order, what is not, and what to do; nothing secret stands in it."""

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


def examine() -> tuple[int, dict[str, dict[str, Any]]]:
    """Run it; returns the exit code and the findings by what they are about, the worst of each."""
    forget_process()
    outcome = CliRunner().invoke(main, ["doctor", "--json"])
    order = ["ok", "warning", "failure"]
    found = sorted(json.loads(outcome.output), key=lambda each: order.index(each["level"]))
    return outcome.exit_code, {each["what"]: each for each in found}


def levels(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {what: finding["level"] for what, finding in found.items() if finding["level"] != "ok"}


def test_a_healthy_mirror_has_nothing_to_complain_of(site: EmulatedIntercom) -> None:
    """Settings, Redis, tables, addresses, Intercom, and the demo's token with its permissions."""
    assert site
    maintain_connections()
    code, found = examine()
    assert (code, levels(found)) == (0, {})
    assert found["redirect address"]["text"] == "http://127.0.0.1:8000/oauth/callback"
    assert "US, Europe/Dublin" in found["workspace demo0001, user demo"]["text"]


def test_it_speaks_to_people_too(site: EmulatedIntercom) -> None:
    """A line each, and what to do below it."""
    assert site
    outcome = CliRunner().invoke(main, ["doctor"])
    assert outcome.exit_code == 0
    assert "ok       database: The tables are those of this version" in outcome.output
    assert "warning  connections: No workspace is connected." in outcome.output
    assert "-> The README's section Connect says how." in outcome.output


def test_a_dead_token_is_a_failure(site: EmulatedIntercom) -> None:
    """Whoever runs this from a script hears it by the exit code; the token is not repeated."""
    maintain_connections()
    asked = registry.client_of("demo0001", Lane.INTERACTIVE)
    assert asked is not None
    site.intercom.access_tokens.revoke_workspace("demo0001")
    code, found = examine()
    assert (code, levels(found)) == (1, {"workspace demo0001, user demo": "failure"})
    assert "token_revoked" in found["workspace demo0001, user demo"]["text"]
    assert asked._auth._token not in json.dumps(found)
    registry.end_refused_connections("demo0001", "token_revoked")
    code, found = examine()
    assert (code, levels(found)) == (0, {"workspace demo0001": "warning"})
    assert "stand still" in found["workspace demo0001"]["text"]


def test_a_key_that_was_thrown_away_is_a_failure(site: EmulatedIntercom, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tokens that only it could open are lost."""
    assert site
    maintain_connections()
    monkeypatch.setenv("TOKEN_ENCRYPTION_KEYS", Fernet.generate_key().decode())
    code, found = examine()
    assert code == 1
    assert "No key in TOKEN_ENCRYPTION_KEYS opens" in found["workspace demo0001, user demo"]["text"]


def test_what_is_out_of_reach_is_a_failure_each(site: EmulatedIntercom, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is away keeps none of the others from being looked at."""
    assert site
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:9")
    monkeypatch.setenv("DATABASE_URL", "sqlite:////nowhere/mirror.db")
    monkeypatch.setenv("INTERCOM_API_URL", "http://127.0.0.1:9")
    code, found = examine()
    assert code == 1
    assert set(levels(found)) == {"Redis", "database", "Intercom", "connections"}
    assert found["app"]["level"] == "ok"


def test_what_stands_still_or_runs_ahead_is_noticed(site: EmulatedIntercom) -> None:
    """An inbox that nobody drains is a failure, a clock that differs from Intercom's a warning."""
    entry = f"{int((time.time() - 61) * 1000)}-0"
    client().xadd(INBOX, {"b": "{}", "t": "0"}, id=entry)
    site.intercom.switches.clock_shift_seconds = 120.0
    code, found = examine()
    site.intercom.switches.clock_shift_seconds = 0.0
    assert (code, levels(found)) == (1, {"inbox": "failure", "clock": "warning", "connections": "warning"})
    assert "Look whether a worker runs" in found["inbox"]["advice"]


def test_mistakes_in_the_settings_are_told_by_it_too(site: EmulatedIntercom, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, and nothing else could be looked at."""
    assert site
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("RETENTION_DAYS", "x")
    get_settings.cache_clear()
    outcome = CliRunner().invoke(main, ["doctor"])
    assert outcome.exit_code == 1
    assert outcome.output.count("failure  settings:") == 2


def test_a_real_app_hears_what_is_missing(site: EmulatedIntercom, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that Intercom cannot reach, and the keys without which nobody can connect."""
    for name, value in {
        "INTERCOM_CLIENT_ID": "an-app",
        "INTERCOM_CLIENT_SECRET": "hush-hush",
        "INTERCOM_API_URL": f"http://127.0.0.1:{site.port}/us",
    }.items():
        monkeypatch.setenv(name, value)
    code, found = examine()
    assert code == 0
    assert set(levels(found)) == {"redirect address", "tokens", "users", "connections"}
    monkeypatch.setenv("PUBLIC_URL", "https://mirror.example.com")
    monkeypatch.setenv("TOKEN_ENCRYPTION_KEYS", Fernet.generate_key().decode())
    monkeypatch.setenv("USER_TOKEN_PUBLIC_KEY", public_pem(new_private_pem()))
    code, found = examine()
    assert (code, levels(found)) == (0, {"connections": "warning"})
    assert found["redirect address"]["text"] == "https://mirror.example.com/oauth/callback"
    assert "hush-hush" not in json.dumps(found)
