"""Endpoints over HTTP and by command: added, listed, enabled, rotated, removed; each user's own only."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from cli.main import main
from models.db.engine import transaction
from settings import get_settings
from tests.stories.connect_site import surroundings, user_token
from webhooks.app import create_app
from workers.runtime.process import engine

URL = "https://app.example.test/hook"


class Api:
    """An application at /api/endpoints."""

    def __init__(self) -> None:
        self.client = create_app().test_client()

    def ask(self, method: str, path: str = "", user: str | None = None, status: int = 200, **body: Any) -> Any:
        """Ask as a user or as the operator; the answer must have that status."""
        token = user_token(user) if user else get_settings().admin_token
        answer = self.client.open(
            f"/api/endpoints{path}", method=method, headers={"Authorization": f"Bearer {token}"}, json=body or None
        )
        assert answer.status_code == status, answer.text
        return answer.json if answer.data else None


@pytest.fixture
def api(redis_url: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """A mirror in development."""
    with surroundings(monkeypatch, tmp_path, DATABASE_URL=database_url, REDIS_URL=redis_url):
        yield Api()


def deliver(endpoint_id: str) -> int:
    """Put a delivery there that was given up; returns its id."""
    insert = text(
        "INSERT INTO deliveries (endpoint_id, change_seq, workspace_id, object_type, object_id, body, state, due_at,"
        " created_at) VALUES (:id, 1, 'ws000001', 'contact', 'c1', '{}', 'failed', CURRENT_TIMESTAMP,"
        " CURRENT_TIMESTAMP) RETURNING id"
    )
    with transaction(engine()) as connection:
        return int(connection.execute(insert, {"id": endpoint_id}).scalar_one())


def test_the_secret_is_told_once(api: Api) -> None:
    """When it is made, and when it is rotated; lists are without."""
    added = api.ask("POST", user="ada", status=201, url=URL, types=["contact"])
    assert added["secret"].startswith("whsec_")
    listed = api.ask("GET", user="ada")
    assert "secret" not in listed["endpoints"][0]
    rotated = api.ask("POST", f"/{added['id']}/rotate", "ada")
    assert rotated["secret"] != added["secret"]
    assert rotated["old_until"] is not None


def test_another_users_endpoints_do_not_exist(api: Api) -> None:
    """Whatever is asked about them."""
    mine = api.ask("POST", user="ada", status=201, url=URL)["id"]
    number = deliver(mine)
    assert api.ask("GET", user="bob") == {"endpoints": []}
    for method, path in (
        ("DELETE", ""),
        ("POST", "/enable"),
        ("POST", "/rotate"),
        ("GET", "/deliveries"),
        ("POST", f"/deliveries/{number}/replay"),
    ):
        refused = api.ask(method, f"/{mine}{path}", "bob", status=404)
        unknown = api.ask(method, f"/ep_none{path}", "bob", status=404)
        assert refused == unknown
    theirs = api.ask("POST", user="bob", status=201, url=URL)["id"]
    api.ask("POST", f"/{theirs}/deliveries/{number}/replay", "bob", status=404)
    operators = api.ask("POST", status=201, url=URL)["id"]
    api.ask("DELETE", f"/{operators}", "bob", status=404)
    assert len(api.ask("GET")["endpoints"]) == 3
    assert api.client.get("/api/endpoints").status_code == 401


def test_deliveries_are_listed_and_replayed(api: Api) -> None:
    """By state, and from an id on."""
    mine = api.ask("POST", user="ada", status=201, url=URL)["id"]
    number = deliver(mine)
    assert [each["id"] for each in api.ask("GET", f"/{mine}/deliveries?state=failed", "ada")["deliveries"]] == [number]
    assert api.ask("GET", f"/{mine}/deliveries?before={number}", "ada") == {"deliveries": []}
    api.ask("POST", f"/{mine}/deliveries/{number}/replay", "ada", status=202)
    assert api.ask("GET", f"/{mine}/deliveries", "ada")["deliveries"][0]["state"] == "waiting"
    api.ask("GET", f"/{mine}/deliveries?state=lost", "ada", status=400)
    api.ask("DELETE", f"/{mine}", "ada", status=204)
    api.ask("GET", f"/{mine}/deliveries", "ada", status=404)


@pytest.mark.parametrize(
    "body",
    [
        {"url": "http://app.example.test/"},
        {"url": "https://user:secret@app.example.test/"},
        {"url": "file:///etc/passwd"},
        {"url": URL, "types": ["people"]},
        {"url": URL, "ops": "created"},
        {"url": URL, "sources": [""]},
        {"url": URL, "secret": "mine"},
        {"types": ["contact"]},
    ],
)
def test_what_cannot_be_used_is_refused(api: Api, body: dict[str, Any]) -> None:
    """With what is wrong, and without what may be a secret."""
    refused = api.ask("POST", user="ada", status=422, **body)
    assert refused["detail"]
    assert "secret@" not in refused["detail"]


def command(*words: str) -> Result:
    return CliRunner().invoke(main, ["endpoints", *words])


def test_the_command_does_the_same(api: Api) -> None:
    """For all endpoints, whosesoever."""
    assert "no endpoints" in command("list").output
    made = command("add", URL, "--user", "ada", "--type", "contact", "--op", "created", "--source", "webhook")
    endpoint, secret = made.output.split()
    assert secret.startswith("whsec_")
    row = json.loads(command("list", "--json").output)
    assert (row["user_id"], row["types"], row["ops"], row["sources"]) == ("ada", ["contact"], ["created"], ["webhook"])
    assert secret not in command("list").output
    assert api.ask("GET", user="ada")["endpoints"][0]["id"] == endpoint
    assert command("rotate", endpoint).output.startswith("whsec_")
    assert command("enable", endpoint).exit_code == 0
    number = deliver(endpoint)
    assert json.loads(command("deliveries", endpoint, "--json", "--state", "failed").output)["id"] == number
    assert command("replay", endpoint, str(number)).exit_code == 0
    assert "waiting" in command("deliveries", endpoint).output
    assert command("remove", endpoint).exit_code == 0


@pytest.mark.parametrize(
    "words",
    [
        ("remove", "x"),
        ("enable", "x"),
        ("rotate", "x"),
        ("deliveries", "x"),
        ("replay", "x", "1"),
        ("add", "http://a.example"),
    ],
)
def test_the_command_says_what_is_wrong(api: Api, words: tuple[str, ...]) -> None:
    """With exit code 1 and a sentence."""
    assert api
    outcome = command(*words)
    assert outcome.exit_code == 1
    assert outcome.output.startswith("Error: ")
