"""The connect pages with real Redis, real SQL and an emulated Intercom."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
import requests
from flask.testing import FlaskClient
from redis import Redis
from sqlalchemy import text
from werkzeug.test import TestResponse

from settings import get_settings
from webhooks.api.access_cache import access_cache
from webhooks.app import create_app
from workers.connections import registry
from workers.runtime import process_resources

# The emulator responds at once.
_TIMEOUT = 10


def forget_process() -> None:
    """Close cached clients and engines, so that the next settings take effect."""
    for kept in (process_resources.engine, process_resources.reader):
        if kept.cache_info().currsize:
            kept().dispose()
    for kept_of_process in (
        process_resources.engine,
        process_resources.reader,
        process_resources.redis,
        registry._governor,
        access_cache,
        get_settings,
    ):
        kept_of_process.cache_clear()


@contextmanager
def surroundings(monkeypatch: pytest.MonkeyPatch, directory: Path, **environment: str) -> Iterator[None]:
    """Run with these variables, in a separate directory."""
    monkeypatch.chdir(directory)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    forget_process()
    yield
    forget_process()


def user_token(user_id: str, **claims: object) -> str:
    """Sign a user token as `intercom-mirror token` does."""
    whole = {"sub": user_id, "exp": 4_000_000_000, **claims}
    return jwt.encode(whole, str(get_settings().user_token_private_key), algorithm="ES256")


class Browser:
    """A browser of one user, without rendering."""

    def __init__(self) -> None:
        self.client: FlaskClient = create_app().test_client()

    def open(self, user_id: str) -> TestResponse:
        """Open the connect page with a user token, as from the application."""
        return self.get(f"/connect?token={user_token(user_id)}")

    def get(self, path: str) -> TestResponse:
        """Open a page of the mirror; redirects within the mirror are followed."""
        answer = self.client.get(path, headers={"Host": "127.0.0.1:8000"})
        if answer.status_code == 303 and answer.location.startswith("/"):
            return self.get(answer.location)
        return answer

    def post(self, path: str, **form: str) -> TestResponse:
        """Post a form."""
        return self.client.post(path, data=form, headers={"Host": "127.0.0.1:8000"})

    def csrf(self) -> str:
        """Return the CSRF token of the forms."""
        found = re.search(r'name="csrf" value="(\w+)"', self.get("/connect").text)
        assert found
        return found[1]

    def start(self, region: str = "US") -> str:
        """Press the button; returns the address of Intercom's consent page."""
        answer = self.post("/connect/start", csrf=self.csrf(), region=region)
        assert answer.status_code == 303, answer.text
        return str(answer.location)

    def allow(self, address: str, workspace_id: str = "demo0001", decision: str = "allow") -> str:
        """Submit the consent page; returns the address that Intercom redirects to, without the host."""
        form = {"workspace": workspace_id, "decision": decision}
        answer = requests.post(address, data=form, timeout=_TIMEOUT, allow_redirects=False)
        assert answer.status_code == 302, answer.text
        parts = urlsplit(answer.headers["Location"])
        return f"{parts.path}?{parts.query}"

    def connect(self, workspace_id: str = "demo0001") -> TestResponse:
        """Connect a workspace, from the button to the return."""
        return self.get(self.allow(self.start(), workspace_id))

    def state(self) -> list[dict[str, Any]]:
        """Return the connections that the page polls."""
        connections: list[dict[str, Any]] = self.get("/connect/state").json["connections"]  # type: ignore[index]
        return connections


def query(address: str) -> dict[str, str]:
    """Return the query of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def reason(answer: TestResponse) -> str | None:
    """Return the reason of an error page; None for another page."""
    found = re.search(r'data-reason="(\w+)"', answer.text)
    return found[1] if found else None


def rows(statement: str, **values: object) -> list[tuple[Any, ...]]:
    """Run a SELECT; `values` replace its `:names`."""
    with process_resources.reader().connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement), values)]


def client() -> Redis:
    """Return the Redis of this test."""
    return process_resources.redis()
